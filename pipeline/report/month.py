"""What the pictures of a month show, as figures: one calendar of days and one grid of hours."""

from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.common.calendar_months import find_month_end
from pipeline.common.local_time import convert_to_wall_clock

HOURS = 24
ONE_ROW_A_DAY = "A picture shows one plant: give it one row a day, of one plant."


@dataclass(frozen=True, slots=True)
class MonthFigures:
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


def build_month(days: pl.DataFrame, intervals: pl.DataFrame, *, timezone: str, month: date) -> MonthFigures:
    """The figures of the calendar month that `month` lies in, from rows of one plant.

    `days` are rows of energy_daily, `intervals` of energy_balance_intervals; rows of other months are left out.
    A day's look is complete, partial, provisional, missing (no row or no value) or unread (no such day in `days`).
    """
    first, last = find_ends(month)
    if days.filter(pl.col("local_date").is_between(first, last))["plant_id"].n_unique() > 1:
        raise ValueError(ONE_ROW_A_DAY)
    inside = intervals.filter(pl.col("local_date").is_between(first, last))
    return build_month_from_grid(days, build_power_grid(sum_hours(inside, timezone), last.day), month=month)


def find_ends(month: date) -> tuple[date, date]:
    """The first and the last day of the calendar month."""
    return month.replace(day=1), find_month_end(month)


def build_month_from_grid(days: pl.DataFrame, power_kw: NDArray[np.float64], *, month: date) -> MonthFigures:
    """The same of one plant or of a whole fleet: `days` has a row a day, `power_kw` is hours x days of the month."""
    first, last = find_ends(month)
    held = choose_pv_coverage(days).filter(pl.col("local_date").is_between(first, last))
    if held["local_date"].is_duplicated().any():
        raise ValueError(ONE_ROW_A_DAY)
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
    return MonthFigures(
        first=first,
        days=calendar,
        power_kw=power_kw,
        kwh=total["kwh"][0],
        coverage=total["coverage"][0],
        n_held=held.height,
        n_missing=calendar.filter(look="missing").height,
    )


def choose_pv_coverage(days: pl.DataFrame) -> pl.DataFrame:
    """The days with covered_h, expected_h and coverage of PV, where they are known apart from those of the whole day.

    A figure of PV is judged by the daylight: a meter's rows at night say nothing about it.
    """
    known = [name for name in ("covered_h", "expected_h", "coverage") if f"pv_{name}" in days.columns]
    return days.with_columns(
        pl.when(pl.col("pv_expected_h").is_not_null()).then(f"pv_{name}").otherwise(name).alias(name)
        for name in known
    )


def _look() -> pl.Expr:
    """How a day is drawn: by its status. One that is complete has no gap, which can be a little less than all of it."""
    return (
        pl.when(pl.col("status").is_null())
        .then(pl.lit("unread"))
        .when(pl.col("pv_generation_kwh").is_null())
        .then(pl.lit("missing"))
        .otherwise(pl.col("status"))
    )


def sum_hours(intervals: pl.DataFrame, timezone: str) -> pl.DataFrame:
    """PV energy by day and hour of the local clock: local_date, hour, kwh, hours (of the intervals with a value).

    An interval counts in the hour that its middle lies in. Both passes of a repeated hour share one row.
    """
    length = pl.col("interval_end") - pl.col("interval_start")
    middle = convert_to_wall_clock(pl.col("interval_start") + length / 2, timezone)
    return (
        intervals.filter(pl.col("pv_generation_kwh").is_not_null())
        .group_by("local_date", hour=middle.dt.hour().cast(pl.Int64))
        .agg(kwh=pl.col("pv_generation_kwh").sum(), hours=length.sum() / pl.duration(hours=1))
    )


def build_power_grid(hours: pl.DataFrame, n_days: int) -> NDArray[np.float64]:
    """Mean power in kW by hour and day of the month, from rows of `sum_hours`; NaN in hours without a value."""
    cells = hours.filter(pl.col("hours") > 0)
    grid = np.full((HOURS, n_days), np.nan)
    days = cells["local_date"].dt.day().cast(pl.Int64).to_numpy() - 1
    grid[cells["hour"].to_numpy(), days] = (cells["kwh"] / cells["hours"]).to_numpy()
    return grid
