"""What is suspicious in a day's rows but possible: it is reported, its rows are marked, and its energy stays.

A finding is reported once for each series and reason, with how many rows it concerns: what is wrong with a plant for
months must not fill `quarantine` with every single row.
"""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import polars as pl

from pipeline.transform.thresholds import Thresholds

NIGHT: Final = "night"
OUT_OF_STEP: Final = "out_of_step"
FROZEN: Final = "frozen"
GENERATION: Final = "generation_identity"
CONSUMPTION: Final = "consumption_identity"
INVERTERS: Final = "inverters_sum"
NO_GENERATION: Final = "no_generation"
UNSORTED: Final = "unsorted"
UNORDERED_HOUR: Final = "unordered_hour"

PV = "pv_generation_w"
# total = own use + grid, as the API names them. PV and diesel need not add up to the total generation.
IDENTITIES: Final = {
    GENERATION: ("total_generation_w", "self_consumption_w", "grid_feed_in_w"),
    CONSUMPTION: ("total_consumption_w", "self_supply_w", "grid_consumption_w"),
}
FINDING = {
    "answer": pl.UInt32,
    "reason": pl.String,
    "raw_time": pl.String,
    "field": pl.String,
    "value": pl.Float64,
    "detail": pl.String,
    "n_rows": pl.Int64,
}
A_DAY = dt.timedelta(days=1)
# Shares of the rated power to which grid operators and feed-in rules limit plants, and how exactly inverters keep them.
LIMITING_STEPS: Final = (0.3, 0.5, 0.6, 0.7)
STEP_TOLERANCE: Final = 0.005


