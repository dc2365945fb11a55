"""What devices send beside powers: codes, corrections, draw and a row at midnight, through to the published days."""

import datetime as dt
import json
import math
from collections.abc import Callable, Iterator
from typing import Any

import duckdb
import pytest

from pipeline.run.context import RunContext
from pipeline.run.measurement_sets import SETS
from pipeline.run.plants import list_known_places
from pipeline.sma.requests import Request
from tests.scripted import NOW, ScriptedSma, compact
from tests.whole_days import MONDAY, refresh, run
from warehouse.published_file.publish import publish

New = Callable[..., RunContext]
POWER_AC = next(source for source in SETS if source.set.name == "PowerAc")
Row = dict[str, Any]


def metered() -> list[Row]:
    """A day of a house with 5 kW of PV whose inverter draws 4 W while the sun is down, from midnight to midnight."""
    midnight = dt.datetime.combine(MONDAY, dt.time())
    rows = []
    for step in range(288):
        angle = (step - 70) / 150
        pv = round(4000 * math.sin(math.pi * angle), 1) if 0 < angle < 1 else 0.0
        label = (midnight + dt.timedelta(minutes=5 * (step + 1))).isoformat()
        flows = {
            "selfConsumption": min(pv, 300.0),
            "gridFeedIn": max(pv - 300.0, 0.0),
            "totalConsumption": 300.0,
        }
        supply = {"selfSupply": min(pv, 300.0), "gridConsumption": max(300.0 - pv, 0.0)}
        rows.append(
            {"time": label, "pvGeneration": pv or -4.0, "totalGeneration": pv or -4.0, **flows, **supply}
        )
    return rows


def published(new_runtime: New, sma: ScriptedSma, rows: list[Row]) -> Iterator[duckdb.DuckDBPyConnection]:
    """The published file of a day on which plant 11 sent the rows and plant 12 said nothing strange."""

    def special(request: Request) -> bytes | None:
        if request.endpoint != "measurements":
            return None
        inverter = [{"time": row["time"], "pvGeneration": row["pvGeneration"]} for row in metered()]
        of_plant = rows if request.plant_id == "11" else metered()
        return compact({"resolution": "FiveMinutes", "set": inverter if request.device_id else of_plant})

    sma.special = special
    with run(new_runtime(), MONDAY) as runtime:
        publish(runtime.lake, runtime.settings.warehouse, now=NOW, version="0")
        with duckdb.connect(str(runtime.settings.warehouse), read_only=True) as connection:
            yield connection


def day_of(connection: duckdb.DuckDBPyConnection) -> Row:
    names = (
        "status, coverage, n_flagged, n_suspect, pv_generation_kwh, total_consumption_kwh, grid_feed_in_kwh"
    )
    found = connection.execute(f"SELECT {names} FROM energy_daily WHERE plant_id = '11'")
    (row,) = found.fetchall()
    return dict(zip(names.split(", "), row, strict=True))


def kwh(rows: list[Row], name: str) -> float:
    return sum(max(row.get(name, 0.0), 0.0) for row in rows) / 12_000


def told(connection: duckdb.DuckDBPyConnection) -> list[tuple[Any, ...]]:
    query = "SELECT reason, field, n_rows, kept FROM quarantine WHERE plant_id = '11' ORDER BY ALL"
    return connection.execute(query).fetchall()


def to_check(connection: duckdb.DuckDBPyConnection) -> list[tuple[Any, ...]]:
    return connection.execute("SELECT reasons FROM v_days_to_check WHERE plant_id = '11'").fetchall()


@pytest.mark.long
def test_a_plant_whose_inverter_draws_at_night_is_complete_and_nothing_to_check(
    new_runtime: New, sma: ScriptedSma
) -> None:
    rows = [{**metered()[0], "time": f"{MONDAY}T00:00:00"}, *metered()]
    dark = sum(row["pvGeneration"] < 0 for row in metered())
    assert dark > 100
    for connection in published(new_runtime, sma, rows):
        day = day_of(connection)
        assert (day["status"], day["coverage"], day["n_flagged"], day["n_suspect"]) == ("complete", 1.0, 0, 0)
        assert day["pv_generation_kwh"] == pytest.approx(kwh(metered(), "pvGeneration"))
        assert told(connection) == [
            ("day_before", None, 1, False),
            ("standby", "pvGeneration", dark, True),  # of the plant
            ("standby", "pvGeneration", dark, True),  # of its inverter
        ]
        assert to_check(connection) == []


def test_only_an_inverter_with_a_rating_bounds_its_ac_side(new_runtime: New, sma: ScriptedSma) -> None:
    """A charging station is typed like an inverter, and a battery inverter may speak for a whole cluster."""
    facts = {
        "inverter": {"type": "Solar Inverters", "generatorPower": 3000.0},
        "charger": {"type": "Solar Inverters"},
        "battery": {"type": "Battery Inverter", "generatorPower": 6000.0},
    }
    sma.devices["11"] = [{"deviceId": name, "isActive": True, **each} for name, each in facts.items()]
    with new_runtime() as runtime:
        refresh(runtime)
        places = list_known_places(runtime.lake, POWER_AC, NOW.date()).filter(plant_id="11")
    assert dict(places.select("device_id", "own_w").rows()) == {
        "inverter": 3000.0,
        "charger": None,
        "battery": None,
    }
    assert set(places.filter(device_id="charger")["rated_w"]) == {5000.0}


@pytest.mark.long
def test_a_code_and_a_correction_at_midnight_are_holes_and_no_energy(
    new_runtime: New, sma: ScriptedSma
) -> None:
    rows = json.loads(json.dumps(metered()))
    rows[140]["totalConsumption"] = 2147483647
    rows[141]["gridConsumption"] = 65535.0
    rows[287] |= {"gridFeedIn": 53_520.0, "gridConsumption": 53_520.0}
    for connection in published(new_runtime, sma, rows):
        day = day_of(connection)
        assert day["status"] == "partial"
        whole = metered()
        assert day["total_consumption_kwh"] == pytest.approx(
            kwh(whole[:140] + whole[141:], "totalConsumption")
        )
        assert day["grid_feed_in_kwh"] == pytest.approx(kwh(whole[:287], "gridFeedIn"))
        assert [row for row in told(connection) if not row[3]] == [
            ("in_and_out", "gridConsumption", 1, False),
            ("in_and_out", "gridFeedIn", 1, False),
            ("sentinel", "gridConsumption", 1, False),
            ("sentinel", "totalConsumption", 1, False),
        ]
        assert to_check(connection) == [("in_and_out, sentinel",)]
