"""What checks look at: the frames and figures behind each finding, from the lake. Makes no API calls."""

import datetime as dt
from collections.abc import Collection, Sequence

import duckdb
import polars as pl

from pipeline.common import day_availability
from pipeline.common.errors import SunledgerError
from pipeline.common.finding import Finding
from pipeline.common.local_time import ONE_DAY
from pipeline.common.text import pluralize
from pipeline.ops import findings
from pipeline.run.check import CheckMoment, checks
from pipeline.run.context import RunContext
from pipeline.run.measurement_sets import BALANCE, SOURCES, find_plants_with_set
from pipeline.run.plants import list_own_plants, list_plants
from pipeline.tables.incomplete_days import NOT_MADE, find_incomplete_days, list_stored_days
from pipeline.tables.zone_corrections import find_days_of_other_zones, suggest_cure
from pipeline.transform.hourly import unpack_quarters
from schemas import (
    TABLES,
    ApiRequests,
    EnergyBalanceIntervals,
    EnergyDaily,
    MeasurementSets,
    Quarantine,
    QuarterHours,
    storage,
)
from warehouse.published_file.open_published import connect

KNOWN_SETS = frozenset(source.set.name for source in SOURCES)
# Rows older than that are as late as none.
LOOK_BACK = 7 * ONE_DAY
# A week of 1,000 plants is some hundred thousand quarters: what is older was looked at when it was new.
DAYS_ADDED_UP = 7
# The other quantities are calculated from these.
ADDED_UP = (
    "pv_generation",
    "total_consumption",
    "grid_feed_in",
    "grid_consumption",
    "battery_charging",
    "battery_discharging",
)
# Of a kWh, or of the day's energy where that is more: a thousand times what rounding and sums of floats make.
ADDED_UP_OFF = 1e-6


def judge_completeness(runtime: RunContext, days: Sequence[dt.date]) -> dict[dt.date, Finding]:
    """The judgement of each day by its rows of energy_daily."""
    daily = _read_daily(runtime, days)
    return {day: findings.judge_day(day, daily.filter(pl.col("local_date") == day)) for day in sorted(days)}


def check_quality(runtime: RunContext, days: Collection[dt.date]) -> Finding:
    """The judgement of what was set aside on these days."""
    aside = runtime.lake.scan(Quarantine).filter(pl.col("local_date").is_in(list(days)))
    reasons = aside.group_by("reason").agg(pl.len()).sort("reason").collect()
    return findings.judge_quality(_read_daily(runtime, days), dict(reasons.rows()))


@checks(
    "standing",
    asset="energy_daily",
    after=CheckMoment.DAYS,
    description="Every closed day of every listed plant was fetched after it had ended. A day that was not is a "
    "warning, and an error after two days. The check complete reports days for which SMA has no rows.",
)
def check_closed_days(runtime: RunContext) -> Finding:
    """The judgement of all closed days that the schedule 'closing' looks after."""
    plants = list_plants(runtime)
    first, last = day_availability.catch_up_window(
        runtime.now(),
        day_availability.build_groups(plants),
        runtime.settings.window_days,
        list_stored_days(runtime),
    )
    first = max(first, runtime.settings.first_day)
    lacking = find_incomplete_days(runtime, first, last)
    # The run that looks is still making tables of its days: what it leaves is the next run's to find.
    return findings.judge_closed_days(lacking.filter(pl.col("reason") != NOT_MADE), first, last)


@checks(
    "time_zones",
    asset="plants",
    after=CheckMoment.LISTS,
    description="Every stored day begins and ends by the time zone that its plant has now.",
)
def check_zones(runtime: RunContext) -> Finding:
    """The judgement of all stored days by the plants' time zones of now."""
    found = find_days_of_other_zones(runtime)
    cure = suggest_cure(found, runtime.settings.sma_time_basis) if found.height else ""
    return findings.judge_zones(found, cure)


@checks(
    "freshness",
    asset="energy_balance_intervals",
    after=CheckMoment.DAYS,
    description="The newest rows of each backend, by their own times, are as recent as SMA can deliver them.",
)
def judge_freshness(runtime: RunContext) -> Finding:
    """The judgement of the newest rows of each backend."""
    having = find_plants_with_set(runtime.lake, BALANCE)
    plants = list_own_plants(runtime).filter(pl.col("plant_id").is_in(having.implode()))
    recent = pl.col("local_date") >= (runtime.now() - LOOK_BACK).date()
    rows = runtime.lake.scan(EnergyBalanceIntervals).filter(recent)
    newest = rows.group_by("plant_id").agg(newest=pl.col("interval_end").max()).collect()
    return findings.is_fresh(
        plants.select("plant_id", "backend").join(newest, on="plant_id", how="left"), runtime.now()
    )


