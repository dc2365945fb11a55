"""Sensors: Dagster's reactions to events."""

import datetime as dt
import json
from collections.abc import Collection, Iterator, Sequence
from typing import Any, TypeAlias

import dagster as dg

from assets.asset_builders import find_failed_days
from assets.prefix import build_name, build_step_key
from assets.retention import purge_runs
from assets.run_control.dead_runs import end_dead_runs
from assets.run_control.pool_waits import describe_ended_run
from assets.run_control.run_tags import (
    BACKFILL,
    PARENT,
    RANGE_END,
    RANGE_START,
    RETRIED_BY,
    SCHEDULE,
    SCOPE,
    SHARD,
    TICK,
    UNFINISHED,
    WILL_RETRY,
)
from pipeline.common.day_availability import join_days, list_days
from pipeline.common.errors import SunledgerError
from pipeline.common.local_time import ONE_DAY
from pipeline.common.settings import Settings
from pipeline.ops import alert_conditions
from pipeline.ops.alerts import Concern, build_channels, read_told, tell
from pipeline.ops.set_aside import delete_outdated
from pipeline.run.context import RunContext
from pipeline.run.fleet_lists.stored_lists import find_confirmed_time
from pipeline.run.measurement_sets import BALANCE
from schemas import storage

PARTITION = "dagster/partition"
# The answers from which a day's energy is made.
DECISIVE = storage(BALANCE.raw).table
# Dagster's state of a backfill that is over and of which a run failed. Its type has no public name.
ENDED_BY_FAILURE = "COMPLETED_FAILED"
# Within this time after a run's end Dagster tries it again, if it does. It looks every five seconds.
RETRIED_WITHIN_S = 120.0
ALERT_INTERVAL_S, RETENTION_INTERVAL_S, DEAD_RUNS_INTERVAL_S = 300, 3600, 60
# What define_asset_job gives has no public name.
Job: TypeAlias = Any


def build_finishing_sensor(settings: Settings, *, fetched: Collection[str], job: Job) -> dg.SensorDefinition:
    """When a run failed to fetch some of its days: make energy of those that it fetched, by `job`.

    Dagster skips everything downstream of a failed asset, for all days of the run. Days whose energy was not fetched
    are left out: made of nothing, they would look done.
    """

    @dg.run_failure_sensor(
        name=build_name(settings, "finish_partly"),
        description="After a run that could not fetch some of its days: turns the fetched days into energy.",
        request_job=job,
        default_status=choose_sensor_status(settings),
    )
    def sensor(context: dg.RunFailureSensorContext) -> list[dg.RunRequest] | dg.SkipReason:
        run = context.dagster_run
        failures = {event.step_key: event for event in context.get_step_failure_events()}
        days = _list_days(run)
        if SHARD in run.tags:
            return dg.SkipReason("Skipped, because the last shard of these days has them made.")
        if not days or not failures.keys() & set(fetched):
            return dg.SkipReason("Skipped, because no failed run has fetched days that lack their energy.")
        left = set(days) - find_failed_days(failures.get(build_step_key(settings, DECISIVE)))
        return [
            dg.RunRequest(
                run_key=f"{run.run_id} {first}",
                tags={RANGE_START: first.isoformat(), RANGE_END: last.isoformat()},
            )
            for first, last in join_days(left, len(days))
        ] or dg.SkipReason("Skipped, because the run has fetched none of its days.")

    return sensor


def build_shard_sensors(settings: Settings, *, job: Job) -> Iterator[dg.SensorDefinition]:
    """When the last shard of some days has ended, well or not: make energy of what was fetched, by `job`."""
    facts: dict[str, Any] = {"request_job": job, "default_status": choose_sensor_status(settings)}

    @dg.run_status_sensor(
        run_status=dg.DagsterRunStatus.SUCCESS,
        name=build_name(settings, "finish_shards"),
        description="After the last run of the shards of some days: turns the fetched days into energy.",
        **facts,
    )
    def finish_shards(context: dg.RunStatusSensorContext) -> dg.RunRequest | dg.SkipReason:
        return _request_days_of_shards(context)

    @dg.run_failure_sensor(
        name=build_name(settings, "finish_failed_shards"),
        description="After the last run of the shards of some days, where it failed: turns what the others have "
        "fetched into energy.",
        **facts,
    )
    def finish_failed_shards(context: dg.RunFailureSensorContext) -> dg.RunRequest | dg.SkipReason:
        return _request_days_of_shards(context)

    yield from (finish_shards, finish_failed_shards)


