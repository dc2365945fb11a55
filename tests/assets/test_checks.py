"""Checks as a run evaluates them: passed or not, with the plants and the cure."""

import datetime as dt
import json
import math
from collections.abc import Callable

import dagster as dg
import pytest

from pipeline.runs import recorded
from pipeline.runtime import Runtime
from pipeline.sma.requests import Request
from tests.scripted import ScriptedSma

DAY = dt.date(2021, 10, 4)


def by_day(request: Request) -> bytes | None:
    """A day of sun from 6 to 18 o'clock, in plant-local times."""
    if request.endpoint != "measurements":
        return None
    midnight = dt.datetime.fromisoformat(request.date)
    rows = [
        {
            "time": (midnight + dt.timedelta(minutes=5 * step)).isoformat(),
            "pvGeneration": 4000 * math.sin(math.pi * (step - 72.5) / 144),
        }
        for step in range(73, 217)
    ]
    return json.dumps({"resolution": "FiveMinutes", "set": rows}).encode()


@pytest.mark.parametrize("basis", ["plant_local", "utc"])
def test_a_run_says_when_production_and_sun_disagree(
    new_runtime: Callable[..., Runtime], sma: ScriptedSma, basis: str
) -> None:
    sma.special = by_day
    runtime = new_runtime()
    runtime.settings = runtime.settings.model_copy(update={"sma_time_basis": basis})
    with runtime, recorded(runtime) as runs:
        runs.lists()
        runs.days(DAY, DAY + dt.timedelta(days=1))
        key = dg.AssetCheckKey(dg.AssetKey("energy_monthly"), "solar_time")
        history = runs.instance.event_log_storage.get_asset_check_execution_history(key, limit=5)
        # A ranged run plans the check for each of its days, and evaluates it once for all of them.
        (record,) = [one for one in history if one.event and one.partition is None]
        found = record.event.dagster_event.asset_check_evaluation_data  # type: ignore[union-attr]
    assert found.passed == (basis == "plant_local")
    assert found.severity == dg.AssetCheckSeverity.WARN
    description = found.description or ""
    assert ("plants 11, 12" in description) == (basis == "utc")
    assert ("SMA_TIME_BASIS=plant_local" in description) == (basis == "utc")
    assert found.metadata["judged"].value == 2
