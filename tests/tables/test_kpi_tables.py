"""Plant figures in the lake: what an older version stored, and what a user brings along."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipeline.run.context import RunContext
from pipeline.tables.kpi_tables import write_kpi_daily, write_kpi_monthly
from schemas import KpiDaily, KpiMonthly
from tests.e2e.test_days import MONDAY, TUESDAY, run

New = Callable[..., RunContext]


def figures(runtime: RunContext, day: dt.date = MONDAY) -> dict[str, Any]:
    """The row of plant 11."""
    rows = runtime.lake.scan(KpiDaily).filter(pl.col("plant_id") == "11", pl.col("local_date") == day)
    return rows.collect().row(0, named=True)


def test_days_that_an_older_version_stored_are_made_again(new_runtime: New) -> None:
    """It had one column for both: figures of a cloudless sky stood under the names of measured ones."""
    runtime = run(new_runtime(), MONDAY, TUESDAY)
    for day in (MONDAY, TUESDAY):
        write_kpi_daily(runtime, day)
    before = figures(runtime)
    assert before["performance_ratio_reason"] == "no_peak_power"
    (stored,) = runtime.lake.read_batches(KpiDaily, {"local_date": MONDAY})
    old = stored.with_columns(
        reference_yield_h="reference_yield_clear_sky_h",
        reference_yield_clear_sky_h=None,
        reference_yield_reason=None,
        reference_yield_clear_sky_reason=None,
    )
    runtime.lake.replace(KpiDaily, {"local_date": MONDAY}, [old.cast(dict(stored.schema))])  # type: ignore[arg-type]
    tuesday = runtime.lake.take_snapshot(KpiDaily, {"local_date": TUESDAY}).files
    assert write_kpi_monthly(runtime).facts["days_remade"] == 1
    assert figures(runtime) == before
    assert runtime.lake.take_snapshot(KpiDaily, {"local_date": TUESDAY}).files == tuesday
    assert write_kpi_monthly(runtime).facts["days_remade"] == 0


def test_a_user_s_own_irradiation_is_in_the_figures_of_its_plant_and_days(
    new_runtime: New, tmp_path: Path
) -> None:
    file = tmp_path / "solarsat.csv"
    lines = [
        f"11,2021-10-04T{hour:02}:00:00+10:00,2021-10-04T{hour:02}:59:59+10:00,500" for hour in range(5, 19)
    ]
    file.write_text("\n".join(["plant_id,interval_start,interval_end,w_per_m2", *lines, ""]))
    runtime = new_runtime()
    runtime.settings = runtime.settings.model_copy(update={"irradiation": file})
    run(runtime, MONDAY, TUESDAY)
    for day in (MONDAY, TUESDAY):
        write_kpi_daily(runtime, day)
    found = figures(runtime)
    assert (found["irradiation_source"], found["irradiation_series"]) == ("supplied", "solarsat")
    assert found["reference_yield_h"] == pytest.approx(7.0, abs=0.01)
    assert figures(runtime, TUESDAY)["irradiation_source"] == "clear_sky"
    write_kpi_monthly(runtime)
    row = runtime.lake.scan(KpiMonthly).filter(pl.col("plant_id") == "11").collect().row(0, named=True)
    assert (row["n_days_supplied"], row["n_days_clear_sky"], row["irradiation_series"]) == (1, 1, "solarsat")
