"""A year's bill: classes, invoices, forecast, and PU of no use."""

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import polars as pl
import pytest

from pipeline.billing import PriceList, load_prices
from pipeline.billing.bill import Bill, build_bill, expect_units
from pipeline.billing.units import find_unanswered_systems
from pipeline.billing.unused_units import NO_DATA, NO_DAY, find_unused_units
from pipeline.cli.bills.yearly_bill import show_bill
from pipeline.run.context import RunContext
from tests.billing.record import NO_MOVES, at, record, request, store, unit, units
from tests.scripted import ScriptedSma
from tests.whole_days import refresh, run

New = Callable[..., RunContext]
PRICES = load_prices(None)
OCTOBER = dt.date(2026, 10, 1)
MONDAY = dt.date(2021, 10, 4)


def to_come(
    year: int, *rows: tuple[str, str], month: dt.date = OCTOBER, moves: pl.DataFrame = NO_MOVES
) -> list[tuple[str, str]]:
    found = expect_units(units(*(unit(p, m, "16.50") for p, m in rows)), {"1", "2"}, moves, month, year)
    return [(plant, f"{when:%Y-%m}") for plant, when in found.rows()]


def test_who_was_asked_for_lately_is_expected_until_the_year_ends() -> None:
    assert to_come(2026, ("1", "2026-10")) == [("1", "2026-11"), ("1", "2026-12")]


def test_who_was_asked_for_last_month_is_still_expected_in_this_one() -> None:
    assert to_come(2026, ("1", "2026-09"))[0] == ("1", "2026-10")


def test_a_system_that_moved_since_is_expected_by_its_new_id() -> None:
    moves = pl.DataFrame({"plant_id": ["2"], "old_id": ["8"], "moved_on": [dt.date(2026, 11, 3)]})
    december = [("2", "2026-11"), ("2", "2026-12")]
    assert to_come(2026, ("8", "2026-10"), month=dt.date(2026, 11, 1), moves=moves) == december


@pytest.mark.parametrize("row", [("1", "2026-08"), ("3", "2026-10")], ids=["long ago", "listed no more"])
def test_others_are_not_expected(row: tuple[str, str]) -> None:
    assert to_come(2026, row) == []


def test_a_year_that_is_over_has_nothing_to_come_and_a_later_one_all_months() -> None:
    assert to_come(2025, ("1", "2026-10")) == []
    assert to_come(2027, ("1", "2026-10")) == [("1", f"2027-{month:02}") for month in range(1, 13)]


def test_january_looks_back_to_december() -> None:
    assert len(to_come(2027, ("2", "2026-12"), month=dt.date(2027, 1, 1))) == 12


def test_pu_of_no_use() -> None:
    rows = record(
        request("2026-10-01", plant_id="1", request_date="2021-10-04"),
        request("2026-10-01", plant_id="2", request_date="2021-10-04"),
        request("2026-10-01", plant_id="2", request_date="2021-10-05"),
        request("2026-10-01", plant_id="3", endpoint="devices", period=""),
        request("2026-10-01", plant_id="4", endpoint="logs", request_date="2021-10-04"),
        request("2026-11-01", plant_id="1", endpoint="sets"),
        request("2026-11-01", plant_id="5", request_date="2021-09-28", period="Week"),
        request("2026-11-01", plant_id="6", request_date="2021-09-27", period="Week"),
    )
    paid = units(
        *(unit(plant, "2026-10", "16.50") for plant in ("1", "2", "3", "4")),
        *(unit(plant, "2026-11", "16.50") for plant in ("1", "5", "6")),
    )
    reported = pl.LazyFrame({"plant_id": ["1", "4", "5", "6"], "local_date": [MONDAY] * 4})
    found = find_unused_units(paid, rows.lazy(), reported, NO_MOVES, PRICES)
    assert [
        (r["plant_id"], r["month"].month, r["n_days"], r["why"]) for r in found.iter_rows(named=True)
    ] == [
        ("1", 11, 0, NO_DAY),
        ("2", 10, 2, NO_DATA),
        ("3", 10, 0, NO_DAY),
        ("4", 10, 0, NO_DAY),
        ("6", 11, 7, NO_DATA),
    ]


def test_a_pu_of_a_system_that_moved_later_is_of_use() -> None:
    rows = record(request("2026-10-01", plant_id="1", request_date="2021-10-04")).lazy()
    # Reports show all days of a system by its newest id.
    reported = pl.LazyFrame({"plant_id": ["3"], "local_date": [MONDAY]})
    moves = pl.DataFrame(
        {
            "plant_id": ["2", "3"],
            "old_id": ["1", "2"],
            "moved_on": [dt.date(2026, 11, 2), dt.date(2027, 1, 5)],
        }
    )
    paid = units(unit("1", "2026-10", "16.50"))
    assert find_unused_units(paid, rows, reported, moves, PRICES).is_empty()
    assert find_unused_units(paid, rows, reported, NO_MOVES, PRICES)["why"].to_list() == [NO_DATA]


def test_who_was_asked_for_in_vain() -> None:
    rows = record(
        request("2026-10-01", plant_id="1", status=504),
        request("2026-10-02", plant_id="1", status=None),
        request("2026-10-01", plant_id="2", status=429),
        request("2026-10-02", plant_id="2"),
        request("2026-10-02", plant_id="", status=401),
    )
    assert find_unanswered_systems(rows.lazy(), NO_MOVES, PRICES).rows() == [("1", OCTOBER, 2)]


