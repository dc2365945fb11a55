"""What all plants of a town share on a local day: the sky, people's habits, the climate."""

from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from sandbox.days import Seconds, day_span
from sandbox.fleet.sites import Site
from sandbox.physics import load, weather
from sandbox.physics.sun import CELL_S, sky_of_cells

Floats = NDArray[np.float64]

_UP, _NORTH, _EAST, _GHI, _DNI, _COS_ZENITH, _HOUR, _HABIT, _AIR = range(9)
KEPT_DAYS = 512
"""How many days of towns are remembered: 20 kB each, and a fleet of any size has one per town and day."""


@dataclass(frozen=True, slots=True)
class TownDays:
    """The town of each row, shape (quantities, rows, cells), and the cells' ends in UTC, shape (rows, cells)."""

    ends: Seconds
    values: Floats

    @property
    def sun(self) -> tuple[Floats, Floats, Floats]:
        """Where the sun stands, as a vector of length one: upwards, to the north, to the east."""
        return self._of(_UP), self._of(_NORTH), self._of(_EAST)

    @property
    def ghi(self) -> Floats:
        """Clear-sky irradiance on level ground, W/m²."""
        return self._of(_GHI)

    @property
    def dni(self) -> Floats:
        """Clear-sky irradiance of the beam, W/m²."""
        return self._of(_DNI)

    @property
    def cos_zenith(self) -> Floats:
        """Cosine of the zenith angle, zero below the horizon (within rounding)."""
        return self._of(_COS_ZENITH)

    @property
    def hour(self) -> Floats:
        """Hour of the day by the sun's mean time, 0 to 24: habits here do not jump with summer time."""
        return self._of(_HOUR)

    @property
    def habit(self) -> Floats:
        """The load's daily profile, with a mean of one."""
        return self._of(_HABIT)

    @property
    def air_c(self) -> Floats:
        """The climate's air temperature in °C, without the day's own anomaly."""
        return self._of(_AIR)

    def _of(self, quantity: int) -> Floats:
        values: Floats = self.values[quantity]
        return values


def town_days(sites: list[Site], days: list[date]) -> TownDays:
    """The towns of all rows; the days must have the same number of cells."""
    kept = [_town_day(site, day) for site, day in zip(sites, days, strict=True)]
    return TownDays(np.stack([ends for ends, _ in kept]), np.stack([values for _, values in kept], axis=1))


@lru_cache(maxsize=KEPT_DAYS)
def _town_day(site: Site, day: date) -> tuple[Seconds, Floats]:
    """The cells' ends, and the quantities of `TownDays` with the shape (quantities, cells)."""
    start, end = day_span(day, site.zone)
    cells = (end - start) // CELL_S
    ends = start + CELL_S * np.arange(1, cells + 1, dtype=np.int64)
    fraction = ((ends - CELL_S / 2) / 86400 + site.longitude / 360) % 1.0
    sky = sky_of_cells(site, start, cells)
    zenith, azimuth = np.radians(sky.zenith), np.radians(sky.azimuth)
    values = np.empty((9, cells))
    values[_UP] = np.cos(zenith)
    values[_NORTH], values[_EAST] = np.sin(zenith) * np.cos(azimuth), np.sin(zenith) * np.sin(azimuth)
    values[_GHI], values[_DNI] = sky.ghi, sky.dni
    values[_COS_ZENITH] = np.cos(np.radians(np.minimum(sky.zenith, 90.0)))
    values[_HOUR] = fraction * 24
    values[_HABIT] = load.daily_profile(values[_HOUR])
    values[_AIR] = weather.climate_temperature(site, day, fraction)
    return ends, values
