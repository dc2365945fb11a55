"""What limits prevented, in quarter hours, by the regulator's rules for energy that was not delivered (BK6-20-059).

Theoretical power is min(P_ref / G_ref x G, rated power): P_ref and G_ref are power and irradiation of a comparison day,
G the irradiation of the limited time. Lost is max(0, min(theoretical, available in an outage) - measured), in quarter
hours in which the limit binds and in no others.
"""

import datetime as dt
from typing import Final

import polars as pl

from pipeline.transform.hourly import QUARTER
from schemas import curtailment as c

# P_ref and G_ref are of quarter hours with at least this share of the rated power.
REFERENCE_POWER = 0.1
# So many of them make a comparison day: fewer are an accident of the clouds.
FEWEST_QUARTERS = 4
# A comparison day is at most this far away.
REACH = dt.timedelta(days=31)
# So much of a quarter must have power.
COVERED_H = 0.95 * 0.25
# A day with this share of the best day's energy is cloudless enough to be the reference of another one.
CLOUDLESS = 0.9
# No estimate is better than this: the quarter hours of the comparison day can't show an error of the sensor.
LEAST_ERROR = 0.01
# A method must know so much of the binding time before a better one without that is left.
ENOUGH = 0.95
_DAY: Final = ["plant_id", "local_date"]
_QUARTER: Final = [*_DAY, "quarter_start"]
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


def prepare_quarters(
    quarters: pl.DataFrame, segments: pl.DataFrame, binding: pl.DataFrame, days: pl.DataFrame
) -> pl.DataFrame:
    """Mean power of each quarter hour, with what limits did in it.

    `quarters` has plant_id, local_date, quarter_start, pv_generation_kwh, pv_generation_covered_h and
    grid_feed_in_kwh; `binding` is of `sum_binding_quarters`, `days` has rated_w. The result has pv_w, own_use_w,
    covered_h, rated_w, binding_h, operator_h, and `spare`: whether the day has no measure, so that it can be a
    comparison day, and no static limit binds in the quarter.
    """
    measured = segments.filter("measure").select(_DAY).unique().with_columns(measured=True)
    hours = pl.col("pv_generation_covered_h")
    pv = pl.when(hours > 0).then(pl.col("pv_generation_kwh") / hours * 1000)
    feed_in = pl.when(hours > 0).then(pl.col("grid_feed_in_kwh") / hours * 1000)
    return (
        quarters.join(days.select(*_DAY, "rated_w"), on=_DAY)
        .join(binding, on=["plant_id", "quarter_start"], how="left")
        .join(measured, on=_DAY, how="left")
        .with_columns(
            pl.col("binding_h", "operator_h").fill_null(0.0),
            pl.col("measured").fill_null(value=False),
            covered_h=hours.fill_null(0.0),
            pv_w=pv,
            own_use_w=(pv - feed_in.fill_null(pv)).clip(0),
        )
        .with_columns(spare=~pl.col("measured") & (pl.col("binding_h") == 0))
        .select(
            *_QUARTER,
            "pv_w",
            "own_use_w",
            "covered_h",
            "rated_w",
            "binding_h",
            "operator_h",
            "spare",
            "measured",
        )
        .sort(_QUARTER)
    )


def scale_by_light(quarters: pl.DataFrame, light: pl.DataFrame, method: str, reference: str) -> pl.DataFrame:
    """Theoretical power (THEORY) by irradiation: P_ref / G_ref of the comparison day, times G, at most rated power.

    `light` has plant_id, quarter_start and `g`, in any unit. The bounds are as far from it as the same formula is, in
    the mean, from what was measured on the comparison day, and as the ratios of all comparable days are apart.
    """
    lit = quarters.join(light, on=["plant_id", "quarter_start"], how="inner")
    usable = _select_reference(lit).filter(pl.col("g") > 0)
    ratio = pl.col("pv_w").sum() / pl.col("g").sum()
    seen = usable.with_columns(ratio=ratio.over(_DAY)).with_columns(
        missed=(pl.min_horizontal(pl.col("ratio") * pl.col("g"), "rated_w") - pl.col("pv_w")).abs()
    )
    spread = (pl.col("ratio").std() / pl.col("ratio").mean()).over("plant_id").fill_null(0.0).fill_nan(0.0)
    missed = pl.col("missed").sum() / pl.col("pv_w").sum()
    candidates = (
        seen.group_by("plant_id", comparison_date="local_date")
        .agg(pl.col("ratio").first(), n=pl.len(), missed=missed)
        .filter(pl.col("n") >= FEWEST_QUARTERS)
        .with_columns(error=(pl.col("missed") + spread).clip(LEAST_ERROR, 1))
    )
    theory = pl.col("ratio") * pl.col("g").clip(0)
    return (
        _select_binding(lit)
        .join(choose_comparison_days(_select_binding(lit), candidates), on=_DAY)
        .with_columns(
            theory_w=pl.min_horizontal(theory, "rated_w"),
            low_w=pl.min_horizontal(theory * (1 - pl.col("error")), "rated_w"),
            high_w=pl.min_horizontal(theory * (1 + pl.col("error")), "rated_w"),
            method=pl.lit(method),
            reference=pl.lit(reference),
        )
        .select(THEORY.names())
    )


