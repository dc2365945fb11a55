"""A flat roof under a cloudless sky: power of a plant by the height of the sun, in plain arithmetic."""

import datetime as dt
from math import asin, cos, degrees, pi, radians, sin

# Behind trees and houses the sun comes late and goes early.
WAKES_AT_DEG = 8.0


def elevation_deg(at: dt.datetime, latitude: float, longitude: float) -> float:
    """Height of the sun, good to a degree: enough for a roof."""
    day = at.timetuple().tm_yday + at.hour / 24
    year = 2 * pi * (day - 81) / 365
    declination = radians(23.45) * sin(year)
    equation_min = 9.87 * sin(2 * year) - 7.53 * cos(year) - 1.5 * sin(year)
    minutes = at.hour * 60 + at.minute + 4 * longitude + equation_min
    angle = radians(minutes / 4 - 180)
    here = radians(latitude)
    return degrees(asin(sin(here) * sin(declination) + cos(here) * cos(declination) * cos(angle)))


def watts(at: dt.datetime, latitude: float, longitude: float) -> float | None:
    """Power of a roof of 5 kW over the five minutes that end at the instant; None while its inverter sleeps."""
    height = elevation_deg(at - dt.timedelta(minutes=2.5), latitude, longitude)
    return round(5000 * sin(radians(height)), 1) if height > WAKES_AT_DEG else None
