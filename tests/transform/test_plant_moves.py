"""Two ids of one plant: rows of a day joined without gap or double."""

import datetime as dt

import polars as pl
import pytest

from pipeline.transform.plant_moves import find_successors, join_asked, join_rows

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


def test_a_plant_that_moved_twice_has_one_successor() -> None:
    found = find_successors(plants(("c", "b"), ("b", "a"), ("a", None), ("x", None)))
    assert dict(found.sort("plant_id").iter_rows()) == {"a": "c", "b": "c"}


@pytest.mark.parametrize("circle", [[("a", "b"), ("b", "a")], [("a", "a")]])
def test_a_circle_comes_to_an_end(circle: list[tuple[str, str | None]]) -> None:
    find_successors(plants(*circle))


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
