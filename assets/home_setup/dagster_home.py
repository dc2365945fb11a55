"""Dagster's own home: a folder of ours, with a configuration that sends nothing anywhere, and limits of its pools."""

import os
import sys
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from assets.dagster_records.event_batches import join_event_batches
from assets.dagster_records.former_storage import replace_former_storage
from assets.dagster_records.record_databases import describe_emptied
from assets.dagster_records.record_files import OPEN_FILES
from assets.dagster_records.start_lock import PATIENCE_S, StartLockedError, start_lock
from assets.home_setup.cluster_home import (
    QUEUE,
    check_cluster_configuration,
    format_cluster_configuration,
    write_cluster_configuration,
)
from assets.home_setup.home_configuration import CONFIGURATION
from assets.home_setup.plain_path import find_plain_path
from pipeline.billing.spending import FOLDER as SPENDING
from pipeline.common.cluster_rules import check_cluster
from pipeline.common.errors import ConfigurationError, SunledgerError
from pipeline.common.files.atomic_files import write_file
from pipeline.common.garbage import skip_loaded_objects
from pipeline.common.settings import Settings, name_variable
from pipeline.common.shared_session import open_shared_session
from pipeline.common.text import escape_controls, pluralize
from pipeline.sma.auth.private_documents import adopt_documents
from pipeline.sma.auth.secret_files import FOLDER as CREDENTIALS

if TYPE_CHECKING:
    from dagster import DagsterInstance

# Names and slots of the pools. Each slot of the API is an asset with up to SMA_MAX_CONNECTIONS connections (16): three
# are 48 connections, for two runs of backfills and one of a schedule. Requests are not counted here: their budget is
# shared by all processes, so more slots mean no more requests. Publishers take turns.
API_POOL, PUBLISH_POOL = "sma_api", "publish"
POOL_LIMITS = {API_POOL: 3, PUBLISH_POOL: 1}

# Where Dagster finds the code, and the folder of our packages.
WORKSPACE = Path(str(files("assets").joinpath("workspace.yaml")))
PACKAGES = WORKSPACE.resolve().parents[1]
LONGEST_PLACE = 70
_PYTHON = (sys.executable, "-P", "-m")


def prepare_dagster_home(settings: Settings) -> Path:
    """The folder, made and configured at first use.

    A configuration that is there already is left alone, but for a storage of an older version: that is replaced, and
    said on standard error. In a cluster it must be one for several machines. Raises SunledgerError.
    """
    check_cluster(settings)
    folder = settings.home / "dagster"
    folder.mkdir(parents=True, exist_ok=True)
    home = find_plain_path(folder)
    file = home / "dagster.yaml"
    if not file.exists():
        with start_lock(home):
            if not file.exists():
                # Another process may read it at any moment.
                write_file(file, _format_configuration(settings).encode())
    if settings.cluster != "none":
        check_cluster_configuration(home, settings)
    elif said := replace_former_storage(home):
        sys.stderr.write(f"{escape_controls(said)}\n")
    return home


def _format_configuration(settings: Settings) -> str:
    return CONFIGURATION if settings.cluster == "none" else format_cluster_configuration(settings)


def build_pool_limits(settings: Settings) -> dict[str, int]:
    """The slots of each pool. In a cluster the API has some for each run: the request budget is the guard."""
    if settings.cluster == "none":
        return POOL_LIMITS
    return POOL_LIMITS | {API_POOL: POOL_LIMITS[API_POOL] * settings.cluster_runs}


def limit_pools(instance: "DagsterInstance", limits: Mapping[str, int]) -> None:
    """Give our pools these limits, unless somebody has set others."""
    if not instance.event_log_storage.supports_global_concurrency_limits:
        return
    known = {pool.name for pool in instance.event_log_storage.get_pool_limits() if not pool.from_default}
    for pool, limit in limits.items():
        if pool not in known:
            instance.event_log_storage.set_concurrency_slots(pool, limit)


@contextmanager
def open_dagster(settings: Settings) -> "Iterator[DagsterInstance]":
    """The home's Dagster in this process, which is that home's from now on.

    Sets up what is not there yet, one process at a time. Raises SunledgerError for a home that can't be used as it is.
    """
    home = prepare_dagster_home(settings)
    with ExitStack() as opened:
        with start_lock(home), _take_turn(settings):
            OPEN_FILES.keep(home)
            opened.callback(OPEN_FILES.close, home)
            sys.stderr.write(escape_controls(describe_emptied(home)))
            instance = opened.enter_context(_open(home, settings))
            # Dagster is the last of what a command loads.
            skip_loaded_objects()
            with explain_faults(home):
                limit_pools(instance, build_pool_limits(settings))
        yield instance


@contextmanager
def _take_turn(settings: Settings) -> Iterator[None]:
    """In a cluster, create the shared tables and be alone: Dagster's own set-up of PostgreSQL is not made for two."""
    session = open_shared_session(settings)
    if session is None:
        yield
        return
    session.create_tables()
    with session.lock("start", PATIENCE_S, lambda: _build_slow_error(session.place)):
        yield


def _build_slow_error(place: str) -> StartLockedError:
    return StartLockedError(
        f"Another machine has been setting up {place} for more than {PATIENCE_S:.0f} s and makes no progress: end its "
        "process, then run this again."
    )


def _open(home: Path, settings: Settings) -> "DagsterInstance":
    with explain_faults(home):
        from dagster import DagsterInstance  # noqa: PLC0415 - takes a second to import

        os.environ |= _build_own_environment(home, settings)
        instance = DagsterInstance.from_config(str(home))
        join_event_batches(instance)
        return instance


