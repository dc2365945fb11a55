"""Which measurement sets a run asks for, of those that `schemas.sets` declares and of all others.

Which sets there are is the API's to say (`measurement_sets`): one without a table of its own is kept by
`pipeline.transform.generic_intervals`.
"""

import polars as pl

from pipeline.common.errors import UsageError
from pipeline.common.setting_values import SET_NAME
from pipeline.common.settings import Settings
from pipeline.run.context import RunContext
from schemas import (
    GridCommands,
    GridSchedules,
    MeasurementSets,
    OtherIntervals,
    RawAnswers,
    RawDeviceLogs,
    RawGridSchedules,
    RawLogs,
    RawOtherSets,
    Table,
    storage,
)
from schemas.quantities import MeasurementSet, SetSource
from schemas.sets import BALANCE, PV, SETS, SOURCES, VALUES
from warehouse.lake import Lake

__all__ = [
    "ALL",
    "BALANCE",
    "PV",
    "SETS",
    "SOURCES",
    "VALUES",
    "SetSource",
    "asks_for_others",
    "build_other_set",
    "check_sets",
    "choose_sets",
    "find_odd_sets",
    "find_plants_with_set",
    "list_idle_tables",
    "list_other_sets",
    "list_unknown_sets",
]

ALL = "all"
_WITH_TABLE = {source.set.name.lower() for source in SETS}


def build_other_set(name: str) -> SetSource:
    """The way of a set that has no table of its own."""
    return SetSource(MeasurementSet(name, ()), RawOtherSets, OtherIntervals, of_devices=None)


def choose_sets(settings: Settings) -> tuple[SetSource, ...]:
    """The sets with a table of their own that a run asks for."""
    names = _name_chosen(settings)
    found = tuple(source for source in SETS if ALL in names or source.set.name.lower() in names)
    return (*found, VALUES) if settings.energy_values == "on" else found


def list_other_sets(runtime: RunContext) -> list[str]:
    """The sets without a table of their own that are offered and chosen; all of them where none is named."""
    names = _name_chosen(runtime.settings)
    named = set() if ALL in names else names - _WITH_TABLE
    found = [
        name
        for name in _list_offered(runtime)
        if name.lower() not in _WITH_TABLE and SET_NAME.fullmatch(name)
    ]
    return [name for name in found if not named or name.lower() in named]


def find_odd_sets(runtime: RunContext) -> list[tuple[str, str]]:
    """Plant and name of the sets whose name can't be part of a request or a folder."""
    sets = runtime.lake.scan(MeasurementSets).select("plant_id", "set_type").unique().collect()
    return sorted((plant, name) for plant, name in sets.rows() if not SET_NAME.fullmatch(name))


def find_plants_with_set(lake: Lake, source: SetSource) -> pl.Series:
    """plant_id of the plants that have the set themselves, by their newest lists; devices that have it do not count."""
    of_plants = pl.col("device_id").is_null() & (pl.col("set_type") == source.set.name)
    return lake.read_whole(MeasurementSets).filter(of_plants)["plant_id"].unique()


def asks_for_others(settings: Settings) -> bool:
    """Whether a run asks for sets without a table of their own."""
    return bool(_name_chosen(settings) - _WITH_TABLE)


def list_idle_tables(settings: Settings) -> frozenset[str]:
    """The tables that a run leaves alone, because nothing new is asked for them."""
    wanted = {source.raw for source in choose_sets(settings)}
    idle: list[type[Table]] = []
    for source in (*SOURCES, VALUES):
        if source.shares_raw:
            idle += [] if _name_chosen(settings) & {ALL, source.set.name.lower()} else [source.intervals]
        elif source.raw not in wanted:
            idle += [source.raw, source.intervals]
    if not asks_for_others(settings):
        idle += [RawOtherSets, OtherIntervals]
    if settings.grid_control == "off":
        idle += [RawGridSchedules, GridSchedules, GridCommands]
    return frozenset(storage(model).table for model in [*idle, *_list_idle_logs(settings)])


def check_sets(runtime: RunContext) -> None:
    """Raise UsageError for a chosen set that no plant and no device has."""
    if unknown := list_unknown_sets(runtime):
        offered = ", ".join(_list_offered(runtime))
        written = next(name for name in runtime.settings.sets.split(",") if name.lower() == unknown[0])
        raise UsageError(f"No plant and no device has a set {written!r}: choose from {offered}, or {ALL}.")


def list_unknown_sets(runtime: RunContext) -> list[str]:
    """The chosen sets that have no table of their own, and that no plant and no device is known to have."""
    offered = {name.lower() for name in _list_offered(runtime)}
    return sorted(_name_chosen(runtime.settings) - offered - _WITH_TABLE - {ALL})


def _list_idle_logs(settings: Settings) -> list[type[RawAnswers]]:
    idle: dict[str, list[type[RawAnswers]]] = {"none": [RawLogs, RawDeviceLogs], "plants": [RawDeviceLogs]}
    return idle.get(settings.logs, [])


def _name_chosen(settings: Settings) -> set[str]:
    return {name.lower() for name in settings.sets.split(",")}


def _list_offered(runtime: RunContext) -> list[str]:
    """The sets that any plant or device has."""
    sets = runtime.lake.scan(MeasurementSets).select(pl.col("set_type").unique().sort()).collect()
    return sets["set_type"].to_list()
