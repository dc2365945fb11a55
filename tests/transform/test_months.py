"""Months are the sums of their days, whatever the order, with a status to go by."""

import datetime as dt
from fractions import Fraction

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.transform.daily import summarize_months
from schemas import EnergyDaily, EnergyMonthly, polars_schema
from schemas.quantities import ENERGY_BALANCE
from tests.transform.answers import examples
from tests.transform.plant_day import figures
from warehouse.frames import validate

QUANTITIES = [each.column for each in ENERGY_BALANCE.powers]
NO_STARTS = pl.DataFrame(
    {"plant_id": ["1", "2"], "start_date": [None, None]},
    schema={"plant_id": pl.String, "start_date": pl.Date},
)


def daily(
    count: int = 31, *, first: str = "2025-10-01", plant: str = "1", **figures_: object
) -> pl.DataFrame:
    """`count` complete days from `first` on, with other figures where given."""
    begin = dt.date.fromisoformat(first)
    facts = {
        "covered_h": 10.0,
        "expected_h": 12.0,
        "coverage": 10 / 12,
        "largest_gap_min": 3.0,
        "bridged_h": 0.25,
        "n_rows": 100,
        "n_flagged": 1,
        "n_suspect": 0,
        "status": "complete",
        "pv_generation_kwh": 5.5,
        "pv_generation_covered_h": 9.0,
    }
    days = [
        {"plant_id": plant, "local_date": begin + dt.timedelta(days=n)} | facts | figures_
        for n in range(count)
    ]
    return pl.DataFrame(days, schema=polars_schema(EnergyDaily))


def months(days: pl.DataFrame, starts: pl.DataFrame = NO_STARTS) -> list[dict[str, object]]:
    table = summarize_months(days, starts, QUANTITIES).select(polars_schema(EnergyMonthly).names())
    for month in table["month"].unique():
        validate(EnergyMonthly, table.filter(month=month), {"month": month})
    return table.rows(named=True)


def test_a_month_is_the_sum_of_its_days() -> None:
    (month,) = months(daily())
    assert month["month"] == dt.date(2025, 10, 1)
    assert (month["n_days"], month["n_days_missing"], month["n_rows"], month["n_flagged"]) == (
        31,
        0,
        3100,
        31,
    )
    assert (month["pv_generation_kwh"], month["pv_generation_covered_h"]) == (170.5, 279.0)
    assert (month["grid_feed_in_kwh"], month["grid_feed_in_covered_h"]) == (None, None)
    assert figures(month) == (310.0, 372.0, pytest.approx(10 / 12), 3.0, "complete")
    assert month["bridged_h"] == 31 * 0.25


def test_a_month_with_a_day_that_does_not_tell_what_it_bridges_does_not_either() -> None:
    (month,) = months(pl.concat([daily(30), daily(1, first="2025-10-31", bridged_h=None)]))
    assert month["bridged_h"] is None


def test_months_and_plants_are_kept_apart_and_in_order() -> None:
    days = pl.concat([daily(61, plant="2"), daily(40)])
    found = [(month["month"], month["plant_id"], month["n_days"], month["status"]) for month in months(days)]
    october, november = dt.date(2025, 10, 1), dt.date(2025, 11, 1)
    assert found == [
        (october, "1", 31, "complete"), (october, "2", 31, "complete"),
        (november, "1", 9, "partial"), (november, "2", 30, "complete"),
    ]  # fmt: skip


def test_a_null_day_adds_nothing_and_hides_nothing() -> None:
    silent = daily(
        1, first="2025-10-31", status="missing", pv_generation_kwh=None, pv_generation_covered_h=None
    )
    (month,) = months(pl.concat([daily(30), silent]))
    assert (month["pv_generation_kwh"], month["n_days"], month["n_days_missing"]) == (165.0, 31, 1)
    assert month["status"] == "partial"


def test_a_month_of_silence_is_missing_and_not_zero() -> None:
    (month,) = months(daily(31, status="missing", pv_generation_kwh=None, covered_h=0.0))
    assert (month["pv_generation_kwh"], month["coverage"], month["status"]) == (None, 0.0, "missing")


@pytest.mark.parametrize(
    ("status", "is_"),
    [
        ("complete", "complete"),
        ("partial", "partial"),
        ("missing", "partial"),
        ("provisional", "provisional"),
    ],
)
def test_one_day_decides_a_month(status: str, is_: str) -> None:
    (month,) = months(pl.concat([daily(30), daily(1, first="2025-10-31", status=status)]))
    assert month["status"] == is_


@pytest.mark.parametrize(
    ("first", "count", "start", "status"),
    [
        ("2025-10-01", 31, None, "complete"),
        ("2025-10-01", 30, None, "partial"),
        ("2025-10-20", 12, None, "partial"),
        ("2025-10-20", 12, "2025-10-20", "complete"),
        ("2025-10-21", 11, "2025-10-20", "partial"),
        ("2025-10-01", 31, "2019-01-01", "complete"),
        ("2025-10-31", 1, "2025-10-31", "complete"),
        ("2024-02-01", 29, None, "complete"),
        ("2024-02-01", 28, None, "partial"),
        ("2025-02-01", 28, None, "complete"),
    ],
)
def test_a_month_is_complete_with_all_days_since_the_start(
    first: str, count: int, start: str | None, status: str
) -> None:
    begins = dt.date.fromisoformat(start) if start else None
    starts = NO_STARTS.with_columns(start_date=pl.lit(begins, pl.Date))
    (month,) = months(daily(count, first=first), starts)
    assert month["status"] == status


def test_a_month_in_which_nothing_was_expected_has_no_coverage() -> None:
    (month,) = months(daily(expected_h=0.0, covered_h=0.0, coverage=None))
    assert month["coverage"] is None


@examples(40)
@given(st.lists(st.floats(0, 1e6), min_size=31, max_size=31), st.randoms(use_true_random=False))
def test_a_month_does_not_depend_on_the_order_of_its_days(energies: list[float], chance: object) -> None:
    days = daily().with_columns(pv_generation_kwh=pl.Series(energies))
    (month,) = months(days)
    assert month["pv_generation_kwh"] == pytest.approx(
        float(sum(map(Fraction, energies))), rel=1e-14, abs=1e-13
    )
    shuffled = days.sample(fraction=1, shuffle=True, seed=chance.randint(0, 10**6))  # type: ignore[attr-defined]
    assert months(shuffled) == [month]


def test_a_fleet_of_months_is_the_same_in_every_run() -> None:
    values = [((number * 7919) % 1000) / 7 for number in range(31)]
    fleet = pl.concat(
        daily(plant=f"{number:04}").with_columns(pv_generation_kwh=pl.Series(values) + number / 3)
        for number in range(300)
    )
    starts = fleet.select("plant_id", start_date=pl.lit(None, pl.Date)).unique()
    first = summarize_months(fleet, starts, QUANTITIES)
    for seed in range(3):
        again = summarize_months(fleet.sample(fraction=1, shuffle=True, seed=seed).lazy(), starts, QUANTITIES)
        assert again.equals(first)


def test_no_days_are_no_months() -> None:
    assert months(daily(0)) == []
