"""A fleet's days: which of them are marked as incomplete, and how much of the PV energy's time they cover."""

import datetime as dt
from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from pipeline.report.fleet_figures import list_silent_plants, sum_fleet_days, sum_pv_coverage
from pipeline.report.month import HOURS, build_month_from_grid

Rows = Callable[..., pl.DataFrame]

OCTOBER = dt.date(2021, 10, 1)
SILENT = {"status": "missing", "covered_h": 0.0, "coverage": 0.0}
HALF = {"status": "partial", "covered_h": 6.0, "coverage": 0.5}


def of_pv(days: pl.DataFrame, covered_h: float | None, expected_h: float | None) -> pl.DataFrame:
    values = {"pv_covered_h": covered_h, "pv_expected_h": expected_h}
    coverage = covered_h / expected_h if covered_h is not None and expected_h else None
    return days.with_columns(
        pl.lit(value, pl.Float64).alias(name) for name, value in (values | {"pv_coverage": coverage}).items()
    )


def looks(days: pl.DataFrame) -> list[tuple[str, float | None]]:
    month = build_month_from_grid(sum_fleet_days(days), np.full((HOURS, 31), np.nan), month=OCTOBER)
    return [
        (look, coverage)
        for look, coverage in month.days.select("look", "coverage").rows()
        if look != "unread"
    ]


def test_a_plant_that_is_silent_all_month_marks_no_day_of_the_fleet(day_rows: Rows) -> None:
    well = [day_rows({1: 10.0, 2: 11.0}, plant_id=str(number)) for number in range(3)]
    silent = day_rows({1: None, 2: None}, {1: SILENT, 2: SILENT}, plant_id="silent")
    days = pl.concat([*well, silent])
    assert looks(days) == [("complete", 1.0)] * 2
    assert list_silent_plants(days, OCTOBER) == ["silent"]
    # Its time is still missing from the month: 72 of 96 hours are there.
    month = build_month_from_grid(sum_fleet_days(days), np.full((HOURS, 31), np.nan), month=OCTOBER)
    assert month.coverage == pytest.approx(0.75)


def test_a_plant_that_is_silent_for_a_day_marks_a_small_fleet_and_not_a_large_one(day_rows: Rows) -> None:
    silent = day_rows({1: None, 2: 10.0}, {1: SILENT}, plant_id="x")
    for others, look in ((9, ("partial", 0.9)), (199, ("complete", 0.995))):
        well = [day_rows({1: 10.0, 2: 11.0}, plant_id=str(number)) for number in range(others)]
        days = pl.concat([*well, silent])
        assert looks(days) == [(look[0], pytest.approx(look[1])), ("complete", 1.0)]
        assert list_silent_plants(days, OCTOBER) == []


def test_a_fleet_that_is_silent_altogether_is_missing(day_rows: Rows) -> None:
    days = pl.concat([day_rows({1: None}, {1: SILENT}, plant_id=plant) for plant in "ab"])
    assert [look for look, _ in looks(days)] == ["missing"]


def test_a_complete_day_of_99_8_percent_is_not_marked(day_rows: Rows) -> None:
    """Inverters wake after sunrise: the status decides, not the coverage."""
    nearly = {1: {"covered_h": 11.976, "coverage": 0.998}}
    days = pl.concat([day_rows({1: 10.0}, nearly, plant_id=plant) for plant in "ab"])
    assert [look for look, _ in looks(days)] == ["complete"]


def test_pv_has_its_own_coverage(day_rows: Rows) -> None:
    """The meter covers a day of 24 hours but six; PV lacks them all of its twelve hours of daylight."""
    meter = {"covered_h": 18.0, "expected_h": 24.0, "coverage": 0.75, "status": "partial"}
    days = of_pv(day_rows({1: 5.0}, {1: meter}), 6.0, 12.0)
    assert looks(days) == [("partial", 0.5)]
    assert sum_pv_coverage(days).rows() == [("1", 0.5)]
    # Files of older versions do not have it.
    assert sum_pv_coverage(of_pv(days.drop(pl.selectors.starts_with("pv_c", "pv_e")), None, None)).rows() == [
        ("1", 0.75)
    ]


def test_a_day_that_may_change_is_marked_so(day_rows: Rows) -> None:
    days = pl.concat(
        [day_rows({1: 1.0}, plant_id="a"), day_rows({1: 1.0}, {1: {"status": "provisional"}}, plant_id="b")]
    )
    assert [look for look, _ in looks(days)] == ["provisional"]
    assert [look for look, _ in looks(day_rows({1: 1.0}, {1: HALF}))] == ["partial"]
