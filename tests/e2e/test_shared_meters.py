"""A meter that several devices repeat: each tells its figures, and nothing adds them up."""

from collections.abc import Callable

import polars as pl
import pytest

from pipeline.extract.fetch import SetFetch
from pipeline.run.context import RunContext
from pipeline.run.measurement_sets import SETS
from pipeline.sma.requests import Request
from pipeline.tables.interval_tables import write_intervals
from pipeline.transform.anomalies import INVERTERS
from pipeline.transform.daily import METERED
from schemas import (
    DeviceEnergyDaily,
    EnergyDaily,
    EnergyMonthly,
    GridIntervals,
    PvIntervals,
    Quarantine,
    Table,
    polars_schema,
    storage,
)
from tests.scripted import ScriptedSma, compact, rows
from tests.whole_days import MONDAY, build, fetch, refresh
from warehouse.views import load_curated_views

New = Callable[..., RunContext]
(GRID,) = (source for source in SETS if source.intervals is GridIntervals)
BY_METER = {"grid_intervals", "consumption_intervals", "energy_mix_intervals"}


def one_meter(request: Request) -> bytes | None:
    """1 kW of feed-in, which the plant tells and each of its two devices repeats."""
    if request.endpoint == "sets":
        device = ["EnergyAndPowerPv", GRID.set.name]
        return compact({"sets": device if request.device_id else ["EnergyBalance"]})
    if request.endpoint != "measurements":
        return None
    measured = [{**row, "gridFeedIn": 1000.0} for row in rows(request.date, 1000.0)]
    if request.set_type == GRID.set.name:
        measured = [{"time": row["time"], "gridFeedIn": row["gridFeedIn"]} for row in measured]
    if request.set_type == "EnergyAndPowerPv":
        measured = rows(request.date, 500.0)
    return compact({"resolution": "FiveMinutes", "set": measured})


def kwh(runtime: RunContext, model: type[Table], by: str) -> dict[str, float]:
    rows = runtime.lake.scan(model).group_by(by).agg(pl.col("grid_feed_in_kwh").sum()).sort(by).collect()
    return dict(rows.rows())


def test_a_meter_that_devices_share_counts_once(new_runtime: New, sma: ScriptedSma) -> None:
    sma.devices["11"] = [{"deviceId": name, "isActive": True} for name in ("110", "111")]
    sma.special = one_meter
    runtime = new_runtime("11")
    refresh(runtime)
    fetch(runtime, MONDAY)
    for _ in SetFetch(GRID)(runtime, [MONDAY]):
        pass
    write_intervals(runtime, GRID, MONDAY)
    build(runtime, MONDAY)
    # Both devices tell it, and stay apart.
    assert kwh(runtime, GridIntervals, "device_id") == {
        "110": pytest.approx(24.0),
        "111": pytest.approx(24.0),
    }
    for model in (EnergyDaily, EnergyMonthly):
        assert kwh(runtime, model, "plant_id") == {"11": pytest.approx(24.0)}
    devices = runtime.lake.scan(DeviceEnergyDaily).collect()
    assert devices["pv_generation_kwh"].round(9).to_list() == [12.0, 12.0]


def list_generating(new_runtime: New, sma: ScriptedSma, **kinds: str | None) -> RunContext:
    """A run of plant 11 with devices of these types (None: not given), each of which gives 500 W of PV."""
    sma.devices["11"] = [
        {"deviceId": name.strip("_"), "isActive": True} | ({"type": kind} if kind else {})
        for name, kind in kinds.items()
    ]
    sma.special = one_meter
    runtime = new_runtime("11")
    refresh(runtime)
    fetch(runtime, MONDAY)
    build(runtime, MONDAY)
    return runtime


def test_pv_that_a_meter_measures_as_well_counts_once(new_runtime: New, sma: ScriptedSma) -> None:
    """The inverter has no type, the other devices have: they measure what it makes, and a battery's makes its own."""
    kinds = {
        "_110": None,
        "_111": "Energy Meter",
        "_112": "Monitoring and control",
        "_113": "Battery Inverter",
    }
    runtime = list_generating(new_runtime, sma, **kinds)
    devices = runtime.lake.scan(DeviceEnergyDaily).collect()
    assert devices["device_id"].to_list() == ["110", "113"]
    assert devices["pv_generation_kwh"].sum() == pytest.approx(24.0)
    assert INVERTERS not in runtime.lake.scan(Quarantine).collect()["reason"].to_list()
    # What it measures stays as its rows.
    assert runtime.lake.scan(PvIntervals).collect()["device_id"].n_unique() == 4


def test_a_meter_of_inverters_that_sma_does_not_know_counts(new_runtime: New, sma: ScriptedSma) -> None:
    runtime = list_generating(new_runtime, sma, _111="Energy Meter")
    assert runtime.lake.scan(DeviceEnergyDaily).collect()["device_id"].to_list() == ["111"]


def test_the_table_of_devices_has_no_figure_of_a_meter() -> None:
    metered = {f"{name}_kwh" for name in METERED} | {"consumption_kwh"}
    assert not metered & set(polars_schema(DeviceEnergyDaily))


def test_no_view_reads_the_figures_of_single_meters() -> None:
    found = {storage(source.intervals).table for source in SETS} & BY_METER
    assert found == BY_METER
    assert [view.name for view in load_curated_views() for table in BY_METER if table in view.query] == []
