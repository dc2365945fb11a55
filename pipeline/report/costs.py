"""The tables of what SMA charges: PU by class and by system, and the invoices of the year."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from pipeline.report.figures import clean, format_number
from pipeline.report.record import Record
from pipeline.report.sheet import Cell, Column, Table

_UNPRICED = {
    "no_capacity": "unpriced: no capacity",
    "no_price": "unpriced: no price",
    "no_price_list": "unpriced: no price list",
}
_CHECK = "Check the prices against your contract."
_OF_SYSTEMS = (
    Column("System", numeric=False),
    Column("Class", numeric=False),
    Column("Requests"),
    Column("First one", "UTC", numeric=False),
    Column("Fee"),
)


def tabulate_classes(units: pl.DataFrame, limit: str) -> Table:
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
    return Table(
        "cost",
        "PU and cost",
        _add_words(
            "Systems that a request of this month named, no matter which days it asked for.", limit, _CHECK
        ),
        limit or "No request of this month named a system, so by our record SMA charges nothing for it.",
        (Column("Class", numeric=False), Column("PU"), Column("Requests"), Column("Fee")),
        rows,
        (Cell("All"), *counts, Cell(sum_of_fees(units))),
    )


def tabulate_plant(units: pl.DataFrame, limit: str) -> Table:
    """The PU of one plant, by the id that SMA was asked for."""
    return Table(
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


def tabulate_unlisted(units: pl.DataFrame) -> Table:
    """The PU of systems that the table plants does not have: no page and no other row of the report shows them."""
    return Table(
        "unlisted",
        "PU of systems that are not in this report",
        "The PU above include these. SMA answered for them, but the report has no such plant: the system left SMA's "
        "list, its consent ended, or the settings exclude it. Every month with a request for it costs a PU.",
        "Every PU belongs to a plant of this report.",
        _OF_SYSTEMS,
        _sum_systems(units),
        _count_systems(units),
    )


def tabulate_invoices(invoices: pl.DataFrame, year: int, record: Record) -> Table:
    """The invoices of the year, which are of the whole account."""
    money = ("fees_eur", "carried_in_eur", "invoiced_eur", "carried_out_eur")
    rows = [
        (
            Cell(f"Q{row['quarter']} {row['year']}"),
            Cell(format_number(row["n_units"])),
            *(Cell(f"{row[name]:,.2f} {row['currency']}") for name in money),
            Cell(row["decision"].replace("_", " ") + ("" if row["is_closed"] else ", not over yet")),
        )
        for row in invoices.iter_rows(named=True)
    ]
    return Table(
        "invoices",
        "Invoices of the year",
        "Amounts that SMA should invoice for the whole account. Small amounts are carried over; at the end of the "
        "year everything is due.",
        _explain_no_invoice(year, record),
        (
            Column("Quarter", numeric=False),
            Column("PU"),
            Column("Fees"),
            Column("Carried in"),
            Column("Invoiced"),
            Column("Carried over"),
            Column("Why", numeric=False),
        ),
        rows,
    )


def format_fee(row: Mapping[str, Any], no_unit: str = "no PU") -> str:
    """A fee with its currency; unpriced is not free, and what is said where there is no PU is neither."""
    if row["pricing"] is None:
        return no_unit
    if row["pricing"] != "priced":
        return _UNPRICED.get(row["pricing"], "unpriced")
    return f"{row['fee_eur']:,.2f} {row['currency']}"


def sum_of_fees(units: pl.DataFrame) -> str:
    """What the PU cost together, and how many of them have no price."""
    priced = units.filter(pl.col("fee_eur").is_not_null())
    unpriced = units.height - priced.height
    sums = priced.group_by("currency").agg(pl.col("fee_eur").sum()).sort("currency")
    parts = [f"{amount:,.2f} {currency}" for currency, amount in sums.iter_rows()]
    return ", ".join([*parts, *([f"{format_number(unpriced)} unpriced"] if unpriced else [])])


def _sum_systems(units: pl.DataFrame) -> list[tuple[Cell, ...]]:
    return [
        (
            Cell(clean(row["asked_as"])),
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
