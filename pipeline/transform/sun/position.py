"""When the sun is up at each plant: sunrise, solar noon and sunset of a calendar day.

Low-precision solar coordinates after J. Meeus, Astronomical Algorithms (2nd edition, chapter 25), in the form
that NOAA's solar calculator uses. The sun's place is computed again at its rising and its setting, which keeps
both within seconds of NREL's SPA up to 60 degrees of latitude. Terrain, weather and inverters that start late
stay out of it: this is when light is possible, not when a plant feeds in.
"""

from collections.abc import Collection
from datetime import UTC, date, datetime
from functools import cache, lru_cache
from math import radians, sin, tau
from typing import Any

import polars as pl

from pipeline.common.local_time import build_day_bounds, build_days_frame

# The sun's centre when its upper edge touches the horizon: 34' of refraction and 16' of radius below it.
HORIZON_DEG = -0.833

# Several steps of a day ask for the same plants, each after all days of a run were made by the step before. What is
# kept takes 5 MB at most; for more plants it costs less than their rows.
KEPT_PLANTS, KEPT_ANSWERS = 64, 256
_SITE = pl.Schema(
    {"plant_id": pl.String(), "timezone": pl.String(), "latitude": pl.Float64(), "longitude": pl.Float64()}
)

_J2000 = datetime(2000, 1, 1, 12, tzinfo=UTC)
_DAYS_A_CENTURY = 36_525
_SECONDS_A_DAY = 86_400


def find_daylight(plants: pl.DataFrame, day: date) -> pl.DataFrame:
    """Sunrise, solar noon and sunset of one plant-local calendar day, for each plant.

    `plants` has plant_id, latitude and longitude in degrees (north and east positive) and timezone (IANA).
    The zone says which solar day is meant; near the date line the longitude alone can't. The answer has a row
    for each plant in the same order: plant_id, sunrise, noon, sunset (UTC, whole seconds).

    * Where a coordinate is null, so are all times.
    * Polar night is empty: sunrise and sunset both equal noon.
    * Polar day is the whole calendar day: sunrise is its local midnight and sunset the next one.
    * Where clocks are far from the sun, sunset can fall after local midnight (Nome in June: 01:47). It is not
      cut there: a caller that wants only the calendar day's part cuts it.

    An unknown zone raises `zoneinfo.ZoneInfoNotFoundError`.
    """
    sites = plants.select(*_SITE)
    if sites.height > KEPT_PLANTS:
        return _compute_daylight(sites, [day]).drop("local_date")
    return _keep_daylight(tuple(sites.rows()), day).clone()


def find_daylight_of_days(plants: pl.DataFrame, days: Collection[date]) -> pl.DataFrame:
    """The rows of `find_daylight` of each of these days, with local_date."""
    return _compute_daylight(plants.select(*_SITE), days)


@lru_cache(maxsize=KEPT_ANSWERS)
def _keep_daylight(sites: tuple[tuple[Any, ...], ...], day: date) -> pl.DataFrame:
    return _compute_daylight(pl.DataFrame(sites, _SITE, orient="row"), [day]).drop("local_date")


def _compute_daylight(plants: pl.DataFrame, days: Collection[date]) -> pl.DataFrame:
    bounds = build_day_bounds(days, plants["timezone"])
    clock_noon = pl.col("day_start") + (pl.col("day_end") - pl.col("day_start")) / 2
    rising, setting = _find_sundial_noon() - _compute_half_day(), _find_sundial_noon() + _compute_half_day()
    placed = pl.all_horizontal(pl.col("latitude", "longitude").is_not_null())
    return (
        plants.select("plant_id", "timezone", pl.col("latitude", "longitude").cast(pl.Float64))
        .join(bounds, on="timezone", maintain_order="left")
        .with_columns(mean_noon=_find_mean_noon(_convert_to_days(clock_noon), pl.col("longitude")))
        .pipe(_add_sun, at="mean_noon")
        .with_columns(noon=_find_sundial_noon())
        .pipe(_add_sun, at="noon")
        .with_columns(cos_at_noon=_compute_cos_hour_angle(), sunrise=rising, sunset=setting)
        # A second look, from where the sun stands at its first guessed rising and setting.
        .pipe(_add_sun, at="sunrise")
        .with_columns(sunrise=rising)
        .pipe(_add_sun, at="sunset")
        .with_columns(sunset=setting)
        .with_columns(_convert_to_moment(pl.col("sunrise", "noon", "sunset")))
        .select("plant_id", "local_date", *(pl.when(placed).then(moment) for moment in _find_times()))
    )


