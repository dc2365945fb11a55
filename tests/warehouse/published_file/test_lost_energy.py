"""Events from come to gone and the energy lost between them, against plants whose true energy is known."""

import datetime as dt
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from pipeline.transform.hourly import pack_quarters, summarize_quarters
from pipeline.transform.sun.clear_sky import compute_clear_sky
from schemas import (
    DeviceEnergyDaily,
    Devices,
    EnergyDaily,
    Logs,
    Plants,
    PvIntervals,
    QuarterHours,
    polars_schema,
)
from schemas.quantities import ENERGY_BALANCE
from tests.small_lake import NOW, put
from warehouse.lake import Lake
from warehouse.published_file.open_published import connect
from warehouse.published_file.publish import publish

QUANTITIES = [field.column for field in ENERGY_BALANCE.powers]
DAYS = [dt.date(2021, 6, 5) + dt.timedelta(days=number) for number in range(13)]
FAULT_DAY = dt.date(2021, 6, 11)
STEP = dt.timedelta(minutes=5)
# Neither end lies on the grid of the rows or of the quarters.
CAME, GONE = (dt.datetime(2021, 6, 11, *clock, tzinfo=dt.UTC) for clock in ((10, 7), (13, 22)))
INVERTERS = {
    "trio": {"t1": 10.0, "t2": 5.0, "t3": 10.0},
    "lone": {"l1": 8.0},
    "near": {"n1": 6.0},
    "far": {"f1": 4.0},
}
PLACES = {
    "trio": (51.0, 9.0),
    "lone": (51.0, 9.1),
    "near": (51.05, 9.1),
    "far": (40.0, 9.0),
    "nowhere": (None, None),
}
REPOWERED = 3.0
# The id that the plant had on all of these days: what SMA sent has it, and what is made of the days has the newest one.
BEFORE_MOVE = {"lone": "lone before"}
FAULTY = {"t2", "l1", "f1"}
# In SMA's list beside those that work: an inverter that l1 replaced, and one that is to replace f1 later.
REPLACED = {"plant_id": "lone before", "device_id": "l0", "deactivated_at": dt.datetime(2019, 3, 1)}  # noqa: DTZ001
SUCCESSOR = {"plant_id": "far", "device_id": "f2"}
WARNED = dt.datetime(2021, 6, 8, 10, tzinfo=dt.UTC)


def cloud(plant: str, moment: dt.datetime) -> float:
    """The sky's share, the same for all plants at 51 degrees; that of the plant far away is always clear."""
    if plant == "far":
        return 1.0
    return 0.55 + 0.4 * math.sin(moment.timestamp() / 1700)


def power_kw(plant: str, kw: float, moment: dt.datetime) -> float:
    """What an inverter would give if all was well: a bell from 6 to 18 o'clock; `far` is larger after the fault."""
    hour = moment.hour + moment.minute / 60
    kw *= REPOWERED if plant == "far" and moment.date() > FAULT_DAY else 1.0
    return kw * cloud(plant, moment) * max(0.0, math.sin(math.pi * (hour - 6) / 12))


def list_rows(day: dt.date) -> Iterator[dict[str, Any]]:
    midnight = dt.datetime.combine(day, dt.time(), dt.UTC)
    for plant, inverters in INVERTERS.items():
        for device, kw in inverters.items():
            for number in range(72, 216):
                start = midnight + number * STEP
                end = start + STEP
                down = max((min(end, GONE) - max(start, CAME)) / STEP, 0.0) if device in FAULTY else 0.0
                mean = power_kw(plant, kw, start + STEP / 2) * (1 - down)
                yield {
                    "plant_id": plant,
                    "device_id": device,
                    "local_date": day,
                    "interval_start": start,
                    "interval_end": end,
                    "pv_generation_w": mean * 1000,
                    "pv_generation_kwh": mean / 12,
                }


def find_truth(plant: str, kw: float) -> float:
    """Energy that the fault took, row by row."""
    lost, start = 0.0, dt.datetime.combine(FAULT_DAY, dt.time(), dt.UTC)
    for number in range(288):
        begin = start + number * STEP
        share = max((min(begin + STEP, GONE) - max(begin, CAME)) / STEP, 0.0)
        lost += share * power_kw(plant, kw, begin + STEP / 2) / 12
    return lost


