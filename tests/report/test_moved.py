"""A plant's rows by its two ids become one plant's."""

from collections.abc import Callable
from datetime import date

import polars as pl

from pipeline.report.moved import join_hours, join_months, list_all_ids, rename_plants, take_newest_ids
from pipeline.transform.lists.plant_moves import find_successors

Rows = Callable[..., pl.DataFrame]

# Moved twice: a is b is c.
MOVED = find_successors(pl.DataFrame({"plant_id": ["b", "c"], "migrated_from": ["a", "b"]}))


def test_ids_are_the_newest_and_know_the_earlier_ones() -> None:
    assert take_newest_ids(["a", "b", "x"], MOVED) == ["c", "x"]
    assert list_all_ids(["c", "x"], MOVED) == ["a", "b", "c", "x"]
    assert list_all_ids(["x"], MOVED) == ["x"]


def test_months_closed_under_both_ids_add_up(month_rows: Rows) -> None:
    months = month_rows(
        {"plant_id": "a", "pv_generation_kwh": 10.0, "status": "partial"},
        {"plant_id": "c", "pv_generation_kwh": 5.0},
        {"plant_id": "x", "pv_generation_kwh": None},
    )
    found = join_months(months, MOVED).select("plant_id", "pv_generation_kwh", "status")
    assert found.rows() == [("c", 15.0, "complete"), ("x", None, "complete")]


def test_an_hour_of_both_ids_is_the_mean_of_both() -> None:
    hours = pl.DataFrame(
        {
            "plant_id": ["a", "c", "x"],
            "local_date": [date(2021, 10, 1)] * 3,
            "hour": [12, 12, 12],
            "kwh": [1.0, 3.0, 7.0],
            "hours": [0.5, 0.5, 1.0],
            "load_kwh": pl.Series([None, None, 1.0], dtype=pl.Float64),
            "load_hours": pl.Series([None, None, 1.0], dtype=pl.Float64),
        }
    )
    assert join_hours(hours, MOVED).select("plant_id", "kwh", "hours", "load_kwh").rows() == [
        ("c", 4.0, 1.0, None),
        ("x", 7.0, 1.0, 1.0),
    ]


def test_a_day_that_both_ids_have_is_the_newest_one_s(day_rows: Rows) -> None:
    days = pl.concat([day_rows({1: 1.0, 2: 2.0}, plant_id="b"), day_rows({2: 4.0}, plant_id="c")])
    found = rename_plants(days, MOVED, "local_date").sort("local_date")
    assert found.select("plant_id", "pv_generation_kwh").rows() == [("c", 1.0), ("c", 4.0)]
