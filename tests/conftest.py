"""What tests of several rooms share: a scripted SMA, settings in a folder of their own, fresh runtimes."""

import gc
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from dagster import DagsterInstance
from deltalake import DeltaTable
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from pipeline.common import allocators
from pipeline.common.settings import Settings
from pipeline.run.context import RunContext
from sandbox.launch import SandboxAddress, run_sandbox
from tests.beginnings import BEGINNINGS
from tests.dealing import deal_out
from tests.programs import FREE
from tests.read_once import keep_what_is_read
from tests.scripted import ScriptedSma
from tests.scripted_home import make_runtime, make_settings

os.environ |= FREE
keep_what_is_read()
# What is large here are the tests: a step that let go of their code would cost more than it does.
allocators.LARGE_PROCESS_BYTES = 2**40  # type: ignore[misc]

PARTS_OF_RECORDS = ("history", "schedules")

# By default an example that takes 0.2 s fails, and so does a test whose examples are made slowly: how long they take is
# a matter of what else the machine does.
hypothesis_settings.register_profile("sunledger", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("sunledger")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "waits: for a minute or so, beside which other tests have the processors"
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What waits begins first, then what is long: at the end of a run short tests are left for each worker."""
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    items[:] = deal_out(items, workers, rank, lambda item: item.path)


def rank(item: pytest.Item) -> list[bool]:
    return [item.get_closest_marker(name) is None for name in ("waits", "long")]


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> None:
    """Look for garbage from now on, but not among the million objects that are there by now."""
    gc.freeze()
    gc.enable()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test that changes the product, or what is around it, begins by itself from then on."""
    BEGINNINGS.allowed, BEGINNINGS.patch = hasattr(item, "fixturenames"), None


@pytest.fixture
def monkeypatch() -> Iterator[pytest.MonkeyPatch]:
    """Pytest's own, of which is known what it has changed."""
    with pytest.MonkeyPatch.context() as patch:
        BEGINNINGS.patch = patch
        yield patch


@pytest.fixture(autouse=True, scope="session")
def blank_records(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The records of a new home are copied from the first one: laying Dagster's tables takes it a third of a second."""
    first = tmp_path_factory.mktemp("first") / "dagster"
    open_instance = DagsterInstance.from_config

    def open_records(home: str, *more: str) -> DagsterInstance:
        folder = Path(home)
        settings, fresh = (folder / "dagster.yaml").read_bytes(), not (folder / "history").exists()
        if fresh and first.exists() and settings == (first / "dagster.yaml").read_bytes():
            for part in PARTS_OF_RECORDS:
                shutil.copytree(first / part, folder / part)
        instance = open_instance(home, *more)
        # Records in PostgreSQL leave nothing in the home.
        if (folder / "history").exists() and fresh and not first.exists():
            shutil.copytree(folder, first)
        return instance

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(DagsterInstance, "from_config", open_records)
        yield


@pytest.fixture(autouse=True, scope="session")
def blank_tables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The log of a new table in a local lake is copied from the first one of its columns: a day makes twenty tables."""
    folder = tmp_path_factory.mktemp("blank")
    logs: dict[tuple[str, ...], Path] = {}
    create = DeltaTable.create

    def create_table(uri: str, schema: Any, *more: Any, **options: Any) -> DeltaTable:
        if more or "://" in uri or set(options) - {"mode", "partition_by", "storage_options"}:
            return create(uri, schema, *more, **options)
        made = (str(schema), *options["partition_by"])
        log = Path(uri) / "_delta_log" / "00000000000000000000.json"
        if made in logs:
            log.parent.mkdir(exist_ok=True)
            # It appears whole, and only where none is yet, as by Delta's own commit.
            whole = shutil.copyfile(logs[made], folder / uuid4().hex)
            with suppress(FileExistsError):
                os.link(whole, log)
            whole.unlink()
            return DeltaTable(uri)
        table = create(uri, schema, **options)
        if table.version() == 0:
            logs[made] = shutil.copyfile(log, folder / f"{len(logs)}.json")
        return table

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(DeltaTable, "create", create_table)
        yield


@pytest.fixture
def sma() -> ScriptedSma:
    return ScriptedSma()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return make_settings(tmp_path)


@pytest.fixture
def new_runtime(sma: ScriptedSma, settings: Settings) -> Callable[..., RunContext]:
    """A fresh runtime on the same lake, as the next run would have; it asks again for what is stored."""

    def build(*plants: str, again: bool = True) -> RunContext:
        return make_runtime(settings, sma, *plants, again=again)

    return build


@pytest.fixture(scope="session")
def box() -> Iterator[SandboxAddress]:
    """A sandbox of three plants as a process, for commands that tests start. No test changes what it answers."""
    with run_sandbox("--plants", "3", "--seed", "7") as address:
        yield address


@pytest.fixture(scope="session")
def small_box() -> Iterator[SandboxAddress]:
    """The same of two plants, where the third would only cost time."""
    with run_sandbox("--plants", "2", "--seed", "7") as address:
        yield address
