"""Which systems a month is charged for, and by what capacity."""

import datetime as dt
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from pipeline.billing import Invoicing, PriceList, load_prices
from pipeline.billing.units import add_capacity, build_billing_units, count_asked_systems
from tests.billing.record import NO_MOVES, at, listed, record, request

PRICES = load_prices(None)
BERLIN = PriceList(PRICES.prices, Invoicing(month_timezone="Europe/Berlin"))


def systems(*rows: dict[str, Any], prices: PriceList = PRICES, moves: pl.DataFrame = NO_MOVES) -> set[Any]:
    """Plants and months that are charged for, and by how many requests."""
    found = count_asked_systems(record(*rows).lazy(), moves, prices)
    return {(plant, f"{month:%Y-%m}", n) for plant, month, n in found.select(found.columns[:3]).rows()}


def test_a_system_is_one_pu_a_month_however_often_it_is_asked_for() -> None:
    rows = [request(f"2026-10-{day:02}", device_id="" if day < 20 else "111") for day in range(1, 32)]
    (unit,) = count_asked_systems(record(*rows).lazy(), NO_MOVES, PRICES).rows(named=True)
    assert unit == {
        "plant_id": "11",
        "month": dt.date(2026, 10, 1),
        "n_requests": 31,
        "n_device_requests": 12,
        "first_request": at("2026-10-01"),
        "last_request": at("2026-10-31"),
    }


@pytest.mark.parametrize("endpoint", ["devices", "sets", "measurements", "logs"])
def test_every_kind_of_data_of_a_system_counts(endpoint: str) -> None:
    assert systems(request("2026-10-01", endpoint=endpoint)) == {("11", "2026-10", 1)}


@pytest.mark.parametrize("device", ["", "111"])
def test_calls_of_a_device_are_calls_of_its_system(device: str) -> None:
    assert systems(request("2026-10-01", device_id=device)) == {("11", "2026-10", 1)}


@pytest.mark.parametrize("endpoint", ["plants", "token", "logout", "consent", "other"])
def test_what_asks_for_no_system_is_nobody_s(endpoint: str) -> None:
    assert systems(request("2026-10-01", plant_id="", endpoint=endpoint)) == set()


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 504, 308, None])
def test_what_brought_no_data_does_not_count(status: int | None) -> None:
    assert systems(request("2026-10-01", status=status)) == set()
    assert systems(request("2026-10-01", status=status), request("2026-10-01", attempt=2)) == {
        ("11", "2026-10", 1)
    }


def test_the_month_is_that_of_asking_and_not_of_the_day_asked_for() -> None:
    assert systems(request("2026-11-03", request_date="2021-10-05")) == {("11", "2026-11", 1)}


def test_the_zone_of_the_price_list_decides_on_the_month() -> None:
    late = request("2026-10-31T23:30:00")
    assert systems(late) == {("11", "2026-10", 1)}
    assert systems(late, prices=BERLIN) == {("11", "2026-11", 1)}


def test_a_system_with_a_new_id_is_charged_once_and_its_past_stays() -> None:
    moves = pl.DataFrame({"plant_id": ["77"], "old_id": ["11"], "moved_on": [dt.date(2026, 10, 15)]})
    rows = [
        request("2026-09-01"),
        request("2026-10-02"),
        request("2026-10-20", plant_id="77"),
        request("2026-11-01", status=200),
        request("2026-11-02", plant_id="77"),
    ]
    assert systems(*rows, moves=moves) == {("11", "2026-09", 1), ("77", "2026-10", 2), ("77", "2026-11", 2)}


def test_a_system_that_moved_twice_is_followed() -> None:
    day = dt.date(2026, 10, 1)
    moves = pl.DataFrame({"plant_id": ["12", "13"], "old_id": ["11", "12"], "moved_on": [day, day]})
    assert systems(request("2026-10-01"), moves=moves) == {("13", "2026-10", 1)}


def test_ids_that_lead_in_a_circle_end() -> None:
    day = dt.date(2026, 10, 1)
    moves = pl.DataFrame({"plant_id": ["12", "11"], "old_id": ["11", "12"], "moved_on": [day, day]})
    assert len(systems(request("2026-10-01"), moves=moves)) == 1


def capacity(month: str, *lists: tuple[str, str, float | None]) -> tuple[float | None, str | None, str]:
    """Capacity of plant 11 in a month, its class, and the day it is from."""
    months = pl.DataFrame({"plant_id": ["11"], "month": [dt.date.fromisoformat(f"{month}-01")]})
    row = add_capacity(months, listed(*lists)).row(0, named=True)
    return row["capacity_kw"], row["capacity_class"], str(row["capacity_as_of"])


GROWN = (("11", "2026-08-31", 15.0), ("11", "2026-09-30", 90.0), ("11", "2026-11-20", 120.0))


@pytest.mark.parametrize(
    ("month", "expected"),
    [
        ("2026-08", (15.0, "1-19", "2026-08-31")),
        ("2026-09", (90.0, "20-99", "2026-09-30")),
        ("2026-10", (90.0, "20-99", "2026-09-30")),
        ("2026-11", (120.0, "100-499", "2026-11-20")),
        ("2026-07", (15.0, "1-19", "2026-08-31")),
    ],
)
def test_a_month_has_the_capacity_that_was_listed_last_in_it(month: str, expected: object) -> None:
    assert capacity(month, *GROWN) == expected


def test_a_list_without_the_capacity_does_not_take_it_away() -> None:
    assert capacity("2026-10", ("11", "2026-10-01", 15.0), ("11", "2026-10-31", None))[0] == 15.0


def test_a_plant_that_never_had_a_capacity_is_unpriced() -> None:
    rows = record(request("2026-10-01"), request("2026-10-01", plant_id="12")).lazy()
    lists = listed(("11", "2026-10-01", None), ("12", "2026-10-01", 50.0))
    units = build_billing_units(count_asked_systems(rows, NO_MOVES, PRICES), lists, PRICES)
    assert units.select("plant_id", "pricing", "fee_eur").rows() == [
        ("11", "no_capacity", None),
        ("12", "priced", Decimal("16.50")),
    ]


def test_no_requests_are_no_pu() -> None:
    assert (
        build_billing_units(count_asked_systems(record().lazy(), NO_MOVES, PRICES), listed(), PRICES).height
        == 0
    )
