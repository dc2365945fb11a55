"""Which rows and values are set aside, and why. docs/quality.md explains each reason to people.

A rule names what it found; it never repairs. A row that is set aside is left out whole; a value that is set aside
leaves a null in its row, and the row is flagged. Both keep their original in the raw lake.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from schemas.quantities import Field

# Mean power this many times beyond the rated AC power can't be: clouds' edges reach 1.3, wrong ratings 1.5.
BEYOND_RATED: Final = 2.0
# Clocks of plants and portal differ a little; a row further ahead of the moment of asking was not measured.
FUTURE_MIN: Final = 15
# The neighbouring days' partitions hold what is at most so far away.
LONGEST_DAY_H: Final = 25

# Why a row is set aside.
UNLISTED: Final = "unlisted"
UNKNOWN_RESOLUTION: Final = "unknown_resolution"
UNREADABLE_TIME: Final = "unreadable_time"
NO_SUCH_LOCAL_TIME: Final = "no_such_local_time"
FOREIGN_DAY: Final = "foreign_day"
FUTURE: Final = "future"
DUPLICATE: Final = "duplicate"
# Why an element of an array is set aside; one may also be a duplicate.
NO_INDEX: Final = "no_index"
# Why a value is set aside.
NEGATIVE: Final = "negative"
NOT_A_NUMBER: Final = "not_a_number"
BEYOND: Final = "beyond_rated"
OUT_OF_RANGE: Final = "out_of_range"
# A row that belongs to the neighbouring day's partition is not set aside: it is stored there.
NEIGHBOUR: Final = "neighbour"

# Quantities that the rated power of the plant or inverter bounds.
BOUNDED: Final = frozenset({"pv_generation"})
# Quantities that the portal computes from PV generation: where that is beyond rated, so are they.
FROM_PV: Final = frozenset(
    {"total_generation", "direct_consumption", "self_consumption", "self_supply", "grid_feed_in"}
)


def row_fault(*, neighbours: bool) -> pl.Expr:
    """The reason to set a row aside, or null. The rule for duplicates comes later, on what is left, in order.

    For frames with label, interval_end, day_start, day_end, resolution, fetched_at; day_start is null for plants that
    are not known. With `neighbours`, rows of the days before and after were asked for on purpose.
    """
    end = pl.col("interval_end")
    outside = (end <= pl.col("day_start")) | (end > pl.col("day_end"))
    a_day = pl.duration(hours=LONGEST_DAY_H)
    near = (end > pl.col("day_start") - a_day) & (end <= pl.col("day_end") + a_day)
    neighbour = pl.lit(NEIGHBOUR) if neighbours else pl.lit(FOREIGN_DAY)
    return (
        pl.when(pl.col("day_start").is_null())
        .then(pl.lit(UNLISTED))
        .when(pl.col("label").is_null())
        .then(pl.lit(UNREADABLE_TIME))
        .when(end.is_null())
        .then(pl.lit(NO_SUCH_LOCAL_TIME))
        .when(outside & near)
        .then(neighbour)
        .when(outside)
        .then(pl.lit(FOREIGN_DAY))
        .when(end > pl.col("fetched_at") + pl.duration(minutes=FUTURE_MIN))
        .then(pl.lit(FUTURE))
        .when(pl.col("resolution").is_null())
        .then(pl.lit(UNKNOWN_RESOLUTION))
    )


@dataclass(frozen=True, slots=True)
class ValueRule:
    """What is wrong with the values of one column: whether, and why (of a value that is)."""

    column: str
    broken: pl.Expr
    reason: pl.Expr


def value_rules(fields: Sequence[Field]) -> list[ValueRule]:
    """The rules for the value of each field of a table. For frames with `rated_w` (null: unknown)."""
    powers = [f.column for f in fields if f.power]
    return [_rule(f, _beyond(f, powers)) for f in fields]


def _beyond(field: Field, powers: Sequence[str]) -> pl.Expr | None:
    """Whether a value is beyond what the rated power allows; None for quantities that it does not bound."""
    if field.column in BOUNDED:
        return pl.col(field.value_column) > pl.col("rated_w") * BEYOND_RATED
    if field.column in FROM_PV and "pv_generation" in powers:
        return pl.col(field.value_column).is_not_null() & (
            pl.col("pv_generation_w") > pl.col("rated_w") * BEYOND_RATED
        )
    return None


def _rule(field: Field, beyond: pl.Expr | None) -> ValueRule:
    value = pl.col(field.value_column)
    # Not a number, infinity, and what no plant on earth makes all fail this one comparison.
    broken = ~value.is_between(field.low, field.high)
    reasons = [(~value.is_finite(), NOT_A_NUMBER)]
    if field.power and field.low == 0:
        reasons.append((value < 0, NEGATIVE))
    if beyond is not None:
        broken |= beyond.fill_null(value=False)
        reasons.append((beyond, BEYOND))
    first = pl.coalesce(*(pl.when(so).then(pl.lit(why)) for so, why in reasons), pl.lit(OUT_OF_RANGE))
    return ValueRule(field.value_column, broken, first)