def entry(
    plant: str, device: str | None, at: dt.datetime | None, occurrence: str | None, **more: Any
) -> dict[str, Any]:
    told = {"level": "Error", "message": "Insulation fault", "message_tag_id": 700}
    sent = BEFORE_MOVE.get(plant, plant)
    row = {"plant_id": sent, "device_id": device, "logged_at": at, "occurrence": occurrence}
    return row | {"local_date": at.date() if at else FAULT_DAY} | told | more


HOUR = dt.timedelta(hours=1)
LONG = [
    (dt.datetime(2021, 6, 18, 9, tzinfo=dt.UTC), "Unsolved"),
    (dt.datetime(2021, 6, 21, 9, tzinfo=dt.UTC), "Solved"),
]
TWO_DAYS = [
    (dt.datetime(2021, 6, 14, 9, tzinfo=dt.UTC), "Unsolved"),
    (dt.datetime(2021, 6, 16, 9, tzinfo=dt.UTC), "Solved"),
]
LOGS = [
    entry("trio", "t2", CAME, "Unsolved"),
    entry("trio", "t2", CAME + HOUR, "Unsolved"),
    entry("trio", "t2", GONE, "Solved"),
    entry("lone", None, CAME, "Ongoing", message="Grid fault"),
    entry("lone", None, GONE, "Solved", message="Grid fault", level="Info"),
    entry("lone", "l1", WARNED, "Unsolved", level="Warning"),
    entry("lone", "l1", WARNED + 2 * HOUR, "Solved", level="Warning"),
    entry("far", "f1", CAME, "Unsolved"),
    entry("far", "f1", GONE, "Solved"),
    # A fault at night took nothing.
    entry("near", "n1", dt.datetime(2021, 6, 5, 22, tzinfo=dt.UTC), "Unsolved"),
    entry("near", "n1", dt.datetime(2021, 6, 6, 2, tzinfo=dt.UTC), "Solved"),
    # The rows of this inverter end with the day before: its communication may be all that was disturbed.
    entry("trio", "t3", dt.datetime(2021, 6, 18, 9, tzinfo=dt.UTC), "Unsolved", message_tag_id=410),
    entry("trio", "t3", dt.datetime(2021, 6, 18, 12, tzinfo=dt.UTC), "Solved", message_tag_id=410),
    # The days between are not stored: what was lost on the one that is says nothing of them.
    *(entry("lone", None, at, occurrence, message_tag_id=411) for at, occurrence in LONG),
    *(entry("lone", "l1", at, occurrence, message_tag_id=412) for at, occurrence in LONG),
    # Here one is.
    *(entry("near", None, at, occurrence, message_tag_id=411) for at, occurrence in TWO_DAYS),
    entry("trio", "meter", CAME, "Unsolved"),
    entry("trio", "meter", GONE, "Solved"),
    entry("nowhere", None, CAME, "Unsolved"),
    entry("nowhere", None, GONE, "Solved"),
    entry("near", "n1", CAME, "Ongoing", level="Info", message_tag_id=1),
    entry("near", "n1", CAME, None, message_tag_id=2),
    entry("near", "n1", None, "Unsolved", message_tag_id=3),
    entry("near", "n1", CAME, "Unsolved", message_tag_id=4),
]


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    root: Path = tmp_path_factory.mktemp("lost")
    lake = Lake(str(root / "lake"), root / "scratch")
    former = json.dumps([{"until": str(FAULT_DAY), "ac_power_kw": None, "peak_power_kw": 4.0}])
    repowered = {"peak_power_kw": 4.0 * REPOWERED, "former_powers": former}
    put(
        lake,
        Plants,
        [
            {
                "plant_id": plant,
                "name": plant.title(),
                "timezone": "Etc/GMT",
                "latitude": place[0],
                "longitude": place[1],
            }
            | {"peak_power_kw": sum(INVERTERS.get(plant, {}).values()) or None}
            | (repowered if plant == "far" else {})
            | {"migrated_from": BEFORE_MOVE.get(plant)}
            for plant, place in (PLACES | {BEFORE_MOVE["lone"]: PLACES["lone"]}).items()
        ],
    )
    devices = [
        {
            "plant_id": BEFORE_MOVE.get(plant, plant),
            "device_id": device,
            "name": device.upper(),
            "generator_power_w": 1000 * kw,
        }
        for plant, inverters in INVERTERS.items()
        for device, kw in inverters.items()
    ]
    # Since the fault SMA gives other powers of two inverters, as of those that were replaced under the same id.
    for device in devices:
        if device["device_id"] in {"t1", "t2"}:
            former = json.dumps([{"until": str(FAULT_DAY), "generator_power_w": device["generator_power_w"]}])
            now = None if device["device_id"] == "t1" else 90_000.0
            device.update(former_powers=former, generator_power_w=now)
    others = [device | {"generator_power_w": 8000.0} for device in (REPLACED, SUCCESSOR)]
    put(lake, Devices, [*devices, *others, {"plant_id": "trio", "device_id": "meter", "name": "Meter"}])
    put(lake, EnergyDaily, [{"plant_id": "near", "local_date": dt.date(2021, 6, 15), "n_rows": 144}])
    put(lake, DeviceEnergyDaily, [{"plant_id": "far", "device_id": "f1", "local_date": FAULT_DAY}])
    zones = pl.DataFrame({"plant_id": list(INVERTERS), "timezone": "Etc/GMT"})
    for day in [*DAYS, dt.date(2021, 6, 18)]:
        rows = [row for row in list_rows(day) if day in DAYS or row["device_id"] != "t3"]
        put(
            lake,
            PvIntervals,
            [row | {"plant_id": BEFORE_MOVE.get(row["plant_id"], row["plant_id"])} for row in rows],
        )
        put(lake, QuarterHours, quarter_rows(pl.DataFrame(rows), zones, day))
    put(lake, Logs, LOGS)
    published = publish(lake, root / "sunledger.duckdb", now=NOW, version="test")
    with connect(published.path) as connection:
        yield connection


