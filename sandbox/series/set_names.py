"""The names of SMA's measurement sets and of the resolutions."""

ENERGY_BALANCE = "EnergyBalance"
GRID_SETTINGS = "GridSettings"
PV = "EnergyAndPowerPv"
BATTERY = "EnergyAndPowerBattery"
CONSUMPTION = "EnergyAndPowerConsumption"
IN_OUT = "EnergyAndPowerInOut"
ENERGY_MIX = "EnergyMix"
POWER_AC = "PowerAc"
POWER_DC = "PowerDc"
ENERGY_DC = "EnergyDc"
SENSOR = "Sensor"

PLANT_SETS = (ENERGY_BALANCE, GRID_SETTINGS)
DEVICE_SETS = (PV, BATTERY, CONSUMPTION, IN_OUT, ENERGY_MIX, POWER_AC, POWER_DC, ENERGY_DC, SENSOR)
BY_LOWER_NAME = {name.lower(): name for name in (*PLANT_SETS, *DEVICE_SETS)}

RESOLUTION_OF_PERIOD = {"month": "OneDay", "year": "OneMonth", "total": "OneYear"}
PERIODS = ("recent", "day", "week", "month", "year", "total")

_RESOLUTIONS = {60: "OneMinute", 300: "FiveMinutes", 900: "FifteenMinutes", 3600: "OneHour", 86400: "OneDay"}


def parse_resolution(resolution: object) -> int:
    """The length of the rows of a resolution by its name; five minutes for a name that is none."""
    return next((step for step, name in _RESOLUTIONS.items() if name == resolution), 300)


def name_resolution(step_s: float) -> str:
    """The nearest of the resolutions that SMA has a name for."""
    return _RESOLUTIONS[min(_RESOLUTIONS, key=lambda named: abs(named - step_s))]