def find_nights(plants: pl.DataFrame, day: date, *, below_deg: float) -> pl.DataFrame:
    """When the sun rises above and sinks below a height that is `below_deg` under the horizon.

    Frames as for `find_daylight`; the answer has plant_id, dawn and dusk (UTC): half a day before and after noon
    where the sun never sinks so far, both noon where it never rises so far. A few minutes off, for a third of the
    cost: the sun is looked at once.
    """
    sites = plants.select(*_SITE)
    if sites.height > KEPT_PLANTS:
        return _compute_nights(sites, day, below_deg)
    return _keep_nights(tuple(sites.rows()), day, below_deg).clone()


@lru_cache(maxsize=KEPT_ANSWERS)
def _keep_nights(sites: tuple[tuple[Any, ...], ...], day: date, below_deg: float) -> pl.DataFrame:
    return _compute_nights(pl.DataFrame(sites, _SITE, orient="row"), day, below_deg)


def _compute_nights(plants: pl.DataFrame, day: date, below_deg: float) -> pl.DataFrame:
    bounds = build_days_frame(day, plants["timezone"]).select("timezone", "day_start", "day_end")
    clock_noon = pl.col("day_start") + (pl.col("day_end") - pl.col("day_start")) / 2
    half_day = _compute_half_day(-below_deg)
    return (
        plants.select("plant_id", "timezone", pl.col("latitude", "longitude").cast(pl.Float64))
        .join(bounds, on="timezone", how="left", maintain_order="left")
        .with_columns(mean_noon=_find_mean_noon(_convert_to_days(clock_noon), pl.col("longitude")))
        .pipe(_add_sun, at="mean_noon")
        .with_columns(noon=_find_sundial_noon(), half_day=half_day)
        .select(
            "plant_id",
            dawn=_convert_to_moment(pl.col("noon") - pl.col("half_day")),
            dusk=_convert_to_moment(pl.col("noon") + pl.col("half_day")),
        )
    )


def compute_elevation_deg(places: pl.DataFrame) -> pl.Series:
    """Height of the sun's centre above the horizon in degrees, without refraction: `at` (UTC) at latitude, longitude.

    Null where one of them is. The answer has a value for each row, in the same order.
    """
    height = pl.col("up").clip(-1, 1).arcsin().degrees().alias("elevation_deg")
    return compute_direction(places).select(height).to_series()


def compute_direction(places: pl.DataFrame) -> pl.DataFrame:
    """Where the sun stands, as a vector of length 1 from the place to the sun: east, north and up. Else as above."""
    sin_latitude, cos_latitude = pl.col("latitude").radians().sin(), pl.col("latitude").radians().cos()
    sin_sun, cos_sun = pl.col("declination").sin(), pl.col("declination").cos()
    hour_angle = (pl.col("days") + pl.col("longitude") / 360 + pl.col("equation_of_time")) * tau
    return (
        places.select("latitude", "longitude", days=_convert_to_days(pl.col("at")))
        .pipe(_add_sun, at="days")
        .select(
            east=-cos_sun * hour_angle.sin(),
            north=cos_latitude * sin_sun - sin_latitude * cos_sun * hour_angle.cos(),
            up=sin_latitude * sin_sun + cos_latitude * cos_sun * hour_angle.cos(),
        )
    )


@cache
def _build_epoch() -> pl.Expr:
    """As an expression, which polars would make of it each time by some queries of its own."""
    return pl.lit(_J2000)


def _convert_to_days(moment: pl.Expr) -> pl.Expr:
    """A UTC time as days since J2000."""
    return (moment - _build_epoch()).dt.total_seconds() / _SECONDS_A_DAY


def _convert_to_moment(days: pl.Expr) -> pl.Expr:
    """Days since J2000 as a UTC time, rounded to the second."""
    seconds = (days * _SECONDS_A_DAY + _J2000.timestamp()).round().cast(pl.Int64)
    return pl.from_epoch(seconds, time_unit="s").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")


def _find_mean_noon(clock_noon: pl.Expr, longitude: pl.Expr) -> pl.Expr:
    """Noon of mean solar time at the longitude, the one nearest to noon by the clock."""
    turn = longitude / 360
    return (clock_noon + turn).round() - turn


