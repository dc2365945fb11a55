"""A fleet's month as figures: its days as one, the profile of its hours, its plants by specific yield."""

from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.report.month import HOURS, build_power_grid, choose_pv_coverage

# So much of the expected time of a fleet may lack on a day that is drawn as complete: of hundreds of plants, one or
# another has a data gap on most days.
MOST_LACKING = 0.01


def sum_fleet_days(days: pl.DataFrame) -> pl.DataFrame:
    """Rows of `MonthRows.days` of many plants as one row a day: local_date, kWh, coverage and status of all together.

    A day is complete if its plants that are not complete lack at most `MOST_LACKING` of the expected time of all, and
    provisional if it may still change for one. A plant that is silent through a whole month counts neither in that nor
    in the coverage of its days: one silent plant would otherwise mark every day of a fleet. It does count in covered_h
    and expected_h.
    """
    heard = pl.col("heard")
    expected, covered = pl.col("expected_h").filter(heard).sum(), pl.col("covered_h").filter(heard).sum()
    status = pl.col("status")
    lacking = (pl.col("expected_h") - pl.col("covered_h")).filter(heard & (status != "complete")).sum()
    return (
        choose_pv_coverage(days)
        .with_columns(heard=~find_silent())
        .group_by("local_date")
        .agg(
            pv_generation_kwh=_sum("pv_generation_kwh"),
            covered_h=pl.col("covered_h").sum(),
            expected_h=pl.col("expected_h").sum(),
            coverage=pl.when(expected > 0).then((covered / expected).clip(0, 1)),
            status=pl.when((status.filter(heard).count() > 0) & (status.filter(heard) == "complete").all())
            .then(pl.lit("complete"))
            .when((status == "missing").all())
            .then(pl.lit("missing"))
            .when((status == "provisional").any())
            .then(pl.lit("provisional"))
            .when((expected > 0) & (lacking <= MOST_LACKING * expected))
            .then(pl.lit("complete"))
            .otherwise(pl.lit("partial")),
        )
        .sort("local_date")
    )


def find_silent() -> pl.Expr:
    """Whether a day is of a month in which its plant sent no row on any stored day."""
    return (pl.col("status") == "missing").all().over("plant_id", pl.col("local_date").dt.truncate("1mo"))


def list_silent_plants(days: pl.DataFrame, month: date) -> list[str]:
    """The plants that have stored days in the month and a row on none of them, sorted."""
    inside = days.filter(pl.col("local_date").dt.truncate("1mo") == month)
    return inside.filter(find_silent())["plant_id"].unique().sort().to_list()


def sum_pv_coverage(days: pl.DataFrame) -> pl.DataFrame:
    """plant_id and pv_coverage of each plant, over all of these days."""
    expected = pl.col("expected_h").sum()
    return (
        choose_pv_coverage(days)
        .group_by("plant_id")
        .agg(pv_coverage=pl.when(expected > 0).then((pl.col("covered_h").sum() / expected).clip(0, 1)))
    )


def build_profile(hours: pl.DataFrame) -> pl.DataFrame:
    """Mean power by hour of the clock, plant by plant: plant_id, hour, pv_kw, load_kw; null where nothing is known."""
    return (
        hours.group_by("plant_id", "hour")
        .agg(
            pv_kw=_compute_mean_power("kwh", "hours"),
            load_kw=_compute_mean_power("load_kwh", "load_hours"),
        )
        .sort("plant_id", "hour")
    )


def build_grids(hours: pl.DataFrame, n_days: int) -> dict[str, NDArray[np.float64]]:
    """Mean PV power in kW by hour and day of the month, plant by plant."""
    return {
        str(plant): build_power_grid(rows, n_days)
        for (plant,), rows in hours.partition_by("plant_id", as_dict=True).items()
    }


class FleetHours:
    """Sums of the plants' hours, taken in part by part, so that a fleet's hours are never in memory at once."""

    def __init__(self, n_days: int) -> None:
        self._power = np.zeros((HOURS, n_days))
        self._known = np.zeros((HOURS, n_days), dtype=bool)
        self._profiles: list[pl.DataFrame] = []

    def add(self, profile: pl.DataFrame, grids: dict[str, NDArray[np.float64]]) -> None:
        """Take the plants of `build_profile` and `build_grids` in."""
        self._profiles.append(_sum_profile(profile))
        for grid in grids.values():
            known = np.isfinite(grid)
            self._power[known] += grid[known]
            self._known |= known

    @property
    def power_kw(self) -> NDArray[np.float64]:
        """PV power of all plants with a value in the cell; NaN where none has one."""
        return np.where(self._known, self._power, np.nan)

    @property
    def profile(self) -> pl.DataFrame:
        """Sum of the plants' means by hour: hour, pv_kw, load_kw."""
        if not self._profiles:
            return pl.DataFrame(schema={"hour": pl.Int64, "pv_kw": pl.Float64, "load_kw": pl.Float64})
        return _sum_profile(pl.concat(self._profiles))


def rank_plants(plants: pl.DataFrame, months: pl.DataFrame, units: pl.DataFrame) -> pl.DataFrame:
    """Every plant with its month, best specific yield (kWh per kW of DC peak power) first.

    Plants without a yield come last. `rank` counts those that have one; equal yields share a rank. A plant that was
    asked for under two ids has two PU: `fee_eur` is their sum, and one without a price says so in `pricing`.
    """
    figure = pl.col("pv_generation_kwh") / pl.col("peak_power_kw")
    return (
        plants.join(months.drop("plant_name", strict=False), on="plant_id", how="left")
        .join(_sum_fees(units), on="plant_id", how="left")
        .with_columns(specific_yield=pl.when(pl.col("peak_power_kw") > 0).then(figure))
        .with_columns(rank=pl.col("specific_yield").rank("min", descending=True))
        .sort("specific_yield", "name", "plant_id", descending=[True, False, False], nulls_last=True)
    )


def _sum_fees(units: pl.DataFrame) -> pl.DataFrame:
    unpriced_first = pl.col("pricing").sort_by(pl.col("pricing") == "priced", maintain_order=True)
    return units.group_by("plant_id").agg(
        _sum("fee_eur"), currency=pl.col("currency").drop_nulls().first(), pricing=unpriced_first.first()
    )


def _sum_profile(profile: pl.DataFrame) -> pl.DataFrame:
    return profile.group_by("hour").agg(pv_kw=_sum("pv_kw"), load_kw=_sum("load_kw")).sort("hour")


def _sum(column: str) -> pl.Expr:
    """A sum of nothing known is null."""
    return pl.when(pl.col(column).count() > 0).then(pl.col(column).sum())


def _compute_mean_power(energy: str, hours: str) -> pl.Expr:
    return pl.when(pl.col(hours).sum() > 0).then(pl.col(energy).sum() / pl.col(hours).sum())
