"""What PV power is possible at all: by the rated power, by the size of the fleet, and by the sun.

Frames in, frames out. The rules of `quality` say what becomes of a value that is beyond.
"""

import datetime as dt
from math import exp
from typing import Final

import polars as pl

from pipeline.transform.sun.position import compute_elevation_deg, find_nights
from pipeline.transform.thresholds import Thresholds

# So many rated powers tell how large plants (or devices) of the fleet are.
FLEET_FROM: Final = 5
# The usual range of a bell curve's 99.7 %, from the median of the distances: a wrong rating moves neither.
DEVIATIONS, PER_MEDIAN_DISTANCE = 3.0, 1.4826
# The better hours of a day, which neither one wrong row nor a long night moves.
BETTER_HOURS: Final = 0.9
ROWS_TO_TELL: Final = 4
# Coordinates of the town in place of the roof, clocks that are minutes off, light before sunrise.
SUN_TOLERANCE_DEG: Final = 3.0
# Direct light above the air, what of it passes one thickness of air (A. B. Meinel), and what the sky adds, in W/m2.
ABOVE_THE_AIR, PASSES, PASSES_POWER = 1353.0, 0.7, 0.678
SKY_W_PER_M2: Final = 100.0
# Air that light passes at a height of the sun, in thicknesses (F. Kasten and A. T. Young).
KASTEN_YOUNG: Final = (0.50572, 6.07995, -1.6364)
STANDARD_W_PER_M2: Final = 1000.0
DEG_PER_S: Final = 15 / 3600


def build_sites(places: pl.DataFrame, day: dt.date, limits: Thresholds) -> pl.DataFrame:
    """The places with what bounds their power on the day.

    `places` has plant_id, timezone, latitude, longitude, rated_w and peak_w (null: not known), and where `rated_w` may
    be that of the plant, own_w of the device. New columns: bound_w (null: nothing is known), size_w (how large the
    plant or device is, no less than a house), is_sized (whether that is known), dawn and dusk (UTC: where night ends
    and begins; null without coordinates).
    """
    sites = places.unique("plant_id", keep="first", maintain_order=True)
    twilight = find_nights(sites, day, below_deg=limits.night_sun_deg)
    known = pl.col("rated_w") * limits.beyond_rated_times
    fleet = _find_largest_usual(places["rated_w"])
    usual = pl.lit(None if fleet is None else fleet * limits.beyond_fleet_times, pl.Float64)
    size = pl.max_horizontal("rated_w", "peak_w")
    own = pl.col("own_w") if "own_w" in places.columns else pl.lit(None, pl.Float64)
    peak = pl.coalesce(
        pl.max_horizontal("peak_w", pl.when(pl.col("peak_w").is_not_null()).then("rated_w")),
        pl.col("rated_w") * limits.peak_per_ac_power,
    )
    return places.join(twilight, on="plant_id", how="left", maintain_order="left").with_columns(
        bound_w=pl.coalesce(known, usual),
        peak_w=peak,
        size_w=size.fill_null(fleet or limits.unknown_site_w).clip(limits.least_site_w),
        is_sized=size.is_not_null(),
        own_w=own,
    )


def _find_largest_usual(rated: pl.Series) -> float | None:
    """The largest rated power that is usual among those given; None where they are too few to say."""
    logs = rated.filter(rated > 0).log()
    if logs.len() < FLEET_FROM:
        return None
    middle = float(logs.median() or 0.0)  # type: ignore[arg-type]
    distance = float((logs - middle).abs().median() or 0.0)  # type: ignore[arg-type]
    return exp(middle + DEVIATIONS * PER_MEDIAN_DISTANCE * distance)


def add_limits(rows: pl.DataFrame, answers: pl.DataFrame, limits: Thresholds) -> pl.DataFrame:
    """The rows with `beyond_sun`, and with `bound_w` lifted where the fleet's bound is too narrow for a large plant.

    `rows` are sorted by series and time, with series, answer, interval_end, resolution, pv_generation_w, rated_w and
    bound_w; `answers` are the rows of `build_sites` that `answer` counts.
    """
    pv = pl.col("pv_generation_w")
    above = pv.is_finite() & (pv > pl.col("bound_w")) & pl.col("rated_w").is_null()
    alone = _stands_alone(limits)
    any_above, any_alone = rows.select(above.any(), alone.any().alias("alone")).row(0)
    if any_above:
        bright = pv.filter(pv.is_finite() & (pv > 0))
        # A morning's first rows tell nothing of the plant but what they say themselves.
        most = pl.when(bright.count() < ROWS_TO_TELL).then(bright.max())
        better = pl.coalesce(most, bright.quantile(BETTER_HOURS, "lower")).over("series")
        better *= limits.beyond_fleet_times
        lifted = pl.max_horizontal("bound_w", better)
        rows = rows.with_columns(
            pl.when(pl.col("rated_w").is_null()).then(lifted).otherwise("bound_w").alias("bound_w")
        )
    beyond_sun = pl.lit(value=False)
    if any_alone:
        found = _find_beyond_sun(rows.filter(alone), answers, limits)
        beyond_sun = pl.col("row").is_in(found.implode())
    return rows.with_columns(beyond_sun=beyond_sun)


def _stands_alone(limits: Thresholds) -> pl.Expr:
    """Whether a row says far more than both rows beside it; what is not there says nothing."""
    pv, series = pl.col("pv_generation_w"), pl.col("series")
    before = pl.when(series == series.shift(1)).then(pv.shift(1)).fill_null(0.0)
    after = pl.when(series == series.shift(-1)).then(pv.shift(-1)).fill_null(0.0)
    return pv.is_finite() & (
        pv > pl.max_horizontal(before, after, pl.lit(limits.night_w)) * limits.beyond_sun_times_neighbours
    )


def _find_beyond_sun(rows: pl.DataFrame, answers: pl.DataFrame, limits: Thresholds) -> pl.Series:
    """`row` of those rows that say more than a clear sky gives to panels that face the sun."""
    sites = answers.select("latitude", "longitude", "peak_w")[rows["answer"]]
    facts = rows.select("row", "pv_generation_w", "interval_end", "resolution")
    # For a power that even the lowest sun allows, the sun's position is not needed.
    least = _clear_sky(pl.lit(SUN_TOLERANCE_DEG)) / STANDARD_W_PER_M2 * limits.beyond_sun_times
    placed = pl.concat([facts, sites], how="horizontal").filter(
        pl.col("pv_generation_w") > pl.col("peak_w") * least
    )
    half = pl.col("resolution") / 2
    middle = compute_elevation_deg(placed.with_columns(at=pl.col("interval_end") - half))
    # The interval's brightest moment is at one of its ends.
    rises = half.dt.total_seconds() * DEG_PER_S + SUN_TOLERANCE_DEG
    possible = _clear_sky(pl.col("height") + rises) / STANDARD_W_PER_M2 * pl.col("peak_w")
    return (
        placed.with_columns(middle.alias("height"))
        .filter(pl.col("pv_generation_w") > possible * limits.beyond_sun_times)
        .get_column("row")
    )


def _clear_sky(height: pl.Expr) -> pl.Expr:
    """Light in W/m2 on a panel that faces a sun of this height in degrees; all of it where the height is null."""
    a, b, c = KASTEN_YOUNG
    up = height.fill_null(90.0).clip(0.0, 90.0)
    air = 1 / (up.radians().sin() + a * (up + b) ** c)
    return pl.lit(PASSES).pow(air**PASSES_POWER) * ABOVE_THE_AIR + SKY_W_PER_M2
