"""The report of a month as files in a folder: reads the published file, has the pages made, puts them in place."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import polars as pl

from pipeline.common.calendar_months import find_month_before
from pipeline.common.errors import UsageError
from pipeline.report.month import MonthFigures
from pipeline.report.monthly import INDEX, Frames, MonthReport
from pipeline.report.moved import join_hours, join_months, list_all_ids, rename_plants, take_newest_ids
from pipeline.report.record import Record
from pipeline.run.context import Progress, Silence
from pipeline.transform.lists.plant_moves import find_successors
from warehouse.month_queries import published_units
from warehouse.month_queries.month_rows import MonthRows, select_month_rows
from warehouse.results.folder import replace_folder

STEP = "report"
# Plants whose hours are in memory at once: 744 rows a plant and month.
PLANTS_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class WrittenReport:
    """A written report: the fleet's page, the number of plants' pages, all bytes, and the fleet's month."""

    index: Path
    plants: int
    bytes: int
    month: MonthFigures


def write_report(
    connection: duckdb.DuckDBPyConnection,
    month: dt.date,
    folder: Path,
    only: Sequence[str] = (),
    progress: Progress | None = None,
) -> WrittenReport:
    """Write a page for the fleet and one for each plant into `folder`, which is there whole or as it was.

    `only` limits fleet and plants to these ids; `progress` is advanced for each plant. A plant that moved is one plant,
    by whichever of its ids it is named. Raises UsageError for a month without energy and PU, for a plant that is not in
    the file, and for a folder that holds something else.
    """
    folder = folder.absolute()
    _refuse(folder)
    found = select_month_rows(connection, month, only)
    moved = find_successors(published_units.read_plant_moves(connection))
    fleet = take_newest_ids(found.plant_ids, moved)
    rows = replace(found, plant_ids=list_all_ids(fleet, moved))
    published = rows.read_meta()
    pages = MonthReport(
        _read_frames(rows, fleet, moved, everything=not only),
        month,
        published_at=published["published_at"],
        version=published["product_version"],
    )
    size, told = 0, progress or Silence()
    told.begin(STEP, f"{month:%Y-%m}", len(fleet))
    with replace_folder(folder) as new:
        for begin in range(0, len(fleet), PLANTS_AT_ONCE):
            part = fleet[begin : begin + PLANTS_AT_ONCE]
            hours = join_hours(rows.read_hours(list_all_ids(part, moved)), moved)
            for name, text in pages.render_plant_pages(hours, part):
                size += (new / name).write_bytes(text.encode())
                told.advance(STEP)
        size += (new / INDEX).write_bytes(pages.render_fleet_page().encode())
    return WrittenReport(folder / INDEX, len(fleet), size, pages.build_fleet_month())


def choose_month(text: str, now: dt.datetime) -> dt.date:
    """The first day of the month that `text` names as YYYY-MM, or of the one before `now`. Raises UsageError."""
    if not text:
        return find_month_before(now.date())
    try:
        return dt.datetime.strptime(f"{text}-01", "%Y-%m-%d").date()  # noqa: DTZ007 - a calendar day has no zone
    except ValueError:
        raise UsageError(f"{text} is not a month: write it as YYYY-MM, for instance 2026-10.") from None


def _refuse(folder: Path) -> None:
    if folder.exists() and not (folder.is_dir() and all(map(_is_ours, folder.iterdir()))):
        raise UsageError(f"{folder} holds files that no report has: choose another --output.")


def _is_ours(path: Path) -> bool:
    return path.name == INDEX or (path.name.startswith("plant-") and path.suffix == ".html")


def _read_frames(rows: MonthRows, fleet: Sequence[str], moved: pl.DataFrame, *, everything: bool) -> Frames:
    """The month's rows by the plants' newest ids; with `everything` the PU of systems that are no plants too."""
    units = published_units.read_units(rows.connection, rows.month).with_columns(asked_as="plant_id")
    if not everything:
        units = units.filter(pl.col("plant_id").is_in(list(rows.plant_ids)))
    return Frames(
        plants=rows.read_plants().filter(pl.col("plant_id").is_in(list(fleet))),
        days=rename_plants(rows.read_days(), moved, "local_date"),
        months=join_months(rows.read_months(), moved),
        units=rename_plants(units, moved),
        invoices=rows.read_invoices(),
        set_aside=rename_plants(rows.read_quarantine(), moved),
        restatements=_rename_plants(rows.read_restatements(), moved),
        reconciliation=_rename_plants(rows.read_reconciliation(), moved, "quantity"),
        figures=_rename_plants(rows.read_figures(), moved, "month"),
        curtailment=_rename_plants(rows.read_curtailment(), moved, "month"),
        attributes=rename_plants(rows.read_attributes(), moved, "plant_id"),
        like_for_like=_rename_plants(rows.read_like_for_like(), moved, "month"),
        moved=moved,
        record=Record(published_units.record_begins(rows.connection)),
    )


def _rename_plants(frame: pl.DataFrame | None, moved: pl.DataFrame, *key: str) -> pl.DataFrame | None:
    return None if frame is None else rename_plants(frame, moved, *key)
