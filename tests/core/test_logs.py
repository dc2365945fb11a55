"""Log entries: their time with and without Z, on both bases, on days of every length."""

import datetime as dt
import json
from typing import Any

import polars as pl
import pytest

from pipeline.logs import entries
from pipeline.timebase import TimeBasis
from schemas import Logs
from warehouse.frames import validate

DAY = dt.date(2025, 7, 9)
PLACES = pl.DataFrame({"plant_id": ["1", "2"], "timezone": ["Europe/Berlin", "UTC"]})


def logs(*answers: tuple[str, object], day: dt.date = DAY, basis: TimeBasis = "plant_local") -> pl.DataFrame:
    rows = [(plant, json.dumps(content).encode()) for plant, content in answers]
    frame = pl.DataFrame(rows, schema={"plant_id": pl.String, "body": pl.Binary}, orient="row")
    found = entries(frame, PLACES, day, basis)
    validate(Logs, found, {"local_date": day})
    return found


def one(
    plant: str = "1", day: dt.date = DAY, basis: TimeBasis = "plant_local", **entry: Any
) -> dict[str, Any]:
    (row,) = logs((plant, {"logs": [entry]}), day=day, basis=basis).rows(named=True)
    return row


def test_a_whole_entry() -> None:
    row = one(
        logId=812,
        timestamp="2025-07-09T12:00:00",
        messageTagId=10201,
        message="Grid voltage too high",
        level="Warning",
        occurrence="Solved",
        counter=3,
        deviceId="72",
        subPlantId="x",
        plantId="1",
    )
    assert row == {
        "plant_id": "1",
        "local_date": DAY,
        "logged_at": dt.datetime(2025, 7, 9, 10, tzinfo=dt.UTC),
        "raw_time": "2025-07-09T12:00:00",
        "device_id": "72",
        "level": "Warning",
        "message_tag_id": 10201,
        "log_id": 812,
        "message": "Grid voltage too high",
        "occurrence": "Solved",
        "counter": 3,
    }


@pytest.mark.parametrize("empty", [{}, {"logId": ""}, {"logId": None}])
def test_classic_keeps_no_id_of_its_events(empty: dict[str, Any]) -> None:
    assert one(timestamp="2025-07-09T12:00:00", **empty)["log_id"] is None


@pytest.mark.parametrize(
    ("time", "basis", "instant"),
    [
        ("2025-07-09T12:00:00", "plant_local", "2025-07-09T10:00:00Z"),
        ("2025-07-09T12:00:00", "utc", "2025-07-09T12:00:00Z"),
        ("2025-07-09T12:00:00Z", "plant_local", "2025-07-09T12:00:00Z"),
        ("2025-07-09T12:00:00Z", "utc", "2025-07-09T12:00:00Z"),
        ("2025-07-09T12:00:00.25Z", "utc", "2025-07-09T12:00:00.25Z"),
        ("2025-07-09T12:00:00+02:00", "utc", None),
        ("yesterday", "plant_local", None),
        ("", "utc", None),
        (None, "utc", None),
    ],
)
def test_times_with_and_without_z(time: str | None, basis: TimeBasis, instant: str | None) -> None:
    row = one(basis=basis, timestamp=time, message="x")
    assert row["logged_at"] == (dt.datetime.fromisoformat(instant) if instant else None)
    assert row["raw_time"] == time


@pytest.mark.parametrize(
    ("day", "time", "instant"),
    [
        ("2025-03-30", "01:30:00", "2025-03-30T00:30:00Z"),
        ("2025-03-30", "12:00:00", "2025-03-30T10:00:00Z"),
        ("2025-03-30", "02:30:00", None),
        ("2025-10-26", "01:30:00", "2025-10-25T23:30:00Z"),
        ("2025-10-26", "02:30:00", "2025-10-26T00:30:00Z"),
        ("2025-10-26", "12:00:00", "2025-10-26T11:00:00Z"),
    ],
)
def test_entries_before_and_behind_a_change_of_clocks(day: str, time: str, instant: str | None) -> None:
    row = one(day=dt.date.fromisoformat(day), timestamp=f"{day}T{time}")
    assert row["logged_at"] == (dt.datetime.fromisoformat(instant) if instant else None)


def test_entries_of_one_second_are_no_sign_of_a_repeated_hour() -> None:
    autumn = {"logs": [{"timestamp": "2025-10-26T02:30:00", "message": text} for text in "abc"]}
    found = logs(("1", autumn), day=dt.date(2025, 10, 26))
    assert found["logged_at"].unique().to_list() == [dt.datetime(2025, 10, 26, 0, 30, tzinfo=dt.UTC)]
    assert found["message"].to_list() == ["a", "b", "c"]


def test_each_plant_has_its_own_zone_and_order() -> None:
    content = {"logs": [{"timestamp": f"2025-07-09T{hour}:00:00"} for hour in (15, 12)]}
    found = logs(("2", content), ("1", content), ("9", content))
    assert found["plant_id"].to_list() == ["1", "1", "2", "2"]
    assert found["logged_at"].dt.hour().to_list() == [13, 10, 15, 12]


@pytest.mark.parametrize("content", [{"logs": []}, {}, {"logs": None}, {"logs": "x"}, {"logs": [None, 5]}])
def test_answers_without_entries_have_none(content: object) -> None:
    assert (
        logs(("1", content))
        .filter(pl.any_horizontal(pl.exclude("plant_id", "local_date").is_not_null()))
        .height
        == 0
    )


def test_no_answers_are_no_entries() -> None:
    assert logs().height == 0
