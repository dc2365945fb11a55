"""Finds the answers that some days still lack, and plans the requests. Reads the lake and makes no API calls."""

import datetime as dt
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeAlias

import polars as pl

from pipeline.extract import request_plan
from pipeline.extract.request_plan import FetchPlan, KnownDay, PlannedRequest
from pipeline.extract.unknown_sets import find_days_to_note
from pipeline.run.context import RunContext
from pipeline.run.fleet_lists.stored_lists import OWNER
from pipeline.run.fleet_lists.unlisted_devices import find_removed_devices
from pipeline.run.measurement_sets import (
    BALANCE,
    SetSource,
    asks_for_others,
    build_other_set,
    choose_sets,
    list_other_sets,
)
from pipeline.run.plants import compute_delay, list_plants, select_days_in_operation
from pipeline.run.step import build_quarantine_part, build_raw_part
from pipeline.run.step_result import StepResult
from pipeline.run.unchanged_steps import UnchangedSteps
from pipeline.transform.lists.plant_moves import find_successors, take_new_ids
from schemas import Devices, MeasurementSets, Plants, Quarantine, RawAnswers, RawDeviceLogs, RawLogs
from warehouse.lake_reader import build_empty_frame
from warehouse.lake_trace import watch_lake

# The name under which it is kept that a day lacked nothing.
PLANNED = "requests"
# Days are planned together while the fleet has no more plants and days than this, with some devices each: that many
# rows take some MB.
PLANT_DAYS_AT_ONCE = 5_000
# The plants or devices of some days: local_date, plant_id, device_id (empty for a plant), timezone, backend, day_end.
Places: TypeAlias = Callable[[Sequence[dt.date]], pl.DataFrame]
_OF_DAY = ["local_date", "plant_id", "device_id"]
_PLACE = [*_OF_DAY, "timezone", "previous_timezone", "day_end", "delay"]
_FACTS = [
    "plant_id",
    "device_id",
    "request_date",
    "time_basis",
    "asked_timezone",
    "fetched_at",
    "final",
    "no_rows",
]


def plan_missing(runtime: RunContext, week: Sequence[dt.date]) -> Iterator[FetchPlan]:
    """The requests for all missing answers of the days that the settings choose."""
    for source in choose_sets(runtime.settings):
        yield plan_set(runtime, source, week)
    if asks_for_others(runtime.settings):
        for name in list_other_sets(runtime):
            yield plan_set(runtime, build_other_set(name), week)
    if runtime.settings.logs != "none":
        yield plan_plant_logs(runtime, week)
    if runtime.settings.logs == "devices":
        yield plan_device_logs(runtime, week)


def find_lacking_days(runtime: RunContext, days: Sequence[dt.date]) -> set[dt.date]:
    """The days of which some answer is to be asked for, or is to be noted as one that can't be asked for.

    Days that were found to lack nothing are not planned again.
    """
    unchanged = UnchangedSteps.of(runtime)
    states = unchanged.find_states()
    unknown = [day for day in days if unchanged.find(PLANNED, day, states) is None]
    found: set[dt.date] = set()
    for week in request_plan.group_by_week(unknown):
        with watch_lake() as trace:
            plans = list(plan_missing(runtime, week))
            lacking = find_days_to_note(runtime, week) if BALANCE in choose_sets(runtime.settings) else set()
        lacking |= {day for plan in plans for one in plan.requests for day in one.days}
        for day in week:
            if day not in lacking:
                unchanged.keep(unchanged.hold(PLANNED, day, StepResult(), trace))
        found |= lacking
    return found


def find_unanswered_plants(runtime: RunContext, days: Sequence[dt.date]) -> frozenset[str]:
    """The plants that were never asked for some answer that these days need.

    A request that failed has its row in `quarantine`; an answer that may have grown since is stored.
    """
    found: set[str] = set()
    for week in request_plan.group_by_week(days):
        for plan in plan_missing(runtime, week):
            for day in week:
                lacking = {
                    (one.request.plant_id, one.request.device_id) for one in plan.requests if day in one.days
                }
                if lacking:
                    stored = _read_stored(runtime, plan.model, plan.set_type, [day])
                    aside = _read_aside(runtime, plan.model, plan.set_type, [day])
                    known = pl.concat([stored.select(OWNER), aside.select(OWNER)])
                    found.update(plant for plant, _ in lacking - set(known.iter_rows()))
    return frozenset(found)


