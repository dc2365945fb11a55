"""Dagster's records: its own SQLite files, kept open and rarely synced, and runs that are deleted when they are old."""

import datetime as dt
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import coerce_resource_to_filename
from sqlalchemy import create_engine, event, text
from sqlalchemy.dialects.sqlite.base import SQLiteCompiler, SQLiteDialect
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from assets.dagster_records import event_batches, kept_engines, kept_revisions, record_files
from assets.dagster_records.record_files import OPEN_FILES
from assets.home_setup.dagster_home import open_dagster
from assets.retention import purge_runs
from assets.runs import record_runs
from pipeline.common.settings import Settings
from pipeline.extract.fetch import fetch_plants
from tests.scripted import ScriptedSma
from tests.scripted_home import make_runtime

DAYS = dg.DailyPartitionsDefinition("2021-10-01", end_date="2021-10-20")
RANGE = {
    "dagster/asset_partition_range_start": "2021-10-04",
    "dagster/asset_partition_range_end": "2021-10-06",
}
# Connections to one file at the same time.
FEW = 3
SYNCHRONOUS = {"FULL": 2, "NORMAL": 1}


@dg.asset(partitions_def=DAYS)
def raw(context: dg.AssetExecutionContext) -> None:
    for key in context.partition_keys:
        context.add_asset_metadata({"rows": int(key[-1])}, partition_key=key)


@dg.asset(partitions_def=DAYS, deps=[raw])
def made() -> None:
    pass


@dg.asset_check(asset=made)
def good() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


def do_days(instance: dg.DagsterInstance, first: str = "2021-10-04", last: str = "2021-10-06") -> str:
    tags = dict(zip(RANGE, (first, last), strict=True))
    done = dg.materialize([raw, made, good], instance=instance, tags=tags)
    assert done.success
    return done.run_id


def logs(settings: Settings) -> list[str]:
    """The write-ahead logs of the home: the last one that closes a database removes its log."""
    folder = settings.home / "dagster"
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*-wal"))


def test_the_files_stay_open_between_events_and_are_closed_in_the_end(settings: Settings) -> None:
    with open_dagster(settings) as instance:
        run = do_days(instance)
        # Dagster has closed them all.
        assert logs(settings) == [
            "history/runs.db-wal",
            f"history/runs/{run}.db-wal",
            "history/runs/index.db-wal",
            "schedules/schedules.db-wal",
        ]
    assert logs(settings) == []


@pytest.mark.long
def test_few_files_are_open_however_many_runs_are_read(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_files, "OPEN_AT_MOST", 2)
    with open_dagster(settings) as instance:
        runs = [do_days(instance) for _ in range(3)]
        counts = {len(instance.all_logs(run)) for run in runs}
        assert len(counts) == 1
        assert len(logs(settings)) == 2


def test_a_connection_that_was_interrupted_in_the_middle_of_a_statement_is_not_used_again(
    settings: Settings,
) -> None:
    with open_dagster(settings) as instance:
        engine = create_engine(f"sqlite:///{instance.root_directory}/history/runs.db", poolclass=NullPool)
        with engine.connect() as connection:
            left = connection.connection.cursor()
            left.execute("SELECT 1 UNION SELECT 2")
            assert left.fetchone() == (1,)
            interrupted = connection.connection.dbapi_connection
        # The traceback of an interrupted run still has its cursor.
        with engine.connect() as connection:
            assert connection.connection.dbapi_connection is not interrupted
        assert instance.get_runs_count() == 0


def test_dagsters_own_storage_keeps_them_and_reads_them_without_us(settings: Settings) -> None:
    with open_dagster(settings) as instance:
        do_days(instance)
    home = settings.home / "dagster"
    assert "storage:" not in (home / "dagster.yaml").read_text()
    with dg.DagsterInstance.from_config(str(home)) as instance:
        records = instance.fetch_materializations(raw.key, limit=10).records
        found = {
            r.partition_key: r.asset_materialization.metadata["rows"].value
            for r in records
            if r.asset_materialization
        }
        assert found == {"2021-10-04": 4, "2021-10-05": 5, "2021-10-06": 6}
        assert instance.get_materialized_partitions(made.key) == set(found)


