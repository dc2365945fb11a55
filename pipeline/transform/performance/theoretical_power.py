"""The power that a plant would have had without a limit, in quarter hours, by the methods that the regulator knows.

By BK6-20-059 it is min(P_ref / G_ref x G, rated power): P_ref and G_ref are power and irradiation of a comparison day,
G the irradiation of the limited time.
"""

import datetime as dt
from collections.abc import Sequence
from typing import Final

import polars as pl

from pipeline.transform.hourly import QUARTER
from schemas import curtailment as c

# P_ref and G_ref are of quarter hours with at least this share of the rated power.
REFERENCE_POWER = 0.1
# A comparison day needs at least this many of them: fewer may be an accident of the clouds.
FEWEST_QUARTERS = 4
# P_ref and G_ref are the sums of so many of them, those most like the limited quarter hour: modules are warmer, and so
# weaker, in strong light than in the mean of the day.
LIKE_QUARTERS = 5
# A comparison day is at most this far away.
REACH = dt.timedelta(days=31)
# So much of a quarter must have power.
COVERED_H = 0.95 * 0.25
# A day with this share of the best day's energy is cloudless enough to be the reference of another one.
CLOUDLESS = 0.9
# No estimate is better than this: the quarter hours of the comparison day can't show an error of the sensor.
LEAST_ERROR = 0.01
# The bounds are so many mean errors away: the truth of nine days in ten lies within them.
BOUNDS_AT = 2
_DAY: Final = ["plant_id", "local_date"]
_QUARTER: Final = [*_DAY, "quarter_start"]
_SERIES: Final = ["plant_id", "series"]
# What the plant had on a day: a day of other powers says nothing of this one's.
_POWERS: Final = ["rated_w", "peak_w"]
THEORY: Final = pl.Schema(
    {
        "plant_id": pl.String(),
        "local_date": pl.Date(),
        "quarter_start": pl.Datetime("us", "UTC"),
        "theory_w": pl.Float64(),
        "low_w": pl.Float64(),
        "high_w": pl.Float64(),
        "comparison_date": pl.Date(),
        "method": pl.String(),
        "reference": pl.String(),
    }
)


def scale_by_light(
    quarters: pl.DataFrame, light: pl.DataFrame, method: str, reference: str, *, by_time: bool = False
) -> pl.DataFrame:
    """Theoretical power (THEORY) by irradiation: P_ref / G_ref of the comparison day, times G, at most rated power.

    `light` has plant_id, series, quarter_start and `g`, in any unit: several series of a plant, such as those of its
    neighbours, are averaged, the better ones with more weight. P_ref and G_ref are of the quarter hours that are most
    like the limited one: in their light, or with `by_time` in their time of the day, for light that another plane sees.
    The bounds are as far from it as the same formula is, in the mean, from what was measured on the comparison day, and
    as the ratios of all comparable days are apart.
    """
    since_midnight = pl.col("quarter_start") - pl.col("local_date").cast(pl.Datetime("us", "UTC"))
    place = since_midnight.dt.total_minutes().cast(pl.Float64) if by_time else pl.col("g")
    lit = quarters.join(light, on=["plant_id", "quarter_start"], how="inner").with_columns(place=place)
    binding = select_binding(lit).filter(pl.col("g").is_not_null())
    usable = _find_ratios(select_reference(lit).filter(pl.col("g") > 0))
    chosen = choose_comparison_days(binding, _judge_days(usable), [*_SERIES, *_POWERS]).drop(_POWERS)
    # If there are several series, those with the nearest comparison day count: each limited day has one.
    gap = (pl.col("comparison_date") - pl.col("local_date")).abs()
    chosen = chosen.filter(gap == gap.min().over(_DAY)).filter(
        pl.col("comparison_date") == pl.col("comparison_date").min().over(_DAY)
    )
    like = usable.select(*_SERIES, "place", "ratio", comparison_date="local_date").sort("place")
    theory, weight = pl.col("ratio") * pl.col("g").clip(0), pl.col("error") ** -2
    return (
        binding.join(chosen, on=[*_SERIES, "local_date"])
        .sort("place")
        .join_asof(
            like, on="place", by=[*_SERIES, "comparison_date"], strategy="nearest", check_sortedness=False
        )
        .group_by(*_QUARTER, "comparison_date")
        .agg(
            pl.col("rated_w").first(),
            theory_w=(theory * weight).sum() / weight.sum(),
            error=(pl.col("error") * weight).sum() / weight.sum(),
        )
        .with_columns(
            theory_w=pl.min_horizontal("theory_w", "rated_w"),
            low_w=pl.min_horizontal(pl.col("theory_w") * (1 - pl.col("error")), "rated_w"),
            high_w=pl.min_horizontal(pl.col("theory_w") * (1 + pl.col("error")), "rated_w"),
            method=pl.lit(method),
            reference=pl.lit(reference),
        )
        .select(THEORY.names())
    )


