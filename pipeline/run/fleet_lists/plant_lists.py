"""The stored lists of plants: the newest one of each credential, and which credentials list a plant."""

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache

import polars as pl

from pipeline.common.errors import SunledgerError
from pipeline.run.fleet_lists.stored_lists import list_past_days
from pipeline.transform.lists import inventory
from schemas import RawPlants, storage
from warehouse.lake import Lake

# A credential that gave no list for so many days of lists shows no plants any more.
LISTS_KEPT = 31
# A plant that left the list is asked for by its former credential for so many days of lists.
FORMER_LISTS = 8
_COLUMNS = ["plant_id", "device_id", "body"]


def read_plant_lists(
    lake: Lake, names: Sequence[str], today: dt.date, of: dt.date | None = None
) -> tuple[dt.date, pl.DataFrame]:
    """The newest list of each of these credentials, or those of a day, and the newest day on which one was fetched.

    Lists of days after `today` are left out: they were fetched by a clock that was ahead.
    The name is empty where there is one credential without a name. The frame has plant_id, device_id (of a list: its
    credential), body and local_date, and the answers for plants that moved on the newest day. Raises SunledgerError
    where no list is stored.
    """
    found = _find_lists(lake, names, today, of)
    if found is None:
        raise SunledgerError(f"The table {storage(RawPlants).table} is empty: fetch it first.")
    return found


def _find_lists(
    lake: Lake, names: Sequence[str], today: dt.date, of: dt.date | None = None
) -> tuple[dt.date, pl.DataFrame] | None:
    days = list_past_days(lake, RawPlants, today) if of is None else [of]
    found: list[pl.DataFrame] = []
    newest: dt.date | None = None
    lacking = set(names)
    for day in reversed(days[-LISTS_KEPT:]):
        if not lacking:
            break
        answers = pl.concat(lake.read_batches(RawPlants, {"local_date": day}, columns=_COLUMNS))
        lists = pl.col("plant_id") == ""
        wanted = answers.filter(lists, pl.col("device_id").is_in(sorted(lacking)))
        if not wanted.height:
            continue
        if newest is None:
            newest = day
            wanted = pl.concat([wanted, answers.filter(~lists)])
        found.append(wanted.with_columns(local_date=pl.lit(day)))
        lacking -= set(wanted.filter(lists)["device_id"])
    return None if newest is None else (newest, pl.concat(found))


def list_newest_ids(lake: Lake, names: Sequence[str], today: dt.date) -> frozenset[str] | None:
    """The plants of the newest lists of these credentials; None when no list is stored."""
    version = lake.take_snapshot(RawPlants).version
    return None if version < 0 else _list_ids(lake, version, tuple(names), today)


def find_listing_credentials(
    lake: Lake, names: Sequence[str], plants: Collection[str], today: dt.date
) -> dict[str, tuple[str, ...]]:
    """The credentials whose newest list shows each of these plants, in the order of `names`.

    Of a plant that left all lists lately, those that showed it last. A plant that no list shows is left out. The lake
    is looked at once for all of them.
    """
    version = lake.take_snapshot(RawPlants).version
    if version < 0:
        return {}
    found = _select_keys(_map_newest(lake, version, tuple(names), today), plants)
    if others := set(plants) - found.keys():
        found |= _select_keys(_map_former(lake, version, tuple(names), today), others)
    return found


def _select_keys(mapping: Mapping[str, tuple[str, ...]], keys: Collection[str]) -> dict[str, tuple[str, ...]]:
    return {key: mapping[key] for key in keys if key in mapping}


def find_doubles(lake: Lake, names: Sequence[str], today: dt.date) -> Mapping[str, tuple[str, ...]]:
    """The plants that the newest lists of several credentials show, with these credentials in their order."""
    _, answers = read_plant_lists(lake, names, today)
    found = _map_answers(answers, names)
    return {plant: listing for plant, listing in sorted(found.items()) if len(listing) > 1}


def _map_answers(answers: pl.DataFrame, names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """plant_id -> those of `names` whose list among these answers shows it."""
    found: dict[str, tuple[str, ...]] = {}
    for name in names:
        for plant in _list_plants_of(answers, name):
            found[plant] = _add_name(found.get(plant, ()), name)
    return found


@lru_cache(maxsize=256)
def _add_name(listing: tuple[str, ...], name: str) -> tuple[str, ...]:
    """One tuple for all plants that the same credentials list."""
    return (*listing, name)


def _list_plants_of(answers: pl.DataFrame, name: str) -> list[str]:
    own = answers.filter(pl.col("plant_id") == "", pl.col("device_id") == name)
    return list(inventory.list_plant_ids(own)) if own.height else []


@lru_cache(maxsize=1)
def _list_ids(lake: Lake, _version: int, names: tuple[str, ...], today: dt.date) -> frozenset[str] | None:
    """The ids, read once for each version of the table: every fetching step asks for them."""
    found = _find_lists(lake, names, today)
    return None if found is None else frozenset(inventory.list_plant_ids(found[1]))


@lru_cache(maxsize=1)
def _map_newest(
    lake: Lake, _version: int, names: tuple[str, ...], today: dt.date
) -> Mapping[str, tuple[str, ...]]:
    found = _find_lists(lake, names, today)
    return {} if found is None else _map_answers(found[1], names)


@lru_cache(maxsize=1)
def _map_former(
    lake: Lake, _version: int, names: tuple[str, ...], today: dt.date
) -> Mapping[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for day in reversed(list_past_days(lake, RawPlants, today)[-FORMER_LISTS:]):
        answers = pl.concat(lake.read_batches(RawPlants, {"local_date": day}, columns=_COLUMNS))
        found = _map_answers(answers, names) | found
    return found
