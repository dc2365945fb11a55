"""The figures behind the picture: what each day and each hour shows."""

from collections.abc import Callable
from datetime import date

import numpy as np
import polars as pl
import pytest

from pipeline.report.month import build_month

Rows = Callable[..., pl.DataFrame]

BRISBANE = "Australia/Brisbane"
BERLIN = "Europe/Berlin"
OCTOBER = date(2021, 10, 1)


def test_every_day_of_the_month_has_a_look(day_rows: Rows, interval_rows: Rows) -> None:
    days = day_rows(
        {1: 10.0, 2: 5.0, 3: None, 4: 7.0, 5: None, 6: 8.0},
        {
            2: {"status": "partial", "coverage": 0.5, "covered_h": 6.0},
            3: {"status": "missing", "coverage": 0.0, "covered_h": 0.0},
            4: {"status": "provisional"},
            5: {"status": "partial", "coverage": 0.0, "covered_h": 0.0},
            6: {"coverage": 0.998},
        },
    )
    month = build_month(days, interval_rows([1]), timezone=BRISBANE, month=date(2021, 10, 17))
    assert month.first == OCTOBER
    assert month.days["day"].to_list() == list(range(1, 32))
    assert month.days["look"].to_list()[:6] == [
        "complete",
        "partial",
        "missing",
        "provisional",
        "missing",  # a row, but no value
        "complete",  # its inverter woke a little after sunrise, which is no gap
    ]
    assert set(month.days["look"][6:]) == {"unread"}
    assert (month.n_days, month.n_held, month.n_missing) == (31, 6, 2)
    assert month.kwh == pytest.approx(30.0)
    assert month.coverage == pytest.approx((12 + 6 + 0 + 12 + 0 + 12) / 72)


def test_nothing_measured_is_no_energy_and_not_zero(day_rows: Rows, interval_rows: Rows) -> None:
    days = day_rows(
        {1: None}, {1: {"status": "missing", "expected_h": 0.0, "covered_h": 0.0, "coverage": None}}
    )
    month = build_month(days, interval_rows([]), timezone=BRISBANE, month=OCTOBER)
    assert month.kwh is None
    assert month.coverage is None
    assert np.isnan(month.power_kw).all()


def test_rows_of_other_months_are_left_out(day_rows: Rows, interval_rows: Rows) -> None:
    september = date(2021, 9, 1)
    days = pl.concat([day_rows({30: 99.0}, month=september), day_rows({1: 10.0})])
    intervals = pl.concat([interval_rows([30], month=september), interval_rows([1])])
    month = build_month(days, intervals, timezone=BRISBANE, month=OCTOBER)
    assert month.kwh == 10.0
    assert np.isfinite(month.power_kw[:, 0]).all()
    assert np.isnan(month.power_kw[:, 1:]).all()


@pytest.mark.parametrize("minutes", [5, 15, 60])
def test_power_is_the_mean_of_the_local_hour(interval_rows: Rows, day_rows: Rows, minutes: int) -> None:
    # 6 in the morning in Brisbane is 20 o'clock of the day before in UTC.
    intervals = interval_rows([2], lambda hour: 1000.0 if 6 <= hour < 8 else 0.0, minutes=minutes)
    month = build_month(day_rows({2: 2.0}), intervals, timezone=BRISBANE, month=OCTOBER)
    assert month.power_kw[:, 1] == pytest.approx([0.0] * 6 + [1.0, 1.0] + [0.0] * 16)


def test_a_mean_weighs_uneven_intervals_by_their_length(interval_rows: Rows, day_rows: Rows) -> None:
    quarter = interval_rows([1]).head(1)
    start = quarter["interval_start"][0]
    three_quarters = quarter.with_columns(
        interval_start=pl.lit(start) + pl.duration(minutes=15),
        interval_end=pl.lit(start) + pl.duration(minutes=60),
        pv_generation_kwh=pl.lit(0.75),
    )
    rows = pl.concat([quarter.with_columns(pv_generation_kwh=pl.lit(0.0)), three_quarters])
    month = build_month(day_rows({1: 0.75}), rows, timezone=BRISBANE, month=OCTOBER)
    assert month.power_kw[0, 0] == pytest.approx(0.75)


def test_an_interval_over_the_full_hour_counts_where_its_middle_is(
    interval_rows: Rows, day_rows: Rows
) -> None:
    first = interval_rows([1]).head(1)
    early, late = (
        first.with_columns(
            pl.col("interval_start") + pl.duration(minutes=start),
            pl.col("interval_end") + pl.duration(minutes=start + 15),
            pv_generation_kwh=pl.lit(0.5),
        )
        for start in (40, 50 + 60)
    )
    month = build_month(day_rows({1: 1.0}), pl.concat([early, late]), timezone=BRISBANE, month=OCTOBER)
    # 00:40-01:10 is of the first hour, 01:50-02:20 of the third.
    assert np.flatnonzero(np.isfinite(month.power_kw[:, 0])).tolist() == [0, 2]


def test_an_hour_without_a_value_stays_empty(interval_rows: Rows, day_rows: Rows) -> None:
    gap = interval_rows([1], lambda hour: None if 10 <= hour < 11 else 100.0)
    absent = gap.filter(pl.col("interval_start").dt.convert_time_zone(BRISBANE).dt.hour() != 14)
    month = build_month(day_rows({1: 1.0}), absent, timezone=BRISBANE, month=OCTOBER)
    assert np.flatnonzero(np.isnan(month.power_kw[:, 0])).tolist() == [10, 14]


@pytest.mark.parametrize(
    ("first", "day", "empty"),
    [(date(2021, 3, 1), 28, [2]), (date(2021, 10, 1), 31, [])],
)
def test_days_of_23_and_25_hours_keep_the_clocks_hours(
    interval_rows: Rows, day_rows: Rows, first: date, day: int, empty: list[int]
) -> None:
    intervals = interval_rows([day], lambda hour: 1000.0 if hour >= 12 else 0.0, month=first, zone=BERLIN)
    assert intervals.height in {23 * 4, 25 * 4}
    month = build_month(day_rows({day: 12.0}, month=first), intervals, timezone=BERLIN, month=first)
    hours = month.power_kw[:, day - 1]
    assert np.flatnonzero(np.isnan(hours)).tolist() == empty
    # A repeated hour is still a mean of power, not a sum.
    assert hours[12:] == pytest.approx([1.0] * 12)
    assert np.nanmax(hours) == pytest.approx(1.0)


def test_a_picture_is_of_one_plant(day_rows: Rows, interval_rows: Rows) -> None:
    for days in (
        pl.concat([day_rows({1: 1.0}), day_rows({2: 1.0}, plant_id="2")]),
        pl.concat([day_rows({1: 1.0}), day_rows({1: 1.0})]),
    ):
        with pytest.raises(ValueError, match="one plant"):
            build_month(days, interval_rows([1]), timezone=BRISBANE, month=OCTOBER)
