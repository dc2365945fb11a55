"""What every step works with: the parts of tables, the quarantine, and sources that hold still."""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import polars as pl

from pipeline.run.context import RunContext
from pipeline.run.shards import MOST_SHARDS
from schemas import Quarantine, Table, storage
from schemas.quantities import SetSource
from warehouse.lake import Lake, Part
from warehouse.lake_holds import PartChangedError, hold_parts

T = TypeVar("T")
# How often a step starts over because other runs wrote the same: each shard of a fleet may do so.
CONFLICT_ATTEMPTS = MOST_SHARDS
# Why an answer is set aside before it is read.
REQUEST_FAILED = "request_failed"
EMPTY_NOW = "empty_now"
NOT_LISTED = "not_listed"


def quarantine(
    runtime: RunContext,
    model: type[Table],
    day: dt.date,
    rows: pl.DataFrame,
    plants: set[str] | None = None,
    set_type: str = "",
) -> None:
    """Replace what is set aside of a table's day, of these plants or all, by `rows`: Quarantine without its source."""
    part = build_quarantine_part(model, day, set_type)
    rows = rows.with_columns(source=pl.lit(part["source"]))
    runtime.lake.replace(Quarantine, part, [rows], plants=plants, empty=True)


def build_raw_part(day: dt.date, set_type: str) -> Part:
    """The part of a raw table that a day's answers are in; sets that share a table (`set_type`) have one each."""
    return {"local_date": day} | ({"set_type": set_type} if set_type else {})


def read_answers(lake: Lake, source: SetSource, day: dt.date) -> Iterator[pl.DataFrame]:
    """The stored answers of a day that a set's table is made from."""
    answers = lake.read_batches(source.raw, build_raw_part(day, source.shares_raw))
    if not source.shares_raw or source.of_devices is None:
        return answers
    # Such a raw table holds what plants and devices answered.
    of_device = pl.col("device_id") != ""
    return (batch.filter(of_device if source.of_devices else ~of_device) for batch in answers)


def build_quarantine_part(model: type[Table], day: dt.date, set_type: str = "") -> Part:
    """The part of `quarantine` for what would have gone into that part of the table."""
    return {"local_date": day, "source": "-".join(filter(None, (storage(model).table, set_type)))}


def work_without_conflict(lake: Lake, parts: Iterable[tuple[type[Table], Part]], work: Callable[[], T]) -> T:
    """The result of `work`, done again where another run wrote into one of these parts while it was going on.

    Each part that the work replaces belongs here: see `warehouse.lake_holds`. Raises PartChangedError when other runs
    were faster each time.
    """
    parts = list(parts)
    for _ in range(CONFLICT_ATTEMPTS):
        with hold_parts(lake, parts) as held:
            try:
                return work()
            except PartChangedError as fault:
                if fault.held not in held:
                    raise
                refused = fault
    raise refused
