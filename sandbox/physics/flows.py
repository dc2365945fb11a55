"""All power flows of plants on local days, with energy conserved cell by cell.

pv + diesel + discharging + from grid = load + charging + to grid
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from sandbox.days import Seconds, find_day_bounds
from sandbox.fleet.plant_model import Plant
from sandbox.physics import load as loads
from sandbox.physics import weather
from sandbox.physics.battery import run_batteries
from sandbox.physics.solar_position import CELL_S
from sandbox.physics.town import TownDays, simulate_towns
from sandbox.random_streams import Topic, open_day_streams

Floats = NDArray[np.float64]

CELL_HOURS = CELL_S / 3600
_GAMMA = -0.0037  # relative power of a silicon module per °C
_ALBEDO = 0.2
_WAKE_UP = 0.004  # an inverter starts at this share of its rated power


@dataclass(frozen=True, slots=True)
class Flows:
    """Mean W of each cell (stored_wh: at the cell's end); shape (rows, cells). `ends` are the cells' ends in UTC."""

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


def count_cells(day: date, zone: str) -> int:
    """How many five-minute cells the local day has: 276, 288 or 300 where summer time moves by an hour."""
    start, end = find_day_bounds(day, zone)
    return (end - start) // CELL_S


def simulate_flows(
    plants: Sequence[Plant],
    days: Sequence[date],
    seed: int,
    feed_in_limit: Floats | None = None,
    generation_limit: Floats | None = None,
) -> Flows:
    """The flows of each plant on the day beside it; all the days must have the same number of cells.

    A row does not depend on the rows around it: many at once only cost less. `feed_in_limit` (W at the grid connection)
    and `generation_limit` (W of the inverters), both of the shape of the result and infinite where there is none,
    curtail the PV power. Feed-in is what house and battery leave; a plant without a meter feeds in all it generates.
    """
    sites = [plant.site for plant in plants]
    towns = simulate_towns(sites, list(days))
    cells = towns.ends.shape[1]
    rows = zip((plant.index for plant in plants), days, strict=True)
    draws = weather.draw_days(open_day_streams(seed, Topic.DAY, rows), len(plants), cells)
    draws = weather.spread_skies(draws, sites, days, seed)
    clear_days = _build_column(plant.site.clear_days for plant in plants)
    insolation = _compute_plane_of_array(
        plants, towns, weather.simulate_clear_sky_index(draws, clear_days, cells)
    )
    ambient = weather.compute_air_temperature(towns.air_c, draws)
    wind = weather.simulate_wind(draws, cells)
    module = ambient + insolation / (25.0 + 6.84 * wind)  # Faiman's model
    dc, pv = _generate(plants, insolation, module)
    charger = loads.simulate_charging(_build_column(plant.charger_w for plant in plants), towns.hour, draws)
    kwh_year = _build_column(plant.load_kwh_year for plant in plants)
    load = loads.simulate_house_load(kwh_year, days, towns.habit, draws) + charger
    diesel = np.minimum(
        loads.simulate_diesel(_build_column(plant.diesel_w for plant in plants), towns.hour), load
    )
    if feed_in_limit is not None:
        metered = np.array([plant.metered for plant in plants])[:, None]
        fed_in_whole = np.where(metered, np.inf, feed_in_limit)
        dc, pv, _ = _hold_back(dc, pv, pv - fed_in_whole)
        feed_in_limit = np.where(metered, feed_in_limit, np.inf)
    if generation_limit is not None:
        dc, pv, _ = _hold_back(dc, pv, pv - generation_limit)
    balance = _balance_flows(plants, dc, pv, diesel, load, feed_in_limit)
    return Flows(
        ends=towns.ends,
        diesel=diesel,
        load=load,
        charger=charger,
        insolation=insolation,
        ambient_c=ambient,
        module_c=module,
        wind=wind,
        **balance,
    )


def _build_column(values: Iterable[float]) -> Floats:
    """One value a row, to be spread over the cells."""
    return np.array(list(values), dtype=np.float64)[:, None]


def _balance_flows(
    plants: Sequence[Plant],
    dc: Floats,
    pv: Floats,
    diesel: Floats,
    load: Floats,
    feed_in_limit: Floats | None,
) -> dict[str, Floats]:
    """Share the generation out between house, battery and grid."""
    direct = np.minimum(pv + diesel, load)
    surplus, deficit = pv + diesel - direct, load - direct
    charging, discharging, stored = _store(plants, surplus, deficit)
    feed_in = np.maximum(surplus - charging, 0.0)  # rounding must not make a grid flow negative
    if feed_in_limit is not None:
        dc, pv, lost = _hold_back(dc, pv, feed_in - feed_in_limit)
        feed_in = feed_in - lost
    return {
        "dc": dc,
        "pv": pv,
        "direct": direct,
        "charging": charging,
        "discharging": discharging,
        "stored_wh": stored,
        "feed_in": feed_in,
        "from_grid": np.maximum(deficit - discharging, 0.0),
    }


def _hold_back(dc: Floats, pv: Floats, excess: Floats) -> tuple[Floats, Floats, Floats]:
    """DC and AC power less the excess, as far as there is any and PV can give way; and what of PV is lost."""
    lost = np.minimum(np.maximum(excess, 0.0), pv)
    return dc * np.divide(pv - lost, pv, out=np.ones_like(pv), where=pv > 0), pv - lost, lost


def _store(plants: Sequence[Plant], surplus: Floats, deficit: Floats) -> tuple[Floats, Floats, Floats]:
    """Charging, discharging and stored energy; zero in the rows of plants without a battery."""
    batteries = {row: plant.battery for row, plant in enumerate(plants) if plant.battery is not None}
    if not batteries:
        none = np.zeros_like(surplus)
        return none, none, none
    rows = list(batteries)
    ran = run_batteries(list(batteries.values()), surplus[rows], deficit[rows], CELL_HOURS)
    charging, discharging, stored = (np.zeros_like(surplus) for _ in ran)
    charging[rows], discharging[rows], stored[rows] = ran
    return charging, discharging, stored


def _compute_plane_of_array(plants: Sequence[Plant], towns: TownDays, index: Floats) -> Floats:
    """Insolation on the modules in W/m²: beam thins out faster than the whole under clouds, the rest is diffuse."""
    tilt = np.radians(_build_column(plant.array.tilt_deg for plant in plants))
    azimuth = np.radians(_build_column(plant.array.azimuth_deg for plant in plants))
    ghi = towns.ghi * index
    clearness = np.clip((index - 0.2) / 0.8, 0.0, 1.0)
    beam = towns.dni * clearness * np.sqrt(clearness)
    up, north, east = towns.sun
    diffuse = np.maximum(ghi - beam * up, 0.0)
    tilt_cos, tilt_sin = np.cos(tilt), np.sin(tilt)
    facing = tilt_cos * up + tilt_sin * np.cos(azimuth) * north + tilt_sin * np.sin(azimuth) * east
    facing = np.maximum(facing, 0.0)
    result: Floats = beam * facing + diffuse * (1 + tilt_cos) / 2 + ghi * _ALBEDO * (1 - tilt_cos) / 2
    return result


def _generate(plants: Sequence[Plant], insolation: Floats, module_c: Floats) -> tuple[Floats, Floats]:
    """DC and AC power by the PVWatts model: losses, temperature, inverter efficiency and clipping."""
    peak, rated = (
        _build_column(plant.array.peak_w for plant in plants),
        _build_column(p.array.ac_rated_w for p in plants),
    )
    dc = compute_module_power(insolation, module_c, peak * 0.93)
    ac = np.clip(compute_inverter_power(dc, rated / 0.96), 0.0, rated)
    asleep = ac < _WAKE_UP * rated
    # Above the rating the inverter moves its operating point, so DC follows AC: no energy appears or vanishes.
    return np.where(asleep, 0.0, np.minimum(dc, ac / 0.96 + 0.01 * rated)), np.where(asleep, 0.0, ac)


def compute_module_power(insolation: Floats, module_c: Floats, peak_w: Floats) -> Floats:
    """DC power in W of modules in this light (W/m²) and at this temperature, by PVWatts version 5."""
    power: Floats = insolation * 0.001 * peak_w * (1 + _GAMMA * (module_c - 25.0))
    return power


def compute_inverter_power(dc: Floats, rated_dc: Floats) -> Floats:
    """AC power in W of an inverter with 96 % efficiency at its rating, by PVWatts version 5."""
    load = dc / rated_dc
    part = np.divide(0.0059, load, out=np.zeros_like(load), where=dc != 0)
    efficiency = 0.96 / 0.9637 * (-0.0162 * load - part + 0.9858)
    power: Floats = np.maximum(0, np.minimum(0.96 * rated_dc, efficiency * dc))
    return power