def scale_clear_sky_day(quarters: pl.DataFrame) -> pl.DataFrame:
    """Theoretical power (THEORY) without irradiation: a cloudless day's power, scaled by the unlimited time of the day.

    The bounds are nothing, and the cloudless day itself.
    """
    energy = (
        quarters.filter("spare")
        .group_by("plant_id", comparison_date="local_date")
        .agg(day_w=pl.col("pv_w").sum(), n=(pl.col("pv_w") >= REFERENCE_POWER * pl.col("rated_w")).sum())
    )
    best = pl.col("day_w").max().over("plant_id")
    cloudless = energy.filter((pl.col("day_w") >= CLOUDLESS * best) & (pl.col("n") >= FEWEST_QUARTERS))
    wanted = quarters.join(_select_binding(quarters).select(_DAY).unique(), on=_DAY, how="semi")
    chosen = choose_comparison_days(wanted, cloudless.select("plant_id", "comparison_date"))
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
        _select_binding(beside)
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
        _select_binding(quarters)
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


def choose_comparison_days(limited: pl.DataFrame, candidates: pl.DataFrame) -> pl.DataFrame:
    """The nearest candidate (plant_id, comparison_date, …) of each plant and day: the earlier of two, none of the next
    month."""
    gap = (pl.col("comparison_date") - pl.col("local_date")).abs()
    return (
        limited.select(_DAY)
        .unique()
        .join(candidates, on="plant_id")
        .filter(
            pl.col("comparison_date").dt.month_start() <= pl.col("local_date").dt.month_start(),
            gap <= REACH,
            pl.col("comparison_date") != pl.col("local_date"),
        )
        .sort(*_DAY, gap, "comparison_date")
        .unique(_DAY, keep="first", maintain_order=True)
    )


def choose_methods(theories: pl.DataFrame, quarters: pl.DataFrame, hours: pl.DataFrame) -> pl.DataFrame:
    """The rows of THEORY of one method for each plant and day.

    That is the one that the file wants (`wanted` of `hours`), else the best one that knows the binding time.
    """
    rank = {name: place for place, name in enumerate([*c.METHODS, *c.REFERENCES])}
    binding = _select_binding(quarters).group_by(_DAY).agg(all=pl.len())
    found = (
        theories.drop_nulls("theory_w")
        .group_by(*_DAY, "method", "reference")
        .agg(known=pl.len())
        .join(binding, on=_DAY)
        .join(hours.select(*_DAY, "wanted"), on=_DAY)
        .filter(
            (pl.col("method") == pl.col("wanted"))
            | (pl.col("wanted").is_null() & (pl.col("method") != c.PAUSCHAL))
        )
        .sort(
            *_DAY,
            pl.col("known") < ENOUGH * pl.col("all"),
            pl.col("method").replace_strict(rank, return_dtype=pl.Int64),
            pl.col("reference").replace_strict(rank, return_dtype=pl.Int64, default=0),
        )
        .unique(_DAY, keep="first", maintain_order=True)
    )
    return theories.join(
        found.select(*_DAY, "method", "reference"),
        on=[*_DAY, "method", "reference"],
        how="semi",
        nulls_equal=True,
    )