@pytest.mark.long
def test_a_statement_is_compiled_once_for_all_connections(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[str] = []

    class Counting(SQLiteCompiler):
        def __init__(self, *arguments: Any, **more: Any) -> None:
            super().__init__(*arguments, **more)
            compiled.append(self.string)

    monkeypatch.setattr(SQLiteDialect, "statement_compiler", Counting)
    with open_dagster(settings) as instance:
        # An asset's first record is added, and each later one changes it.
        do_days(instance)
        do_days(instance)
        counts = []
        for last in ("2021-10-05", "2021-10-16"):
            compiled.clear()
            do_days(instance, last=last)
            counts.append(len(compiled))
    # A run's own new database has some statements of its own; more days, with more events, compile no more of them.
    assert counts[0] == counts[1], compiled


def test_many_different_statements_are_not_kept_for_ever(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_files, "STATEMENTS_AT_MOST", 3)
    with open_dagster(settings) as instance:
        run = do_days(instance)
        assert instance.get_materialized_partitions(made.key) == {
            "2021-10-04",
            "2021-10-05",
            "2021-10-06",
        }
        assert instance.get_run_by_id(run) is not None


def test_files_of_others_are_left_as_they_are(settings: Settings, tmp_path: Path) -> None:
    def synchronous(file: Path) -> int:
        engine = create_engine(f"sqlite:///{file}")
        with engine.connect() as connection:
            found = connection.execute(text("PRAGMA synchronous")).scalar_one()
        engine.dispose()
        return int(found)

    def keeps_its_dialect(file: Path) -> bool:
        engine = create_engine(f"sqlite:///{file}")
        with engine.connect() as connection:
            found = connection.dialect is engine.dialect
        engine.dispose()
        return found

    with open_dagster(settings) as instance:
        assert instance.get_runs_count() == 0
        assert not keeps_its_dialect(settings.home / "dagster" / "history" / "runs.db")
        assert keeps_its_dialect(tmp_path / "theirs.db")
        assert synchronous(settings.home / "dagster" / "history" / "runs.db") == SYNCHRONOUS["NORMAL"]
        assert synchronous(tmp_path / "theirs.db") == SYNCHRONOUS["FULL"]


@pytest.mark.long
def test_a_file_is_opened_once_for_many_events(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Path] = []
    connect = sqlite3.connect

    def counted(file: str | Path, *arguments: Any, **options: Any) -> sqlite3.Connection:
        opened.append(Path(file))
        return connect(file, *arguments, **options)

    # By this name we open files, and by that one SQLAlchemy.
    monkeypatch.setattr(sqlite3, "connect", counted)
    monkeypatch.setattr(sqlite3.dbapi2, "connect", counted)
    with open_dagster(settings) as instance:
        run = do_days(instance)
        # Dagster asks some things of a file while it writes to the same one, so there are a few of each.
        assert Counter(path.stem for path in opened)[run] <= FEW
        opened.clear()
        do_days(instance, last="2021-10-16")
        assert len(opened) <= FEW, opened


@pytest.mark.long
def test_an_engine_is_made_once_for_all_events_of_a_file(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    files: list[str] = []
    make = Engine.__init__

    def count(engine: Engine, *given: Any, **named: Any) -> None:
        make(engine, *given, **named)
        files.append(Path(engine.url.database or "").stem)

    with open_dagster(settings) as instance:
        do_days(instance)
        monkeypatch.setattr(Engine, "__init__", count)
        run = do_days(instance)
        assert (files.count("index"), files.count(run)) == (0, 1)
        # Of runs there may be any number, and the engine of one of them goes.
        monkeypatch.setattr(kept_engines, "ENGINES_AT_MOST", 1)
        events = len(instance.all_logs(run))
        assert events
        assert instance.get_materialized_partitions(made.key) == {"2021-10-04", "2021-10-05", "2021-10-06"}
        files.clear()
        assert len(instance.all_logs(run)) == events
        assert files == [run]


@pytest.fixture
def commits() -> Iterator[list[str]]:
    """The files to which this process commits, one entry a commit."""
    seen: list[str] = []

    def note(connection: Connection) -> None:
        seen.append(Path(connection.engine.url.database or "").stem)

    event.listen(Engine, "commit", note)
    yield seen
    event.remove(Engine, "commit", note)


def read_events(settings: Settings, run: str, kind: str) -> list[tuple[str, str]]:
    """Assets and days of a run's events of that kind, in the order in which the file of all runs has them."""
    found: list[list[tuple[str, str]]] = []
    for name in (run, "index"):
        with closing(sqlite3.connect(settings.home / "dagster" / "history" / "runs" / f"{name}.db")) as file:
            query = "SELECT asset_key, partition FROM event_logs WHERE run_id = ? AND dagster_event_type = ?"
            found.append(file.execute(f"{query} ORDER BY id", (run, kind)).fetchall())
    assert found[0] == found[1]
    return found[1]


def test_the_scripts_of_older_records_are_read_once_and_those_of_others_each_time(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[ScriptDirectory] = []

    def read_scripts(config: Config) -> ScriptDirectory:
        place = coerce_resource_to_filename(config.get_main_option("script_location") or "")
        read.append(ScriptDirectory(place))
        return read[-1]

    # As in a process that has opened no home yet.
    monkeypatch.setattr(ScriptDirectory, "from_config", read_scripts)
    monkeypatch.setattr(kept_revisions, "_kept", {})
    with open_dagster(settings):
        monkeypatch.setattr(event_batches, "AT_ONCE", FEW)
    config = Config()
    for place, expected in (("dagster:_core/storage/alembic", 1), (str(tmp_path), 2)):
        config.set_main_option("script_location", place)
        found = [ScriptDirectory.from_config(config) for _ in range(2)]
        assert len(set(map(id, found))) == expected
        assert len(read) == (1 if place.startswith("dagster") else 3)


@pytest.fixture
def inserts() -> Iterator[list[str]]:
    """The files to which this process adds events, one entry a statement."""
    seen: list[str] = []

    def note(connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("INSERT INTO event_logs"):
            seen.append(Path(connection.engine.url.database or "").stem)

    event.listen(Engine, "before_cursor_execute", note)
    yield seen
    event.remove(Engine, "before_cursor_execute", note)


@pytest.mark.long
def test_events_of_many_days_are_written_at_once(
    settings: Settings, commits: list[str], inserts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    days = [f"2021-10-{day:02}" for day in range(4, 17)]
    of_both = [(f'["{name}"]', day) for name in ("raw", "made") for day in days]
    with open_dagster(settings) as instance:
        counts = []
        for last in ("2021-10-05", "2021-10-16"):
            commits.clear()
            inserts.clear()
            run = do_days(instance, last=last)
            counts.append([seen.count(name) for seen in (commits, inserts) for name in (run, "index")])
        assert counts[0] == counts[1]
        # The same where there are more than one statement takes.
        monkeypatch.setattr(event_batches, "AT_ONCE", FEW)
        for each in (run, do_days(instance, last="2021-10-16")):
            assert read_events(settings, each, "ASSET_MATERIALIZATION") == of_both
            assert sorted(read_events(settings, each, "ASSET_MATERIALIZATION_PLANNED")) == sorted(of_both)
        assert instance.get_materialized_partitions(made.key) == set(days)
        # What is known of an asset is the newest day's.
        (known,) = instance.get_asset_records([raw.key])
        newest = instance.fetch_materializations(raw.key, limit=1).records[0]
        assert known.asset_entry.last_materialization_storage_id == newest.storage_id
        assert (newest.partition_key, newest.run_id) == (days[-1], each)


@pytest.mark.long
def test_a_batch_that_fails_in_its_middle_leaves_each_event_once(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_dagster(settings) as instance:
        storage = instance.event_log_storage
        store, failed = storage.store_event_batch, []

        def fail_once(events: Sequence[dg.EventLogEntry]) -> None:
            def stop(*_: object) -> None:
                raise OperationalError("disk I/O error", None, sqlite3.OperationalError())

            failed.append(len(events))
            with monkeypatch.context() as patched:
                # Their rows are in both files by then.
                patched.setattr(storage, "store_asset_event_tags", stop)
                store(events)

        monkeypatch.setattr(storage, "store_event_batch", fail_once)
        run = do_days(instance, last="2021-10-16")
        days = [f"2021-10-{day:02}" for day in range(4, 17)]
        assert max(failed) >= len(days)
        of_both = [(f'["{name}"]', day) for name in ("raw", "made") for day in days]
        assert read_events(settings, run, "ASSET_MATERIALIZATION") == of_both


@pytest.mark.long
def test_what_others_do_to_a_file_is_seen(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = settings.home / "dagster" / "history"
    with open_dagster(settings) as instance:
        do_days(instance)
        with closing(sqlite3.connect(folder / "runs.db")) as theirs, theirs:
            theirs.execute("DELETE FROM runs")
        assert instance.get_runs_count() == 0
        # Where the file was replaced, the one that was open is nobody's any more.
        with closing(sqlite3.connect(folder / "runs.db")) as theirs:
            theirs.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        copy = (folder / "runs.db").read_bytes()
        do_days(instance)
        for end in ("-wal", "-shm", ""):
            (folder / f"runs.db{end}").unlink(missing_ok=True)
        (folder / "runs.db").write_bytes(copy)
        assert instance.get_runs_count() == 0
        # A process that came by a fork opens its own.
        (resting,) = [place for place in OPEN_FILES._resting if place[1].name == "runs.db"]
        kept = list(OPEN_FILES._resting[resting])
        monkeypatch.setattr(record_files.os, "getpid", lambda: resting[0] + 1)
        assert instance.get_runs_count() == 0
        assert OPEN_FILES._resting[resting] == kept
        OPEN_FILES.close(None)
        assert OPEN_FILES._resting[resting] == kept


def test_old_runs_go_once_all_that_they_made_was_made_again(settings: Settings) -> None:
    with open_dagster(settings) as instance:
        replaced, held = do_days(instance, last="2021-10-05"), do_days(instance)
        newest = do_days(instance, last="2021-10-05")
        failed = instance.add_run(dg.DagsterRun(job_name="x", status=dg.DagsterRunStatus.FAILURE)).run_id
        going = instance.add_run(dg.DagsterRun(job_name="x", status=dg.DagsterRunStatus.STARTED)).run_id
        days = instance.get_materialized_partitions(made.key)
        now = dt.datetime.now(dt.UTC)
        assert purge_runs(instance, now - dt.timedelta(days=1)) == 0
        assert purge_runs(instance, now + dt.timedelta(days=1)) == 2
        assert {record.run_id for record in instance.get_runs()} == {held, newest, going}
        assert instance.get_materialized_partitions(made.key) == days
    files = {path.stem for path in (settings.home / "dagster" / "history" / "runs").glob("*-*.db*")}
    assert files == {held, newest}
    assert {replaced, failed} & files == set()
    with closing(sqlite3.connect(settings.home / "dagster" / "history" / "runs" / "index.db")) as index:
        assert index.execute("SELECT count(*) FROM event_logs WHERE run_id = ?", (replaced,)).fetchone() == (
            0,
        )


def test_the_success_after_a_failure_that_is_kept_stays(settings: Settings) -> None:
    with open_dagster(settings) as instance:
        # It failed, but holds the newest state of a day.
        failed = instance.get_run_by_id(do_days(instance))
        assert failed
        instance.report_run_failed(failed)
        states = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.CANCELED]
        _, newest, _ = (
            instance.add_run(dg.DagsterRun(failed.job_name, status=state)).run_id
            for state in (states[0], *states)
        )
        assert purge_runs(instance, dt.datetime.now(dt.UTC) + dt.timedelta(days=1)) == 2
        assert {run.run_id for run in instance.get_runs()} == {failed.run_id, newest}


def test_a_purge_that_is_killed_is_done_by_the_next(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_dagster(settings) as instance:
        run = do_days(instance)
        newest = do_days(instance)
        later = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
        logs = settings.home / "dagster" / "storage" / run
        assert any(logs.iterdir())
        with monkeypatch.context() as killed:
            killed.setattr(instance.event_log_storage, "delete_events", raise_killed)
            with pytest.raises(InterruptedError):
                purge_runs(instance, later)
        assert purge_runs(instance, later) == 1
        assert [record.run_id for record in instance.get_runs()] == [newest]
    home = settings.home / "dagster"
    assert not (home / "history" / "runs" / f"{run}.db").exists()
    assert not logs.exists()
    with closing(sqlite3.connect(home / "history" / "runs" / "index.db")) as index:
        counted = index.execute("SELECT count(*) FROM event_logs WHERE run_id = ?", [run])
        assert counted.fetchone() == (0,)


def raise_killed(_run: str) -> None:
    raise InterruptedError


def test_commands_delete_old_runs_once_a_day(settings: Settings, sma: ScriptedSma) -> None:
    begun = dt.datetime.now(dt.UTC)
    runtime, keep = make_runtime(settings, sma), settings.keep_runs_days

    def count_left(day: int) -> int:
        """How many runs a command of that day leaves, of one more than there are."""
        with record_runs(replace(runtime, now=lambda: begun + dt.timedelta(days=day))) as recorded:
            recorded.instance.add_run(dg.DagsterRun("made_nothing", status=dg.DagsterRunStatus.SUCCESS))
        return recorded.instance.get_runs_count()

    assert [count_left(day) for day in (keep - 1, keep + 1)] == [1, 0]
    # Somebody has looked on this day.
    assert [count_left(day) for day in (keep + 1, keep + 2)] == [1, 0]
    # An answer of SMA's says that the clock is ahead.
    fetch_plants(runtime)
    assert count_left(keep + 3) == 1
