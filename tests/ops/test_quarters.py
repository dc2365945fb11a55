"""The check that quarters of an hour add up to their days, on tables that the steps made."""

from collections.abc import Callable

import polars as pl
import pytest

from pipeline.ops.checks import judge_quarters
from pipeline.run.context import RunContext
from pipeline.tables.hourly_tables import write_energy_hourly, write_quarter_energies
from schemas import EnergyDaily, EnergyHourly, QuarterHours
from tests.whole_days import MONDAY, TUESDAY, run

New = Callable[..., RunContext]


@pytest.mark.long
def test_days_without_quarters_are_left_out_and_made_ones_add_up(new_runtime: New) -> None:
    runtime = run(new_runtime(), MONDAY, TUESDAY)
    assert judge_quarters(runtime).facts["plant_days"] == 0
    write_quarter_energies(runtime, MONDAY)
    found = judge_quarters(runtime)
    assert (found.passed, found.facts["days"], found.facts["plant_days_off"]) == (True, 1, 0)
    assert found.facts["plant_days"] > 0


@pytest.mark.parametrize(("off", "passed"), [(1e-8, True), (0.01, False)])
def test_a_day_of_another_energy_than_its_quarters_is_named(
    new_runtime: New, off: float, *, passed: bool
) -> None:
    runtime = run(new_runtime(), MONDAY)
    write_quarter_energies(runtime, MONDAY)
    daily = pl.concat(runtime.lake.read_batches(EnergyDaily, {"local_date": MONDAY}))
    more = pl.when(plant_id="11").then(pl.col("pv_generation_kwh") + off).otherwise("pv_generation_kwh")
    runtime.lake.replace(EnergyDaily, {"local_date": MONDAY}, [daily.with_columns(pv_generation_kwh=more)])
    found = judge_quarters(runtime)
    assert found.passed is passed
    assert passed or f"plant 11, {MONDAY}" in found.text


def test_a_day_without_energy_of_the_sun_has_no_quarters_of_it(new_runtime: New) -> None:
    runtime = run(new_runtime(), MONDAY)
    daily = pl.concat(runtime.lake.read_batches(EnergyDaily, {"local_date": MONDAY}))
    night = daily.with_columns(
        pl.when(pl.col("plant_id") != "11").then(name).alias(name)
        for name in ("pv_generation_kwh", "pv_generation_covered_h")
    )
    runtime.lake.replace(EnergyDaily, {"local_date": MONDAY}, [night])
    write_quarter_energies(runtime, MONDAY)
    write_energy_hourly(runtime, MONDAY)
    for model in (QuarterHours, EnergyHourly):
        rows = runtime.lake.scan(model).collect()
        known = dict(rows.group_by("plant_id").agg(pl.col("pv_generation_kwh").count()).iter_rows())
        assert known.pop("11") == 0
        assert all(known.values())
    assert judge_quarters(runtime).passed
