"""A closed month keeps its figures, while those of its days may change: which of the two a page shows where."""

from datetime import date

import polars as pl

from pipeline.report.figures import format_number
from pipeline.report.month import find_ends

# Sums of floats differ by less.
_SAME_KWH = 1e-6


def describe_changes_since_closing(months: pl.DataFrame, days: pl.DataFrame, first: date) -> str:
    """A sentence on the PV energy with which the month was closed and that of its days now; none where they agree.

    `months` are rows of energy_monthly of the month that begins on `first`, `days` rows of energy_daily.
    """
    closed = months.filter(pl.col("closed_at").is_not_null())
    now = (
        days.filter(pl.col("local_date").is_between(*find_ends(first)))
        .group_by("plant_id")
        .agg(now_kwh=pl.col("pv_generation_kwh").sum())
    )
    energies = closed.join(now, on="plant_id", how="left").select(
        "closed_at", then=pl.col("pv_generation_kwh").fill_null(0.0), now=pl.col("now_kwh").fill_null(0.0)
    )
    if energies.filter((pl.col("now") - pl.col("then")).abs() > _SAME_KWH).is_empty():
        return ""
    (closed_on,) = energies.select(pl.col("closed_at").max().dt.to_string("%Y-%m-%d")).row(0)
    then, today = float(energies["then"].sum()), float(energies["now"].sum())
    difference = format_number(today - then, 3).replace("-", "−")
    return (
        f"The month was closed on {closed_on} with {format_number(then, 3)} kWh of PV "
        "generation, and days have changed since. Specific yields, ranking and PU are of the closed month. The energy "
        f"at the top and the pictures are of the days as they are now, {format_number(today, 3)} kWh; the difference "
        f"of {difference} kWh is in the table adjustments."
    )
