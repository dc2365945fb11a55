"""The time for which rows are expected and the part of it that rows cover, for a whole series and for each quantity.

Rows are first joined to spans without a gap, a handful for each day, so that every further look costs next to nothing.
"""

import datetime as dt
from collections.abc import Sequence
from typing import Final

import polars as pl

from pipeline.transform.energy import HOURS_PER_S, HOURS_PER_US, MINUTES_PER_US

# An inverter starts some time after sunrise and stops before sunset. This time at either end does not count as a gap.
WAKING: Final = dt.timedelta(minutes=60)
# The quantity that has no rows at night, whatever else its plant measures.
BY_DAY: Final = "pv_generation"
# The quantities that depend on the sun: their zeros at night do not describe the day.
OF_THE_SUN: Final = (
    BY_DAY,
    "total_generation",
    "direct_consumption",
    "self_consumption",
    "grid_feed_in",
)
# Where a plant's place is not known, this time before and after the middle of its day is certainly daylight.
AROUND_NOON: Final = dt.timedelta(hours=2)


def find_window(series: pl.DataFrame) -> pl.DataFrame:
    """`from` and `to`, between which rows are expected, and `edge`, the time at either end that is not a gap.

    For frames with metered (rows are expected through the night), first, last (of the rows that are there, or null),
    day_start, day_end, sunrise, sunset, start_up and ended.
    """
    whole_day = pl.col("metered") | pl.col("sunrise").is_null() & pl.col("first").is_null()
    begin = pl.when(whole_day).then("day_start").otherwise(pl.coalesce("sunrise", "first"))
    finish = pl.when(whole_day).then("day_end").otherwise(pl.coalesce("sunset", "last"))
    begin = pl.max_horizontal(begin, "day_start", "start_up")
    finish = pl.max_horizontal(pl.min_horizontal(finish, "day_end", "ended"), begin)
    edge = pl.when("metered").then(pl.duration()).otherwise(pl.lit(WAKING))
    return series.with_columns(begin.alias("from"), finish.alias("to"), edge.alias("edge"))


def find_nights_only(
    rows: pl.DataFrame, figures: pl.DataFrame, keys: Sequence[str], most_w: float
) -> pl.DataFrame:
    """keys and quantity of the quantities that depend on the sun whose values of the day all lie in the night.

    `rows` and `figures` are as for `measure_quantities`. None of the values lies in the daylight of the series'
    operation, not counting the hour in which inverters wake and fall asleep, and none is above `most_w` (W): power in
    what is taken for night is real, and the place or the clock is wrong.
    """
    names = [name for name in OF_THE_SUN if f"{name}_us" in figures.columns]
    lit = figures.with_columns(_find_daylight()).filter(pl.col("lit_from") < pl.col("lit_to"))
    dark_us = (
        pl.col("day_end") - pl.col("day_start") - (pl.col("lit_to") - pl.col("lit_from"))
    ).dt.total_microseconds()
    most_kwh = most_w * dark_us * HOURS_PER_US / 1000
    # Only possible cases are examined further; on most days there are none.
    maybe = [(pl.col(f"{name}_us") <= dark_us) & (pl.col(f"{name}_kwh") <= most_kwh) for name in names]
    lit = lit.filter(pl.any_horizontal(maybe)).select(*keys, "lit_from", "lit_to")
    if not lit.height:
        return lit.select(keys).with_columns(quantity=pl.lit(None, pl.String))
    mine = rows.join(lit, on=keys, how="inner", maintain_order="left")
    begin, finish = (
        pl.max_horizontal("interval_start", "lit_from"),
        pl.min_horizontal("interval_end", "lit_to"),
    )
    long = _unpivot(mine.with_columns(by_day=begin < finish), [*keys, "by_day"], names, "w").drop_nulls("w")
    of_night = ~pl.col("by_day").any() & (pl.col("w").max() <= most_w)
    return long.group_by(*keys, "quantity").agg(dark=of_night).filter("dark").drop("dark")


def _find_daylight() -> list[pl.Expr]:
    """`lit_from` and `lit_to`: when a series in operation should see daylight; empty where there is none to see."""
    noon = pl.col("day_start") + (pl.col("day_end") - pl.col("day_start")) / 2
    begin = pl.max_horizontal(pl.coalesce("sunrise", noon - AROUND_NOON), "day_start", "start_up")
    finish = pl.min_horizontal(pl.coalesce("sunset", noon + AROUND_NOON), "day_end", "ended")
    # On short days the edges are shorter.
    spare = pl.when(finish - begin > 2 * WAKING).then(pl.lit(WAKING)).otherwise(pl.duration())
    return [(begin + spare).alias("lit_from"), (finish - spare).alias("lit_to")]


def measure_expected_h() -> pl.Expr:
    """The length of a window of `find_window` in hours, from its `from` to its `to`."""
    return (pl.col("to") - pl.col("from")).dt.total_microseconds() * HOURS_PER_US


def measure_bridged_h(seconds: pl.Expr) -> pl.Expr:
    """`bridged_h`, the bridged hours of a series, beyond one resolution of its rows.

    `seconds` are the bridged seconds of each row; it is null where a row does not have them.
    """
    return pl.when(seconds.null_count() == 0).then(seconds.sum() * HOURS_PER_S).alias("bridged_h")


