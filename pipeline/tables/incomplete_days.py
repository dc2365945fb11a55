"""Finds missing data: days of plants that are over, and daily tables, that the lake lacks. Makes no API calls."""

import datetime as dt
import functools
from collections.abc import Collection

import polars as pl

from pipeline.common.day_availability import DELAY, list_days
from pipeline.run.context import RunContext
from pipeline.run.fleet_lists.stored_lists import OWNER, read_last_asked
from pipeline.run.fleet_lists.unanswered_lists import find_plants_of_unknown_sets
from pipeline.run.fleet_lists.unlisted_devices import find_removed_devices, find_unlisted_devices
from pipeline.run.measurement_sets import (
    BALANCE,
    SOURCES,
    VALUES,
    SetSource,
    choose_sets,
    find_plants_with_set,
    list_idle_tables,
)
from pipeline.run.plants import (
    list_known_places,
    list_plants,
    select_days_in_operation,
    select_in_operation,
)
from pipeline.run.step import NOT_LISTED, REQUEST_FAILED, read_answers
from pipeline.transform.intervals import SetTransform
from schemas import (
    RAW,
    TABLES,
    EnergyDaily,
    Quarantine,
    RawDevices,
    RawEnergyBalance,
    RawEnergyMonths,
    RawEnergyYears,
    RawMeasurementSets,
    Table,
    storage,
)
from warehouse.removed_answers import AnswerRetention

# Why a plant's day is not complete. Another run may help for all reasons but the last, where SMA answered without rows.
NOT_FETCHED, FAILED, PROVISIONAL, SILENT = "not_fetched", "request_failed", "provisional", "silent"
# The answers are stored, but a table that is made from them is missing; making it takes no requests.
NOT_MADE = "not_made"
# The day was cut by a time zone that the portal has corrected since then.
OTHER_ZONE = "other_timezone"
ASK_AGAIN = (NOT_FETCHED, FAILED, PROVISIONAL, OTHER_ZONE, NOT_MADE)
# Each day of the first table has rows in the second one.
_BY_NAME = {storage(model).table: model for model in TABLES}
ALWAYS_MADE = tuple((_BY_NAME[storage(model).follows], model) for model in TABLES if storage(model).follows)

_DAY = ("plant_id", "local_date")
_COLUMNS = ("plant_id", "name", "local_date", "reason")


def find_incomplete_days(runtime: RunContext, first: dt.date, last: dt.date) -> pl.DataFrame:
    """plant_id, name, local_date and reason of each plant's day from first to last that is over but incomplete.

    Plants that are known to have no EnergyBalance are left out. Raises SunledgerError when no plants are known yet.
    """
    held = pl.col("local_date").is_between(first, last)
    daily = (
        runtime.lake.scan(EnergyDaily)
        .filter(held)
        .select("plant_id", "local_date", "status", made_by="timezone")
        .collect()
    )
    due = _list_due(runtime, first, last).join(daily, on=["plant_id", "local_date"], how="left")
    due = due.join(_list_failed(runtime, held), on=["plant_id", "local_date"], how="left")
    reason = (
        pl.when("failed")
        .then(pl.lit(FAILED))
        .when(pl.col("status").is_null())
        .then(pl.lit(NOT_FETCHED))
        .when(pl.col("status") == "provisional")
        .then(pl.lit(PROVISIONAL))
        .when(pl.coalesce("made_by", "previous_timezone", "timezone") != pl.col("timezone"))
        .then(pl.lit(OTHER_ZONE))
        .when(
            pl.col("local_date").is_in(sorted(list_unmade_days(runtime, list_idle_tables(runtime.settings))))
        )
        .then(pl.lit(NOT_MADE))
        .when(pl.col("status") == "missing")
        .then(pl.lit(SILENT))
    )
    found = due.with_columns(reason=reason).drop_nulls("reason")
    return found.select(_COLUMNS).sort("local_date", "plant_id")


def list_stored_days(runtime: RunContext) -> list[dt.date]:
    """The days of which the lake holds energy, sorted."""
    return [dt.date.fromisoformat(part["local_date"]) for part in runtime.lake.list_parts(EnergyDaily)]


def list_days_with_answers(runtime: RunContext) -> set[dt.date]:
    """The days of which the lake holds answers for EnergyBalance or, if that is not chosen, for any chosen set."""
    sets = choose_sets(runtime.settings)
    decisive = [BALANCE] if BALANCE in sets else sets
    days = set().union(*(_list_days(runtime, source.raw) for source in decisive))
    # Of these, an upkeep that was interrupted may have removed some answers and left others.
    return days - AnswerRetention(runtime.lake).unfinished_days


def list_unmade_days(runtime: RunContext, idle: Collection[str] = ()) -> set[dt.date]:
    """The days whose answers are stored but that lack a table made from them, except the tables of `idle`."""
    stored = functools.cache(functools.partial(_list_days, runtime))
    fetched = list_days_with_answers(runtime)
    found: set[dt.date] = set()
    for origin, made in ALWAYS_MADE:
        if storage(made).table not in idle:
            found |= (stored(origin) & fetched) - stored(made)
    for source in (*SOURCES, VALUES):
        # Some answers have no arrays.
        if (
            storage(source.intervals).table not in idle
            and storage(source.intervals).key[-1] == "interval_end"
        ):
            days = (stored(source.raw, source.shares_raw) & fetched) - stored(source.intervals)
            found |= {day for day in days if _has_rows(runtime, source, day)}
    return found


