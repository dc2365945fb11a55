"""The simulated fleet: plant `i` of a seed is always the same plant, whatever the size of the fleet.

The first twelve are chosen so that a small fleet shows the variety that matters: both portals, three zones (two with
summer time), 5 and 15 minute rows, with and without battery. Further plants are drawn at random.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

import numpy as np

from sandbox.days import find_local_date, find_midnight
from sandbox.fleet.ids import build_device_id, build_ennexos_id, build_guid
from sandbox.fleet.plant_model import Array, Battery, Device, Plant, Role
from sandbox.fleet.sites import FIRST_SITES, SITES
from sandbox.random_streams import Topic, open_index_streams

VARIED = 12
PLANTS_PER_OWNER = 3

FIVE_MINUTES = 300
FIFTEEN_MINUTES = 900
ONE_HOUR = 3600
CLASSIC_DELAY = 7200
PROFESSIONAL_DELAY = 900
ENNEXOS_DELAY = 300

_INVERTERS = (
    (3000.0, "SB3.0-1AV-40", 9319),
    (3600.0, "SB3.6-1AV-40", 9320),
    (5000.0, "STP 5000TL-20", 9098),
    (6000.0, "STP 6000TL-20", 9099),
    (25000.0, "STP 25000TL-30", 9338),
    (50000.0, "STP 50-40", 9401),
)

# Names that break pages, paths, SQL and spreadsheets of a careless client.
HOSTILE_NAMES = (
    "<script>alert('plant')</script>",
    "Quote \" and ' and `tick`",
    "Line one\nLine two\tand a tab",
    "../../etc/passwd",
    "..\\..\\windows\\system32",
    "'; DROP TABLE plants; --",
    "{{ 7 * 7 }} ${7*7} %s %d",
    '=HYPERLINK("http://example.com")',
    "Sol\u0000ar \u202egnirts desrever",
    "☀️ 太陽光発電所 محطة شمسية",
    "P" * 4000,
    " ",
)


@dataclass(frozen=True, slots=True)
class _Kind:
    """The traits that decide what a plant looks like from outside."""

    classic: bool
    step_s: int
    battery: bool
    metered: bool = True


_KINDS = (
    _Kind(classic=False, step_s=FIVE_MINUTES, battery=True),
    _Kind(classic=True, step_s=FIFTEEN_MINUTES, battery=False),
    _Kind(classic=False, step_s=FIVE_MINUTES, battery=False),
    _Kind(classic=True, step_s=FIFTEEN_MINUTES, battery=True),
)


def build_fleet(count: int, seed: int, *, hostile_names: bool = False) -> list[Plant]:
    """The first `count` plants of `seed`."""
    streams = open_index_streams(seed, Topic.PLANT, range(count))
    plants = [_build_plant(index, seed, rng) for index, rng in enumerate(streams)]
    if hostile_names:
        plants = [replace(plant, name=HOSTILE_NAMES[plant.index % len(HOSTILE_NAMES)]) for plant in plants]
    return plants


def name_owner(index: int) -> str:
    """The e-mail of the owner of plant `index`: three plants to an owner."""
    return f"owner{index // PLANTS_PER_OWNER + 1}@example.com"


def _build_plant(index: int, seed: int, rng: np.random.Generator) -> Plant:
    """Plant `index` of `seed`, with its devices."""
    kind = _choose_kind(index, rng)
    site = FIRST_SITES[index % len(FIRST_SITES)] if index < VARIED else SITES[int(rng.integers(len(SITES)))]
    inverters = _build_inverters(rng)
    rated = sum(size for size, _, _ in inverters)
    north = site.latitude >= 0
    array = Array(
        peak_w=round(rated * float(rng.uniform(1.0, 1.25)), -1),
        ac_rated_w=rated,
        tilt_deg=float(rng.integers(10, 46)),
        azimuth_deg=float(rng.integers(110, 251)) if north else float(rng.integers(-70, 71) % 360),
    )
    plant_id = build_guid(seed, "classic", index) if kind.classic else build_ennexos_id(index)
    first_day = date(2010, 3, 1) + timedelta(days=int(rng.integers(0, 1700)))
    started = datetime.fromtimestamp(find_midnight(first_day, site.zone), UTC)
    plant = Plant(
        plant_id=plant_id,
        index=index,
        name=f"{'Classic' if kind.classic else 'ennexOS'} {site.city} {index + 1}",
        site=site,
        array=array,
        started_at=started,
        owner=name_owner(index),
        devices=(),
        step_s=kind.step_s,
        delay_s=_draw_delay(index, classic=kind.classic),
        metered=kind.metered,
        battery=_build_battery(rated, rng) if kind.battery else None,
        diesel_w=round(0.2 * rated, -1) if index >= VARIED and index % 29 == 0 and kind.metered else 0.0,
        load_kwh_year=round(rated * float(rng.uniform(0.6, 1.1)), 0),
        charger_w=11000.0 if kind.metered and index % 6 == 0 else 0.0,
        has_installation=index % 50 != 13,  # noqa: PLR2004 - one plant in fifty, none among the first twelve
        nominal_power_given=index % 8 != 4,  # noqa: PLR2004 - one in eight gives only the calculated power
        description=f"Simulated plant {index + 1}" if index % 2 == 0 else None,
        # Every second plant is in a system group, of up to three plants.
        group_id=f"group-{index // 6 + 1}" if index % 2 == 0 else None,
    )
    return replace(plant, devices=tuple(_build_devices(plant, inverters, rng)))


def _sum_up(*shares: float) -> list[float]:
    """Running sums of shares, the last of them one."""
    sums = np.cumsum(shares)
    ends: list[float] = (sums / sums[-1]).tolist()
    return ends


_STEPS_UP_TO = _sum_up(0.6, 0.3, 0.1)
_INVERTERS_UP_TO = _sum_up(0.2, 0.2, 0.2, 0.2, 0.15, 0.05)


def _choose_one(up_to: list[float], rng: np.random.Generator) -> int:
    """One of several, by their shares."""
    return bisect_right(up_to, rng.random())


def _choose_kind(index: int, rng: np.random.Generator) -> _Kind:
    if index < VARIED:
        return _KINDS[index // len(FIRST_SITES)]
    classic = bool(rng.random() < 0.5)  # noqa: PLR2004 - an even coin
    step = (FIVE_MINUTES, FIFTEEN_MINUTES, ONE_HOUR)[_choose_one(_STEPS_UP_TO, rng)]
    metered = bool(rng.random() < 0.85)  # noqa: PLR2004 - most plants have a meter
    return _Kind(classic, step, battery=metered and bool(rng.random() < 0.4), metered=metered)  # noqa: PLR2004


def _draw_delay(index: int, *, classic: bool) -> int:
    """ennexOS shows data after about 5 minutes, Classic after 2 hours, or 15 minutes with the Professional package."""
    if not classic:
        return ENNEXOS_DELAY
    return PROFESSIONAL_DELAY if index % 4 == 3 else CLASSIC_DELAY  # noqa: PLR2004 - every fourth has the package


def _build_inverters(rng: np.random.Generator) -> list[tuple[float, str, int]]:
    """One to three inverters of one size; commercial sizes are rarer."""
    size = _INVERTERS[_choose_one(_INVERTERS_UP_TO, rng)]
    return [size] * int(rng.integers(1, 4))


def _build_battery(rated_w: float, rng: np.random.Generator) -> Battery:
    capacity = round(rated_w * float(rng.uniform(1.0, 2.0)), -2)
    return Battery(capacity_wh=capacity, power_w=round(capacity * 0.5, -2))


def _find_swap_instant(plant: Plant) -> float:
    """The local midnight, about seven years in, at which the first inverter was replaced."""
    day = find_local_date(plant.started_at.timestamp(), plant.zone) + timedelta(days=2500)
    return float(find_midnight(day, plant.zone))


def _build_devices(
    plant: Plant, inverters: list[tuple[float, str, int]], rng: np.random.Generator
) -> list[Device]:
    """The plant's devices in a fixed order; ids and serial numbers follow the order."""
    serial_base = int(rng.integers(1_900_000_000, 2_100_000_000))
    drafts = [*_draft_inverters(plant, inverters), *_draft_others(plant)]
    devices = [
        replace(
            draft,
            device_id=build_device_id(plant.plant_id, number),
            serial=None if draft.role is Role.SENSOR else str(serial_base + number),
        )
        for number, draft in enumerate(drafts, start=1)
    ]
    if plant.index % 9 == 8:  # noqa: PLR2004 - one plant in nine is listed among its own devices
        devices.append(Device(plant.plant_id, plant.name, Role.PLANT, plant.name, 9000))
    return devices


