"""Interval rows to hours of the plants' own clocks, and hours to the average day of a month."""

import datetime as dt
from collections.abc import Iterable, Sequence

import polars as pl

from pipeline.common.local_time import UTC_US, convert_to_wall_clock, find_local_day
from pipeline.transform.daily import sum_exactly
from pipeline.transform.energy import HOURS_PER_US
from pipeline.transform.row_groups import split_by_group

# Every offset from UTC in use is a multiple of a quarter of an hour, so no quarter lies in two hours of any clock.
QUARTER = dt.timedelta(minutes=15)
_KEY = ("plant_id", "hour_start", "local_hour")
_QUARTERS = pl.Schema(
    {"timezone": pl.String(), "quarter": UTC_US, "hour_start": UTC_US, "local_hour": pl.Int64()}
)


def build_hours_frame(day: dt.date, timezones: Iterable[str]) -> pl.DataFrame:
    """Each quarter of an hour of the day in each zone: timezone, quarter, hour_start (UTC), local_hour (0 to 23).

    The repeated hour of autumn is two hours. An hour that a change of clocks cuts short is as long as it is.
    """
    return pl.concat(
        [pl.DataFrame(schema=_QUARTERS), *(_list_hours(day, zone) for zone in sorted(set(timezones)))]
    )


def summarize_hours(
    frames: Iterable[pl.DataFrame], places: pl.DataFrame, day: dt.date, quantities: Sequence[str]
) -> pl.DataFrame:
    """Energy of each plant and hour, and the time that it covers, sorted by plant and hour.

    `frames` are interval rows of the day sorted by plant and time; `places` has plant_id and timezone of every plant.
    An interval counts in the hour that its middle lies in. The result has plant_id, hour_start, local_hour, and for
    each quantity `_kwh` and `_covered_h`, null where nothing was measured.
    """
    hours = build_hours_frame(day, places["timezone"])
    clocks = places.select("plant_id", "timezone").join(hours, on="timezone").drop("timezone")
    floats = [f"{name}_{what}" for what in ("kwh", "covered_h") for name in quantities]
    schema = {**{name: clocks.schema[name] for name in _KEY}, **dict.fromkeys(floats, pl.Float64())}
    parts = [_sum_quantities(frame, clocks, quantities) for frame in split_by_group(frames, ["plant_id"])]
    return pl.concat([pl.DataFrame(schema=schema), *(part.select(list(schema)) for part in parts)])


def summarize_profile(hours: pl.DataFrame | pl.LazyFrame, quantities: Sequence[str]) -> pl.DataFrame:
    """The average day of each plant and month, from rows of `energy_hourly`: their sums by the hour of the clock.

    The result has plant_id, month, local_hour, n_days, and for each quantity `_kwh` and `_covered_h`, sorted by plant
    and hour.
    """
    sums = (sum_exactly(pl.col(f"{name}_{what}")) for name in quantities for what in ("kwh", "covered_h"))
    return (
        hours.lazy()
        .group_by("plant_id", pl.col("local_date").dt.truncate("1mo").alias("month"), "local_hour")
        .agg(pl.col("local_date").n_unique().cast(pl.Int64).alias("n_days"), *sums)
        .sort("plant_id", "month", "local_hour")
        .collect(engine="streaming")
    )


def _list_hours(day: dt.date, timezone: str) -> pl.DataFrame:
    bounds = find_local_day(day, timezone)
    quarters = pl.datetime_range(bounds.start, bounds.end, QUARTER, closed="left", time_unit="us", eager=True)
    clock = convert_to_wall_clock(pl.col("quarter"), timezone)
    hour, offset = clock.dt.hour(), clock - pl.col("quarter").dt.replace_time_zone(None)
    return pl.DataFrame({"quarter": quarters}, schema={"quarter": UTC_US}).select(
        timezone=pl.lit(timezone),
        quarter="quarter",
        hour_start=pl.col("quarter").min().over(hour, offset),
        local_hour=hour.cast(pl.Int64),
    )


def _sum_quantities(rows: pl.DataFrame, clocks: pl.DataFrame, quantities: Sequence[str]) -> pl.DataFrame:
    length = pl.col("interval_end") - pl.col("interval_start")
    # A quantity that no plant of the frame has costs nothing.
    known = [name for name in quantities if rows[f"{name}_kwh"].count()]
    unknown = [name for name in quantities if name not in known]
    covered = (
        pl.when(pl.col(f"{name}_kwh").is_not_null()).then("length_us").sum().alias(f"{name}_us")
        for name in known
    )
    sums = (
        rows.with_columns(
            quarter=(pl.col("interval_start") + length / 2).dt.truncate(QUARTER),
            length_us=length.dt.total_microseconds(),
        )
        .join(clocks, on=["plant_id", "quarter"], how="left", maintain_order="left")
        .group_by(_KEY)
        .agg(*(sum_exactly(pl.col(f"{name}_kwh")) for name in known), *covered)
    )
    return sums.with_columns(
        *(
            pl.when(pl.col(f"{name}_kwh").is_not_null())
            .then(pl.col(f"{name}_us") * HOURS_PER_US)
            .alias(f"{name}_covered_h")
            for name in known
        ),
        *(
            pl.lit(None, pl.Float64).alias(f"{name}_{what}")
            for name in unknown
            for what in ("kwh", "covered_h")
        ),
    ).sort(_KEY)
