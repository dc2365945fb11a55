"""Plant figures: each formula on numbers that a person can follow, and each reason for which a figure is null."""

import datetime as dt
from typing import Any

import polars as pl
import pytest

from pipeline.transform.performance import irradiance, kpi_days, kpi_formulas, kpi_months
from pipeline.transform.sun.clear_sky import ALBEDO, compute_clear_sky
from schemas import EnergyBalanceIntervals, KpiDaily, KpiMonthly, SensorIntervals, polars_schema
from schemas.kpi import REASON_OF
from warehouse.frames import validate

DAY = dt.date(2025, 6, 21)
MIDNIGHT = dt.datetime(2025, 6, 20, 22, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
MINUTE = dt.timedelta(minutes=1)
SENSED = ["plant_id", "device_id", "interval_start", "interval_end", "external_insolation_w_per_m2"]
# Sun from 08:00 to 16:00 by the plant's clock.
RISE, SET = 8, 16


def plant(**facts: Any) -> pl.DataFrame:
    """A plant of 10 kW DC and 8 kW AC in Berlin, with a day of 40 kWh that rows cover whole."""
    known = {
        "plant_id": "a",
        "latitude": 52.5,
        "longitude": 13.4,
        "peak_power_kw": 10.0,
        "ac_power_kw": 8.0,
        "co2_factor_g_per_kwh": 400.0,
        "day_start": MIDNIGHT,
        "day_end": MIDNIGHT + 24 * HOUR,
        "sunrise": MIDNIGHT + RISE * HOUR,
        "sunset": MIDNIGHT + SET * HOUR,
        "start_up": None,
        "status": "complete",
        "coverage": 1.0,
        "pv_generation_kwh": 40.0,
    }
    types = {"latitude": pl.Float64, "longitude": pl.Float64, "pv_generation_kwh": pl.Float64}
    types |= dict.fromkeys(("peak_power_kw", "ac_power_kw", "co2_factor_g_per_kwh"), pl.Float64)
    types |= dict.fromkeys(
        ("day_start", "day_end", "sunrise", "sunset", "start_up"), pl.Datetime("us", "UTC")
    )
    return pl.DataFrame([known | facts], schema_overrides=types)


def rows(watts: dict[int, float | None], **energies: float | None) -> pl.DataFrame:
    """A row an hour, by the hour at which it begins."""
    found = [
        {
            "plant_id": "a",
            "interval_start": MIDNIGHT + hour * HOUR,
            "interval_end": MIDNIGHT + (hour + 1) * HOUR,
            "pv_generation_w": power,
            "pv_generation_kwh": None if power is None else power / 1000,
        }
        | energies
        for hour, power in watts.items()
    ]
    schema = polars_schema(EnergyBalanceIntervals)
    return pl.DataFrame(found, schema={name: schema[name] for name in kpi_days.ROW_COLUMNS})


def sensor(watts: dict[int, float | None], device: str = "s") -> pl.DataFrame:
    found = [
        ("a", device, MIDNIGHT + hour * HOUR, MIDNIGHT + (hour + 1) * HOUR, value)
        for hour, value in watts.items()
    ]
    schema = polars_schema(SensorIntervals)
    return pl.DataFrame(found, schema={name: schema[name] for name in SENSED}, orient="row")


NO_SENSOR = sensor({})
LIGHT = range(RISE, SET)
GOOD = rows(dict.fromkeys(LIGHT, 5000.0))


def day(found: pl.DataFrame, sensors: pl.DataFrame = NO_SENSOR, **facts: Any) -> dict[str, Any]:
    """The day's figures, which must satisfy the table."""
    figures = kpi_days.summarize_day_figures(found, sensors, plant(**facts)).with_columns(
        local_date=pl.lit(DAY)
    )
    frame = figures.select(polars_schema(KpiDaily).names())
    validate(KpiDaily, frame, {"local_date": DAY})
    for name, reason in REASON_OF.items():
        assert (frame[name].is_null() == frame[reason].is_not_null()).all(), name
    return frame.row(0, named=True)


def test_the_formulas_with_a_sensor() -> None:
    found = day(GOOD, sensor(dict.fromkeys(LIGHT, 800.0) | {0: -3.0}))
    assert found["irradiation_source"] == "sensor"
    assert found["final_yield_kwh_per_kw"] == 4.0
    assert found["reference_yield_h"] == pytest.approx(6.4)
    assert found["performance_ratio"] == pytest.approx(4 / 6.4)
    assert found["performance_ratio_period"] == pytest.approx(4 / 6.4)
    assert found["capacity_factor"] == pytest.approx(40 / (8 * 24))
    assert found["co2_avoided_kg"] == 16.0
    assert found["irradiation_covered_h"] == 8.0
    assert (found["availability_time"], found["availability_energy"]) == (1.0, 1.0)


def test_missing_rows_lower_the_ratio_of_the_period_alone() -> None:
    half = rows(dict.fromkeys(range(RISE, 12), 5000.0))
    found = day(half, sensor(dict.fromkeys(LIGHT, 800.0)), pv_generation_kwh=20.0, coverage=0.5)
    assert found["performance_ratio"] == pytest.approx(2 / 3.2)
    assert found["performance_ratio_period"] == pytest.approx(2 / 6.4)
    assert found["window_reference_yield_h"] == pytest.approx(3.2)
    assert found["availability_time"] == 1.0


def test_a_sensor_with_gaps_says_nothing_of_the_whole_day() -> None:
    found = day(GOOD, sensor(dict.fromkeys(range(RISE, 12), 800.0) | {12: None}))
    assert found["window_generation_kwh"] == 20.0
    assert found["performance_ratio"] == pytest.approx(2 / 3.2)
    assert found["reference_yield_reason"] == "irradiation_gaps"
    assert found["performance_ratio_period_reason"] == "irradiation_gaps"
    assert found["irradiation_covered_h"] == 4.0


def test_of_several_sensors_the_one_with_most_values_counts() -> None:
    poor, good = sensor({8: 1.0}, "a"), sensor(dict.fromkeys(LIGHT, 800.0), "b")
    other = sensor(dict.fromkeys(LIGHT, 300.0), "c")
    assert day(GOOD, pl.concat([poor, other, good]))["reference_yield_h"] == pytest.approx(6.4)


def test_availability_by_time_and_by_energy() -> None:
    power = dict.fromkeys(LIGHT, 5000.0) | {8: 0.0, 9: None, 15: 0.0}
    light = dict.fromkeys(LIGHT, 500.0) | {8: 100.0, 15: 40.0}
    found = day(rows(power), sensor(light), pv_generation_kwh=25.0)
    # At 9 nobody knows, at 15 it is too dark: of the other six hours one was lost.
    assert found["productive_h"] == 6.0
    assert found["generating_h"] == 5.0
    assert found["availability_time"] == pytest.approx(5 / 6)
    assert found["availability_energy"] == pytest.approx(2.5 / 2.6)


def test_without_a_sensor_there_is_no_performance_ratio_but_one_against_the_sky() -> None:
    found = day(GOOD)
    assert found["irradiation_source"] == "clear_sky"
    for name in ("reference_yield", "performance_ratio", "performance_ratio_period"):
        assert found[f"{name}_reason"] == "irradiation_not_measured"
    assert 6 < found["reference_yield_clear_sky_h"] < 8
    assert found["performance_ratio_clear_sky"] == pytest.approx(4 / found["reference_yield_clear_sky_h"])


def test_a_sensor_changes_nothing_of_the_ratio_against_the_sky() -> None:
    """So plants with and without one can be ranked together: by one measure."""
    cloudy = day(GOOD, sensor(dict.fromkeys(LIGHT, 550.0)))
    assert cloudy["performance_ratio"] == pytest.approx(4 / 4.4)
    assert cloudy["performance_ratio_clear_sky"] == day(GOOD)["performance_ratio_clear_sky"]
    blind = day(GOOD, sensor(dict.fromkeys(LIGHT, 550.0)), latitude=None, sunrise=None, sunset=None)
    assert blind["performance_ratio"] == pytest.approx(4 / 4.4)
    assert blind["performance_ratio_clear_sky_reason"] == "no_coordinates"


@pytest.mark.parametrize("facing", ["east", "south", "west"])
@pytest.mark.parametrize("hours", [(8, 16), (8, 10), (14, 16), (15, 16)], ids=str)
def test_no_plane_beats_the_bound_in_any_part_of_a_day(facing: str, hours: tuple[int, int]) -> None:
    """A faultless plant whose steep modules look somewhere has a ratio of at most 1, whatever rows are missing."""
    steps = pl.DataFrame({"at": [MIDNIGHT + (12 * i + 0.5) * irradiance.STEP / 12 for i in range(24 * 144)]})
    toward = {"east": pl.col("east"), "south": -pl.col("north"), "west": -pl.col("east")}[facing]
    sky = compute_clear_sky(steps.with_columns(latitude=52.5, longitude=13.4)).with_columns(
        facing=(toward * 0.8 + pl.col("up") * 0.6).clip(0)
    )
    plane = pl.col("dni") * "facing" + pl.col("dhi") * 0.8 + pl.col("ghi") * ALBEDO * 0.2
    by_hour = sky.group_by(hour=(pl.col("at") - MIDNIGHT).dt.total_hours()).agg(plane.mean() * 10)
    watts = dict(by_hour.filter(pl.col("hour").is_between(*hours, closed="left")).iter_rows())
    found = day(rows(watts), pv_generation_kwh=sum(watts.values()) / 1000)
    assert 0.05 < found["performance_ratio_clear_sky"] <= 1


def test_a_few_minutes_of_dusk_are_too_dark_for_a_ratio() -> None:
    dusk = {"sunrise": MIDNIGHT + 5 * HOUR, "sunset": MIDNIGHT + 21 * HOUR}
    minutes = rows({20: 1500.0}).with_columns(interval_start=pl.col("interval_end") - 10 * MINUTE)
    found = day(minutes, pv_generation_kwh=0.25, **dusk)
    assert 0 < found["clear_sky_window_reference_yield_h"] < kpi_formulas.LEAST_REFERENCE_YIELD_H
    assert found["performance_ratio_clear_sky_reason"] == "too_dark"
    gloomy = day(GOOD, sensor(dict.fromkeys(LIGHT, 12.0)))
    assert gloomy["performance_ratio_reason"] == gloomy["performance_ratio_period_reason"] == "too_dark"


@pytest.mark.parametrize(("earliest", "hours"), [(12, 12), (11, 13)])
def test_the_first_day_begins_with_the_operation(earliest: int, hours: int) -> None:
    """Sensor and clocks count from the start-up on, or from a row of before it."""
    found = day(
        rows(dict.fromkeys(range(earliest, SET), 5000.0)),
        sensor(dict.fromkeys(LIGHT, 1000.0)),
        start_up=MIDNIGHT + 12 * HOUR,
        pv_generation_kwh=5.0 * (SET - earliest),
    )
    assert found["period_h"] == hours
    assert found["reference_yield_h"] == SET - earliest
    assert found["performance_ratio_period"] == found["performance_ratio"] == 0.5
    assert found["capacity_factor"] == pytest.approx(5 * (SET - earliest) / 8 / hours)


def test_the_sky_too_counts_from_the_start_up_on() -> None:
    late = day(GOOD.filter(pl.col("interval_start") >= MIDNIGHT + 12 * HOUR), start_up=MIDNIGHT + 12 * HOUR)
    whole, name = day(GOOD), "reference_yield_clear_sky_h"
    assert late[name] == pytest.approx(late["clear_sky_window_reference_yield_h"])
    assert late[name] < 0.6 * whole[name]
    long_ago = day(GOOD, start_up=MIDNIGHT - 1000 * HOUR)
    assert (long_ago["period_h"], long_ago[name]) == (24.0, whole[name])


def test_a_polar_night_is_dark_and_not_unknown() -> None:
    noon = MIDNIGHT + 12 * HOUR
    found = day(rows({12: 0.0}), latitude=80.0, sunrise=noon, sunset=noon, pv_generation_kwh=0.0)
    assert found["reference_yield_clear_sky_h"] == 0.0
    assert found["performance_ratio_clear_sky_reason"] == "too_dark"
    assert found["availability_reason"] == "too_dark"
    assert found["final_yield_kwh_per_kw"] == 0.0


@pytest.mark.parametrize(
    ("facts", "figure", "reason"),
    [
        ({"peak_power_kw": None}, "final_yield", "no_peak_power"),
        ({"peak_power_kw": None}, "performance_ratio", "no_peak_power"),
        ({"ac_power_kw": None}, "capacity_factor", "no_ac_power"),
        ({"co2_factor_g_per_kwh": None}, "co2_avoided", "no_co2_factor"),
        ({"latitude": None, "sunrise": None, "sunset": None}, "reference_yield_clear_sky", "no_coordinates"),
        (
            {"latitude": None, "sunrise": None, "sunset": None},
            "performance_ratio",
            "irradiation_not_measured",
        ),
        ({"latitude": None, "sunrise": None, "sunset": None}, "availability", "no_coordinates"),
    ],
)
def test_what_is_lacking_is_said(facts: dict[str, Any], figure: str, reason: str) -> None:
    assert day(GOOD, **facts)[f"{figure}_reason"] == reason


def test_a_silent_plant_has_a_row_with_reasons() -> None:
    found = day(rows({}), pv_generation_kwh=None, status="missing", coverage=0.0)
    of_the_sun = {"reference_yield_reason", "reference_yield_clear_sky_reason"}
    reasons = {found[name] for name in set(REASON_OF.values()) - of_the_sun}
    assert reasons == {"nothing_measured"}
    assert found["reference_yield_clear_sky_h"] > 0


def test_own_use_is_from_energies_of_rows_that_have_both() -> None:
    both = rows({9: 4000.0}, total_generation_kwh=4.0, self_consumption_kwh=1.0)
    generation_alone = rows({10: 5000.0}, total_generation_kwh=5.0)
    use = rows({11: None}, self_supply_kwh=1.0, total_consumption_kwh=4.0)
    found = day(pl.concat([both, generation_alone, use]))
    assert found["self_consumption_rate"] == 0.25
    assert found["self_supply_rate"] == 0.25
    assert found["matched_generation_kwh"] == 4.0


@pytest.mark.parametrize(
    ("part", "whole", "reason"), [(5.0, 4.0, "contradictory"), (0.0, 0.0, "no_energy"), (4.01, 4.0, None)]
)
def test_a_part_larger_than_the_whole_is_no_rate(part: float, whole: float, reason: str | None) -> None:
    found = day(rows({9: 1.0}, self_supply_kwh=part, total_consumption_kwh=whole))
    assert found["self_supply_rate_reason"] == reason
    assert reason or found["self_supply_rate"] == 1.0


def months(*days: pl.DataFrame) -> dict[str, Any]:
    stored = [
        d.with_columns(local_date=pl.lit(DAY + dt.timedelta(days=i))).select(polars_schema(KpiDaily).names())
        for i, d in enumerate(days)
    ]
    known = plant().select("plant_id", "peak_power_kw", "ac_power_kw", "co2_factor_g_per_kwh")
    known = known.with_columns(former_powers=pl.lit(None, pl.String))
    month = dt.date(2025, 6, 1)
    facts = {"status": pl.lit("complete"), "coverage": pl.lit(1.0), "n_days_missing": pl.lit(0, pl.Int64)}
    found = kpi_months.summarize_month_figures(pl.concat(stored), known).with_columns(
        **facts, n_days=pl.lit(len(days), pl.Int64)
    )
    frame = found.select(polars_schema(KpiMonthly).names())
    validate(KpiMonthly, frame, {"month": month})
    return frame.row(0, named=True)


def test_a_month_divides_sums_and_averages_no_ratios() -> None:
    bright = kpi_days.summarize_day_figures(GOOD, sensor(dict.fromkeys(LIGHT, 1000.0)), plant())
    dull_rows = rows(dict.fromkeys(LIGHT, 250.0), self_supply_kwh=0.5, total_consumption_kwh=1.0)
    dull = kpi_days.summarize_day_figures(
        dull_rows, sensor(dict.fromkeys(LIGHT, 100.0)), plant(pv_generation_kwh=2.0)
    )
    found = months(bright, dull)
    # 0.5 and 0.25 by the day; the dull day has a tenth of the light.
    assert found["performance_ratio"] == pytest.approx(4.2 / 8.8)
    assert found["capacity_factor"] == pytest.approx(42 / (8 * 48))
    assert found["self_supply_rate"] == 0.5
    assert found["co2_avoided_kg"] == pytest.approx(16.8)
    assert (found["irradiation_source"], found["n_days_sensor"]) == ("sensor", 2)


def test_a_month_relates_each_day_to_the_power_that_the_plant_had_on_it() -> None:
    """Half of the power in a tenth of the light, then all of it: each day has a ratio of 0.5, and so has the month."""
    bright = kpi_days.summarize_day_figures(GOOD, sensor(dict.fromkeys(LIGHT, 1000.0)), plant())
    dull = kpi_days.summarize_day_figures(
        rows(dict.fromkeys(LIGHT, 250.0)),
        sensor(dict.fromkeys(LIGHT, 100.0)),
        plant(pv_generation_kwh=2.0, peak_power_kw=5.0),
    )
    found = months(dull, bright)
    assert found["performance_ratio"] == found["performance_ratio_period"] == pytest.approx(0.5)
    by_sky = 42 / (15 * bright["clear_sky_window_reference_yield_h"][0])
    assert found["performance_ratio_clear_sky"] == pytest.approx(by_sky)
    unknown = bright.with_columns(peak_power_kw=pl.lit(None, pl.Float64))
    assert months(dull, bright, unknown)["performance_ratio"] == pytest.approx(82 / (84 / 8.8 * 16.8))


def test_a_month_with_a_day_of_unknown_light_has_a_window_alone() -> None:
    whole = kpi_days.summarize_day_figures(GOOD, sensor(dict.fromkeys(LIGHT, 1000.0)), plant())
    gaps = kpi_days.summarize_day_figures(GOOD, sensor({9: 1000.0}), plant())
    found = months(whole, gaps)
    assert found["performance_ratio"] == pytest.approx(4.5 / 9)
    assert found["reference_yield_reason"] == "days_without_irradiation"
    assert found["performance_ratio_period_reason"] == "days_without_irradiation"


def test_a_month_has_both_ratios_of_the_days_that_have_them() -> None:
    sensed = kpi_days.summarize_day_figures(GOOD, sensor(dict.fromkeys(LIGHT, 1000.0)), plant())
    cloudless = kpi_days.summarize_day_figures(GOOD, NO_SENSOR, plant())
    found = months(sensed, cloudless)
    assert found["irradiation_source"] == "clear_sky"
    assert (found["n_days_sensor"], found["n_days_clear_sky"]) == (1, 1)
    assert found["performance_ratio"] == sensed["performance_ratio"][0] == 0.5
    assert found["reference_yield_reason"] == "days_without_irradiation"
    assert found["performance_ratio_clear_sky"] == pytest.approx(cloudless["performance_ratio_clear_sky"][0])
    assert months(cloudless)["performance_ratio_reason"] == "irradiation_not_measured"


def supplied(watts: dict[int, float], series: str = "SolarSat") -> pl.DataFrame:
    return sensor(dict(watts)).select(
        "plant_id",
        "interval_start",
        "interval_end",
        w_per_m2="external_insolation_w_per_m2",
        series=pl.lit(series),
    )


def test_a_user_s_own_irradiation_makes_the_performance_ratio_and_is_named() -> None:
    """It goes before the plant's sensor, which may be what the user has lost faith in."""
    own = supplied(dict.fromkeys(LIGHT, 1000.0))
    for sensors in (NO_SENSOR, sensor(dict.fromkeys(LIGHT, 400.0))):
        frame = kpi_days.summarize_day_figures(GOOD, sensors, plant(), own).with_columns(
            local_date=pl.lit(DAY)
        )
        found = frame.row(0, named=True)
        validate(KpiDaily, frame.select(polars_schema(KpiDaily).names()), {"local_date": DAY})
        assert (found["irradiation_source"], found["irradiation_series"]) == ("supplied", "SolarSat")
        assert found["performance_ratio"] == found["performance_ratio_period"] == 0.5
        assert found["reference_yield_h"] == 8.0
        assert found["performance_ratio_clear_sky"] == day(GOOD)["performance_ratio_clear_sky"]


def test_a_month_counts_and_names_supplied_days() -> None:
    own = supplied(dict.fromkeys(LIGHT, 1000.0))
    first = kpi_days.summarize_day_figures(GOOD, NO_SENSOR, plant(), own)
    second = kpi_days.summarize_day_figures(GOOD, sensor(dict.fromkeys(LIGHT, 1000.0)), plant())
    found = months(first, second)
    assert (found["irradiation_source"], found["irradiation_series"]) == ("supplied", "SolarSat")
    assert (found["n_days_supplied"], found["n_days_sensor"], found["n_days_clear_sky"]) == (1, 1, 0)
    assert found["performance_ratio"] == found["performance_ratio_period"] == 0.5


def powers(watts: dict[int, float], minutes: int) -> pl.DataFrame:
    """Rows of power of so many minutes, by the minute after ten at which they begin."""
    found = rows(dict.fromkeys(range(len(watts)), 0.0))
    start = [MIDNIGHT + 10 * HOUR + minute * MINUTE for minute in watts]
    return found.with_columns(
        interval_start=pl.Series(start, dtype=pl.Datetime("us", "UTC")),
        pv_generation_w=pl.Series(list(watts.values())),
        pv_generation_kwh=pl.Series([power * minutes / 60_000 for power in watts.values()]),
    ).with_columns(interval_end=pl.col("interval_start") + minutes * MINUTE)


def lights(watts: dict[int, float], minutes: int) -> pl.DataFrame:
    """Values of a sensor of so many minutes, by the minute after ten at which they begin."""
    found = powers(watts, minutes)
    return found.select(
        "plant_id",
        "interval_start",
        "interval_end",
        device_id=pl.lit("s"),
        external_insolation_w_per_m2="pv_generation_w",
    ).select(SENSED)


FIVES = range(0, 60, 5)


@pytest.mark.parametrize(
    "present",
    [
        [*FIVES],
        [25, 30],
        [m for m in FIVES if not 20 <= m < 40],
        [*range(0, 15, 5)],
        [*range(-30, 90, 5)],
    ],
    ids=["whole", "the middle alone", "no middle", "the start alone", "beyond both ends"],
)
def test_a_gap_in_power_bends_no_ratio_against_light_by_the_hour(present: list[int]) -> None:
    """A user's own irradiation may last an hour, and its power five minutes."""
    own = lights({0: 1000.0}, 60).select(
        "plant_id",
        "interval_start",
        "interval_end",
        w_per_m2="external_insolation_w_per_m2",
        series=pl.lit("SolarSat"),
    )
    power = powers(dict.fromkeys(present, 800.0), 5)
    found = kpi_days.summarize_day_figures(power, NO_SENSOR, plant(peak_power_kw=1.0), own).row(0, named=True)
    hours = sum(0 <= minute < 60 for minute in present) / 12
    assert found["window_reference_yield_h"] == pytest.approx(hours)
    assert found["window_generation_kwh"] == pytest.approx(0.8 * hours)
    assert found["performance_ratio"] == pytest.approx(0.8)
    assert found["productive_h"] == found["generating_h"] == pytest.approx(hours)


@pytest.mark.parametrize("minutes", [15, 60])
@pytest.mark.parametrize(
    "present",
    [[*FIVES], [25, 30], [m for m in FIVES if not 20 <= m < 40], [0, 5]],
    ids=["whole", "the middle alone", "no middle", "the start alone"],
)
def test_a_gap_in_light_bends_no_ratio_against_power_of_coarser_rows(
    present: list[int], minutes: int
) -> None:
    power = powers(dict.fromkeys(range(0, 60, minutes), 800.0), minutes)
    found = day(power, lights(dict.fromkeys(present, 1000.0), 5), peak_power_kw=1.0)
    hours = len(present) / 12
    assert found["window_reference_yield_h"] == pytest.approx(hours)
    assert found["window_generation_kwh"] == pytest.approx(0.8 * hours)
    assert found["performance_ratio"] == pytest.approx(0.8)
    assert found["productive_h"] == found["generating_h"] == pytest.approx(hours)


def test_spans_that_cross_are_cut_at_the_edges_of_both() -> None:
    """Quarters that begin at ten past meet hours: what they share is counted, by its part."""
    power = powers({-5: 400.0, 10: 800.0, 50: 0.0, 110: 400.0}, 15)
    found = day(power, lights({0: 600.0, 60: 1200.0}, 60), peak_power_kw=1.0)
    # Ten minutes of the first, the second whole, ten and five of the third, ten of the fourth.
    assert found["window_generation_kwh"] == pytest.approx((400 * 10 + 800 * 15 + 400 * 10) / 60_000)
    assert found["window_reference_yield_h"] == pytest.approx((600 * 35 + 1200 * 15) / 60_000)
    assert found["productive_h"] == pytest.approx(50 / 60)
    assert found["generating_h"] == pytest.approx(35 / 60)
    assert found["generating_irradiation_kwh_per_m2"] == pytest.approx((600 * 25 + 1200 * 10) / 60_000)
