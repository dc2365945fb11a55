"""Dagster's records as we keep them: the same rows in the same files as its own storage writes, and both read both."""

import datetime as dt
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets.dagster_home import open_dagster
from assets.retention import purge_runs
from pipeline import records
from pipeline.common.settings import Settings

DAYS = dg.DailyPartitionsDefinition("2021-10-01", end_date="2021-10-20")
RANGE = {
    "dagster/asset_partition_range_start": "2021-10-04",
    "dagster/asset_partition_range_end": "2021-10-06",
}
Open = Callable[[Path], dg.DagsterInstance]


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


def by_dagster(home: Path) -> dg.DagsterInstance:
    home.mkdir(exist_ok=True)
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    return dg.DagsterInstance.from_config(str(home))


def by_us(home: Path) -> dg.DagsterInstance:
    home.mkdir(exist_ok=True)
    storage = f"{{module: pipeline.records, class: Records, config: {{base_dir: '{home}'}}}}"
    (home / "dagster.yaml").write_text(f"telemetry: {{enabled: false}}\nstorage: {{custom: {storage}}}\n")
    return dg.DagsterInstance.from_config(str(home))


def do_days(instance: dg.DagsterInstance) -> None:
    with instance:
        assert dg.materialize([raw, made, good], instance=instance, tags=RANGE).success


def rows(home: Path) -> dict[str, list[Any]]:
    """What tells one history from another: not ids of runs, times, or in which order equal assets were planned."""
    wanted = {
        "event_logs": "dagster_event_type, step_key, asset_key, partition",
        "asset_keys": "asset_key, last_materialization IS NULL, last_run_id IS NULL, asset_details",
        "asset_event_tags": "asset_key, key",
        "asset_check_executions": "asset_key, check_name, partition, execution_status",
    }
    with sqlite3.connect(home / "history" / "runs" / "index.db") as index:
        found = {
            name: sorted(index.execute(f"SELECT {of} FROM {name}"), key=repr) for name, of in wanted.items()
        }
    for file in (home / "history" / "runs").glob("*-*.db"):
        with sqlite3.connect(file) as run:
            found["run"] = sorted(run.execute(f"SELECT {wanted['event_logs']} FROM event_logs"), key=repr)
    return found


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "1000")


@pytest.mark.usefixtures("batches")
def test_the_rows_are_those_of_dagsters_own_storage(tmp_path: Path) -> None:
    do_days(by_dagster(tmp_path / "theirs"))
    do_days(by_us(tmp_path / "ours"))
    theirs, ours = rows(tmp_path / "theirs"), rows(tmp_path / "ours")
    assert len(theirs["run"]) > len(theirs["event_logs"]) > 12
    assert ours == theirs


@pytest.mark.usefixtures("batches")
@pytest.mark.parametrize(("writer", "reader"), [(by_dagster, by_us), (by_us, by_dagster)])
def test_each_reads_what_the_other_wrote(writer: Open, reader: Open, tmp_path: Path) -> None:
    do_days(writer(tmp_path / "home"))
    with reader(tmp_path / "home") as instance:
        records = instance.fetch_materializations(raw.key, limit=10).records
        found = {
            r.partition_key: r.asset_materialization.metadata["rows"].value
            for r in records
            if r.asset_materialization
        }
        assert found == {"2021-10-04": 4, "2021-10-05": 5, "2021-10-06": 6}
        assert instance.get_materialized_partitions(made.key) == set(found)
        newest = instance.get_latest_materialization_event(made.key)
        assert newest
        assert newest.dagster_event
        assert newest.dagster_event.partition == "2021-10-06"


@pytest.mark.usefixtures("batches")
def test_few_databases_are_open_however_many_runs_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "OPEN_AT_MOST", 2)
    for _ in range(3):
        do_days(by_us(tmp_path))
    with by_us(tmp_path) as instance:
        storage = instance.event_log_storage
        assert isinstance(storage, records.EventLog)
        counts = [len(instance.all_logs(run.run_id)) for run in instance.get_runs()]
        assert len(set(counts)) == 1
        assert len(storage._open) == 2
    assert not storage._open


def test_a_new_home_keeps_them_so_and_batches_are_on(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DAGSTER_EVENT_BATCH_SIZE", raising=False)
    with open_dagster(settings) as instance:
        assert isinstance(instance.event_log_storage, records.EventLog)
        assert isinstance(instance.run_storage, records.RunLog)
        do_days(instance)
    assert (settings.home / "dagster" / "history" / "runs" / "index.db").is_file()


def test_old_runs_go_once_all_that_they_made_was_made_again(settings: Settings) -> None:
    def run(first: str, last: str) -> str:
        tags = dict(zip(RANGE, (first, last), strict=True))
        return dg.materialize([raw, made, good], instance=instance, tags=tags).run_id

    with open_dagster(settings) as instance:
        replaced, held = run("2021-10-04", "2021-10-05"), run("2021-10-04", "2021-10-06")
        newest = run("2021-10-04", "2021-10-05")
        failed = instance.add_run(dg.DagsterRun(job_name="x", status=dg.DagsterRunStatus.FAILURE)).run_id
        going = instance.add_run(dg.DagsterRun(job_name="x", status=dg.DagsterRunStatus.STARTED)).run_id
        days = instance.get_materialized_partitions(made.key)
        now = dt.datetime.now(dt.UTC)
        assert purge_runs(instance, now - dt.timedelta(days=1)) == 0
        assert purge_runs(instance, now + dt.timedelta(days=1)) == 2
        assert {record.run_id for record in instance.get_runs()} == {held, newest, going}
        assert instance.get_materialized_partitions(made.key) == days
        files = {path.stem for path in (settings.home / "dagster" / "history" / "runs").glob("*-*.db")}
    assert files == {held, newest}
    assert {replaced, failed} & files == set()
