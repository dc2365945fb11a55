"""What the house or business uses, in W, and its charging station."""

from collections.abc import Sequence
from datetime import date

import numpy as np
from numpy.typing import NDArray

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


def compute_daily_profile(hour: Floats) -> Floats:
    """Load by the hour of the day (0 to 24), as a multiple of its mean."""
    profile: Floats = np.interp(hour, np.arange(25), _PROFILE)
    return profile


def simulate_house_load(kwh_year: Floats, days: Sequence[date], habit: Floats, draws: Draws) -> Floats:
    """The load without the charging station, never below a tenth of its mean.

    `kwh_year` has the shape (rows, 1), `habit` is the daily profile of each row.
    """
    mean_w = kwh_year * 1000 / _HOURS_A_YEAR
    weekend = np.array([1.12 if day.weekday() >= _WEEKEND else 1.0 for day in days])[:, None]
    result: Floats = np.maximum(mean_w * weekend * habit * (1 + 0.22 * draws.load_noise), 0.1 * mean_w)
    return result


def simulate_charging(charger_w: Floats, hour: Floats, draws: Draws) -> Floats:
    """Power of the charging stations (rows, 1): full power for some hours on some days, else zero."""
    start = 9 + 11 * draws.scalars[:, 5:6]
    on = (draws.scalars[:, 4:5] < _CHARGING_DAYS) & (hour >= start) & (hour < start + _CHARGING_HOURS)
    return np.where(on, charger_w, 0.0)


def simulate_diesel(diesel_w: Floats, hour: Floats) -> Floats:
    """Generators (rows, 1) that run each evening from seven to nine."""
    return np.where((hour >= 19) & (hour < 21), diesel_w, 0.0)  # noqa: PLR2004 - hours of the evening
