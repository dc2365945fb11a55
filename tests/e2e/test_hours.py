"""Hours and average days follow the stored intervals: caught up where they lack, rebuilt where those changed."""

import datetime as dt
from collections.abc import Callable

import polars as pl
import pytest

from pipeline.run.context import RunContext
from pipeline.tables.hourly_tables import write_energy_hourly, write_profile_monthly, write_quarter_energies
from schemas import EnergyDaily, EnergyHourly, Plants, ProfileMonthly
from tests.scripted import ScriptedSma
from tests.whole_days import MONDAY, TUESDAY, run

New = Callable[..., RunContext]


def by_plant(
    runtime: RunContext, model: type[EnergyDaily | EnergyHourly | ProfileMonthly]
) -> dict[str, float]:
    """PV energy of each plant in all rows."""
    total = pl.col("pv_generation_kwh").sum()
    return dict(runtime.lake.scan(model).group_by("plant_id").agg(total).collect().rows())


def test_days_without_hours_are_caught_up_once(new_runtime: New) -> None:
    runtime = run(new_runtime(), MONDAY, TUESDAY)
    report = write_profile_monthly(runtime)
    assert report.facts == {"days_caught_up": 2, "months_made": 1}
    assert report.changed
    days = by_plant(runtime, EnergyDaily)
    assert by_plant(runtime, EnergyHourly) == pytest.approx(days)
    assert by_plant(runtime, ProfileMonthly) == pytest.approx(days)
    assert runtime.lake.scan(ProfileMonthly).collect()["n_days"].unique().to_list() == [2]

    again = write_profile_monthly(runtime)
    assert again.facts == {"days_caught_up": 0, "months_made": 0}
    assert not again.changed


def test_the_same_hours_commit_nothing_and_an_average_day_follows_other_ones(
    new_runtime: New, sma: ScriptedSma
) -> None:
    runtime = run(new_runtime(), MONDAY)
    for write in (write_quarter_energies, write_energy_hourly):
        assert write(runtime, MONDAY).changed
        assert not write(runtime, MONDAY).changed
    write_profile_monthly(runtime)
    before = by_plant(runtime, ProfileMonthly)["11"]
    sma.watts["11", str(MONDAY)] = 2000.0
    runtime = run(new_runtime(), MONDAY)
    write_quarter_energies(runtime, MONDAY)
    write_energy_hourly(runtime, MONDAY)
    assert write_profile_monthly(runtime).facts["months_made"] == 1
    assert by_plant(runtime, ProfileMonthly)["11"] == pytest.approx(2 * before)


def test_a_plant_that_moved_has_its_hours_under_its_newest_id(new_runtime: New) -> None:
    runtime = run(new_runtime(), MONDAY)
    write_profile_monthly(runtime)
    days = by_plant(runtime, EnergyHourly)
    plants = runtime.lake.scan(Plants).collect()
    new = plants.filter(plant_id="11").with_columns(
        plant_id=pl.lit("99"), migrated_from=pl.lit("11"), first_seen=pl.lit(dt.date(2021, 10, 9))
    )
    runtime.lake.replace(Plants, {}, [pl.concat([plants, new]).sort("plant_id")])
    assert write_profile_monthly(runtime).facts == {"days_caught_up": 1, "months_made": 1}
    days["99"] = days.pop("11")
    assert by_plant(runtime, EnergyHourly) == days
    assert by_plant(runtime, ProfileMonthly) == pytest.approx(days)
    assert write_profile_monthly(runtime).facts["days_caught_up"] == 0
