"""Clouds, air temperature and wind, drawn from random streams of the day.

The plants of a town lie under one sky: clouds, wind and the day's temperature are of the town's stream, and only a
small part of the clouds' flicker is of the plant's own. What people do in the house is of the plant's own stream alone.
"""

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from sandbox.fleet.sites import Site
from sandbox.random_streams import Topic, open_day_streams

Floats = NDArray[np.float64]

# Hourly knots between which clouds and wind change smoothly.
KNOTS = 25


@dataclass(frozen=True, slots=True)
class Draws:
    """Everything random of some days, drawn once: shape (days, ...) of standard draws."""

    cloud_knots: Floats
    cloud_noise: Floats
    load_noise: Floats
    wind_knots: Floats
    scalars: Floats


# Uniform numbers a day: cloudiness, its depth, temperature, wind, charging yes or no, charging hour.
SCALARS = 6
# So many of the scalars are the town's: the day's clearness, depth of clouds, temperature and wind.
_OF_SKY = 4
# How much of the flicker is the town's and the plant's: squares add up to one.
_COMMON, _OWN = 0.95, 0.3122


def draw_days(streams: Iterable[np.random.Generator], rows: int, cells: int) -> Draws:
    """Draw the numbers of `rows` days, one stream a day, always in the same order."""
    uniforms, normals = np.empty((rows, SCALARS + 2 * KNOTS)), np.empty((rows, 2 * cells))
    for rng, uniform, normal in zip(streams, uniforms, normals, strict=True):
        rng.random(out=uniform)
        rng.standard_normal(out=normal)
    return Draws(
        cloud_knots=uniforms[:, SCALARS : SCALARS + KNOTS],
        cloud_noise=normals[:, :cells],
        load_noise=normals[:, cells:],
        wind_knots=uniforms[:, SCALARS + KNOTS :],
        scalars=uniforms[:, :SCALARS],
    )


def spread_skies(draws: Draws, sites: Sequence[Site], days: Sequence[date], seed: int) -> Draws:
    """The draws with the sky of each row's town; one row's sky does not depend on the rows around it."""
    rows = list(zip(sites, days, strict=True))
    places = {row: place for place, row in enumerate(dict.fromkeys(rows))}
    cells = draws.cloud_noise.shape[1]
    keys = ((zlib.crc32(site.city.encode()), day) for site, day in places)
    towns = draw_days(open_day_streams(seed, Topic.SKY, keys), len(places), cells)
    of_rows = np.array([places[row] for row in rows])
    return replace(
        draws,
        cloud_knots=towns.cloud_knots[of_rows],
        cloud_noise=_COMMON * towns.cloud_noise[of_rows] + _OWN * draws.cloud_noise,
        wind_knots=towns.wind_knots[of_rows],
        scalars=np.concatenate([towns.scalars[of_rows, :_OF_SKY], draws.scalars[:, _OF_SKY:]], axis=1),
    )


@lru_cache(maxsize=16)
def _draw_between(cells: int) -> tuple[NDArray[np.intp], Floats]:
    """For each cell the knot on its left, and how far it is on the way to the next."""
    position = np.linspace(0.0, KNOTS - 1.001, cells)
    left = position.astype(np.intp)
    return left, position - left


def interpolate_knots(knots: Floats, cells: int) -> Floats:
    """Straight lines through a day's knots, one value a cell: (days, knots) -> (days, cells)."""
    left, part = _draw_between(cells)
    result: Floats = knots[:, left] * (1 - part) + knots[:, left + 1] * part
    return result


def simulate_clear_sky_index(draws: Draws, clear_days: Floats, cells: int) -> Floats:
    """Global irradiance as a share of the clear sky's, 0.08 to 1.05; `clear_days` (rows, 1) is the climate's share."""
    mood = draws.scalars[:, 0:1]
    clear = mood < clear_days
    depth = np.where(clear, 0.06, 0.35 + 0.6 * draws.scalars[:, 1:2])
    cover = interpolate_knots(draws.cloud_knots, cells)
    flicker = np.where(clear, 0.005, 0.08) * draws.cloud_noise * cover
    index: Floats = np.clip(1.0 - depth * cover + flicker, 0.08, 1.05)
    return index


def compute_season_temperature(site: Site, day: date) -> float:
    """Mean ambient °C of the season."""
    warmest = 200 if site.latitude >= 0 else 17
    season = site.seasonal_swing_c * np.cos(2 * np.pi * (day.timetuple().tm_yday - warmest) / 365.25)
    return site.mean_temp_c + float(season)


def compute_daily_swing(site: Site, day_fraction: Floats) -> Floats:
    """What the time of the day adds, in °C (warmest at three in the afternoon)."""
    daily: Floats = site.daily_swing_c * np.cos(2 * np.pi * (day_fraction - 15 / 24))
    return daily


def compute_air_temperature(climate_c: Floats, draws: Draws) -> Floats:
    """Ambient °C: the climate and the day's own anomaly."""
    result: Floats = climate_c + 6.0 * (draws.scalars[:, 2:3] - 0.5)
    return result


def simulate_wind(draws: Draws, cells: int) -> Floats:
    """Wind in m/s, from calm to a fresh breeze."""
    result: Floats = (0.3 + 5.0 * draws.scalars[:, 3:4]) * (0.4 + interpolate_knots(draws.wind_knots, cells))
    return result
