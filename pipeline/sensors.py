"""Sensors: what Dagster does when something has happened."""

from collections.abc import Collection
from typing import Any, TypeAlias

import dagster as dg

from pipeline.run_tags import RANGE_END, RANGE_START
from pipeline.settings import Settings

PARTITION = "dagster/partition"
# What define_asset_job gives has no public name.
Job: TypeAlias = Any


def finish_partly(settings: Settings, *, fetched: Collection[str], job: Job) -> dg.SensorDefinition:
    """When a run failed to fetch some of its days: make energy of those that it fetched, by `job`.

    Dagster skips everything downstream of a failed asset, for all days of the run.
    """

    @dg.run_failure_sensor(
        name="finish_partly",
        description="After a run that failed to fetch some of its days: turns what it fetched into energy.",
        request_job=job,
        default_status=sensor_status(settings),
    )
    def sensor(context: dg.RunFailureSensorContext) -> dg.RunRequest | dg.SkipReason:
        run = context.dagster_run
        days = _days(run)
        if days is None or not _failed_steps(context) & set(fetched):
            return dg.SkipReason("Nothing was fetched that would have to be made into energy.")
        return dg.RunRequest(run_key=run.run_id, tags=dict(zip((RANGE_START, RANGE_END), days, strict=True)))

    return sensor


def sensor_status(settings: Settings) -> dg.DefaultSensorStatus:
    """Whether sensors run, unless somebody switched them in the UI."""
    return dg.DefaultSensorStatus.RUNNING if settings.schedules == "on" else dg.DefaultSensorStatus.STOPPED


def _days(run: dg.DagsterRun) -> tuple[str, str] | None:
    """First and last day of the run."""
    if PARTITION in run.tags:
        return run.tags[PARTITION], run.tags[PARTITION]
    return (run.tags[RANGE_START], run.tags[RANGE_END]) if RANGE_START in run.tags else None


def _failed_steps(context: dg.RunFailureSensorContext) -> set[str]:
    return {event.step_key for event in context.get_step_failure_events() if event.step_key}
