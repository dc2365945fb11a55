"""Hours of each day, and the average day of each month, from stored intervals."""

import datetime as dt
import hashlib
from collections import defaultdict
from collections.abc import Iterator
from functools import partial

import polars as pl

from pipeline.run.context import RunContext
from pipeline.run.measurement_sets import BALANCE
from pipeline.run.plants import find_excluded_plants
from pipeline.run.step_result import StepResult, build_result
from pipeline.run.supplied_files.fleet_membership import select_own_days
from pipeline.run.table_step import Stage, writes
from pipeline.tables.changed_months import MonthSources, find_kept_months, replace_changed_months
from pipeline.transform.coverage import OF_THE_SUN
from pipeline.transform.hourly import (
    clear_unknown_days,
    pack_quarters,
    summarize_hours,
    summarize_profile,
    summarize_quarters,
    unpack_quarters,
)
from pipeline.transform.lists.plant_moves import find_successors, join_rows, sort_rows, take_new_ids
from pipeline.transform.row_groups import split_by_plant
from schemas import (
    EnergyBalanceIntervals,
    EnergyDaily,
    EnergyHourly,
    Plants,
    ProfileMonthly,
    QuarterHours,
    polars_schema,
)
from schemas.quantities import ENERGY_BALANCE
from warehouse.lake import Snapshot
from warehouse.lake_reader import build_empty_frame

QUANTITIES = [field.column for field in ENERGY_BALANCE.powers]
_ROWS = ["plant_id", "interval_start", "interval_end", *(f"{name}_kwh" for name in QUANTITIES)]
# Hours from which average days are made together, and the fewest and most plants that have them: for each share of the
# plants the files of the whole month are looked at.
HOURS_AT_ONCE = 45_000
FEWEST_AT_ONCE, MOST_AT_ONCE = 100, 1_000
# The name under which a stored profile records the hours from which it was made.
MADE_FROM = "hours"


@writes(QuarterHours, reads=(EnergyBalanceIntervals, EnergyDaily, Plants), stage=Stage.DAYS)
def write_quarter_energies(runtime: RunContext, day: dt.date) -> StepResult:
    """Energy of every plant and quarter of an hour of the day; plants that moved have their newest id.

    Every plant with a row in energy_daily has all quarters of the day, also those without data.
    """
    part = {"local_date": day}
    moved = find_successors(runtime.lake.read_whole(Plants))
    frames = runtime.lake.read_batches(BALANCE.intervals, part, columns=_ROWS)
    plants = _list_plants(runtime, day, moved)
    of_sun, columns = _read_sun_energies(runtime, day, moved), polars_schema(QuarterHours).names()
    none = build_empty_frame(BALANCE.intervals, _ROWS)
    shares = split_by_plant(sort_rows(join_rows(frames, moved, ["plant_id"]), moved), plants, none)
    made = (
        pack_quarters(
            clear_unknown_days(summarize_quarters([rows], some, day, QUANTITIES), of_sun), QUANTITIES
        )
        for rows, some in shares
    )
    stored = (quarters.with_columns(local_date=pl.lit(day)).select(columns) for quarters in made)
    return build_result(runtime.lake.replace(QuarterHours, part, stored, empty=True))


@writes(EnergyHourly, reads=(QuarterHours, EnergyDaily, Plants), stage=Stage.DAYS)
def write_energy_hourly(runtime: RunContext, day: dt.date) -> StepResult:
    """Energy of every plant and hour of the day, as sums of quarters of an hour; hours without data are included."""
    part = {"local_date": day}
    moved = find_successors(runtime.lake.read_whole(Plants))
    stored = runtime.lake.read_batches(QuarterHours, part)
    shares = split_by_plant(stored, _list_plants(runtime, day, moved), build_empty_frame(QuarterHours))
    made = (summarize_hours(unpack_quarters(rows), some, day, QUANTITIES) for rows, some in shares)
    columns = polars_schema(EnergyHourly).names()
    found = (hours.with_columns(local_date=pl.lit(day)).select(columns) for hours in made)
    return build_result(runtime.lake.replace(EnergyHourly, part, found, empty=True))


@writes(ProfileMonthly, reads=(EnergyHourly, Plants), stage=Stage.MONTHS, every="month")
def write_profile_monthly(runtime: RunContext) -> StepResult:
    """The average day of each month whose hours have changed since it was made; closed months stay unchanged."""
    caught_up = _catch_up(runtime)
    kept = find_kept_months(runtime, ProfileMonthly)
    sources = _list_profile_sources(runtime)
    report = replace_changed_months(runtime, ProfileMonthly, sources, kept, fact=MADE_FROM)
    report.facts["days_caught_up"] = caught_up
    return report


