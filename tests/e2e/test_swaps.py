"""Inverters that were replaced: both series join per plant, history is fetched, and nothing of it is lost later."""

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest

from pipeline.common.local_time import find_local_day
from pipeline.common.settings import load_settings
from pipeline.run.context import RunContext
from pipeline.run.notices import Notices
from pipeline.sma.requests import Request
from sandbox.launch import run_sandbox
from schemas import DeviceEnergyDaily, Devices, EnergyDaily, Plants, Quarantine
from tests.noticed import noticed
from tests.scripted import ScriptedSma, rows
from tests.scripted_home import Stage, make_settings, take_stage
from tests.whole_days import MONDAY, TUESDAY, build, fetch, refresh

New = Callable[..., RunContext]
SUNDAY = MONDAY - dt.timedelta(days=1)
SATURDAY = SUNDAY - dt.timedelta(days=1)
# Each plant lost its inverter on Monday at noon. Of some SMA does not say when: the old one is inactive, that is all.
DATED, SILENT, UNDATED, NEVER = "11", "12", "13", "14"
FLEET = [DATED, SILENT, UNDATED, NEVER]
# The last figures of their ids.
OLD, NEW = "0", "1"
# Answers that have no rows.
EMPTY = {(f"{SILENT}1", str(TUESDAY)), (f"{SILENT}0", str(SUNDAY)), (f"{UNDATED}0", str(SUNDAY))}


def list_devices(sma: ScriptedSma, plant: str, *, with_old: bool = True) -> None:
    """The old inverter, whose id ends with 0, and its successor, whose id ends with 1."""
    ended = {"deactivatedAt": "2021-10-04T12:00:00"} if plant in {DATED, SILENT} else {}
    old = {"deviceId": f"{plant}0", "name": "Replaced", "isActive": False, **ended}
    new = {"deviceId": f"{plant}1", "name": "Inverter", "isActive": True}
    sma.devices[plant] = [old, new] if with_old else [new]


def compose(found: list[dict[str, Any]]) -> bytes:
    return json.dumps({"resolution": "FiveMinutes", "set": found}).encode()


def before_and_after_noon(request: Request) -> bytes | None:
    """2 kW of the old inverter up to the swap, 3 kW of the new one from then on."""
    if request.endpoint != "measurements":
        return None
    if not request.device_id:
        return compose(rows(request.date, 5000.0)) if request.plant_id == UNDATED else None
    is_old = request.device_id.endswith("0")
    if (request.device_id, request.date) in EMPTY or request.device_id == f"{NEVER}0":
        return compose([])
    if request.plant_id == NEVER:
        return None
    found = rows(request.date, 2000.0 if is_old else 3000.0)
    return compose([row for row in found if (row["time"] <= "2021-10-04T12:00:00") == is_old])


def by_device(devices: pl.DataFrame, plant: str) -> dict[tuple[int, str], tuple[float | None, str]]:
    """kWh and status by day of the month and device of a plant; a device by the last figure of its id."""
    columns = devices.filter(plant_id=plant).select("local_date", "device_id", "pv_generation_kwh", "status")
    return {(day.day, device[-1]): (kwh, status) for day, device, kwh, status in columns.rows()}


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Stage, Stage]:
    """Three days of the fleet, each made when it was fetched; and, with one before them, made when all were there."""
    settings, sma = make_settings(tmp_path_factory.mktemp("swaps")), ScriptedSma()
    sma.lists, sma.special = list(FLEET), before_and_after_noon
    for plant in FLEET:
        list_devices(sma, plant)
    days, models = (SUNDAY, MONDAY, TUESDAY), [DeviceEnergyDaily, Quarantine]

    def fetch_and_make(runtime: RunContext) -> Notices:
        return noticed([refresh(runtime), *(step(runtime, day) for day in days for step in (fetch, build))])

    def make_again(runtime: RunContext) -> Notices:
        return noticed([fetch(runtime, SATURDAY), *(build(runtime, day) for day in (SATURDAY, *days))])

    one_by_one = take_stage(settings, sma, models, fetch_and_make)
    return one_by_one, take_stage(settings, sma, models, make_again)


@pytest.fixture(scope="module")
def one_by_one(stages: tuple[Stage, Stage]) -> Stage:
    return stages[0]


def test_on_the_day_of_a_swap_both_inverters_count(one_by_one: Stage) -> None:
    found = by_device(one_by_one.frames[DeviceEnergyDaily], DATED)
    assert found[3, OLD] == (pytest.approx(48.0), "complete")
    # The old one owes nothing after noon; the new one is not known to have begun then.
    assert found[4, OLD] == (pytest.approx(24.0), "complete")
    assert found[4, NEW] == (pytest.approx(36.0), "partial")
    assert found[5, NEW] == (pytest.approx(72.0), "complete")
    assert (5, OLD) not in found
    # Nor is the new one missing on the day before, though it was asked for.
    assert (3, NEW) not in found
    assert (f"{DATED}1", str(SUNDAY)) in {(r.device_id, r.date) for r in one_by_one.asked}


def test_a_new_inverter_is_missing_once_it_had_a_row_or_the_old_one_is_gone(one_by_one: Stage) -> None:
    found = by_device(one_by_one.frames[DeviceEnergyDaily], SILENT)
    assert found[3, OLD] == (None, "missing")
    assert (3, NEW) not in found
    assert found[5, NEW] == (None, "missing")


