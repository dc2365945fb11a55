"""What every step works with: its report, the parts of tables, the quarantine, and sources that hold still."""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import polars as pl

from pipeline.common.errors import SunledgerError
from pipeline.run.context import RunContext
from pipeline.run.notices import Notices
from schemas import Quarantine, Table, storage
from schemas.quantities import SetSource
from warehouse.lake import Lake, Part, WriteResult

T = TypeVar("T")
# How often a step starts over because its sources changed under it.
STABLE_ATTEMPTS = 10
# Why an answer is set aside before it is read.
REQUEST_FAILED = "request_failed"
EMPTY_NOW = "empty_now"
NOT_LISTED = "not_listed"


@dataclass(slots=True)
class StepResult:
    """What a step did with one part, and what a person should know of it; `pictures` are Markdown by name."""

    rows: int = 0
    changed: bool = False
    facts: dict[str, Any] = field(default_factory=dict)
    pictures: dict[str, str] = field(default_factory=dict)
    notices: Notices = field(default_factory=Notices)


def quarantine(
    runtime: RunContext,
    model: type[Table],
    day: dt.date,
    rows: pl.DataFrame,
    plants: set[str] | None = None,
    set_type: str = "",
) -> None:
    part = build_quarantine_part(model, day, set_type)
    rows = rows.with_columns(source=pl.lit(part["source"]))
    runtime.lake.replace(Quarantine, part, [rows], plants=plants, empty=True)


def build_raw_part(day: dt.date, set_type: str = "") -> Part:
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


def work_on_stable_sources(
    lake: Lake, sources: Iterable[type[Table]], part: Part, work: Callable[[], T]
) -> T:
    """The result of `work`, done again while another run changed the part of a source under it.

    A commit guards what is written, not what it was made from: without this, a run that read before another one wrote
    would put the old state back. The other run writes its sources first, so whoever comes last has seen them all.
    """
    sources = list(sources)
    for _ in range(STABLE_ATTEMPTS):
        before = [lake.take_snapshot(source, part).files for source in sources]
        result = work()
        if [lake.take_snapshot(source, part).files for source in sources] == before:
            return result
    place = ", ".join(str(value) for value in part.values()) or storage(sources[0]).table
    raise SunledgerError(
        f"{place}: other runs changed it at the same time: run it again when they have ended."
    )


def build_result(written: WriteResult, notices: Notices | None = None, /, **facts: Any) -> StepResult:
    """The report of a part that was written."""
    return StepResult(written.rows, written.changed, facts, notices=notices or Notices())
