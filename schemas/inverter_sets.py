"""Interval tables of the AC and DC sides of inverters."""

from schemas.base import FINITE, Table, column, energy, power, value
from schemas.core import DeviceKey, Interval
from schemas.quantities import fields
from schemas.raw import RawAc, RawDc, RawDcEnergy
from schemas.set_columns import AC_V, DC_V, build_device_set, current, voltage

# Plausible bounds, as in `schemas.set_columns`.
GRID_HZ = 100.0
ISOLATION_OHM = 1e9


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


DC = build_device_set("PowerDc", (*fields(DcDeviceValues), *fields(DcValues, array=True)), RawDc, DcIntervals)
INVERTER_SETS = (
    build_device_set("PowerAc", fields(AcValues), RawAc, AcIntervals),
    DC,
    build_device_set("EnergyDc", fields(DcEnergyValues, array=True), RawDcEnergy, DcEnergyIntervals),
)
