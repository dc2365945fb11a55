"""SMA's rule of invoices: a quarter's sum is carried on while it is small, and the year's last quarter takes all."""

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import polars as pl

from pipeline.billing.prices import Invoicing, PriceList
from schemas import Invoices, polars_schema

QUARTERS = 4
MONTHS_A_QUARTER = 3


def build_invoices(units: pl.DataFrame, prices: PriceList, month: dt.date) -> pl.DataFrame:
    """Rows of invoices, from the first quarter with anything to pay to the one that `month` lies in.

    `units` are rows of billing_units; PU without a price are counted and add nothing.
    """
    quarters = units.group_by(
        year=pl.col("month").dt.year(), quarter=pl.col("month").dt.quarter().cast(pl.Int32)
    ).agg(
        n_units=pl.len(),
        n_unpriced=pl.col("fee_eur").is_null().sum(),
        units_eur=pl.col("fee_eur").sum(),
    )
    found = {(row["year"], row["quarter"]): row for row in quarters.iter_rows(named=True)}
    rows = list(_build_rows(found, prices, month))
    return pl.DataFrame(rows, schema=polars_schema(Invoices))


def _build_rows(
    found: dict[tuple[int, int], dict[str, Any]], prices: PriceList, month: dt.date
) -> Iterator[dict[str, Any]]:
    """One row a quarter, in order, each with what the one before carried into it."""
    now = (month.year, find_quarter(month))
    first = min([*found, *_find_first_live_quarter(prices)], default=None)
    carried = Decimal(0)
    while first is not None and first <= max([now, *found]):
        year, quarter = first
        facts = found.get(first, {"n_units": 0, "n_unpriced": 0, "units_eur": Decimal(0)})
        live = _sum_live_fees(prices, year, quarter, month)
        fees = facts["units_eur"] + live
        decision = decide(prices.invoicing, quarter, fees + carried)
        invoiced = fees + carried if decision in {"invoiced", "year_end"} else Decimal(0)
        left = fees + carried - invoiced
        yield {
            "year": year,
            "quarter": quarter,
            "n_units": facts["n_units"],
            "n_unpriced": facts["n_unpriced"],
            "units_eur": facts["units_eur"],
            "live_eur": live,
            "fees_eur": fees,
            "carried_in_eur": carried,
            "invoiced_eur": invoiced,
            "carried_out_eur": left,
            "decision": decision,
            "is_closed": first < now,
            "currency": prices.currency,
        }
        carried = left
        first = (year, quarter + 1) if quarter < QUARTERS else (year + 1, 1)


def decide(rule: Invoicing, quarter: int, total: Decimal) -> str:
    """What becomes of a quarter's fees and what was carried into it: a word of `invoices.decision`."""
    if quarter == QUARTERS:
        return "year_end"
    if rule.period == "year":
        return "waits_for_year_end"
    return "invoiced" if total > rule.above else "carried"


def find_quarter(month: dt.date) -> int:
    """The quarter of a month's year."""
    return (month.month - 1) // MONTHS_A_QUARTER + 1


def _sum_live_fees(prices: PriceList, year: int, quarter: int, until: dt.date) -> Decimal:
    """The booked Live plan in the months of a quarter that have begun."""
    months = (dt.date(year, MONTHS_A_QUARTER * (quarter - 1) + i, 1) for i in (1, 2, 3))
    booked = (prices.find_price(month) for month in months if month <= until)
    return sum((price.live_eur for price in booked if price), Decimal(0))


def _find_first_live_quarter(prices: PriceList) -> list[tuple[int, int]]:
    """The quarter in which the first Live plan was booked, if any."""
    booked = [price.valid_from for price in prices.prices if price.live_plan is not None]
    return [(booked[0].year, find_quarter(booked[0]))] if booked else []
