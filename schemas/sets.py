"""All measurement sets that have a table, and the table of the sets that have none.

The columns of its table describe a set completely (see `schemas.quantities`). A new set needs its model and an entry in
the `…_SETS` of its family (`schemas.battery_sets`, `meter_sets`, `inverter_sets`, `site_sets`), and a model of its raw
answers in `schemas.raw`.
"""

from dataclasses import replace

import polars as pl

from schemas.base import FINITE, Utc, column
from schemas.battery_sets import BATTERY, BATTERY_SETS, BatteryStackIntervals
from schemas.core import (
    DEVICE_ID,
    LOCAL_DATE,
    EnergyBalanceIntervals,
    Interval,
    PlantKey,
    PvIntervals,
)
from schemas.inverter_sets import (
    DC,
    INVERTER_SETS,
    DcDeviceIntervals,
)
from schemas.meter_sets import (
    METER_SETS,
)
from schemas.quantities import (
    ENERGY_AND_POWER_PV,
    ENERGY_BALANCE,
    BalanceEnergies,
    BalanceStates,
    MeasurementSet,
    SetSource,
    fields,
)
from schemas.raw import (
    RawEnergyBalance,
    RawEnergyValues,
    RawPv,
)
from schemas.site_sets import GRID_SETTINGS, SITE_SETS


class OtherIntervals(
    PlantKey,
    table="other_intervals",
    layer="core",
    key=("set_type", "plant_id", "device_id", "interval_end", "field", "element"),
    published="view",
):
    """Values of GridSettings and of all sets of SMA that have no table of their own, one row for each value.

    The meaning of the values is not known, so only their time is checked and no unit is given.
    """

    device_id: str = column(DEVICE_ID, null="the set belongs to the plant as a whole")
    local_date: pl.Date = column(LOCAL_DATE)
    interval_end: Utc = column("The row's own time: the end of its interval.")
    set_type: str = column("Measurement set as the API names it.")
    field: str = column("The field, as the API names it.")
    element: str = column("Index within the field, where that is an array.", null="the field is not an array")
    value: float = column(
        "The value.", unit="that of the field", null="not a number; see value_text", ge=-FINITE, le=FINITE
    )
    value_text: str = column(
        "The value as the API wrote it, where it is not a number.", null="a number; see value"
    )


class EnergyValueIntervals(
    BalanceEnergies,
    Interval,
    PlantKey,
    table="energy_value_intervals",
    key=("plant_id", "interval_end"),
):
    """Energy of each plant as SMA counts it (EnergyBalance with ReturnEnergyValues; Wh / 1000), not made from power.

    The first row after a data gap holds the energy of the whole gap. It is requested only if the settings say so.
    """


BALANCE = SetSource(ENERGY_BALANCE, RawEnergyBalance, EnergyBalanceIntervals, of_devices=False)
PV = SetSource(ENERGY_AND_POWER_PV, RawPv, PvIntervals, of_devices=True)
# Each set is requested by itself. The tables that are made, the values of `--sets` and the known sets follow from this
# list.
SETS = (BALANCE, PV, *BATTERY_SETS, *METER_SETS, *INVERTER_SETS, *SITE_SETS)
# The sets, the further tables of sets that fill several tables, and the set that also fills other_intervals.
SOURCES = (
    *SETS,
    GRID_SETTINGS,
    replace(BATTERY, intervals=BatteryStackIntervals),
    replace(DC, intervals=DcDeviceIntervals),
)
# The plants' own set a second time, requested as SMA's energies.
VALUES = SetSource(
    MeasurementSet(ENERGY_BALANCE.name, (*fields(BalanceEnergies), *fields(BalanceStates))),
    RawEnergyValues,
    EnergyValueIntervals,
    of_devices=False,
    energies=True,
)
