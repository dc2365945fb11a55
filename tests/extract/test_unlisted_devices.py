"""A device that its plant's list lacks, because it is gone or moved: it ends no run, and is missing no day."""

import datetime as dt
from collections.abc import Callable

import polars as pl
import pytest

from pipeline.common.errors import PermanentError
from pipeline.extract.due_lists import plan_device_lists, plan_set_lists
from pipeline.run.context import RunContext
from pipeline.sma.requests import Request
from pipeline.tables.incomplete_days import find_incomplete_days
from schemas import DeviceEnergyDaily, PvIntervals, Quarantine
from tests.billing.record import request, store
from tests.scripted import NOW, ScriptedSma
from tests.whole_days import MONDAY, TUESDAY, build, fetch, refresh

New = Callable[..., RunContext]
OLD, SUCCESSOR = "110", "111"


def list_device(sma: ScriptedSma, *devices: str) -> None:
    sma.devices["11"] = [{"deviceId": device, "name": "Inverter", "isActive": True} for device in devices]


def forget_device(sma: ScriptedSma, gone: str) -> None:
    """SMA does not find the device any more."""
    error = PermanentError("GET /v1/devices answered 404 Not Found.", status=404)
    sma.special = lambda asked: error if asked.device_id == gone else None


def on_day(new_runtime: New, sma: ScriptedSma, days: int, *, again: bool = False) -> RunContext:
    """A run of so many days later."""
    runtime, moment = new_runtime(again=again), NOW + dt.timedelta(days=days)
    runtime.now, sma.answered_at = (lambda: moment), moment
    return runtime


@pytest.fixture
def replaced(new_runtime: New, sma: ScriptedSma) -> RunContext:
    """Monday is stored of the old inverter; its plant lists another one since, and SMA finds the old one no more."""
    list_device(sma, OLD)
    runtime = on_day(new_runtime, sma, -15)
    refresh(runtime)
    fetch(runtime, MONDAY)
    list_device(sma, SUCCESSOR)
    forget_device(sma, OLD)
    return on_day(new_runtime, sma, 0, again=True)


@pytest.mark.long
def test_it_is_said_once_and_is_missing_on_no_later_day(
    replaced: RunContext, new_runtime: New, sma: ScriptedSma
) -> None:
    found = refresh(replaced).missing
    assert [(item.table, item.plant_id) for item in found] == [("devices", "11")]
    assert f"SMA no longer lists device {OLD}" in found[0].reason
    # It was seen last on Tuesday: on no day since then a failure of its requests is one, nor where its rows are stored.
    assert fetch(replaced, TUESDAY).missing == []
    assert fetch(replaced, MONDAY).missing == []
    missing = fetch(replaced, MONDAY - dt.timedelta(days=1)).missing
    assert [(item.table, item.plant_id) for item in missing] == [("raw_pv", "11")]
    for day in (MONDAY, TUESDAY):
        build(replaced, day)
    lake = replaced.lake
    failed = lake.scan(Quarantine).filter(
        pl.col("reason") == "request_failed", pl.col("local_date") >= MONDAY
    )
    assert failed.collect().is_empty()
    days = lake.scan(DeviceEnergyDaily).filter(plant_id="11").collect()
    assert set(days.select("device_id", "local_date", "status").rows()) == {
        (OLD, MONDAY, "complete"),
        (SUCCESSOR, MONDAY, "complete"),
        (SUCCESSOR, TUESDAY, "complete"),
    }
    assert lake.scan(PvIntervals).filter(device_id=OLD).collect().height
    # Nor is it said again, or asked for once SMA has not found it.
    later = on_day(new_runtime, sma, 1)
    asked = NOW.replace(tzinfo=None).isoformat()
    store(later, request(asked, device_id=OLD, set_type="EnergyAndPowerPv", status=404))
    assert refresh(later).missing == []
    sma.asked.clear()
    later.again = True
    fetch(later, TUESDAY)
    assert OLD not in {r.device_id for r in sma.asked}
    fetch(later, MONDAY)
    assert OLD in {r.device_id for r in sma.asked}


