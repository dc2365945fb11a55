"""Interval tables of the device-level sets, and of sets that have no table of their own.

The columns of its table describe a set completely (see `schemas.quantities`). A new set needs its model and a line in
`SETS` here, and a model of its raw answers in `schemas.raw`.
"""

from dataclasses import replace
from typing import Any

import polars as pl

from schemas.base import FINITE, Table, Utc, column, energy, power, ratio, value
from schemas.core import (
    DEVICE_ID,
    LOCAL_DATE,
    DeviceKey,
    EnergyBalanceIntervals,
    Interval,
    PlantKey,
    PvIntervals,
)
from schemas.quantities import (
    ENERGY_AND_POWER_PV,
    ENERGY_BALANCE,
    BalanceEnergies,
    BalanceStates,
    Field,
    MeasurementSet,
    SetSource,
    fields,
)
from schemas.raw import (
    RawAc,
    RawAnswers,
    RawBattery,
    RawConsumption,
    RawDc,
    RawDcEnergy,
    RawEnergyBalance,
    RawEnergyMix,
    RawEnergyValues,
    RawGrid,
    RawOtherSets,
    RawPv,
    RawSensor,
)

# Plausible bounds: no plant works beyond them, so a value beyond them is a fault. Sensors may read slightly below zero.
AC_V, DC_V, CURRENT_A = 2_000.0, 2_000.0, 10_000.0
IRRADIANCE_W_PER_M2 = (-50.0, 2_000.0)
WIND_M_PER_S = 120.0
GRID_HZ = 100.0
ISOLATION_OHM = 1e9
OUTDOOR_C, DEVICE_C = (-60.0, 80.0), (-60.0, 150.0)


def voltage(meaning: str, most: float, api: str = "") -> Any:
    """A column for a voltage in V, from 0 to `most`."""
    return value(f"{meaning}: voltage.", "V", 0, most, api=api)


def current(meaning: str) -> Any:
    """A column for a current in A, of either sign."""
    return value(f"{meaning}: current.", "A", -CURRENT_A, CURRENT_A)


def percent(meaning: str, api: str = "") -> Any:
    """A column for a share in %, from 0 to 100."""
    return value(meaning, "%", 0, 100, api=api)


# ---- battery ---------------------------------------------------------------------------------------------------------


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


# ---- grid, consumption, mix ------------------------------------------------------------------------------------------


class GridValues(Table):
    """Fields of the EnergyAndPowerInOut set."""

    grid_feed_in_w: float = power("Feed-in to the grid")
    grid_feed_in_kwh: float = energy("Feed-in to the grid")
    grid_consumption_w: float = power("Consumption from the grid")
    grid_consumption_kwh: float = energy("Consumption from the grid")


class GridIntervals(
    GridValues, Interval, DeviceKey, table="grid_intervals", key=("plant_id", "device_id", "interval_end")
):
    """Power and energy to and from the grid at each meter (set EnergyAndPowerInOut).

    Devices may share a meter and repeat its figures, so do not sum them over devices.
    """


class ConsumptionValues(Table):
    """Fields of the EnergyAndPowerConsumption set."""

    consumption_w: float = power("Consumption")
    consumption_kwh: float = energy("Consumption")


class ConsumptionIntervals(
    ConsumptionValues,
    Interval,
    DeviceKey,
    table="consumption_intervals",
    key=("plant_id", "device_id", "interval_end"),
):
    """Power and energy that each meter or consumer reports (set EnergyAndPowerConsumption).

    A plant's meter includes what its consumers use, so do not sum the figures over devices.
    """


class MixValues(Table):
    """Fields of the EnergyMix set."""

    total_consumption_w: float = power("Total consumption")
    total_consumption_kwh: float = energy("Total consumption")
    pv_consumption_rate: float = ratio("Share of the consumption met from PV.")
    battery_consumption_rate: float = ratio("Share of the consumption met from the battery.")
    grid_consumption_rate: float = ratio("Share of the consumption met from the grid.")


class EnergyMixIntervals(
    MixValues,
    Interval,
    DeviceKey,
    table="energy_mix_intervals",
    key=("plant_id", "device_id", "interval_end"),
):
    """Sources of the consumption of each device or plant, as SMA's own shares (set EnergyMix).

    A plant may be listed as its own device, so do not sum consumption over devices.
    """


