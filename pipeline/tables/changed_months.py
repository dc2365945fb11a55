"""Tables by month, of which a month is rebuilt when its sources have changed; closed months stay as they are."""

import datetime as dt
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

import polars as pl

from pipeline.run.context import RunContext
from pipeline.run.step_result import StepResult
from pipeline.tables.month_close import read_closed_months
from schemas import Table


@dataclass(frozen=True, slots=True)
class MonthSources:
    """What the rows of a month are made from: a digest that changes with it, and the function that makes them."""

    month: dt.date
    digest: str
    make_rows: Callable[[], Iterable[pl.DataFrame]]


def find_kept_months(runtime: RunContext, model: type[Table]) -> set[dt.date]:
    """The closed months of which the table has rows."""
    closed = read_closed_months(runtime)["month"].unique()
    return {month for month in closed if runtime.lake.take_snapshot(model, {"month": month}).files}


def replace_changed_months(
    runtime: RunContext,
    model: type[Table],
    months: Iterable[MonthSources],
    kept: Collection[dt.date],
    *,
    fact: str,
) -> StepResult:
    """Make the months whose digest is another one than their stored rows record under the name `fact`.

    Those that are `kept` stay as they are (`find_kept_months`). The report counts `months_made`.
    """
    report = StepResult(facts={"months_made": 0})
    for sources in months:
        part = {"month": sources.month}
        if sources.month in kept or runtime.lake.read_facts(model, part).get(fact) == sources.digest:
            continue
        written = runtime.lake.replace(
            model, part, sources.make_rows(), empty=True, facts={fact: sources.digest}
        )
        report.rows += written.rows
        report.changed |= written.changed
        report.facts["months_made"] += 1
    return report