def _request_days_of_shards(context: dg.RunStatusSensorContext) -> dg.RunRequest | dg.SkipReason:
    run = context.dagster_run
    if SHARD not in run.tags or RANGE_START not in run.tags:
        return dg.SkipReason("Skipped, because the run is none of a shard.")
    if run.tags.get(WILL_RETRY) == "true":
        return dg.SkipReason("Skipped, because the run is tried again by itself.")
    days = {name: run.tags[name] for name in (RANGE_START, RANGE_END)}
    of_tick = {name: run.tags[name] for name in (SCHEDULE, TICK) if name in run.tags}
    records = context.instance.get_run_records(dg.RunsFilter(tags={**days, **of_tick}))
    shards = [record for record in records if SHARD in record.dagster_run.tags]
    tried_again = {one.dagster_run.tags.get(PARENT) for one in shards}
    going = sorted(
        other.tags[SHARD]
        for other in (one.dagster_run for one in shards)
        if other.status in UNFINISHED
        or (other.tags.get(WILL_RETRY) == "true" and other.run_id not in tried_again)
    )
    if going:
        return dg.SkipReason(f"Skipped, because shards of these days are still fetched: {', '.join(going)}.")
    if not any(one.dagster_run.status == dg.DagsterRunStatus.SUCCESS for one in shards):
        return dg.SkipReason("Skipped, because no shard has fetched these days.")
    last = max(shards, key=lambda one: (one.end_time or 0.0, one.dagster_run.run_id)).dagster_run
    if last.run_id != run.run_id:
        return dg.SkipReason("Skipped, because another shard of these days ended later and asks for it.")
    # A shard that is done again later asks again, by a key of its own.
    return dg.RunRequest(run_key=run.run_id, tags=days)


def build_alert_sensor(settings: Settings, *, jobs: Collection[str]) -> dg.SensorDefinition:
    """Send people alerts, by the channels of the settings. The cursor of the sensor holds what was sent.

    Dagster's page lets people write a cursor of their own. One that can't be read says nothing, so all is sent again.
    """

    @dg.sensor(
        name=build_name(settings, "alerts"),
        minimum_interval_seconds=ALERT_INTERVAL_S,
        description="Sends an alert by mail and webhooks once for each problem, and a message when it is resolved.",
        default_status=choose_sensor_status(settings),
    )
    def sensor(
        context: dg.SensorEvaluationContext, sunledger_runtime: dg.ResourceParam[RunContext]
    ) -> dg.SensorResult:
        found = build_channels(settings)
        if not found:
            return dg.SensorResult(
                skip_reason="Skipped, because no channel is set: see SUNLEDGER_ALERT_... in docs/settings.md."
            )
        concerns = [
            *alert_conditions.collect_concerns(sunledger_runtime),
            *_list_failed_jobs(context.instance, jobs),
        ]
        told, faults = tell(read_told(context.cursor or ""), concerns, found)
        reason = "; ".join(faults) or f"Skipped, because all {len(concerns)} problems were reported before."
        return dg.SensorResult(skip_reason=reason, cursor=json.dumps(told, sort_keys=True))

    return sensor


def build_retention_sensor(settings: Settings) -> dg.SensorDefinition:
    """Delete old runs that are no longer needed, and what repairs set aside long ago."""

    @dg.sensor(
        name=build_name(settings, "retention"),
        minimum_interval_seconds=RETENTION_INTERVAL_S,
        description=f"Deletes runs older than {settings.keep_runs_days} days whose partitions were all materialized "
        f"again since, and what repairs set aside more than {settings.keep_set_aside_days} days ago.",
        default_status=choose_sensor_status(settings),
    )
    def sensor(
        context: dg.SensorEvaluationContext, sunledger_runtime: dg.ResourceParam[RunContext]
    ) -> dg.SkipReason:
        try:
            now = find_confirmed_time(sunledger_runtime.lake, sunledger_runtime.now())
        except SunledgerError as error:
            return dg.SkipReason(f"Nothing was deleted. {error}")
        before = now - settings.keep_runs_days * ONE_DAY
        aside = "".join(f" Set aside: {text}" for text in delete_outdated(settings, now))
        return dg.SkipReason(
            f"Deleted {purge_runs(context.instance, before)} runs from before {before:%Y-%m-%d}.{aside}"
        )

    return sensor


