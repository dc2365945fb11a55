"""What all plants of a town share on a local day: the sky, people's habits, the climate."""

from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from sandbox.days import Seconds, find_day_bounds
from sandbox.fleet.sites import Site
from sandbox.physics import load, weather
from sandbox.physics.solar_position import CELL_S, simulate_clear_sky

Floats = NDArray[np.float64]

_UP, _NORTH, _EAST, _GHI, _DNI, _HOUR, _HABIT, _AIR = range(8)
_DAY = 86400
_BLOCK_CELLS = 8 * _DAY // CELL_S
# How many blocks of eight days are remembered, 147 kB each: enough for a month of twelve towns.
KEPT_BLOCKS = 64


@dataclass(frozen=True, slots=True)
class TownDays:
    """The town of each row, shape (quantities, rows, cells), and the cells' ends in UTC, shape (rows, cells)."""

    ends: Seconds
    values: Floats

    @property
    def sun(self) -> tuple[Floats, Floats, Floats]:
        """Where the sun stands: a vector of length one upwards, to the north, to the east; zero while it is down."""
        return self._of(_UP), self._of(_NORTH), self._of(_EAST)

    @property
    def ghi(self) -> Floats:
        """Clear-sky irradiance on level ground, W/m²."""
        return self._of(_GHI)

    @property
    def dni(self) -> Floats:
        """Clear-sky irradiance of the beam, W/m²; zero below the horizon."""
        return self._of(_DNI)

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


def simulate_towns(sites: list[Site], days: list[date]) -> TownDays:
    """The towns of all rows; the days must have the same number of cells."""
    rows = list(zip(sites, days, strict=True))
    places = {town_day: place for place, town_day in enumerate(dict.fromkeys(rows))}
    spans = [find_day_bounds(day, site.zone) for site, day in places]
    starts, cells = np.array([start for start, _ in spans]), (spans[0][1] - spans[0][0]) // CELL_S
    values = np.empty((8, len(places), cells))
    for (site, day), place in places.items():
        number, skip = divmod(int(starts[place]) // CELL_S, _BLOCK_CELLS)
        held = min(cells, _BLOCK_CELLS - skip)
        values[:, place, :held] = _simulate_block(site, number)[:, skip : skip + held]
        if held < cells:
            values[:, place, held:] = _simulate_block(site, number + 1)[:, : cells - held]
        values[_AIR, place] += weather.compute_season_temperature(site, day)
    of_rows = np.array([places[row] for row in rows])
    ends = starts[of_rows, None] + CELL_S * np.arange(1, cells + 1)
    return TownDays(ends, values.take(of_rows, axis=1))


@lru_cache(maxsize=KEPT_BLOCKS)
def _simulate_block(site: Site, number: int) -> Floats:
    """The quantities of `TownDays` for eight days, shape (quantities, cells); of the air, what the hour adds to it."""
    middles = (number * _BLOCK_CELLS + np.arange(_BLOCK_CELLS, dtype=np.int64)) * CELL_S + CELL_S // 2
    fraction = (middles / _DAY + site.longitude / 360) % 1.0
    sky = simulate_clear_sky(site, middles)
    values = np.empty((8, _BLOCK_CELLS))
    values[_UP], values[_NORTH], values[_EAST] = sky.up, sky.north, sky.east
    values[_GHI], values[_DNI] = sky.ghi, sky.dni
    values[_HOUR] = fraction * 24
    values[_HABIT] = load.compute_daily_profile(values[_HOUR])
    values[_AIR] = weather.compute_daily_swing(site, fraction)
    return values
