"""Every measurement set's way through the tables, and which of them a run asks for.

A set is one line here. Which sets there are is the API's to say (`measurement_sets`): one that has no line is kept by
`pipeline.transform.generic_intervals`.
"""

from dataclasses import dataclass, replace

import polars as pl

from pipeline.common.errors import UsageError
from pipeline.common.settings import SET_NAME, Settings
from pipeline.run.context import Runtime
from schemas import (
    AcIntervals,
    BatteryIntervals,
    BatteryStackIntervals,
    ConsumptionIntervals,
    DcDeviceIntervals,
    DcEnergyIntervals,
    DcIntervals,
    EnergyBalanceIntervals,
    EnergyMixIntervals,
    EnergyValueIntervals,
    GridIntervals,
    MeasurementSets,
    OtherIntervals,
    PvIntervals,
    RawAc,
    RawAnswers,
    RawBattery,
    RawConsumption,
    RawDc,
    RawDcEnergy,
    RawDeviceLogs,
    RawEnergyBalance,
    RawEnergyMix,
    RawEnergyValues,
    RawGrid,
    RawLogs,
    RawOtherSets,
    RawPv,
    RawSensor,
    SensorIntervals,
    Table,
    storage,
)
from schemas import sets as kinds
from schemas.quantities import ENERGY_AND_POWER_PV, ENERGY_BALANCE, MeasurementSet


@dataclass(frozen=True, slots=True)
class SetSource:
    """A measurement set's way through the tables."""

    set: MeasurementSet
    raw: type[RawAnswers]
    intervals: type[Table]
    # None: plants and devices may both have it.
    of_devices: bool | None
    # Whether it is asked for as energies of the intervals, not as mean power.
    energies: bool = False

    @property
    def shares_raw(self) -> str:
        """The set's name where its raw table holds other sets as well, else nothing."""
        return self.set.name if "set_type" in storage(self.raw).partition else ""


BALANCE = SetSource(ENERGY_BALANCE, RawEnergyBalance, EnergyBalanceIntervals, of_devices=False)
PV = SetSource(ENERGY_AND_POWER_PV, RawPv, PvIntervals, of_devices=True)


ALL = "all"

BATTERY = SetSource(kinds.BATTERY, RawBattery, BatteryIntervals, of_devices=True)
STACKS = replace(BATTERY, intervals=BatteryStackIntervals)
DC = SetSource(kinds.POWER_DC, RawDc, DcIntervals, of_devices=True)
DC_DEVICES = replace(DC, intervals=DcDeviceIntervals)

# Each is asked for by itself; where a set fills several tables, its further ones are not listed here.
SETS = (
    BALANCE,
    PV,
    BATTERY,
    SetSource(kinds.IN_OUT, RawGrid, GridIntervals, of_devices=True),
    SetSource(kinds.CONSUMPTION, RawConsumption, ConsumptionIntervals, of_devices=True),
    SetSource(kinds.ENERGY_MIX, RawEnergyMix, EnergyMixIntervals, of_devices=True),
    SetSource(kinds.POWER_AC, RawAc, AcIntervals, of_devices=True),
    DC,
    SetSource(kinds.ENERGY_DC, RawDcEnergy, DcEnergyIntervals, of_devices=True),
    SetSource(kinds.SENSOR, RawSensor, SensorIntervals, of_devices=True),
)
SOURCES = (*SETS, STACKS, DC_DEVICES)
# The plants' own set once more, in SMA's energies.
VALUES = SetSource(
    kinds.BALANCE_ENERGIES, RawEnergyValues, EnergyValueIntervals, of_devices=False, energies=True
)
_WITH_TABLE = {source.set.name.lower() for source in SETS}


def other(name: str) -> SetSource:
    """The way of a set that has no table of its own."""
    return SetSource(MeasurementSet(name, ()), RawOtherSets, OtherIntervals, of_devices=None)


def chosen(settings: Settings) -> tuple[SetSource, ...]:
    """The sets with a table of their own that a run asks for."""
    names = _names(settings)
    found = tuple(source for source in SETS if ALL in names or source.set.name.lower() in names)
    return (*found, VALUES) if settings.energy_values == "on" else found


def other_sets(runtime: Runtime) -> list[str]:
    """The sets without a table of their own that are offered and chosen; all of them where none is named."""
    names = _names(runtime.settings)
    named = set() if ALL in names else names - _WITH_TABLE
    found = [
        name for name in _offered(runtime) if name.lower() not in _WITH_TABLE and SET_NAME.fullmatch(name)
    ]
    return [name for name in found if not named or name.lower() in named]


def odd_sets(runtime: Runtime) -> list[tuple[str, str]]:
    """Plant and name of the sets whose name can't be part of a request or a folder."""
    sets = runtime.lake.scan(MeasurementSets).select("plant_id", "set_type").unique().collect()
    return sorted((plant, name) for plant, name in sets.rows() if not SET_NAME.fullmatch(name))


def asks_for_others(settings: Settings) -> bool:
    """Whether a run asks for sets without a table of their own."""
    return bool(_names(settings) - _WITH_TABLE)


def not_chosen(settings: Settings) -> frozenset[str]:
    """The tables that a run of days leaves alone, because nothing new is asked for them."""
    wanted = {source.raw for source in chosen(settings)}
    idle: list[type[Table]] = []
    for source in (*SOURCES, VALUES):
        if source.raw not in wanted:
            idle += [source.raw, source.intervals]
    if not asks_for_others(settings):
        idle += [RawOtherSets, OtherIntervals]
    return frozenset(storage(model).table for model in [*idle, *_idle_logs(settings)])


def check_sets(runtime: Runtime) -> None:
    """Raise UsageError for a chosen set that no plant and no device has."""
    offered = _offered(runtime)
    unknown = sorted(_names(runtime.settings) - {name.lower() for name in offered} - _WITH_TABLE - {ALL})
    if unknown:
        raise UsageError(
            f"No plant and no device has a set {unknown[0]!r}: choose from {', '.join(offered)}, or {ALL}."
        )


def _idle_logs(settings: Settings) -> list[type[RawAnswers]]:
    idle: dict[str, list[type[RawAnswers]]] = {"none": [RawLogs, RawDeviceLogs], "plants": [RawDeviceLogs]}
    return idle.get(settings.logs, [])


def _names(settings: Settings) -> set[str]:
    return {name.lower() for name in settings.sets.split(",")}


def _offered(runtime: Runtime) -> list[str]:
    """The sets that any plant or device has."""
    sets = runtime.lake.scan(MeasurementSets).select(pl.col("set_type").unique().sort()).collect()
    return sets["set_type"].to_list()
