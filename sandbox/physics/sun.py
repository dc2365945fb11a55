"""Where the sun stands and what a clear sky sends, by pvlib (imported on first use: it takes a second)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sandbox.days import Seconds
from sandbox.fleet.sites import Site

Floats = NDArray[np.float64]

CELL_S = 300
"""Length of a cell, the model's grain in time."""

_DAY = 86400
_HORIZON_DEG = 90.0


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
    from pvlib import clearsky, solarposition  # noqa: PLC0415 - a slow import that a replay never needs

    day_of_year = _day_of_year(instants)
    equation_of_time = solarposition.equation_of_time_spencer71(day_of_year)
    declination = solarposition.declination_spencer71(day_of_year)
    minutes = (instants % _DAY) / 60 + 4 * site.longitude + equation_of_time
    hour_angle = np.radians(minutes / 4 - 180)
    latitude = np.radians(site.latitude)
    zenith = solarposition.solar_zenith_analytical(latitude, hour_angle, declination)
    # By night all is zero: nothing else is computed of it.
    up = np.flatnonzero(np.degrees(zenith) < _HORIZON_DEG)
    zenith = zenith[up]
    with np.errstate(divide="ignore", invalid="ignore"):
        azimuth = solarposition.solar_azimuth_analytical(latitude, hour_angle[up], declination[up], zenith)
    azimuth = np.nan_to_num(azimuth, nan=np.pi)
    irradiance = clearsky.simplified_solis(90 - np.degrees(zenith))
    values = np.zeros((5, len(instants)))
    values[:, up] = (
        np.cos(zenith),
        np.sin(zenith) * np.cos(azimuth),
        np.sin(zenith) * np.sin(azimuth),
        irradiance["ghi"],
        irradiance["dni"],
    )
    return Sky(*values)


def _day_of_year(instants: Seconds) -> Floats:
    """Day of the year in UTC, 1 to 366, with the fraction of the day."""
    moments = instants.astype("datetime64[s]")
    year = moments.astype("datetime64[Y]").astype("datetime64[s]")
    fraction: Floats = (moments - year).astype(np.float64) / _DAY + 1
    return fraction
