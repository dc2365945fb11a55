"""A month that was closed with other energy than its days have now says so at the top of its pages."""

import datetime as dt

import polars as pl

from pipeline.report.closed_month import describe_changes_since_closing

FIRST = dt.date(2021, 10, 1)
CLOSED = dt.datetime(2021, 11, 20, 8, tzinfo=dt.UTC)


def _months(closed_at: dt.datetime | None = CLOSED) -> pl.DataFrame:
    rows = {"plant_id": ["a", "b"], "pv_generation_kwh": [1000.0, 50.0], "closed_at": [closed_at, closed_at]}
    return pl.DataFrame(rows, schema_overrides={"closed_at": pl.Datetime("us", "UTC")})


def _days(*kwh: float | None) -> pl.DataFrame:
    rows = {"plant_id": ["a", "a", "b", "a"], "pv_generation_kwh": [*kwh, 99.0]}
    dates = [FIRST, dt.date(2021, 10, 31), FIRST, dt.date(2021, 9, 30)]
    return pl.DataFrame(rows | {"local_date": dates})


def test_a_month_whose_days_are_as_they_were_says_nothing() -> None:
    assert describe_changes_since_closing(_months(), _days(400.0, 600.0, 50.0), FIRST) == ""
    assert describe_changes_since_closing(_months(None), _days(1.0, 2.0, 3.0), FIRST) == ""


def test_changed_days_are_named_with_both_sums_and_the_difference() -> None:
    said = describe_changes_since_closing(_months(), _days(400.0, 450.5, 50.0), FIRST)
    assert "The month was closed on 2021-11-20 with 1,050.000 kWh of PV generation" in said
    assert "as they are now, 900.500 kWh; the difference of −149.500 kWh is in the table adjustments." in said


def test_changes_that_cancel_out_in_the_fleet_are_told() -> None:
    said = describe_changes_since_closing(_months(), _days(400.0, 590.0, 60.0), FIRST)
    assert "the difference of 0.000 kWh" in said


def test_a_day_that_lost_its_energy_counts_as_changed() -> None:
    assert "50.000 kWh" in describe_changes_since_closing(_months(), _days(400.0, 600.0, None), FIRST)
