"""Decides which lists of devices and measurement sets are asked for. Reads the lake and makes no API calls.

What a plant has hardly changes, and asking for all of it each day would take more requests than a day's data. So a
list is asked for when its plant or device is new, when something says that it may have changed, and else once in a
cycle of days, each plant on a day of its own.
"""

import datetime as dt

import polars as pl

from pipeline.run.context import RunContext
from pipeline.run.fleet_lists.stored_lists import (
    OWNER,
    find_changed_devices,
    find_changed_plants,
    find_turns,
    read_last_asked,
)
from pipeline.run.fleet_lists.unlisted_devices import NOT_FOUND, find_unlisted_devices
from pipeline.run.measurement_sets import list_unknown_sets
from pipeline.run.plants import list_own_plants
from pipeline.sma.requests import Request
from schemas import ApiRequests, Devices, MeasurementSets, RawAnswers, RawDevices, RawMeasurementSets


def plan_plant_lists(runtime: RunContext) -> list[Request]:
    """One request for the list of plants of each credential."""
    return sorted(Request.plants(name) for name in runtime.credential_names)


def plan_device_lists(runtime: RunContext) -> list[Request]:
    """One request for every plant whose devices are to be asked for today.

    The list of plants announces other devices by another installation or other sections of a plant.
    """
    owners = list_own_plants(runtime).select("plant_id", device_id=pl.lit(""))
    if not runtime.again:
        changed = find_changed_plants(runtime.lake, *_find_cycle(runtime))
        owners = _select_due(runtime, RawDevices, owners, changed.with_columns(device_id=pl.lit("")))
    return [Request.devices(plant) for plant in owners["plant_id"]]


def plan_set_lists(runtime: RunContext) -> list[Request]:
    """One request for every plant and device whose sets are to be asked for today.

    A changed device announces other sets, of itself and of its plant. So does a set that SMA no longer finds, and a
    chosen one that nobody is known to have.
    """
    owners = _list_owners(runtime)
    if not runtime.again:
        changed = find_changed_devices(runtime.lake, *_find_cycle(runtime))
        plants = changed.with_columns(device_id=pl.lit("")).unique(OWNER, keep="last", maintain_order=True)
        changed = pl.concat([changed, plants])
        owners = _select_due(runtime, RawMeasurementSets, owners, changed)
    requests = [
        Request.device_sets(plant, device) if device else Request.plant_sets(plant)
        for plant, device in owners.rows()
    ]
    return sorted(requests)


def find_unlisted_plants(runtime: RunContext) -> frozenset[str]:
    """The plants of which no list of sets was answered within the cycle, so that nobody knows what they have."""
    asked = read_last_asked(runtime.lake, RawMeasurementSets, *_find_cycle(runtime))
    return frozenset(list_own_plants(runtime).join(asked, on="plant_id", how="anti")["plant_id"])


def count_lists(runtime: RunContext) -> int:
    """How many lists of devices and sets one cycle takes, as far as devices are known."""
    owners = _list_owners(runtime)
    return owners.height + owners.filter(pl.col("device_id") == "").height


def _list_owners(runtime: RunContext) -> pl.DataFrame:
    """plant_id and device_id of plants, of active devices, and of deactivated ones whose sets are not known.

    The past of those can still be asked for. A device that its plant's list lacks keeps the sets that are known.
    """
    plants = list_own_plants(runtime)
    known = runtime.lake.scan(MeasurementSets).filter(pl.col("device_id").is_not_null()).collect()
    devices = runtime.lake.scan(Devices).collect().join(plants, on="plant_id", how="semi")
    devices = devices.join(find_unlisted_devices(runtime.lake), on=OWNER, how="anti", maintain_order="left")
    active = pl.col("is_active").fill_null(value=True)
    retired = devices.filter(~active).join(known, on=OWNER, how="anti")
    owners = [plants.select("plant_id", device_id=pl.lit(""))]
    return pl.concat([*owners, devices.filter(active).select(OWNER), retired.select(OWNER)])


