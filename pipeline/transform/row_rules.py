"""The rules by which rows and values are set aside. docs/quality.md explains each reason.

A rule names what it found; it never repairs. A row that is set aside is left out whole; a value that is set aside
leaves a null in its row, and the row is flagged. Both keep their original in the raw lake.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isnan
from typing import Any, Final

import polars as pl

from pipeline.transform.thresholds import Thresholds
from schemas.quantities import Field

# Rows at most this far away belong to the partitions of the adjacent days.
LONGEST_DAY_H: Final = 25

# Why a row is set aside.
UNLISTED: Final = "unlisted"
UNKNOWN_RESOLUTION: Final = "unknown_resolution"
UNREADABLE_TIME: Final = "unreadable_time"
NO_SUCH_LOCAL_TIME: Final = "no_such_local_time"
FOREIGN_DAY: Final = "foreign_day"
DAY_BEFORE: Final = "day_before"
FUTURE: Final = "future"
DUPLICATE: Final = "duplicate"
# Why an element of an array is set aside; one may also be a duplicate.
NO_INDEX: Final = "no_index"
# Why a value is set aside.
NEGATIVE: Final = "negative"
NOT_A_NUMBER: Final = "not_a_number"
BEYOND: Final = "beyond_rated"
BEYOND_FLEET: Final = "beyond_fleet"
BEYOND_SUN: Final = "beyond_sun"
OUT_OF_RANGE: Final = "out_of_range"
SENTINEL: Final = "sentinel"
IN_AND_OUT: Final = "in_and_out"
BEYOND_BALANCE: Final = "beyond_balance"
BEYOND_SERIES: Final = "beyond_series"
# The reason for replacing a value by 0.
STANDBY: Final = "standby"
# The reason for reporting a name that is kept.
BROKEN_TEXT: Final = "broken_text"
# The reasons for setting aside what of a list is not JSON or not an entry, and for reporting a name that comes twice.
BROKEN_ENTRY: Final = "broken_entry"
DOUBLED_KEY: Final = "doubled_key"
# A row that belongs to the neighbouring day's partition is not set aside: it is stored there.
NEIGHBOUR: Final = "neighbour"

# The quantity that is bounded by rated power and sun.
PV: Final = "pv_generation"
# What is known of a row that is set aside.
FAULTY: Final = {"answer": pl.UInt32, "raw_time": pl.String, "fault": pl.String}
# Quantities that the portal calculates from PV generation: where PV exceeds the rated power, they do too.
FROM_PV: Final = frozenset(
    {"total_generation", "direct_consumption", "self_consumption", "self_supply", "grid_feed_in"}
)


# Generation and the quantities that the portal calculates from it alone: an inverter's own consumption shows in them.
GENERATED: Final = frozenset({PV, "dc_power_input"} | FROM_PV - {"grid_feed_in"})


def find_row_fault(limits: Thresholds, *, neighbours: bool) -> pl.Expr:
    """The reason to set a row aside, or null. The rule for duplicates comes later, on what is left, in order.

    For frames with label, interval_end, day_start, day_end, resolution, fetched_at; day_start is null for plants that
    are not known. With `neighbours`, rows of the days before and after were asked for on purpose.
    """
    end = pl.col("interval_end")
    outside = (end <= pl.col("day_start")) | (end > pl.col("day_end"))
    a_day = pl.duration(hours=LONGEST_DAY_H)
    near = (end > pl.col("day_start") - a_day) & (end <= pl.col("day_end") + a_day)
    neighbour = pl.lit(NEIGHBOUR) if neighbours else pl.lit(FOREIGN_DAY)
    # The row at midnight ends the day before. Some answers begin with it, although the day before has it too.
    closing = (end == pl.col("day_start")) & pl.lit(not neighbours)
    return (
        pl.when(pl.col("day_start").is_null())
        .then(pl.lit(UNLISTED))
        .when(pl.col("label").is_null())
        .then(pl.lit(UNREADABLE_TIME))
        .when(end.is_null())
        .then(pl.lit(NO_SUCH_LOCAL_TIME))
        .when(closing)
        .then(pl.lit(DAY_BEFORE))
        .when(outside & near)
        .then(neighbour)
        .when(outside)
        .then(pl.lit(FOREIGN_DAY))
        .when(end > pl.col("fetched_at") + dt.timedelta(minutes=limits.future_min))
        .then(pl.lit(FUTURE))
        .when(pl.col("resolution").is_null())
        .then(pl.lit(UNKNOWN_RESOLUTION))
    )


def has_no_fault(rows: pl.DataFrame, limits: Thresholds) -> bool:
    """Whether `find_row_fault` finds surely nothing in these rows, as usual: a tenth of its cost."""
    needed = ("label", "interval_end", "day_start", "resolution", "fetched_at")
    if any(rows[name].null_count() for name in needed):
        return False
    end = rows["interval_end"]
    ahead = dt.timedelta(minutes=limits.future_min)
    return bool(
        (end > rows["day_start"]).all()
        and (end <= rows["day_end"]).all()
        and (end <= rows["fetched_at"] + ahead).all()
    )


def split_faulty(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame, int]:
    """The rows without a fault, those to set aside (columns of `FAULTY`), and how many belong to a neighbouring day."""
    if rows["fault"].null_count() == rows.height:
        return rows, pl.DataFrame(schema=FAULTY), 0
    fault = pl.col("fault")
    faulty = rows.filter(fault.is_not_null() & (fault != NEIGHBOUR)).select(*FAULTY)
    return rows.filter(fault.is_null()), faulty, int((rows["fault"] == NEIGHBOUR).sum())


def split_doubles(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows sorted by series and time without doubles, and the doubles (all but the first as the API sent them).

    `behind` shows the rows that came after a later one in the same answer. The doubles have the columns of `FAULTY`.
    """
    if _come_in_order(rows):
        return rows.with_columns(behind=pl.lit(value=False)), pl.DataFrame(schema=FAULTY)
    latest = pl.col("interval_end").cum_max().shift(1).over("answer")
    behind = (pl.col("interval_end") < latest).fill_null(value=False)
    rows = rows.with_columns(behind=behind).sort("series", "interval_end", maintain_order=True)
    same = pl.col("series") == pl.col("series").shift(1)
    double = (same & (pl.col("interval_end") == pl.col("interval_end").shift(1))).fill_null(value=False)
    doubles = rows.filter(double).with_columns(fault=pl.lit(DUPLICATE)).select(*FAULTY)
    return (rows.filter(~double) if doubles.height else rows), doubles