# ---- AC and DC side of inverters -------------------------------------------------------------------------------------


class AcValues(Table):
    """Fields of the PowerAc set."""

    active_power_w: float = power("Active power of all phases", signed=True)
    active_power_kwh: float = energy("Active power of all phases", signed=True)
    active_power_phase_a_w: float = power("Active power of phase A", signed=True)
    active_power_phase_a_kwh: float = energy("Active power of phase A", signed=True)
    active_power_phase_b_w: float = power("Active power of phase B", signed=True)
    active_power_phase_b_kwh: float = energy("Active power of phase B", signed=True)
    active_power_phase_c_w: float = power("Active power of phase C", signed=True)
    active_power_phase_c_kwh: float = energy("Active power of phase C", signed=True)
    reactive_power_var: float = value("Reactive power of all phases.", "var", -FINITE, FINITE)
    reactive_power_phase_a_var: float = value("Reactive power of phase A.", "var", -FINITE, FINITE)
    reactive_power_phase_b_var: float = value("Reactive power of phase B.", "var", -FINITE, FINITE)
    reactive_power_phase_c_var: float = value("Reactive power of phase C.", "var", -FINITE, FINITE)
    apparent_power_va: float = value("Apparent power of all phases.", "VA", 0, FINITE)
    apparent_power_phase_a_va: float = value("Apparent power of phase A.", "VA", 0, FINITE)
    apparent_power_phase_b_va: float = value("Apparent power of phase B.", "VA", 0, FINITE)
    apparent_power_phase_c_va: float = value("Apparent power of phase C.", "VA", 0, FINITE)
    voltage_phase_a_v: float = voltage("Phase A to neutral", AC_V)
    voltage_phase_b_v: float = voltage("Phase B to neutral", AC_V)
    voltage_phase_c_v: float = voltage("Phase C to neutral", AC_V)
    voltage_phase_a2b_v: float = voltage("Phase A to phase B", AC_V, "voltagePhaseA2B")
    voltage_phase_b2c_v: float = voltage("Phase B to phase C", AC_V, "voltagePhaseB2C")
    voltage_phase_c2a_v: float = voltage("Phase C to phase A", AC_V, "voltagePhaseC2A")
    current_phase_a_a: float = current("Phase A")
    current_phase_b_a: float = current("Phase B")
    current_phase_c_a: float = current("Phase C")
    grid_frequency_hz: float = value("Frequency of the grid.", "Hz", 0, GRID_HZ)
    displacement_power_factor: float = value("Displacement power factor, cos φ.", "1", -1, 1)


class AcIntervals(
    AcValues, Interval, DeviceKey, table="ac_intervals", key=("plant_id", "device_id", "interval_end")
):
    """AC side of each inverter: power, voltage and current by phase, frequency (set PowerAc).

    Active power has a sign: an inverter may take power from the grid.
    """


class InputKey(DeviceKey):
    """The DC input of an inverter that a row belongs to."""

    input_index: str = column("DC input of the inverter, as the API names it: A, B ….")


class DcValues(Table):
    """Fields of the PowerDc set that have a value for each input."""

    dc_power_input_w: float = power("DC input")
    dc_power_input_kwh: float = energy("DC input")
    dc_voltage_input_v: float = voltage("DC input", DC_V)
    dc_current_input_a: float = current("DC input")
    isolation_resistance_ohm: float = value(
        "Isolation resistance where the API gives it by input. The API usually gives one resistance for the whole "
        "device, which is in dc_device_intervals.isolation_resistance_ohm.",
        "Ω",
        0,
        ISOLATION_OHM,
    )


class DcIntervals(
    DcValues,
    Interval,
    InputKey,
    table="dc_intervals",
    key=("plant_id", "device_id", "interval_end", "input_index"),
):
    """DC side of each inverter, with one row for each input and interval (set PowerDc)."""


class DcDeviceValues(Table):
    """Fields of the PowerDc set that a device has once."""

    isolation_resistance_ohm: float = value(
        "Isolation resistance of the inverter's DC side.", "Ω", 0, ISOLATION_OHM
    )


class DcDeviceIntervals(
    DcDeviceValues,
    Interval,
    DeviceKey,
    table="dc_device_intervals",
    key=("plant_id", "device_id", "interval_end"),
):
    """DC side of each inverter as a whole, with one row for each interval (set PowerDc)."""


