"""The tables of a report's pages: rows of the published file as cells for people."""

import re
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

import polars as pl

from pipeline.report.costs import fee
from pipeline.report.figures import clean, clock, number, percent, ratio
from pipeline.report.reasons import words
from pipeline.report.sheet import Cell, Column, Table
from schemas.kpi import REASON_OF

# More rows than these of one kind belong into a query: the table says so.
MOST_ROWS = 100
_PLAIN = re.compile(r"[0-9a-z-]{1,64}")
# What to show of kpi_monthly: its column, heading, unit, and how it is written.
_FIGURES: tuple[tuple[str, str, str, Callable[[Any], str]], ...] = (
    ("final_yield_kwh_per_kw", "Final yield", "kWh/kW", lambda value: number(value, 1)),
    ("reference_yield_h", "Reference yield", "h", lambda value: number(value, 1)),
    ("performance_ratio", "Performance ratio", "", ratio),
    ("performance_ratio_clear_sky", "Ratio to a clear sky", "", ratio),
    ("irradiation_source", "Irradiation from", "", lambda value: str(value or "–").replace("_", " ")),
    ("irradiation_series", "Series", "", lambda value: clean(str(value or "–"))),
    ("capacity_factor", "Capacity factor", "", ratio),
    ("availability_time", "Available by time", "", percent),
    ("availability_energy", "Available by energy", "", percent),
    ("self_consumption_rate", "Self-consumption", "", ratio),
    ("self_supply_rate", "Self-supply", "", ratio),
    ("co2_avoided_kg", "CO2 avoided", "kg", number),
)


def file_of(plant_id: str) -> str:
    """The name of a plant's page: an id that is no plain word stands for itself by its digest."""
    plain = _PLAIN.fullmatch(plant_id)
    return f"plant-{plant_id if plain else sha256(plant_id.encode()).hexdigest()[:24]}.html"


def by_yield(ranked: pl.DataFrame, no_unit: str) -> Table:
    """Every plant, best specific yield first, with a link to its page; `no_unit` is said of those without a PU."""
    best = ranked["specific_yield"].max() or 1.0
    rows = [
        (
            named(row, link=True),
            Cell("–" if row["rank"] is None else number(row["rank"])),
            Cell(number(row["specific_yield"], 1), share=_share(row["specific_yield"], best)),
            Cell(number(row["pv_generation_kwh"], 1)),
            Cell(percent(row["coverage"]), share=row["coverage"]),
            Cell(row["status"] or "no day", status=row["status"] or ""),
            Cell(_days(row)),
            Cell(clock(row["largest_gap_min"])),
            Cell(number(row["n_flagged"])),
            Cell(fee(row, no_unit)),
        )
        for row in ranked.iter_rows(named=True)
    ]
    return Table(
        "ranking",
        "Plants by specific yield",
        "PV energy per kW of DC peak power. It counts what was measured: look at the coverage beside it.",
        "There is no plant.",
        (
            Column("Plant", numeric=False),
            Column("Rank"),
            Column("Specific yield", "kWh/kW"),
            Column("PV generation", "kWh"),
            Column("Coverage"),
            Column("Status", numeric=False),
            Column("Days", "with values"),
            Column("Longest gap", "h:min"),
            Column("Set aside", "rows"),
            Column("PU fee"),
        ),
        rows,
    )


def gaps(days: pl.DataFrame) -> Table:
    """The days of a plant that are not simply fine."""
    odd = (pl.col("status") != "complete") | (pl.col("n_flagged") > 0) | (pl.col("n_suspect") > 0)
    rows = [
        (
            Cell(row["local_date"].isoformat()),
            Cell(row["status"], status=row["status"]),
            Cell(percent(row["coverage"]), share=row["coverage"]),
            Cell(number(max(row["expected_h"] - row["covered_h"], 0.0), 1)),
            Cell(clock(row["largest_gap_min"])),
            Cell(number(row["n_flagged"])),
            Cell(number(row["n_suspect"])),
        )
        for row in days.filter(odd).sort("local_date").iter_rows(named=True)
    ]
    return Table(
        "gaps",
        "Days to check",
        "Days with gaps, and those of which values were set aside or are suspicious.",
        "Every day is complete, and nothing was set aside.",
        (
            Column("Day", numeric=False),
            Column("Status", numeric=False),
            Column("Coverage"),
            Column("Not covered", "h"),
            Column("Longest gap", "h:min"),
            Column("Set aside", "rows"),
            Column("Suspicious", "rows"),
        ),
        rows,
    )


def figures(found: pl.DataFrame, names: Mapping[str, str]) -> Table:
    """Plant figures by IEC 61724-1, as far as the file has them."""
    ordered = found.with_columns(
        _name=pl.col("plant_id").replace_strict(names, default="", return_dtype=pl.String)
    )
    ordered = ordered.sort("_name", "plant_id")
    shown = [figure for figure in _FIGURES if figure[0] in found.columns]
    rows = [
        (
            named({"name": names.get(row["plant_id"], ""), "plant_id": row["plant_id"]}, link=True),
            *(Cell(write(row[column]), below=_why(row, column)) for column, _, _, write in shown),
        )
        for row in ordered.iter_rows(named=True)
    ]
    return Table(
        "figures",
        "Plant figures",
        "By the names of IEC 61724-1; the data dictionary has each formula, and explains why one is missing. The "
        "performance ratio is of measured irradiation alone; the ratio to a clear sky is lower, since clouds lower it.",
        "There are no plant figures of this month.",
        (Column("Plant", numeric=False), *(Column(label, unit) for _, label, unit, _ in shown)),
        rows,
    )


def _why(row: Mapping[str, Any], column: str) -> str:
    """Why the figure is missing, by its reason beside it."""
    reason = row.get(REASON_OF.get(column, ""))
    return clean(words(reason)) if row[column] is None and reason else ""


def named(row: Mapping[str, Any], *, link: bool = False) -> Cell:
    """A plant's name with its id below."""
    href = file_of(row["plant_id"]) if link else ""
    return Cell(clean(row["name"]), href=href, below=clean(row["plant_id"]))


def _days(row: Mapping[str, Any]) -> str:
    if row["n_days"] is None:
        return "–"
    return f"{row['n_days'] - row['n_days_missing']} of {row['n_days']}"


def _share(value: float | None, best: Any) -> float | None:
    return None if value is None else max(value / float(best or 1.0), 0.0)