@contextmanager
def explain_faults(home: Path, *, records_only: bool = False) -> Iterator[None]:
    """Raise SunledgerError, with the cure, for what Dagster and its databases say of a home that is not well.

    With `records_only` what they say of its settings is let through: once it is open, that is about something else.
    """
    try:
        yield
    except SunledgerError:
        raise
    except Exception as fault:
        from assets.home_setup.dagster_faults import explain  # noqa: PLC0415 - loads Dagster

        error = explain(fault, home, records_only=records_only)
        if error is None:
            raise
        raise error from fault


def prepare(settings: Settings) -> None:
    """Make the home and limit the pools, before Dagster starts on it."""
    with open_dagster(settings):
        pass


def prepare_cluster(settings: Settings) -> list[str]:
    """Set up what the machines of the cluster share, and dagster.yaml here; what was done, as sentences.

    Several machines may do this at once. Raises SunledgerError, without a cluster too.
    """
    if settings.cluster == "none":
        raise ConfigurationError(
            "SUNLEDGER_CLUSTER=none has nothing to set up: set it to kubernetes or celery, see docs/cluster.md."
        )
    check_cluster(settings)
    folder = settings.home / "dagster"
    folder.mkdir(parents=True, exist_ok=True)
    with start_lock(folder):
        written = write_cluster_configuration(find_plain_path(folder), settings)
    with open_dagster(settings) as instance, explain_faults(folder):
        instance.upgrade()
        for pool, slots in build_pool_limits(settings).items():
            instance.event_log_storage.set_concurrency_slots(pool, slots)
    adopted = adopt_documents(settings, (CREDENTIALS, SPENDING))
    session = open_shared_session(settings)
    pools = ", ".join(f"{pool} {slots}" for pool, slots in build_pool_limits(settings).items())
    return [
        f"{folder / 'dagster.yaml'} was written."
        if written
        else f"{folder / 'dagster.yaml'} is right as it is.",
        f"{session.place if session else ''} has the tables of Dagster and of sunledger. Slots of pools: {pools}.",
        *([_describe_adopted(adopted)] if adopted else []),
    ]


def _describe_adopted(count: int) -> str:
    what = f"{pluralize(count, 'document')} of this home (logins, consents, agreed costs)"
    return f"{what} went there too; the files stay."


def build_environment(settings: Settings) -> dict[str, str]:
    """What Dagster's processes need beside the environment of this one."""
    return {
        **_build_own_environment(prepare_dagster_home(settings), settings),
        "SUNLEDGER_HOME": str(settings.home),
        "DAGSTER_DISABLE_TELEMETRY": "yes",
        # Python and Dagster look for modules in the current folder first, in these processes and in those that they
        # start. A package there that is called like one of ours must not take its place.
        "PYTHONSAFEPATH": "1",
        "SUNLEDGER_PACKAGES": str(PACKAGES),
    }


def _build_own_environment(home: Path, settings: Settings) -> dict[str, str]:
    # What dagster.yaml names, which may come from a file of settings.
    named = {
        name: getattr(settings, name).get_secret_value()
        for name in ("cluster_postgres_url", "cluster_broker_url")
    }
    named |= {name: getattr(settings, name) for name in ("cluster_namespace", "cluster_image")}
    return {
        **{name_variable(name): value for name, value in named.items() if value},
        "DAGSTER_HOME": str(home),
        # Of the events of a range, PostgreSQL takes so many at once: more than a run's days have of one asset.
        "DAGSTER_EVENT_BATCH_SIZE": "1000",
    }


def build_webserver_command(host: str, port: int, names: Iterable[str] = ()) -> list[str]:
    """The program and arguments of the page, which is reached as `host` and `names` beside addresses and localhost."""
    reached = ",".join([host, *sorted(names)])
    return [*_PYTHON, "assets.webserver", reached, "-w", str(WORKSPACE), "-h", host, "-p", str(port)]


def build_worker_command(slots: int) -> list[str]:
    """The program and arguments of a Celery worker that does so many runs at a time."""
    return [
        *_PYTHON,
        "celery",
        "--app",
        "assets.celery_app",
        "worker",
        "--queues",
        QUEUE,
        "--hostname",
        f"sunledger-{uuid.uuid4().hex[:8]}@%h",
        "--concurrency",
        str(slots),
        # A run that a worker takes before it has a free slot would wait for that worker's end.
        "--prefetch-multiplier",
        "1",
        "--disable-prefetch",
        "--loglevel",
        "WARNING",
    ]


@contextmanager
def open_code_place() -> Iterator[tuple[Path, dict[str, str]]]:
    """A socket's path of which other users can't make use, and the environment that names it; gone with the block."""
    # A socket's path has at most some hundred bytes, which folders of homes and of temporary files may exceed.
    roomy = len(os.fsencode(tempfile.gettempdir())) < LONGEST_PLACE
    with tempfile.TemporaryDirectory(prefix="sunledger-", dir=None if roomy else "/tmp") as folder:  # noqa: S108
        place = Path(folder, "code")
        yield place, {"SUNLEDGER_CODE_SOCKET": str(place)}


def build_code_command(place: Path) -> list[str]:
    """The program and arguments of what has loaded the code for page and daemon, and answers at the socket `place`."""
    return [*_PYTHON, "assets.code_server", str(place)]


def build_daemon_command() -> list[str]:
    """The program and arguments of the daemon, which starts what schedules, sensors and backfills ask for."""
    return [*_PYTHON, "assets.daemon", "run", "-w", str(WORKSPACE)]
