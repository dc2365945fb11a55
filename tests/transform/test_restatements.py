"""What counts as a change of a day, and what is known of why."""

import datetime as dt

import polars as pl

from pipeline.transform.lists.plant_moves import find_successors
from pipeline.transform.restatements import (
    count_changed_rows,
    find_adjusted,
    find_answer_causes,
    find_causes,
    find_restated,
    join_causes,
)

NO_MOVE = find_successors(pl.DataFrame(schema={"plant_id": pl.String, "migrated_from": pl.String}))
FACTS = {"time_basis": "utc", "merged_hour": "gap", "thresholds": "a", "version": "1"}


def intervals(*rows: tuple[str, int, float | None]) -> pl.DataFrame:
    """Plant, minute and W."""
    at = dt.datetime(2026, 10, 1, tzinfo=dt.UTC)
    return pl.DataFrame(
        [(plant, at + dt.timedelta(minutes=minute), watts) for plant, minute, watts in rows],
        schema={"plant_id": pl.String, "interval_end": pl.Datetime("us", "UTC"), "w": pl.Float64},
        orient="row",
    )


def days(*rows: tuple[str, str, float | None, float | None]) -> pl.DataFrame:
    names = ("plant_id", "status", "a_kwh", "b_kwh")
    types = (pl.String, pl.String, pl.Float64, pl.Float64)
    return pl.DataFrame(list(rows), schema=dict(zip(names, types, strict=True)), orient="row")


def test_rows_are_counted_by_their_time_and_values() -> None:
    before = intervals(("1", 5, 1.0), ("1", 10, 2.0), ("1", 15, None), ("2", 5, 1.0))
    after = intervals(("1", 5, 1.0), ("1", 10, None), ("1", 20, 4.0), ("2", 5, 1.0), ("3", 5, 1.0))
    assert count_changed_rows(before, after).rows() == [("1", 1, 1, 1), ("3", 1, 0, 0)]


def test_only_final_figures_that_differ_are_restated() -> None:
    before = days(
        ("1", "complete", 1.0, 2.0),
        ("2", "provisional", 1.0, 1.0),
        ("3", "missing", None, None),
        ("4", "partial", 7.0, 0.0),
    )
    after = days(
        ("1", "complete", 1.0, 3.0),
        ("2", "complete", 9.0, 9.0),
        ("3", "complete", 0.0, None),
        ("5", "complete", 1.0, 1.0),
    )
    found = find_restated(before, after, NO_MOVE, ["a", "b"])
    assert found.select("plant_id", "quantity", "before_kwh", "after_kwh", "difference_kwh").rows() == [
        ("1", "b", 2.0, 3.0, 1.0),
        # Null is not zero.
        ("3", "a", None, 0.0, 0.0),
        ("4", "a", 7.0, None, -7.0),
        ("4", "b", 0.0, None, 0.0),
    ]
    assert found["status_after"].to_list() == ["complete", "complete", None, None]


def test_a_move_alone_restates_nothing_and_two_ids_are_one_plant() -> None:
    moved = find_successors(pl.DataFrame({"plant_id": ["new"], "migrated_from": ["old"]}))
    after = days(("new", "complete", 5.0, None))
    assert find_restated(days(("old", "complete", 5.0, None)), after, moved, ["a", "b"]).height == 0
    both = days(("old", "partial", 3.0, None), ("new", "partial", 4.0, None))
    (row,) = find_restated(both, after, moved, ["a", "b"]).to_dicts()
    assert (row["plant_id"], row["before_kwh"], row["after_kwh"], row["moved"]) == ("new", 7.0, 5.0, True)


def answers(*rows: tuple[str, bytes]) -> pl.DataFrame:
    return pl.DataFrame(
        [(plant, "", "2026-10-01", body) for plant, body in rows],
        schema={"plant_id": pl.String, "device_id": pl.String, "request_date": pl.String, "body": pl.Binary},
        orient="row",
    )


def sites(*rows: tuple[str, float | None]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema={"plant_id": pl.String, "ac_power_kw": pl.Float64}, orient="row")


def test_causes_are_those_of_each_plant() -> None:
    then, now = answers(("1", b"x"), ("2", b"y")), answers(("1", b"z"), ("2", b"y"), ("3", b"w"))
    plants_then, plants_now = sites(("1", None), ("2", 5.0)), sites(("1", None), ("2", 6.0), ("3", 1.0))
    named = [find_answer_causes(then, now), find_causes(FACTS, FACTS, now, (plants_then, plants_now))]
    found = join_causes(pl.concat(named))
    assert dict(found.rows()) == {"1": "answer_changed", "2": "plant_data_changed", "3": "first_answer"}


def test_settings_concern_every_plant_and_join_other_causes() -> None:
    then, now = answers(("1", b"x"), ("2", b"y")), answers(("1", b"z"), ("2", b"y"))
    later = FACTS | {"thresholds": "b", "version": "2"}
    named = [find_answer_causes(then, now), find_causes(FACTS, later, now, (None, sites()))]
    found = join_causes(pl.concat(named))
    assert dict(found.rows()) == {
        "1": "answer_changed+thresholds_changed+version_changed",
        "2": "thresholds_changed+version_changed",
    }


def test_of_a_day_that_says_nothing_no_cause_is_claimed() -> None:
    assert find_causes({}, FACTS, answers(("1", b"z")), (None, sites())).height == 0


def closed_rows(*rows: tuple[str, float | None], closed: bool = True) -> pl.DataFrame:
    at = dt.datetime(2026, 11, 2, tzinfo=dt.UTC) if closed else None
    return pl.DataFrame(
        [(plant, dt.date(2026, 10, 1), kwh, at) for plant, kwh in rows],
        schema={
            "plant_id": pl.String,
            "month": pl.Date,
            "a_kwh": pl.Float64,
            "closed_at": pl.Datetime("us", "UTC"),
        },
        orient="row",
    )


def test_only_closed_figures_that_days_do_not_add_up_to_are_adjusted() -> None:
    closed = closed_rows(("1", 10.0), ("2", 20.0), ("3", None))
    now = closed_rows(("1", 10.0), ("2", 21.0), ("3", 0.0), ("4", 5.0), closed=False)
    found = find_adjusted(closed, now, NO_MOVE, ["a"])
    assert found.select("plant_id", "quantity", "closed_kwh", "now_kwh", "difference_kwh").rows() == [
        ("2", "a", 20.0, 21.0, 1.0),
        ("3", "a", None, 0.0, 0.0),
        ("4", "a", None, 5.0, 5.0),
    ]
    assert set(found["closed_at"]) == {dt.datetime(2026, 11, 2, tzinfo=dt.UTC)}


def test_a_plant_that_moved_since_is_adjusted_under_the_id_of_its_closed_row() -> None:
    moved = find_successors(pl.DataFrame({"plant_id": ["new", "old"], "migrated_from": ["old", "older"]}))
    now = closed_rows(("new", 12.0), closed=False)
    assert find_adjusted(closed_rows(("old", 12.0)), now, moved, ["a"]).height == 0
    found = find_adjusted(closed_rows(("old", 10.0)), now, moved, ["a"])
    assert found.select("plant_id", "difference_kwh").rows() == [("old", 2.0)]
    # Both ids were closed: their sum is the plant's, and the newest row stands for it.
    both = find_adjusted(closed_rows(("old", 4.0), ("new", 7.0)), now, moved, ["a"])
    assert both.select("plant_id", "closed_kwh", "difference_kwh").rows() == [("new", 11.0, 1.0)]
