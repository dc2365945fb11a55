"""Irradiance of plants by a sensor or a cloudless sky, and what of it fell while power was measured."""

import datetime as dt
from typing import Final

import polars as pl

from pipeline.transform.daily import sum_exactly
from pipeline.transform.energy import HOURS_PER_US
from pipeline.transform.sun.clear_sky import compute_clear_sky, project_on_best_plane

# A figure of a cloudless sky is taken in steps of this length, by the sun in their middle.
STEP = dt.timedelta(minutes=5)
# When a plant that works has something to give: by its sensor, or without one by the sun's height (sine of 10 degrees).
PRODUCTIVE_W_PER_M2 = 50.0
PRODUCTIVE_SINE = 0.17365
IRRADIANCE_COLUMNS: Final = ("plant_id", "interval_start", "interval_end", "w_per_m2", "productive")


def count_hours(start: pl.Expr, end: str) -> pl.Expr:
    """The hours from `start` to the column `end`, both UTC."""
    return (pl.col(end) - start).dt.total_microseconds() * HOURS_PER_US


def _find_middle() -> pl.Expr:
    return pl.col("interval_start") + (pl.col("interval_end") - pl.col("interval_start")) / 2


def choose_sensors(sensors: pl.DataFrame) -> pl.DataFrame:
    """Irradiance of each plant's sensor: of several the one with most values, the first by id among equals.

    `sensors` has rows of `sensor_intervals`. The result has IRRADIANCE_COLUMNS: `w_per_m2` is the mean of the interval
    in W/m², never below 0, and `productive` says whether a plant that works has something to give.
    """
    value = pl.col("external_insolation_w_per_m2")
    known = sensors.filter(value.is_not_null())
    best = (
        known.group_by("plant_id", "device_id")
        .agg(n=pl.len())
        .sort("plant_id", "n", "device_id", descending=[False, True, False])
        .unique("plant_id", keep="first", maintain_order=True)
    )
    watts = value.clip(0)
    return (
        known.join(best, on=["plant_id", "device_id"], how="semi")
        .with_columns(w_per_m2=watts, productive=watts >= PRODUCTIVE_W_PER_M2)
        .select(IRRADIANCE_COLUMNS)
    )


def build_sky(plants: pl.DataFrame) -> pl.DataFrame:
    """A cloudless sky (`compute_clear_sky`) in steps while the sun is up, for plants with coordinates.

    `plants` has plant_id, latitude and longitude in degrees, and day_start, day_end, sunrise and sunset in UTC. The
    result has a row for each plant and step of five minutes, from `interval_start` to `interval_end`.
    """
    begin = pl.max_horizontal("day_start", pl.col("sunrise").dt.truncate(STEP))
    end = pl.min_horizontal("day_end", "sunset")
    steps = (
        plants.with_columns(begin=begin, end=end)
        .filter(pl.col("begin") < pl.col("end"))
        .select(
            "plant_id",
            "latitude",
            "longitude",
            interval_start=pl.datetime_ranges("begin", "end", STEP, closed="left"),
        )
        .explode("interval_start", empty_as_null=False)
        .with_columns(interval_end=pl.col("interval_start") + STEP)
        .with_columns(at=_find_middle())
    )
    return compute_clear_sky(steps)


def choose_plane(sky: pl.DataFrame) -> pl.DataFrame:
    """The rows of `build_sky` with `w_per_m2` and `productive`.

    That is the irradiance in W/m² on the plane that catches most in the very time of these rows.
    """
    return sky.with_columns(w_per_m2=project_on_best_plane(sky), productive=pl.col("up") >= PRODUCTIVE_SINE)


def sum_irradiation(irradiance: pl.DataFrame, facts: pl.DataFrame) -> pl.DataFrame:
    """reference_yield_h of what is known, and how much of the daylight that is; a row for each plant.

    `irradiance` has IRRADIANCE_COLUMNS, `facts` a row for each plant with plant_id, day_start, day_end, sunrise and
    sunset in UTC. The result has the irradiation in kWh/m², which is the reference yield in hours, and
    `irradiation_covered_h` and `daylight_h`.
    """
    bounds = facts.select(
        "plant_id",
        "day_start",
        begin=pl.max_horizontal(pl.coalesce("sunrise", "day_start"), "day_start"),
        end=pl.min_horizontal(pl.coalesce("sunset", "day_end"), "day_end"),
    )
    lit = pl.min_horizontal("interval_end", "end") - pl.max_horizontal("interval_start", "begin")
    return (
        irradiance.join(bounds, on="plant_id")
        .filter(pl.col("interval_end") > pl.col("day_start"))
        .group_by("plant_id")
        .agg(
            reference_yield_h=sum_exactly(_sum_kwh_per_m2()),
            irradiation_covered_h=lit.dt.total_microseconds().clip(0).sum() * HOURS_PER_US,
            daylight_h=count_hours(pl.col("begin"), "end").first(),
        )
    )


