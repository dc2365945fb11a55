"""The quantities of SMA's sets, once: the API's field name, ours, and what the field means.

Fields of one set become columns by these names; `_w` and `_kwh` are added for power and energy. The mixins
below spell the columns out because people read a model; a test holds them against these lists.
"""

from dataclasses import dataclass
from typing import Any

from schemas.base import Table, column, energy, power, ratio


@dataclass(frozen=True, slots=True)
class Field:
    """A field of an answer's rows. Power fields are W in sub-daily periods and are turned into kWh."""

    api: str
    column: str
    power: bool = True


@dataclass(frozen=True, slots=True)
class MeasurementSet:
    """A set as the API names it, and the fields that it can hold."""

    name: str
    fields: tuple[Field, ...]

    @property
    def powers(self) -> tuple[Field, ...]:
        """The fields that carry power, in table order."""
        return tuple(f for f in self.fields if f.power)


ENERGY_BALANCE = MeasurementSet(
    "EnergyBalance",
    (
        Field("pvGeneration", "pv_generation"),
        Field("totalGeneration", "total_generation"),
        Field("dieselGeneration", "diesel_generation"),
        Field("directConsumption", "direct_consumption"),
        Field("selfConsumption", "self_consumption"),
        Field("selfSupply", "self_supply"),
        Field("totalConsumption", "total_consumption"),
        Field("gridFeedIn", "grid_feed_in"),
        Field("gridConsumption", "grid_consumption"),
        Field("batteryCharging", "battery_charging"),
        Field("batteryDischarging", "battery_discharging"),
        Field("batteryStateOfCharge", "battery_state_of_charge_pct", power=False),
        Field("autarkyRate", "autarky_rate", power=False),
        Field("selfConsumptionRate", "self_consumption_rate", power=False),
    ),
)

ENERGY_AND_POWER_PV = MeasurementSet("EnergyAndPowerPv", (Field("pvGeneration", "pv_generation"),))


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
    """States and rates of the EnergyBalance set: the vendor's own figures, never averaged into energies."""

    battery_state_of_charge_pct: float = column(
        "State of charge of the battery.", unit="%", null="no battery, or not reported", ge=0, le=100
    )
    autarky_rate: float = ratio("Share of the consumption met from own generation or battery.")
    self_consumption_rate: float = ratio("Share of the generation used on site.")


# A month of 31 days with an hour to spare for the autumn change of clocks.
FULL_MONTH_H = 31 * 24 + 1


def covered(meaning: str) -> Any:
    """Hours that an energy covers."""
    return column(
        f"{meaning}: time that its energy covers.", unit="h", null="nothing measured", ge=0, le=FULL_MONTH_H
    )


class BalanceCovered(Table):
    """How much time each energy of the EnergyBalance set covers: kWh never stands without it."""

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