def test_an_inactive_inverter_without_an_end_date_is_not_missing_after_its_last_day(
    stages: tuple[Stage, Stage],
) -> None:
    days = stages[1]
    found = by_device(days.frames[DeviceEnergyDaily], UNDATED)
    # A silent day before its last one is a gap like any other.
    assert found[2, OLD] == (pytest.approx(48.0), "complete")
    assert found[3, OLD] == (None, "missing")
    assert found[4, OLD][0] == pytest.approx(24.0)
    assert (5, OLD) not in found
    # Its successor is not missing while it was there.
    assert (2, NEW) not in found
    assert found[5, NEW] == (pytest.approx(72.0), "complete")
    # So the inverters are held against their plant, which says 120 kWh every day.
    told = days.rows(Quarantine, UNDATED).filter(pl.col("reason") == "inverters_sum")
    assert dict(told.select("local_date", "value").rows())[TUESDAY] == pytest.approx(72.0 - 120.0)


def test_an_inactive_inverter_that_never_had_a_row_is_not_missing(one_by_one: Stage) -> None:
    assert by_device(one_by_one.frames[DeviceEnergyDaily], NEVER) == {
        (day, NEW): (pytest.approx(24.0), "complete") for day in (3, 4, 5)
    }


def test_what_a_device_delivered_stays_when_no_list_names_it_any_more(
    new_runtime: New, sma: ScriptedSma
) -> None:
    old, new = f"{DATED}0", f"{DATED}1"
    list_devices(sma, DATED)
    sma.special = before_and_after_noon
    runtime = new_runtime(DATED)
    refresh(runtime)
    fetch(runtime, MONDAY)
    build(runtime, MONDAY)
    before = runtime.lake.scan(DeviceEnergyDaily).collect()
    assert by_device(before, DATED).keys() == {(4, OLD), (4, NEW)}
    list_devices(sma, DATED, with_old=False)
    later = new_runtime(DATED)
    later.now = lambda: dt.datetime(2021, 10, 25, 12, tzinfo=dt.UTC)
    later.again = True
    refresh(later)
    assert old in later.lake.scan(Devices).collect()["device_id"].to_list()
    sma.asked.clear()
    fetch(later, MONDAY)
    build(later, MONDAY)
    assert by_device(later.lake.scan(DeviceEnergyDaily).collect(), DATED) == by_device(before, DATED)
    # Its past is asked for as long as SMA gives it, its future is not.
    assert old in {request.device_id for request in sma.asked}
    sma.asked.clear()
    fetch(later, TUESDAY)
    assert {request.device_id for request in sma.asked} == {"", new}


@pytest.mark.long
def test_a_backfill_fetches_the_history_of_replaced_inverters(tmp_path: Path) -> None:
    """Plant 2 of every fleet lost its first inverter: its days around the swap, and one of long before."""
    with run_sandbox("--plants", "3") as address:
        given = {name.lower(): value for name, value in address.settings().items()}
        settings = load_settings(env_file=None, home=tmp_path / "home", **given)
        with RunContext(settings) as runtime:
            refresh(runtime)
            old, new, swap = _swapped(runtime)
            days = [swap - dt.timedelta(days=400), swap - dt.timedelta(days=1), swap]
            plants = runtime.lake.scan(Plants).collect()
            runtime.only_plants = frozenset({old[0]})
            for day in days:
                fetch(runtime, day)
                build(runtime, day)
            daily = runtime.lake.scan(DeviceEnergyDaily).collect()
            plant = runtime.lake.scan(EnergyDaily).collect()
        (zone,) = plants.filter(plant_id=old[0])["timezone"]
        with httpx.Client(base_url=address.url) as http:
            for day in days:
                bounds = find_local_day(day, zone)
                window = {"from": bounds.start.isoformat(), "to": bounds.end.isoformat()}
                of_day = daily.filter(local_date=day)
                for device, kwh in of_day.select("device_id", "pv_generation_kwh").drop_nulls().iter_rows():
                    true = http.get(f"/_truth/devices/{device}/pvGeneration", params=window).json()["kwh"]
                    assert kwh == pytest.approx(true, rel=1e-5)
                true = http.get(f"/_truth/plants/{old[0]}/pvGeneration", params=window).json()["kwh"]
                assert of_day["pv_generation_kwh"].sum() == pytest.approx(true, rel=1e-5)
                (whole,) = plant.filter(local_date=day)["pv_generation_kwh"]
                assert whole == pytest.approx(true, rel=1e-5)
    measured = {day: set(daily.filter(pl.col("n_rows") > 0, local_date=day)["device_id"]) for day in days}
    for before in days[:2]:
        assert old[1] in measured[before]
        assert new not in measured[before]
    assert new in measured[swap]
    # It ended with the day before: on its successor's first day it is not missing.
    assert old[1] not in daily.filter(local_date=swap)["device_id"].to_list()


def _swapped(runtime: RunContext) -> tuple[tuple[str, str], str, dt.date]:
    """Plant and id of the replaced inverter, its successor's id, and the successor's first day."""
    devices = runtime.lake.scan(Devices).collect()
    (gone,) = devices.filter(~pl.col("is_active")).rows(named=True)
    name = gone["name"].removesuffix(" (replaced)")
    (new,) = devices.filter(plant_id=gone["plant_id"], name=name)["device_id"]
    return (gone["plant_id"], gone["device_id"]), new, gone["deactivated_at"].date()