def plan_set(
    runtime: RunContext, source: SetSource, week: Sequence[dt.date], *, by_week: bool = True
) -> FetchPlan:
    """The requests for a set's missing answers, for every plant or device that has it and was in operation."""

    def plan(series: list[request_plan.Series]) -> list[PlannedRequest]:
        name, basis = source.set.name, runtime.settings.sma_time_basis
        if source.energies:
            return request_plan.plan_energies(series, name, basis)
        return request_plan.plan_measurements(series, name, basis, by_week=by_week)

    return _plan_requests(
        runtime,
        source.raw,
        week,
        lambda days: _list_places_with_set(runtime, source, days),
        plan,
        source.shares_raw,
    )


def count_series(runtime: RunContext, day: dt.date) -> pl.DataFrame:
    """plant_id and series: how many answers of a day the settings choose of each plant and its devices.

    What is stored already counts too.
    """
    sources = list(choose_sets(runtime.settings))
    if asks_for_others(runtime.settings):
        sources += map(build_other_set, list_other_sets(runtime))
    places = [_list_places_with_set(runtime, source, [day]) for source in sources]
    if runtime.settings.logs != "none":
        places.append(_list_places_with_log(runtime, [day]))
    if runtime.settings.logs == "devices":
        places.append(_list_devices_with_log(runtime, [day]))
    plants = pl.concat(
        [pl.DataFrame(schema={"plant_id": pl.String}), *(one.select("plant_id") for one in places)]
    )
    return plants.group_by("plant_id").agg(pl.len().cast(pl.Int64).alias("series"))


def plan_plant_logs(runtime: RunContext, week: Sequence[dt.date]) -> FetchPlan:
    """The requests for the missing answers of every plant's log."""
    return _plan_logs(runtime, RawLogs, week, partial(_list_places_with_log, runtime))


def plan_device_logs(runtime: RunContext, week: Sequence[dt.date]) -> FetchPlan:
    """The requests for the missing answers of every device's own log."""
    return _plan_logs(runtime, RawDeviceLogs, week, partial(_list_devices_with_log, runtime))


def _plan_logs(
    runtime: RunContext, model: type[RawAnswers], week: Sequence[dt.date], places: Places
) -> FetchPlan:
    basis = runtime.settings.sma_time_basis
    return _plan_requests(runtime, model, week, places, lambda series: request_plan.plan_logs(series, basis))


def _plan_requests(
    runtime: RunContext,
    model: type[RawAnswers],
    week: Sequence[dt.date],
    places: Places,
    plan: Callable[[list[request_plan.Series]], list[PlannedRequest]],
    set_type: str = "",
) -> FetchPlan:
    seen = name_stored_answers(runtime, model)
    lacking: list[pl.DataFrame] = []
    days: dict[dt.date, KnownDay] = {}
    for some in _group_days(runtime, week):
        of_days = places(some).with_columns(compute_delay(runtime.settings)).select(_PLACE)
        stored = _read_stored(runtime, model, set_type, some)
        days |= _describe_days(runtime, some, of_days, stored)
        if not runtime.again:
            known = _find_settled(runtime, _read_aside(runtime, model, set_type, some), of_days, stored)
            of_days = of_days.join(known, on=_OF_DAY, how="anti")
        lacking.append(of_days.select(*_OF_DAY, "timezone"))
    frame = pl.concat(lacking)
    zones = dict(frame.select("plant_id", "timezone").unique().iter_rows())
    return FetchPlan(model, plan(request_plan.collect_series(frame)), days, zones, set_type, seen)