def _sum_kwh_per_m2() -> pl.Expr:
    return pl.col("w_per_m2") * count_hours(pl.col("interval_start"), "interval_end") / 1000


def measure_worked(
    measured: pl.DataFrame, by_sensor: pl.DataFrame, sky: pl.DataFrame, powered: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """What of the irradiation fell while power was measured, by the sensor and by the sky; and what availability needs.

    `measured` is the shared time of sensor and power. Availability needs what should have given some energy, and did:
    by the sensor, or without one by the sky. No plane is known to be the plant's own: for a part of a day the bound is
    the plane that is best in that part.
    """
    spans = powered.select("plant_id", "pv_generation_w", begun="interval_start", until="interval_end")
    columns = [*IRRADIANCE_COLUMNS, "pv_generation_w"]
    by_sky = choose_plane(_select_during(sky, spans)).select(columns)
    met = pl.concat(
        [measured.select(columns), by_sky.join(by_sensor, on="plant_id", how="anti")]
    ).with_columns(hours=count_hours(pl.col("interval_start"), "interval_end"), kwh=_sum_kwh_per_m2())
    due, works = pl.col("productive"), pl.col("productive") & (pl.col("pv_generation_w") > 0)
    # Once anything is known of a plant, none of the time is 0 and not null.
    available = met.group_by("plant_id").agg(
        sum_exactly(pl.when(which).then(what).otherwise(0.0)).alias(name)
        for name, which, what in (
            ("productive_h", due, "hours"),
            ("generating_h", works, "hours"),
            ("productive_irradiation_kwh_per_m2", due, "kwh"),
            ("generating_irradiation_kwh_per_m2", works, "kwh"),
        )
    )
    return (
        _sum_light(measured, "window_reference_yield_h"),
        _sum_light(by_sky, "clear_sky_window_reference_yield_h"),
        available,
    )


def _sum_light(irradiance: pl.DataFrame, name: str) -> pl.DataFrame:
    return irradiance.group_by("plant_id").agg(sum_exactly(_sum_kwh_per_m2()).alias(name))


def _select_during(sky: pl.DataFrame, spans: pl.DataFrame) -> pl.DataFrame:
    """The steps of the sky whose middle lies in a span (begun, until] of their plant, with the span's columns.

    A step is as short as the shortest rows of power, so it is in one or in none.
    """
    found = sky.sort("plant_id", "at").join_asof(
        spans.sort("plant_id", "until"),
        left_on="at",
        right_on="until",
        by="plant_id",
        strategy="forward",
        check_sortedness=False,
    )
    return found.filter(pl.col("begun") <= pl.col("at"))


def intersect_time(light: pl.DataFrame, powered: pl.DataFrame) -> pl.DataFrame:
    """The pieces of time that an interval of light and a row of power share, cut at the edges of both.

    An hour of light may meet rows of five minutes, and the reverse: each piece has the mean irradiance and power of
    the two, and of the row's energy the part that falls into it. Neither side overlaps itself within a plant.
    """
    light = light.sort("plant_id", "interval_start")
    power = (
        powered.join(light, on="plant_id", how="semi")
        .select(
            "plant_id",
            "pv_generation_w",
            "pv_generation_kwh",
            begun="interval_start",
            until="interval_end",
        )
        .sort("plant_id", "begun")
    )
    # A piece begins where one of the two begins within the other: so two searches find every pair, each pair once.
    found = pl.concat(
        [
            _join_last_begun(power, "begun", light, "interval_start", exact=True),
            _join_last_begun(light, "interval_start", power, "begun", exact=False),
        ],
        how="diagonal",
    )
    whole = (pl.col("until") - pl.col("begun")).dt.total_microseconds()
    piece = (pl.col("interval_end") - pl.col("interval_start")).dt.total_microseconds()
    return (
        found.with_columns(
            interval_start=pl.max_horizontal("interval_start", "begun"),
            interval_end=pl.min_horizontal("interval_end", "until"),
        )
        .filter(pl.col("interval_start") < pl.col("interval_end"))
        .with_columns(pv_generation_kwh=pl.col("pv_generation_kwh") * (piece / whole))
        .select(*IRRADIANCE_COLUMNS, "pv_generation_w", "pv_generation_kwh")
    )


def _join_last_begun(
    left: pl.DataFrame, at: str, right: pl.DataFrame, begin: str, *, exact: bool
) -> pl.DataFrame:
    """Each row of `left` with the last of `right` that begins before its moment, or (`exact`) at it."""
    return left.join_asof(
        right,
        left_on=at,
        right_on=begin,
        by="plant_id",
        strategy="backward",
        allow_exact_matches=exact,
        coalesce=False,
        check_sortedness=False,
    ).filter(pl.col(begin).is_not_null())