@pytest.fixture
def runtime(new_runtime: New, sma: ScriptedSma) -> RunContext:
    """Plant 11 was read with data, plant 12 was silent: in October 2021, one day."""
    sma.watts["12", "2021-10-04"] = None
    runtime = run(new_runtime(), MONDAY)
    asked = [request("2021-10-20", plant_id=plant, request_date="2021-10-04") for plant in ("11", "12")]
    store(runtime, *asked, request("2021-10-20", plant_id="13", status=404))
    return runtime


def shown(
    runtime: RunContext, capsys: pytest.CaptureFixture[str], *, forecast: bool, year: int = 2021
) -> str:
    show_bill(build_bill(runtime, PRICES, year, forecast=forecast), PRICES, forecast=forecast)
    printed = capsys.readouterr()
    return " ".join((printed.out + printed.err).split())


def test_the_bill_of_a_year(runtime: RunContext, capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(runtime, capsys, forecast=False)
    assert "PU and fees of 2021 (published figures, check against your contract)" in text
    assert "Q4 2021-10 1-19 kW 2 24.90 Q4 all all 2 24.90 year all all 2 24.90" in text
    assert "Q4 24.90 0.00 24.90 0.00 end of the year so far" in text
    assert "1 system got no answer at all in some month" in text
    assert "Possible savings: 12.45 EUR" in text
    assert f"12 Plant 12 1 of 1 12.45 {NO_DATA}" in text
    assert "Forecast" not in text


def test_the_forecast_of_a_year(runtime: RunContext, capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(runtime, capsys, forecast=True)
    assert "Q4 2021-11 1-19 kW 0 0.00 2 24.90" in text
    assert "year all all 2 24.90 6 74.70" in text
    assert "2 systems requested in 2021-09 or 2021-10 and in SMA's newest list" in text
    assert "in every month up to 2021-12" in text
    assert "Q4 74.70 0.00 74.70 0.00 end of the year expected" in text
    later = shown(runtime, capsys, forecast=True, year=2022)
    assert "PU and fees of 2022 (published figures, check against your contract)" in later
    assert "Q1 74.70 0.00 0.00 74.70 carried over: at most 1,000 EUR expected" in later
    assert "nothing to save" not in later
    # In its last month all PU of the year may be there already, of as many systems as before.
    runtime.now = lambda: at("2021-12-20")
    store(runtime, *(request("2021-12-02", plant_id=plant) for plant in ("11", "12")))
    text = shown(runtime, capsys, forecast=True)
    assert "2 systems requested in 2021-11 or 2021-12 and in SMA's newest list are expected" in text
    runtime.now = lambda: at("2022-03-01")
    assert "Forecast: 2021 is over, so no further PU are expected." in shown(runtime, capsys, forecast=True)


def test_a_year_without_requests(runtime: RunContext, capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(runtime, capsys, forecast=False, year=2019)
    assert (
        "No request named a system in 2019, so there is nothing to pay. The record of requests begins in 2021-10."
        in text
    )


def test_a_live_plan_is_shown_in_a_year_without_requests(
    runtime: RunContext, capsys: pytest.CaptureFixture[str]
) -> None:
    first = load_prices(None).prices[0]
    booked = PriceList((replace(first, live_plan=200_000),))
    show_bill(build_bill(runtime, booked, 2020, forecast=False), booked, forecast=False)
    text = " ".join(capsys.readouterr().out.split())
    assert "nothing to pay" not in text
    assert "Q4 300.00" in text
    assert "invoices include 1200.00 EUR for the booked Live plan" in text.replace(",", "")


def test_a_live_plan_is_forecast_to_the_year_s_end_without_any_system(
    new_runtime: New, capsys: pytest.CaptureFixture[str]
) -> None:
    """As of October 2021: a plan booked from September on, which ends with 2022's January."""
    first = load_prices(None).prices[0]
    booked = replace(first, valid_from=dt.date(2021, 9, 1), live_plan=200_000)
    over = replace(first, valid_from=dt.date(2022, 2, 1))
    runtime, prices = new_runtime(), PriceList((first, booked, over))

    def live(year: int, *, forecast: bool) -> list[tuple[int, int]]:
        return (
            build_bill(runtime, prices, year, forecast=forecast).invoices.select("quarter", "live_eur").rows()
        )

    assert live(2021, forecast=False) == [(3, 100), (4, 100)]
    assert live(2021, forecast=True) == [(3, 100), (4, 300)]
    assert live(2022, forecast=True) == [(1, 100), (2, 0), (3, 0), (4, 0)]
    show_bill(build_bill(runtime, prices, 2021, forecast=True), prices, forecast=True)
    assert "invoices include 400.00 EUR for the booked Live plan, up to 2021-12." in capsys.readouterr().out


def test_plants_without_capacity_are_told_in_every_place(
    new_runtime: New, sma: ScriptedSma, capsys: pytest.CaptureFixture[str]
) -> None:
    body = b'{"plants": [{"plantId": "11", "timezone": "Europe/Berlin"}]}'
    sma.special = lambda asked: body if asked.endpoint == "plants" else None
    runtime = new_runtime()
    refresh(runtime)
    store(runtime, request("2021-10-20"))
    text = shown(runtime, capsys, forecast=True)
    assert "Q4 2021-10 unpriced 1 ? 1 ?" in text
    assert "it lacks 1 system without a price: 11." in text


def test_the_bill_counts_what_the_tables_count(runtime: RunContext) -> None:
    found: Bill = build_bill(runtime, PRICES, 2021, forecast=False)
    assert found.classes.select("pu", "fee_eur").sum().row(0) == (2, Decimal("24.90"))
    assert found.invoices["n_units"].sum() == 2
    assert found.unused_eur == Decimal("12.45")
    assert found.month == at("2021-10-01").date()