def _group_days(runtime: RunContext, days: Sequence[dt.date]) -> Iterator[Sequence[dt.date]]:
    """The days that are planned in the same frames: many of a small fleet, of which each query costs more than rows."""
    at_once = max(1, PLANT_DAYS_AT_ONCE // max(1, list_plants(runtime).height))
    for begin in range(0, len(days), at_once):
        yield days[begin : begin + at_once]


def _describe_days(
    runtime: RunContext, days: Sequence[dt.date], places: pl.DataFrame, stored: pl.DataFrame
) -> dict[dt.date, KnownDay]:
    """The known facts about each day.

    Plants share a value, and days the ids: one for each plant and day took 20 MB of a week of 10,000 plants.
    """
    final_after: dict[dt.date, dict[str, dt.datetime]] = {day: {} for day in days}
    zones: dict[dt.date, dict[str, str]] = {day: {} for day in days}
    with_rows: dict[dt.date, list[tuple[str, str, str]]] = {day: [] for day in days}
    shared: dict[Any, Any] = {}
    of_plants = places.select("local_date", "plant_id", "timezone", pl.col("day_end") + pl.col("delay"))
    for day, plant, zone, final in of_plants.unique().iter_rows():
        name = sys.intern(plant)
        final_after[day][name] = shared.setdefault(final, final)
        zones[day][name] = shared.setdefault(zone, zone)
    answered = stored.filter(~pl.col("no_rows")).select(*_OF_DAY, "request_date")
    for day, *answer in answered.iter_rows():
        with_rows[day].append(tuple(answer))
    basis = runtime.settings.sma_time_basis
    return {day: KnownDay(basis, final_after[day], frozenset(with_rows[day]), zones[day]) for day in days}


def name_stored_answers(runtime: RunContext, model: type[RawAnswers]) -> tuple[int, ...]:
    """The versions of the tables that say which answers are stored or were set aside. Raises UnreadableLogError."""
    return tuple(runtime.lake.find_version(table) for table in (model, Quarantine))


def _read_stored(
    runtime: RunContext, model: type[RawAnswers], set_type: str, days: Sequence[dt.date]
) -> pl.DataFrame:
    """The known facts about the stored answers of some days, with local_date."""
    empty = build_empty_frame(model, [*_FACTS, "local_date"]).select(*_FACTS, "local_date")
    return pl.concat(
        [
            empty,
            *(
                frame.with_columns(local_date=pl.lit(day))
                for day in days
                for frame in runtime.lake.read_batches(model, build_raw_part(day, set_type), columns=_FACTS)
            ),
        ]
    )


def _find_settled(
    runtime: RunContext, doubtful: pl.DataFrame, places: pl.DataFrame, stored: pl.DataFrame
) -> pl.DataFrame:
    """The days of plants and devices that need not be fetched again.

    They are stored and final, or were read so recently that nothing is new. Not so when the last answer was set aside,
    which `doubtful` says; nor where the dates to ask for depend on a time zone that was corrected since.
    """
    basis = runtime.settings.sma_time_basis
    same_basis = (pl.col("time_basis") == basis).alias("same_basis")
    if basis == "utc":
        zones = places.select("local_date", "plant_id", now="timezone", before="previous_timezone").unique()
        same_zone = pl.coalesce("asked_timezone", "before", "now") == pl.col("now")
        # Ids that plants had before they moved are no longer in any list, so their zones stay as they are.
        stored = stored.join(zones, on=["local_date", "plant_id"], how="left").filter(
            pl.col("now").is_null() | same_zone
        )
    read = stored.group_by(_OF_DAY).agg(pl.col("final").all(), same_basis.all(), pl.col("fetched_at").max())
    now = pl.lit(runtime.now())
    growing = now < pl.col("day_end") + pl.col("delay")
    lately = growing & (now < pl.col("fetched_at") + pl.col("delay"))
    known = read.join(places, on=_OF_DAY).filter("same_basis", pl.col("final") | lately)
    moved = _read_before_a_move(runtime, stored.with_columns(same_basis), doubtful)
    return pl.concat(
        [
            known.join(doubtful, on=_OF_DAY, how="anti").select(_OF_DAY),
            places.join(moved, on=["local_date", "plant_id"], how="semi").select(_OF_DAY),
        ]
    )


def _read_aside(
    runtime: RunContext, model: type[RawAnswers], set_type: str, days: Sequence[dt.date]
) -> pl.DataFrame:
    """local_date, plant_id and device_id, empty for a plant, of what was set aside of some days in `quarantine`."""
    empty = build_empty_frame(Quarantine, _OF_DAY).select(_OF_DAY)
    names = ["plant_id", "device_id"]
    found = (
        frame.select(pl.lit(day).alias("local_date"), *names)
        for day in days
        for frame in runtime.lake.read_batches(
            Quarantine, build_quarantine_part(model, day, set_type), columns=names
        )
    )
    return pl.concat([empty, *found]).with_columns(pl.col("device_id").fill_null(""))


def _read_before_a_move(runtime: RunContext, stored: pl.DataFrame, doubtful: pl.DataFrame) -> pl.DataFrame:
    """The days of plants that are stored and final under the id that these had before they moved."""
    keys = ["local_date", "plant_id"]
    moved = find_successors(runtime.lake.read_whole(Plants))
    if not moved.height:
        return stored.select(keys).clear()
    old = take_new_ids(stored.join(doubtful, on=keys, how="anti"), moved).filter(pl.col("moves_since") > 0)
    whole = old.group_by(keys).agg(
        (pl.col("final") & pl.col("same_basis")).all().alias("final"),
        (~pl.col("no_rows")).any().alias("rows"),
    )
    return whole.filter("final", "rows").select(keys)


def _list_places_with_set(runtime: RunContext, source: SetSource, days: Sequence[dt.date]) -> pl.DataFrame:
    """The plants or devices to request: listed, in operation on the day, and known to have the set; with local_date."""
    plants = select_days_in_operation(list_plants(runtime), days, runtime.now())
    sets = runtime.lake.scan(MeasurementSets).filter(pl.col("set_type") == source.set.name)
    if source.of_devices is not None:
        sets = sets.filter(pl.col("device_id").is_not_null() == source.of_devices)
    having = sets.collect().join(plants, on="plant_id")
    return _drop_deactivated(runtime, having).with_columns(pl.col("device_id").fill_null(""))


def _list_places_with_log(runtime: RunContext, days: Sequence[dt.date]) -> pl.DataFrame:
    """The plants to request the log of: listed and in operation on the day."""
    plants = select_days_in_operation(list_plants(runtime), days, runtime.now())
    return plants.with_columns(device_id=pl.lit(""))


def _list_devices_with_log(runtime: RunContext, days: Sequence[dt.date]) -> pl.DataFrame:
    """The devices to request the log of: those of plants in operation, in operation themselves on the day."""
    plants = select_days_in_operation(list_plants(runtime), days, runtime.now())
    devices = runtime.lake.read_whole(Devices).select("plant_id", "device_id")
    return _drop_deactivated(runtime, devices.join(plants, on="plant_id"))


def _drop_deactivated(runtime: RunContext, devices: pl.DataFrame) -> pl.DataFrame:
    """The days of devices that were not deactivated before the day or exactly at its beginning.

    Without those either that moved to another plant, or that SMA neither lists nor finds any more since the day.
    """
    midnight = pl.col("local_date").cast(pl.Datetime("us"))
    ended = runtime.lake.scan(Devices).select(*OWNER, since="deactivated_at").drop_nulls().collect()
    removed = find_removed_devices(runtime.lake, runtime.find_today())
    for gone in (ended, removed):
        if gone.height:
            of_gone = devices.select(_OF_DAY).join(gone, on=OWNER)
            over = of_gone.filter(pl.col("since").cast(pl.Datetime("us")) <= midnight)
            devices = devices.join(over, on=_OF_DAY, how="anti")
    return devices
