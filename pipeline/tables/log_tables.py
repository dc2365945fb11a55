"""Log entries and the texts of their messages from the stored answers: logs and log_messages."""

import datetime as dt

import polars as pl

from pipeline.run.context import RunContext
from pipeline.run.step import StepResult, build_result, work_on_stable_sources
from pipeline.run.table_step import Stage, writes
from pipeline.transform import log_entries
from schemas import LogMessages, Logs, Plants, RawDeviceLogs, RawLogs


@writes(Logs, reads=(RawLogs, RawDeviceLogs, Plants), stage=Stage.DAYS)
def write_logs(runtime: RunContext, day: dt.date) -> StepResult:
    """Log entries of the day from the raw lake; calls no API."""
    part = {"local_date": day}
    places = runtime.lake.scan(Plants).select("plant_id", "timezone").collect()
    basis = runtime.settings.sma_time_basis

    def write() -> StepResult:
        columns = ["plant_id", "device_id", "fetched_at", "body"]
        batches = [
            batch
            for model in (RawLogs, RawDeviceLogs)
            for batch in runtime.lake.read_batches(model, part, columns=columns)
        ]
        if not batches:
            return build_result(runtime.lake.replace(Logs, part, [], empty=True))
        frame = log_entries.build_entries(pl.concat(batches), places, day, basis)
        return build_result(runtime.lake.replace(Logs, part, [frame], empty=True))

    return work_on_stable_sources(runtime.lake, [RawLogs, RawDeviceLogs], part, write)


@writes(LogMessages, reads=(Logs, Plants), stage=Stage.MONTHS)
def write_log_messages(runtime: RunContext) -> StepResult:
    """The dictionary of messages, from all stored log entries; calls no API."""
    plants = runtime.lake.scan(Plants).select("plant_id", "backend").collect()

    def write() -> StepResult:
        found = log_entries.build_messages(runtime.lake.scan(Logs), plants)
        written = runtime.lake.replace(LogMessages, {}, [found], empty=True)
        unique = int(found.filter(pl.col("event_id").is_not_null())["message_tag_id"].n_unique())
        return build_result(written, tags_with_event_id=unique)

    return work_on_stable_sources(runtime.lake, [Logs], {}, write)
