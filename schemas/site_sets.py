"""Interval tables of a plant's site: its weather sensors, and the limits that the grid operator sets."""

from schemas.base import Table, value
from schemas.core import DeviceKey, Interval, PlantKey
from schemas.quantities import MeasurementSet, SetSource, fields
from schemas.raw import RawOtherSets, RawSensor
from schemas.set_columns import DEVICE_C, OUTDOOR_C, build_device_set, percent

# Plausible bounds, as in `schemas.set_columns`.
IRRADIANCE_W_PER_M2 = (-50.0, 2_000.0)
WIND_M_PER_S = 120.0


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


GRID_SETTINGS = SetSource(
    MeasurementSet("GridSettings", fields(GridSettingsValues)),
    RawOtherSets,
    GridSettingsIntervals,
    of_devices=False,
)
SITE_SETS = (build_device_set("Sensor", fields(SensorValues), RawSensor, SensorIntervals),)
