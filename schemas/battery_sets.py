"""Interval tables of batteries and their stacks (set EnergyAndPowerBattery)."""

from schemas.base import Table, column, energy, power, value
from schemas.core import DeviceKey, Interval
from schemas.quantities import fields
from schemas.raw import RawBattery
from schemas.set_columns import DC_V, DEVICE_C, build_device_set, current, percent, voltage


class BatteryValues(Table):
    """Fields of the EnergyAndPowerBattery set for the battery as a whole."""

    battery_charging_w: float = power("Battery charging")
    battery_charging_kwh: float = energy("Battery charging")
    battery_discharging_w: float = power("Battery discharging")
    battery_discharging_kwh: float = energy("Battery discharging")
    battery_state_of_charge_pct: float = percent("State of charge of the battery.")
    battery_state_of_health_pct: float = percent("State of health: remaining share of the capacity when new.")


class StackValues(Table):
    """Fields of the EnergyAndPowerBattery set that have a value for each stack."""

    battery_state_of_charge_pct: float = percent(
        "State of charge of the stack.", api="batteryStateOfChargeArray"
    )
    battery_state_of_health_pct: float = percent(
        "State of health of the stack: remaining share of the capacity when new.",
        api="batteryStateOfHealthArray",
    )
    battery_voltage_v: float = voltage("Stack", DC_V)
    battery_current_a: float = current("Stack, with the sign that the API gives")
    battery_temperature_c: float = value("Temperature of the stack.", "°C", *DEVICE_C)
    current_battery_charging_set_voltage_v: float = voltage("Set value for charging the stack", DC_V)


class BatteryIntervals(
    BatteryValues,
    Interval,
    DeviceKey,
    table="battery_intervals",
    key=("plant_id", "device_id", "interval_end"),
):
    """Power, energy and state of each battery in the intervals that the API reports (set EnergyAndPowerBattery)."""


class StackKey(DeviceKey):
    """The stack of a battery that a row belongs to."""

    stack_index: str = column("Stack of the battery, as the API names it: A, B ….")


class BatteryStackIntervals(
    StackValues,
    Interval,
    StackKey,
    table="battery_stack_intervals",
    key=("plant_id", "device_id", "interval_end", "stack_index"),
):
    """State of each stack of each battery, one row for each stack and interval (arrays of the set
    EnergyAndPowerBattery).
    """


BATTERY = build_device_set(
    "EnergyAndPowerBattery",
    (*fields(BatteryValues), *fields(StackValues, array=True)),
    RawBattery,
    BatteryIntervals,
)
BATTERY_SETS = (BATTERY,)