def _list_days(runtime: RunContext, model: type[Table], set_type: str = "") -> set[dt.date]:
    parts = runtime.lake.list_parts(model)
    return {
        dt.date.fromisoformat(part["local_date"])
        for part in parts
        if not set_type or part["set_type"] == set_type
    }


def _has_rows(runtime: RunContext, source: SetSource, day: dt.date) -> bool:
    """Whether interval rows of the day come out of its stored answers: they may be of other days, or be set aside."""
    answers = [batch.filter(~pl.col("no_rows")) for batch in read_answers(runtime.lake, source, day)]
    if not any(batch.height for batch in answers):
        return False
    settings = runtime.settings
    transform = SetTransform(source.set, source.intervals, settings.sma_time_basis, settings.sma_merged_hour)
    batches = transform.transform_day(answers, list_known_places(runtime.lake, source, day), day)
    return any(batch.rows.height for batch in batches)


def count_days_of_other_basis(runtime: RunContext, first: dt.date, last: dt.date) -> int:
    """The number of days from first to last with answers that were requested with another time basis than the run's."""
    of_days = pl.col("local_date").is_between(first, last)
    other = pl.col("time_basis") != runtime.settings.sma_time_basis
    found = runtime.lake.scan(RawEnergyBalance).filter(of_days, other).select(pl.col("local_date").n_unique())
    return int(found.collect(engine="streaming").item())


def list_plants_with_balance(runtime: RunContext, day: dt.date) -> pl.DataFrame:
    """The listed plants that have EnergyBalance and were in operation on the day, with the day's bounds."""
    having = find_plants_with_set(runtime.lake, BALANCE)
    plants = list_plants(runtime).filter(pl.col("plant_id").is_in(having.implode()))
    return select_in_operation(plants, day, runtime.now())


def _list_due(runtime: RunContext, first: dt.date, last: dt.date) -> pl.DataFrame:
    """The plants and days from first to last for which SMA already has all data."""
    listed, now = list_plants(runtime), runtime.now()
    unknown = find_plants_of_unknown_sets(runtime.lake, listed["plant_id"].to_list())
    having = find_plants_with_set(runtime.lake, BALANCE)
    plants = listed.filter(pl.col("plant_id").is_in([*having, *unknown]))
    closed = (
        pl.col("day_end") + pl.col("backend").replace_strict(DELAY, return_dtype=pl.Duration("us")) <= now
    )
    due = select_days_in_operation(plants, list_days(first, last), now).filter(closed)
    return due.select("plant_id", "name", "timezone", "previous_timezone", "local_date")


def _list_failed(runtime: RunContext, held: pl.Expr) -> pl.DataFrame:
    """plant_id, local_date and failed (true) where an answer of the day is missing because its request failed.

    So did the request for a plant whose owner had withdrawn the consent, where nothing of the day is stored: once the
    plant is listed again, its answer can be had.
    """
    # Sets that are no longer fetched stay as they were. Answers for months and years belong to no day.
    models = {storage(model).table: model for model in RAW if model not in (RawEnergyMonths, RawEnergyYears)}
    sources = models.keys() - list_idle_tables(runtime.settings)
    # Each set without a table of its own has a part, whose name follows the table's name.
    table = pl.col("source").str.split("-").list.first()
    reasons = pl.col("reason").is_in([REQUEST_FAILED, NOT_LISTED])
    aside = runtime.lake.scan(Quarantine).filter(held, table.is_in(sorted(sources)), reasons)
    device = pl.col("device_id").fill_null("")
    told = aside.select(*_DAY, device, "reason", table=table).unique().collect()
    # Until its plant's list said so, the requests of a device that is gone failed: nothing is missing by them.
    gone = find_removed_devices(runtime.lake, runtime.find_today())
    over = told.join(gone, on=["plant_id", "device_id"]).filter(pl.col("since") <= pl.col("local_date"))
    found = told.join(over, on=[*_DAY, "device_id"], how="anti")
    found = found.join(_find_answered_lists(runtime, found), on=found.columns, how="anti")
    found = found.drop("device_id").unique()
    failed = [found.filter(pl.col("reason") == REQUEST_FAILED).select(_DAY)]
    unlisted = found.filter(pl.col("reason") == NOT_LISTED)
    for name in unlisted["table"].unique():
        of_table = unlisted.filter(pl.col("table") == name)
        stored = runtime.lake.scan(models[name]).filter(held, ~pl.col("no_rows")).select(_DAY)
        failed.append(of_table.lazy().join(stored, on=_DAY, how="anti").select(_DAY).collect())
    return pl.concat(failed).unique().with_columns(failed=pl.lit(value=True))


def _find_answered_lists(runtime: RunContext, failed: pl.DataFrame) -> pl.DataFrame:
    """The rows of `failed` that are of a list of devices or sets which needs no request any more for that day.

    A later list says what the failed one would have said, and nobody asks for the sets of a device that its plant's
    list lacks.
    """
    frames = [failed.clear()]
    for model in (RawDevices, RawMeasurementSets):
        of_list = failed.filter(pl.col("table") == storage(model).table)
        if not of_list.height:
            continue
        first = min(of_list["local_date"].to_list())
        asked = read_last_asked(runtime.lake, model, first, runtime.find_today())
        last = asked.select(*OWNER, answered_on="local_date")
        later = of_list.join(last, on=OWNER).filter(pl.col("answered_on") > pl.col("local_date"))
        unlisted = of_list.join(find_unlisted_devices(runtime.lake), on=OWNER, how="semi")
        frames += [later.select(failed.columns), unlisted]
    return pl.concat(frames).unique()