@pytest.mark.long
def test_a_list_that_smas_refuses_ends_no_run_that_knows_devices(new_runtime: New, sma: ScriptedSma) -> None:
    list_device(sma, OLD)
    refresh(on_day(new_runtime, sma, 0))
    list_device(sma, OLD, SUCCESSOR)
    forget_device(sma, SUCCESSOR)
    refresh(on_day(new_runtime, sma, 1, again=True))
    later = on_day(new_runtime, sma, 1)
    # It is the only list that this run asks for.
    assert plan_set_lists(later) == [Request.device_sets("11", SUCCESSOR)]
    assert [(item.table, item.plant_id) for item in refresh(later).missing] == [
        ("raw_measurement_sets", "11")
    ]


def test_devices_are_listed_again_once_smas_does_not_find_one(new_runtime: New, sma: ScriptedSma) -> None:
    list_device(sma, OLD)
    refresh(on_day(new_runtime, sma, 0, again=True))
    later = on_day(new_runtime, sma, 1)
    assert plan_device_lists(later) == []
    asked = (NOW + dt.timedelta(hours=20)).replace(tzinfo=None)
    store(later, request(asked.isoformat(), device_id=OLD, set_type="EnergyAndPowerPv", status=404))
    assert plan_device_lists(later) == [Request.devices("11")]
    refresh(later)
    store(later, request((asked + dt.timedelta(hours=20)).isoformat(), device_id=OLD, status=404))
    assert plan_device_lists(on_day(new_runtime, sma, 2)) == []


@pytest.mark.long
def test_a_day_that_failed_before_the_list_told_it_is_not_incomplete_for_good(
    new_runtime: New, sma: ScriptedSma
) -> None:
    list_device(sma, OLD, SUCCESSOR)
    refresh(on_day(new_runtime, sma, -15))
    first = on_day(new_runtime, sma, -13)
    forget_device(sma, OLD)
    fetch(first, TUESDAY)
    build(first, TUESDAY)

    def find_reasons(runtime: RunContext) -> list[str]:
        found = find_incomplete_days(runtime, TUESDAY, TUESDAY)
        return found.filter(plant_id="11")["reason"].to_list()

    later = on_day(new_runtime, sma, -12)
    assert find_reasons(later) == ["request_failed"]
    asked = first.now().replace(tzinfo=None).isoformat()
    store(later, request(asked, device_id=OLD, status=404))
    list_device(sma, SUCCESSOR)
    refresh(on_day(new_runtime, sma, -11, again=True))
    assert "request_failed" not in find_reasons(on_day(new_runtime, sma, -11))


@pytest.mark.long
@pytest.mark.parametrize("left", [(SUCCESSOR,), ()])
def test_a_device_that_moved_is_asked_for_at_its_new_plant_alone(
    new_runtime: New, sma: ScriptedSma, left: tuple[str, ...]
) -> None:
    """SMA answers with the new plant for all days, and such an answer was refused on each of them, in each run."""
    list_device(sma, OLD, *left)
    runtime = on_day(new_runtime, sma, -15)
    refresh(runtime)
    fetch(runtime, MONDAY)
    list_device(sma, *left)
    sma.devices["12"] = [{"deviceId": device, "isActive": True} for device in ("121", OLD)]
    moved = on_day(new_runtime, sma, -14, again=True)
    refresh(moved)
    sma.asked.clear()
    fetch(moved, MONDAY)
    fetch(moved, TUESDAY)
    asked = {(r.plant_id, r.date) for r in sma.asked if r.device_id == OLD}
    assert asked == {("12", str(MONDAY)), ("12", str(TUESDAY))}


def test_a_device_that_was_reconnected_is_asked_for_whatever_the_time_of_its_removal(
    new_runtime: New, sma: ScriptedSma
) -> None:
    ended = {"deviceId": OLD, "isActive": False, "deactivatedAt": f"{MONDAY}T00:00:00"}
    sma.devices["11"] = [ended]
    refresh(on_day(new_runtime, sma, 0, again=True))
    sma.devices["11"] = [ended | {"isActive": True}]
    later = on_day(new_runtime, sma, 1, again=True)
    refresh(later)
    sma.asked.clear()
    fetch(later, TUESDAY)
    assert OLD in {r.device_id for r in sma.asked}
