"""Sums interval rows to quarters of an hour, quarters to hours of the plants' clocks, and hours to average days.

Hours and average days are sums of quarters: there is one way from intervals to shorter times than a day.
"""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple, TypeVar

import numpy as np
import polars as pl

from pipeline.common.local_time import (
    ONE_DAY,
    UTC_US,
    convert_to_wall_clock,
    find_local_day,
    find_offset_changes,
)
from pipeline.transform.daily import sum_exactly
from pipeline.transform.energy import HOURS_PER_US
from pipeline.transform.row_groups import split_by_group

# All offsets from UTC in use are multiples of a quarter of an hour, so no quarter lies in two hours of any clock.
QUARTER = dt.timedelta(minutes=15)
# Of a day without a change of clocks.
QUARTERS_A_DAY = 96
# How many pairs of day and zone keep their quarters: quarters, hours and profiles of a month ask for the same ones.
DAYS_KEPT = 256
ONE_US = dt.timedelta(microseconds=1)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
# A quarter's energy is stored as a whole multiple of this part of a kWh, because further digits are noise of float sums
# and take twice the space. The rounding error of a quarter is added to the next one, so the quarters of a day are wrong
# by at most half of this part in all.
STORED_KWH = 2.0**-29


class Derivation(NamedTuple):
    """How an energy follows from others: the sum of those with a plus, minus the sum of those with a minus."""

    plus: tuple[str, ...]
    minus: tuple[str, ...] = ()


# Quantities that portals calculate from others, in the order in which they can be restored. Only the difference from
# what follows is stored, which is nearly always 0. What is asked for most (PV, feed-in, purchase) is stored as it is,
# because a query of a derived quantity reads all that it follows from.
DERIVED: Mapping[str, Derivation] = {
    "total_generation": Derivation(("pv_generation", "diesel_generation")),
    "self_consumption": Derivation(("total_generation",), ("grid_feed_in",)),
    "direct_consumption": Derivation(("total_generation",), ("grid_feed_in", "battery_charging")),
    "self_supply": Derivation(
        ("total_generation", "battery_discharging"), ("grid_feed_in", "battery_charging")
    ),
    "total_consumption": Derivation(
        ("total_generation", "battery_discharging", "grid_consumption"), ("grid_feed_in", "battery_charging")
    ),
}
FrameT = TypeVar("FrameT", pl.DataFrame, pl.LazyFrame)
_CLOCK = pl.Schema(
    {
        "timezone": pl.String(),
        "quarter_start": UTC_US,
        "hour_start": UTC_US,
        "local_hour": pl.Int64(),
        "of_day": pl.Boolean(),
    }
)


def build_quarters_frame(day: dt.date, timezones: Iterable[str]) -> pl.DataFrame:
    """The quarters of an hour of the day in each zone, and of the adjacent days.

    timezone, quarter_start and hour_start (UTC), local_hour (0 to 23), and of_day: false for the days beside it. The
    repeated hour of autumn is two hours. An hour that a change of clocks cuts short is as long as it is.
    """
    return pl.concat(
        [pl.DataFrame(schema=_CLOCK), *(_list_quarters(day, zone) for zone in sorted(set(timezones)))]
    )


def summarize_quarters(
    frames: Iterable[pl.DataFrame], plants: pl.DataFrame, day: dt.date, quantities: Sequence[str]
) -> pl.DataFrame:
    """Energy of each plant and quarter of an hour of its day, and the time that it covers, sorted by both.

    `frames` are interval rows of the day sorted by plant and time, with `<name>_kwh`; `plants` has plant_id and
    timezone of every plant that is to have rows, and rows of others are left out. An interval that lies in several
    quarters gives each the share of its energy that its time there has. The result has plant_id, quarter_start,
    covered_h (h in which rows have any value: 0 where there is no data), and for each quantity `_kwh` and `_covered_h`,
    null where nothing was measured. Quarters beside the day are there only where an interval of the day lies in one.
    """
    clock = build_quarters_frame(day, plants["timezone"]).filter("of_day")
    grid = (
        plants.select("plant_id", "timezone")
        .join(clock.select("timezone", "quarter_start"), on="timezone")
        .drop("timezone")
    )
    floats = [f"{name}_{what}" for what in ("kwh", "covered_h") for name in quantities]
    schema = {"plant_id": pl.String(), "quarter_start": UTC_US, "covered_h": pl.Float64()}
    schema |= dict.fromkeys(floats, pl.Float64())
    parts = [
        sum_by_quarter(frame, quantities).select(list(schema))
        for frame in split_by_group(frames, ["plant_id"])
    ]
    found = pl.concat([pl.DataFrame(schema=schema), *parts]).join(plants, on="plant_id", how="semi")
    keys = ["plant_id", "quarter_start"]
    return (
        grid.join(found, on=keys, how="full", coalesce=True)
        .with_columns(pl.col("covered_h").fill_null(0.0))
        .select(list(schema))
        .sort(keys)
    )


