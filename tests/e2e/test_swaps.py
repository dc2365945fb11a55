"""Inverters that were replaced: both series join per plant, history is fetched, and nothing of it is lost later."""

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path

import httpx
import polars as pl
import pytest

from pipeline.common.local_time import find_local_day
from pipeline.common.settings import load_settings
from pipeline.run.context import RunContext
from pipeline.sma.requests import Request
from sandbox.launch import run_sandbox
from schemas import DeviceEnergyDaily, Devices, EnergyDaily, Plants, Quarantine
from tests.e2e.test_days import MONDAY, TUESDAY, build, fetch, refresh
from tests.scripted import ScriptedSma, rows

New = Callable[..., RunContext]
SUNDAY = MONDAY - dt.timedelta(days=1)
SATURDAY = SUNDAY - dt.timedelta(days=1)
OLD, NEW = "110", "111"


def devices_of(sma: ScriptedSma, *, with_old: bool = True) -> None:
    """Plant 11 had its inverter replaced on Monday at noon."""
    old = {"deviceId": OLD, "name": "Replaced", "isActive": False, "deactivatedAt": "2021-10-04T12:00:00"}
    new = {"deviceId": NEW, "name": "Inverter", "isActive": True}
    sma.devices["11"] = [old, new] if with_old else [new]


def undated(sma: ScriptedSma) -> None:
    """The same, but SMA does not say when the old inverter ended: it is inactive, and that is all."""
    old = {"deviceId": OLD, "name": "Replaced", "isActive": False}
    sma.devices["11"] = [old, {"deviceId": NEW, "name": "Inverter", "isActive": True}]


def before_and_after_noon(request: Request) -> bytes | None:
    """2 kW of the old inverter up to the swap, 3 kW of the new one from then on."""
    if request.endpoint != "measurements" or request.device_id not in (OLD, NEW):
        return None
    watts = 2000.0 if request.device_id == OLD else 3000.0
    found = [
        row
        for row in rows(request.date, watts)
        if (row["time"] <= "2021-10-04T12:00:00") == (request.device_id == OLD)
    ]
    return json.dumps({"resolution": "FiveMinutes", "set": found}).encode()


def by_device(runtime: RunContext) -> dict[tuple[int, str], tuple[float | None, str]]:
    """kWh and status by day of the month and device of plant 11."""
    daily = runtime.lake.scan(DeviceEnergyDaily).filter(pl.col("plant_id") == "11").collect()
    columns = daily.select("local_date", "device_id", "pv_generation_kwh", "status").rows()
    return {(day.day, device): (kwh, status) for day, device, kwh, status in columns}


def test_on_the_day_of_a_swap_both_inverters_count(new_runtime: New, sma: ScriptedSma) -> None:
    devices_of(sma)
    sma.special = before_and_after_noon
    runtime = new_runtime("11")
    refresh(runtime)
    for day in (SUNDAY, MONDAY, TUESDAY):
        fetch(runtime, day)
        build(runtime, day)
    found = by_device(runtime)
    assert found[3, OLD] == (pytest.approx(48.0), "complete")
    # The old one owes nothing after noon; the new one is not known to have begun then.
    assert found[4, OLD] == (pytest.approx(24.0), "complete")
    assert found[4, NEW] == (pytest.approx(36.0), "partial")
    assert found[5, NEW] == (pytest.approx(72.0), "complete")
    assert (5, OLD) not in found
    # Nor is the new one missing on the day before, though it was asked for.
    assert (3, NEW) not in found


