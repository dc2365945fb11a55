"""Publication as a job of its own: in a cluster after runs that ended, on one machine after runs that did not publish.

In a cluster runs publish nothing, so no worker makes a file for itself. On one machine each run publishes at its end,
and the job is for runs that failed before or in doing so. Either way one publication runs at a time, what ends
meanwhile is published by the next one, and one that failed is tried again, with pauses that grow.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from assets.prefix import build_name
from assets.run_control.run_tags import UNFINISHED
from assets.sensors import choose_sensor_status
from pipeline.common.errors import SunledgerError
from pipeline.common.settings import Settings
from pipeline.common.text import pluralize
from pipeline.run.context import RunContext
from warehouse.published_file.publication_lag import find_lag
from warehouse.published_file.published_object import open_target

PUBLISH_JOB = "publish"
PUBLISH_INTERVAL_S = 60
# Runs of a job that are looked at: more than end in one second.
MOST_AT_ONCE = 100
FAILED = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
FINISHED = [dg.DagsterRunStatus.SUCCESS, *FAILED]
# A run that was refused at its launch, for a partition that is not a day, is not started for ten minutes, and publishes
# nothing.
AT_WORK = [status for status in UNFINISHED if status is not dg.DagsterRunStatus.NOT_STARTED]
# The pauses after a publication that failed, in minutes; further ones are as long as the last. A store that is gone for
# a night is published to in the morning, and what fails for another reason is not tried forever.
PAUSES_MIN = (1, 2, 5, 10, 20, 40, 60)
MOST_TRIES = 24
# After a run that failed, other sensors start runs that make and publish what it has fetched.
SETTLED = dt.timedelta(minutes=2)


def build_publish_job(settings: Settings, warehouse: dg.AssetsDefinition) -> Any:
    """The job that publishes, and does nothing else."""
    return dg.define_asset_job(
        build_name(settings, PUBLISH_JOB),
        selection=dg.AssetSelection.assets(warehouse),
        executor_def=dg.in_process_executor,
        description="Publish the lake.",
    )


def build_publish_sensor(
    settings: Settings, publish_job: Any, *, after: Iterable[str]
) -> dg.SensorDefinition:
    """Start the job where something is not published; its cursor says of which ended runs it was started.

    In a cluster that is once after runs of the jobs `after`.
    """
    if settings.cluster == "none":
        return _build_sensor_for_failures(settings, publish_job)
    return _build_sensor_for_ends(settings, publish_job, tuple(after))


def _build_sensor_for_ends(settings: Settings, job: Any, after: tuple[str, ...]) -> dg.SensorDefinition:
    @dg.sensor(
        name=job.name,
        job=job,
        minimum_interval_seconds=PUBLISH_INTERVAL_S,
        description="After runs that stored something: publishes the lake, one publication at a time. One that failed "
        "is tried again.",
        default_status=choose_sensor_status(settings),
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        tries = Tries.read(context.instance, job.name)
        if tries.running:
            return dg.SensorResult(
                skip_reason="Skipped, because a publication is not over yet: what ended since is published after it."
            )
        newest = _describe_newest_ends(context.instance, after, FINISHED)
        # Runs may have been purged since, so that an older one is the newest now.
        if newest > _read_cursor(context):
            return dg.SensorResult(run_requests=[dg.RunRequest(run_key=newest)], cursor=newest)
        return tries.decide_again(context) or dg.SensorResult(
            skip_reason="Skipped, because no run has ended since the last publication."
        )

    return sensor


def _build_sensor_for_failures(settings: Settings, job: Any) -> dg.SensorDefinition:
    @dg.sensor(
        name=job.name,
        job=job,
        minimum_interval_seconds=PUBLISH_INTERVAL_S,
        description="After a run that failed: publishes what it stored, unless another run has done so. A publication "
        "that failed is tried again.",
        default_status=choose_sensor_status(settings),
    )
    def sensor(
        context: dg.SensorEvaluationContext, sunledger_runtime: dg.ResourceParam[RunContext]
    ) -> dg.SensorResult:
        instance = context.instance
        tries = Tries.read(instance, job.name)
        newest = _describe_newest_ends(instance, (), FAILED, but=job.name)
        is_new = newest > _read_cursor(context)
        if not is_new and not tries.failures:
            return dg.SensorResult(
                skip_reason="Skipped, because no run has failed since the last publication: each publishes at its end."
            )
        if instance.get_runs_count(dg.RunsFilter(statuses=AT_WORK)):
            return dg.SensorResult(
                skip_reason="Skipped, because a run is at work, which publishes at its end."
            )
        if not is_new:
            return tries.decide_again(context) or dg.SensorResult()
        ended = dt.datetime.fromisoformat(newest.partition(" ")[0])
        if _read_clock() < ended + SETTLED:
            return dg.SensorResult(
                skip_reason="Skipped, because a run has just failed, and another one may publish what it has stored."
            )
        lack = _describe_unpublished(sunledger_runtime)
        if not lack:
            return dg.SensorResult(
                skip_reason="Skipped, because the published file shows all that is stored of days.",
                cursor=newest,
            )
        context.log.info(f"The published file is {lack}: it is published now.")
        return dg.SensorResult(run_requests=[dg.RunRequest(run_key=newest)], cursor=newest)

    return sensor


@dataclass(frozen=True, slots=True)
class Tries:
    """The newest publications: whether one runs, how many failed since one succeeded, and when the last one ended."""

    running: bool
    failures: int
    last_run: str = ""
    ended: dt.datetime | None = None

    @classmethod
    def read(cls, instance: dg.DagsterInstance, job: str) -> "Tries":
        """As the records of runs say. `sunledger publish` is recorded under the same name."""
        records = instance.get_run_records(dg.RunsFilter(job_name=job), limit=MOST_TRIES)
        states = [record.dagster_run.status for record in records]
        if any(state in UNFINISHED for state in states):
            return cls(running=True, failures=0)
        failures = next((n for n, state in enumerate(states) if state not in FAILED), len(states))
        if not failures:
            return cls(running=False, failures=0)
        return cls(False, failures, records[0].dagster_run.run_id, _read_utc(records[0].update_timestamp))

    def decide_again(self, context: dg.SensorEvaluationContext) -> dg.SensorResult | None:
        """Start the publication that failed last again, or say until when to wait; None where none failed."""
        if not self.failures or self.ended is None:
            return None
        count = "once" if self.failures == 1 else f"{self.failures} times in a row"
        if self.failures >= MOST_TRIES:
            return dg.SensorResult(
                skip_reason=f"Skipped, because the publication has failed {count} and is not tried again by itself "
                f"until another run has ended: open the run {self.last_run}, whose error says what to do, then run "
                "'sunledger publish'."
            )
        pause = PAUSES_MIN[min(self.failures, len(PAUSES_MIN)) - 1]
        now = _read_clock()
        # Where it ended in the future, the clock was ahead then, and nobody knows how long ago that was.
        due = now if self.ended > now else self.ended + dt.timedelta(minutes=pause)
        if now < due:
            return dg.SensorResult(
                skip_reason=f"Skipped, because the publication has failed {count} (run {self.last_run}): it is tried "
                f"again at {due:%Y-%m-%d %H:%M} UTC, {pluralize(pause, 'minute')} after it."
            )
        context.log.info(f"The publication has failed {count} (run {self.last_run}): it is tried again.")
        return dg.SensorResult(run_requests=[dg.RunRequest(run_key=f"again after {self.last_run}")])


def _describe_unpublished(runtime: RunContext) -> str:
    """What is wrong with the published file, as a clause; empty where it shows all that is stored of days."""
    settings = runtime.settings
    try:
        # A copy that this machine could not put is newer than the object that others read.
        if (target := open_target(settings, runtime.tell)) and target.fetch() is None:
            return "not there yet"
        lag = find_lag(runtime.lake, settings.warehouse)
    except (SunledgerError, OSError) as fault:
        # Whatever it is, the publication meets it too, and its run says so.
        return f"not known to be up to date ({fault})"
    return lag.describe() if lag else ""


def _describe_newest_ends(
    instance: dg.DagsterInstance, jobs: Sequence[str], statuses: list[dg.DagsterRunStatus], *, but: str = ""
) -> str:
    """When the newest of the ended runs of these jobs was last changed, in UTC, and how many were at that moment.

    Without jobs, of all but the one named `but`. Empty where there is none. A store of runs may tell seconds only, so
    that several runs have the same moment: another one of it makes the text greater. Runs that ended while the clock
    was ahead of now are left out: none that ends for a long time would be newer.
    """
    now = _read_clock()
    found = [
        _read_utc(record.update_timestamp).isoformat(timespec="microseconds")
        for job in jobs or (None,)
        for record in instance.get_run_records(
            dg.RunsFilter(job_name=job, statuses=statuses, updated_before=now),
            limit=MOST_AT_ONCE,
            order_by="update_timestamp",
        )
        if record.dagster_run.job_name != but
    ]
    newest = max(found, default="")
    return f"{newest} {found.count(newest):04}" if newest else ""


def _read_cursor(context: dg.SensorEvaluationContext) -> str:
    """What was the newest at the last publication; empty where that lies in the future, because the clock was ahead."""
    cursor = context.cursor or ""
    return "" if cursor > _read_clock().isoformat(timespec="microseconds") else cursor


def _read_utc(moment: dt.datetime) -> dt.datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def _read_clock() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
