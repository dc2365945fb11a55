"""Converts mean power to energy: finds the interval of each row and the time of the day that the rows cover.

A row's value is the mean over the interval that ends at its time (FAQ: "UTC_END", "mean value"). The rules:

1. kWh = W x seconds / 3,600,000, with the seconds of the row's actual interval.
2. The interval reaches back to the row before if that is at most `MAX_STEPS` declared resolutions away, else one
   declared resolution; the rest is a gap. The first row of a day reaches back to local midnight if that is nearer than
   one resolution, else one resolution. So a day needs no neighbour, and days add up to months. Whether a row that
   reaches back further than one resolution holds the mean of all that time can't be known: the time is counted.
3. A value that is absent is null power and null energy for that interval alone, and covers no time.
4. No row reaches back over the second pass of a merged autumn hour: its energy is known or it is a gap.

Frames come sorted by series and time, with many series in one frame. The arithmetic is numpy's, on columns without
nulls where they lie: a query of polars costs as much as ten thousand rows here, whatever it does.
"""

from collections.abc import Sequence
from typing import Final, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.common.local_time import UTC_US

Microseconds: TypeAlias = NDArray[np.int64]

MAX_STEPS = 3
# These are factors instead of divisors: polars divides by a constant by multiplying with its reciprocal, except in a
# column of one row, and a plant's figures must not depend on the number of other plants. Whole hours and minutes stay
# whole.
HOURS_PER_US = 1 / 3_600_000_000
MINUTES_PER_US = 1 / 60_000_000
KWH_PER_W_US = HOURS_PER_US / 1000
HOURS_PER_S = 1 / 3600
US_PER_S = 1_000_000
# What tells where an interval begins, by its place in this column.
_BASES: Final = pl.Series(["previous_row", "midnight", "resolution"])
_PREVIOUS_ROW, _MIDNIGHT, _RESOLUTION = range(3)


def add_intervals(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with interval_start (UTC), interval_basis and bridged_s (time beyond one resolution).

    For a frame sorted by (series, interval_end) with `lost_end` (of a merged hour up to this row: where its second pass
    ends, of which nothing is known), `day_start` (UTC) and `resolution` (duration, the declared one); no two rows of a
    series share a time, and only `lost_end` may be null.
    """
    end, step = _read_times(rows["interval_end"]), _read_times(rows["resolution"])
    same = _is_repeat(rows["series"].to_numpy())
    # Nearly every interval begins where the one before ends; what else comes first here is overwritten below.
    start = _shift(end)
    if rows["lost_end"].null_count() < rows.height:
        lost = _shift(_read_times(rows["lost_end"]))
        # Between two merged rows the second pass of the repeated hour has not begun yet. A null is before any time.
        start = np.where((lost > start) & (lost < end), lost, start)
    others = np.flatnonzero(~same | (end - start > step * MAX_STEPS))
    midnight = _read_times(rows["day_start"])[others]
    from_midnight = ~same[others] & (end[others] - midnight <= step[others])
    start[others] = np.where(from_midnight, midnight, end[others] - step[others])
    basis = np.full(rows.height, _PREVIOUS_ROW, np.uint8)
    basis[others] = np.where(from_midnight, _MIDNIGHT, _RESOLUTION)
    beyond = end - start - step
    bridged = np.zeros(rows.height, np.int32)
    longer = np.flatnonzero(beyond > 0)
    # It is rounded up because it must bound an error.
    bridged[longer] = (beyond[longer] + (US_PER_S - 1)) // US_PER_S
    return rows.hstack(
        [
            pl.Series("interval_start", start).cast(UTC_US),
            _BASES[pl.Series(basis)].alias("interval_basis"),
            pl.Series("bridged_s", bridged),
        ]
    )


def add_energies(rows: pl.DataFrame, powers: Sequence[str]) -> pl.DataFrame:
    """The rows with `<name>_kwh`, the energy of each `<name>_w` over [interval_start, interval_end)."""
    lengths = _read_times(rows["interval_end"]) - _read_times(rows["interval_start"])
    kwh_per_w = pl.Series(lengths * KWH_PER_W_US)
    return rows.hstack([(rows[f"{name}_w"] * kwh_per_w).alias(f"{name}_kwh") for name in powers])


def _read_times(column: pl.Series) -> Microseconds:
    """The times or durations of a column where they lie; a null is the least number."""
    return column.to_numpy().view(np.int64)


def _shift(times: Microseconds) -> Microseconds:
    """A new array with the time of the row before; the first row has its own."""
    before = np.empty_like(times)
    before[:1], before[1:] = times[:1], times[:-1]
    return before


def _is_repeat(values: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Whether each value equals the one before it."""
    same = np.zeros(len(values), np.bool_)
    np.equal(values[1:], values[:-1], out=same[1:])
    return same
