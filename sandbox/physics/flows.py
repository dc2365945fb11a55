"""All power flows of a plant on some local days, with energy conserved cell by cell.

pv + diesel + discharging + from grid = load + charging + to grid
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from sandbox.days import Seconds, day_span
from sandbox.fleet.plants import Plant
from sandbox.fleet.sites import Site
from sandbox.physics import load as loads
from sandbox.physics import weather
from sandbox.physics.battery import run_battery
from sandbox.physics.sun import CELL_S, Sky, sky_of_cells
from sandbox.random_streams import Topic, day_stream

Floats = NDArray[np.float64]

CELL_HOURS = CELL_S / 3600
_GAMMA = -0.0037  # relative power of a silicon module per °C
_ALBEDO = 0.2
_WAKE_UP = 0.004  # an inverter starts at this share of its rated power


@dataclass(frozen=True, slots=True)
class Flows:
    """Mean W of each cell (stored_wh: at the cell's end); shape (days, cells). `ends` are the cells' ends in UTC."""

    ends: Seconds
    pv: Floats
    diesel: Floats
    load: Floats
    charger: Floats
    direct: Floats
    charging: Floats
    discharging: Floats
    stored_wh: Floats
    feed_in: Floats
    from_grid: Floats
    dc: Floats
    insolation: Floats
    ambient_c: Floats
    module_c: Floats
    wind: Floats


def cells_of(day: date, zone: str) -> int:
    """How many five-minute cells the local day has: 276, 288 or 300 where summer time moves by an hour."""
    start, end = day_span(day, zone)
    return (end - start) // CELL_S


def simulate(plant: Plant, seed: int, days: Sequence[date], feed_in_limit: Floats | None = None) -> Flows:
    """The flows of `plant` on `days`, which must all have the same number of cells.

    `feed_in_limit` (W at the grid connection, shape of the result, inf = none) curtails the PV power.
    """
    starts = np.array([day_span(day, plant.zone)[0] for day in days], dtype=np.int64)
    cells = cells_of(days[0], plant.zone)
    ends = starts[:, None] + CELL_S * np.arange(1, cells + 1, dtype=np.int64)
    fraction = _solar_day_fraction(ends, plant.site)
    draws = weather.draw([day_stream(seed, Topic.DAY, plant.index, day) for day in days], cells)

    sky = sky_of_cells(plant.site, starts, cells)
    insolation = _plane_of_array(plant, sky, weather.clear_sky_index(draws, plant.site.clear_days, cells))
    ambient = weather.air_temperature(plant.site, days, fraction, draws)
    wind = weather.wind_speed(draws, cells)
    module = ambient + insolation / (25.0 + 6.84 * wind)  # Faiman's model
    dc, pv = _generate(plant, insolation, module)
    made = _Generated(dc, pv, insolation, ambient, module, wind)
    charger = loads.charging_station(plant, fraction, draws)
    load = loads.house_load(plant, days, fraction, draws) + charger
    diesel = np.minimum(loads.diesel_power(plant, fraction), load)
    return _balance(plant, ends, made, _Used(load, charger, diesel), feed_in_limit)


@dataclass(frozen=True, slots=True)
class _Generated:
    dc: Floats
    pv: Floats
    insolation: Floats
    ambient_c: Floats
    module_c: Floats
    wind: Floats


@dataclass(frozen=True, slots=True)
class _Used:
    load: Floats
    charger: Floats
    diesel: Floats


def _balance(
    plant: Plant, ends: Seconds, made: _Generated, used: _Used, feed_in_limit: Floats | None
) -> Flows:
    """Share the generation out between house, battery and grid."""
    dc, pv = made.dc, made.pv
    direct = np.minimum(pv + used.diesel, used.load)
    surplus, deficit = pv + used.diesel - direct, used.load - direct
    none = np.zeros_like(pv)
    charging, discharging, stored = (
        run_battery(plant.battery, surplus, deficit, CELL_HOURS) if plant.battery else (none, none, none)
    )
    feed_in = np.maximum(surplus - charging, 0.0)  # rounding must not make a grid flow negative
    if feed_in_limit is not None:
        lost = np.minimum(np.maximum(feed_in - feed_in_limit, 0.0), pv)
        dc = dc * np.divide(pv - lost, pv, out=np.ones_like(pv), where=pv > 0)
        pv, feed_in = pv - lost, feed_in - lost
    return Flows(
        ends=ends,
        pv=pv,
        diesel=used.diesel,
        load=used.load,
        charger=used.charger,
        direct=direct,
        charging=charging,
        discharging=discharging,
        stored_wh=stored,
        feed_in=feed_in,
        from_grid=np.maximum(deficit - discharging, 0.0),
        dc=dc,
        insolation=made.insolation,
        ambient_c=made.ambient_c,
        module_c=made.module_c,
        wind=made.wind,
    )


def _solar_day_fraction(ends: Seconds, site: Site) -> Floats:
    """Time of the day from 0 to 1 by the sun's mean time: habits here do not jump with summer time."""
    return ((ends - CELL_S / 2) / 86400 + site.longitude / 360) % 1.0


def _plane_of_array(plant: Plant, sky: Sky, index: Floats) -> Floats:
    """Insolation on the modules in W/m²: beam thins out faster than the whole under clouds, the rest is diffuse."""
    from pvlib import irradiance  # noqa: PLC0415 - a slow import that a replay never needs

    tilt, azimuth = plant.array.tilt_deg, plant.array.azimuth_deg
    ghi = sky.ghi * index
    beam = sky.dni * np.clip((index - 0.2) / 0.8, 0.0, 1.0) ** 1.5
    diffuse = np.maximum(ghi - beam * np.cos(np.radians(np.minimum(sky.zenith, 90.0))), 0.0)
    facing = np.maximum(irradiance.aoi_projection(tilt, azimuth, sky.zenith, sky.azimuth), 0.0)
    tilt_cos = float(np.cos(np.radians(tilt)))
    result: Floats = beam * facing + diffuse * (1 + tilt_cos) / 2 + ghi * _ALBEDO * (1 - tilt_cos) / 2
    return result


def _generate(plant: Plant, insolation: Floats, module_c: Floats) -> tuple[Floats, Floats]:
    """DC and AC power by the PVWatts model: losses, temperature, inverter efficiency and clipping."""
    from pvlib import inverter, pvsystem  # noqa: PLC0415 - a slow import that a replay never needs

    dc = pvsystem.pvwatts_dc(insolation, module_c, plant.array.peak_w * 0.93, _GAMMA)
    rated = plant.array.ac_rated_w
    ac = np.clip(inverter.pvwatts(dc, rated / 0.96), 0.0, rated)
    asleep = ac < _WAKE_UP * rated
    # Above the rating the inverter moves its operating point, so DC follows AC: no energy appears or vanishes.
    return np.where(asleep, 0.0, np.minimum(dc, ac / 0.96 + 0.01 * rated)), np.where(asleep, 0.0, ac)
