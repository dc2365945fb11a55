"""Interval tables of meters and consumers: the grid, consumption, and where it came from."""

from schemas.base import Table, energy, power, ratio
from schemas.core import DeviceKey, Interval
from schemas.quantities import fields
from schemas.raw import RawConsumption, RawEnergyMix, RawGrid
from schemas.set_columns import build_device_set


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


METER_SETS = (
    build_device_set("EnergyAndPowerInOut", fields(GridValues), RawGrid, GridIntervals),
    build_device_set(
        "EnergyAndPowerConsumption", fields(ConsumptionValues), RawConsumption, ConsumptionIntervals
    ),
    build_device_set("EnergyMix", fields(MixValues), RawEnergyMix, EnergyMixIntervals),
)
