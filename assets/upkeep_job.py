"""The upkeep of the lake as a job and its schedule. It sends no request to SMA."""

import datetime as dt

import dagster as dg

from assets.asset_builders import convert_errors
from assets.prefix import build_name
from assets.schedules import build_job_schedule
from pipeline.common.settings import Settings
from pipeline.ops.upkeep import keep_up_lake
from pipeline.run.context import RunContext

UPKEEP_JOB = "upkeep"


def build_upkeep_job(settings: Settings) -> dg.JobDefinition:
    """The job that removes what nothing needs any more."""

    @dg.op(name=build_name(settings, "keep_up_lake"), description="Remove files that nothing needs any more.")
    def keep_up(context: dg.OpExecutionContext, sunledger_runtime: dg.ResourceParam[RunContext]) -> None:
        with convert_errors():
            outcome = keep_up_lake(sunledger_runtime, sunledger_runtime.tell)
            context.log.info(outcome.describe())
            outcome.raise_faults()

    @dg.job(
        name=build_name(settings, UPKEEP_JOB),
        executor_def=dg.in_process_executor,
        description="Remove files of the lake that were replaced over 7 days ago and that the published file does not "
        "show, entries of logs that are older than 30 days, and old answers where SUNLEDGER_KEEP_RAW_DAYS says so.",
    )
    def job() -> None:
        keep_up()

    return job


def build_upkeep_schedule(settings: Settings) -> dg.ScheduleDefinition:
    """The schedule of it, at an hour when no other one starts."""
    return build_job_schedule(
        settings,
        name=UPKEEP_JOB,
        cron="50 2 * * *",
        every=dt.timedelta(days=1),
        job=build_name(settings, UPKEEP_JOB),
        description="Daily: removes files of the lake that nothing needs any more, and old entries of its logs.",
    )
