"""Months that are closed: their figures stay, and what their days become later is an adjustment."""

import datetime as dt
from calendar import monthrange

import polars as pl

from pipeline.common.errors import SunledgerError
from pipeline.common.finding import Finding
from pipeline.common.local_time import UTC_US
from pipeline.common.text import plural
from pipeline.run.context import Runtime
from pipeline.run.plants import delay, listed, with_bounds
from pipeline.tables.incomplete_days import SILENT, standing
from pipeline.tables.restatement_tables import QUANTITIES
from pipeline.transform import restatements
from pipeline.transform.plant_moves import successors
from schemas import Adjustments, EnergyMonthly, Plants, polars_schema, storage

# More in a message than anybody reads.
REASONS_SHOWN = 5


class NotClosableError(SunledgerError):
    """A month can't be closed, or not yet."""


def close_month(runtime: Runtime, month: dt.date, *, anyway: bool = False) -> int:
    """Close the month whose figures energy_monthly holds; how many plants it has.

    Raises NotClosableError for a month that is not over, is closed already or holds nothing, and, unless `anyway`, for
    one with days that are not final.
    """
    rows = _rows(runtime, month)
    if rows["closed_at"].count():
        raise NotClosableError(f"{month:%Y-%m} is closed already: 'sunledger close --list' says since when.")
    if not rows.height:
        raise NotClosableError(f"{month:%Y-%m} holds no energy: backfill its days first.")
    last = month.replace(day=monthrange(month.year, month.month)[1])
    _refuse_running(runtime, month, last)
    open_days = standing(runtime, month, last).filter(pl.col("reason") != SILENT)
    # Days of plants that are listed no more are not due, but may be unfinished all the same.
    left = rows.filter(pl.col("status") == restatements.PROVISIONAL)
    left = left.join(open_days, on="plant_id", how="anti")
    if (open_days.height or left.height) and not anyway:
        named = [f"plant {plant} {day}: {why}" for plant, day, why in _named(open_days)]
        named += [f"plant {plant}: {restatements.PROVISIONAL}" for plant in left["plant_id"]]
        more = f" and {len(named) - REASONS_SHOWN} more" if len(named) > REASONS_SHOWN else ""
        verb = "is" if len(named) == 1 else "are"
        raise NotClosableError(
            f"{month:%Y-%m} has {plural(len(named), 'day')} that {verb} not final: "
            f"{'; '.join(named[:REASONS_SHOWN])}{more}. "
            f"Run 'sunledger backfill --from {month} --to {last}', or close it --anyway."
        )
    _put(runtime, month, rows.with_columns(closed_at=pl.lit(runtime.now(), UTC_US)))
    return rows.height


def open_month(runtime: Runtime, month: dt.date) -> None:
    """Let the month follow its days again; the next making of energy_monthly does. Raises NotClosableError."""
    rows = _rows(runtime, month)
    if not rows["closed_at"].count():
        raise NotClosableError(f"{month:%Y-%m} is not closed, so there is nothing to open.")
    _put(runtime, month, rows.with_columns(closed_at=pl.lit(None, UTC_US)))


def closed_months(runtime: Runtime) -> pl.DataFrame:
    """Rows of energy_monthly of closed months, as they were closed."""
    return runtime.lake.scan(EnergyMonthly).filter(pl.col("closed_at").is_not_null()).collect()


def adjust(runtime: Runtime, closed: pl.DataFrame, now: pl.DataFrame) -> list[str]:
    """Book what the days of closed months add up to now as adjustments; a line for each month that has some.

    `now` has the rows that energy_monthly would hold if no month were closed.
    """
    moved = successors(runtime.lake.scan(Plants).collect())
    of_closed = now.filter(pl.col("month").is_in(closed["month"].implode()))
    found = restatements.adjusted(closed, of_closed, moved, QUANTITIES).with_columns(
        noted_at=pl.lit(runtime.now(), UTC_US)
    )
    booked = [dt.date.fromisoformat(part["month"]) for part in runtime.lake.parts(Adjustments)]
    for month in sorted({*found["month"], *booked}):
        rows = found.filter(pl.col("month") == month).select(polars_schema(Adjustments).names())
        runtime.lake.replace(Adjustments, {"month": month}, [rows.sort(storage(Adjustments).key)], empty=True)
    return [adjustment_text(month, rows) for (month,), rows in found.group_by("month", maintain_order=True)]


def adjustment_text(month: object, rows: pl.DataFrame) -> str:
    """What a closed month's adjustments come to, in a line."""
    pv = rows.filter(pl.col("quantity") == "pv_generation")["difference_kwh"].sum()
    return f"{month:%Y-%m}: {plural(rows['plant_id'].n_unique(), 'plant')}, PV generation {pv:+.3f} kWh"


def closed_overview(runtime: Runtime) -> pl.DataFrame:
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
        closed_months(runtime)
        .group_by("month")
        .agg(pl.col("closed_at").max(), plants=pl.len(), pv_generation_kwh=pl.col("pv_generation_kwh").sum())
    )
    return (
        rows.join(booked.collect(), on="month", how="left")
        .with_columns(pl.col("plants_adjusted", "pv_adjustment_kwh").fill_null(0))
        .sort("month")
    )


def closed_months_hold(runtime: Runtime) -> Finding:
    """The judgement of closed months: whether their days still add up to what was closed."""
    found = closed_overview(runtime)
    changed = found.filter(pl.col("plants_adjusted") > 0)
    if not changed.height:
        return Finding(
            passed=True, text=f"{plural(found.height, 'closed month')}, none of them changed since."
        )
    months = [f"{month:%Y-%m}" for month in changed["month"]]
    return Finding(
        passed=False,
        text=f"Days of closed months are others now ({', '.join(months)}): the closed figures stay, the table "
        "adjustments has the differences and restatements the causes. Book them, or open the month.",
        facts={"months": months, "pv_adjustment_kwh": float(changed["pv_adjustment_kwh"].sum())},
    )


def _refuse_running(runtime: Runtime, month: dt.date, last: dt.date) -> None:
    plants = with_bounds(listed(runtime), last).with_columns(delay(runtime.settings))
    over = plants.select((pl.col("day_end") + pl.col("delay")).max()).item()
    if over is not None and over > runtime.now():
        raise NotClosableError(
            f"{month:%Y-%m} is not over: it can be closed from {over:%Y-%m-%d %H:%M} UTC on."
        )


def _named(days: pl.DataFrame) -> list[tuple[str, dt.date, str]]:
    return days.select("plant_id", "local_date", "reason").rows()


def _rows(runtime: Runtime, month: dt.date) -> pl.DataFrame:
    stored = runtime.lake.batches(EnergyMonthly, {"month": month})
    return pl.concat([pl.DataFrame(schema=polars_schema(EnergyMonthly)), *stored])


def _put(runtime: Runtime, month: dt.date, rows: pl.DataFrame) -> None:
    runtime.lake.replace(EnergyMonthly, {"month": month}, [rows])
