"""Which failed answers leave a day open: those of everything that a day is asked for, and of nothing else."""

import datetime as dt
from collections.abc import Callable

import polars as pl
import pytest

from pipeline.run.context import RunContext
from pipeline.run.notices import Notices
from pipeline.tables.hourly_tables import write_energy_hourly, write_quarter_energies
from pipeline.tables.incomplete_days import ASK_AGAIN, find_incomplete_days, list_unmade_days
from pipeline.tables.kpi_tables import write_kpi_daily
from schemas import (
    CoverageDaily,
    DeviceEnergyDaily,
    Devices,
    EnergyBalanceIntervals,
    EnergyHourly,
    KpiDaily,
    PvIntervals,
    Quarantine,
    Table,
    polars_schema,
)
from tests.beginnings import BEGINNINGS
from tests.noticed import noticed
from tests.scripted import ScriptedSma
from tests.whole_days import MONDAY, run_noticed

New = Callable[..., RunContext]
# What is not asked for by the settings, and what is asked for whole months and years.
NOT_OF_THE_DAY = (
    "raw_other_sets-GridSettings",
    "raw_energy_values",
    "raw_device_logs",
    "raw_energy_months",
    "raw_energy_years",
)


def failed(runtime: RunContext, source: str, device_id: str | None = None) -> None:
    """An answer for plant 11 that never came, as a run leaves it in quarantine."""
    row = {
        "local_date": MONDAY,
        "source": source,
        "plant_id": "11",
        "device_id": device_id,
        "scope": "answer",
        "kept": False,
        "reason": "request_failed",
    }
    found = pl.DataFrame([row], schema=polars_schema(Quarantine))
    runtime.lake.replace(Quarantine, {"local_date": MONDAY, "source": source}, [found])


def open_days(runtime: RunContext, **chosen: str) -> list[tuple[str, dt.date, str]]:
    runtime.settings = runtime.settings.model_copy(update=chosen)
    found = find_incomplete_days(runtime, MONDAY, MONDAY)
    return found.select("plant_id", "local_date", "reason").rows()


@pytest.mark.parametrize(
    ("source", "chosen"),
    [
        ("raw_energy_balance", {}),
        ("raw_other_sets-GridSettings", {"sets": "EnergyBalance,GridSettings"}),
        ("raw_energy_values", {"energy_values": "on"}),
        ("raw_device_logs", {"logs": "devices"}),
    ],
)
def test_a_failed_answer_of_what_is_asked_for_leaves_the_day_open(
    new_runtime: New, source: str, chosen: dict[str, str]
) -> None:
    runtime = made(new_runtime())
    assert open_days(runtime) == []
    failed(runtime, source)
    assert open_days(runtime, **chosen) == [("11", MONDAY, "request_failed")]


def made(runtime: RunContext) -> RunContext:
    """Monday with all tables that a run makes of it."""

    def make(runtime: RunContext) -> Notices:
        steps = (write_kpi_daily, write_quarter_energies, write_energy_hourly)
        return noticed([run_noticed(runtime, MONDAY), *(step(runtime, MONDAY) for step in steps)])

    BEGINNINGS.begin(runtime, ("whole day", MONDAY), make)
    return runtime


@pytest.mark.parametrize(
    "model", [KpiDaily, DeviceEnergyDaily, CoverageDaily, EnergyHourly, EnergyBalanceIntervals, PvIntervals]
)
def test_a_day_that_lacks_a_table_is_open_until_a_run_makes_it(new_runtime: New, model: type[Table]) -> None:
    runtime = made(new_runtime())
    assert (open_days(runtime), list_unmade_days(runtime)) == ([], set())
    runtime.lake.replace(model, {"local_date": MONDAY}, [], empty=True)
    assert list_unmade_days(runtime) == {MONDAY}
    assert open_days(runtime) == [("11", MONDAY, "not_made"), ("12", MONDAY, "not_made")]
    assert "not_made" in ASK_AGAIN


@pytest.mark.long
def test_a_table_that_nothing_is_to_be_made_for_leaves_no_day_open(
    new_runtime: New, sma: ScriptedSma
) -> None:
    """No inverter has a row, or all that they have is set aside."""
    for plant in ("11", "12"):
        sma.watts[plant, str(MONDAY)] = None
    runtime = made(new_runtime())
    assert runtime.lake.list_parts(PvIntervals) == []
    assert list_unmade_days(runtime) == set()
    odd = b'{"set":[{"time":"2021-10-09T00:05:00","pvGeneration":1.0}],"resolution":"FiveMinutes"}'
    sma.special = lambda request: odd if request.endpoint == "measurements" else None
    runtime = made(new_runtime())
    assert runtime.lake.list_parts(PvIntervals) == []
    assert list_unmade_days(runtime) == set()


def test_what_no_day_is_asked_for_leaves_none_open(new_runtime: New) -> None:
    runtime = made(new_runtime())
    for source in NOT_OF_THE_DAY:
        failed(runtime, source)
    assert open_days(runtime) == []


def test_a_failed_list_leaves_its_day_open_until_a_later_one_comes(new_runtime: New) -> None:
    """Nobody asks for the lists of a past day: what a newer list says holds for it too."""
    runtime = made(new_runtime())
    owner = runtime.lake.read_whole(Devices).filter(pl.col("plant_id") == "11")["device_id"][0]
    for source, device in (
        ("raw_devices", None),
        ("raw_measurement_sets", None),
        ("raw_measurement_sets", owner),
    ):
        failed(runtime, source, device)
        assert open_days(runtime) == [], (source, device)
    # No list of this device ever came.
    failed(runtime, "raw_measurement_sets", "99")
    assert open_days(runtime) == [("11", MONDAY, "request_failed")]


def test_a_failed_list_of_a_device_that_its_plant_no_longer_lists_leaves_no_day_open(
    new_runtime: New,
) -> None:
    runtime = made(new_runtime())
    devices = runtime.lake.read_whole(Devices)
    of_plant = devices.filter(pl.col("plant_id") == "11").head(1)
    gone = of_plant.with_columns(device_id=pl.lit("99"), last_seen=pl.col("last_seen") - dt.timedelta(days=1))
    runtime.lake.replace(Devices, {}, [pl.concat([devices, gone])])
    failed(runtime, "raw_measurement_sets", "99")
    assert open_days(runtime) == []
