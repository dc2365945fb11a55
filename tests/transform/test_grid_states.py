"""What becomes of commands: superseding, cancelling, fallbacks, and answers without states."""

import datetime as dt
from typing import Any

import polars as pl
import pytest

from pipeline.transform.limited_power.grid_states import LISTED, find_states, list_grid_limits, sum_schedules

NOON = dt.datetime(2026, 6, 15, 12, tzinfo=dt.UTC)


def at(hours: float) -> dt.datetime:
    return NOON + dt.timedelta(hours=hours)


def command(schedule: str, start: float, hours: float | None, **more: Any) -> dict[str, Any]:
    """A row of an answer; times are hours after noon, `read` those at which it was read first and last.

    Without `read`, all answers of the plant have it.
    """
    read = more.pop("read", None)
    end = None if hours is None else at(start + hours)
    return {
        "plant_id": "1", "schedule_id": schedule, "created_at": at(-10), "listed_as": 0, "position": 1,
        "is_fallback": hours is None, "command": "FeedInLimit", "standard_command": "opModExpLimW", "value": 3000.0,
        "unit": "W", "command_start": at(start), "duration_s": None if hours is None else hours * 3600,
        "command_end": end, "limit_kind": "feed_in", "limit_kw": 3.0,
        "first_read_at": read and at(read[0]), "last_read_at": read and at(read[1]), **more,
    }  # fmt: skip


def states(rows: list[dict[str, Any]], *read: float) -> pl.DataFrame:
    readings = pl.DataFrame(
        {"plant_id": ["1"] * len(read), "read_at": [at(hours) for hours in read]},
        schema={"plant_id": pl.String, "read_at": LISTED["created_at"]},
    )
    first, last = (
        pl.col("first_read_at").fill_null(at(min(read))),
        pl.col("last_read_at").fill_null(at(max(read))),
    )
    return find_states(pl.DataFrame(rows, schema=LISTED).with_columns(first, last), readings)


def of(found: pl.DataFrame) -> list[tuple[str, str, float | None]]:
    """schedule, state, and the hours after noon at which it ended."""
    return [
        (schedule, state, None if held is None else (held - NOON).total_seconds() / 3600)
        for schedule, state, held in found.select("schedule_id", "state", "held_until").rows()
    ]


@pytest.mark.parametrize(
    ("start", "state"), [(1.0, "Scheduled"), (-1.0, "Active"), (-2.0, "Completed"), (-5.0, "Completed")]
)
def test_without_a_state_the_times_tell(start: float, state: str) -> None:
    found = states([command("a", start, 2)], 0)
    assert of(found) == [("a", state, start + 2)]
    assert found["state_source"].to_list() == ["times"]


@pytest.mark.parametrize("sent", ["Active", "ACTIVE", "active"])
def test_the_state_is_what_sma_says_in_any_case(sent: str) -> None:
    found = states([command("a", 1, 2, sma_state=sent)], 0)
    assert (of(found), found["state_source"].to_list()) == ([("a", "Active", 3)], ["sma"])


def test_a_newer_schedule_supersedes_from_its_first_such_command_on() -> None:
    rows = [
        command("old", -2, 6),
        command("other", -2, 6, standard_command="opModGenLimW", command="opModGenLimW"),
        command("new", 1, 1, created_at=at(-1)),
        command("new", 3, 1, created_at=at(-1), position=2),
    ]
    assert of(states(rows, 2)) == [
        ("new", "Completed", 2.0),
        ("new", "Scheduled", 4.0),
        ("old", "Superseded", 1.0),
        ("other", "Active", 4.0),
    ]


def test_a_schedule_that_came_while_its_time_had_begun_supersedes_when_it_came() -> None:
    rows = [command("old", -5, 10), command("new", -4, 3, created_at=at(-2))]
    assert of(states(rows, 0)) == [("new", "Completed", -1.0), ("old", "Superseded", -2.0)]


def test_where_sma_says_no_time_of_creation_the_order_of_the_answer_tells() -> None:
    rows = [
        command("a", 1, 2, created_at=None, listed_as=0),
        command("b", 2, 2, created_at=None, listed_as=1),
    ]
    assert of(states(rows, 0)) == [("a", "Scheduled", 2.0), ("b", "Scheduled", 4.0)]


