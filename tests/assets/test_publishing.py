"""In a cluster publication is a job of its own, after runs that ended, one at a time.

Elsewhere each run publishes, and the job does it for those that failed to.
"""

import datetime as dt
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets import publishing
from assets.definitions import build_definitions
from pipeline.common.errors import ConfigurationError
from pipeline.common.settings import Settings, load_settings
from pipeline.run.context import RunContext
from schemas import EnergyDaily
from tests.small_lake import make_frame
from warehouse.published_file.publish import publish

WAREHOUSE = dg.AssetKey("warehouse")


def configure(home: Path, **settings: Any) -> Settings:
    return load_settings(env_file=None, home=home, **settings)


def list_publishers(definitions: dg.Definitions) -> set[str]:
    return {
        job.name
        for job in definitions.resolve_all_job_defs()
        if not job.name.startswith("__") and WAREHOUSE in job.asset_layer.executable_asset_keys
    }


@pytest.mark.long
def test_no_run_of_a_cluster_publishes_but_one_job(tmp_path: Path) -> None:
    assert {"energy_days", "publish"} < list_publishers(build_definitions(configure(tmp_path)))
    cluster = build_definitions(configure(tmp_path, cluster="celery", lake="s3://bucket/lake"))
    assert list_publishers(cluster) == {"publish"}


class Ticks:
    """The sensor of the job `publish`, looked at again and again at moments of the test's choice."""

    def __init__(
        self,
        definitions: dg.Definitions,
        instance: dg.DagsterInstance,
        monkeypatch: pytest.MonkeyPatch,
        runtime: RunContext | None = None,
    ) -> None:
        self.resources = {"sunledger_runtime": runtime} if runtime else {}
        self.instance, self.monkeypatch = instance, monkeypatch
        self.sensor = definitions.resolve_sensor_def("publish")
        self.cursor: str | None = None

    def look(self, minutes: float = 0) -> str:
        """The key of the run that it starts so much later than now, or why it starts none."""
        moment = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=minutes)
        self.monkeypatch.setattr(publishing, "_read_clock", lambda: moment)
        with dg.build_sensor_context(self.instance, cursor=self.cursor, resources=self.resources) as context:
            done = self.sensor.evaluate_tick(context)
        self.cursor = done.cursor or self.cursor
        return str(done.run_requests[0].run_key) if done.run_requests else str(done.skip_message)

    def add(self, job: str, status: dg.DagsterRunStatus) -> dg.DagsterRun:
        """Record a run that nobody did."""
        return self.instance.add_run(dg.DagsterRun(job_name=job, status=status))

    def date(self, run: dg.DagsterRun, minutes: float) -> None:
        """Record that the run ended so much later than now."""
        moment = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=minutes)
        with (
            closing(sqlite3.connect(Path(self.instance.root_directory, "history", "runs.db"))) as records,
            records,
        ):
            changed = records.execute(
                "UPDATE runs SET update_timestamp = ? WHERE run_id = ?",
                (moment.strftime("%Y-%m-%d %H:%M:%S.%f"), run.run_id),
            )
            assert changed.rowcount == 1


@pytest.fixture
def ticks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ticks]:
    """The sensor of a cluster, which has recorded no run."""
    definitions = build_definitions(configure(tmp_path, cluster="celery", lake="s3://bucket/lake"))
    with dg.instance_for_test() as instance:
        yield Ticks(definitions, instance, monkeypatch)


@pytest.mark.long
def test_job_follows_ended_runs_one_at_a_time(ticks: Ticks) -> None:
    assert "no run has ended" in ticks.look()
    ticks.add("energy_days", dg.DagsterRunStatus.SUCCESS)
    assert ticks.look().startswith("20")
    assert "no run has ended" in ticks.look()
    # A run that failed has stored the days that it fetched.
    ticks.add("energy_days", dg.DagsterRunStatus.FAILURE)
    running = ticks.add("publish", dg.DagsterRunStatus.STARTED)
    assert "a publication is not over yet" in ticks.look()
    ticks.instance.report_run_canceled(running)
    assert ticks.look().startswith("20")