class DcEnergyValues(Table):
    """Fields of the EnergyDc set that have a value for each input."""

    dc_energy_input_kwh: float = column(
        "DC input: energy as the API counts it (Wh / 1000), never calculated from power. The first row after a data "
        "gap may hold the energy of the whole gap.",
        unit="kWh",
        null="not reported for this interval, or set aside as implausible",
        ge=0,
        le=FINITE,
    )


class DcEnergyIntervals(
    DcEnergyValues,
    Interval,
    InputKey,
    table="dc_energy_intervals",
    key=("plant_id", "device_id", "interval_end", "input_index"),
):
    """Energy of each DC input as the API counts it, with one row for each input and interval (set EnergyDc)."""


# ---- sensors ---------------------------------------------------------------------------------------------------------


class SensorValues(Table):
    """Fields of the Sensor set."""

    external_insolation_w_per_m2: float = value(
        "Irradiance at the sensor; it may be slightly below zero at night.", "W/m²", *IRRADIANCE_W_PER_M2
    )
    ambient_temperature_c: float = value("Temperature of the air.", "°C", *OUTDOOR_C)
    module_temperature_c: float = value("Temperature of the modules.", "°C", *DEVICE_C)
    wind_speed_m_per_s: float = value("Wind speed.", "m/s", 0, WIND_M_PER_S)


class SensorIntervals(
    SensorValues, Interval, DeviceKey, table="sensor_intervals", key=("plant_id", "device_id", "interval_end")
):
    """Weather as each plant's sensors measure it (set Sensor)."""


# ---- limits that the grid operator sets ------------------------------------------------------------------------------


class GridSettingsValues(Table):
    """The field of the GridSettings set whose meaning is known."""

    active_power_limitation_pct: float = percent(
        "Limit of the active power as a share of the plant's power; 100: not limited."
    )


class GridSettingsIntervals(
    GridSettingsValues, Interval, PlantKey, table="grid_settings_intervals", key=("plant_id", "interval_end")
):
    """Limit of each plant's power by interval (set GridSettings). A limit explains power below what the sun allows.

    SMA does not document the fields of the set, so other_intervals also holds all of them as SMA sent them.
    """


# ---- sets without a table of their own -------------------------------------------------------------------------------


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


# ---- the sets --------------------------------------------------------------------------------------------------------


def build_device_set(
    name: str, held: tuple[Field, ...], raw: type[RawAnswers], intervals: type[Table]
) -> SetSource:
    """The source of a measurement set that devices have."""
    return SetSource(MeasurementSet(name, held), raw, intervals, of_devices=True)


BALANCE = SetSource(ENERGY_BALANCE, RawEnergyBalance, EnergyBalanceIntervals, of_devices=False)
PV = SetSource(ENERGY_AND_POWER_PV, RawPv, PvIntervals, of_devices=True)
BATTERY = build_device_set(
    "EnergyAndPowerBattery",
    (*fields(BatteryValues), *fields(StackValues, array=True)),
    RawBattery,
    BatteryIntervals,
)
DC = build_device_set("PowerDc", (*fields(DcDeviceValues), *fields(DcValues, array=True)), RawDc, DcIntervals)
# Each set is requested by itself. The tables that are made, the values of `--sets` and the known sets follow from this
# list.
SETS = (
    BALANCE,
    PV,
    BATTERY,
    build_device_set("EnergyAndPowerInOut", fields(GridValues), RawGrid, GridIntervals),
    build_device_set(
        "EnergyAndPowerConsumption", fields(ConsumptionValues), RawConsumption, ConsumptionIntervals
    ),
    build_device_set("EnergyMix", fields(MixValues), RawEnergyMix, EnergyMixIntervals),
    build_device_set("PowerAc", fields(AcValues), RawAc, AcIntervals),
    DC,
    build_device_set("EnergyDc", fields(DcEnergyValues, array=True), RawDcEnergy, DcEnergyIntervals),
    build_device_set("Sensor", fields(SensorValues), RawSensor, SensorIntervals),
)
GRID_SETTINGS = SetSource(
    MeasurementSet("GridSettings", fields(GridSettingsValues)),
    RawOtherSets,
    GridSettingsIntervals,
    of_devices=False,
)
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