def join_spans(rows: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """Rows (sorted by keys and time) joined to spans without a gap: keys, interval_start, interval_end."""
    same = pl.all_horizontal(pl.col(key) == pl.col(key).shift(1) for key in keys)
    follows = same & (pl.col("interval_start") <= pl.col("interval_end").shift(1))
    begins = rows.select((~follows.fill_null(value=False)).alias("begins")).to_series()
    ends = begins.shift(-1, fill_value=True)
    return rows.filter(begins).select(*keys, "interval_start").with_columns(rows.filter(ends)["interval_end"])


def cover(found: pl.DataFrame, windows: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """keys, covered_h (hours) and largest_gap_min (minutes) of each series that has spans, within its window.

    `found` has spans of `join_spans`, `windows` the rows of `find_window`.
    """
    start, end = pl.col("interval_start"), pl.col("interval_end")
    begin, finish = pl.col("from"), pl.col("to")
    same = pl.all_horizontal(pl.col(key) == pl.col(key).shift(1) for key in keys).fill_null(value=False)
    covered = (pl.min_horizontal(end, finish) - pl.max_horizontal(start, begin)).dt.total_microseconds()
    inner = pl.min_horizontal(start, finish) - pl.max_horizontal(end.shift(1), begin)
    before = pl.when(same).then(inner).otherwise(pl.min_horizontal(start, finish) - begin - pl.col("edge"))
    tail = finish - pl.max_horizontal(end.max(), begin) - pl.col("edge")
    return (
        found.join(windows.select(*keys, "from", "to", "edge"), on=keys, how="inner", maintain_order="left")
        .with_columns(covered=covered.clip(0), gap=before.dt.total_microseconds())
        .group_by(keys, maintain_order=True)
        .agg(
            (pl.col("covered").sum() * HOURS_PER_US).alias("covered_h"),
            (
                pl.max_horizontal(pl.col("gap").max(), tail.first().dt.total_microseconds(), 0)
                * MINUTES_PER_US
            ).alias("largest_gap_min"),
        )
    )


def measure_quantities(rows: pl.DataFrame, figures: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """One row for each series and each quantity of which the series has a value.

    `rows` as for `join_spans`, with flagged, bridged_s and `<name>_w`. `figures` has a row for each series: n_rows,
    bridged_h, covered_us (of all its rows), the columns that `find_window` needs, and `<name>_us` (time with a value,
    or null) and `<name>_kwh` of each quantity. New: quantity and the columns of `QUANTITY`.
    """
    names = [name.removesuffix("_us") for name in figures.columns if name.endswith("_us")]
    names.remove("covered")
    facts = ["n_rows", "bridged_h", "covered_us", "metered", "first", "last", *BOUNDS]
    long = _unpivot(figures, [*keys, *facts], names, "us").join(
        _unpivot(figures, keys, names, "kwh").rename({"kwh": "energy_kwh"}),
        on=[*keys, "quantity"],
        how="left",
        maintain_order="left",
    )
    there = long.filter(pl.col("us").is_not_null())
    windows = find_window(there.with_columns(pl.col("metered") & (pl.col("quantity") != BY_DAY)))
    whole = windows.filter(pl.col("us") == pl.col("covered_us")).with_columns(n_flagged=pl.lit(0, pl.Int64))
    holed = windows.filter(pl.col("us") != pl.col("covered_us")).drop("n_rows", "bridged_h")
    of_rows = whole.select(*keys, "quantity").join(
        join_spans(rows, keys), on=keys, how="left", maintain_order="left"
    )
    found, counts = _join_holed_spans(rows, holed.select(*keys, "quantity"), keys, names)
    holed = holed.join(counts, on=[*keys, "quantity"], how="left", maintain_order="left")
    series = [*keys, "quantity"]
    all_windows = pl.concat([whole, holed.select(whole.columns)]).sort(series)
    all_spans = pl.concat([of_rows, found]).sort([*series, "interval_start"])
    return (
        all_windows.with_columns(expected_h=measure_expected_h())
        .join(cover(all_spans, all_windows, series), on=series, how="left", maintain_order="left")
        .select(*series, *QUANTITY)
    )


# The columns of a series that `find_window` needs.
BOUNDS: Final = ("day_start", "day_end", "sunrise", "sunset", "start_up", "ended")
QUANTITY: Final = {
    "energy_kwh": pl.Float64(),
    "covered_h": pl.Float64(),
    "expected_h": pl.Float64(),
    "largest_gap_min": pl.Float64(),
    "bridged_h": pl.Float64(),
    "n_rows": pl.Int64(),
    "n_flagged": pl.Int64(),
}


def _unpivot(figures: pl.DataFrame, index: Sequence[str], names: Sequence[str], what: str) -> pl.DataFrame:
    """`<name>_<what>` of each quantity as rows with quantity and `what`."""
    columns = [f"{name}_{what}" for name in names]
    return figures.unpivot(columns, index=index, variable_name="quantity", value_name=what).with_columns(
        pl.col("quantity").str.strip_suffix(f"_{what}")
    )


def _join_holed_spans(
    rows: pl.DataFrame, wanted: pl.DataFrame, keys: Sequence[str], names: Sequence[str]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Spans and row counts of the quantities that lack values in some rows."""
    series = [*keys, "quantity"]
    times = [*keys, "interval_start", "interval_end", "bridged_s", "flagged"]
    mine = rows.join(wanted.select(keys).unique(), on=keys, how="semi", maintain_order="left")
    long = (
        _unpivot(mine, times, [name for name in names if name in set(wanted["quantity"])], "w")
        .join(wanted, on=series, how="semi", maintain_order="left")
        .sort([*series, "interval_start"])
    )
    valued = pl.col("w").is_not_null()
    counts = long.group_by(series).agg(
        valued.sum().cast(pl.Int64).alias("n_rows"),
        (~valued & pl.col("flagged")).sum().cast(pl.Int64).alias("n_flagged"),
        measure_bridged_h(pl.when(valued).then("bridged_s").otherwise(0)),
    )
    return join_spans(long.filter(valued), series), counts
