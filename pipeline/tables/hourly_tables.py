"""Hours of each day, and the average day of each month, from stored intervals."""

import datetime as dt
import hashlib
from collections import defaultdict

import polars as pl

from pipeline.run.context import Runtime
from pipeline.run.fleet import own_days
from pipeline.run.plants import excluded_plants
from pipeline.run.sets import BALANCE
from pipeline.run.step import Report, report_of, settled
from pipeline.run.table_step import Stage, writes
from pipeline.tables.month_close import read_closed_months
from pipeline.transform.hourly import summarize_hours, summarize_profile
from pipeline.transform.plant_moves import find_successors, join_rows
from schemas import EnergyBalanceIntervals, EnergyHourly, Plants, ProfileMonthly, polars_schema
from schemas.quantities import ENERGY_BALANCE
from warehouse.lake import Snapshot

QUANTITIES = [field.column for field in ENERGY_BALANCE.powers]
_ROWS = ["plant_id", "interval_start", "interval_end", *(f"{name}_kwh" for name in QUANTITIES)]
# What a stored profile says of itself: which hours it was made from.
MADE_FROM = "hours"


@writes(EnergyHourly, reads=(EnergyBalanceIntervals, Plants), stage=Stage.DAYS)
def write_energy_hourly(runtime: Runtime, day: dt.date) -> Report:
    """Energy of every plant and hour of the day, those of plants that moved under their newest id."""
    part = {"local_date": day}

    def write() -> Report:
        plants = runtime.lake.scan(Plants).collect()
        frames = runtime.lake.batches(BALANCE.intervals, part, columns=_ROWS)
        joined = join_rows(frames, find_successors(plants), ["plant_id"])
        found = summarize_hours(joined, plants, day, QUANTITIES).with_columns(local_date=pl.lit(day))
        columns = polars_schema(EnergyHourly).names()
        return report_of(runtime.lake.replace(EnergyHourly, part, [found.select(columns)], empty=True))

    return settled(runtime.lake, [BALANCE.intervals], part, write)


@writes(ProfileMonthly, reads=(EnergyHourly, Plants), stage=Stage.MONTHS, every="month")
def write_profile_monthly(runtime: Runtime) -> Report:
    """The average day of each month whose hours are not those that it was made from; of a closed one it stays."""
    report = Report(facts={"days_caught_up": _catch_up(runtime), "months_made": 0})
    snapshot = runtime.lake.snapshot(EnergyHourly)
    closed = {*read_closed_months(runtime)["month"]}
    excluded = excluded_plants(runtime)
    for month, files in _group_by_month(snapshot).items():
        part = {"month": month}
        if month in closed and runtime.lake.snapshot(ProfileMonthly, part).files:
            continue
        left_out = excluded.filter(pl.col("excluded_from") <= pl.lit(month).dt.month_end())
        # Of another fleet the same hours are another profile.
        names = [*files, *(f"{plant} {day}" for plant, day in left_out.sort("plant_id").iter_rows())]
        made_from = hashlib.sha256("\n".join(names).encode()).hexdigest()
        if runtime.lake.facts(ProfileMonthly, part).get(MADE_FROM) == made_from:
            continue
        hours = own_days(runtime.lake.scan(EnergyHourly, Snapshot(snapshot.version, files)), left_out)
        found = summarize_profile(hours, QUANTITIES).select(polars_schema(ProfileMonthly).names())
        written = runtime.lake.replace(
            ProfileMonthly, part, [found], empty=True, facts={MADE_FROM: made_from}
        )
        report.rows += written.rows
        report.changed |= written.changed
        report.facts["months_made"] += 1
    return report


def _catch_up(runtime: Runtime) -> int:
    """Make the hours of days that have none, or a plant's by an id that it had before it moved; how many days."""
    lake = runtime.lake
    stored, made = ({part["local_date"] for part in lake.parts(m)} for m in (BALANCE.intervals, EnergyHourly))
    moved = find_successors(lake.scan(Plants).collect())["plant_id"].to_list()
    old = (
        lake.scan(EnergyHourly).filter(pl.col("plant_id").is_in(moved))
        if moved
        else lake.scan(EnergyHourly).clear()
    )
    days = {dt.date.fromisoformat(day) for day in stored - made}
    days |= {*old.select(pl.col("local_date").unique()).collect()["local_date"]}
    for day in sorted(days):
        write_energy_hourly(runtime, day)
    return len(days)


def _group_by_month(snapshot: Snapshot) -> dict[dt.date, tuple[str, ...]]:
    """The files of hours of each month."""
    months: dict[dt.date, list[str]] = defaultdict(list)
    for file in snapshot.files:
        day = dt.date.fromisoformat(file.rpartition("local_date=")[2][:10])
        months[day.replace(day=1)].append(file)
    return {month: tuple(files) for month, files in sorted(months.items())}
