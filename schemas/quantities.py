"""The fields of SMA's measurement sets, each declared once as the columns that it becomes.

The columns describe a set completely. A field's API name is the column's name in camel case without its unit, unless
the column gives another one. A column in W beside a column in kWh of the same name is a power, which is integrated to
energy; any other column holds the value unchanged. Unit, range and meaning are those of the column.
"""

from dataclasses import dataclass
from typing import Any

from schemas.base import Column, Table, column, columns, energy, power, ratio, storage
from schemas.raw import RawAnswers

# What the name of a column with this unit ends with.
UNIT_SUFFIXES = {
    "W": "_w",
    "kWh": "_kwh",
    "var": "_var",
    "VA": "_va",
    "V": "_v",
    "A": "_a",
    "Hz": "_hz",
    "Ω": "_ohm",
    "°C": "_c",
    "%": "_pct",
    "W/m²": "_w_per_m2",
    "m/s": "_m_per_s",
}
KWH_PER_WH = 1e-3


@dataclass(frozen=True, slots=True)
class Field:
    """A field of an answer's rows.

    `column` is the name of its column; for a power it lacks the unit, which is W and, for its energy, kWh. An `array`
    has a value for each input or stack. `low` and `high` bound the API's value; times `factor` it is the column's
    value.
    """

    api: str
    column: str
    power: bool
    array: bool
    low: float
    high: float
    factor: float = 1.0

    @property
    def value_column(self) -> str:
        """The column that holds the value itself."""
        return f"{self.column}_w" if self.power else self.column


@dataclass(frozen=True, slots=True)
class MeasurementSet:
    """A measurement set with its API name and the fields that it can hold."""

    name: str
    fields: tuple[Field, ...]

    @property
    def powers(self) -> tuple[Field, ...]:
        """The fields that carry power, in table order."""
        return tuple(f for f in self.fields if f.power)


@dataclass(frozen=True, slots=True)
class SetSource:
    """A measurement set with the table of its raw answers and the table of its rows."""

    set: MeasurementSet
    raw: type[RawAnswers]
    intervals: type[Table]
    # Whether devices have the set (True) or plants (False); None where both may have it.
    of_devices: bool | None
    # Whether the set is requested as energies of the intervals instead of mean powers.
    energies: bool = False

    @property
    def shares_raw(self) -> str:
        """The set's name where its raw table also holds other sets, otherwise an empty text."""
        return self.set.name if "set_type" in storage(self.raw).partition else ""


def fields(*parts: type[Table], array: bool = False) -> tuple[Field, ...]:
    """The fields that become the columns of these parts of a table.

    With `array`, each has a value per input or stack.
    """
    found = {c.name: c for part in parts for c in columns(part)}
    powers = {name for name in found if name.endswith("_w") and f"{name.removesuffix('_w')}_kwh" in found}
    energies = {f"{name.removesuffix('_w')}_kwh" for name in powers}
    return tuple(
        _build_field(c, power=name in powers, array=array)
        for name, c in found.items()
        if name not in energies
    )


def _build_field(of: Column, *, power: bool, array: bool) -> Field:
    name = of.name.removesuffix(UNIT_SUFFIXES.get(of.unit, ""))
    first, *others = name.split("_")
    # The API counts energies in Wh.
    factor = KWH_PER_WH if of.unit == "kWh" else 1.0
    assert of.low is not None and of.high is not None, of.name  # noqa: S101, PT018 - a test of every set draws them
    return Field(
        api=of.api or first + "".join(word.capitalize() for word in others),
        column=name if power else of.name,
        power=power,
        array=array,
        low=of.low / factor,
        high=of.high / factor,
        factor=factor,
    )


class BalancePowers(Table):
    """Mean powers of the EnergyBalance set."""

    pv_generation_w: float = power("PV generation")
    total_generation_w: float = power("Total generation (PV and any other source on site)")
    diesel_generation_w: float = power("Diesel generation")
    direct_consumption_w: float = power("Consumption taken directly from generation")
    self_consumption_w: float = power("Own generation used on site")
    self_supply_w: float = power("Consumption met from own generation or battery")
    total_consumption_w: float = power("Total consumption")
    grid_feed_in_w: float = power("Feed-in to the grid")
    grid_consumption_w: float = power("Consumption from the grid")
    battery_charging_w: float = power("Battery charging")
    battery_discharging_w: float = power("Battery discharging")


class BalanceEnergies(Table):
    """Energies of the EnergyBalance set."""

    pv_generation_kwh: float = energy("PV generation")
    total_generation_kwh: float = energy("Total generation (PV and any other source on site)")
    diesel_generation_kwh: float = energy("Diesel generation")
    direct_consumption_kwh: float = energy("Consumption taken directly from generation")
    self_consumption_kwh: float = energy("Own generation used on site")
    self_supply_kwh: float = energy("Consumption met from own generation or battery")
    total_consumption_kwh: float = energy("Total consumption")
    grid_feed_in_kwh: float = energy("Feed-in to the grid")
    grid_consumption_kwh: float = energy("Consumption from the grid")
    battery_charging_kwh: float = energy("Battery charging")
    battery_discharging_kwh: float = energy("Battery discharging")


class BalanceStates(Table):
    """States and rates of the EnergyBalance set. They are SMA's own figures and are never averaged into energies."""

    battery_state_of_charge_pct: float = column(
        "State of charge of the battery.", unit="%", null="no battery, or not reported", ge=0, le=100
    )
    autarky_rate: float = ratio("Share of the consumption met from own generation or battery.")
    self_consumption_rate: float = ratio("Share of the generation used on site.")


# A month of 31 days and the additional hour when clocks go back in autumn.
FULL_MONTH_H = 31 * 24 + 1


def covered(meaning: str) -> Any:
    """A column for the hours that an energy covers."""
    return column(
        f"{meaning}: time that its energy covers.", unit="h", null="nothing measured", ge=0, le=FULL_MONTH_H
    )


class BalanceCoverage(Table):
    """The time that each energy of the EnergyBalance set covers.

    Every table with the energies has these columns too.
    """

    pv_generation_covered_h: float = covered("PV generation")
    total_generation_covered_h: float = covered("Total generation")
    diesel_generation_covered_h: float = covered("Diesel generation")
    direct_consumption_covered_h: float = covered("Direct consumption")
    self_consumption_covered_h: float = covered("Self-consumption")
    self_supply_covered_h: float = covered("Self-supply")
    total_consumption_covered_h: float = covered("Total consumption")
    grid_feed_in_covered_h: float = covered("Feed-in")
    grid_consumption_covered_h: float = covered("Grid consumption")
    battery_charging_covered_h: float = covered("Battery charging")
    battery_discharging_covered_h: float = covered("Battery discharging")


class PvPower(Table):
    """Power and energy of the EnergyAndPowerPv set."""

    pv_generation_w: float = power("PV generation")
    pv_generation_kwh: float = energy("PV generation")


ENERGY_BALANCE = MeasurementSet("EnergyBalance", fields(BalancePowers, BalanceEnergies, BalanceStates))
ENERGY_AND_POWER_PV = MeasurementSet("EnergyAndPowerPv", fields(PvPower))
