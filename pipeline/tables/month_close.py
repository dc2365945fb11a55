"""Closes months: their figures stay unchanged, and later changes of their days become adjustments."""

import datetime as dt
from functools import partial
from typing import NamedTuple

import polars as pl

from pipeline.common.calendar_months import find_month_end
from pipeline.common.errors import SunledgerError
from pipeline.common.finding import Finding
from pipeline.common.local_time import UTC_US
from pipeline.common.text import format_covered, join_first, pluralize
from pipeline.run.check import CheckMoment, checks
from pipeline.run.context import RunContext
from pipeline.run.plants import add_day_bounds, compute_delay, find_excluded_plants, list_plants
from pipeline.run.step import work_without_conflict
from pipeline.run.supplied_files.fleet_membership import select_own_days
from pipeline.tables.incomplete_days import NOT_FETCHED, NOT_MADE, SILENT, find_incomplete_days
from pipeline.tables.restatement_tables import QUANTITIES
from pipeline.transform import reconciliation, restatements
from pipeline.transform.anomalies import INVERTERS
from pipeline.transform.lists.plant_moves import find_successors
from pipeline.transform.row_rules import DAY_BEFORE, STANDBY
from schemas import (
    Adjustments,
    EnergyDaily,
    EnergyMonthly,
    Plants,
    Quarantine,
    Reconciliation,
    polars_schema,
    storage,
)

# The columns of a day that are kept and reported.
SUSPICIOUS = "with suspicious values"
# The expected hours of a day of a plant that has no stored day.
FULL_DAY_H = 24.0
# A message lists at most this many items, so that it stays readable.
REASONS_SHOWN = 5


class NotClosableError(SunledgerError):
    """Raised when a month can't be closed, or can't be closed yet."""


class AlreadySoError(NotClosableError):
    """Raised where a month that is to be closed is closed, or one that is to be opened is open."""


class Doubt(NamedTuple):
    """A fact that a person should know before a month is closed: a sentence, and whether energy is missing."""

    text: str
    lacks_energy: bool = True


def close_month(runtime: RunContext, month: dt.date, *, anyway: bool = False) -> int:
    """Close the month whose figures energy_monthly holds, and return the number of its plants.

    Raises AlreadySoError for a month that is closed, NotClosableError for one that is not over or holds nothing, and,
    unless `anyway`, for one with days that are not final, or that lacks energy by what `find_doubts` finds.
    """
    close = partial(_close, runtime, month, anyway=anyway)
    return work_without_conflict(runtime.lake, [(EnergyMonthly, {"month": month})], close)


def _close(runtime: RunContext, month: dt.date, *, anyway: bool) -> int:
    rows = _read_rows(runtime, month)
    if rows["closed_at"].count():
        raise AlreadySoError(f"{month:%Y-%m} is closed already: 'sunledger close --list' shows since when.")
    if not rows.height:
        raise NotClosableError(
            f"{month:%Y-%m} has no energy: fetch its days with 'sunledger backfill' first."
        )
    last = find_month_end(month)
    _refuse_running(runtime, month, last)
    if not anyway:
        for doubt in _explain_not_final(runtime, month, rows):
            raise NotClosableError(
                f"{doubt.text} Run 'sunledger backfill --from {month} --to {last}', or close the month with --anyway."
            )
        doubts = find_doubts(runtime, month)
        if any(doubt.lacks_energy for doubt in doubts):
            raise NotClosableError(
                f"{month:%Y-%m} is not complete. {' '.join(doubt.text for doubt in doubts)} Check the days, or close "
                "the month with --anyway; later changes of its days then become adjustments."
            )
    _put(runtime, month, rows.with_columns(closed_at=pl.lit(runtime.now(), UTC_US)))
    return rows.height


