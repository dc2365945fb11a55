"""The last runs of a backfill that died: Dagster leaves them, and the sensor `dead_runs` starts them again."""

from types import SimpleNamespace

import dagster as dg
import pytest

from assets import sensors
from assets.home_setup.dagster_home import open_dagster
from assets.run_control.run_processes import PROCESS
from assets.run_control.run_tags import BACKFILL, PLANTS, RANGE_END, RANGE_START, RETRIED_BY, WILL_RETRY
from assets.sensors import build_dead_run_sensor
from pipeline.common.settings import Settings
from pipeline.run.allowance import MAX_EUR


@dg.op
def nothing() -> None:
    pass


@dg.job
def finish() -> None:
    nothing()


def test_the_last_runs_of_a_backfill_that_died_are_started_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dagster tries no run again whose backfill is over, and sees that it is in a few seconds after the run's end."""
    days = {RANGE_START: "2021-10-05", RANGE_END: "2021-10-06"}
    died = {**days, WILL_RETRY: "true", BACKFILL: "failed", PLANTS: "7", MAX_EUR: "100", PROCESS: "1 on here"}
    states = {"failed": "COMPLETED_FAILED", "cancelled": "CANCELED", "at work": "REQUESTED"}
    with open_dagster(settings) as instance:
        monkeypatch.setattr(
            instance, "get_backfill", lambda name: SimpleNamespace(status=SimpleNamespace(value=states[name]))
        )

        def add(**tags: str) -> str:
            return instance.add_run(
                dg.DagsterRun("finish", status=dg.DagsterRunStatus.FAILURE, tags=died | tags)
            ).run_id

        left = add()
        for tags in (
            {BACKFILL: "cancelled"},
            {BACKFILL: "at work"},
            {RETRIED_BY: left},
            {WILL_RETRY: "false"},
            {RANGE_START: "berlin"},
        ):
            add(**tags)
        sensor = build_dead_run_sensor(settings, jobs=[finish])
        with dg.build_sensor_context(instance) as context:
            assert "no run was left behind" in str(sensor.evaluate_tick(context).skip_message)
            monkeypatch.setattr(sensors, "RETRIED_WITHIN_S", 0.0)
            (request,) = sensor.evaluate_tick(context).run_requests or []
    assert (request.run_key, request.job_name) == (f"again after {left}", "finish")
    # What the first try was allowed to cost is not allowed a second time.
    assert {name: request.tags.get(name) for name in died} == dict.fromkeys(died) | days | {PLANTS: "7"}
