"""Lost energy beside the truth, and what a changed file of limits does: a small fleet through the whole pipeline."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from bench.curtailment import LEVELS, Curtailed, curtailed_fleet, measure_errors
from pipeline.tables.curtailment_tables import (
    judge_limits,
    write_curtailment_daily,
    write_curtailment_monthly,
)
from schemas import CurtailmentDaily, CurtailmentMonthly, KpiDaily

pytestmark = pytest.mark.long

# Two months, so that no day of July is compared with for June.
DAYS = [dt.date(2025, 6, 23) + dt.timedelta(days=number) for number in range(12)]
PLANTS = 7
KEY = ["plant_id", "local_date"]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Curtailed]:
    with curtailed_fleet(tmp_path_factory.mktemp("curtailed"), PLANTS, DAYS) as curtailed:
        yield curtailed


def test_the_sensor_s_method_tells_what_was_lost(fleet: Curtailed) -> None:
    found = fleet.estimate("spitz")
    of_sensor = found.filter(pl.col("method") == "spitz")
    # Three of seven plants have a sensor, and half of the days a limit.
    assert of_sensor["plant_id"].n_unique() == 3
    assert abs(measure_errors(of_sensor)["sum_off"]) < 4
    assert of_sensor["true_kwh"].sum() > 100
    assert found.select(
        (
            (pl.col("lost_low_kwh") <= pl.col("lost_kwh")) & (pl.col("lost_kwh") <= pl.col("lost_high_kwh"))
        ).all()
    ).item()
    # Limits hold for six hours a day, and bind in a part of them.
    assert found["limited_h"].unique().to_list() == [6.0]
    assert (found["binding_h"] <= found["limited_h"]).all()
    compared = of_sensor.filter(pl.col("comparison_date").is_not_null())
    assert (compared["comparison_date"].dt.month_start() <= compared["month"]).all()
    limited = fleet.limits.select("plant_id", comparison_date="local_date")
    assert not compared.join(limited, on=["plant_id", "comparison_date"]).height


def test_neighbours_under_the_same_sky_serve_as_the_reference(fleet: Curtailed) -> None:
    found = fleet.estimate("spitz_light")
    of_neighbours = found.filter(pl.col("reference") == "neighbours")
    assert of_neighbours["true_kwh"].sum() > 50
    assert abs(measure_errors(of_neighbours)["sum_off"]) < 10
    # Where limits hold on all the days on which its neighbours are free, a plant has no reference.
    assert set(found["method_reason"].drop_nulls()) <= {"no_reference", "not_binding"}


def test_without_a_limit_that_binds_nothing_is_lost(fleet: Curtailed) -> None:
    found = fleet.estimate()
    idle = found.filter(pl.col("binding_h") == 0)
    assert idle["method_reason"].unique().to_list() == ["not_binding"] or not idle.height
    assert idle["true_kwh"].sum() == pytest.approx(0, abs=0.5)
    assert sorted(found["level"].unique()) == list(LEVELS)


def test_months_are_the_sums_of_their_days_and_have_both_performance_ratios(fleet: Curtailed) -> None:
    fleet.estimate()
    lake = fleet.runtime.lake
    days, months = (lake.scan(model).collect() for model in (CurtailmentDaily, CurtailmentMonthly))
    sums = days.group_by("plant_id", "month").agg(pl.col("lost_kwh", "limited_h").sum(), n=pl.len())
    both = months.join(sums, on=["plant_id", "month"], suffix="_added")
    assert both.height == months.height == PLANTS * 2
    assert both["lost_kwh"].to_list() == pytest.approx(both["lost_kwh_added"].to_list())
    assert both["n_days_limited"].to_list() == both["n"].to_list()
    ratios = days.drop_nulls("performance_ratio_without_curtailment").join(
        lake.scan(KpiDaily).select(*KEY, "peak_power_kw", "window_generation_kwh").collect(), on=KEY
    )
    assert ratios.height
    gained = ratios["performance_ratio_without_curtailment"] / ratios["performance_ratio"]
    added = 1 + ratios["lost_kwh"] / ratios["window_generation_kwh"]
    assert gained.to_list() == pytest.approx(added.to_list())


def test_the_same_sources_make_nothing_anew_and_a_changed_file_does(fleet: Curtailed) -> None:
    fleet.estimate()
    again = write_curtailment_daily(fleet.runtime)
    assert (again.changed, again.facts["months_made"]) == (False, 0)
    fleet.estimate("pauschal")
    assert fleet.runtime.lake.scan(CurtailmentDaily).collect()["method"].unique().drop_nulls().to_list() == [
        "pauschal"
    ]
    finding = judge_limits(fleet.runtime)
    assert finding.passed
    assert finding.facts["plant_days_limited"] == PLANTS * len(DAYS) // 2


def test_without_a_file_there_are_no_rows(fleet: Curtailed) -> None:
    fleet.estimate()
    fleet.runtime.settings = fleet.runtime.settings.model_copy(update={"curtailment_limits": None})
    write_curtailment_daily(fleet.runtime)
    write_curtailment_monthly(fleet.runtime)
    for model in (CurtailmentDaily, CurtailmentMonthly):
        assert not fleet.runtime.lake.scan(model).collect().height


def test_limits_that_were_not_followed_and_unknown_plants_are_told(fleet: Curtailed, tmp_path: Path) -> None:
    rows = fleet.limits.filter(pl.col("level") == 60).with_columns(limit_kw=pl.col("limit_kw") / 3)
    unknown = rows.head(1).with_columns(plant_id=pl.lit("none"))
    path = tmp_path / "wrong.csv"
    asked = pl.concat([rows, unknown]).select("plant_id", "limit_start", "limit_end", "limit_kw")
    asked.write_csv(path, datetime_format="%Y-%m-%dT%H:%M:%SZ")
    fleet.runtime.settings = fleet.runtime.settings.model_copy(update={"curtailment_limits": path})
    write_curtailment_daily(fleet.runtime)
    finding = judge_limits(fleet.runtime)
    assert not finding.passed
    assert "names 1 plant that SMA has never listed, such as none" in finding.text
    assert "Power was above a limit on" in finding.text
