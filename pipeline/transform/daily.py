"""Interval rows to days, and days to months: energy with the time that it covers.

A day is judged against the time in which rows were to be expected: the whole day for a plant with a meter, sunrise to
sunset for inverters that sleep. A plant that was asked for and stayed silent gets a row with status missing.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import polars as pl

from pipeline.common.local_time import UTC_US
from pipeline.transform.coverage import (
    BOUNDS,
    BY_DAY,
    QUANTITY,
    cover,
    find_nights_only,
    find_window,
    join_spans,
    measure_bridged_h,
    measure_expected_h,
    measure_quantities,
)
from pipeline.transform.energy import HOURS_PER_US
from pipeline.transform.row_groups import ROWS_AT_ONCE, join_frames, split_by_group
from pipeline.transform.thresholds import Thresholds, load_thresholds

# Quantities that only a meter knows: where one has a value, rows are expected through the night.
METERED: Final = (
    "total_consumption",
    "grid_feed_in",
    "grid_consumption",
    "direct_consumption",
    "self_consumption",
    "self_supply",
)
# The figures by which a day is judged: PV, and what the meter reads. The portal computes the others.
DECISIVE: Final = (BY_DAY, "total_consumption", "grid_feed_in", "grid_consumption")
# Panels make some power before sunrise and after sunset.
TWILIGHT: Final = dt.timedelta(hours=1)
COUNTS: Final = ("n_rows", "n_flagged", "n_suspect")
# Energies and hours are added up as whole numbers of this part of a kWh or hour. A sum of floats depends on the order
# and on how a frame is cut: figures would differ in their last digit from run to run, and count as changed.
GRAIN: Final = 2.0**-70


class DayFigures(NamedTuple):
    """What a day came to: a row for each plant or device, and one for each of its quantities."""

    rows: pl.DataFrame
    quantities: pl.DataFrame


def list_day_columns(quantities: Sequence[str]) -> list[str]:
    """The columns of interval rows that `summarize_day` needs, besides the keys."""
    times = ["interval_start", "interval_end", "bridged_s", "flagged", "suspect"]
    return times + [f"{name}_{unit}" for name in quantities for unit in ("w", "kwh")]


def summarize_day(
    frames: Iterable[pl.DataFrame],
    asked: pl.DataFrame,
    *,
    keys: Sequence[str],
    quantities: Sequence[str],
    limits: Thresholds | None = None,
) -> DayFigures:
    """The figures of each plant or device in `asked`: energies, covered hours, coverage and status.

    `frames` are interval rows of one day sorted by `keys` and time, with `list_day_columns`. `asked` has the keys,
    day_start, day_end, sunrise, sunset (UTC; null where the place is not known), start_up and ended (UTC or null),
    `final` (false: may still change) and `expects` (quantities that are missing where they have no value at all). Days
    that end before the start of operation or begin after its end are left out, unless they have rows: then SMA gives
    another start or end than it gave when they were stored. `quantities` are names with `_w` and `_kwh` columns.

    A day is complete if its rows have no gap and neither has a decisive quantity that it has values of. What the sun
    makes has no energy on a day of which only the night was measured.
    """
    night_w = (limits or load_thresholds()).night_w
    begun = pl.col("start_up").is_null() | (pl.col("start_up") < pl.col("day_end"))
    # A day with rows before the start has no part in which nothing is expected.
    asked = asked.with_columns(begun=begun, start_up=pl.when(begun).then("start_up"))
    schema = _build_summary_schema(asked, keys, quantities)
    by_name = pl.Schema({**{key: asked.schema[key] for key in keys}, "quantity": pl.String(), **QUANTITY})
    whole = join_frames(split_by_group(frames, keys), ROWS_AT_ONCE)
    parts = [_summarize_series(frame, asked, keys, quantities, night_w) for frame in whole]
    found = pl.concat([pl.DataFrame(schema=schema), *(part.rows for part in parts)])
    named = pl.concat([pl.DataFrame(schema=by_name), *(part.quantities for part in parts)])
    over = (pl.col("ended") <= pl.col("day_start")).fill_null(value=False)
    with_rows = found.select(*keys, with_rows=pl.lit(value=True))
    rows = (
        asked.join(with_rows, on=keys, how="left")
        .filter(pl.col("begun") & ~over | pl.col("with_rows").fill_null(value=False))
        .sort(keys)
    )
    named = _list_quantities(named, rows, keys)
    holes = (
        named.filter(pl.col("quantity").is_in(DECISIVE), pl.col("n_rows") > 0, _has_gap())
        .select(keys)
        .unique()
        .with_columns(holes=pl.lit(value=True))
    )
    days = (
        _measure_silent(rows)
        .select(*keys, "final", "silent_h")
        .join(found, on=keys, how="left", maintain_order="left")
        .join(holes, on=keys, how="left", maintain_order="left")
        .with_columns(pl.col("n_suspect").fill_null(0), pl.col("holes").fill_null(value=False))
    )
    return DayFigures(
        _judge(days).drop("holes"), _judge(named.with_columns(holes=pl.lit(value=False))).drop("holes")
    )


def _measure_silent(rows: pl.DataFrame) -> pl.DataFrame:
    """silent_h: time in which rows of a silent series were to be expected.

    A silent meter looks like a silent inverter, so both are expected while the sun is up.
    """
    windows = find_window(rows.with_columns(metered=pl.lit(value=False), first=None, last=None))
    return windows.with_columns(silent_h=measure_expected_h())


def _list_quantities(found: pl.DataFrame, rows: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """The figures of each quantity that is there, and of those that are expected and are not."""
    expected = (
        rows.explode("expects")
        .rename({"expects": "quantity"})
        .filter(pl.col("quantity").is_not_null())
        .join(found, on=[*keys, "quantity"], how="anti")
    )
    meters = expected.with_columns(metered=pl.col("quantity") != BY_DAY, first=None, last=None)
    missing = find_window(meters).select(*keys, "quantity", silent_h=measure_expected_h())
    finals = rows.select(*keys, "final")
    both = pl.concat([found.with_columns(silent_h=0.0), missing], how="diagonal")
    return both.join(finals, on=keys, how="inner").sort([*keys, "quantity"])


def _judge(figures: pl.DataFrame) -> pl.DataFrame:
    """Figures with those of what was silent filled in, coverage and status. For frames with final, silent_h, holes."""
    return (
        figures.with_columns(
            pl.col("covered_h").fill_null(0.0),
            pl.col("expected_h").fill_null(pl.col("silent_h")),
            pl.col("n_rows", "n_flagged").fill_null(0),
            # Rows without bridged_s leave it null.
            bridged_h=pl.when(pl.col("n_rows").fill_null(0) > 0).then("bridged_h").otherwise(0.0),
        )
        .with_columns(pl.col("largest_gap_min").fill_null(pl.col("expected_h") * 60))
        .with_columns(
            coverage=_divide_hours(),
            status=pl.when(~pl.col("final"))
            .then(pl.lit("provisional"))
            .when(pl.col("n_rows") == 0)
            .then(pl.lit("missing"))
            .when(_has_gap() | pl.col("holes"))
            .then(pl.lit("partial"))
            .otherwise(pl.lit("complete")),
        )
        .drop("final", "silent_h")
    )


def _has_gap() -> pl.Expr:
    return (pl.col("largest_gap_min") > 0) | (pl.col("covered_h") == 0) & (pl.col("expected_h") > 0)


def summarize_months(
    days: pl.DataFrame | pl.LazyFrame, starts: pl.DataFrame, quantities: Sequence[str]
) -> pl.DataFrame:
    """Rows of `energy_monthly` from rows of `energy_daily`, sorted by month and plant; none of them closed.

    `starts` has plant_id, start_date (plant-local day of the start of operation, or null) and, where a plant left the
    fleet, end_date (its first day outside): a month whose days before or from then on are absent can be complete.
    """
    month = pl.col("local_date").dt.truncate("1mo").alias("month")
    bridged = pl.col("bridged_h")
    counts = [
        sum_exactly(pl.col("covered_h", "expected_h")),
        pl.col("largest_gap_min").max(),
        pl.when(bridged.null_count() == 0).then(sum_exactly(bridged)).alias("bridged_h"),
    ]
    status = pl.col("status")
    summed = (
        days.lazy()
        .group_by("plant_id", month)
        .agg(
            pl.len().cast(pl.Int64).alias("n_days"),
            (status == "missing").sum().cast(pl.Int64).alias("n_days_missing"),
            (status == "provisional").any().alias("open"),
            (status != "complete").any().alias("holes"),
            *counts,
            pl.col(COUNTS).sum(),
            *(sum_exactly(pl.col(f"{name}_{what}")) for name in quantities for what in ("kwh", "covered_h")),
        )
        .join(starts.lazy(), on="plant_id", how="left")
        .sort("month", "plant_id")
        .collect(engine="streaming")
    )
    begins = pl.max_horizontal("month", "start_date")
    ends = pl.col("month").dt.month_end()
    if "end_date" in summed.columns:
        ends = pl.min_horizontal(ends, pl.col("end_date") - dt.timedelta(days=1))
    due = (ends - begins).dt.total_days() + 1
    return summed.with_columns(
        coverage=_divide_hours(),
        closed_at=pl.lit(None, UTC_US),
        status=pl.when("open")
        .then(pl.lit("provisional"))
        .when(pl.col("n_days") == pl.col("n_days_missing"))
        .then(pl.lit("missing"))
        .when(pl.col("holes") | (pl.col("n_days") < due))
        .then(pl.lit("partial"))
        .otherwise(pl.lit("complete")),
    )


def _summarize_series(
    rows: pl.DataFrame, asked: pl.DataFrame, keys: Sequence[str], quantities: Sequence[str], night_w: float
) -> DayFigures:
    """Figures of the series in one frame of whole series."""
    lasts = (pl.col("interval_end") - pl.col("interval_start")).dt.total_microseconds()
    valued = pl.any_horizontal(pl.col(f"{name}_w").is_not_null() for name in quantities)
    if rows["flagged"].any():
        rows = rows.join(asked.select(*keys, "sunrise", "sunset"), on=keys, how="left", maintain_order="left")
        valued &= ~_is_pv_set_aside(keys)
    metered = [name for name in quantities if name in METERED]
    rows = rows.with_columns(valued.alias("valued"), lasts.alias("covered_us")).with_columns(
        # What an absent value covers is null before the rows are grouped: to filter each group costs twice as much.
        pl.when(pl.col(f"{name}_w").is_not_null()).then("covered_us").alias(f"{name}_us")
        for name in quantities
    )
    figures = rows.group_by(keys, maintain_order=True).agg(
        pl.len().cast(pl.Int64).alias("n_rows"),
        pl.col("flagged", "suspect").sum().cast(pl.Int64).name.prefix("n_"),
        pl.any_horizontal(
            pl.lit(value=False), *(pl.col(f"{n}_w").is_not_null().any() for n in metered)
        ).alias("metered"),
        pl.col("interval_start").filter("valued").min().alias("first"),
        pl.col("interval_end").filter("valued").max().alias("last"),
        pl.col("covered_us").sum(),
        measure_bridged_h(pl.col("bridged_s")),
        *(sum_exactly(pl.col(f"{name}_kwh")) for name in quantities),
        *(sum_exactly(pl.col(f"{name}_us")) for name in quantities),
    )
    windows = find_window(
        figures.join(asked.select(*keys, *BOUNDS), on=keys, how="inner", maintain_order="left")
    )
    covered = cover(join_spans(rows.filter("valued"), keys), windows, keys)
    days = (
        windows.with_columns(
            measure_expected_h().alias("expected_h"),
            *((pl.col(f"{name}_us") * HOURS_PER_US).alias(f"{name}_covered_h") for name in quantities),
        )
        .join(covered, on=keys, how="left", maintain_order="left")
        .select(_build_summary_schema(asked, keys, quantities).names())
    )
    named = measure_quantities(rows, windows.drop("from", "to", "edge"), keys)
    return _drop_nights(DayFigures(days, named), find_nights_only(rows, windows, keys, night_w), keys)


def _drop_nights(figures: DayFigures, dark: pl.DataFrame, keys: Sequence[str]) -> DayFigures:
    """The figures without the energies of `dark` (keys and quantity); the time that has values is kept."""
    if not dark.height:
        return figures
    by_series = dark.group_by(keys).agg(dark=pl.col("quantity"))
    known = {
        f"{name}_{what}": pl.when(~pl.col("dark").list.contains(name).fill_null(value=False)).then(
            f"{name}_{what}"
        )
        for name in dark["quantity"].unique()
        for what in ("kwh", "covered_h")
    }
    days = figures.rows.join(by_series, on=keys, how="left", maintain_order="left").with_columns(**known)
    of_night = dark.with_columns(dark=pl.lit(value=True))
    named = figures.quantities.join(of_night, on=[*keys, "quantity"], how="left", maintain_order="left")
    energy = pl.when(pl.col("dark").is_null()).then("energy_kwh").alias("energy_kwh")
    return DayFigures(days.drop("dark"), named.with_columns(energy).drop("dark"))


def _is_pv_set_aside(keys: Sequence[str]) -> pl.Expr:
    """Whether a row's PV generation was set aside: then it is a hole in the day, whatever else the row says.

    A row is flagged for other reasons too, and at night there is no PV generation to lose: it was there where the
    nearest row that is not flagged, before or after, has one, and there is light, where it is known when. Where all
    rows are flagged it counts as lost.
    """
    light = pl.col("interval_end") > pl.col("sunrise") - TWILIGHT
    light &= pl.col("interval_start") < pl.col("sunset") + TWILIGHT
    there = pl.col(f"{BY_DAY}_w").is_not_null()
    known = pl.when(~pl.col("flagged")).then(there)
    before, after = known.forward_fill().over(keys), known.backward_fill().over(keys)
    # The day's first and last rows have a neighbour on one side only.
    either = pl.coalesce(before | after, before, after, pl.lit(value=True))
    return pl.col("flagged") & ~there & either & light.fill_null(value=True)


def _build_summary_schema(asked: pl.DataFrame, keys: Sequence[str], quantities: Sequence[str]) -> pl.Schema:
    floats = [f"{name}_{what}" for name in quantities for what in ("kwh", "covered_h")]
    floats += ["covered_h", "expected_h", "largest_gap_min", "bridged_h"]
    columns: dict[str, pl.DataType] = {key: asked.schema[key] for key in keys}
    columns |= dict.fromkeys(floats, pl.Float64()) | dict.fromkeys(COUNTS, pl.Int64())
    return pl.Schema(columns)


def sum_exactly(values: pl.Expr) -> pl.Expr:
    """The sum whatever the order, or null where there is nothing to sum: polars alone would say 0."""
    total = (values / GRAIN).cast(pl.Int128).sum().cast(pl.Float64) * GRAIN
    return pl.when(values.count() > 0).then(total)


def _divide_hours() -> pl.Expr:
    share = (pl.col("covered_h") / pl.col("expected_h")).clip(0, 1)
    return pl.when(pl.col("expected_h") > 0).then(share)