def find_doubts(runtime: RunContext, month: dt.date) -> list[Doubt]:
    """The facts about what is not final, incomplete or doubtful in the month, with amounts; empty if there are none."""
    within, excluded = (
        pl.col("local_date").is_between(month, find_month_end(month)),
        find_excluded_plants(runtime),
    )
    key = ["plant_id", "local_date"]
    # As in v_days_to_check, reasons that need no action raise no doubt; neither do data that no report includes.
    aside = runtime.lake.scan(Quarantine).filter(within, ~pl.col("reason").is_in([STANDBY, DAY_BEFORE]))
    told = select_own_days(aside.select(*key, "reason", "value"), excluded).collect()
    energy = runtime.lake.scan(EnergyDaily).filter(within).select(*key, "status", "n_flagged")
    days = select_own_days(energy, excluded).collect()
    rows = _read_rows(runtime, month)
    due = find_incomplete_days(runtime, month, find_month_end(month))
    return [
        *_explain_not_final(runtime, month, rows),
        *_explain_days_to_check(days, told),
        *_explain_coverage(rows, due.filter(pl.col("reason") == NOT_FETCHED)),
        *_explain_inverters(told),
        *_explain_vendor(runtime, month),
    ]


def _explain_not_final(runtime: RunContext, month: dt.date, rows: pl.DataFrame) -> list[Doubt]:
    """The days that are not stored, may still grow, or lack an answer."""
    # Only energy is closed, so other tables of a day may be made later.
    open_days = find_incomplete_days(runtime, month, find_month_end(month)).filter(
        ~pl.col("reason").is_in([SILENT, NOT_MADE])
    )
    # Days of plants that are no longer listed are not due, but they may still be unfinished.
    left = rows.filter(pl.col("status") == restatements.PROVISIONAL)
    left = left.join(open_days, on="plant_id", how="anti")
    named = [f"plant {plant} {day}: {why}" for plant, day, why in _name_days(open_days)]
    named += [f"plant {plant}: {restatements.PROVISIONAL}" for plant in left["plant_id"]]
    if not named:
        return []
    verb = "is" if len(named) == 1 else "are"
    shown = join_first(named, REASONS_SHOWN, "; ")
    return [Doubt(f"{month:%Y-%m} has {pluralize(len(named), 'day')} that {verb} not final: {shown}.")]


def _explain_days_to_check(days: pl.DataFrame, told: pl.DataFrame) -> list[Doubt]:
    """The days that v_days_to_check lists, by reason."""
    key = ["plant_id", "local_date"]
    doubtful = told.select(*key, doubtful=pl.lit(value=True)).unique()
    why = (
        pl.when(pl.col("status") != "complete")
        .then("status")
        .when(pl.col("n_flagged") > 0)
        .then(pl.lit("with values that were set aside"))
        .when("doubtful")
        .then(pl.lit(SUSPICIOUS))
    )
    found = days.join(doubtful, on=key, how="left").select("plant_id", why=why).drop_nulls()
    if not found.height:
        return []
    kinds = ", ".join(f"{count} {kind}" for kind, count in found["why"].value_counts().sort("why").rows())
    verb = "is" if found.height == 1 else "are"
    text = (
        f"{found.height} of {pluralize(days.height, 'plant-day')} {verb} to be checked, in "
        f"{pluralize(found['plant_id'].n_unique(), 'plant')}: {kinds} (v_days_to_check)."
    )
    return [Doubt(text, lacks_energy=bool((found["why"] != SUSPICIOUS).any()))]


