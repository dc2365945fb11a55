"""Plants and inverters whose list of measurement sets never came are missing on the days of a run, until it comes."""

from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from pipeline.common.errors import SmaError, TransientError
from pipeline.extract.fetch import SetFetch
from pipeline.extract.missing_answers import find_lacking_days
from pipeline.run.context import RunContext
from pipeline.run.measurement_sets import BALANCE, PV
from pipeline.run.notices import Notices
from pipeline.sma.requests import Request
from pipeline.tables.energy_tables import write_device_energy_daily, write_energy_daily
from pipeline.tables.incomplete_days import NOT_MADE, find_incomplete_days
from pipeline.tables.interval_tables import write_intervals
from schemas import DeviceEnergyDaily, EnergyDaily, Quarantine
from tests.scripted import ScriptedSma
from tests.whole_days import MONDAY, refresh

New = Callable[..., RunContext]
DOWN = TransientError("GET /v1/x answered 503, the last of 6 tries.", status=503)


def say(body: bytes | SmaError) -> Callable[[Request], bytes | SmaError | None]:
    """What SMA answers to a request for the sets of plant 12 and of its inverter."""
    return lambda request: body if request.endpoint == "sets" and request.plant_id == "12" else None


def make(runtime: RunContext) -> Notices:
    """The lists, and Monday from its requests to its energies; what the requests for energies had to say."""
    runtime.settings = runtime.settings.model_copy(update={"sets": "EnergyBalance", "logs": "none"})
    refresh(runtime)
    ((_, report),) = SetFetch(BALANCE)(runtime, [MONDAY])
    write_intervals(runtime, BALANCE, MONDAY)
    write_energy_daily(runtime, MONDAY)
    return report.notices


def read_statuses(runtime: RunContext) -> dict[str, tuple[str, float | None]]:
    columns = ["plant_id", pl.col("status").cast(pl.String), pl.col("pv_generation_kwh").round(6)]
    rows = runtime.lake.scan(EnergyDaily).select(columns).collect().rows()
    return {plant: (status, energy) for plant, status, energy in rows}


def list_open_days(runtime: RunContext) -> list[tuple[str, str]]:
    """Without those of tables that `make` leaves out."""
    found = find_incomplete_days(runtime, MONDAY, MONDAY).filter(pl.col("reason") != NOT_MADE)
    return found.select("plant_id", "reason").rows()


def test_the_plant_is_missing_until_its_list_comes(new_runtime: New, sma: ScriptedSma) -> None:
    sma.special = say(DOWN)
    with new_runtime(again=False) as runtime:
        missing = make(runtime).missing
        assert [(one.day, one.plant_id, "list of its measurement sets" in one.reason) for one in missing] == [
            (str(MONDAY), "12", True)
        ]
        silent = {"11": ("complete", 24.0), "12": ("missing", None)}
        assert read_statuses(runtime) == silent
        assert list_open_days(runtime) == [("12", "request_failed")]
        # The same comes of what is stored.
        write_energy_daily(runtime, MONDAY)
        assert read_statuses(runtime) == silent
    sma.special = lambda _: None
    with new_runtime(again=False) as runtime:
        assert make(runtime).missing == []
        assert read_statuses(runtime) == {"11": ("complete", 24.0), "12": ("complete", 24.0)}
        assert list_open_days(runtime) == []


def test_a_run_of_other_plants_gives_no_row_and_takes_none(new_runtime: New, sma: ScriptedSma) -> None:
    sma.special = say(DOWN)
    with new_runtime(again=False) as runtime:
        refresh(runtime)
    for plants, rows in ((["11"], ["11"]), ([], ["11", "12"]), (["11"], ["11", "12"])):
        with new_runtime(*plants, again=False) as runtime:
            assert {one.plant_id for one in make(runtime).missing} == (set() if plants else {"12"})
            assert [*read_statuses(runtime)] == rows


def test_a_day_that_is_stored_is_noted_for_a_new_plant(new_runtime: New, sma: ScriptedSma) -> None:
    sma.lists = ["11"]
    with new_runtime(again=False) as runtime:
        make(runtime)
        # Days that lack nothing are left out of a run.
        assert find_lacking_days(runtime, [MONDAY]) == set()
        sma.lists, sma.special = ["11", "12"], say(DOWN)
        refresh(runtime)
        assert find_lacking_days(runtime, [MONDAY]) == {MONDAY}
    with new_runtime(again=False) as runtime:
        make(runtime)
        assert read_statuses(runtime)["12"] == ("missing", None)


@pytest.mark.parametrize("sets", [b'{"sets":[]}', b'{"sets":["GridSettings"]}'])
def test_a_list_without_energies_takes_the_note_back(new_runtime: New, sma: ScriptedSma, sets: bytes) -> None:
    sma.special = say(DOWN)
    with new_runtime(again=False) as runtime:
        make(runtime)
        assert [*read_statuses(runtime)] == ["11", "12"]
    sma.special = say(sets)
    with new_runtime(again=False) as runtime:
        assert make(runtime).missing == []
        assert [*read_statuses(runtime)] == ["11"]
        notes = runtime.lake.scan(Quarantine).filter(local_date=MONDAY, source="raw_energy_balance")
        assert notes.collect().is_empty()
        assert list_open_days(runtime) == []


def make_inverters(runtime: RunContext) -> list[tuple[str, str]]:
    """The lists, and Monday's rows of plant 12's devices: id and status."""
    refresh(runtime)
    for source in (BALANCE, PV):
        [*SetFetch(source)(runtime, [MONDAY])]
        write_intervals(runtime, source, MONDAY)
    write_energy_daily(runtime, MONDAY)
    write_device_energy_daily(runtime, MONDAY)
    rows = runtime.lake.scan(DeviceEnergyDaily).filter(plant_id="12")
    return rows.select("device_id", pl.col("status").cast(pl.String)).sort("device_id").collect().rows()


def test_an_inverter_is_missing_beside_others_until_its_own_list_comes(
    new_runtime: New, sma: ScriptedSma
) -> None:
    """Nothing says that of a charging station, which SMA lists as an inverter of no power, and of what is gone."""
    kind = {"type": "Solar Inverters", "isActive": True}
    facts: dict[str, dict[str, Any]] = {
        "1": kind | {"generatorPower": 5000.0},
        "2": kind | {"generatorPower": 5000.0},
        "3": kind,
        "4": kind | {"generatorPower": 5000.0, "deactivatedAt": "2020-02-01T00:00:00", "isActive": False},
        "5": kind | {"generatorPower": 5000.0, "isActive": False},
    }
    sma.devices["12"] = [{"deviceId": name, "name": name} | of_name for name, of_name in facts.items()]
    sma.special = lambda one: (
        DOWN if one.endpoint == "sets" and one.device_id not in {None, "", "1"} else None
    )
    with new_runtime(again=False) as runtime:
        assert make_inverters(runtime) == [("1", "complete"), ("2", "missing")]
    # A list without PV takes the row back.
    sma.special = lambda one: b'{"sets":[]}' if one.endpoint == "sets" and one.device_id == "2" else None
    with new_runtime(again=False) as runtime:
        assert "2" not in dict(make_inverters(runtime))
    sma.special = lambda _: None
    with new_runtime() as runtime:
        assert dict(make_inverters(runtime))["2"] == "complete"