def clear_unknown_days(quarters: pl.DataFrame, days: pl.DataFrame) -> pl.DataFrame:
    """The quarters of one day without the energies of the quantities that the day has none of.

    `days` has plant_id and the `<name>_kwh` of `energy_daily` for quantities that depend on the sun. Of a day of which
    only the night was measured, its quarters would add up to 0 kWh, where the day says that nothing is known.
    """
    names = [name.removesuffix("_kwh") for name in days.columns if name.endswith("_kwh")]
    unknown = (
        days.group_by("plant_id")
        .agg(pl.col(f"{name}_kwh").is_null().all().alias(name) for name in names)
        .filter(pl.any_horizontal(names))
    )
    if not unknown.height:
        return quarters
    joined = quarters.join(unknown, on="plant_id", how="left", maintain_order="left")
    known = {
        f"{name}_{what}": ~pl.col(name).fill_null(value=False)
        for name in names
        for what in ("kwh", "covered_h")
    }
    return joined.with_columns(
        pl.when(is_known).then(name).alias(name) for name, is_known in known.items()
    ).drop(names)


def pack_quarters(quarters: pl.DataFrame, quantities: Sequence[str]) -> pl.DataFrame:
    """Rows of `summarize_quarters` in the form in which they are stored: rounded, and `_rest_kwh` of what is `DERIVED`.

    All of `quantities` that those derive from are among them.
    """
    names = [f"{name}_kwh" for name in quantities]
    grains = (pl.col(names).fill_null(0.0).cum_sum().over("plant_id") / STORED_KWH).round()
    rounded = quarters.with_columns(grains).with_columns(
        (pl.col(names) - pl.col(names).shift(1, fill_value=0.0).over("plant_id")) * STORED_KWH
    )
    measured = quarters.select(pl.col(names).is_not_null())
    rounded = rounded.with_columns(pl.when(measured[name]).then(name).alias(name) for name in names)
    rests = ((pl.col(f"{name}_kwh") - _explain(name)).alias(f"{name}_rest_kwh") for name in DERIVED)
    return rounded.with_columns(rests).drop(f"{name}_kwh" for name in DERIVED)


def unpack_quarters(stored: FrameT) -> FrameT:
    """Stored quarters with the energies of all quantities, which are exactly those before packing."""
    for name in DERIVED:
        stored = stored.with_columns((pl.col(f"{name}_rest_kwh") + _explain(name)).alias(f"{name}_kwh"))
    return stored.drop(f"{name}_rest_kwh" for name in DERIVED)


def _explain(name: str) -> pl.Expr:
    """A quantity as it follows from the others. All sums of stored energies are exact."""
    derivation = DERIVED[name]
    plus, minus = (
        pl.sum_horizontal(pl.lit(0.0), *(pl.col(f"{part}_kwh").fill_null(0.0) for part in parts))
        for parts in (derivation.plus, derivation.minus)
    )
    return plus - minus


def summarize_hours(
    quarters: pl.DataFrame, places: pl.DataFrame, day: dt.date, quantities: Sequence[str]
) -> pl.DataFrame:
    """Energy of each plant and hour of its clock, and the time that it covers, sorted by plant and hour.

    `quarters` are rows of the day as `summarize_quarters` gives them; `places` has plant_id and timezone of their
    plants. The result has plant_id, hour_start, local_hour and the other columns of the quarters.
    """
    key = ["plant_id", "hour_start", "local_hour"]
    clock = build_quarters_frame(day, places["timezone"]).drop("of_day")
    sums = ["covered_h", *(f"{name}_{what}" for name in quantities for what in ("kwh", "covered_h"))]
    return (
        quarters.join(places.select("plant_id", "timezone"), on="plant_id", how="left")
        .join(clock, on=["timezone", "quarter_start"], how="left")
        .group_by(key)
        .agg(sum_exactly(pl.col(sums)))
        .sort(key)
    )


def summarize_profile(hours: pl.DataFrame | pl.LazyFrame, quantities: Sequence[str]) -> pl.DataFrame:
    """The average day of each plant and month, from rows of `energy_hourly`: their sums by the hour of the clock.

    Hours without data are no part of it. The result has plant_id, month, local_hour, n_days, and for each quantity
    `_kwh` and `_covered_h`, sorted by plant and hour.
    """
    sums = (sum_exactly(pl.col(f"{name}_{what}")) for name in quantities for what in ("kwh", "covered_h"))
    return (
        hours.lazy()
        # Hours that were stored before this was counted have rows only where there is data.
        .filter(pl.col("covered_h").fill_null(1.0) > 0)
        .group_by("plant_id", pl.col("local_date").dt.truncate("1mo").alias("month"), "local_hour")
        .agg(pl.col("local_date").n_unique().cast(pl.Int64).alias("n_days"), *sums)
        .sort("plant_id", "month", "local_hour")
        .collect(engine="streaming")
    )


