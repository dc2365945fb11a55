"""Two ids of one plant: rows of a day joined without gap or double."""

import datetime as dt

import duckdb
import polars as pl
import pytest

from pipeline.transform.lists.plant_moves import add_former_ids, find_successors, join_asked, join_rows
from warehouse.views import load_shared

MORNING = dt.datetime(2025, 7, 9, tzinfo=dt.UTC)
PLANT, DEVICE = ["plant_id"], ["plant_id", "device_id"]


def plants(*moves: tuple[str, str | None]) -> pl.DataFrame:
    return pl.DataFrame(moves, {"plant_id": pl.String, "migrated_from": pl.String}, orient="row")


def rows(plant: str, *hours: int, device: str = "") -> pl.DataFrame:
    """Hourly rows by the hour of their end; of the new id their value is 2."""
    return pl.DataFrame(
        {
            "plant_id": [plant] * len(hours),
            "device_id": [device] * len(hours),
            "interval_end": [MORNING + dt.timedelta(hours=hour) for hour in hours],
            "value": [2.0 if plant == "new" else 1.0] * len(hours),
        }
    )


def asked(*series: tuple[str, str, bool | None]) -> pl.DataFrame:
    schema = {"plant_id": pl.String, "device_id": pl.String, "final": pl.Boolean}
    return pl.DataFrame(series, schema, orient="row")


MOVED = find_successors(plants(("new", "old"), ("other", None), ("old", None)))


def joined(*frames: pl.DataFrame, keys: list[str] = PLANT) -> list[tuple[str, int, float]]:
    found = pl.concat(join_rows(frames, MOVED, keys))
    hour = (pl.col("interval_end") - MORNING).dt.total_hours()
    return found.select("plant_id", hour, "value").rows()


# Moves of plants, and what they say of each id that a plant had before: its newest one, and the moves between them.
MOVES: list[tuple[list[tuple[str, str | None]], list[tuple[str, str, int]]]] = [
    ([("c", "b"), ("b", "a"), ("a", None), ("x", None)], [("a", "c", 2), ("b", "c", 1)]),
    # A plant that no list has had, and a chain whose ids do not rise.
    ([("1", "3"), ("3", "2"), ("2", "4")], [("2", "1", 2), ("3", "1", 1), ("4", "1", 3)]),
    # Two plants took the place of one: the greater id counts, also where it moved again.
    ([("b", "a"), ("c", "a"), ("d", "c")], [("a", "d", 2), ("c", "d", 1)]),
    ([("a", "b"), ("b", "a")], []),
    ([("a", "a")], []),
    # Into a circle.
    ([("b", "a"), ("c", "b"), ("b", "c")], []),
]


@pytest.mark.parametrize(("moves", "expected"), MOVES)
def test_each_id_of_before_has_one_successor(
    moves: list[tuple[str, str | None]], expected: list[tuple[str, str, int]]
) -> None:
    assert find_successors(plants(*moves)).sort("plant_id").rows() == expected


@pytest.mark.parametrize(("moves", "expected"), MOVES)
def test_the_views_have_the_same_rule(
    moves: list[tuple[str, str | None]], expected: list[tuple[str, str, int]]
) -> None:
    with duckdb.connect() as connection:
        connection.register("plants", plants(*moves).to_arrow())
        query = f"SELECT * FROM ({load_shared('plant_moves')}) ORDER BY former_id"
        assert connection.execute(query).fetchall() == expected


def test_all_ids_of_before_are_known() -> None:
    found = add_former_ids(plants(("c", "b"), ("b", "a"), ("a", None)))
    assert [(plant, sorted(ids)) for plant, ids in found.select("plant_id", "former_ids").rows()] == [
        ("c", ["a", "b"]),
        ("b", ["a"]),
        ("a", []),
    ]


def test_of_a_plant_that_moved_twice_each_moment_counts_once() -> None:
    moved = find_successors(plants(("new", "mid"), ("mid", "old")))
    hour = (pl.col("interval_end") - MORNING).dt.total_hours()
    for frames, expected in (
        ((rows("old", 1, 2), rows("mid", 1, 2)), [1, 2]),
        ((rows("old", 1, 2, 3, 4), rows("mid", 2, 3), rows("new", 3)), [1, 2, 3]),
        ((rows("old", 1, 2), rows("new", 2)), [1, 2]),
    ):
        found = pl.concat(join_rows(frames, moved, PLANT))
        assert found.select("plant_id", hour).rows() == [("new", one) for one in expected]
    both = join_asked(asked(("old", "a", False), ("mid", "b", True)), moved, DEVICE).sort(DEVICE)
    assert both.select("device_id", "final", "replaced").rows() == [("a", True, True), ("b", True, False)]


def test_without_moves_frames_pass_as_they_are() -> None:
    frame = rows("other", 1, 2)
    assert list(join_rows([frame], find_successors(plants(("other", None))), PLANT)) == [frame]


def test_the_morning_of_the_old_id_and_the_rest_of_the_new_one_are_one_day() -> None:
    assert joined(rows("new", 3, 4), rows("old", 1, 2)) == [
        ("new", 1, 1.0),
        ("new", 2, 1.0),
        ("new", 3, 2.0),
        ("new", 4, 2.0),
    ]


def test_where_the_new_id_has_it_all_nothing_counts_twice() -> None:
    assert joined(rows("old", 1, 2), rows("new", 1, 2, 3)) == [(*("new", h), 2.0) for h in (1, 2, 3)]


def test_a_day_of_the_old_id_alone_is_the_new_one_s() -> None:
    assert joined(rows("old", 1, 2)) == [("new", 1, 1.0), ("new", 2, 1.0)]


def test_other_plants_in_the_same_frame_are_left_alone() -> None:
    frames = list(join_rows([pl.concat([rows("old", 1), rows("other", 5)])], MOVED, PLANT))
    assert [frame["plant_id"].to_list() for frame in frames] == [["other"], ["new"]]


def test_devices_of_the_old_id_count_until_those_of_the_new_one_begin() -> None:
    frames = [rows("old", 1, 2, 3, device="a"), rows("new", 3, 4, device="b")]
    found = pl.concat(join_rows(frames, MOVED, DEVICE))
    assert found.group_by("device_id", maintain_order=True).len().rows() == [("a", 2), ("b", 2)]
    assert set(found["plant_id"]) == {"new"}


def test_the_new_id_says_whether_the_day_is_final() -> None:
    (row,) = join_asked(asked(("old", "", False), ("new", "", True)), MOVED, PLANT).rows(named=True)
    assert row == {"plant_id": "new", "final": True, "replaced": False}
    (row,) = join_asked(asked(("old", "", True), ("new", "", False)), MOVED, PLANT).rows(named=True)
    assert not row["final"]
    (row,) = join_asked(asked(("old", "", True)), MOVED, PLANT).rows(named=True)
    assert row == {"plant_id": "new", "final": True, "replaced": False}


def test_devices_of_the_old_id_are_replaced_where_the_new_ones_were_asked() -> None:
    both = asked(("old", "a", False), ("new", "b", True), ("other", "c", True))
    found = join_asked(both, MOVED, DEVICE).sort(DEVICE)
    assert found.select("device_id", "final", "replaced").rows() == [
        ("a", True, True),
        ("b", True, False),
        ("c", True, False),
    ]
    alone = join_asked(asked(("old", "a", True)), MOVED, DEVICE)
    assert alone.select("plant_id", "replaced").rows() == [("new", False)]