def sum_lost(
    quarters: pl.DataFrame, chosen: pl.DataFrame, segments: pl.DataFrame, hours: pl.DataFrame
) -> pl.DataFrame:
    """Rows of `curtailment_daily` without plant figures, for each row of `hours`, by the method chosen for each day."""
    binding = (
        _select_binding(quarters)
        .join(chosen, on=_QUARTER, how="left")
        .join(_find_caps(quarters, segments), on=_QUARTER, how="left")
    )

    def lose(name: str, *caps: str) -> pl.Expr:
        possible = pl.min_horizontal(name, "rated_w", *caps)
        lost = (possible - pl.col("pv_w")).clip(0) * pl.col("covered_h") / 1000
        return pl.when(pl.col("theory_w").is_not_null() & pl.col("pv_w").is_not_null()).then(lost)

    by_operator = pl.when(pl.col("operator_h") > 0).then(lose("theory_w", "outage_cap_w", "other_cap_w"))
    sums = (
        binding.with_columns(
            lost_kwh=lose("theory_w", "outage_cap_w"),
            lost_low_kwh=lose("low_w", "outage_cap_w"),
            lost_high_kwh=lose("high_w", "outage_cap_w"),
            lost_by_grid_operator_kwh=by_operator,
        )
        .group_by(_DAY)
        .agg(
            pl.col("lost_kwh", "lost_low_kwh", "lost_high_kwh", "lost_by_grid_operator_kwh").sum(),
            pl.col("method", "reference", "comparison_date").drop_nulls().first(),
            unknown_h=pl.col("binding_h").filter(pl.col("lost_kwh").is_null()).sum(),
            known=pl.col("lost_kwh").count(),
        )
    )
    return _explain(hours.join(sums, on=_DAY, how="left"), quarters)


def _explain(days: pl.DataFrame, quarters: pl.DataFrame) -> pl.DataFrame:
    """The days with the reason for which there is no method, and no loss where there is none."""
    facts = quarters.group_by(_DAY).agg(pl.col("rated_w").first())
    spare = quarters.filter("spare").select(pl.col("plant_id").unique())["plant_id"].implode()
    nothing = pl.col("binding_h") <= 0
    unmeasured = (pl.col("known_lit_h") <= 0) & (pl.col("limited_lit_h") > 0)
    reasons = {
        c.NO_RATED_POWER: pl.col("rated_w").is_null(),
        c.NOT_MEASURED: unmeasured,
        c.NOT_BINDING: nothing,
        c.NO_COMPARISON_DAY: (pl.col("known").fill_null(0) == 0) & ~pl.col("plant_id").is_in(spare),
        c.NO_REFERENCE: pl.col("known").fill_null(0) == 0,
    }
    reason = pl.coalesce(pl.when(holds).then(pl.lit(word)) for word, holds in reasons.items())
    lost = ["lost_kwh", "lost_low_kwh", "lost_high_kwh", "lost_by_grid_operator_kwh"]
    gaps = (pl.col("limited_lit_h") - pl.col("known_lit_h")).clip(0)
    return (
        days.join(facts, on=_DAY, how="left")
        .with_columns(method_reason=reason)
        .with_columns(
            pl.when(pl.col("method_reason").is_null())
            .then(pl.col(lost))
            .when(pl.col("method_reason") == c.NOT_BINDING)
            .then(0.0),
            *(
                pl.when(pl.col("method_reason").is_null()).then(name).alias(name)
                for name in ("method", "reference", "comparison_date")
            ),
            unjudged_h=gaps + pl.col("unknown_h").fill_null(0.0),
        )
        .sort(_DAY)
    )


def _find_caps(quarters: pl.DataFrame, segments: pl.DataFrame) -> pl.DataFrame:
    """Of each binding quarter hour the mean power that an outage and the limits of others would have left.

    `other_cap_w` is that of limits that the grid operator did not ask for: of feed-in, and what the plant used itself.
    """
    piece = pl.min_horizontal("seg_end", pl.col("quarter_start") + QUARTER) - pl.max_horizontal(
        "seg_start", "quarter_start"
    )
    share = (piece / QUARTER).alias("share")
    rated = pl.col("rated_w")
    others = pl.min_horizontal(
        "rated_w", "other_generation_w", pl.col("other_feed_in_w") + pl.col("own_use_w")
    )
    rest = (1 - pl.col("share").sum()) * rated.first()
    return (
        _select_binding(quarters)
        .select(*_QUARTER, "rated_w", "own_use_w")
        .join(segments, on=_DAY)
        .with_columns(share)
        .filter(pl.col("share") > 0)
        .group_by(_QUARTER)
        .agg(
            outage_cap_w=(pl.min_horizontal("rated_w", "outage_w") * pl.col("share")).sum() + rest,
            other_cap_w=(others * pl.col("share")).sum() + rest,
        )
    )


def _select_binding(quarters: pl.DataFrame) -> pl.DataFrame:
    return quarters.filter(pl.col("binding_h") > 0)


def _select_reference(quarters: pl.DataFrame) -> pl.DataFrame:
    """The quarters that a comparison day is made of."""
    return quarters.filter(
        "spare",
        pl.col("pv_w") >= REFERENCE_POWER * pl.col("rated_w"),
        pl.col("covered_h") >= COVERED_H,
    )