def quarter_rows(rows: pl.DataFrame, zones: pl.DataFrame, day: dt.date) -> list[dict[str, Any]]:
    """The plants' quarters as the pipeline makes them, each plant the sum of its inverters."""
    of_plants = (
        rows.group_by("plant_id", "interval_start", "interval_end")
        .agg(pl.col("pv_generation_kwh").sum())
        .sort("plant_id", "interval_end")
        .with_columns(
            pl.lit(None, pl.Float64).alias(f"{name}_kwh") for name in QUANTITIES if name != "pv_generation"
        )
    )
    found = pack_quarters(summarize_quarters([of_plants], zones, day, QUANTITIES), QUANTITIES)
    return found.with_columns(local_date=pl.lit(day)).select(polars_schema(QuarterHours).names()).to_dicts()


def find(
    db: duckdb.DuckDBPyConnection, plant: str, device: str | None, day: dt.date = FAULT_DAY
) -> dict[str, Any]:
    found = db.execute(
        "SELECT * FROM v_lost_energy WHERE plant_id = ? AND device_id IS NOT DISTINCT FROM ? AND local_date = ?",
        [plant, device, day],
    ).pl()
    assert found.height == 1
    return found.row(0, named=True)


@pytest.mark.long
def test_an_inverter_lost_what_its_neighbours_made_meanwhile(db: duckdb.DuckDBPyConnection) -> None:
    found = find(db, "trio", "t2")
    assert found["lost_energy_reference"] == "neighbour_inverters"
    assert found["n_references"] == 2
    assert found["is_estimate"] is True
    assert found["duration_h"] == pytest.approx(3.25)
    assert found["came_at_local"] == CAME.replace(tzinfo=None)
    # The rows at both ends lie in the outage in part, and the inverter worked in the rest of them.
    assert found["lost_kwh"] == pytest.approx(find_truth("trio", 5.0), rel=1e-6)
    assert find_truth("trio", 5.0) == pytest.approx(8.9, abs=1.5)


def test_a_plant_lost_what_the_plants_around_it_made(db: duckdb.DuckDBPyConnection) -> None:
    """Of two plants within 25 km one had a fault itself, so the other one is the only reference."""
    found = find(db, "lone", None)
    assert (found["lost_energy_reference"], found["n_references"]) == ("fleet_neighbours", 1)
    assert found["lost_kwh"] == pytest.approx(find_truth("lone", 8.0), rel=0.02)


