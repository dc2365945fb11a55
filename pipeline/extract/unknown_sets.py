"""Notes each day of plants whose list of measurement sets never came, so that the day has them as missing."""

import datetime as dt
from collections.abc import Sequence
from typing import NamedTuple

import polars as pl

from pipeline.run.context import RunContext
from pipeline.run.fleet_lists.unanswered_lists import find_plants_of_unknown_sets
from pipeline.run.measurement_sets import BALANCE, find_plants_with_set
from pipeline.run.notices import MissingItem, Notices
from pipeline.run.plants import list_plants, select_days_in_operation
from pipeline.run.step import REQUEST_FAILED, build_quarantine_part, quarantine
from pipeline.transform.batch_account import build_quarantine
from pipeline.transform.lists.plant_moves import find_successors, take_new_ids
from schemas import Plants, Quarantine, RawEnergyBalance, storage

_REASON = (
    "its energy was not asked for, because SMA has never answered with the list of its measurement sets; the next run "
    "asks for that list again"
)


class DayNotes(NamedTuple):
    """The plants of a day whose sets are `unknown`, and those that its `quarantine` has for that reason already."""

    unknown: frozenset[str]
    noted: frozenset[str]


def note_unknown_sets(runtime: RunContext, days: Sequence[dt.date]) -> dict[dt.date, Notices]:
    """Set apart in `quarantine` whose EnergyBalance of these days can't be asked for; what is missing, by day.

    They are plants of the run that were in operation on the day. Notes of plants that have no EnergyBalance by a list
    that came since are removed; those of others go when the day is fetched.
    """
    return {day: _note_day(runtime, day, notes) for day, notes in _read_notes(runtime, days).items()}


def find_days_to_note(runtime: RunContext, days: Sequence[dt.date]) -> set[dt.date]:
    """Those of these days that `note_unknown_sets` would change."""
    return {day for day, notes in _read_notes(runtime, days).items() if notes.unknown != notes.noted}


def _note_day(runtime: RunContext, day: dt.date, notes: DayNotes) -> Notices:
    if notes.unknown != notes.noted:
        rows = pl.DataFrame(
            [(plant, "", REQUEST_FAILED, _REASON) for plant in sorted(notes.unknown)],
            schema=dict.fromkeys(("plant_id", "device_id", "reason", "detail"), pl.String),
            orient="row",
        )
        found = build_quarantine(rows, "answer", RawEnergyBalance, day)
        quarantine(runtime, RawEnergyBalance, day, found, plants={*notes.unknown, *notes.noted})
    table = storage(RawEnergyBalance).table
    return Notices.of(MissingItem(str(day), table, plant, _REASON) for plant in sorted(notes.unknown))


def _read_notes(runtime: RunContext, days: Sequence[dt.date]) -> dict[dt.date, DayNotes]:
    """The notes of each day, of plants that the run may ask for and that have no EnergyBalance as far as is known."""
    plants = list_plants(runtime)
    unknown = find_plants_of_unknown_sets(runtime.lake, plants["plant_id"].to_list())
    places = select_days_in_operation(
        plants.filter(pl.col("plant_id").is_in(sorted(unknown))), days, runtime.now()
    )
    without = set(plants["plant_id"]) - set(find_plants_with_set(runtime.lake, BALANCE))
    return {
        day: DayNotes(
            frozenset(places.filter(pl.col("local_date") == day)["plant_id"])
            - (_list_answered_before_moves(runtime, day) if unknown else frozenset()),
            _list_noted(runtime, day) & without,
        )
        for day in days
    }


def _list_answered_before_moves(runtime: RunContext, day: dt.date) -> frozenset[str]:
    """The newest ids of plants that answered for the day by an id that they had before they moved."""
    moved = find_successors(runtime.lake.read_whole(Plants))
    part = {"local_date": day}
    answered: set[str] = set()
    for batch in (
        runtime.lake.read_batches(RawEnergyBalance, part, columns=["plant_id"]) if moved.height else ()
    ):
        answered |= set(take_new_ids(batch, moved).filter(pl.col("moves_since") > 0)["plant_id"])
    return frozenset(answered)


def _list_noted(runtime: RunContext, day: dt.date) -> frozenset[str]:
    part = build_quarantine_part(RawEnergyBalance, day)
    batches = runtime.lake.read_batches(Quarantine, part, columns=["plant_id", "detail"])
    return frozenset(
        plant for batch in batches for plant in batch.filter(pl.col("detail") == _REASON)["plant_id"]
    )
