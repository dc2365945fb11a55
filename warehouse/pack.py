"""Writes a month for finance into a folder: files of energy, cost and data quality, and a README that explains them."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from pipeline.common.errors import UsageError
from pipeline.common.text import pluralize
from warehouse.ddl import quote_identifier
from warehouse.export import FORMATS, ExportedFile, export_query
from warehouse.folder import replace_folder
from warehouse.published_units import explain_empty_month, list_months, record_begins

README = "README.md"
UNITS = "Energy is in kWh, power in kW, and money in the currency of the row. An empty cell means unknown, not zero."


@dataclass(frozen=True, slots=True)
class PackedSheet:
    """One file of the pack: its name without ending, its description, its rows and their order."""

    name: str
    meaning: str
    table: str
    where: str
    order: str
    named: bool = True


SHEETS = (
    PackedSheet(
        "energy-monthly",
        "Energy of each plant in the month, and how much of it is covered by measurements.",
        "energy_monthly",
        "month = $month",
        "plant_name, plant_id",
    ),
    PackedSheet(
        "energy-daily",
        "The same by day. A plant without data has a row with status missing.",
        "energy_daily",
        "local_date BETWEEN $month AND $end",
        "plant_name, plant_id, local_date",
    ),
    PackedSheet(
        "adjustments",
        "Differences between the closed figures of the month and the present sums of its days, which are to be booked.",
        "adjustments",
        "month = $month",
        "plant_name, plant_id, quantity",
    ),
    PackedSheet(
        "restatements",
        "Figures that changed after their day was final, with time and cause.",
        "restatements",
        "local_date BETWEEN $month AND $end",
        "plant_name, plant_id, local_date, quantity, noted_at",
    ),
    PackedSheet(
        "billing-units",
        "PU: the systems that SMA charges for the month, with capacity, class and fee. Empty fee: unpriced, not free.",
        "billing_units",
        "month = $month",
        "plant_name, plant_id",
    ),
    PackedSheet(
        "invoices",
        "Amount that SMA should invoice for each quarter of the year, and the amount carried over.",
        "invoices",
        "year = year($month)",
        "year, quarter",
        named=False,
    ),
    PackedSheet(
        "days-to-check",
        "Days of the month that are not complete, or of which values were set aside.",
        "v_days_to_check",
        "local_date BETWEEN $month AND $end",
        "local_date, plant_name, plant_id",
        named=False,
    ),
    PackedSheet(
        "set-aside",
        "Answers, rows and values of the month that were set aside. docs/quality.md explains each reason.",
        "quarantine",
        "local_date BETWEEN $month AND $end",
        "plant_name, plant_id, local_date, source, reason",
    ),
)


def write_pack(
    connection: duckdb.DuckDBPyConnection, month: dt.date, folder: Path, form: str
) -> list[ExportedFile]:
    """Write the month's files and a README into `folder`, which is there whole or as it was.

    Raises UsageError for a month without energy, PU and an invoice of its quarter, and for a folder that holds
    something else.
    """
    folder = folder.absolute()
    _refuse(connection, month, folder)
    with replace_folder(folder) as new:
        done = [
            export_query(connection, _query(sheet, month), new / f"{sheet.name}.{form}") for sheet in SHEETS
        ]
        (new / README).write_text(_write_readme(connection, month, done), "utf-8")
    return [ExportedFile(folder / one.path.name, one.rows, one.bytes) for one in done]


def _refuse(connection: duckdb.DuckDBPyConnection, month: dt.date, folder: Path) -> None:
    ours = {README, *(f"{sheet.name}.{form}" for sheet in SHEETS for form in FORMATS)}
    if folder.exists() and not (folder.is_dir() and {path.name for path in folder.iterdir()} <= ours):
        raise UsageError(f"The folder {folder} holds files that no pack has: choose another --folder.")
    quarter = "SELECT count(*) FROM invoices WHERE year = ? AND quarter = ?"
    ((invoiced,),) = connection.execute(quarter, [month.year, (month.month + 2) // 3]).fetchall()
    # The last month of a quarter may have no data of its own, but it has the quarter's invoice.
    if not invoiced and month not in list_months(connection):
        raise explain_empty_month(connection, month)


def _query(sheet: PackedSheet, month: dt.date) -> str:
    end = (month + dt.timedelta(days=31)).replace(day=1) - dt.timedelta(days=1)
    where = sheet.where.replace("$month", f"DATE '{month}'").replace("$end", f"DATE '{end}'")
    rows = f"SELECT * FROM {quote_identifier(sheet.table)} WHERE {where}"  # noqa: S608 - from SHEETS
    if sheet.named:
        rows = f"SELECT plants.name AS plant_name, found.* FROM ({rows}) AS found LEFT JOIN plants USING (plant_id)"  # noqa: S608
    return f"{rows} ORDER BY {sheet.order}"


def _write_readme(connection: duckdb.DuckDBPyConnection, month: dt.date, done: Sequence[ExportedFile]) -> str:
    ((published, version),) = connection.execute("SELECT published_at, product_version FROM _meta").fetchall()
    origin = (
        f"This pack was made from the warehouse that sunledger {version} published on {published:%Y-%m-%d at %H:%M} "
        "UTC."
    )
    files = [
        f"| {one.path.name} | {one.rows:,} | {sheet.meaning} |"
        for sheet, one in zip(SHEETS, done, strict=True)
    ]
    return "\n".join(
        [
            f"# {month:%B %Y}",
            "",
            f"{origin} It does not contain later changes.",
            "",
            *(f"* {line}" for line in _list_figures(connection, month)),
            "",
            "| file | rows | content |",
            "|---|---|---|",
            *files,
            "",
            UNITS,
            "Every column is explained in docs/data-dictionary.md, and what counts as a PU in docs/billing.md.",
            "",
        ]
    )


def _list_figures(connection: duckdb.DuckDBPyConnection, month: dt.date) -> list[str]:
    """The month in a few lines."""
    ((plants, kwh, covered, expected, unsure),) = connection.execute(
        "SELECT count(*), sum(pv_generation_kwh), sum(covered_h), sum(expected_h), "
        "count(*) FILTER (WHERE status <> 'complete') FROM energy_monthly WHERE month = ?",
        [month],
    ).fetchall()
    ((units, fees, unpriced, currency, source),) = connection.execute(
        "SELECT count(*), sum(fee_eur), count(*) FILTER (WHERE fee_eur IS NULL), any_value(currency), "
        "any_value(price_source) FROM billing_units WHERE month = ?",
        [month],
    ).fetchall()
    energy = "nothing measured" if kwh is None else f"{kwh:,.3f} kWh of PV energy"
    coverage = (
        f"{covered / expected:.1%} of the expected time of the days that are stored is covered"
        if expected
        else "no time was expected"
    )
    price = (
        f"{fees:,.2f} {currency} ({source}); {unpriced} of them are unpriced"
        if fees is not None
        else "all unpriced"
    )
    return [
        f"{pluralize(plants, 'plant')}, {energy}; {coverage}; {unsure} of them are not complete.",
        " ".join(filter(None, [f"{units} PU, {price}." if units else "", _record(connection, month, units)])),
    ]


def _record(connection: duckdb.DuckDBPyConnection, month: dt.date, units: int) -> str:
    """What the record of requests shows about the month's PU; PU that it lacks were not requested or are not known."""
    begins = record_begins(connection)
    if begins is None:
        return "PU and fees are unknown, because there is no record of requests."
    end = (month + dt.timedelta(days=31)).replace(day=1)
    if begins >= end and not units:
        return f"PU and fees are unknown, because the record of requests begins on {begins}."
    earlier = f" The record of requests begins on {begins}; earlier requests are unknown."
    nothing = "" if units else "There are no PU, because no request named a system in this month."
    return (nothing + (earlier if begins > month else "")).strip()
