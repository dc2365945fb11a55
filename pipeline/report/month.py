"""What the picture of a month shows, as figures: one calendar of days and one grid of hours."""

from calendar import monthrange
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

HOURS = 24


@dataclass(frozen=True, slots=True)
class Month:
    """A plant's month: `days` has a row a calendar day (day, kwh, coverage, look), `power_kw` is hours x days.

    NaN in `power_kw` is an hour without a row. The totals are of the days that the warehouse holds; None where
    nothing was measured or expected.
    """

    first: date
    days: pl.DataFrame
    power_kw: NDArray[np.float64]
    kwh: float | None
    coverage: float | None
    n_held: int
    n_missing: int

    @property
    def n_days(self) -> int:
        """Length of the calendar month."""
        return self.days.height


def month_of(days: pl.DataFrame, intervals: pl.DataFrame, *, timezone: str, month: date) -> Month:
    """The figures of the calendar month that `month` lies in, from rows of one plant.

    `days` are rows of energy_daily, `intervals` of energy_balance_intervals; rows of other months are left out.
    A day's look is complete, partial, provisional, missing (no row or no value) or unread (no such day in `days`).
    """
    first = month.replace(day=1)
    last = first.replace(day=monthrange(first.year, first.month)[1])
    held = days.filter(pl.col("local_date").is_between(first, last))
    if held["plant_id"].n_unique() > 1 or held["local_date"].is_duplicated().any():
        raise ValueError("A picture shows one plant: give it one row a day, of one plant.")
    calendar = (
        pl.DataFrame({"local_date": pl.date_range(first, last, eager=True)})
        .join(held, on="local_date", how="left", maintain_order="left")
        .select(
            day=pl.col("local_date").dt.day().cast(pl.Int64),
            kwh=pl.col("pv_generation_kwh"),
            coverage=pl.col("coverage"),
            look=_look(),
        )
    )
    total = held.select(
        kwh=pl.when(pl.col("pv_generation_kwh").count() > 0).then(pl.col("pv_generation_kwh").sum()),
        coverage=pl.when(pl.col("expected_h").sum() > 0).then(
            (pl.col("covered_h").sum() / pl.col("expected_h").sum()).clip(0, 1)
        ),
    )
    return Month(
        first=first,
        days=calendar,
        power_kw=_power_kw(
            intervals.filter(pl.col("local_date").is_between(first, last)), timezone, last.day
        ),
        kwh=total["kwh"][0],
        coverage=total["coverage"][0],
        n_held=held.height,
        n_missing=calendar.filter(look="missing").height,
    )


def _look() -> pl.Expr:
    """How a day is drawn. A day said to be whole is not drawn so while its coverage says otherwise."""
    return (
        pl.when(pl.col("status").is_null())
        .then(pl.lit("unread"))
        .when(pl.col("pv_generation_kwh").is_null())
        .then(pl.lit("missing"))
        .when((pl.col("status") == "complete") & (pl.col("coverage") < 1))
        .then(pl.lit("partial"))
        .otherwise(pl.col("status"))
    )


def _power_kw(intervals: pl.DataFrame, timezone: str, n_days: int) -> NDArray[np.float64]:
    """Mean PV power in kW by hour of the local clock and day of the month; NaN in hours without a value.

    An interval counts in the hour that its middle lies in. Both passes of a repeated hour share one cell.
    """
    length = pl.col("interval_end") - pl.col("interval_start")
    middle = (pl.col("interval_start") + length / 2).dt.convert_time_zone(timezone)
    cells = (
        intervals.filter(pl.col("pv_generation_kwh").is_not_null())
        .group_by(hour=middle.dt.hour().cast(pl.Int64), day=pl.col("local_date").dt.day().cast(pl.Int64))
        .agg(kwh=pl.col("pv_generation_kwh").sum(), hours=length.sum() / pl.duration(hours=1))
        .filter(pl.col("hours") > 0)
    )
    grid = np.full((HOURS, n_days), np.nan)
    grid[cells["hour"].to_numpy(), cells["day"].to_numpy() - 1] = (cells["kwh"] / cells["hours"]).to_numpy()
    return grid
