"""A year's bill on the terminal."""

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal

import polars as pl

from pipeline.billing import PriceList, load_prices
from pipeline.billing.bill import Bill, build_bill
from pipeline.billing.invoices import find_quarter
from pipeline.billing.requested_units import find_current_month
from pipeline.cli.console import out, say, show_table
from pipeline.common.calendar_months import find_month_before
from pipeline.common.settings import load_settings
from pipeline.common.text import format_money, pluralize
from pipeline.run.context import RunContext

# A longer list is not read on a screen; a file or a pipe gets all lines.
ON_SCREEN = 20
NAMED = 5
DECISIONS = {
    "invoiced": "above the limit",
    "year_end": "end of the year",
    "carried": "carried over: at most {above}",
    "waits_for_year_end": "annual payment",
}


def show_year(year: int | None, *, forecast: bool) -> None:
    """Print the bill of a year, by default the current one."""
    with RunContext(load_settings(), tell=say) as runtime:
        prices = load_prices(runtime.settings.prices)
        # SMA also charges what other runs have requested and not stored in the lake yet.
        for lacking in runtime.store_requests().build_notices(runtime.find_today()).missing:
            say(f"Notice: {lacking.reason}.")
        found = build_bill(
            runtime, prices, year or find_current_month(runtime, prices).year, forecast=forecast
        )
    show_bill(found, prices, forecast=forecast)


def show_bill(found: Bill, prices: PriceList, *, forecast: bool) -> None:
    """Print the bill."""
    if not found.classes.height and not found.invoices["fees_eur"].sum():
        known = (
            ""
            if found.first_month is None
            else f" The record of requests begins in {found.first_month:%Y-%m}."
        )
        say(f"No request named a system in {found.year}, so there is nothing to pay.{known}")
        _say_lower_bound(found)
        return
    _show_classes(found, forecast=forecast)
    _show_invoices(found, prices, forecast=forecast)
    _show_notes(found, forecast=forecast)
    if found.classes["pu"].sum():
        _show_unused(found)


def _show_classes(found: Bill, *, forecast: bool) -> None:
    sources = f" ({'; '.join(found.sources)})" if found.sources else ""
    headings = [
        ("quarter", False),
        ("month", False),
        ("AC power", False),
        ("PU", True),
        (found.currency, True),
    ]
    if forecast:
        headings += [("PU expected", True), (f"{found.currency} expected", True)]
    rows = [row[: len(headings)] for row in _format_classes(found.classes)]
    show_table(f"PU and fees of {found.year}{sources}", headings, rows)


def _format_classes(classes: pl.DataFrame) -> Iterator[tuple[str, ...]]:
    """A line for each month and class, and one for each quarter and the year."""
    for (quarter,), months in classes.group_by(pl.col("month").dt.quarter(), maintain_order=True):
        for row in months.iter_rows(named=True):
            name = row["capacity_class"]
            unpriced = name == "unpriced"
            yield (
                f"Q{quarter}",
                f"{row['month']:%Y-%m}",
                name if unpriced else f"{name} kW",
                str(row["pu"]),
                "?" if unpriced else format_money(row["fee_eur"]),
                str(row["expected_pu"]),
                "?" if unpriced else format_money(row["expected_eur"]),
            )
        yield (f"Q{quarter}", "all", "all", *_format_sums(months))
    yield ("year", "all", "all", *_format_sums(classes))


def _format_sums(classes: pl.DataFrame) -> tuple[str, ...]:
    sums = classes.select("pu", "fee_eur", "expected_pu", "expected_eur").sum().row(0)
    return (str(sums[0]), format_money(sums[1]), str(sums[2]), format_money(sums[3]))


def _show_invoices(found: Bill, prices: PriceList, *, forecast: bool) -> None:
    now = (found.month.year, find_quarter(found.month))
    above = f"{prices.invoicing.above:,f} {found.currency}"
    rows = [
        (
            f"Q{row['quarter']}",
            format_money(row["fees_eur"]),
            format_money(row["carried_in_eur"]),
            format_money(row["invoiced_eur"]),
            format_money(row["carried_out_eur"]),
            DECISIONS[row["decision"]].format(above=above),
            _tell_state((row["year"], row["quarter"]), now, forecast=forecast),
        )
        for row in found.invoices.iter_rows(named=True)
    ]
    headings = ("quarter", "fees", "carried in", "invoiced", "carried out", "why", "state")
    words = {"quarter", "why", "state"}
    title = f"Invoices of {found.year} in {found.currency}"
    show_table(title, [(heading, heading not in words) for heading in headings], rows)


def _tell_state(quarter: tuple[int, int], now: tuple[int, int], *, forecast: bool) -> str:
    if quarter < now:
        return "closed"
    return "expected" if forecast else "so far"


def _say_lower_bound(found: Bill) -> None:
    if found.lower_bound:
        out.print(found.lower_bound, soft_wrap=True, markup=False)


def _show_notes(found: Bill, *, forecast: bool) -> None:
    _say_lower_bound(found)
    if forecast:
        out.print(_explain_forecast(found), soft_wrap=True)
    live = Decimal(found.invoices["live_eur"].sum())
    if live:
        until = f", up to {found.year}-12" if forecast else ""
        out.print(
            f"The fees of the invoices include {format_money(live)} {found.currency} for the booked Live plan{until}.",
            soft_wrap=True,
        )
    if found.unpriced:
        out.print(
            f"Every sum is too low, because it lacks {pluralize(len(found.unpriced), 'system')} without a price: "
            f"{', '.join(found.unpriced[:NAMED])}{' ...' if len(found.unpriced) > NAMED else ''}. "
            "SMA gives no AC power for them, or the price list begins later: look at the column pricing of "
            "billing_units.",
            soft_wrap=True,
        )
    if found.n_unanswered:
        out.print(
            f"{pluralize(found.n_unanswered, 'system')} got no answer at all in some month, so no PU is counted for "
            "that month.",
            soft_wrap=True,
        )


def _explain_forecast(found: Bill) -> str:
    """How the forecast was made, in a sentence."""
    end = dt.date(found.year, 12, 1)
    if end < found.month:
        return f"Forecast: {found.year} is over, so no further PU are expected."
    before = find_month_before(found.month)
    return (
        f"Forecast: {pluralize(found.expected_systems, 'system')} requested in {before:%Y-%m} or {found.month:%Y-%m} "
        f"and in SMA's newest list are expected in every month up to {end:%Y-%m}, with the AC power listed last and "
        "the price of that month. New plants are not included."
    )


def _show_unused(found: Bill) -> None:
    if not found.unused.height:
        out.print("Every PU brought data of at least one day, so there is nothing to save.")
        return
    rows = [
        (
            row["plant_id"],
            row["name"] or "",
            f"{row['pu']} of {row['of_pu']}",
            format_money(row["fee_eur"]),
            row["why"],
        )
        for row in found.unused.iter_rows(named=True)
    ]
    shown = rows[:ON_SCREEN] if out.is_terminal else rows
    show_table(
        f"Possible savings: {format_money(found.unused_eur)} {found.currency} for PU whose plants appear in no report",
        [("plant", False), ("name", False), ("PU", True), (found.currency, True), ("why", False)],
        shown,
    )
    if len(shown) < len(rows):
        out.print(f"and {len(rows) - len(shown)} more: redirect the output to a file to see all of them.")
