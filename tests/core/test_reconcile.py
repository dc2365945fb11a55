"""Differences between measured and the vendor's energies: what is tolerated, and what explains the rest."""

import datetime as dt
import json

import polars as pl
import pytest

from pipeline.reconcile import reconciled, vendor_days
from pipeline.thresholds import load_thresholds

LIMITS = load_thresholds()
FIRST = dt.date(2026, 10, 1)
NO_VALUES = pl.DataFrame(
    schema={
        "plant_id": pl.String,
        "local_date": pl.Date,
        "quantity": pl.String,
        "energy_values_kwh": pl.Float64,
    }
)


def judged(
    *days: tuple[float | None, float | None, float, int], rows: int = 288, policy: str = "none"
) -> pl.DataFrame:
    """Days from the first on: measured kWh, SMA's kWh, largest gap in minutes, flagged rows."""
    key = [
        {"plant_id": "1", "local_date": FIRST + dt.timedelta(days=i), "quantity": "a"}
        for i in range(len(days))
    ]
    facts = {"coverage": 1.0, "covered_h": 24.0, "n_rows": rows}
    measured = [
        {**k, "measured_kwh": kwh, "largest_gap_min": gap, "n_flagged": flagged, **facts}
        for k, (kwh, _, gap, flagged) in zip(key, days, strict=True)
    ]
    vendor = [
        {**k, "vendor_kwh": kwh} for k, (_, kwh, _, _) in zip(key, days, strict=True) if kwh is not None
    ]
    schema = {"plant_id": pl.String, "local_date": pl.Date, "quantity": pl.String, "vendor_kwh": pl.Float64}
    types = {"measured_kwh": pl.Float64}
    mine = pl.DataFrame(measured, schema_overrides=types)
    return reconciled(mine, pl.DataFrame(vendor, schema=schema), NO_VALUES, LIMITS, policy)


@pytest.mark.parametrize(
    ("day", "reason", "agrees"),
    [
        ((10.0, 10.0, 0.0, 0), "none", True),
        ((10.07, 10.0, 0.0, 0), "rounding", True),
        ((9.0, 10.0, 0.0, 0), "unexplained", False),
        ((9.0, 10.0, 30.0, 0), "gap", False),
        # A gap explains less, never more.
        ((11.0, 10.0, 30.0, 0), "unexplained", False),
        ((9.0, 10.0, 30.0, 2), "spike", False),
        ((None, 10.0, 700.0, 0), "not_measured", False),
        ((9.0, None, 0.0, 0), "no_vendor_value", False),
    ],
)
def test_each_difference_has_its_reason(
    day: tuple[float | None, float | None, float, int], reason: str, agrees: bool
) -> None:
    found = judged(day).filter(pl.col("period") == "day")
    assert found.select("reason", "agrees").row(0) == (reason, agrees)


def test_a_hole_over_midnight_is_carried_into_the_next_day_but_not_over_two() -> None:
    carried = judged((8.0, 10.0, 60.0, 0), (12.0, 10.0, 0.0, 0))
    assert carried["reason"].to_list() == ["hole_carried_over", "hole_carried_over", "none"]
    assert carried["agrees"].to_list() == [False, False, True]
    apart = judged((8.0, 10.0, 60.0, 0), (10.0, 10.0, 0.0, 0), (12.0, 10.0, 0.0, 0))
    assert apart["reason"].to_list()[:3] == ["gap", "none", "unexplained"]


def test_rows_of_an_hour_are_allowed_nine_percent() -> None:
    assert judged((10.9, 10.0, 0.0, 0), rows=24)["reason"][0] == "rounding"
    assert judged((10.9, 10.0, 0.0, 0), rows=288)["reason"][0] == "unexplained"


def test_only_the_policy_vendor_would_book_what_the_meter_bridged() -> None:
    days = ((9.0, 10.0, 30.0, 0), (None, 10.0, 700.0, 0), (8.0, 10.0, 0.0, 0))
    assert set(judged(*days)["would_book"]) == {"measured"}
    assert judged(*days, policy="vendor")["would_book"].to_list()[:3] == ["vendor", "vendor", "measured"]


def test_a_month_is_the_sum_of_its_days() -> None:
    month = judged((9.0, 10.0, 30.0, 0), (5.0, 5.0, 0.0, 0)).filter(pl.col("period") == "month")
    names = ("measured_kwh", "vendor_kwh", "difference_kwh", "reason", "agrees")
    assert month.select(names).row(0) == (14.0, 15.0, -1.0, "gap", False)


def test_the_vendors_days_are_read_in_wh_by_their_date() -> None:
    body = {"set": [{"time": "2026-10-01T00:00:00", "pvGeneration": 1500.0}, {"time": "2026-10-02T00:00:00"}]}
    answers = pl.DataFrame({"plant_id": ["1"], "body": [json.dumps(body, separators=(",", ":")).encode()]})
    found = vendor_days(answers, {"pvGeneration": "pv_generation", "gridFeedIn": "grid_feed_in"})
    assert found.rows() == [("1", FIRST, "pv_generation", 1.5)]
