"""The tables of a report's pages: rows of the published file as cells for people."""

import re
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

import polars as pl

from pipeline.report.sheet import Cell, Column, Table
from pipeline.report.text import clean, clock, number, percent, ratio

# More rows than these of one kind belong into a query: the table says so.
MOST_ROWS = 100
_PLAIN = re.compile(r"[0-9a-z-]{1,64}")
_UNPRICED = {
    "no_capacity": "unpriced: no capacity",
    "no_price": "unpriced: no price",
    "no_price_list": "unpriced: no price list",
}
# What to show of kpi_monthly: its column, heading, unit, and how it is written.
_FIGURES: tuple[tuple[str, str, str, Callable[[Any], str]], ...] = (
    ("final_yield_kwh_per_kw", "Final yield", "kWh/kW", lambda value: number(value, 1)),
    ("reference_yield_h", "Reference yield", "h", lambda value: number(value, 1)),
    ("performance_ratio", "Performance ratio", "", ratio),
    ("irradiation_source", "Irradiation from", "", lambda value: str(value or "–").replace("_", " ")),
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


def by_yield(ranked: pl.DataFrame) -> Table:
    """Every plant, best specific yield first, with a link to its page."""
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
            Cell(fee(row)),
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
    shown = [figure for figure in _FIGURES if figure[0] in found.columns]
    rows = [
        (
            named({"name": names.get(row["plant_id"], ""), "plant_id": row["plant_id"]}, link=True),
            *(Cell(write(row[column])) for column, _, _, write in shown),
        )
        for row in found.iter_rows(named=True)
    ]
    return Table(
        "figures",
        "Plant figures",
        "By the names of IEC 61724-1; the data dictionary has each formula, and the table kpi_monthly says why one is "
        "missing. By clear sky the reference is an upper bound.",
        "There are no plant figures of this month.",
        (Column("Plant", numeric=False), *(Column(label, unit) for _, label, unit, _ in shown)),
        rows,
    )


def cost(units: pl.DataFrame) -> Table:
    """PU and fees of the month by class of capacity."""
    classes = (
        units.group_by("capacity_class", "currency", "pricing")
        .agg(n=pl.len(), n_requests=pl.col("n_requests").sum(), fee_eur=pl.col("fee_eur").sum())
        .sort("pricing", "capacity_class", "currency", nulls_last=True)
    )
    rows = [
        (
            Cell("not known" if row["capacity_class"] is None else f"{row['capacity_class']} kW"),
            Cell(number(row["n"])),
            Cell(number(row["n_requests"])),
            Cell(fee(row)),
        )
        for row in classes.iter_rows(named=True)
    ]
    return Table(
        "cost",
        "PU and cost",
        "Systems that SMA was asked for in this month, whatever days were asked for. Check the prices.",
        "The record has no request for these plants in this month: as far as it goes, SMA charges nothing for it.",
        (Column("Class", numeric=False), Column("PU"), Column("Requests"), Column("Fee")),
        rows,
    )


def bills(invoices: pl.DataFrame) -> Table:
    """The invoices of the year, which are of the whole account."""
    money = ("fees_eur", "carried_in_eur", "invoiced_eur", "carried_out_eur")
    rows = [
        (
            Cell(f"Q{row['quarter']} {row['year']}"),
            Cell(number(row["n_units"])),
            *(Cell(f"{row[name]:,.2f} {row['currency']}") for name in money),
            Cell(row["decision"].replace("_", " ") + ("" if row["is_closed"] else ", still running")),
        )
        for row in invoices.iter_rows(named=True)
    ]
    return Table(
        "invoices",
        "Invoices of the year",
        "What SMA should invoice for the whole account: small sums are carried on, at the year's end all is due.",
        "There is no invoice of this year yet.",
        (
            Column("Quarter", numeric=False),
            Column("PU"),
            Column("Fees"),
            Column("Carried in"),
            Column("Invoiced"),
            Column("Carried on"),
            Column("Why", numeric=False),
        ),
        rows,
    )


def named(row: Mapping[str, Any], *, link: bool = False) -> Cell:
    """A plant's name with its id below."""
    href = file_of(row["plant_id"]) if link else ""
    return Cell(clean(row["name"]), href=href, below=clean(row["plant_id"]))


def fee(row: Mapping[str, Any]) -> str:
    """A fee with its currency; unpriced is not free, and no PU is neither."""
    if row["pricing"] is None:
        return "no PU"
    if row["pricing"] != "priced":
        return _UNPRICED.get(row["pricing"], "unpriced")
    return f"{row['fee_eur']:,.2f} {row['currency']}"


def _days(row: Mapping[str, Any]) -> str:
    if row["n_days"] is None:
        return "–"
    return f"{row['n_days'] - row['n_days_missing']} of {row['n_days']}"


def _share(value: float | None, best: Any) -> float | None:
    return None if value is None else max(value / float(best or 1.0), 0.0)