@checks(
    "quarters_add_up",
    asset="quarter_energies",
    after=CheckMoment.DAYS,
    description="The quarter hours of the newest stored days add up to the energies of their days.",
)
def judge_quarters(runtime: RunContext) -> Finding:
    """Whether quarters of an hour and days tell the same energies; days without quarters yet are left out."""
    both = [
        {part["local_date"] for part in runtime.lake.list_parts(model)}
        for model in (EnergyDaily, QuarterHours)
    ]
    days = [dt.date.fromisoformat(day) for day in sorted(both[0] & both[1])[-DAYS_ADDED_UP:]]
    keys, names = ["plant_id", "local_date"], [f"{name}_kwh" for name in ADDED_UP]
    # One day after another: the quarters of a fleet's week are millions of rows.
    found = pl.concat([_add_quarters(runtime, ()), *(_add_quarters(runtime, (day,)) for day in days)])
    # A day without an energy is one of which nothing can be said, such as one that has only its night.
    off = (
        pl.when(pl.col(name).is_not_null())
        .then((pl.col(name) - pl.col(f"{name}_added").fill_null(0.0)).abs() / pl.max_horizontal(1.0, name))
        .alias(name)
        for name in names
    )
    wrong = found.filter(pl.any_horizontal(*(share > ADDED_UP_OFF for share in off))).sort(
        "local_date", "plant_id"
    )
    facts = {"days": len(days), "plant_days": found.height, "plant_days_off": wrong.height}
    if not wrong.height:
        text = f"The quarter hours of {pluralize(found.height, 'plant-day')} add up to the days."
        return Finding(passed=True, text=text, facts=facts)
    (plant, day), (_, last) = wrong.select(keys).row(0), wrong.select(keys).row(-1)
    return Finding(
        passed=False,
        text=f"The quarter hours of {pluralize(wrong.height, 'plant-day')} do not add up to the day (the first: plant "
        f"{plant}, {day}), so energy_hourly and energy_quarter_hourly come from other intervals than energy_daily: "
        f"run 'sunledger rebuild --from {day} --to {last}', which sends no request to SMA.",
        facts=facts,
    )


def _add_quarters(runtime: RunContext, days: Collection[dt.date]) -> pl.DataFrame:
    """plant_id, local_date, and the energies of the days, each beside the sum of its quarters (`_added`)."""
    keys, names = ["plant_id", "local_date"], [f"{name}_kwh" for name in ADDED_UP]
    of_days = pl.col("local_date").is_in(list(days))
    stored = unpack_quarters(runtime.lake.scan(QuarterHours).filter(of_days))
    quarters = stored.group_by(keys).agg(pl.col(names).sum())
    daily = runtime.lake.scan(EnergyDaily).filter(of_days).select(*keys, *names)
    return daily.join(quarters, on=keys, how="left", suffix="_added").collect()


def check_drift(runtime: RunContext, fields: Collection[str]) -> Finding:
    """The judgement of fields that the newest days held beyond the known ones, and of the sets that SMA names."""
    named = runtime.lake.scan(MeasurementSets).select(pl.col("set_type").unique()).collect()["set_type"]
    return findings.judge_drift(fields, set(named) - KNOWN_SETS)


@checks(
    "budget",
    asset="raw_plants",
    after=CheckMoment.LISTS,
    description="SMA refuses at most 1 % of the requests because of their rate.",
    of_requests=True,
)
def check_budget(runtime: RunContext) -> Finding:
    """The judgement of the last day's requests that are stored."""
    since = runtime.now() - ONE_DAY
    asked = pl.col("asked_date") >= since.date(), pl.col("asked_at") >= since
    return findings.judge_budget(runtime.lake.scan(ApiRequests).filter(*asked).select("status").collect())


@checks(
    "readable",
    asset="warehouse",
    after=CheckMoment.PUBLISHING,
    description="The published file can be opened read-only, and each of its tables can be read.",
)
def judge_published_file(runtime: RunContext) -> Finding:
    """Whether the published file opens as its readers open it, and holds every table."""
    path = runtime.settings.warehouse
    wanted = {storage(model).table for model in TABLES if storage(model).published != "no"}
    try:
        with connect(path) as connection:
            found = {
                name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()
            }
            found |= {
                name for (name,) in connection.execute("SELECT view_name FROM duckdb_views()").fetchall()
            }
            for table in sorted(wanted & found):
                connection.execute(f'SELECT * FROM "{table}" LIMIT 1').fetchall()  # noqa: S608 - our own names
    except SunledgerError as fault:
        return Finding(passed=False, severe=True, text=str(fault))
    except duckdb.Error as fault:
        reason = str(fault).partition("\n")[0]
        return Finding(
            passed=False, severe=True, text=f"{path} can't be read ({reason}): run 'sunledger publish'."
        )
    missing = sorted(wanted - found)
    if missing:
        return Finding(
            passed=False,
            severe=True,
            text=f"{path} lacks {', '.join(missing)}: run 'sunledger publish'.",
        )
    return Finding(passed=True, text=f"{path} can be opened and holds {len(wanted)} tables.")


def _read_daily(runtime: RunContext, days: Collection[dt.date]) -> pl.DataFrame:
    return runtime.lake.scan(EnergyDaily).filter(pl.col("local_date").is_in(list(days))).collect()
