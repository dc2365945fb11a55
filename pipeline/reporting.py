"""The report of a month as files in a folder: reads the published file, has the pages made, puts them in place."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from pipeline.errors import UsageError
from pipeline.report.month import Month
from pipeline.report.monthly import INDEX, Frames, MonthReport
from pipeline.runtime import Progress, Silence
from warehouse.folder import replaced
from warehouse.month_rows import MonthRows, month_rows

STEP = "report"
# Plants whose hours are in memory at once: 744 rows a plant and month.
PLANTS_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Reported:
    """A written report: the fleet's page, the number of plants' pages, all bytes, and the fleet's month."""

    index: Path
    plants: int
    bytes: int
    month: Month


def report(
    connection: duckdb.DuckDBPyConnection,
    month: dt.date,
    folder: Path,
    only: Sequence[str] = (),
    progress: Progress | None = None,
) -> Reported:
    """Write a page for the fleet and one for each plant into `folder`, which is there whole or as it was.

    `only` limits fleet and plants to these ids; `progress` is told of each plant. Raises UsageError for a month
    without energy and PU, for a plant that is not in the file, and for a folder that holds something else.
    """
    folder = folder.absolute()
    _refuse(folder)
    rows = month_rows(connection, month, only)
    published = rows.published()
    pages = MonthReport(
        _frames(rows), month, published_at=published["published_at"], version=published["product_version"]
    )
    size, told = 0, progress or Silence()
    told.begin(STEP, f"{month:%Y-%m}", len(rows.plant_ids))
    with replaced(folder) as new:
        for begin in range(0, len(rows.plant_ids), PLANTS_AT_ONCE):
            part = rows.plant_ids[begin : begin + PLANTS_AT_ONCE]
            for name, text in pages.plant_pages(rows.hours(part), part):
                size += (new / name).write_bytes(text.encode())
                told.advance(STEP)
        size += (new / INDEX).write_bytes(pages.fleet_page().encode())
    return Reported(folder / INDEX, len(rows.plant_ids), size, pages.fleet_month())


def reported_month(text: str, now: dt.datetime) -> dt.date:
    """The first day of the month that `text` names as YYYY-MM, or of the one before `now`. Raises UsageError."""
    if not text:
        return (now.date().replace(day=1) - dt.timedelta(days=1)).replace(day=1)
    try:
        return dt.datetime.strptime(f"{text}-01", "%Y-%m-%d").date()  # noqa: DTZ007 - a calendar day has no zone
    except ValueError:
        raise UsageError(f"{text} is not a month: write it as YYYY-MM, as in 2026-10.") from None


def _refuse(folder: Path) -> None:
    if folder.exists() and not (folder.is_dir() and all(map(_is_ours, folder.iterdir()))):
        raise UsageError(f"{folder} holds something else: choose another --output for the report.")


def _is_ours(path: Path) -> bool:
    return path.name == INDEX or (path.name.startswith("plant-") and path.suffix == ".html")


def _frames(rows: MonthRows) -> Frames:
    return Frames(
        plants=rows.plants(),
        days=rows.days(),
        months=rows.months(),
        units=rows.units(),
        invoices=rows.invoices(),
        set_aside=rows.set_aside(),
        restatements=rows.restatements(),
        reconciliation=rows.reconciliation(),
        figures=rows.figures(),
    )