def _find_cycle(runtime: RunContext) -> tuple[dt.date, dt.date]:
    """The first and the last day of answers that say what is still known."""
    today = runtime.find_today()
    return today - dt.timedelta(days=runtime.settings.lists_cycle_days), today


def _select_due(
    runtime: RunContext, model: type[RawAnswers], owners: pl.DataFrame, changed: pl.DataFrame
) -> pl.DataFrame:
    """The owners that did not answer since their turn, or since something changed; `changed` has owners and moments."""
    today, cycle = runtime.find_today(), runtime.settings.lists_cycle_days
    asked = read_last_asked(runtime.lake, model, *_find_cycle(runtime))
    turns = find_turns(owners["plant_id"].unique(maintain_order=True).to_list(), today, cycle)
    moments = changed.rename({"local_date": "changed_on", "fetched_at": "changed_at"})
    known = (
        owners.join(asked, on=OWNER, how="left", maintain_order="left")
        .join(turns, on="plant_id", how="left", maintain_order="left")
        .join(moments, on=OWNER, how="left", maintain_order="left")
    )
    day, at = pl.col("local_date"), pl.col("fetched_at")
    on, changed_at = pl.col("changed_on"), pl.col("changed_at")
    due = [day.is_null(), day < pl.col("turn"), day < on, (day == on) & (at < changed_at)]
    if model is RawDevices:
        lost = _find_lost_devices(runtime, asked).with_columns(lost=True)
        known = known.join(lost, on="plant_id", how="left", maintain_order="left")
        due.append(pl.col("lost"))
    if model is RawMeasurementSets:
        lost = _find_lost_sets(runtime, asked).with_columns(lost=True)
        known = known.join(lost, on=OWNER, how="left", maintain_order="left")
        due.append(pl.col("lost"))
        if list_unknown_sets(runtime):
            due.append(day < today)
    return known.filter(pl.any_horizontal(one.fill_null(value=False) for one in due)).select(OWNER)


def _find_lost_devices(runtime: RunContext, asked: pl.DataFrame) -> pl.DataFrame:
    """plant_id of those with a device that SMA did not find after their last list of devices, for the first time."""
    found = _read_not_found(runtime, asked).filter(pl.col("device_id") != "")
    moments = asked.select("plant_id", "fetched_at").lazy()
    return (
        found.join(moments, on="plant_id")
        .group_by(OWNER)
        .agg((pl.col("asked_at") > pl.col("fetched_at")).all().alias("is_news"))
        .filter("is_news")
        .select("plant_id")
        .unique()
        .collect()
    )


def _find_lost_sets(runtime: RunContext, asked: pl.DataFrame) -> pl.DataFrame:
    """plant_id and device_id of those of which SMA no longer found a set after their last list, for the first time.

    A set that it did not find before that either is no news: the list still names it.
    """
    after = pl.col("asked_at") > pl.col("fetched_at")
    found = _read_not_found(runtime, asked).join(asked.lazy(), on=OWNER)
    return (
        found.group_by(*OWNER, "set_type")
        .agg(after.all())
        .filter("asked_at")
        .select(OWNER)
        .unique()
        .collect()
    )


def _read_not_found(runtime: RunContext, asked: pl.DataFrame) -> pl.LazyFrame:
    """plant_id, device_id, set_type and asked_at of measurements that SMA did not find since the first of these lists.

    There is nothing to look at where no list was answered.
    """
    since = asked["fetched_at"].min()
    first = since.date() if isinstance(since, dt.datetime) else runtime.find_today()
    missed = runtime.lake.scan(ApiRequests).filter(
        pl.col("asked_date") >= first,
        pl.col("status") == NOT_FOUND,
        pl.col("endpoint") == "measurements",
    )
    return missed.select(*OWNER, "set_type", "asked_at")
