"""Converts mean power to energy: finds the interval of each row and the time of the day that the rows cover.

A row's value is the mean over the interval that ends at its time (FAQ: "UTC_END", "mean value"). The rules:

1. kWh = W x seconds / 3,600,000, with the seconds of the row's actual interval.
2. The interval reaches back to the row before if that is at most `MAX_STEPS` declared resolutions away, else one
   declared resolution; the rest is a gap. The first row of a day reaches back to local midnight if that is nearer than
   one resolution, else one resolution. So a day needs no neighbour, and days add up to months. Whether a row that
   reaches back further than one resolution holds the mean of all that time can't be known: the time is counted.
3. A value that is absent is null power and null energy for that interval alone, and covers no time.
4. No row reaches back over the second pass of a merged autumn hour: its energy is known or it is a gap.

Frames come sorted by series and time. All arithmetic is one pass of expressions over the whole fleet.
"""

from collections.abc import Sequence

import polars as pl

MAX_STEPS = 3
# These are factors instead of divisors: polars divides by a constant by multiplying with its reciprocal, except in a
# column of one row, and a plant's figures must not depend on the number of other plants. Whole hours and minutes stay
# whole.
HOURS_PER_US = 1 / 3_600_000_000
MINUTES_PER_US = 1 / 60_000_000
KWH_PER_W_US = HOURS_PER_US / 1000
HOURS_PER_S = 1 / 3600
US_PER_S = 1_000_000
# Columns that are there while intervals are found.
_FOLLOWS, _FROM_MIDNIGHT = "_follows", "_from_midnight"


def add_intervals(rows: pl.DataFrame, max_steps: int = MAX_STEPS) -> pl.DataFrame:
    """The rows with interval_start (UTC), interval_basis and bridged_s (time beyond one resolution).

    For a frame sorted by (series, interval_end) with `lost_end` (of a merged hour up to this row: where its second pass
    ends, of which nothing is known), `day_start` (UTC) and `resolution` (duration, the declared one); no two rows of a
    series share a time.
    """
    end, step, before = pl.col("interval_end"), pl.col("resolution"), pl.col("interval_end").shift(1)
    same = (pl.col("series") == pl.col("series").shift(1)).fill_null(value=False)
    if rows["lost_end"].count():
        lost = pl.col("lost_end").shift(1)
        # Between two merged rows the second pass of the repeated hour has not begun yet.
        before = pl.when((lost > before) & (lost < end)).then(lost).otherwise(before)
    follows = (same & (end - before <= step * max_steps)).fill_null(value=False)
    from_midnight = ~same & (end - pl.col("day_start") <= step)
    # Each of them is needed twice, and polars would compute it twice.
    known = rows.with_columns(follows.alias(_FOLLOWS), from_midnight.alias(_FROM_MIDNIGHT))
    start = (
        pl.when(_FOLLOWS).then(before).when(_FROM_MIDNIGHT).then(pl.col("day_start")).otherwise(end - step)
    )
    basis = (
        pl.when(_FOLLOWS)
        .then(pl.lit("previous_row"))
        .when(_FROM_MIDNIGHT)
        .then(pl.lit("midnight"))
        .otherwise(pl.lit("resolution"))
    )
    begun = known.with_columns(start.alias("interval_start"), basis.alias("interval_basis"))
    beyond = end - pl.col("interval_start") - step
    bridged = pl.lit(0, pl.Int32)
    # A null duration has a null bridge, and few days have any.
    if not begun.select((beyond <= pl.duration()).fill_null(value=False).all()).item():
        # It is rounded up because it must bound an error.
        whole = (beyond.dt.total_microseconds().clip(0) + (US_PER_S - 1)) // US_PER_S
        bridged = whole.cast(pl.Int32)
    return begun.drop(_FOLLOWS, _FROM_MIDNIGHT).with_columns(bridged.alias("bridged_s"))


def build_energy_columns(powers: Sequence[str]) -> list[pl.Expr]:
    """Expressions for `<name>_kwh`, the energy of each `<name>_w` over [interval_start, interval_end)."""
    kwh_per_w = (pl.col("interval_end") - pl.col("interval_start")).dt.total_microseconds() * KWH_PER_W_US
    return [(pl.col(f"{name}_w") * kwh_per_w).alias(f"{name}_kwh") for name in powers]
