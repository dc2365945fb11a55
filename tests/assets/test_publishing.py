"""In a cluster publication is a job of its own, after runs that ended, one at a time; elsewhere each run publishes."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets.definitions import build_definitions
from pipeline.common.errors import ConfigurationError
from pipeline.common.settings import Settings, load_settings

WAREHOUSE = dg.AssetKey("warehouse")
RUNNING_JOBS = ("energy_days", "energy_from_lake", "close_month", "close_year")


def configure(home: Path, **settings: Any) -> Settings:
    return load_settings(env_file=None, home=home, **settings)


def list_publishers(definitions: dg.Definitions) -> set[str]:
    return {
        job.name
        for job in definitions.resolve_all_job_defs()
        if not job.name.startswith("__") and WAREHOUSE in job.asset_layer.executable_asset_keys
    }


def test_no_run_of_a_cluster_publishes_but_one_job(tmp_path: Path) -> None:
    alone = list_publishers(build_definitions(configure(tmp_path)))
    assert "energy_days" in alone
    assert "publish" not in alone
    cluster = build_definitions(configure(tmp_path, cluster="celery", lake="s3://bucket/lake"))
    assert list_publishers(cluster) == {"publish"}


def test_job_follows_ended_runs_one_at_a_time(tmp_path: Path) -> None:
    definitions = build_definitions(configure(tmp_path, cluster="celery", lake="s3://bucket/lake"))
    sensor = definitions.resolve_sensor_def("publish")
    days, publish = (definitions.resolve_job_def(name) for name in ("energy_days", "publish"))
    cursor: str | None = None
    with dg.instance_for_test() as instance:

        def tick() -> int:
            nonlocal cursor
            with dg.build_sensor_context(instance=instance, cursor=cursor) as context:
                done = sensor.evaluate_tick(context)
                cursor = done.cursor or cursor
                return len(done.run_requests or ())

        def end(job: dg.JobDefinition, status: dg.DagsterRunStatus) -> None:
            instance.create_run_for_job(job, status=status)

        assert tick() == 0
        end(days, dg.DagsterRunStatus.SUCCESS)
        assert (tick(), tick()) == (1, 0)
        # A run that failed has stored the days that it fetched.
        end(days, dg.DagsterRunStatus.FAILURE)
        running = instance.create_run_for_job(publish, status=dg.DagsterRunStatus.STARTED)
        assert tick() == 0
        instance.report_run_canceled(running)
        assert (tick(), tick()) == (1, 0)


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
