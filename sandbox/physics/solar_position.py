"""Where the sun stands and what a clear sky sends.

The formulas of pvlib, number by number (docs/decisions/0011-sun-and-sky.md says why it is not used itself).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sandbox.days import Seconds
from sandbox.fleet.sites import Site

Floats = NDArray[np.float64]

# Length of a cell, the model's grain in time.
CELL_S = 300

_DAY = 86400

# The sky of the simplified Solis model: 1364 W/m² above it, 1 cm of water, an optical depth of 0.1 at 700 nm,
# the pressure at sea level. What the model makes of these is a number each: its irradiance above the air, and
# the optical depths and exponents of the beam and of all light.
_AEROSOL = 0.1
_ABOVE_W_M2 = 1364.0 * (0.12 * _AEROSOL**2 + 0.97 * _AEROSOL + 1.08)
_BEAM_DEPTH = 1.82 * _AEROSOL + 0.33
_BEAM_EXPONENT = -0.7565 * _AEROSOL**2 + 0.5057 * _AEROSOL + 0.4557
_GLOBAL_DEPTH = 1.24 * _AEROSOL + 0.27
_GLOBAL_EXPONENT = -0.3079 * _AEROSOL**2 + 0.2846 * _AEROSOL + 0.3798
_HORIZON_DEG = 90.0
_NEARLY = 1e-8


@dataclass(frozen=True, slots=True)
class Sky:
    """Clear-sky irradiance in W/m² and where the sun stands, one value a cell; all zero while it is down.

    The sun is a vector of length one: `up` from level ground, to the `north`, to the `east`.
    """

    up: Floats
    north: Floats
    east: Floats
    ghi: Floats
    dni: Floats


def simulate_clear_sky(site: Site, instants: Seconds) -> Sky:
    """The clear sky over `site`: the sun by Spencer's series, irradiance by the simplified Solis model."""
    day_of_year = _count_day_of_year(instants)
    declination = compute_declination(day_of_year)
    minutes = (instants % _DAY) / 60 + 4 * site.longitude + compute_equation_of_time(day_of_year)
    hour_angle = np.radians(minutes / 4 - 180)
    latitude = np.radians(site.latitude)
    zenith = compute_zenith(latitude, hour_angle, declination)
    # By night all is zero: nothing else is computed of it.
    up = np.flatnonzero(np.degrees(zenith) < _HORIZON_DEG)
    zenith = zenith[up]
    with np.errstate(divide="ignore", invalid="ignore"):
        azimuth = compute_azimuth(latitude, hour_angle[up], declination[up], zenith)
    azimuth = np.nan_to_num(azimuth, nan=np.pi)
    ghi, dni = compute_clear_irradiance(90 - np.degrees(zenith))
    values = np.zeros((5, len(instants)))
    values[:, up] = (
        np.cos(zenith),
        np.sin(zenith) * np.cos(azimuth),
        np.sin(zenith) * np.sin(azimuth),
        ghi,
        dni,
    )
    return Sky(*values)


def compute_equation_of_time(day_of_year: Floats) -> Floats:
    """By how many minutes the sun is ahead of the mean sun, by Spencer (1971)."""
    angle = _compute_day_angle(day_of_year)
    radians: Floats = (
        0.0000075
        + 0.001868 * np.cos(angle)
        - 0.032077 * np.sin(angle)
        - 0.014615 * np.cos(2.0 * angle)
        - 0.040849 * np.sin(2.0 * angle)
    )
    return (1440.0 / 2 / np.pi) * radians


def compute_declination(day_of_year: Floats) -> Floats:
    """The sun's declination in radians, by Spencer (1971)."""
    angle = _compute_day_angle(day_of_year)
    declination: Floats = (
        0.006918
        - 0.399912 * np.cos(angle)
        + 0.070257 * np.sin(angle)
        - 0.006758 * np.cos(2.0 * angle)
        + 0.000907 * np.sin(2.0 * angle)
        - 0.002697 * np.cos(3.0 * angle)
        + 0.00148 * np.sin(3.0 * angle)
    )
    return declination


def _compute_day_angle(day_of_year: Floats) -> Floats:
    return (2.0 * np.pi / 365.0) * (day_of_year - 1)


def compute_zenith(latitude: float, hour_angle: Floats, declination: Floats) -> Floats:
    """The angle between the sun and the zenith in radians, without refraction; all arguments in radians."""
    zenith: Floats = np.arccos(
        np.cos(declination) * np.cos(latitude) * np.cos(hour_angle) + np.sin(declination) * np.sin(latitude)
    )
    return zenith


def compute_azimuth(latitude: float, hour_angle: Floats, declination: Floats, zenith: Floats) -> Floats:
    """The sun's direction in radians from north by east; all arguments in radians."""
    across = np.sin(zenith) * np.cos(latitude)
    cosine = (np.cos(zenith) * np.sin(latitude) - np.sin(declination)) / across
    # At the poles and with the sun in the zenith there is no direction; rounding leads a little beyond one.
    cosine = np.where(np.abs(across) <= _NEARLY, 1.0, cosine)
    cosine = np.where(np.abs(cosine - 1.0) <= _NEARLY, 1.0, cosine)
    cosine = np.where(np.abs(cosine + 1.0) <= _NEARLY, -1.0, cosine)
    azimuth: Floats = np.sign(hour_angle) * np.arccos(cosine) + np.pi
    return azimuth


def compute_clear_irradiance(elevation_deg: Floats) -> tuple[Floats, Floats]:
    """Irradiance under a clear sky in W/m², on level ground and square to the beam, by the simplified Solis model."""
    height = np.maximum(1e-30, np.sin(np.radians(elevation_deg)))
    ghi: Floats = _ABOVE_W_M2 * np.exp(-_GLOBAL_DEPTH / height**_GLOBAL_EXPONENT) * height
    dni: Floats = _ABOVE_W_M2 * np.exp(-_BEAM_DEPTH / height**_BEAM_EXPONENT)
    return ghi, dni


def _count_day_of_year(instants: Seconds) -> Floats:
    """Day of the year in UTC, 1 to 366, with the fraction of the day."""
    moments = instants.astype("datetime64[s]")
    year = moments.astype("datetime64[Y]").astype("datetime64[s]")
    fraction: Floats = (moments - year).astype(np.float64) / _DAY + 1
    return fraction