def _explain_coverage(rows: pl.DataFrame, not_fetched: pl.DataFrame) -> list[Doubt]:
    """The coverage of the month with its days that are not stored, and the number of plants that are not complete.

    A day that is not stored is expected to have as many hours as the plant's stored days have on average.
    """
    absent = not_fetched.group_by("plant_id").agg(n_absent=pl.len())
    plants = rows.select("plant_id", "status", "covered_h", "expected_h", "n_days").join(
        absent, on="plant_id", how="full", coalesce=True
    )
    mean_h = (pl.col("expected_h") / pl.col("n_days")).fill_null(FULL_DAY_H)
    plants = plants.with_columns(
        lacks=(pl.col("status") != "complete").fill_null(value=True)
        | (pl.col("n_absent") > 0).fill_null(value=False),
        month_h=pl.col("expected_h").fill_null(0) + pl.col("n_absent").fill_null(0) * mean_h,
    )
    open_plants = plants.filter("lacks").height
    if not open_plants:
        return []
    covered, expected = (float(plants[name].sum()) for name in ("covered_h", "month_h"))
    share = (
        f"Values cover {format_covered(covered / expected)} of the expected time of the month"
        if expected
        else "No time was expected"
    )
    lacking = max(0.0, expected - covered)
    verb = "is" if open_plants == 1 else "are"
    count = f"{open_plants} of {pluralize(plants.height, 'plant')} {verb} not complete"
    return [Doubt(f"{share}, {lacking:,.1f} h are missing, and {count}.")]


def _explain_inverters(told: pl.DataFrame) -> list[Doubt]:
    """The energy that inverters measured and that the figures of their plants lack."""
    more = told.filter(pl.col("reason") == INVERTERS, pl.col("value") > 0)
    if not more.height:
        return []
    days, kwh = pluralize(more.height, "plant-day"), more["value"].sum()
    text = f"On {days} inverters have {kwh:,.3f} kWh more than their plants"
    return [Doubt(f"{text} (v_energy_monthly has both figures).")]


def _explain_vendor(runtime: RunContext, month: dt.date) -> list[Doubt]:
    """The quantities of the month that differ from SMA's own figures by more than the tolerance."""
    of_month = pl.col("month") == month, pl.col("period") == reconciliation.MONTH
    rows = runtime.lake.scan(Reconciliation).filter(*of_month, ~pl.col("agrees")).collect()
    differ = (
        rows.filter(pl.col("vendor_kwh").is_not_null())
        .with_columns(off=pl.col("measured_kwh").fill_null(0) - pl.col("vendor_kwh"))
        # An excess of one plant must not hide a lack of another plant.
        .group_by("quantity", less=pl.col("off") < 0)
        .agg(pl.col("off").abs().sum(), pl.len())
        .sort("quantity", "less")
    )
    return [
        Doubt(
            f"{quantity} of {pluralize(count, 'plant')} is {off:,.3f} kWh {'less' if less else 'more'} than SMA's own "
            "figure, beyond the tolerance (reconciliation)."
        )
        for quantity, less, off, count in differ.rows()
    ]


def open_month(runtime: RunContext, month: dt.date) -> None:
    """Reopen the month, so that the next run of energy_monthly follows its days again. Raises AlreadySoError."""
    reopen = partial(_reopen, runtime, month)
    work_without_conflict(runtime.lake, [(EnergyMonthly, {"month": month})], reopen)


def _reopen(runtime: RunContext, month: dt.date) -> None:
    rows = _read_rows(runtime, month)
    if not rows["closed_at"].count():
        raise AlreadySoError(f"{month:%Y-%m} is not closed, so there is nothing to open.")
    _put(runtime, month, rows.with_columns(closed_at=pl.lit(None, UTC_US)))


def read_closed_months(runtime: RunContext) -> pl.DataFrame:
    """The rows of energy_monthly for closed months, unchanged since the months were closed."""
    return runtime.lake.scan(EnergyMonthly).filter(pl.col("closed_at").is_not_null()).collect()