def _find_ratios(usable: pl.DataFrame) -> pl.DataFrame:
    """The reference quarters with `ratio`, P_ref / G_ref of those around each, and `missed_w`, how far P is from it.

    What a quarter is away from the ratio is judged by the ones around it without itself.
    """
    series = [*_SERIES, "local_date"]
    power, light = (
        pl.col(name).rolling_sum(LIKE_QUARTERS, min_samples=1, center=True).over(series)
        for name in ("pv_w", "g")
    )
    return (
        usable.sort(*series, "place")
        .with_columns(power=power, light=light)
        .with_columns(
            ratio=pl.col("power") / pl.col("light"),
            around=(pl.col("power") - pl.col("pv_w")) / (pl.col("light") - pl.col("g")),
        )
        .with_columns(
            missed_w=(pl.min_horizontal(pl.col("around") * pl.col("g"), "rated_w") - pl.col("pv_w")).abs()
        )
    )


def _judge_days(usable: pl.DataFrame) -> pl.DataFrame:
    """The days that can be a comparison day of each series, and the error to be expected: a share of the power."""
    days = (
        usable.group_by(*_SERIES, *_POWERS, comparison_date="local_date")
        .agg(
            of_day=pl.col("pv_w").sum() / pl.col("g").sum(),
            n=pl.len(),
            missed=pl.col("missed_w").sum() / pl.col("pv_w").sum(),
        )
        .filter(pl.col("n") >= FEWEST_QUARTERS)
    )
    spread = (
        (pl.col("of_day").std() / pl.col("of_day").mean())
        .over(*_SERIES, *_POWERS)
        .fill_null(0.0)
        .fill_nan(0.0)
    )
    return days.with_columns(error=(BOUNDS_AT * (pl.col("missed") + spread)).clip(LEAST_ERROR, 1))