def _list_profile_sources(runtime: RunContext) -> Iterator[MonthSources]:
    """The hours of each month, of the plants that are in scope: with other plants they give another profile."""
    snapshot = runtime.lake.take_snapshot(EnergyHourly)
    excluded = find_excluded_plants(runtime).sort("plant_id")
    for month, files in _group_by_month(snapshot).items():
        left_out = excluded.filter(pl.col("excluded_from") <= pl.lit(month).dt.month_end())
        names = [*files, *(f"{plant} {day}" for plant, day in left_out.iter_rows())]
        digest = hashlib.sha256("\n".join(names).encode()).hexdigest()
        hours = Snapshot(snapshot.version, files)
        yield MonthSources(month, digest, partial(_summarize_profiles, runtime, hours, left_out))


def _summarize_profiles(
    runtime: RunContext, stored: Snapshot, left_out: pl.DataFrame
) -> Iterator[pl.DataFrame]:
    """Rows of `profile_monthly`, of some plants after those of others: a fleet's month has millions of hours."""
    hours, days = select_own_days(runtime.lake.scan(EnergyHourly, stored), left_out), len(stored.files)
    plants = hours.select(pl.col("plant_id").unique().sort()).collect()
    together = min(MOST_AT_ONCE, max(FEWEST_AT_ONCE, HOURS_AT_ONCE // (24 * days)))
    for some in plants.iter_slices(together):
        first, last = pl.lit(some["plant_id"][0]), pl.lit(some["plant_id"][-1])
        of_some = hours.filter(pl.col("plant_id").is_between(first, last))
        yield summarize_profile(of_some, QUANTITIES).select(polars_schema(ProfileMonthly).names())


def _list_plants(runtime: RunContext, day: dt.date, moved: pl.DataFrame) -> pl.DataFrame:
    """plant_id and timezone of the plants that have a row in energy_daily, by their newest ids.

    The zone is the one that the day was cut by.
    """
    zones = runtime.lake.read_whole(Plants).select("plant_id", now="timezone")
    daily = runtime.lake.read_batches(EnergyDaily, {"local_date": day}, columns=["plant_id", "timezone"])
    listed = pl.concat([build_empty_frame(EnergyDaily, ["plant_id", "timezone"]), *daily])
    return (
        take_new_ids(listed, moved)
        .sort("plant_id", "moves_since")
        .unique("plant_id", keep="first", maintain_order=True)
        .join(zones, on="plant_id", how="inner", maintain_order="left")
        .select("plant_id", timezone=pl.coalesce("timezone", "now"))
    )


def _read_sun_energies(runtime: RunContext, day: dt.date, moved: pl.DataFrame) -> pl.DataFrame:
    """plant_id and the energies that depend on the sun, of the rows of energy_daily, by the plants' newest ids."""
    columns = ["plant_id", *(f"{name}_kwh" for name in OF_THE_SUN)]
    daily = runtime.lake.read_batches(EnergyDaily, {"local_date": day}, columns=columns)
    rows = pl.concat([build_empty_frame(EnergyDaily, columns), *daily])
    return take_new_ids(rows, moved).select(columns)


def _catch_up(runtime: RunContext) -> int:
    """Make the hours of days that have none, or that have a plant's former id, and return the number of days."""
    lake = runtime.lake
    days, quarters, hours = (
        {dt.date.fromisoformat(part["local_date"]) for part in lake.list_parts(model)}
        for model in (EnergyDaily, QuarterHours, EnergyHourly)
    )
    moved = find_successors(lake.read_whole(Plants))["plant_id"].to_list()
    old = (
        lake.scan(EnergyHourly).filter(pl.col("plant_id").is_in(moved))
        if moved
        else lake.scan(EnergyHourly).clear()
    )
    lacking = days - (quarters & hours)
    lacking |= {*old.select(pl.col("local_date").unique()).collect()["local_date"]}
    for day in sorted(lacking):
        write_quarter_energies(runtime, day)
        write_energy_hourly(runtime, day)
    return len(lacking)


def _group_by_month(snapshot: Snapshot) -> dict[dt.date, tuple[str, ...]]:
    """The files of hours of each month."""
    months: dict[dt.date, list[str]] = defaultdict(list)
    for file in snapshot.files:
        day = dt.date.fromisoformat(file.rpartition("local_date=")[2][:10])
        months[day.replace(day=1)].append(file)
    return {month: tuple(files) for month, files in sorted(months.items())}
