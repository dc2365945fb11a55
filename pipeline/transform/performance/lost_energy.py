"""What limits prevented, in quarter hours, by the regulator's rules for energy that was not delivered (BK6-20-059).

Lost is max(0, min(theoretical power, available in an outage) - measured), in quarter hours in which the limit binds and
in no others.
"""

from typing import Final

import polars as pl

from pipeline.transform.hourly import QUARTER
from pipeline.transform.performance.theoretical_power import select_binding
from schemas import curtailment as c

# A method must know so much of the binding time before a better one without that is left.
ENOUGH = 0.95
_DAY: Final = ["plant_id", "local_date"]
_QUARTER: Final = [*_DAY, "quarter_start"]


def prepare_quarters(
    quarters: pl.DataFrame, segments: pl.DataFrame, binding: pl.DataFrame, days: pl.DataFrame
) -> pl.DataFrame:
    """Mean power of each quarter hour, with what limits did in it.

    `quarters` has plant_id, local_date, quarter_start, pv_generation_kwh, pv_generation_covered_h and
    grid_feed_in_kwh; `binding` is of `sum_binding_quarters`, `days` has rated_w and peak_w. The result has pv_w,
    own_use_w, covered_h, rated_w, peak_w, binding_h, operator_h, and `spare`: whether the day has no measure, so that
    it can be a comparison day, and no static limit binds in the quarter.
    """
    measured = segments.filter("measure").select(_DAY).unique().with_columns(measured=True)
    hours = pl.col("pv_generation_covered_h")
    pv = pl.when(hours > 0).then(pl.col("pv_generation_kwh") / hours * 1000)
    feed_in = pl.when(hours > 0).then(pl.col("grid_feed_in_kwh") / hours * 1000)
    return (
        quarters.join(days.select(*_DAY, "rated_w", "peak_w"), on=_DAY)
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
            "peak_w",
            "binding_h",
            "operator_h",
            "spare",
            "measured",
        )
        .sort(_QUARTER)
    )


def choose_methods(theories: pl.DataFrame, quarters: pl.DataFrame, hours: pl.DataFrame) -> pl.DataFrame:
    """The rows of THEORY of one method for each plant and day.

    That is the one that the file wants (`wanted` of `hours`), else the best one that knows the binding time.
    """
    rank = {name: place for place, name in enumerate([*c.METHODS, *c.REFERENCES])}
    binding = select_binding(quarters).group_by(_DAY).agg(all=pl.len())
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
        select_binding(quarters)
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
        select_binding(quarters)
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
