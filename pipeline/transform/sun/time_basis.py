"""Which time basis is true, by the sun: PV energy can't come while the sun is down.

Pure evaluation of stored intervals. Nothing here corrects a time: the basis is a setting, and this says whether
the setting fits the data.
"""

from math import tau
from typing import get_args

import polars as pl

from pipeline.common.local_time import ONE_SECOND, TimeBasis, find_local_day
from pipeline.transform.sun.position import find_daylight_of_days

# The true basis has next to no energy in the dark. Not none: a clock may be minutes off, and twilight is bright.
MOST_IN_THE_DARK_IF_TRUE = 0.002
# The false one has clearly more, even where it is only an hour wrong and the days are clear.
LEAST_IN_THE_DARK_IF_FALSE = 0.005
# Intervals are judged by their middle, and the mean of a quarter of an hour may begin this long before sunrise.
TWILIGHT_S = 480
# Clouds and outages move the middle of a day's energy, and take energy: days below this share of the plant's best one
# have no say in where the middle is.
CLEAR_ENOUGH = 0.5

_DAY_S = 86_400


def judge_time_basis(intervals: pl.DataFrame, plants: pl.DataFrame, *, read_as: TimeBasis) -> pl.DataFrame:
    """How well each reading of the API's times fits the sun, plant by plant.

    `intervals` has plant_id, local_date, interval_start, interval_end (UTC, as stored under the basis `read_as`) and
    pv_generation_kwh; `plants` has plant_id, latitude and longitude (null: not known) and timezone. One row a plant,
    in the order of `plants`:

    * n_days, kwh: the days and the energy that the verdict rests on.
    * dark_share_utc, dark_share_plant_local: share (0..1) of the energy that would come while the sun is down.
    * noon_offset_min_utc, noon_offset_min_plant_local: minutes from solar noon to the middle of the energy (later is
      positive), the median of the days that were clear enough. A roof to the west has an hour or two, a wrong basis
      has the zone's offset.
    * verdict: utc or plant_local where that one fits and the other doesn't; either where the plant's clock shows UTC;
      undecided where the place is not known, nothing was produced, or both or neither fit.
    """
    energy = intervals.filter(pl.col("pv_generation_kwh") > 0)
    found = (
        energy.select("plant_id", "local_date", "pv_generation_kwh", middle=_find_middle())
        .join(_place_suns(energy["local_date"], plants), on=["plant_id", "local_date"], how="inner")
        .with_columns(_measure_from_noon(basis, read_as) for basis in get_args(TimeBasis))
        .group_by("plant_id", "local_date")
        .agg(
            pl.col("pv_generation_kwh").sum().alias("kwh"),
            (pl.col("utc_offset_s") == 0).all().alias("same"),
            *(_sum_dark_kwh(basis) for basis in get_args(TimeBasis)),
            *(_find_middle_of_day(basis) for basis in get_args(TimeBasis)),
        )
        .group_by("plant_id")
        .agg(
            pl.len().cast(pl.Int64).alias("n_days"),
            pl.col("kwh").sum(),
            pl.col("same").all(),
            *(_divide_dark_kwh(basis) for basis in get_args(TimeBasis)),
            *(_find_noon_offset(basis) for basis in get_args(TimeBasis)),
        )
    )
    return (
        plants.select("plant_id")
        .join(found, on="plant_id", how="left", maintain_order="left")
        .with_columns(pl.col("n_days").fill_null(0), pl.col("kwh").fill_null(0.0), verdict=_choose_verdict())
        .drop("same")
    )


