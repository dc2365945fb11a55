"""Log entries and the texts of their messages from the stored answers: logs and log_messages."""

import datetime as dt

import polars as pl

from pipeline.run.context import RunContext
from pipeline.run.notices import Notices
from pipeline.run.step import build_quarantine_part, quarantine
from pipeline.run.step_result import StepResult, build_result
from pipeline.run.table_step import Stage, writes
from pipeline.transform import log_entries
from pipeline.transform.batch_account import build_quarantine
from pipeline.transform.lists.broken_lists import find_odd_parts
from pipeline.transform.row_rules import BROKEN_ENTRY
from schemas import LogMessages, Logs, Plants, Quarantine, RawDeviceLogs, RawLogs


@writes(Logs, reads=(RawLogs, RawDeviceLogs, Plants), stage=Stage.DAYS, beside=(Quarantine,))
def write_logs(runtime: RunContext, day: dt.date) -> StepResult:
    """Log entries of the day from the raw lake; calls no API."""
    part = {"local_date": day}
    places = runtime.lake.read_whole(Plants).select("plant_id", "timezone")
    basis = runtime.settings.sma_time_basis
    columns = ["plant_id", "device_id", "fetched_at", "body"]
    batches = [
        batch
        for model in (RawLogs, RawDeviceLogs)
        for batch in runtime.lake.read_batches(model, part, columns=columns)
    ]
    if not batches:
        return build_result(runtime.lake.replace(Logs, part, [], empty=True))
    answers = pl.concat(batches)
    frame = log_entries.build_entries(answers, places, day, basis)
    odd = _quarantine_odd(runtime, day, answers)
    written = runtime.lake.replace(Logs, part, [frame], empty=True)
    return build_result(written, Notices.of(odd_facts=odd), odd_facts=odd)


def _quarantine_odd(runtime: RunContext, day: dt.date, answers: pl.DataFrame) -> int:
    """Set aside what of these logs could not be read, and return how much it is."""
    odd = find_odd_parts(answers, "logs").drop("entry_id").with_columns(reason=pl.lit(BROKEN_ENTRY))
    # Hardly any day has such a log, and a day that had none has nothing to replace.
    if odd.height or runtime.lake.take_snapshot(Quarantine, build_quarantine_part(Logs, day)).files:
        rows = [
            build_quarantine(odd.filter(kept=kept).drop("kept"), "value", Logs, day, kept=kept)
            for kept in (False, True)
        ]
        quarantine(runtime, Logs, day, pl.concat(rows))
    return odd.height


@writes(LogMessages, reads=(Logs, Plants), stage=Stage.MONTHS)
def write_log_messages(runtime: RunContext) -> StepResult:
    """The dictionary of messages, from all stored log entries; calls no API."""
    plants = runtime.lake.read_whole(Plants).select("plant_id", "backend")
    found = log_entries.build_messages(runtime.lake.scan(Logs), plants)
    written = runtime.lake.replace(LogMessages, {}, [found], empty=True)
    unique = int(found.filter(pl.col("event_id").is_not_null())["message_tag_id"].n_unique())
    return build_result(written, tags_with_event_id=unique)
