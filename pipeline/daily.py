"""Interval rows to days, and days to months: energy with the time that it covers.

A day is judged against the time in which rows were to be expected: the whole day for a plant with a meter, sunrise to
sunset for inverters that sleep. A plant that was asked for and stayed silent gets a row with status missing.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Final

import polars as pl

from pipeline.energy import HOURS_PER_US, MINUTES_PER_US
from pipeline.series import whole_groups

# Quantities that only a meter knows: where one has a value, rows are expected through the night.
METERED: Final = (
    "total_consumption",
    "grid_feed_in",
    "grid_consumption",
    "direct_consumption",
    "self_consumption",
    "self_supply",
)
# An inverter wakes some time after sunrise and sleeps before sunset: so much at either end is no gap.
WAKING: Final = dt.timedelta(minutes=60)
# Energies and hours are added up as whole numbers of this part of a kWh or hour. A sum of floats depends on the order
# and on how a frame is cut: figures would differ in their last digit from run to run, and count as changed.
GRAIN: Final = 2.0**-70


def summarize_day(
    frames: Iterable[pl.DataFrame], asked: pl.DataFrame, *, keys: Sequence[str], quantities: Sequence[str]
) -> pl.DataFrame:
    """One row for each plant or device in `asked`: energies, covered hours, coverage and status.

    `frames` are interval rows of one day sorted by `keys` and time. `asked` has the keys, day_start, day_end, sunrise,
    sunset (UTC; null where the place is not known), start_up (UTC or null) and `final` (false: may still change).
    Days that end before the start of operation are left out. `quantities` are names with `_w` and `_kwh` columns.
    """
    parts = [_summary(frame, asked, keys, quantities) for frame in whole_groups(frames, keys)]
    begun = pl.col("start_up").is_null() | (pl.col("start_up") < pl.col("day_end"))
    rows = asked.filter(begun).sort(keys)
    columns = _summary_schema(asked, keys, quantities)
    found = pl.concat([pl.DataFrame(schema=columns), *parts])
    # A silent meter can't be told from a silent inverter: both are expected while the sun is up.
    silent = _window(rows.with_columns(metered=pl.lit(value=False), first=None, last=None))
    expected = (pl.col("to") - pl.col("from")).dt.total_microseconds()
    return (
        silent.select(*keys, "final", silent_h=expected * HOURS_PER_US)
        .join(found, on=keys, how="left", maintain_order="left")
        .with_columns(
            pl.col("covered_h").fill_null(0.0),
            pl.col("expected_h").fill_null(pl.col("silent_h")),
            pl.col("n_rows", "n_flagged").fill_null(0),
        )
        .with_columns(pl.col("largest_gap_min").fill_null(pl.col("expected_h") * 60))
        .with_columns(
            coverage=_share(),
            status=pl.when(~pl.col("final"))
            .then(pl.lit("provisional"))
            .when(pl.col("n_rows") == 0)
            .then(pl.lit("missing"))
            .when((pl.col("largest_gap_min") > 0) | (pl.col("covered_h") == 0) & (pl.col("expected_h") > 0))
            .then(pl.lit("partial"))
            .otherwise(pl.lit("complete")),
        )
        .drop("final", "silent_h")
    )


def summarize_months(
    days: pl.DataFrame | pl.LazyFrame, starts: pl.DataFrame, quantities: Sequence[str]
) -> pl.DataFrame:
    """Rows of `energy_monthly` from rows of `energy_daily`, sorted by month and plant.

    `starts` has plant_id and start_date (plant-local day of the start of operation, or null): a month whose days before
    it are absent can still be complete.
    """
    month = pl.col("local_date").dt.truncate("1mo").alias("month")
    counts = [_sum(pl.col("covered_h", "expected_h")), pl.col("largest_gap_min").max()]
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
            pl.col("n_rows", "n_flagged").sum(),
            *(_sum(pl.col(f"{name}_{what}")) for name in quantities for what in ("kwh", "covered_h")),
        )
        .join(starts.lazy(), on="plant_id", how="left")
        .sort("month", "plant_id")
        .collect(engine="streaming")
    )
    begins = pl.max_horizontal("month", "start_date")
    due = (pl.col("month").dt.month_end() - begins).dt.total_days() + 1
    return summed.with_columns(
        coverage=_share(),
        status=pl.when("open")
        .then(pl.lit("provisional"))
        .when(pl.col("n_days") == pl.col("n_days_missing"))
        .then(pl.lit("missing"))
        .when(pl.col("holes") | (pl.col("n_days") < due))
        .then(pl.lit("partial"))
        .otherwise(pl.lit("complete")),
    )


def _summary(
    rows: pl.DataFrame, asked: pl.DataFrame, keys: Sequence[str], quantities: Sequence[str]
) -> pl.DataFrame:
    """Figures of the series in one frame of whole series."""
    lasts = (pl.col("interval_end") - pl.col("interval_start")).dt.total_microseconds()
    valued = pl.any_horizontal(pl.col(f"{name}_w").is_not_null() for name in quantities)
    # A row whose PV generation was set aside is a hole in the day, whatever else it says.
    valued &= ~pl.col("flagged") | pl.col("pv_generation_w").is_not_null()
    metered = [name for name in quantities if name in METERED]
    rows = rows.with_columns(valued=valued).with_columns(
        # What an absent value covers is null before the rows are grouped: to filter each group costs twice as much.
        pl.when(pl.col(f"{name}_w").is_not_null()).then(lasts).alias(f"{name}_covered_h")
        for name in quantities
    )
    figures = rows.group_by(keys, maintain_order=True).agg(
        pl.len().cast(pl.Int64).alias("n_rows"),
        pl.col("flagged").sum().cast(pl.Int64).alias("n_flagged"),
        pl.any_horizontal(
            pl.lit(value=False), *(pl.col(f"{n}_w").is_not_null().any() for n in metered)
        ).alias("metered"),
        pl.col("interval_start").filter("valued").min().alias("first"),
        pl.col("interval_end").filter("valued").max().alias("last"),
        *(_sum(pl.col(f"{name}_kwh")) for name in quantities),
        *(_sum(pl.col(f"{name}_covered_h")) * HOURS_PER_US for name in quantities),
    )
    windows = _window(figures.join(asked, on=keys, how="inner", maintain_order="left"))
    bounds = windows.select(*keys, "from", "to", "edge")
    spans = rows.filter("valued").select(*keys, "interval_start", "interval_end")
    cover = _cover(spans.join(bounds, on=keys, how="inner", maintain_order="left"), keys)
    expected = (pl.col("to") - pl.col("from")).dt.total_microseconds() * HOURS_PER_US
    return (
        windows.with_columns(expected_h=expected)
        .join(cover, on=keys, how="left", maintain_order="left")
        .select(_summary_schema(asked, keys, quantities).names())
    )


def _window(series: pl.DataFrame) -> pl.DataFrame:
    """`from`, `to`: when rows were to be expected. For frames with metered, first, last and the columns of `asked`."""
    whole_day = pl.col("metered") | pl.col("sunrise").is_null() & pl.col("first").is_null()
    begin = pl.when(whole_day).then("day_start").otherwise(pl.coalesce("sunrise", "first"))
    finish = pl.when(whole_day).then("day_end").otherwise(pl.coalesce("sunset", "last"))
    begin = pl.max_horizontal(begin, "day_start", "start_up")
    finish = pl.max_horizontal(pl.min_horizontal(finish, "day_end"), begin)
    edge = pl.when("metered").then(pl.duration()).otherwise(pl.lit(WAKING))
    return series.with_columns(begin.alias("from"), finish.alias("to"), edge.alias("edge"))


def _cover(rows: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """covered_h and largest_gap_min of each series, from its valued rows with their window."""
    start, end = pl.col("interval_start"), pl.col("interval_end")
    begin, finish = pl.col("from"), pl.col("to")
    same = pl.all_horizontal(pl.col(key) == pl.col(key).shift(1) for key in keys).fill_null(value=False)
    covered = (pl.min_horizontal(end, finish) - pl.max_horizontal(start, begin)).dt.total_microseconds()
    inner = pl.min_horizontal(start, finish) - pl.max_horizontal(end.shift(1), begin)
    before = pl.when(same).then(inner).otherwise(pl.min_horizontal(start, finish) - begin - pl.col("edge"))
    tail = finish - pl.max_horizontal(end.max(), begin) - pl.col("edge")
    return (
        rows.with_columns(covered=covered.clip(0), gap=before.dt.total_microseconds())
        .group_by(keys, maintain_order=True)
        .agg(
            (pl.col("covered").sum() * HOURS_PER_US).alias("covered_h"),
            (
                pl.max_horizontal(pl.col("gap").max(), tail.first().dt.total_microseconds(), 0)
                * MINUTES_PER_US
            ).alias("largest_gap_min"),
        )
    )


def _summary_schema(asked: pl.DataFrame, keys: Sequence[str], quantities: Sequence[str]) -> pl.Schema:
    floats = [f"{name}_{what}" for name in quantities for what in ("kwh", "covered_h")]
    floats += ["covered_h", "expected_h", "largest_gap_min"]
    columns: dict[str, pl.DataType] = {key: asked.schema[key] for key in keys}
    columns |= dict.fromkeys(floats, pl.Float64()) | dict.fromkeys(("n_rows", "n_flagged"), pl.Int64())
    return pl.Schema(columns)


def _sum(values: pl.Expr) -> pl.Expr:
    """The sum whatever the order, or null where there is nothing to sum: polars alone would say 0."""
    total = (values / GRAIN).cast(pl.Int128).sum().cast(pl.Float64) * GRAIN
    return pl.when(values.count() > 0).then(total)


def _share() -> pl.Expr:
    share = (pl.col("covered_h") / pl.col("expected_h")).clip(0, 1)
    return pl.when(pl.col("expected_h") > 0).then(share)