@dataclass(frozen=True, slots=True)
class Suspicions:
    """The rules for the columns of one table."""

    rules: dict[str, pl.Expr]
    shown: dict[str, tuple[str, pl.Expr]]
    limits: Thresholds

    @classmethod
    def of(cls, columns: Collection[str], limits: Thresholds) -> "Suspicions":
        """The rules that a table with these columns can break."""
        rules = {UNSORTED: pl.col("behind"), UNORDERED_HOUR: pl.col("unordered_hour")}
        shown = dict.fromkeys(rules, ("time", pl.lit(None, pl.Float64)))
        if PV in columns:
            rules |= {NIGHT: _is_night_power(limits), FROZEN: _is_repeat(limits)}
            shown |= dict.fromkeys((NIGHT, OUT_OF_STEP, FROZEN), (PV, pl.col(PV)))
        for reason, names in IDENTITIES.items():
            if set(names) <= set(columns):
                difference = pl.col(names[0]) - (pl.col(names[1]) + pl.col(names[2]))
                tolerance = pl.col(names[0]) * limits.identity_share + limits.identity_w
                rules[reason] = difference.abs() > tolerance
                shown[reason] = (names[0], difference)
        return cls(rules, shown, limits)

    def find(self, rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The rows with `suspect`, and the findings (columns of `FINDING`; `field` is the name of the column).

        `rows` are sorted by series and time: series, answer, raw_time, behind, unordered_hour, interval_start,
        interval_end, rated_w, dawn, dusk, and the table's own columns.
        """
        none = pl.DataFrame(schema=FINDING)
        masks = rows.select(mask.fill_null(value=False).alias(reason) for reason, mask in self.rules.items())
        counts = masks.sum().row(0, named=True) if rows.height and self.rules else {}
        found = {reason: masks[reason] for reason, count in counts.items() if count}
        if FROZEN in found:
            found[FROZEN] = self._find_frozen(rows, found[FROZEN])
        found = {reason: mask for reason, mask in found.items() if mask.any()}
        if not found:
            return rows.with_columns(suspect=pl.lit(value=False)), none
        findings = [self._build_findings(rows, reason, mask) for reason, mask in found.items()]
        suspect = pl.DataFrame(found).select(pl.any_horizontal(pl.all())).to_series()
        return rows.with_columns(suspect.alias("suspect")), pl.concat([none, *findings])

    def _build_findings(self, rows: pl.DataFrame, reason: str, mask: pl.Series) -> pl.DataFrame:
        field, value = self.shown[reason]
        hit = rows.filter(mask)
        why = pl.lit(reason)
        if reason == NIGHT:
            energy = pl.col("pv_generation_kwh").sum()
            of_night = hit.group_by("series").agg(energy.alias("night_kwh"))
            of_day = rows.group_by("series").agg(energy.alias("day_kwh"))
            hit = hit.join(of_night.join(of_day, on="series"), on="series", how="left", maintain_order="left")
            shifted = pl.col("night_kwh") > pl.col("day_kwh") * self.limits.night_share_of_day
            why = pl.when(shifted).then(pl.lit(OUT_OF_STEP)).otherwise(pl.lit(NIGHT))
        return sum_findings(hit, why, pl.lit(field), value)

    def _find_frozen(self, rows: pl.DataFrame, repeats: pl.Series) -> pl.Series:
        """Which rows belong to a run of one value that is long enough; `repeats` says which equal the row before.

        The plateau of an inverter at a limit is no such run.
        """
        # A run begins with the row that the first repeating one equals.
        runs = repeats.rle().struct.unnest().with_columns(end=pl.col("len").cum_sum().cast(pl.Int64))
        runs = runs.filter(pl.col("value")).select(
            "end", begin=pl.col("end") - pl.col("len").cast(pl.Int64) - 1
        )
        spans = pl.concat(
            [
                runs,
                rows[runs["begin"]].select("interval_start"),
                rows[runs["end"] - 1].select("interval_end"),
            ],
            how="horizontal",
        )
        lasts = pl.col("interval_end") - pl.col("interval_start")
        frozen = spans.filter(
            pl.col("end") - pl.col("begin") >= self.limits.frozen_rows,
            lasts >= dt.timedelta(minutes=self.limits.frozen_min),
        )
        frozen = frozen.filter(~_is_limited(rows, frozen, self.limits)) if frozen.height else frozen
        at = frozen.select(pl.int_ranges("begin", "end").explode()).to_series()
        return pl.select(pl.int_range(repeats.len()).is_in(at.implode()).alias(FROZEN)).to_series()


def sum_findings(hit: pl.DataFrame, reason: pl.Expr, field: pl.Expr, value: pl.Expr) -> pl.DataFrame:
    """The rows that a rule hit as one finding for each series (columns of `FINDING`): the first and the worst of them.

    `hit` is sorted by series and time: series, answer, raw_time and what the expressions need.
    """
    worst = pl.col("shown").abs().arg_max()
    return (
        hit.with_columns(shown=value, named=field, why=reason)
        .group_by("series", maintain_order=True)
        .agg(
            pl.col("answer").first(),
            pl.col("why").first().alias("reason"),
            pl.col("raw_time").first(),
            pl.coalesce(pl.col("named").get(worst, null_on_oob=True), pl.col("named").first()).alias("field"),
            pl.col("shown").get(worst, null_on_oob=True).cast(pl.Float64).alias("value"),
            pl.format("up to {}", pl.col("raw_time").last()).alias("detail"),
            pl.len().cast(pl.Int64).alias("n_rows"),
        )
        .select(list(FINDING))
    )


def compare_inverters_with_plants(
    plants: pl.DataFrame, devices: pl.DataFrame, limits: Thresholds
) -> pl.DataFrame:
    """Plants whose inverters' energies of a day don't add up to the plant's: plant_id, reason, field, value, detail.

    `plants` and `devices` are the day's rows of `energy_daily` and `device_energy_daily`. A gap explains only less: so
    inverters with more than their plant are reported whatever is missing, also where the plant has no figure at all,
    and inverters with less only where all of them are complete. Days that may still change are not compared. `value` is
    the inverters' energy less the plant's, in kWh. A plant may be listed as its own device, which is no inverter.
    """
    final = pl.col("status") != "provisional"
    inverters = (
        devices.filter(pl.col("device_id") != pl.col("plant_id"))
        .group_by("plant_id")
        .agg(
            whole=(pl.col("status") == "complete").all(),
            inverters_kwh=pl.when(pl.col("pv_generation_kwh").count() > 0).then(
                pl.col("pv_generation_kwh").sum()
            ),
        )
        .drop_nulls("inverters_kwh")
    )
    own = pl.col("pv_generation_kwh").fill_null(0)
    difference = pl.col("inverters_kwh") - own
    tolerance = own * limits.inverters_share + limits.inverters_kwh
    less = (difference < -tolerance) & pl.col("whole")
    shown = pl.col("pv_generation_kwh").round(3).cast(pl.String).fill_null("no")
    return (
        plants.filter(final)
        .join(inverters, on="plant_id", how="inner")
        .filter((difference > tolerance) | less)
        .sort("plant_id")
        .select(
            "plant_id",
            reason=pl.lit(INVERTERS),
            field=pl.lit("pvGeneration"),
            value=difference,
            detail=pl.format("inverters {} kWh, plant {} kWh", pl.col("inverters_kwh").round(3), shown),
        )
    )


def find_without_generation(rows: pl.DataFrame, bright: pl.DataFrame, limits: Thresholds) -> pl.DataFrame:
    """Series without PV power on a bright day: keys, reason, field, value, detail, n_rows.

    `rows` has the keys, interval_start, interval_end and pv_generation_w of one day. `bright` has a row for each
    series: its keys, bright_from and bright_to (UTC: while the sun is high) and rated_w or null. A series is reported
    if it has values of enough of that time, and none of the whole day above a trace. `value` is the largest, in W.
    """
    keys = [name for name in ("plant_id", "device_id") if name in rows.columns]
    # A place that is not known has no sun.
    bright = bright.drop_nulls(["bright_from", "bright_to"])
    begin = pl.max_horizontal("interval_start", "bright_from")
    finish = pl.min_horizontal("interval_end", "bright_to")
    trace = pl.col("rated_w").first().fill_null(0) * limits.no_generation_share
    return (
        rows.drop_nulls(PV)
        .join(bright, on=keys, how="inner")
        .group_by(keys)
        .agg(
            (finish - begin).clip(dt.timedelta()).sum().alias("seen"),
            (pl.col(PV).max() <= trace).alias("nothing"),
            pl.col(PV).max().alias("value"),
            pl.len().cast(pl.Int64).alias("n_rows"),
        )
        .filter(pl.col("nothing"), pl.col("seen") >= dt.timedelta(minutes=limits.no_generation_min))
        .sort(keys)
        .select(
            *keys,
            "value",
            "n_rows",
            reason=pl.lit(NO_GENERATION),
            field=pl.lit("pvGeneration"),
            detail=pl.format(
                "{} minutes with the sun high above the horizon", pl.col("seen").dt.total_minutes()
            ),
        )
    )


def _is_night_power(limits: Thresholds) -> pl.Expr:
    """PV power while the sun is well below the horizon, on both sides of the day's own daylight."""
    start, end, dawn, dusk = (pl.col(name) for name in ("interval_start", "interval_end", "dawn", "dusk"))
    before = (end <= dawn) & (start >= dusk - A_DAY)
    after = (start >= dusk) & (end <= dawn + A_DAY)
    least = pl.max_horizontal(pl.col("rated_w") * limits.night_share_of_rated, pl.lit(limits.night_w))
    return (pl.col(PV) > least) & (before | after)


def _is_repeat(limits: Thresholds) -> pl.Expr:
    """Whether a row repeats the row before it: by day, more than a few watts, and below the inverter's limit."""
    pv, rated = pl.col(PV), pl.col("rated_w")
    same = (pv == pv.shift(1)) & (pl.col("series") == pl.col("series").shift(1))
    least = pl.max_horizontal(rated * limits.frozen_above_share, pl.lit(limits.night_w))
    below = (pv < rated * limits.frozen_below_share).fill_null(value=True)
    by_day = (pl.col("interval_start") >= pl.col("dawn")) & (pl.col("interval_end") <= pl.col("dusk"))
    return same & (pv > least) & below & by_day.fill_null(value=True)


def _is_limited(rows: pl.DataFrame, runs: pl.DataFrame, limits: Thresholds) -> pl.Series:
    """Which runs of one value (begin, end: places in `rows`) are the plateau of a limit and not of a frozen logger.

    A limit is the day's maximum, into which the power rises and out of which it falls: it comes back to it, or leaves
    it no faster than the sun sinks. Or it is a step to which a grid operator limits plants.
    """
    count, pv = rows.height, rows[PV]
    series = rows["series"]
    before = (runs["begin"] - 1).clip(0)
    after = runs["end"].clip(0, count - 1)
    found = runs.select(
        value=pv[runs["begin"]],
        series=series[runs["begin"]],
        rated_w=rows["rated_w"][runs["begin"]],
        length=pl.col("end") - pl.col("begin"),
        before=pl.when(series[before] == series[runs["begin"]]).then(pv[before]),
        after=pl.when(series[after] == series[runs["begin"]]).then(pv[after]),
        step_h=(rows["interval_end"] - rows["interval_start"]).dt.total_seconds()[after] / 3600,
    )
    day = (
        rows.join(found.select("series", "value").unique(), on="series", how="inner")
        .group_by("series", "value")
        .agg(pl.col(PV).max().alias("most"), (pl.col(PV) == pl.col("value")).sum().alias("often"))
    )
    value, after_it = pl.col("value"), pl.col("after")
    sinks = after_it >= value * (1 - limits.frozen_fall_per_h * pl.col("step_h"))
    at_top = (value >= pl.col("most")) & (pl.col("before") < value) & (after_it < value)
    share = value / pl.col("rated_w")
    is_step = pl.any_horizontal((share - step).abs() <= STEP_TOLERANCE for step in LIMITING_STEPS)
    return (
        found.join(day, on=["series", "value"], how="left", maintain_order="left")
        .select(
            (at_top & (sinks | (pl.col("often") > pl.col("length")))).fill_null(value=False)
            | is_step.fill_null(value=False)
        )
        .to_series()
    )
