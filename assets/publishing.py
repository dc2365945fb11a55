"""Publication as a job of its own, in a cluster: its runs publish nothing, so no worker makes a file for itself.

The job is started after runs that may have stored something, one at a time. What ends while it runs is published by the
next one.
"""

from collections.abc import Iterable
from typing import Any

import dagster as dg

from assets.prefix import build_name
from assets.run_tags import UNFINISHED
from assets.sensors import choose_sensor_status
from pipeline.common.settings import Settings

PUBLISH_JOB = "publish"
PUBLISH_INTERVAL_S = 60
# Runs of a job that are looked at: more than end in one second.
MOST_AT_ONCE = 100
FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


def build_publish_job(settings: Settings, warehouse: dg.AssetsDefinition) -> list[Any]:
    """The job that publishes; none where each run does so on one machine."""
    if settings.cluster == "none":
        return []
    return [
        dg.define_asset_job(
            build_name(settings, PUBLISH_JOB),
            selection=dg.AssetSelection.assets(warehouse),
            executor_def=dg.in_process_executor,
            description="Publish the lake to the one target that all machines read.",
        )
    ]


def build_publish_sensor(
    settings: Settings, publish_jobs: Iterable[Any], *, after: Iterable[str]
) -> list[dg.SensorDefinition]:
    """Start the job once after runs of the jobs `after`; its cursor says which of them are published."""
    return [_build_sensor(settings, job, tuple(after)) for job in publish_jobs]


def _build_sensor(settings: Settings, job: Any, after: tuple[str, ...]) -> dg.SensorDefinition:
    @dg.sensor(
        name=job.name,
        job=job,
        minimum_interval_seconds=PUBLISH_INTERVAL_S,
        description="After runs that stored something: publishes the lake, one publication at a time.",
        default_status=choose_sensor_status(settings),
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        if context.instance.get_runs_count(dg.RunsFilter(job_name=job.name, statuses=UNFINISHED)):
            return dg.SensorResult(
                skip_reason="Skipped, because a publication is not over yet: what ended since is published after it."
            )
        newest = _describe_newest_ends(context.instance, after)
        # Runs may have been purged since, so that an older one is the newest now.
        if newest <= (context.cursor or ""):
            return dg.SensorResult(
                skip_reason="Skipped, because no run has ended since the last publication."
            )
        return dg.SensorResult(run_requests=[dg.RunRequest(run_key=newest)], cursor=newest)

    return sensor


def _describe_newest_ends(instance: dg.DagsterInstance, jobs: Iterable[str]) -> str:
    """When the newest of the ended runs of these jobs was last changed, in UTC, and how many were at that moment.

    Empty where there is none. A store of runs may tell seconds only, so that several runs have the same moment: another
    one of it makes the text greater.
    """
    found = [
        record.update_timestamp.isoformat(timespec="microseconds")
        for job in jobs
        for record in instance.get_run_records(
            dg.RunsFilter(job_name=job, statuses=FINISHED), limit=MOST_AT_ONCE, order_by="update_timestamp"
        )
    ]
    newest = max(found, default="")
    return f"{newest} {found.count(newest):04}" if newest else ""
