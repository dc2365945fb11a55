"""When limits of a plant's power hold, and when they bind: frames in, frames out.

A limit costs energy only while it binds. To take the limit from the theoretical power without this test counts as lost
what the house, the battery or a cloud had taken anyway.
"""

from collections.abc import Sequence
from typing import Final

import polars as pl

from pipeline.transform.energy import HOURS_PER_US
from pipeline.transform.hourly import cut_at_quarters
from schemas.curtailment import ASKED_BY, FEED_IN, GENERATION, OUTAGE

GRID_OPERATOR: Final = ASKED_BY[0]
STATIC: Final = "static"
# Power this near to the limit, as a share of the rated power, is at the limit: a controller does not hold it exactly.
AT_LIMIT = 0.02
_TOLERANCE: Final = AT_LIMIT * pl.col("rated_w")
# A plant that takes more than this from the grid, as a share of the rated power, would have used more PV power itself,
# so no limit of feed-in binds.
DRAWS = 0.01
ROW_COLUMNS: Final = (
    "plant_id",
    "local_date",
    "interval_start",
    "interval_end",
    "pv_generation_w",
    "grid_feed_in_w",
    "grid_consumption_w",
)
_DAY: Final = ["plant_id", "local_date"]


def cut_limits(limits: pl.DataFrame, days: pl.DataFrame) -> pl.DataFrame:
    """The time of each day in which the same limits hold, sorted by plant and time.

    `limits` has plant_id, limit_start, limit_end (UTC), kind, asked_by, method and limit_w. `days` has plant_id,
    local_date, day_start and day_end (UTC). The result has plant_id, local_date, seg_start, seg_end, and of the limits
    that hold there: the lowest of each kind in W (`feed_in_w`, `generation_w`; `outage_w`), the lowest of the grid
    operator (`operator_…`) and of all others (`other_…`), limit_start of the first, method, asked_by (a list), and
    whether there is a `measure`: a limit that somebody asked for in this time, and no static one.
    """
    held = limits.join(days.select(*_DAY, "day_start", "day_end"), on="plant_id").filter(
        (pl.col("limit_start") < pl.col("day_end")) & (pl.col("limit_end") > pl.col("day_start"))
    )
    held = held.with_columns(
        start=pl.max_horizontal("limit_start", "day_start"), end=pl.min_horizontal("limit_end", "day_end")
    )
    points = (
        pl.concat([held.select(*_DAY, seg_start="start"), held.select(*_DAY, seg_start="end")])
        .unique()
        .sort(*_DAY, "seg_start")
        .with_columns(seg_end=pl.col("seg_start").shift(-1).over(_DAY))
        .drop_nulls("seg_end")
    )
    operator, outage = pl.col("asked_by") == GRID_OPERATOR, pl.col("kind") == OUTAGE
    lowest = [
        pl.col("limit_w").filter((pl.col("kind") == kind) & whose).min().alias(f"{prefix}{kind}_w")
        for prefix, whose in (("", pl.lit(value=True)), ("operator_", operator), ("other_", ~operator))
        for kind in (FEED_IN, GENERATION)
    ]
    return (
        points.join(held, on=_DAY)
        .filter((pl.col("start") <= pl.col("seg_start")) & (pl.col("end") >= pl.col("seg_end")))
        .group_by(*_DAY, "seg_start", "seg_end")
        .agg(
            *lowest,
            pl.col("limit_w").filter(outage).min().alias("outage_w"),
            pl.col("limit_start").filter(~outage).min(),
            pl.col("method").drop_nulls().first(),
            pl.col("asked_by").filter(~outage).unique().sort(),
            measure=(outage | (pl.col("asked_by") != STATIC)).any(),
            limited=(~outage).any(),
        )
        .sort(*_DAY, "seg_start")
    )


def find_binding(
    rows: pl.DataFrame, segments: pl.DataFrame, days: pl.DataFrame, without_meter: Sequence[str]
) -> pl.DataFrame:
    """The pieces of rows in which a limit holds, and whether it binds there.

    The plants `without_meter` report no feed-in: it is taken to be all that they generate. Where that is above a limit
    of feed-in, the plant uses a part itself, and its feed-in is not known.

    `rows` are rows of energy_balance_intervals (ROW_COLUMNS); `segments` those of `cut_limits`; `days` has plant_id,
    local_date, sunrise, sunset (UTC, null where the place is not known) and rated_w. The result has plant_id,
    local_date, interval_start, interval_end, `us` and `lit_us` (time and daylight in it), `known` (there is a value of
    the power that is limited), `binds`, `operator_binds` and `above`.
    """
    pieces = (
        _cut_rows(rows, segments, days)
        .with_columns(fed_in_w=_take_feed_in(without_meter))
        .with_columns(
            above_feed_in=_is_above("fed_in_w", "feed_in_w"),
            above_generation=_is_above("pv_generation_w", "generation_w"),
            draws=(pl.col("grid_consumption_w") > DRAWS * pl.col("rated_w")).fill_null(value=False),
        )
    )
    lit = pl.min_horizontal("interval_end", "sunset") - pl.max_horizontal("interval_start", "sunrise")
    return pieces.select(
        *_DAY,
        "interval_start",
        "interval_end",
        us=(pl.col("interval_end") - pl.col("interval_start")).dt.total_microseconds(),
        lit_us=lit.dt.total_microseconds().clip(0),
        known=(pl.col("feed_in_w").is_null() | pl.col("fed_in_w").is_not_null())
        & (pl.col("generation_w").is_null() | pl.col("pv_generation_w").is_not_null()),
        binds=_binds(),
        operator_binds=_binds("operator_"),
        above=pl.col("above_feed_in") | pl.col("above_generation"),
    )


