"""The tables of a report's pages: rows of the published file as cells for people."""

import re
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

import polars as pl

from pipeline.report.costs import format_fee
from pipeline.report.figures import clean_name, format_minutes, format_number, format_percent, format_ratio
from pipeline.report.reasons import name_reason
from pipeline.report.sheet import Cell, SheetColumn, SheetTable
from schemas.kpi import REASON_OF

# More rows than these of one kind belong into a query: the table says so.
MOST_ROWS = 100
_PLAIN = re.compile(r"[0-9a-z-]{1,64}")
# What to show of kpi_monthly: its column, heading, unit, and how it is written.
_FIGURES: tuple[tuple[str, str, str, Callable[[Any], str]], ...] = (
    ("final_yield_kwh_per_kw", "Final yield", "kWh/kW", lambda value: format_number(value, 1)),
    ("reference_yield_h", "Reference yield", "h", lambda value: format_number(value, 1)),
    ("performance_ratio", "Performance ratio", "", format_ratio),
    ("performance_ratio_clear_sky", "Ratio to a clear sky", "", format_ratio),
    ("irradiation_source", "Irradiation from", "", lambda value: str(value or "–").replace("_", " ")),
    ("irradiation_series", "Series", "", lambda value: clean_name(str(value or "–"))),
    ("capacity_factor", "Capacity factor", "", format_ratio),
    ("availability_time", "Available by time", "", format_percent),
    ("availability_energy", "Available by energy", "", format_percent),
    ("self_consumption_rate", "Self-consumption", "", format_ratio),
    ("self_supply_rate", "Self-supply", "", format_ratio),
    ("co2_avoided_kg", "CO2 avoided", "kg", format_number),
)


def name_file(plant_id: str) -> str:
    """The name of a plant's page: an id that is no plain word stands for itself by its digest."""
    plain = _PLAIN.fullmatch(plant_id)
    return f"plant-{plant_id if plain else sha256(plant_id.encode()).hexdigest()[:24]}.html"


def tabulate_yields(ranked: pl.DataFrame, n_days: int, no_unit: str) -> SheetTable:
    """Every plant, best specific yield first, with a link to its page.

    `n_days` is the length of the month; `no_unit` is said of plants without a PU.
    """
    best = ranked["specific_yield"].max() or 1.0
    rows = [
        (
            format_name(row),
            Cell("–" if row["rank"] is None else format_number(row["rank"])),
            Cell(format_number(row["specific_yield"], 1), share=_format_share(row["specific_yield"], best)),
            Cell(format_number(row["pv_generation_kwh"], 1)),
            Cell(format_percent(row["pv_coverage"]), share=row["pv_coverage"]),
            Cell(row["status"] or "no day", status=row["status"] or ""),
            Cell(_count_days(row, n_days)),
            Cell(format_minutes(row["largest_gap_min"])),
            Cell(format_number(row["n_flagged"])),
            Cell(format_fee(row, no_unit)),
        )
        for row in ranked.iter_rows(named=True)
    ]
    return SheetTable(
        "ranking",
        "Plants by specific yield",
        "PV energy per kW of DC peak power. It only counts measured energy, so look at the coverage, which is that of "
        "the stored days, and at the number of days too.",
        "There is no plant.",
        (
            SheetColumn("Plant", numeric=False),
            SheetColumn("Rank"),
            SheetColumn("Specific yield", "kWh/kW"),
            SheetColumn("PV generation", "kWh"),
            SheetColumn("Coverage", "of PV"),
            SheetColumn("Status", numeric=False),
            SheetColumn("Days", "with values"),
            SheetColumn("Longest gap", "h:min"),
            SheetColumn("Set aside", "rows"),
            SheetColumn("PU fee"),
        ),
        rows,
    )


