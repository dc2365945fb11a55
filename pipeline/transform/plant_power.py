"""The power of a plant or device on a day that is over: what SMA listed then, where its list has less since then."""

import datetime as dt
from collections.abc import Sequence

import polars as pl

POWERS = ("ac_power_kw", "peak_power_kw")
DEVICE_POWERS = ("generator_power_w", "generator_power_dc_w")
# The columns of `plants` that say it.
POWER_COLUMNS = (*POWERS, *(f"former_{name}" for name in POWERS), "power_reduced_on")


def remember_powers(
    listed: pl.DataFrame, stored: pl.DataFrame, keys: Sequence[str], powers: Sequence[str]
) -> pl.DataFrame:
    """The listed rows with the largest powers that were stored before a list gave less or none, and that list's day."""
    former = [f"former_{name}" for name in powers]
    known = [*powers, *former, "power_reduced_on"]
    before = stored.select(*keys, *(pl.col(name).alias(f"{name}_before") for name in known))
    reduced = pl.any_horizontal(pl.col(f"{name}_before") > pl.col(name).fill_null(0.0) for name in powers)
    reduced = reduced.fill_null(value=False)
    largest = (
        pl.when(reduced)
        .then(pl.max_horizontal(f"{then}_before", f"{name}_before"))
        .otherwise(f"{then}_before")
        .alias(then)
        for name, then in zip(powers, former, strict=True)
    )
    day = pl.when(reduced).then("last_seen").otherwise("power_reduced_on_before").alias("power_reduced_on")
    joined = listed.join(before, on=keys, how="left", maintain_order="left")
    return joined.with_columns(*largest, day).select(listed.columns)


def find_power(name: str, day: dt.date | pl.Expr) -> pl.Expr:
    """One of POWERS or DEVICE_POWERS on a day, of rows with its former figure and power_reduced_on.

    A plant or device has its larger former power on days before SMA gave less. Of several reductions only the last day
    is known.
    """
    before = pl.when(pl.col("power_reduced_on") >= day).then(f"former_{name}")
    return pl.max_horizontal(name, before)


def find_rated_w(day: dt.date | pl.Expr) -> pl.Expr:
    """The rated power of a plant on the day, of rows with POWER_COLUMNS; null where it is not known."""
    rated_w = find_power("ac_power_kw", day) * 1000
    return pl.when(rated_w > 0).then(rated_w)


def take_powers_of_day(plants: pl.DataFrame, day: dt.date) -> pl.DataFrame:
    """The plants with the powers that they had on the day."""
    return plants.with_columns(find_power(name, day).alias(name) for name in POWERS)


def find_month_powers(days: pl.LazyFrame, plants: pl.DataFrame) -> pl.DataFrame:
    """plant_id, month and POWERS of the plants whose power was reduced: the mean of their days (plant_id, local_date).

    A month in which nothing changed has the power of its days to the last bit.
    """
    reduced = plants.filter(pl.col("power_reduced_on").is_not_null()).select("plant_id", *POWER_COLUMNS)
    powers = (find_power(name, pl.col("local_date")).alias(name) for name in POWERS)
    equal = {name: pl.col(name).min().eq_missing(pl.col(name).max()) for name in POWERS}
    if reduced.is_empty():
        # Nearly always so, and the days of a large fleet need not be read for it.
        days = days.clear()
    return (
        days.select("plant_id", "local_date", month=pl.col("local_date").dt.truncate("1mo"))
        .join(reduced.lazy(), on="plant_id")
        .with_columns(*powers)
        .group_by("plant_id", "month")
        .agg(pl.when(equal[name]).then(pl.col(name).min()).otherwise(pl.col(name).mean()) for name in POWERS)
        .collect()
    )
