"""A publication whose store is gone for a while, or whose answer is lost: one whole object, and success said truly."""

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from pipeline.common.store_faults import StoreUnavailableError
from pipeline.run import store_waits
from pipeline.run.context import RunContext
from pipeline.run.store_waits import retry_after_outage
from tests.small_lake import NOW
from tests.warehouse.object_stores import Store
from tests.warehouse.stopped_proxy import SAID_OF_OUTAGE, SHORT_OUTAGE_S, open_proxy, stopped, wait_for_words
from tests.warehouse.test_published_object import (
    DAYS,
    Publisher,
    lake,
    nine_days,
    put_day,
    read,
    target_of,
)
from warehouse.lake import Lake
from warehouse.published_file.publish_object import publish_object
from warehouse.verification.verify import verify_lake

__all__ = ["lake", "nine_days"]

GONE = StoreUnavailableError("The object store can't be reached.")


@pytest.fixture
def proxy(
    store: Store, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """A proxy before the store, which processes that begin now ask."""
    with open_proxy(store.address) as (address, server):
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        yield address, server


def test_a_step_is_done_again_after_an_outage(
    new_runtime: Callable[..., RunContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime, said = new_runtime(), []
    runtime.tell = said.append
    runtime.opened.lake = Lake("s3://bucket/lake", runtime.settings.home)
    monkeypatch.setattr(store_waits, "_answers", lambda _: True)
    outcomes = iter([GONE, GONE, "done"])

    def step() -> str:
        if isinstance(found := next(outcomes), Exception):
            raise found
        return str(found)

    assert retry_after_outage(runtime, step) == "done"
    assert "s3://bucket/lake is gone. The run waits for it" in said[0]
    outcomes = iter([GONE] * 9)
    with pytest.raises(StoreUnavailableError):
        retry_after_outage(runtime, step)
    # A lake in a folder has nothing to wait for.
    runtime.opened.lake = Lake(str(runtime.settings.home / "lake"), runtime.settings.home)
    outcomes = iter([GONE, "done"])
    with pytest.raises(StoreUnavailableError):
        retry_after_outage(runtime, step)


@pytest.mark.long
def test_a_publication_whose_answer_is_lost_is_known_as_its_own(
    lake: Lake, tmp_path: Path, proxy: tuple[str, "subprocess.Popen[str]"]
) -> None:
    told: list[str] = []
    target = target_of(lake, tmp_path / "one", told)
    for number in range(2):
        put_day(lake, number, 5.0)
        httpx.put(f"{proxy[0]}/-/lose/fleet.duckdb").raise_for_status()
        httpx.get(f"{proxy[0]}/-/counts")
        publish_object(lake, target, now=NOW, version="1")
        assert httpx.get(f"{proxy[0]}/-/counts").json()["LOST"] == 1
        assert read(target_of(lake, tmp_path / f"reader-{number}")) == 2.0 * DAYS + 8.0 * (number + 1)
    # Nobody else has published, so nothing was built twice.
    assert told == []


@pytest.mark.long
@pytest.mark.waits
def test_a_publication_goes_through_a_short_and_a_long_outage(
    lake: Lake, tmp_path: Path, proxy: tuple[str, "subprocess.Popen[str]"]
) -> None:
    _, server = proxy
    home = tmp_path / "home"
    publish_object(lake, target_of(lake, home), now=NOW, version="1")
    # One that the clients' own tries outlast, and of which nothing is said; then one that they don't.
    for number, outage in enumerate(("short", "long")):
        put_day(lake, number, 5.0)
        program = Publisher(lake, home)
        # From now on the file is built, and then put.
        while not any(".new-" in path.name for path in home.iterdir()):
            assert not program.is_over()
            time.sleep(0.005)
        with stopped(server):
            if outage == "short":
                time.sleep(SHORT_OUTAGE_S)
            else:
                wait_for_words(SAID_OF_OUTAGE, home / "said.txt", program.is_over)
        said = program.wait()
        for words in (SAID_OF_OUTAGE, "Waiting for the object store of s3://"):
            assert (words in said) == (outage == "long"), said
        assert "Published s3://" in said
        assert read(target_of(lake, tmp_path / f"reader-{number}")) == 2.0 * DAYS + 8.0 * (number + 1)
    assert [found.fault for found in verify_lake(lake) if found.fault] == []