def _draft_inverters(plant: Plant, inverters: list[tuple[float, str, int]]) -> Iterator[Device]:
    """Inverters without ids. One plant in four lost its first one, which is listed before its successor."""
    swap = _find_swap_instant(plant) if plant.index % 4 == 2 else None  # noqa: PLR2004
    # A plant with several inverters has a section for each, but for every fourth plant, which has none.
    has_sections = len(inverters) > 1 and plant.index % 4 != 3  # noqa: PLR2004
    for position, (size, product, product_id) in enumerate(inverters, start=1):
        inverter = Device(
            "",
            f"Inverter {position}",
            Role.INVERTER,
            product,
            product_id,
            generator_power_w=size,
            share=1 / len(inverters),
            section=position if has_sections else None,
        )
        if position == 1 and swap is not None:
            yield replace(inverter, name=f"{inverter.name} (replaced)", deactivated_at=swap)
            yield replace(inverter, installed_at=swap)
        else:
            yield inverter


def _draft_others(plant: Plant) -> Iterator[Device]:
    """All devices but inverters, without ids."""
    if plant.battery is not None:
        power_w = plant.battery.power_w
        yield Device("", "Battery 1", Role.BATTERY, "SBS6.0-10", 9359, generator_power_w=power_w)
    if plant.metered:
        yield Device("", "Energy Meter 1", Role.METER, "EMETER-20", 9307)
    yield Device("", "Data Manager", Role.GATEWAY, "EDMM-10", 9397)
    if plant.index % 3 == 0:
        yield Device("", "Satellit Sensor", Role.SENSOR, "Sensor", 9230)
    if plant.charger_w:
        yield Device("", "Charging Station 1", Role.CHARGER, "STP50-41", 9431)
    if plant.index % 5 == 1:
        yield Device("", "Consumer 1", Role.SOCKET, "EDIMAX", 9111)
