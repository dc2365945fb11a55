"""`sunledger billing check`: SMA's invoice against our own count, on the terminal."""

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from itertools import accumulate
from pathlib import Path

import duckdb
import polars as pl
from rich.text import Text

from pipeline.billing import load_prices
from pipeline.billing.invoice_comparison import AGREED, KINDS, OURS, THEIRS, compare_invoice, find_quarters
from pipeline.billing.invoice_file import InvoiceFile, read_invoice
from pipeline.billing.invoices import MONTHS_A_QUARTER
from pipeline.billing.lost_requests import explain_lower_bound
from pipeline.billing.requested_units import count_units, find_current_month, read_moves
from pipeline.billing.units import find_unanswered_systems
from pipeline.cli.console import out, say, show_table
from pipeline.cli.exit_codes import DONE, IN_PART
from pipeline.cli.run_options import parse_month_option
from pipeline.common.errors import UsageError
from pipeline.common.settings import Settings, load_settings
from pipeline.common.text import format_money, pluralize
from pipeline.run.context import RunContext
from schemas import ApiRequests, Plants
from warehouse.results.csv_file import CSV_STYLES, CsvStyle
from warehouse.results.export import choose_format, export_query

NAMED = 5


@dataclass(frozen=True, slots=True)
class CheckedInvoice:
    """SMA's invoice beside our count.

    `lines` are those of `compare_invoice` with the names of plants, `months` the first and the last month that were
    compared, and `lower_bound` says that our count may lack PU; it is empty if not.
    """

    invoice: InvoiceFile
    lines: pl.DataFrame
    months: tuple[dt.date, dt.date]
    currency: str
    lower_bound: str


def check_file(path: Path, first: str | None, last: str | None, output: Path | None) -> int:
    """Print how the invoice differs from our count, and return the exit code.

    Raises UsageError for an unreadable file.
    """
    if output is not None:
        choose_format(output)
    with RunContext(load_settings(), tell=say) as runtime:
        found = check_invoice(runtime, path, first, last)
        style = CSV_STYLES[runtime.settings.csv]
    if output is not None:
        _write(found.lines, output, style)
    code = show_comparison(found.lines, found.invoice, found.months, found.currency)
    if found.lower_bound:
        out.print(found.lower_bound, soft_wrap=True, markup=False)
    return code


def read_checked_lines(settings: Settings, path: Path) -> pl.DataFrame:
    """The lines of `check_invoice` with their currency. Raises UsageError for an unreadable file."""
    with RunContext(settings, tell=say) as runtime:
        found = check_invoice(runtime, path)
    if found.lower_bound:
        say(found.lower_bound)
    return found.lines.with_columns(currency=pl.lit(found.currency))


def check_invoice(
    runtime: RunContext, path: Path, first: str | None = None, last: str | None = None
) -> CheckedInvoice:
    """SMA's invoice beside our count of the months of its quarters. Raises UsageError for an unreadable file."""
    prices = load_prices(runtime.settings.prices)
    invoice = read_invoice(path, prices.currency, find_current_month(runtime, prices))
    begin, end = _choose_months(invoice, first, last)
    for lacking in runtime.store_requests().build_notices(runtime.find_today()).missing:
        say(f"Notice: {lacking.reason}.")
    of_months = pl.col("month").is_between(begin, end)
    lake, moved = runtime.lake, read_moves(runtime.lake)
    units = count_units(runtime, prices)
    unanswered = find_unanswered_systems(lake.scan(ApiRequests), moved, prices)
    record = (min(units["month"]), max(units["month"])) if units.height else None
    months = pl.date_range(begin, end, "1mo", eager=True).to_list()
    lower_bound = explain_lower_bound(runtime.settings.home, months)
    found = compare_invoice(
        invoice.lines.filter(of_months), units.filter(of_months), unanswered, moved, record
    )
    names = lake.scan(Plants).select("plant_id", plant_name="name").collect()
    named = found.join(names, on="plant_id", how="left", maintain_order="left")
    lines = named.select("month", "plant_id", "plant_name", pl.exclude("month", "plant_id", "plant_name"))
    return CheckedInvoice(invoice, lines, (begin, end), prices.currency, lower_bound)


def show_comparison(
    found: pl.DataFrame, invoice: InvoiceFile, months: tuple[dt.date, dt.date], currency: str
) -> int:
    """Print the comparison and return the exit code."""
    begin, end = months
    differing = found.filter(pl.col("kind") != AGREED)
    if differing.height:
        _show_lines(differing, begin, end)
    _show_kinds(found, currency)
    n_unpriced = found.filter(~pl.col("kind").is_in([THEIRS, AGREED]), pl.col("ours_eur").is_null()).height
    if n_unpriced:
        out.print(f"PU without a price here (?) count as 0 in our sums: {n_unpriced}.", soft_wrap=True)
    problems = [*_explain_total(invoice), *_explain_left_out(invoice, months)]
    for text in [*problems, *_explain_range(found, invoice, months)]:
        out.print(Text(text), soft_wrap=True)
    if invoice.ignored:
        lines = ", ".join(map(str, invoice.ignored))
        out.print(f"Lines without a plant were not compared: {lines}.", soft_wrap=True)
    if not differing.height and not problems:
        say(f"The invoice agrees with our count for {begin:%Y-%m} to {end:%Y-%m}.")
        return DONE
    return IN_PART