def adjust(runtime: RunContext, closed: pl.DataFrame, now: pl.DataFrame) -> list[str]:
    """Book the differences of closed months to the present sums of their days, and return a line for each such month.

    `now` has the rows that energy_monthly would hold if no month were closed.
    """
    moved = find_successors(runtime.lake.read_whole(Plants))
    of_closed = now.filter(pl.col("month").is_in(closed["month"].implode()))
    found = restatements.find_adjusted(closed, of_closed, moved, QUANTITIES).with_columns(
        noted_at=pl.lit(runtime.now(), UTC_US)
    )
    booked = [dt.date.fromisoformat(part["month"]) for part in runtime.lake.list_parts(Adjustments)]
    for month in sorted({*found["month"], *booked}):
        rows = found.filter(pl.col("month") == month).select(polars_schema(Adjustments).names())
        runtime.lake.replace(Adjustments, {"month": month}, [rows.sort(storage(Adjustments).key)], empty=True)
    return [
        describe_adjustments(month, rows) for (month,), rows in found.group_by("month", maintain_order=True)
    ]


def describe_adjustments(month: object, rows: pl.DataFrame) -> str:
    """A line with the sum of a closed month's adjustments."""
    pv = rows.filter(pl.col("quantity") == "pv_generation")["difference_kwh"].sum()
    return f"{month:%Y-%m}: {pluralize(rows['plant_id'].n_unique(), 'plant')}, PV generation {pv:+.3f} kWh"


def list_closed_months(runtime: RunContext) -> pl.DataFrame:
    """month, closed_at, plants, pv_generation_kwh, plants_adjusted and pv_adjustment_kwh of every closed month."""
    pv = pl.col("quantity") == "pv_generation"
    booked = (
        runtime.lake.scan(Adjustments)
        .group_by("month")
        .agg(
            plants_adjusted=pl.col("plant_id").n_unique(),
            pv_adjustment_kwh=pl.col("difference_kwh").filter(pv).sum(),
        )
    )
    rows = (
        read_closed_months(runtime)
        .group_by("month")
        .agg(pl.col("closed_at").max(), plants=pl.len(), pv_generation_kwh=pl.col("pv_generation_kwh").sum())
    )
    return (
        rows.join(booked.collect(), on="month", how="left")
        .with_columns(pl.col("plants_adjusted", "pv_adjustment_kwh").fill_null(0))
        .sort("month")
    )


@checks(
    "closed_months",
    asset="energy_monthly",
    after=CheckMoment.DAYS,
    description="The days of every closed month still add up to the closed figures.",
)
def judge_closed_months(runtime: RunContext) -> Finding:
    """The finding on closed months: whether their days still add up to the closed figures."""
    found = list_closed_months(runtime)
    changed = found.filter(pl.col("plants_adjusted") > 0)
    if not changed.height:
        return Finding(
            passed=True,
            text=f"{pluralize(found.height, 'closed month')}; none has changed since it was closed.",
        )
    months = [f"{month:%Y-%m}" for month in changed["month"]]
    return Finding(
        passed=False,
        text=f"Days of closed months have changed ({', '.join(months)}). The closed figures stay; the table "
        "adjustments holds the differences and restatements the causes: book them, or open the month.",
        facts={"months": months, "pv_adjustment_kwh": float(changed["pv_adjustment_kwh"].sum())},
    )


def _refuse_running(runtime: RunContext, month: dt.date, last: dt.date) -> None:
    plants = add_day_bounds(list_plants(runtime), last).with_columns(compute_delay(runtime.settings))
    over = plants.select((pl.col("day_end") + pl.col("delay")).max()).item()
    if over is not None and over > runtime.now():
        raise NotClosableError(f"{month:%Y-%m} is not over yet: close it after {over:%Y-%m-%d %H:%M} UTC.")


def _name_days(days: pl.DataFrame) -> list[tuple[str, dt.date, str]]:
    return days.select("plant_id", "local_date", "reason").rows()


def _read_rows(runtime: RunContext, month: dt.date) -> pl.DataFrame:
    stored = runtime.lake.read_batches(EnergyMonthly, {"month": month})
    return pl.concat([pl.DataFrame(schema=polars_schema(EnergyMonthly)), *stored])


def _put(runtime: RunContext, month: dt.date, rows: pl.DataFrame) -> None:
    runtime.lake.replace(EnergyMonthly, {"month": month}, [rows])
