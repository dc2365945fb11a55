"""What the house or business uses, in W, and its charging station."""

from collections.abc import Sequence
from datetime import date

import numpy as np
from numpy.typing import NDArray

from sandbox.fleet.plants import Plant
from sandbox.physics.weather import Draws

Floats = NDArray[np.float64]

_MORNING = (0.5, 0.45, 0.42, 0.4, 0.4, 0.5, 0.8, 1.2, 1.2, 1.0, 0.95, 1.05)
_EVENING = (1.2, 1.1, 0.95, 0.9, 1.0, 1.3, 1.7, 1.9, 1.8, 1.5, 1.1, 0.75)
_HOURLY = np.array([*_MORNING, *_EVENING])
_PROFILE = np.append(_HOURLY, _HOURLY[0]) / _HOURLY.mean()
_HOURS_A_YEAR = 8766
_WEEKEND = 5
_CHARGING_DAYS = 0.45
_CHARGING_HOURS = 2.5


def house_load(plant: Plant, days: Sequence[date], day_fraction: Floats, draws: Draws) -> Floats:
    """The load without the charging station, never below a tenth of its mean."""
    mean_w = plant.load_kwh_year * 1000 / _HOURS_A_YEAR
    profile = np.interp(day_fraction * 24, np.arange(25), _PROFILE)
    weekend = np.array([1.12 if day.weekday() >= _WEEKEND else 1.0 for day in days])[:, None]
    result: Floats = np.maximum(mean_w * weekend * profile * (1 + 0.22 * draws.load_noise), 0.1 * mean_w)
    return result


def charging_station(plant: Plant, day_fraction: Floats, draws: Draws) -> Floats:
    """Power of the charging station: full power for some hours on some days, else zero."""
    hour = day_fraction * 24
    start = 9 + 11 * draws.scalars[:, 5:6]
    on = (draws.scalars[:, 4:5] < _CHARGING_DAYS) & (hour >= start) & (hour < start + _CHARGING_HOURS)
    return np.where(on, plant.charger_w, 0.0)


def diesel_power(plant: Plant, day_fraction: Floats) -> Floats:
    """A generator that runs each evening from seven to nine."""
    hour = day_fraction * 24
    return np.where((hour >= 19) & (hour < 21), plant.diesel_w, 0.0)  # noqa: PLR2004 - hours of the evening