@pytest.mark.long
def test_publication_that_failed_is_tried_again_with_growing_pauses(
    ticks: Ticks, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks.add("energy_days", dg.DagsterRunStatus.SUCCESS)
    ticks.look()
    seen = set()
    monkeypatch.setattr(publishing, "MOST_TRIES", 9)
    for n, pause in enumerate([1, 2, 5, 10, 20, 40, 60, 60], 1):
        # The run of a worker that died is canceled at times.
        ticks.add("publish", [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED][n % 2])
        said = ticks.look(pause - 0.5)
        assert f"failed {'once' if n == 1 else f'{n} times in a row'}" in said
        assert f"{pause} minute" in said
        found = ticks.look(pause + 0.5)
        assert found.startswith("again after ")
        seen.add(found)
    # Dagster starts no run whose key it has seen.
    assert len(seen) == n
    ticks.add("publish", dg.DagsterRunStatus.FAILURE)
    assert "not tried again by itself until another run has ended" in ticks.look(6000)
    ticks.add("energy_days", dg.DagsterRunStatus.SUCCESS)
    assert ticks.look().startswith("20")
    ticks.add("publish", dg.DagsterRunStatus.SUCCESS)
    assert "no run has ended since" in ticks.look(6000)


def store_day(runtime: RunContext, plant: str) -> None:
    day = dt.date(2021, 10, 1)
    frame = make_frame(EnergyDaily, [{"plant_id": plant, "local_date": day}])
    runtime.lake.replace(EnergyDaily, {"local_date": day}, [frame])


@pytest.mark.long
def test_run_of_one_machine_that_failed_to_publish_is_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new_runtime: Callable[..., RunContext]
) -> None:
    with new_runtime() as runtime, dg.instance_for_test() as instance:
        ticks = Ticks(build_definitions(runtime.settings, runtime), instance, monkeypatch, runtime)
        assert "no run has failed" in ticks.look()
        store_day(runtime, "1")
        publish(runtime.lake, runtime.settings.warehouse, now=runtime.now(), version="1")
        # It failed before it stored anything, or another run has published since.
        ticks.add("energy_days", dg.DagsterRunStatus.FAILURE)
        assert "has just failed" in ticks.look()
        assert "shows all that is stored" in ticks.look(5)
        assert "no run has failed" in ticks.look(5)
        store_day(runtime, "2")
        ticks.add("energy_days", dg.DagsterRunStatus.CANCELED)
        running = ticks.add("energy_days", dg.DagsterRunStatus.STARTED)
        assert "a run is at work" in ticks.look(5)
        instance.report_run_failed(running)
        # The page has refused to launch it.
        ticks.add("energy_days", dg.DagsterRunStatus.NOT_STARTED)
        assert ticks.look(5).startswith("20")
        ticks.add("publish", dg.DagsterRunStatus.FAILURE)
        assert "failed once" in ticks.look()
        assert ticks.look(2).startswith("again after ")
        ticks.add("publish", dg.DagsterRunStatus.SUCCESS)
        assert "no run has failed" in ticks.look(60)


YEAR = 365 * 24 * 60.0


@pytest.mark.long
def test_runs_that_ended_while_the_clock_was_ahead_keep_none_from_being_published(ticks: Ticks) -> None:
    ticks.add("energy_days", dg.DagsterRunStatus.SUCCESS)
    # A year ahead of when both were recorded, the clock is what was right and is set back now.
    failed = ticks.add("publish", dg.DagsterRunStatus.FAILURE)
    assert ticks.look(-YEAR) == f"again after {failed.run_id}"
    assert ticks.look().startswith("20")
    ticks.add("publish", dg.DagsterRunStatus.SUCCESS)
    assert "no run has ended" in ticks.look(-YEAR)
    assert ticks.cursor
    behind = ticks.add("energy_days", dg.DagsterRunStatus.SUCCESS)
    ticks.date(behind, -YEAR)
    assert ticks.look(-YEAR + 1).startswith("20")
    assert "no run has ended" in ticks.look(-YEAR + 1)


def test_a_failure_while_the_clock_was_ahead_hides_no_later_one(
    monkeypatch: pytest.MonkeyPatch, new_runtime: Callable[..., RunContext]
) -> None:
    with new_runtime() as runtime, dg.instance_for_test() as instance:
        ticks = Ticks(build_definitions(runtime.settings, runtime), instance, monkeypatch, runtime)
        ticks.add("energy_days", dg.DagsterRunStatus.FAILURE)
        assert "no run has failed" in ticks.look(-YEAR)
        assert "shows all that is stored" in ticks.look(5)
        store_day(runtime, "1")
        ticks.date(ticks.add("energy_days", dg.DagsterRunStatus.FAILURE), -YEAR)
        assert ticks.look(-YEAR + 5).startswith("20")


@pytest.mark.parametrize(
    ("settings", "target", "file"),
    [
        ({}, None, "home/sunledger.duckdb"),
        ({"publish_target": "share"}, None, "share/sunledger.duckdb"),
        ({"publish_target": "s3://b/x/fleet.duckdb"}, "s3://b/x/fleet.duckdb", "home/sunledger.duckdb"),
        ({"cluster": "celery"}, "s3://bucket/lake/_published/sunledger.duckdb", "home/sunledger.duckdb"),
        ({"cluster": "celery", "publish_target": "share"}, None, "share/sunledger.duckdb"),
    ],
)
def test_target_is_an_object_or_a_file(
    settings: dict[str, Any], target: str | None, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = configure(tmp_path / "home", lake="s3://bucket/lake", **settings)
    assert (found.published_object, found.warehouse) == (target, tmp_path / file)
    assert found.published_place == (target or str(tmp_path / file))


def test_target_that_is_neither_is_refused(tmp_path: Path) -> None:
    for wrong in ("s3://bucket/folder", "https://host/x.duckdb", "s3:///x.duckdb"):
        with pytest.raises(ConfigurationError, match=r"neither a folder nor s3://bucket/prefix/name\.duckdb"):
            configure(tmp_path, publish_target=wrong)