def build_dead_run_sensor(settings: Settings, *, jobs: Sequence[Job]) -> dg.SensorDefinition:
    """End runs whose process has died, and free their slots of pools. It always runs.

    Dagster tries such a run again by itself, unless its backfill was found to be over before: then it is started again
    here, where it is one of the `jobs`.
    """

    @dg.sensor(
        name=build_name(settings, "dead_runs"),
        jobs=jobs,
        minimum_interval_seconds=DEAD_RUNS_INTERVAL_S,
        description="Ends runs whose process has died, including runs of commands, and frees their slots of pools. The "
        "last runs of a backfill, which Dagster does not try again, are started again.",
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def sensor(context: dg.SensorEvaluationContext) -> list[dg.RunRequest] | dg.SkipReason:
        dead = [describe_ended_run(one) for one in end_dead_runs(context.instance)]
        left = [request for job in jobs for request in _request_left_days(context.instance, job.name)]
        return left or dg.SkipReason(" ".join(dead) or "Skipped, because no run was left behind.")

    return sensor


def _request_left_days(instance: dg.DagsterInstance, job: str) -> Iterator[dg.RunRequest]:
    """Runs in the place of those that should be tried again, and are not because their backfill is over.

    They ask for what is missing, and may cost no more than the first try has agreed to, as any other try.
    """
    now = dt.datetime.now(dt.UTC)
    found = dg.RunsFilter(
        job_name=job,
        statuses=[dg.DagsterRunStatus.FAILURE],
        tags={WILL_RETRY: "true"},
        updated_after=now - ONE_DAY,
    )
    for record in instance.get_run_records(found):
        run, ended = record.dagster_run, record.end_time or now.timestamp()
        days = _list_days(run)
        if not days or RETRIED_BY in run.tags or ended > now.timestamp() - RETRIED_WITHIN_S:
            continue
        backfill = instance.get_backfill(run.tags[BACKFILL]) if BACKFILL in run.tags else None
        if backfill is not None and backfill.status.value == ENDED_BY_FAILURE:
            yield dg.RunRequest(
                run_key=f"again after {run.run_id}",
                job_name=job,
                tags={
                    **{name: value for name, value in run.tags.items() if name in SCOPE},
                    RANGE_START: days[0].isoformat(),
                    RANGE_END: days[-1].isoformat(),
                },
            )


def _list_failed_jobs(instance: dg.DagsterInstance, jobs: Collection[str]) -> Iterator[Concern]:
    """The jobs whose newest finished run failed."""
    finished = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]
    for job in sorted(jobs):
        runs = instance.get_runs(dg.RunsFilter(job_name=job, statuses=finished), limit=1)
        if runs and runs[0].status is dg.DagsterRunStatus.FAILURE:
            text = (
                f"The newest run of {job} failed ({runs[0].run_id}): open it under Runs in the UI, where its first "
                "failed step says what to do. Its finished days are stored, and missing days are retried "
                "automatically."
            )
            yield Concern(f"run:{job}", f"{job} failed", text)


def choose_sensor_status(settings: Settings) -> dg.DefaultSensorStatus:
    """Whether sensors run, unless somebody switched them in the UI."""
    return dg.DefaultSensorStatus.RUNNING if settings.schedules == "on" else dg.DefaultSensorStatus.STOPPED


def _list_days(run: dg.DagsterRun) -> list[dt.date]:
    """The days of the run; none where its partitions are no days, as those of other assets of a project.

    An error here would stop the sensor for good: of several failed runs Dagster takes no answer beside an error, and
    asks for the same ones again.
    """
    ends = (PARTITION, PARTITION) if PARTITION in run.tags else (RANGE_START, RANGE_END)
    try:
        first, last = (dt.date.fromisoformat(run.tags[end]) for end in ends)
    except (KeyError, ValueError):
        return []
    return list_days(first, last)