def _show_lines(differing: pl.DataFrame, begin: dt.date, end: dt.date) -> None:
    headings = ["line", "month", "plant", "what", "our class", "SMA's class", "ours", "SMA's", "note"]
    rows = [
        (
            str(row["line"] or ""),
            f"{row['month']:%Y-%m}",
            row["plant_id"],
            row["kind"],
            row["ours_class"] or "",
            row["theirs_class"] or "",
            "" if row["kind"] == THEIRS else format_money(row["ours_eur"]),
            "" if row["kind"] == OURS else format_money(row["theirs_eur"]),
            row["note"] or "",
        )
        for row in differing.iter_rows(named=True)
    ]
    numbers = {"line", "ours", "SMA's"}
    show_table(
        f"SMA's invoice and our count differ ({begin:%Y-%m} to {end:%Y-%m})",
        [(heading, heading in numbers) for heading in headings],
        rows,
    )


def _show_kinds(found: pl.DataFrame, currency: str) -> None:
    sums = found.group_by("kind").agg(pl.len(), pl.col("ours_eur", "theirs_eur", "difference_eur").sum())
    of_kind = {kind: (n, ours, theirs, more) for kind, n, ours, theirs, more in sums.rows()}
    none = (0, Decimal(0), Decimal(0), Decimal(0))
    all_of_them = (found.height, *found.select("ours_eur", "theirs_eur", "difference_eur").sum().row(0))
    rows = [(kind, *of_kind.get(kind, none)) for kind in KINDS]
    show_table(
        f"All lines, in {currency}",
        [("what", False), ("lines", True), ("ours", True), ("SMA's", True), ("SMA's minus ours", True)],
        [
            (kind, str(n), format_money(ours), format_money(theirs), format_money(more))
            for kind, n, ours, theirs, more in [*rows, ("all", *all_of_them)]
        ],
    )


def _explain_total(invoice: InvoiceFile) -> list[str]:
    """Return what is wrong with the invoice's own sums. If it has sums, one of them must be the sum of its lines.

    That sum may include lines without a plant, such as a Live plan and taxes, that are above it.
    """
    lines = Decimal(invoice.lines["amount_eur"].sum())
    sums_of_lines = accumulate(invoice.ignored_eur, initial=lines)
    if not invoice.totals or not {*sums_of_lines}.isdisjoint(invoice.totals):
        return []
    sums = " and ".join(map(format_money, invoice.totals))
    own = f"own sum, {sums}, is not" if len(invoice.totals) == 1 else f"own sums, {sums}, are not"
    return [
        f"The invoice's {own} the sum of its lines, {format_money(lines)}: check that the file holds all lines."
    ]


def _explain_left_out(invoice: InvoiceFile, months: tuple[dt.date, dt.date]) -> list[str]:
    """Which lines were not compared."""
    outside = invoice.lines.filter(~pl.col("month").is_between(*months))
    if not outside.height:
        return []
    named = ", ".join(
        f"line {line}: {month:%Y-%m}" for line, month in outside.head(NAMED)["line", "month"].rows()
    )
    more = ", ..." if outside.height > NAMED else ""
    text = (
        f"{pluralize(outside.height, 'line')} outside of {months[0]:%Y-%m} to {months[1]:%Y-%m} "
        f"{'was' if outside.height == 1 else 'were'} not compared ({named}{more}): correct a month that is wrong, or "
        "choose the months with --from and --to."
    )
    return [text]


def _explain_range(found: pl.DataFrame, invoice: InvoiceFile, months: tuple[dt.date, dt.date]) -> list[str]:
    """Say which lines made the compared months wider than a quarter, if our count has PU that the invoice lacks."""
    begin, end = months
    quarter = end.month - begin.month < MONTHS_A_QUARTER
    if quarter or months != find_quarters(invoice.lines) or OURS not in found["kind"]:
        return []
    lines = invoice.lines.filter(pl.col("month").is_between(begin, end)).sort("month", maintain_order=True)
    first, last = lines.row(0, named=True), lines.row(-1, named=True)
    text = (
        f"These quarters were compared because of line {first['line']} ({first['month']:%Y-%m}) and line "
        f"{last['line']} ({last['month']:%Y-%m}). If one is wrong, correct it, or choose months with --from and --to."
    )
    return [text]


def _choose_months(invoice: InvoiceFile, first: str | None, last: str | None) -> tuple[dt.date, dt.date]:
    begin, end = find_quarters(invoice.lines)
    begin = parse_month_option("--from", first) if first else begin
    end = parse_month_option("--to", last) if last else end
    if begin > end:
        raise UsageError(
            f"The last month ({end:%Y-%m}) is before the first ({begin:%Y-%m}): correct --from and --to."
        )
    return begin, end


def _write(found: pl.DataFrame, output: Path, style: CsvStyle) -> None:
    with duckdb.connect() as connection:
        connection.register("comparison", found.to_arrow())
        done = export_query(connection, "FROM comparison", output, csv=style)
    say(f"Wrote {pluralize(done.rows, 'line')} to {done.path}.")
