"""Sensors: what Dagster does when something has happened."""

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, TypeAlias

import dagster as dg

from pipeline import steps
from pipeline.alerts import Channel, Concern, channels, tell
from pipeline.run_tags import RANGE_END, RANGE_START
from pipeline.runtime import Runtime
from pipeline.settings import Settings

PARTITION = "dagster/partition"
ALERT_INTERVAL_S = 300
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


def alerts(
    settings: Settings, *, jobs: Collection[str], of: Callable[[Settings], Mapping[str, Channel]] = channels
) -> dg.SensorDefinition:
    """Tell people what concerns them, by the channels of the settings; what was told is the sensor's cursor."""

    @dg.sensor(
        name="alerts",
        minimum_interval_seconds=ALERT_INTERVAL_S,
        description="Tells by mail and webhooks what a person should know, once, and when it is good again.",
        default_status=sensor_status(settings),
    )
    def sensor(context: dg.SensorEvaluationContext, runtime: dg.ResourceParam[Runtime]) -> dg.SensorResult:
        found = of(settings)
        if not found:
            return dg.SensorResult(
                skip_reason="No channel is set: see SUNLEDGER_ALERT_... in docs/settings.md."
            )
        concerns = [*steps.concerns(runtime), *_failed_jobs(context.instance, jobs)]
        told, faults = tell(json.loads(context.cursor or "{}"), concerns, found)
        reason = "; ".join(faults) or f"{len(concerns)} concerns, all told."
        return dg.SensorResult(skip_reason=reason, cursor=json.dumps(told, sort_keys=True))

    return sensor


def _failed_jobs(instance: dg.DagsterInstance, jobs: Collection[str]) -> Iterator[Concern]:
    """The jobs whose newest finished run failed."""
    finished = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]
    for job in sorted(jobs):
        runs = instance.get_runs(dg.RunsFilter(job_name=job, statuses=finished), limit=1)
        if runs and runs[0].status is dg.DagsterRunStatus.FAILURE:
            text = (
                f"The newest run of {job} failed ({runs[0].run_id}): open it under Runs in the UI, its first red step "
                f"says what to do. Days that it did are stored; missing ones are tried again by themselves."
            )
            yield Concern(f"run:{job}", f"{job} failed", text)


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