def _place_suns(days: pl.Series, plants: pl.DataFrame) -> pl.DataFrame:
    """For each plant and day: noon, the half day's length and the clock's offset from UTC, all in seconds."""
    sites = plants.select("plant_id", "timezone", "latitude", "longitude")
    of_days = days.unique().sort().to_list()
    # Clocks change at night: the offset at the day's end is the one that its daylight has.
    offsets = [
        (day, zone, find_local_day(day, zone).after // ONE_SECOND)
        for day in of_days
        for zone in sites["timezone"].unique()
    ]
    schema = {"local_date": pl.Date, "timezone": pl.String, "utc_offset_s": pl.Int64}
    return (
        find_daylight_of_days(sites, of_days)
        .join(sites.select("plant_id", "timezone"), on="plant_id")
        .join(pl.DataFrame(offsets, schema, orient="row"), on=["local_date", "timezone"])
        .select(
            "plant_id",
            "local_date",
            _count_seconds(pl.col("noon")).alias("noon_s"),
            ((pl.col("sunset") - pl.col("sunrise")).dt.total_seconds() / 2).alias("half_day_s"),
            "utc_offset_s",
        )
    )


def _count_seconds(moment: pl.Expr) -> pl.Expr:
    return moment.dt.epoch("s")


def _find_middle() -> pl.Expr:
    """The middle of an interval as it is stored, in seconds."""
    return (_count_seconds(pl.col("interval_start")) + _count_seconds(pl.col("interval_end"))) / 2


def _measure_from_noon(basis: TimeBasis, read_as: TimeBasis) -> pl.Expr:
    """Seconds from solar noon to the interval's middle, -43200 up to 43200, had the times been read by `basis`."""
    offset = pl.col("utc_offset_s")
    shift = {("utc", "plant_local"): offset, ("plant_local", "utc"): -offset}.get((basis, read_as), pl.lit(0))
    after_noon = pl.col("middle") + shift - pl.col("noon_s") + _DAY_S / 2
    return (after_noon - (after_noon / _DAY_S).floor() * _DAY_S - _DAY_S / 2).alias(basis)


def _sum_dark_kwh(basis: TimeBasis) -> pl.Expr:
    """Energy of the day that would come while the sun is down; null where the place is not known."""
    dark = pl.col(basis).abs() > pl.col("half_day_s") + TWILIGHT_S
    kwh = pl.col("pv_generation_kwh").filter(dark).sum()
    return pl.when(dark.is_not_null().all()).then(kwh).alias(f"dark_kwh_{basis}")


def _find_middle_of_day(basis: TimeBasis) -> pl.Expr:
    """The mean direction of the day's energy on the dial, in rad: a plain mean would fail across midnight."""
    angle, weight = pl.col(basis) / _DAY_S * tau, pl.col("pv_generation_kwh")
    direction = pl.arctan2((angle.sin() * weight).sum(), (angle.cos() * weight).sum())
    return pl.when(pl.col(basis).is_not_null().all()).then(direction).alias(f"middle_{basis}")


def _divide_dark_kwh(basis: TimeBasis) -> pl.Expr:
    kwh = pl.col(f"dark_kwh_{basis}")
    share = kwh.sum() / pl.col("kwh").sum()
    return pl.when(kwh.is_not_null().all()).then(share).alias(f"dark_share_{basis}")


def _find_noon_offset(basis: TimeBasis) -> pl.Expr:
    """Minutes: the median of the clear days' middles, counted from their common direction, which may be midnight."""
    middle = pl.col(f"middle_{basis}").filter(pl.col("kwh") >= pl.col("kwh").max() * CLEAR_ENOUGH)
    common = pl.arctan2(middle.sin().sum(), middle.cos().sum())
    away = middle - common
    median = common + pl.arctan2(away.sin(), away.cos()).median()
    known = pl.col(f"middle_{basis}").is_not_null().all()
    return pl.when(known).then(median / tau * _DAY_S / 60).alias(f"noon_offset_min_{basis}")


def _choose_verdict() -> pl.Expr:
    """`utc`, `plant_local`, `either` or `undecided`, from the two shares; between the thresholds it is undecided."""

    def fits(true: TimeBasis, false: TimeBasis) -> pl.Expr:
        return (pl.col(f"dark_share_{true}") <= MOST_IN_THE_DARK_IF_TRUE) & (
            pl.col(f"dark_share_{false}") >= LEAST_IN_THE_DARK_IF_FALSE
        )

    return (
        pl.when("same")
        .then(pl.lit("either"))
        .when(fits("utc", "plant_local"))
        .then(pl.lit("utc"))
        .when(fits("plant_local", "utc"))
        .then(pl.lit("plant_local"))
        .otherwise(pl.lit("undecided"))
    )
