"""Plant figures in the lake: what an older version stored, and what a user brings along."""

import datetime as dt
import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from pipeline.run.context import RunContext
from pipeline.tables.hourly_tables import write_quarter_energies
from pipeline.tables.kpi_tables import write_kpi_daily, write_kpi_monthly
from schemas import KpiDaily, KpiMonthly, Plants
from tests.scripted import NOW
from tests.whole_days import MONDAY, TUESDAY, run
from warehouse.month_queries.month_rows import select_month_rows
from warehouse.published_file.publish import publish

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


def test_figures_of_a_day_are_related_to_the_power_that_the_plant_had_then(
    new_runtime: New, tmp_path: Path
) -> None:
    """SMA listed 3 kW up to Monday, and 6 kW from Tuesday on: the plant was repowered."""
    runtime = run(new_runtime(), MONDAY, TUESDAY)
    for day in (MONDAY, TUESDAY):
        write_quarter_energies(runtime, day)
    former = [
        {"until": "2020-01-01", "peak_power_kw": 1.0, "ac_power_kw": 1.0},
        {"until": str(MONDAY), "peak_power_kw": 3.0, "ac_power_kw": 0.5},
    ]
    listed = runtime.lake.read_whole(Plants).with_columns(
        peak_power_kw=pl.lit(6.0), ac_power_kw=pl.lit(5.0), former_powers=pl.lit(json.dumps(former))
    )
    runtime.lake.replace(Plants, {}, [listed])
    for day in (MONDAY, TUESDAY):
        write_kpi_daily(runtime, day)
    write_kpi_monthly(runtime)
    named = ("peak_power_kw", "ac_power_kw", "final_yield_kwh_per_kw")
    assert [figures(runtime, MONDAY)[name] for name in named] == [3.0, 0.5, pytest.approx(8.0)]
    assert [figures(runtime, TUESDAY)[name] for name in named] == [6.0, 5.0, pytest.approx(4.0)]
    month = runtime.lake.scan(KpiMonthly).filter(pl.col("plant_id") == "11").collect().row(0, named=True)
    assert month["peak_power_kw"] == 4.5
    yields = pytest.approx(48.0 / 4.5)
    assert month["final_yield_kwh_per_kw"] == yields
    target = tmp_path / "published.duckdb"
    publish(runtime.lake, target, now=NOW, version="0")
    with closing(duckdb.connect(str(target), read_only=True)) as published:
        ask = published.sql
        daily = ask(
            "SELECT specific_yield_kwh_per_kw FROM v_energy_daily WHERE plant_id = '11' ORDER BY local_date"
        )
        assert daily.fetchall() == [(pytest.approx(8.0),), (pytest.approx(4.0),)]
        for view in ("v_energy_monthly", "v_energy_monthly_by_fleet", "v_energy_monthly_by_group"):
            assert ask(f"SELECT DISTINCT specific_yield_kwh_per_kw FROM {view}").fetchall() == [(yields,)], (
                view
            )
        clipped = ask(
            "SELECT ac_power_kw, clipped_h FROM v_clipping_daily WHERE plant_id = '11' ORDER BY local_date"
        )
        # 1 kW all day is all that the plant could give on Monday, and a fifth of it on Tuesday.
        assert clipped.fetchall() == [(0.5, 24.0), (5.0, 0.0)]
        plants = select_month_rows(published, MONDAY.replace(day=1)).read_plants()
        assert plants["peak_power_kw"].to_list() == [4.5, 4.5]
    # A power that was a mistake is corrected on the days that are stored.
    runtime.lake.replace(Plants, {}, [listed.with_columns(former_powers=pl.lit("[]"))])
    assert write_kpi_monthly(runtime).facts["days_remade"] == 1
    assert [figures(runtime, MONDAY)[name] for name in named] == [6.0, 5.0, pytest.approx(4.0)]
    assert write_kpi_monthly(runtime).facts["days_remade"] == 0
