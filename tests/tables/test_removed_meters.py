"""A meter that was removed is not missed on days after that: its quantities are expected up to its last day."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from bench.lists import refresh_lists
from pipeline.common.errors import SmaError
from pipeline.run.context import RunContext
from pipeline.sma.requests import Request
from schemas import CoverageDaily
from tests.scripted import NOW, ScriptedSma
from tests.whole_days import MONDAY, TUESDAY, read_again

New = Callable[..., RunContext]
INVERTER, METER, NEXT = ({"deviceId": one, "name": one, "isActive": True} for one in ("111", "112", "113"))
# At the beginning of Tuesday by the plant's clock, and at ten o'clock on Monday.
OF_METER = {"grid_feed_in", "grid_consumption", "total_consumption"}
REMOVED = [
    {"isActive": False, "deactivatedAt": f"2021-10-0{moment}"} for moment in ("5T00:00:00", "4T10:00:00")
]


def say_sets(request: Request) -> bytes | SmaError | None:
    """The meters have none but that of the grid."""
    if request.endpoint == "sets" and request.device_id in {"112", "113"}:
        return b'{"sets":["EnergyAndPowerInOut"]}'
    return None


def list_missed(runtime: RunContext) -> dict[int, set[str]]:
    """The quantities without a value, by day of the month, of plant 11, which gives none but PV."""
    rows = runtime.lake.scan(CoverageDaily).filter(pl.col("plant_id") == "11", pl.col("status") == "missing")
    found: dict[int, set[str]] = {4: set(), 5: set()}
    for day, quantity in rows.select("local_date", "quantity").collect().iter_rows():
        found[day.day].add(quantity)
    return found


@pytest.mark.long
@pytest.mark.parametrize("removed", REMOVED)
def test_a_meter_that_was_deactivated_is_not_missed(
    new_runtime: New, sma: ScriptedSma, removed: dict[str, Any]
) -> None:
    sma.special = say_sets
    sma.devices["11"] = [INVERTER, METER]
    runtime = new_runtime()
    refresh_lists(runtime)
    read_again(runtime, MONDAY, TUESDAY)
    assert list_missed(runtime) == {4: OF_METER, 5: OF_METER}
    sma.devices["11"] = [INVERTER, METER | removed]
    runtime = new_runtime()
    runtime.now = lambda: NOW + dt.timedelta(days=1)
    refresh_lists(runtime)
    read_again(runtime, MONDAY, TUESDAY)
    assert list_missed(runtime) == {4: OF_METER, 5: set()}
    # Another one has taken its place.
    sma.devices["11"].append(NEXT)
    runtime = new_runtime()
    runtime.now = lambda: NOW + dt.timedelta(days=2)
    refresh_lists(runtime)
    read_again(runtime, TUESDAY)
    assert list_missed(runtime) == {4: OF_METER, 5: OF_METER}


@pytest.mark.long
def test_a_meter_that_is_listed_no_more_is_missed_up_to_its_last_list(
    new_runtime: New, sma: ScriptedSma
) -> None:
    sma.special = say_sets
    runtime = new_runtime()
    for moment, devices in (
        (dt.datetime(2021, 10, 4, 12, tzinfo=dt.UTC), [INVERTER, METER]),
        (NOW, [INVERTER]),
    ):
        sma.devices["11"] = devices
        runtime.now = lambda moment=moment: moment  # type: ignore[misc]
        refresh_lists(runtime)
    read_again(runtime, MONDAY, TUESDAY)
    assert list_missed(runtime) == {4: OF_METER, 5: set()}