def test_without_neighbours_the_plant_s_other_days_are_scaled_by_the_sun(
    db: duckdb.DuckDBPyConnection,
) -> None:
    found = find(db, "far", "f1")
    assert found["lost_energy_reference"] == "clear_sky"
    assert found["n_references"] == 13
    assert found["lost_kwh"] == pytest.approx(find_truth("far", 4.0), rel=0.02)


def test_an_inverter_s_share_of_its_plant_is_one_of_those_that_worked_then(
    db: duckdb.DuckDBPyConnection,
) -> None:
    found = find(db, "lone", "l1", WARNED.date())
    assert (found["lost_energy_reference"], found["n_references"]) == ("fleet_neighbours", 2)
    assert found["reference_kwh"] == pytest.approx(found["measured_kwh"], rel=0.02)


def test_a_fault_at_night_took_nothing(db: duckdb.DuckDBPyConnection) -> None:
    assert find(db, "near", "n1", dt.date(2021, 6, 5))["lost_kwh"] == 0


@pytest.mark.parametrize(
    ("plant", "device", "day", "reason"),
    [
        ("trio", "t3", dt.date(2021, 6, 18), "not_measured"),
        ("lone", None, dt.date(2021, 6, 18), "not_measured"),
        ("lone", "l1", dt.date(2021, 6, 18), "not_measured"),
        ("trio", "meter", FAULT_DAY, "no_inverter"),
        ("nowhere", None, FAULT_DAY, "no_reference"),
    ],
)
def test_where_nothing_serves_there_is_a_reason(
    db: duckdb.DuckDBPyConnection, plant: str, device: str | None, day: dt.date, reason: str
) -> None:
    found = find(db, plant, device, day)
    assert found["lost_energy_reason"] == reason
    of_reference = ("lost_kwh", "reference_kwh", "lost_energy_reference", "n_references")
    assert [found[name] for name in of_reference] == [None] * 4


def test_an_event_over_days_that_are_stored_has_an_estimate(db: duckdb.DuckDBPyConnection) -> None:
    assert find(db, "near", None, dt.date(2021, 6, 14))["lost_energy_reference"] == "fleet_neighbours"


def test_each_entry_has_its_duration_or_says_why_not(db: duckdb.DuckDBPyConnection) -> None:
    found = db.execute(
        "SELECT plant_id, device_id, message_tag_id, logged_at, duration_h, duration_reason FROM v_logs"
    ).fetchall()
    reasons = {(plant, device, tag, at): (hours, why) for plant, device, tag, at, hours, why in found}
    assert reasons["trio", "t2", 700, CAME] == (3.25, None)
    assert reasons["trio", "t2", 700, CAME + HOUR] == (None, "repeated")
    assert reasons["trio", "t2", 700, GONE] == (None, "gone")
    assert reasons["lone before", None, 700, CAME] == (3.25, None)
    assert reasons["near", "n1", 1, CAME] == (None, "info")
    assert reasons["near", "n1", 2, CAME] == (None, "no_occurrence")
    assert reasons["near", "n1", 3, None] == (None, "no_time")
    assert reasons["near", "n1", 4, CAME] == (None, "open")


def test_the_macro_gives_the_sky_of_the_pipeline(db: duckdb.DuckDBPyConnection) -> None:
    moments = pl.datetime_range(
        dt.datetime(2021, 1, 1, tzinfo=dt.UTC),
        dt.datetime(2022, 12, 31, tzinfo=dt.UTC),
        "3h7m",
        time_unit="us",
        time_zone="UTC",
        eager=True,
    )
    places = [(51.3, 9.5), (-37.8, 145.0), (42.4, -71.1), (0.0, 0.0), (65.0, 25.0)]
    frame = pl.concat(
        pl.DataFrame({"at": moments}).with_columns(latitude=pl.lit(north), longitude=pl.lit(east))
        for north, east in places
    )
    sky = compute_clear_sky(frame)
    db.register("sky", sky.to_arrow())
    worst = db.execute(
        'SELECT max(abs(ghi - clear_sky_w_per_m2("at", latitude, longitude))) FROM sky'
    ).fetchall()
    assert worst[0][0] < 2
    assert sky["ghi"].max() > 1000