def tabulate_gaps(days: pl.DataFrame, n_days: int) -> SheetTable:
    """The stored days of a plant that are not simply fine, and how many of the month's `n_days` are not stored."""
    absent = n_days - days.height
    verb = "is" if absent == 1 else "are"
    more = f" {absent} of the {n_days} days of the month {verb} not stored." if absent else ""
    odd = (pl.col("status") != "complete") | (pl.col("n_flagged") > 0) | (pl.col("n_suspect") > 0)
    rows = [
        (
            Cell(row["local_date"].isoformat()),
            Cell(row["status"], status=row["status"]),
            Cell(format_percent(row["coverage"]), share=row["coverage"]),
            Cell(format_percent(row["pv_coverage"]), share=row["pv_coverage"]),
            Cell(format_number(max(row["expected_h"] - row["covered_h"], 0.0), 1)),
            Cell(format_minutes(row["largest_gap_min"])),
            Cell(format_number(row["n_flagged"])),
            Cell(format_number(row["n_suspect"])),
        )
        for row in days.filter(odd).sort("local_date").iter_rows(named=True)
    ]
    return SheetTable(
        "gaps",
        "Days to check",
        f"Days with data gaps, and days with suspicious values or values that were set aside.{more}",
        f"Every stored day is complete, and nothing was set aside.{more}",
        (
            SheetColumn("Day", numeric=False),
            SheetColumn("Status", numeric=False),
            SheetColumn("Coverage"),
            SheetColumn("Coverage", "of PV"),
            SheetColumn("Not covered", "h"),
            SheetColumn("Longest gap", "h:min"),
            SheetColumn("Set aside", "rows"),
            SheetColumn("Suspicious", "rows"),
        ),
        rows,
    )


def tabulate_figures(found: pl.DataFrame, names: Mapping[str, str]) -> SheetTable:
    """Plant figures by IEC 61724-1, as far as the file has them."""
    ordered = found.with_columns(
        _name=pl.col("plant_id").replace_strict(names, default="", return_dtype=pl.String)
    )
    ordered = ordered.sort("_name", "plant_id")
    shown = [figure for figure in _FIGURES if figure[0] in found.columns]
    rows = [
        (
            format_name({"name": names.get(row["plant_id"], ""), "plant_id": row["plant_id"]}),
            *(Cell(write(row[column]), below=_explain_missing(row, column)) for column, _, _, write in shown),
        )
        for row in ordered.iter_rows(named=True)
    ]
    return SheetTable(
        "figures",
        "Plant figures",
        "Names follow IEC 61724-1. The data dictionary has each formula, and the reasons why a figure is missing. The "
        "performance ratio uses measured irradiation only; the ratio to a clear sky is lower, because clouds reduce "
        "it.",
        "There are no plant figures of this month.",
        (SheetColumn("Plant", numeric=False), *(SheetColumn(label, unit) for _, label, unit, _ in shown)),
        rows,
    )


def tabulate_ids(plants: pl.DataFrame) -> SheetTable:
    """Every plant's id, by name: on paper the other tables show names alone."""
    rows = [
        (
            Cell(clean_name(row["name"]), href=name_file(row["plant_id"])),
            Cell(clean_name(row["plant_id"])),
            Cell(row["timezone"]),
        )
        for row in plants.sort("name", "plant_id").iter_rows(named=True)
    ]
    return SheetTable(
        "ids",
        "Plant ids",
        "The ids by which the API, the commands and the tables name the plants.",
        "There is no plant.",
        (
            SheetColumn("Plant", numeric=False),
            SheetColumn("Id", numeric=False),
            SheetColumn("Time zone", numeric=False),
        ),
        rows,
    )


def _explain_missing(row: Mapping[str, Any], column: str) -> str:
    """Why the figure is missing, by its reason beside it."""
    reason = row.get(REASON_OF.get(column, ""))
    return clean_name(name_reason(reason)) if row[column] is None and reason else ""


def format_name(row: Mapping[str, Any]) -> Cell:
    """A plant's name, which links to its page, with its id below."""
    plant = row["plant_id"]
    return Cell(clean_name(row["name"]), href=name_file(plant), below=clean_name(plant))


def _count_days(row: Mapping[str, Any], n_days: int) -> str:
    if row["n_days"] is None:
        return "–"
    return f"{row['n_days'] - row['n_days_missing']} of {n_days}"


def _format_share(value: float | None, best: Any) -> float | None:
    return None if value is None else max(value / float(best or 1.0), 0.0)