def _come_in_order(rows: pl.DataFrame) -> bool:
    """Whether each row is later than the one before it in its series, as nearly always: that needs no query."""
    series, end, pairs = rows["series"], rows["interval_end"], max(0, rows.height - 1)
    late = (series.slice(1) == series.head(pairs)) & (end.slice(1) <= end.head(pairs))
    return not late.any()


def name_fault_column(column: str) -> str:
    """The name of the column that says what is wrong with the values of another column."""
    return f"{column}_fault"


@dataclass(frozen=True, slots=True)
class ValueRule:
    """A rule for the values of one column: whether a value is wrong, and the reason.

    Unless something else in its row refutes a value, it is wrong where it is not between `low` and `high`.
    """

    column: str
    broken: pl.Expr
    reason: pl.Expr
    low: float
    high: float

    def add_faults(self) -> "ValueRule":
        """The rule for a frame in which `power_faults` marked values of this column."""
        fault = pl.col(name_fault_column(self.column))
        reason = pl.when(fault == SENTINEL).then(fault).when(self.broken).then(self.reason).otherwise(fault)
        return replace(self, broken=self.broken | fault.is_not_null(), reason=reason)

    def is_kept(self, values: pl.Series) -> bool:
        """Whether all these values are between the bounds; NaN is not."""
        least: Any = values.min()
        most: Any = values.max()
        return least is None or (least >= self.low and most <= self.high and not isnan(values.sum()))


def build_value_rules(fields: Sequence[Field]) -> list[ValueRule]:
    """The rules for the value of each field of a table.

    For frames with rated_w and bound_w (null: not known) and, where the table has PV generation, beyond_sun.
    """
    powers = [f.column for f in fields if f.power]
    return [_build_rule(f, _find_beyond(f, powers)) for f in fields]


def is_pv_beyond(rows: pl.DataFrame) -> bool:
    """Whether some PV generation is beyond its bound or the sun: then other values of its row may be wrong too."""
    above = pl.col(f"{PV}_w") > pl.col("bound_w")
    return bool(rows.select(above.any() | pl.col("beyond_sun").any()).item())


def zero_standby(
    rows: pl.DataFrame, columns: Sequence[str], limits: Thresholds
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows with 0 for the consumption of an inverter in standby, and the original rows that had such a value.

    `columns` are powers that can't be negative; the rows that had one have `column` and `value` of the lowest. rated_w
    is null where it is not known.
    """
    least = -pl.max_horizontal(pl.lit(limits.standby_w), pl.col("rated_w") * limits.standby_share_of_rated)
    drawn = {name: pl.when(pl.col(name).is_between(least, 0.0, closed="left")).then(name) for name in columns}
    lowest = pl.min_horizontal(*drawn.values())
    found = (
        rows.with_columns(value=lowest)
        .filter(pl.col("value").is_not_null())
        .with_columns(
            column=pl.coalesce(
                pl.when(pl.col(name) == pl.col("value")).then(pl.lit(name)) for name in columns
            )
        )
    )
    if not found.height:
        return rows, found
    zeroed = (pl.when(draw.is_null()).then(name).otherwise(0.0).alias(name) for name, draw in drawn.items())
    return rows.with_columns(zeroed), found


def _find_beyond(field: Field, powers: Sequence[str]) -> list[tuple[pl.Expr, str]]:
    """The conditions for values beyond the possible power, each with its reason; none without a bound."""
    if PV not in powers or field.column not in {PV, *FROM_PV}:
        return []
    there = pl.col(field.value_column).is_not_null()
    # NaN compares as larger than any bound, and does not show anything about the other values of the row.
    pv = pl.col(f"{PV}_w")
    above = (pv.is_finite() & (pv > pl.col("bound_w"))).fill_null(value=False) & there
    rated = pl.col("rated_w").is_not_null()
    return [(above & rated, BEYOND), (above, BEYOND_FLEET), (pl.col("beyond_sun") & there, BEYOND_SUN)]


def _build_rule(field: Field, beyond: list[tuple[pl.Expr, str]]) -> ValueRule:
    value = pl.col(field.value_column)
    # NaN, infinity and powers that no plant can make all fail this one comparison.
    broken = ~value.is_between(field.low, field.high)
    reasons = [(~value.is_finite(), NOT_A_NUMBER)]
    if field.power and field.low == 0:
        reasons.append((value < 0, NEGATIVE))
    for why, _ in beyond[1:]:
        broken |= why
    first = pl.coalesce(
        *(pl.when(so).then(pl.lit(why)) for so, why in (*reasons, *beyond)), pl.lit(OUT_OF_RANGE)
    )
    return ValueRule(field.value_column, broken, first, field.low, field.high)