def test_a_new_inverter_is_missing_once_it_had_a_row_or_the_old_one_is_gone(
    new_runtime: New, sma: ScriptedSma
) -> None:
    devices_of(sma)
    sma.special = before_and_after_noon
    silent = {(NEW, str(TUESDAY)), (OLD, str(SUNDAY))}

    def special(request: Request) -> bytes | None:
        if (request.device_id, request.date) in silent:
            return json.dumps({"resolution": "FiveMinutes", "set": []}).encode()
        return before_and_after_noon(request)

    sma.special = special
    runtime = new_runtime("11")
    refresh(runtime)
    for day in (SUNDAY, MONDAY, TUESDAY):
        fetch(runtime, day)
        build(runtime, day)
    found = by_device(runtime)
    assert found[3, OLD] == (None, "missing")
    assert (3, NEW) not in found
    assert found[5, NEW] == (None, "missing")


def test_an_inactive_inverter_without_an_end_date_is_not_missing_after_its_last_day(
    new_runtime: New, sma: ScriptedSma
) -> None:
    undated(sma)
    silent = {(OLD, str(SUNDAY))}
    plant = {str(day): rows(str(day), 5000.0) for day in (SATURDAY, SUNDAY, MONDAY, TUESDAY)}

    def special(request: Request) -> bytes | None:
        if request.endpoint == "measurements" and not request.device_id:
            return json.dumps({"resolution": "FiveMinutes", "set": plant[request.date]}).encode()
        if (request.device_id, request.date) in silent:
            return json.dumps({"resolution": "FiveMinutes", "set": []}).encode()
        return before_and_after_noon(request)

    sma.special = special
    runtime = new_runtime("11")
    refresh(runtime)
    days = (SATURDAY, SUNDAY, MONDAY, TUESDAY)
    # A run makes each table of all its days before the next table.
    for day in days:
        fetch(runtime, day)
    for day in days:
        build(runtime, day)
    found = by_device(runtime)
    # A silent day before its last one is a gap like any other.
    assert found[2, OLD] == (pytest.approx(48.0), "complete")
    assert found[3, OLD] == (None, "missing")
    assert found[4, OLD][0] == pytest.approx(24.0)
    assert (5, OLD) not in found
    # Its successor is not missing while it was there.
    assert (2, NEW) not in found
    assert found[5, NEW] == (pytest.approx(72.0), "complete")
    # So the inverters are held against their plant, which says 120 kWh every day.
    told = runtime.lake.scan(Quarantine).filter(pl.col("reason") == "inverters_sum").collect()
    assert dict(told.select("local_date", "value").rows())[TUESDAY] == pytest.approx(72.0 - 120.0)


def test_an_inactive_inverter_that_never_had_a_row_is_not_missing(new_runtime: New, sma: ScriptedSma) -> None:
    undated(sma)
    sma.special = lambda r: (
        b'{"set":[],"resolution":"FiveMinutes"}' if r.device_id == OLD and r.date else None
    )
    runtime = new_runtime("11")
    refresh(runtime)
    fetch(runtime, MONDAY)
    build(runtime, MONDAY)
    assert by_device(runtime) == {(4, NEW): (pytest.approx(24.0), "complete")}


def test_what_a_device_delivered_stays_when_no_list_names_it_any_more(
    new_runtime: New, sma: ScriptedSma
) -> None:
    devices_of(sma)
    sma.special = before_and_after_noon
    runtime = new_runtime("11")
    refresh(runtime)
    fetch(runtime, MONDAY)
    build(runtime, MONDAY)
    before = by_device(runtime)
    devices_of(sma, with_old=False)
    later = new_runtime("11")
    later.now = lambda: dt.datetime(2021, 10, 25, 12, tzinfo=dt.UTC)
    later.again = True
    refresh(later)
    assert OLD in later.lake.scan(Devices).collect()["device_id"].to_list()
    sma.asked.clear()
    fetch(later, MONDAY)
    build(later, MONDAY)
    assert by_device(later) == before
    # Its past is asked for as long as SMA gives it, its future is not.
    assert OLD in {request.device_id for request in sma.asked}
    sma.asked.clear()
    fetch(later, TUESDAY)
    assert {request.device_id for request in sma.asked} == {"", NEW}


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