def _add_sun(frame: pl.DataFrame, at: str) -> pl.DataFrame:
    """Add (or replace) where the sun stands at the days since J2000 in column `at`.

    New columns: declination (rad, north positive), equation_of_time (days that sundials are ahead of clocks),
    and the terms that they are made of. In steps, because polars takes longer over deep expressions.
    """
    placed = frame.with_columns(centuries=pl.col(at) / _DAYS_A_CENTURY)
    for step in _list_sun_steps():
        placed = placed.with_columns(step)
    return placed


@cache
def _list_sun_steps() -> tuple[list[pl.Expr], ...]:
    """The steps from `centuries` to where the sun stands. They are built once, which takes longer than their use."""
    t = pl.col("centuries")
    mean = [
        (280.46646 + t * (36000.76983 + t * 0.0003032)).radians().alias("mean_longitude"),
        (357.52911 + t * (35999.05029 - t * 0.0001537)).radians().alias("anomaly"),
        (0.016708634 - t * (0.000042037 + t * 0.0000001267)).alias("eccentricity"),
        (125.04 - t * 1934.136).radians().alias("node"),
    ]
    tilted = [
        _compute_apparent_longitude().alias("apparent_longitude"),
        (23.4392911 - t * 0.0130042 + pl.col("node").cos() * 0.00256).radians().alias("obliquity"),
    ]
    seen = [
        (pl.col("obliquity").sin() * pl.col("apparent_longitude").sin()).arcsin().alias("declination"),
        _compute_equation_of_time().alias("equation_of_time"),
    ]
    return mean, tilted, seen


def _compute_apparent_longitude() -> pl.Expr:
    """The sun's longitude in rad as it is seen: with the ellipse, aberration and nutation."""
    t, anomaly = pl.col("centuries"), pl.col("anomaly")
    centre = (
        anomaly.sin() * (1.914602 - t * (0.004817 + t * 0.000014))
        + (2 * anomaly).sin() * (0.019993 - t * 0.000101)
        + (3 * anomaly).sin() * 0.000289
    )
    return pl.col("mean_longitude") + (centre - 0.00569 - pl.col("node").sin() * 0.00478).radians()


def _compute_equation_of_time() -> pl.Expr:
    """Days that sundials are ahead of clocks, by W. M. Smart's series."""
    longitude, anomaly, e = pl.col("mean_longitude"), pl.col("anomaly"), pl.col("eccentricity")
    y = (pl.col("obliquity") / 2).tan() ** 2
    turn = (
        y * (2 * longitude).sin()
        - 2 * e * anomaly.sin()
        + 4 * e * y * anomaly.sin() * (2 * longitude).cos()
        - y * y / 2 * (4 * longitude).sin()
        - 5 / 4 * e * e * (2 * anomaly).sin()
    )
    return turn.degrees() / 360


@cache
def _find_sundial_noon() -> pl.Expr:
    """When the sun that `_add_sun` placed is in the meridian, in days since J2000."""
    return pl.col("mean_noon") - pl.col("equation_of_time")


def _compute_cos_hour_angle(height_deg: float = HORIZON_DEG) -> pl.Expr:
    """Cosine of the hour angle at which a sun of this declination is at this height: by default the horizon.

    Above 1 it never rises that far; below -1 it never sinks that far.
    """
    latitude, declination = pl.col("latitude").radians(), pl.col("declination")
    height = sin(radians(height_deg))
    return (height - latitude.sin() * declination.sin()) / (latitude.cos() * declination.cos())


@cache
def _compute_half_day(height_deg: float = HORIZON_DEG) -> pl.Expr:
    """Part of a day from noon to this height: 0 where the sun stays below it, 0.5 where it stays above."""
    return _compute_cos_hour_angle(height_deg).clip(-1, 1).arccos().degrees() / 360


@cache
def _find_times() -> list[pl.Expr]:
    """Sunrise, noon and sunset, with the days on which the sun doesn't cross the horizon put right."""

    def crossing(name: str, always_up: str) -> pl.Expr:
        return (
            pl.when(pl.col("cos_at_noon") > 1)
            .then(pl.col("noon"))
            .when(pl.col("cos_at_noon") < -1)
            .then(pl.col(always_up))
            .otherwise(pl.col(name))
            .alias(name)
        )

    return [crossing("sunrise", "day_start"), pl.col("noon"), crossing("sunset", "day_end")]
