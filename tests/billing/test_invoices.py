"""SMA's rule of invoices, and its own example."""

import datetime as dt
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from pipeline.billing import Invoicing, PriceList, load_prices
from pipeline.billing.invoices import build_invoices
from tests.billing.record import unit, units

PRICES = load_prices(None)
YEARLY = PriceList(PRICES.prices, Invoicing(period="year"))
DECEMBER = dt.date(2026, 12, 1)
EXAMPLE = [("2026-02", "242"), ("2026-05", "759"), ("2026-08", "450"), ("2026-11", "450")]


def rows(
    fees: list[tuple[str, str | None]], prices: PriceList = PRICES, month: dt.date = DECEMBER
) -> list[dict[str, Any]]:
    found = units(*(unit(str(i), when, fee) for i, (when, fee) in enumerate(fees)))
    return build_invoices(found, prices, month).to_dicts()


def invoiced(*args: Any, **options: Any) -> list[Decimal]:
    return [row["invoiced_eur"] for row in rows(*args, **options)]


def test_the_example_of_the_faq() -> None:
    found = rows(EXAMPLE)
    assert [row["invoiced_eur"] for row in found] == [0, 1001, 0, 900]
    assert [row["carried_in_eur"] for row in found] == [0, 242, 0, 450]
    assert [row["carried_out_eur"] for row in found] == [242, 0, 450, 0]
    assert [row["decision"] for row in found] == ["carried", "invoiced", "carried", "year_end"]
    assert all(isinstance(row["invoiced_eur"], Decimal) for row in found)


def test_exactly_the_limit_does_not_exceed_it() -> None:
    assert invoiced([("2026-01", "1000.00")], month=dt.date(2026, 3, 1)) == [0]
    assert invoiced([("2026-01", "1000.01")], month=dt.date(2026, 3, 1)) == [Decimal("1000.01")]


def test_annual_payment_is_one_invoice_at_the_end() -> None:
    found = rows(EXAMPLE, YEARLY)
    assert [row["invoiced_eur"] for row in found] == [0, 0, 0, 1901]
    assert [row["decision"] for row in found] == [*["waits_for_year_end"] * 3, "year_end"]


def test_nothing_is_carried_into_the_next_year() -> None:
    found = rows([("2025-11", "10"), ("2026-02", "10")], month=dt.date(2026, 4, 1))
    assert [(r["year"], r["quarter"], r["carried_in_eur"], r["invoiced_eur"]) for r in found] == [
        (2025, 4, 0, 10),
        (2026, 1, 0, 0),
        (2026, 2, 10, 0),
    ]


def test_a_quarter_without_requests_carries_on() -> None:
    found = rows([("2026-02", "242")], month=dt.date(2026, 8, 1))
    assert [(r["n_units"], r["fees_eur"], r["carried_out_eur"]) for r in found] == [
        (1, 242, 242),
        (0, 0, 242),
        (0, 0, 242),
    ]


def test_the_quarter_that_lasts_says_so() -> None:
    found = rows(EXAMPLE[:3], month=dt.date(2026, 8, 1))
    assert [row["is_closed"] for row in found] == [True, True, False]


def test_unpriced_pu_are_counted_and_add_nothing() -> None:
    (row,) = rows([("2026-01", "16.50"), ("2026-01", None)], month=dt.date(2026, 3, 1))
    assert (row["n_units"], row["n_unpriced"], row["fees_eur"]) == (2, 1, Decimal("16.50"))


def test_money_is_exact() -> None:
    (row,) = rows([("2026-01", "0.10")] * 10_000, month=dt.date(2026, 3, 1))
    assert row["fees_eur"] == Decimal("1000.00")
    assert row["decision"] == "carried"


def test_a_booked_live_plan_is_charged_for_the_months_begun() -> None:
    booked = replace(PRICES.prices[0], valid_from=dt.date(2026, 5, 1), live_plan=500_000)
    found = rows([("2026-05", "10")], PriceList((PRICES.prices[0], booked)), dt.date(2026, 7, 1))
    assert [(r["quarter"], r["units_eur"], r["live_eur"], r["fees_eur"]) for r in found] == [
        (2, 10, 400, 410),
        (3, 0, 200, 200),
    ]


@pytest.mark.parametrize("month", [dt.date(2026, 1, 1), DECEMBER])
def test_without_requests_there_is_nothing_to_invoice(month: dt.date) -> None:
    assert rows([], month=month) == []