def scale_clear_sky_day(quarters: pl.DataFrame) -> pl.DataFrame:
    """Theoretical power (THEORY) without irradiation: a cloudless day's power, scaled by the unlimited time of the day.

    The bounds are nothing, and the cloudless day itself.
    """
    energy = (
        quarters.filter("spare")
        .group_by("plant_id", *_POWERS, comparison_date="local_date")
        .agg(day_w=pl.col("pv_w").sum(), n=(pl.col("pv_w") >= REFERENCE_POWER * pl.col("rated_w")).sum())
    )
    best = pl.col("day_w").max().over("plant_id", *_POWERS)
    cloudless = energy.filter((pl.col("day_w") >= CLOUDLESS * best) & (pl.col("n") >= FEWEST_QUARTERS))
    wanted = quarters.join(select_binding(quarters).select(_DAY).unique(), on=_DAY, how="semi")
    by = ["plant_id", *_POWERS]
    chosen = choose_comparison_days(wanted, cloudless.select(*by, "comparison_date"), by).drop(_POWERS)
    # The sun follows UTC, and not the clock of the plant.
    there = quarters.filter("spare").select(
        "plant_id", comparison_date="local_date", at="quarter_start", there_w="pv_w"
    )
    back = pl.col("local_date") - pl.col("comparison_date")
    beside = (
        wanted.join(chosen, on=_DAY)
        .with_columns(at=pl.col("quarter_start") - back)
        .join(there, on=["plant_id", "comparison_date", "at"], how="inner")
    )
    free = beside.filter(
        pl.col("binding_h") == 0,
        pl.col("covered_h") >= COVERED_H,
        pl.col("there_w") >= REFERENCE_POWER * pl.col("rated_w"),
    )
    cloud = free.group_by(_DAY).agg(share=pl.col("pv_w").sum() / pl.col("there_w").sum(), n=pl.len())
    return (
        select_binding(beside)
        .join(cloud.filter(pl.col("n") >= FEWEST_QUARTERS), on=_DAY)
        .with_columns(
            theory_w=pl.min_horizontal(pl.col("there_w") * pl.col("share"), "rated_w"),
            low_w=pl.lit(0.0),
            high_w=pl.min_horizontal(pl.col("there_w") * pl.col("share").clip(lower_bound=1), "rated_w"),
            method=pl.lit(c.CLEAR_SKY_DAY),
            reference=pl.lit(None, pl.String),
        )
        .select(THEORY.names())
    )


def hold_last_quarter(quarters: pl.DataFrame, segments: pl.DataFrame) -> pl.DataFrame:
    """Theoretical power (THEORY) by contract: that of the last whole quarter hour before the limit began.

    The bounds are nothing, and the rated power: how the sun went on is not asked.
    """
    asked = segments.filter(pl.col("method") == c.PAUSCHAL).select(
        *_DAY, "seg_start", "seg_end", "limit_start"
    )
    last = quarters.select("plant_id", before="quarter_start", theory_w="pv_w")
    begun = pl.col("limit_start").dt.truncate(QUARTER) - QUARTER
    return (
        select_binding(quarters)
        .join(asked, on=_DAY)
        .filter(
            (pl.col("seg_start") < pl.col("quarter_start") + QUARTER)
            & (pl.col("seg_end") > pl.col("quarter_start"))
        )
        .group_by(_QUARTER)
        .agg(before=begun.min(), high_w=pl.col("rated_w").first())
        .join(last, on=["plant_id", "before"])
        .with_columns(
            pl.min_horizontal("theory_w", "high_w"),
            low_w=pl.lit(0.0),
            comparison_date=pl.lit(None, pl.Date),
            method=pl.lit(c.PAUSCHAL),
            reference=pl.lit(None, pl.String),
        )
        .select(THEORY.names())
    )


def choose_comparison_days(
    limited: pl.DataFrame, candidates: pl.DataFrame, by: Sequence[str] = ("plant_id",)
) -> pl.DataFrame:
    """The nearest candidate (`by`, comparison_date, …) of each plant and day, of no later month: of two the earlier."""
    days = [*by, "local_date"]
    gap = (pl.col("comparison_date") - pl.col("local_date")).abs()
    return (
        limited.select(days)
        .unique()
        .join(candidates, on=by, nulls_equal=True)
        .filter(
            pl.col("comparison_date").dt.month_start() <= pl.col("local_date").dt.month_start(),
            gap <= REACH,
            pl.col("comparison_date") != pl.col("local_date"),
        )
        .sort(*days, gap, "comparison_date")
        .unique(days, keep="first", maintain_order=True)
    )


def select_binding(quarters: pl.DataFrame) -> pl.DataFrame:
    """The quarters in which a limit binds."""
    return quarters.filter(pl.col("binding_h") > 0)


def select_reference(quarters: pl.DataFrame) -> pl.DataFrame:
    """The quarters that a comparison day is made of."""
    return quarters.filter(
        "spare",
        pl.col("pv_w") >= REFERENCE_POWER * pl.col("rated_w"),
        pl.col("covered_h") >= COVERED_H,
    )
