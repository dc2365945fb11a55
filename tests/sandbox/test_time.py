"""Time basis, summer time, and which rows a day holds."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from sandbox.days import format_labels
from sandbox.options import TimeRules
from tests.sandbox.served_sandbox import Serve, Served

BERLIN, AUTUMN, SPRING = "5000000", "2023-10-29", "2023-03-26"


def times(it: Served, plant_id: str = BERLIN, **params: str) -> list[str]:
    return [row["time"] for row in it.rows(plant_id, **params)]


def test_autumn_day_has_25_hours_with_an_hour_twice(sandbox: Served) -> None:
    labels = times(sandbox, Date=AUTUMN)
    assert len(labels) == 300
    twice = [label for label, count in Counter(labels).items() if count == 2]
    assert len(twice) == 12
    assert (min(twice), max(twice)) == ("2023-10-29T02:00:00", "2023-10-29T02:55:00")


def test_spring_day_has_23_hours_without_the_lost_one(sandbox: Served) -> None:
    labels = times(sandbox, Date=SPRING)
    assert len(labels) == 276
    assert not [label for label in labels if "T02:" in label]
    assert "2023-03-26T03:00:00" in labels


def test_merged_hour_has_one_row_of_the_mean(serve: Serve, sandbox: Served) -> None:
    it = serve(plants=1, rules=TimeRules(fold="merged"))
    merged = it.rows(BERLIN, Date=AUTUMN)
    both = [row for row in sandbox.rows(BERLIN, Date=AUTUMN) if row["time"] == "2023-10-29T02:30:00"]
    assert len(merged) == 288
    one = next(row for row in merged if row["time"] == "2023-10-29T02:30:00")
    mean = sum(row["totalConsumption"] for row in both) / 2
    assert one["totalConsumption"] == pytest.approx(mean, abs=2e-3)
    energy = it.rows(BERLIN, Date=AUTUMN, ReturnEnergyValues="true")
    whole = sandbox.rows(BERLIN, Date=AUTUMN, ReturnEnergyValues="true")
    assert sum(r["totalConsumption"] for r in energy) == pytest.approx(
        sum(r["totalConsumption"] for r in whole), abs=0.5
    )


def test_utc_labels_shift_the_same_rows(serve: Serve, sandbox: Served) -> None:
    it = serve(plants=1, rules=TimeRules(basis="utc"))
    local, utc = sandbox.rows(BERLIN, Date="2023-06-10"), it.rows(BERLIN, Date="2023-06-10")
    assert utc[0]["time"] == "2023-06-09T22:05:00"
    for one, other in zip(local, utc, strict=True):
        moment = datetime.fromisoformat(one["time"]).replace(tzinfo=ZoneInfo("Europe/Berlin"))
        assert moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S") == other["time"]
        assert {**one, "time": ""} == {**other, "time": ""}


@pytest.mark.parametrize("day", ["2023-06-10", AUTUMN, SPRING])
def test_day_of_utc_holds_the_utc_day(serve: Serve, day: str) -> None:
    it = serve(plants=2, rules=TimeRules(basis="utc", day_of="utc"))
    for plant in it.get("/monitoring/v1/plants")["plants"]:
        labels = times(it, plant["plantId"], Date=day)
        assert len(labels) == 288
        assert labels[0] == f"{day}T00:05:00"
        following = (datetime.fromisoformat(day) + timedelta(days=1)).strftime("%Y-%m-%dT00:00:00")
        assert labels[-1] == following


def test_week_from_its_monday(serve: Serve, sandbox: Served) -> None:
    it = serve(plants=1, rules=TimeRules(week_of="monday"))
    monday = it.rows(BERLIN, "Week", Date="2023-06-10")
    assert monday[0]["time"] == "2023-06-05T00:05:00"
    assert monday == sandbox.rows(BERLIN, "Week", Date="2023-06-05")


@pytest.mark.parametrize("index", [0, 1, 2, 3])
@pytest.mark.parametrize("day", [AUTUMN, SPRING, "2023-11-05", "2023-03-12"])
def test_the_days_rows_never_overlap_and_hold_all_of_its_energy(
    sandbox: Served, index: int, day: str
) -> None:
    plant = next(source.plant for source in sandbox.world.sources() if source.plant.index == index)
    zone = ZoneInfo(plant.zone)
    start = datetime.fromisoformat(day).replace(tzinfo=zone)
    end = (datetime.fromisoformat(day) + timedelta(days=1)).replace(tzinfo=zone)
    rows = sandbox.rows(plant.plant_id, Date=day)
    hours = (end.astimezone(UTC) - start.astimezone(UTC)).total_seconds() / 3600
    assert len(rows) == hours * 3600 / plant.step_s
    kwh = sum(row["totalConsumption"] for row in rows) * plant.step_s / 3.6e6
    exact = sandbox.truth(plant.plant_id, "totalConsumption", start.isoformat(), end.isoformat())
    assert kwh == pytest.approx(exact, abs=1e-4)


def test_classic_data_appears_after_two_hours_or_with_the_package_after_fifteen_minutes(serve: Serve) -> None:
    it = serve(plants=12)
    now = it.world.clock.utc()
    delays = {}
    for source in it.world.sources():
        last = times(
            it, source.plant.plant_id, Date=now.astimezone(ZoneInfo(source.plant.zone)).date().isoformat()
        )[-1]
        moment = datetime.fromisoformat(last).replace(tzinfo=ZoneInfo(source.plant.zone))
        delays[source.plant.plant_id] = (now - moment).total_seconds()
    for source in it.world.sources():
        late = delays[source.plant.plant_id]
        assert source.plant.delay_s <= late < source.plant.delay_s + source.plant.step_s + 1
    assert {source.plant.delay_s for source in it.world.sources()} == {300, 900, 7200}


def test_today_grows_and_yesterday_is_whole(serve: Serve) -> None:
    it = serve(plants=1)
    before = times(it, Date="2024-06-15")
    month = it.rows(BERLIN, "Month", Date="2024-06")
    it.world.clock.advance(3600)
    it.login()
    after = times(it, Date="2024-06-15")
    assert after[: len(before)] == before
    assert len(after) == len(before) + 12
    assert it.rows(BERLIN, "Month", Date="2024-06")[-1]["pvGeneration"] > month[-1]["pvGeneration"]
    assert len(times(it, Date="2024-06-14")) == 288


def test_labels_are_strictly_in_order_in_utc(serve: Serve) -> None:
    it = serve(plants=3, rules=TimeRules(basis="utc"))
    for plant in it.get("/monitoring/v1/plants")["plants"]:
        labels = [row["time"] for row in it.rows(plant["plantId"], "Week", Date="2023-10-25")]
        assert all(one < other for one, other in pairwise(labels))


@pytest.mark.parametrize(
    "zone", ["Europe/Berlin", "America/Santiago", "Australia/Lord_Howe", "Asia/Kolkata", "Asia/Tokyo"]
)
@pytest.mark.parametrize("start", [datetime(2023, month, 1, tzinfo=UTC) for month in (1, 3, 4, 9, 10)])
def test_labels_are_the_wall_clock_of_the_zone(zone: str, start: datetime) -> None:
    ends = np.arange(start.timestamp(), start.timestamp() + 7 * 86400, 1800, dtype=np.int64)
    for some in (ends, ends[:1], ends[40:90]):
        expected = [
            datetime.fromtimestamp(int(end), ZoneInfo(zone)).strftime("%Y-%m-%dT%H:%M:%S") for end in some
        ]
        assert [label.decode() for label in format_labels(some, zone)] == expected
    assert len(format_labels(ends[:0], zone)) == 0
