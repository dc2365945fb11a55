"""Log entries: their time with and without Z, on both bases, on days of every length."""

import datetime as dt
import json
from typing import Any

import polars as pl
import pytest

from pipeline.common.local_time import TimeBasis
from pipeline.transform.log_entries import build_entries, build_messages
from schemas import LogMessages, Logs, polars_schema
from warehouse.frames import validate

DAY = dt.date(2025, 7, 9)
PLACES = pl.DataFrame({"plant_id": ["1", "2"], "timezone": ["Europe/Berlin", "UTC"]})


SCHEMA = {
    "plant_id": pl.String,
    "device_id": pl.String,
    "fetched_at": pl.Datetime("us", "UTC"),
    "body": pl.Binary,
}


def logs(*answers: tuple[str, object], day: dt.date = DAY, basis: TimeBasis = "plant_local") -> pl.DataFrame:
    """Answers of plants, or of devices as `plant/device`, each read a minute after the one before."""
    rows = [
        (
            *(f"{owner}/".split("/")[:2]),
            dt.datetime(2025, 7, 10, 0, minute, tzinfo=dt.UTC),
            json.dumps(content).encode(),
        )
        for minute, (owner, content) in enumerate(answers)
    ]
    found = build_entries(pl.DataFrame(rows, schema=SCHEMA, orient="row"), PLACES, day, basis)
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
        "sub_plant_id": "x",
    }


@pytest.mark.parametrize("empty", [{}, {"logId": ""}, {"logId": None}, {"logId": 0}, {"logId": "0"}])
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


# ---- each event once -------------------------------------------------------------------------------------------------

FAN = {"timestamp": "2025-07-09T12:00:00", "messageTagId": 620, "message": "Fan", "level": "Warning"}


def test_an_event_in_the_logs_of_plant_and_device_is_one() -> None:
    found = logs(("1", {"logs": [FAN | {"deviceId": "72"}]}), ("1/72", {"logs": [FAN | {"deviceId": "72"}]}))
    assert found.select("plant_id", "device_id", "message").rows() == [("1", "72", "Fan")]


def test_a_devices_log_names_the_device_that_its_entries_leave_out() -> None:
    found = logs(("1", {"logs": [FAN]}), ("1/72", {"logs": [FAN, FAN | {"messageTagId": 7}]}))
    assert found.select("device_id", "message_tag_id").rows() == [("72", 620), ("72", 7)]


def test_events_of_different_devices_plants_or_times_stay_apart() -> None:
    other_time = FAN | {"timestamp": "2025-07-09T12:00:01"}
    found = logs(
        (
            "1",
            {"logs": [FAN | {"deviceId": "72"}, FAN | {"deviceId": "73"}, other_time | {"deviceId": "72"}]},
        ),
        ("2", {"logs": [FAN, FAN | {"level": "Error"}, FAN | {"message": "fan"}, FAN | {"logId": 5}]}),
    )
    assert found.height == 7


def test_an_event_that_names_no_device_is_no_devices_own_unless_its_log_says_so() -> None:
    found = logs(("1", {"logs": [FAN, FAN | {"deviceId": "72"}]}))
    assert found["device_id"].to_list() == [None, "72"]


def test_the_state_that_was_read_last_counts() -> None:
    before = {"logs": [FAN | {"deviceId": "72", "occurrence": "Ongoing", "counter": 1}]}
    after = {"logs": [FAN | {"deviceId": "72", "occurrence": "Solved", "counter": 4}]}
    for answers in ([("1", before), ("1/72", after)], [("1/72", before), ("1", after)]):
        (row,) = logs(*answers).rows(named=True)
        assert (row["occurrence"], row["counter"]) == ("Solved", 4)


# ---- the dictionary --------------------------------------------------------------------------------------------------

PORTALS = pl.DataFrame({"plant_id": ["1", "2", "c"], "backend": ["ennexos", "ennexos", "classic"]})


def learned(*rows: tuple[str, int | None, int | None, str | None, int]) -> list[tuple[object, ...]]:
    """The dictionary of entries given as plant, tag, event id, text and hour."""
    schema = polars_schema(Logs)
    entries_ = [
        {
            "plant_id": plant,
            "local_date": DAY,
            "message_tag_id": tag,
            "log_id": event,
            "message": text,
            "logged_at": dt.datetime(2025, 7, 9, hour, tzinfo=dt.UTC),
        }
        for plant, tag, event, text, hour in rows
    ]
    found = build_messages(pl.LazyFrame(entries_, schema=schema), PORTALS)
    validate(LogMessages, found, {})
    return found.with_columns(pl.col("first_seen", "last_seen").dt.hour()).rows()


def test_each_text_of_each_tag_and_portal_is_learned() -> None:
    assert learned(
        ("1", 620, 7701, "Fan", 3),
        ("2", 620, 7701, "Fan", 1),
        ("1", 620, 7701, "Lüfter", 2),
        ("c", 620, None, "Fan", 9),
        ("c", None, None, "no tag", 9),
    ) == [
        (620, "classic", "Fan", 7701, 1, 1, 9, 9),
        (620, "ennexos", "Fan", 7701, 1, 2, 1, 3),
        (620, "ennexos", "Lüfter", 7701, 1, 1, 2, 2),
    ]


def test_an_event_id_is_offered_only_where_it_is_the_only_one() -> None:
    found = learned(
        ("1", 1, 10, "a", 0), ("2", 1, 11, "a", 0), ("c", 1, None, "a", 0),
        ("c", 2, None, None, 0), ("1", 3, None, "x", 0),
    )  # fmt: skip
    assert [row[:5] for row in found] == [
        (1, "classic", "a", None, 2),
        (1, "ennexos", "a", None, 2),
        (2, "classic", None, None, 0),
        (3, "ennexos", "x", None, 0),
    ]


def test_a_dictionary_of_nothing_is_empty() -> None:
    assert learned() == []