def _cut_rows(rows: pl.DataFrame, segments: pl.DataFrame, days: pl.DataFrame) -> pl.DataFrame:
    """The pieces of rows in segments with a limit, and whether a piece is the `whole` row."""
    meets = (pl.col("interval_start") < pl.col("seg_end")) & (pl.col("interval_end") > pl.col("seg_start"))
    whole = (pl.col("interval_start") >= pl.col("seg_start")) & (pl.col("interval_end") <= pl.col("seg_end"))
    return (
        rows.select(ROW_COLUMNS)
        .join(segments.filter("limited"), on=_DAY)
        .filter(meets)
        .join(days.select(*_DAY, "sunrise", "sunset", "rated_w"), on=_DAY)
        .with_columns(
            whole=whole,
            interval_start=pl.max_horizontal("interval_start", "seg_start"),
            interval_end=pl.min_horizontal("interval_end", "seg_end"),
        )
    )


def _take_feed_in(without_meter: Sequence[str]) -> pl.Expr:
    """The feed-in in W: as measured, or of plants without a meter their generation, unless that is above the limit."""
    generation = pl.col("pv_generation_w")
    assumed = pl.col("plant_id").is_in(without_meter) & (generation <= pl.col("feed_in_w") + _TOLERANCE)
    return pl.when(assumed).then(generation).otherwise("grid_feed_in_w")


def _is_above(power: str, limit: str) -> pl.Expr:
    """Whether the power is above the limit.

    A row that the limit covers in part has the mean of both: it says nothing of a limit that was exceeded.
    """
    return (pl.col("whole") & (pl.col(power) > pl.col(limit) + _TOLERANCE)).fill_null(value=False)


def _binds(whose: str = "") -> pl.Expr:
    """Whether power is at a limit, and that is why it is not higher. `whose` is the prefix of the limits' columns."""
    at_feed_in = pl.col("fed_in_w") >= pl.col(f"{whose}feed_in_w") - _TOLERANCE
    at_generation = pl.col("pv_generation_w") >= pl.col(f"{whose}generation_w") - _TOLERANCE
    by_feed_in = at_feed_in & ~pl.col("above_feed_in") & ~pl.col("draws")
    by_generation = at_generation & ~pl.col("above_generation")
    return by_feed_in.fill_null(value=False) | by_generation.fill_null(value=False)


def sum_limited_hours(segments: pl.DataFrame, pieces: pl.DataFrame, days: pl.DataFrame) -> pl.DataFrame:
    """Hours of each plant and day with a limit: limited_h, limited_lit_h, known_lit_h, binding_h, above_limit_h.

    And lowest_limit_kw, asked_by, and the method that the file asks for, by rows of `cut_limits` and `find_binding`.
    """
    lit = pl.min_horizontal("seg_end", "sunset") - pl.max_horizontal("seg_start", "sunrise")
    limited = (
        segments.filter("limited")
        .join(days.select(*_DAY, "sunrise", "sunset"), on=_DAY)
        .group_by(_DAY)
        .agg(
            limited_h=(pl.col("seg_end") - pl.col("seg_start")).dt.total_microseconds().sum() * HOURS_PER_US,
            limited_lit_h=lit.dt.total_microseconds().clip(0).sum() * HOURS_PER_US,
            lowest_limit_kw=pl.min_horizontal("feed_in_w", "generation_w").min() / 1000,
            asked_by=pl.col("asked_by").explode().unique().sort().str.join(","),
            wanted=pl.col("method").drop_nulls().first(),
        )
    )
    of_rows = pieces.group_by(_DAY).agg(
        known_lit_h=pl.col("lit_us").filter("known").sum() * HOURS_PER_US,
        binding_h=pl.col("lit_us").filter("binds").sum() * HOURS_PER_US,
        above_limit_h=pl.col("us").filter("above").sum() * HOURS_PER_US,
    )
    hours = pl.col("known_lit_h", "binding_h", "above_limit_h").fill_null(0.0)
    return limited.join(of_rows, on=_DAY, how="left").with_columns(hours).sort(_DAY)


def sum_binding_quarters(pieces: pl.DataFrame) -> pl.DataFrame:
    """plant_id, quarter_start, binding_h and operator_h of the quarter hours in which a limit binds in daylight."""
    names = ["binding_us", "operator_us"]
    binding = pieces.filter(pl.col("binds") & (pl.col("lit_us") > 0)).with_columns(
        binding_us=pl.col("lit_us").cast(pl.Float64),
        operator_us=pl.when("operator_binds").then("lit_us").otherwise(0).cast(pl.Float64),
    )
    cut = cut_at_quarters(binding.sort("plant_id", "interval_start"), names)
    sums = cut.group_by("plant_id", "quarter_start").agg(pl.col(names).sum() * HOURS_PER_US)
    return sums.rename({"binding_us": "binding_h", "operator_us": "operator_h"})
