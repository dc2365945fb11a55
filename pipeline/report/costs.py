"""The tables of what SMA charges: PU by class and by system, and the invoices of the year."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from pipeline.common.text import format_money
from pipeline.report.figures import clean_name, format_number
from pipeline.report.record import Record
from pipeline.report.sheet import Cell, SheetColumn, SheetTable

_UNPRICED = {
    "no_capacity": "unpriced: no capacity",
    "no_price": "unpriced: no price",
    "no_price_list": "unpriced: no price list",
}
_CHECK = "Check the prices against your contract."
_OF_SYSTEMS = (
    SheetColumn("System", numeric=False),
    SheetColumn("Class", numeric=False),
    SheetColumn("Requests"),
    SheetColumn("First one", "UTC", numeric=False),
    SheetColumn("Fee"),
)


def tabulate_classes(units: pl.DataFrame, limit: str) -> SheetTable:
    """PU and fees of the month by class of capacity; `limit` is what the record of requests can't say of it."""
    classes = (
        units.group_by("capacity_class", "currency", "pricing")
        .agg(n=pl.len(), n_requests=pl.col("n_requests").sum(), fee_eur=pl.col("fee_eur").sum())
        .sort(
            pl.col("pricing") != "priced",
            pl.col("capacity_class").str.extract(r"^(\d+)").cast(pl.Int64),
            "pricing",
            "currency",
            nulls_last=True,
        )
    )
    rows = [
        (
            Cell(_format_class(row)),
            Cell(format_number(row["n"])),
            Cell(format_number(row["n_requests"])),
            Cell(format_fee(row)),
        )
        for row in classes.iter_rows(named=True)
    ]
    counts = (Cell(format_number(units.height)), Cell(format_number(int(units["n_requests"].sum()))))
    return SheetTable(
        "cost",
        "PU and cost",
        _add_words(
            "Systems that a request of this month named, no matter which days it asked for.", limit, _CHECK
        ),
        limit or "No request of this month named a system, so by our record SMA charges nothing for it.",
        (SheetColumn("Class", numeric=False), SheetColumn("PU"), SheetColumn("Requests"), SheetColumn("Fee")),
        rows,
        (Cell("All"), *counts, Cell(sum_of_fees(units))),
    )


def tabulate_plant(units: pl.DataFrame, limit: str) -> SheetTable:
    """The PU of one plant, by the id that SMA was asked for."""
    return SheetTable(
        "cost",
        "PU and cost",
        _add_words(
            "Requests of this month, no matter which days they asked for. A plant that moved may have two PU.",
            limit,
            _CHECK,
        ),
        limit or "No request of this month named this plant, so by our record SMA charges nothing for it.",
        _OF_SYSTEMS,
        _sum_systems(units),
        _count_systems(units) if units.height > 1 else (),
    )


def tabulate_unlisted(units: pl.DataFrame) -> SheetTable:
    """The PU of systems that the table plants does not have: no page and no other row of the report shows them."""
    return SheetTable(
        "unlisted",
        "PU of systems that are not in this report",
        "The PU above include these. SMA answered for them, but the report has no such plant: the system left SMA's "
        "list, its consent ended, or the settings exclude it. Every month with a request for it costs a PU.",
        "Every PU belongs to a plant of this report.",
        _OF_SYSTEMS,
        _sum_systems(units),
        _count_systems(units),
    )


def tabulate_invoices(invoices: pl.DataFrame, year: int, record: Record) -> SheetTable:
    """The invoices of the year, which are of the whole account."""
    money = ("fees_eur", "carried_in_eur", "invoiced_eur", "carried_out_eur")
    rows = [
        (
            Cell(f"Q{row['quarter']} {row['year']}"),
            Cell(format_number(row["n_units"])),
            *(Cell(f"{format_money(row[name])} {row['currency']}") for name in money),
            Cell(row["decision"].replace("_", " ") + ("" if row["is_closed"] else ", not over yet")),
        )
        for row in invoices.iter_rows(named=True)
    ]
    return SheetTable(
        "invoices",
        "Invoices of the year",
        "Amounts that SMA should invoice for the whole account. Small amounts are carried over; at the end of the "
        "year everything is due.",
        _explain_no_invoice(year, record),
        (
            SheetColumn("Quarter", numeric=False),
            SheetColumn("PU"),
            SheetColumn("Fees"),
            SheetColumn("Carried in"),
            SheetColumn("Invoiced"),
            SheetColumn("Carried over"),
            SheetColumn("Why", numeric=False),
        ),
        rows,
    )


def format_fee(row: Mapping[str, Any], no_unit: str = "no PU") -> str:
    """A fee with its currency; unpriced is not free, and what is said where there is no PU is neither."""
    if row["pricing"] is None:
        return no_unit
    if row["pricing"] != "priced":
        return _UNPRICED.get(row["pricing"], "unpriced")
    return f"{format_money(row['fee_eur'])} {row['currency']}"


def sum_of_fees(units: pl.DataFrame) -> str:
    """What the PU cost together, and how many of them have no price."""
    priced = units.filter(pl.col("fee_eur").is_not_null())
    unpriced = units.height - priced.height
    sums = priced.group_by("currency").agg(pl.col("fee_eur").sum()).sort("currency")
    parts = [f"{format_money(amount)} {currency}" for currency, amount in sums.iter_rows()]
    return ", ".join([*parts, *([f"{format_number(unpriced)} unpriced"] if unpriced else [])])


def _sum_systems(units: pl.DataFrame) -> list[tuple[Cell, ...]]:
    return [
        (
            Cell(clean_name(row["asked_as"])),
            Cell(_format_class(row)),
            Cell(format_number(row["n_requests"])),
            Cell(f"{row['first_request']:%Y-%m-%d %H:%M}"),
            Cell(format_fee(row)),
        )
        for row in units.sort("asked_as").iter_rows(named=True)
    ]


def _count_systems(units: pl.DataFrame) -> tuple[Cell, ...]:
    requests = format_number(int(units["n_requests"].sum()))
    return (Cell("All"), Cell(""), Cell(requests), Cell(""), Cell(sum_of_fees(units)))


def _explain_no_invoice(year: int, record: Record) -> str:
    if record.begins is None:
        return f"SMA's invoices of {year} are unknown, because there is no record of requests."
    if record.begins.year > year:
        return (
            f"SMA's invoices of {year} are unknown, because the record of requests begins on {record.begins}."
        )
    return f"There is no invoice of {year} yet."


def _format_class(row: Mapping[str, Any]) -> str:
    return "not known" if row["capacity_class"] is None else f"{row['capacity_class']} kW"


def _add_words(*sentences: str) -> str:
    return " ".join(filter(None, sentences))