def test_a_cancelled_command_ends_when_it_was_first_read_as_cancelled() -> None:
    rows = [
        command("a", 0, 6, sma_state="Active", read=(1, 1)),
        command("a", 0, 6, sma_state="Cancelled", read=(2, 5)),
        command("b", 3, 6, sma_state="Cancelled", read=(2, 5), standard_command="opModGenLimW"),
    ]
    assert of(states(rows, 1, 2, 5)) == [("a", "Cancelled", 2.0), ("b", "Cancelled", 3.0)]
    # One that never began limits nothing.
    assert list_grid_limits(states(rows, 1, 2, 5), "manual").height == 1


def test_what_is_no_longer_listed_was_cancelled_unless_its_time_was_over() -> None:
    rows = [
        command("gone", 0, 6, sma_state="Active", read=(1, 1)),
        command("over", -4, 2, sma_state="Active", read=(-3, 1), standard_command="opModGenLimW"),
    ]
    found = states(rows, -3, 1, 2, 4)
    assert of(found) == [("gone", "Cancelled", 2.0), ("over", "Completed", -2.0)]
    assert found["state_source"].to_list() == ["not_listed", "not_listed"]
    assert found["is_listed"].to_list() == [False, False]


def test_a_fallback_holds_until_a_newer_schedule_begins() -> None:
    rows = [command("a", 0, 2), command("a", 2, None, position=2)]
    assert of(states(rows, 3)) == [("a", "Completed", 2.0), ("a", "Active", None)]
    rows.append(command("b", 8, 1, created_at=at(4)))
    assert of(states(rows, 5)) == [("a", "Completed", 2.0), ("a", "Active", 8.0), ("b", "Scheduled", 9.0)]


def test_schedules_are_the_sums_of_their_commands() -> None:
    rows = [command("a", 0, 2, asked_by="manual"), command("a", 2, None, position=2, asked_by="manual")]
    (one,) = sum_schedules(states(rows, 1)).rows(named=True)
    assert (one["state"], one["n_commands"], one["has_fallback"]) == ("Active", 1, True)
    assert (one["schedule_start"], one["schedule_end"], one["asked_by"]) == (at(0), at(2), "manual")
    assert sum_schedules(states([], 0)).height == 0


def test_limits_name_somebody() -> None:
    found = list_grid_limits(states([command("a", 0, 2)], 1), "manual")
    assert found.select("asked_by", "limit_kw", "kind", "limit_end").rows() == [
        ("manual", 3.0, "feed_in", at(2))
    ]


def test_a_command_that_an_amended_schedule_no_longer_has_is_over() -> None:
    rows = [
        command("a", -4, 1, read=(-5, -5)),
        command("a", -3, 1, position=2, read=(-5, -5)),
        command("a", -2, None, position=3, limit_kw=0.0, read=(-5, -5)),
        command("a", -4, 1, read=(-1, 0)),
        command("a", -3, None, position=2, limit_kw=5.0, read=(-1, 0)),
    ]
    found = states(rows, -5, -1, 0)
    assert of(found) == [("a", "Completed", -3), ("a", "Active", None), ("a", "Cancelled", -1)]
    limits = list_grid_limits(found, "manual")
    assert limits.filter(pl.col("limit_end").is_null())["limit_kw"].to_list() == [5.0]
    assert sum_schedules(found)["is_listed"].to_list() == [True]


@pytest.mark.parametrize("how", ["sma", "not_listed"])
def test_a_newer_schedule_that_was_cancelled_before_its_start_supersedes_nothing(how: str) -> None:
    newer: dict[str, Any] = {"created_at": at(-8)}
    listed = [command("new", 1, 1, **newer, read=(-7, -6))]
    if how == "sma":
        listed.append(command("new", 1, 1, **newer, sma_state="Cancelled", read=(-5, 6)))
    found = states([command("old", 0, 4), *listed], -7, -6, -5, 6)
    assert of(found) == [("new", "Cancelled", 1), ("old", "Completed", 4)]


def test_what_sma_says_was_completed_held_to_its_end() -> None:
    rows = [command("old", -4, 4, sma_state="Completed"), command("new", -3, 1, created_at=at(-5))]
    assert of(states(rows, 1)) == [("new", "Completed", -2), ("old", "Completed", 0)]
