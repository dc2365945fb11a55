"""A start of operation that SMA gives later than the days that are stored: their energy stays."""

import datetime as dt
from collections.abc import Callable

import polars as pl

from bench.lists import refresh_lists
from pipeline.run.context import RunContext
from schemas import EnergyDaily, EnergyMonthly, Restatements
from tests.e2e.test_days import MONDAY, build, run
from tests.scripted import NOW, ScriptedSma

New = Callable[..., RunContext]


def test_days_before_a_start_that_was_corrected_keep_their_energy(new_runtime: New, sma: ScriptedSma) -> None:
    """As where a portal gives the day on which a plant moved, or got its new inverter."""
    runtime = run(new_runtime("11"), MONDAY)
    before = runtime.lake.scan(EnergyDaily).collect()
    assert before["pv_generation_kwh"].round(9).to_list() == [24.0]
    sma.started = "2021-10-10T00:00:00"
    runtime = new_runtime("11")
    runtime.now = lambda: NOW + dt.timedelta(days=1)
    refresh_lists(runtime)
    build(runtime, MONDAY)
    assert runtime.lake.scan(EnergyDaily).collect().equals(before)
    assert runtime.lake.scan(EnergyMonthly).select(pl.col("n_days").sum()).collect().item() == 1
    assert runtime.lake.scan(Restatements).collect().is_empty()