@lru_cache(maxsize=DAYS_KEPT)
def _list_quarters(day: dt.date, timezone: str) -> pl.DataFrame:
    bounds = find_local_day(day, timezone)
    first, end = bounds.start - ONE_DAY, bounds.end + ONE_DAY
    if not find_offset_changes(timezone, first - QUARTER, end):
        return _count_quarters(timezone, first, end)
    quarters = pl.datetime_range(first, end, QUARTER, closed="left", time_unit="us", eager=True)
    clock, moment = convert_to_wall_clock(pl.col("quarter_start"), timezone), pl.col("quarter_start")
    hour, offset = clock.dt.truncate("1h"), clock - moment.dt.replace_time_zone(None)
    return pl.DataFrame({"quarter_start": quarters}, schema={"quarter_start": UTC_US}).select(
        timezone=pl.lit(timezone),
        quarter_start=moment,
        hour_start=moment.min().over(hour, offset),
        local_hour=clock.dt.hour().cast(pl.Int64),
        of_day=(moment >= bounds.start) & (moment < bounds.end),
    )


def _count_quarters(timezone: str, first: dt.datetime, end: dt.datetime) -> pl.DataFrame:
    """The same from one midnight to another without a change of clocks, where they need only be counted."""
    count = np.arange((end - first) // QUARTER)
    began, quarter = (first - _EPOCH) // ONE_US, QUARTER // ONE_US
    starts = pl.Series(began + count * quarter).cast(UTC_US)
    days = count // QUARTERS_A_DAY
    return pl.DataFrame(
        {
            "timezone": pl.Series([timezone]).new_from_index(0, len(count)),
            "quarter_start": starts,
            "hour_start": pl.Series(began + count // 4 * 4 * quarter).cast(UTC_US),
            "local_hour": count // 4 % 24,
            "of_day": days == 1,
        },
        _CLOCK,
    )


def sum_by_quarter(rows: pl.DataFrame, quantities: Sequence[str]) -> pl.DataFrame:
    """The quarters in which rows of whole plants lie: plant_id, quarter_start, covered_h, `_kwh` and `_covered_h`."""
    # Quantities that no plant of the frame has are left out and cost nothing.
    known = [name for name in quantities if rows[f"{name}_kwh"].count()]
    unknown = [name for name in quantities if name not in known]
    energies = [f"{name}_kwh" for name in known]
    valued = rows.select(pl.any_horizontal(pl.lit(value=False), pl.col(energies).is_not_null())).to_series()
    # Most quantities have a value in every row that has any value; the time that they cover is then that of the row.
    whole = {n for n in known if rows[f"{n}_kwh"].null_count() == rows.height - int(valued.sum())}
    shares = cut_at_quarters(rows.filter(valued), energies)
    covered = (
        pl.when(pl.col(f"{name}_kwh").is_not_null()).then("us").sum().alias(f"{name}_us")
        for name in known
        if name not in whole
    )
    sums = shares.group_by("plant_id", "quarter_start").agg(
        pl.col("us").sum(), pl.col(energies).sum(), *covered
    )
    # polars sums no values to 0, but the energy is not known.
    time = {name: pl.col("us" if name in whole else f"{name}_us") for name in known}
    nothing = pl.lit(None, pl.Float64)
    return sums.select(
        "plant_id",
        "quarter_start",
        (pl.col("us") * HOURS_PER_US).alias("covered_h"),
        *(pl.when(us > 0).then(pl.col(f"{n}_kwh")).alias(f"{n}_kwh") for n, us in time.items()),
        *(pl.when(us > 0).then(us * HOURS_PER_US).alias(f"{n}_covered_h") for n, us in time.items()),
        *(nothing.alias(f"{name}_{what}") for name in unknown for what in ("kwh", "covered_h")),
    )


def cut_at_quarters(rows: pl.DataFrame, energies: Sequence[str]) -> pl.DataFrame:
    """plant_id, quarter_start, us (time there) and the energies of each row, cut at the quarters that it crosses."""
    start, end, quarter = pl.col("interval_start"), pl.col("interval_end"), pl.col("quarter_start")
    # The end of an interval does not belong to it.
    last = (end - ONE_US).dt.truncate(QUARTER)
    rows = rows.with_columns(
        quarter_start=start.dt.truncate(QUARTER), us=(end - start).dt.total_microseconds()
    )
    crosses = rows.select(quarter != last).to_series()
    columns = ["plant_id", "quarter_start", "us", *energies]
    inside = rows.filter(~crosses).select(columns)
    if not crosses.any():
        return inside
    there = (
        pl.min_horizontal(end, quarter + QUARTER) - pl.max_horizontal(start, quarter)
    ).dt.total_microseconds()
    cut = (
        rows.filter(crosses)
        .with_columns(quarter_start=pl.datetime_ranges(quarter, last, QUARTER, time_unit="us"))
        .explode("quarter_start")
        .with_columns(there=there)
        .with_columns(pl.col(energies) * (pl.col("there") / pl.col("us")), us=pl.col("there"))
    )
    return pl.concat([inside, cut.select(columns)])
