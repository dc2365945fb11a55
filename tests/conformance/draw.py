"""Days that break converters, drawn from a seed: the same ones in every run, on every machine.

A day is what SMA would send of it: labels of the plant's clock (or UTC) at the end of each row, and mean power. Long
days of short rows keep only what is near their ends, the change of clocks and the 24th hour, so that the suite stays
small.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from tests.transform import oracle
from tests.transform.days import RESOLUTIONS

SEED = 20251026
FIELDS = ("pvGeneration", "gridFeedIn", "totalConsumption")
RATED_W = (3_000, 6_000, 25_000, 1_000_000)
# Rows near one end of a day or near its change of clocks.
NEAR = 12

PLAIN = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Tokyo", "Asia/Kathmandu", "Africa/Johannesburg",
         "Asia/Kolkata", "Pacific/Kiritimati", "Pacific/Pago_Pago", "Australia/Brisbane")  # fmt: skip
PLAIN_DAYS = ("2025-07-09", "2025-01-01", "2025-12-31", "2024-02-29", "2024-12-31", "2025-02-28")
LEAP_DAYS = ("2024-02-28", "2024-02-29", "2024-03-01", "2020-02-29")
SPRING = (("Europe/Berlin", "2025-03-30"), ("Europe/Lisbon", "2025-03-30"), ("Atlantic/Azores", "2025-03-30"),
          ("America/New_York", "2025-03-09"), ("America/Denver", "2025-03-09"), ("America/Havana", "2025-03-09"),
          ("Australia/Melbourne", "2025-10-05"), ("Australia/Lord_Howe", "2025-10-05"), ("Asia/Beirut", "2025-03-30"),
          ("America/Santiago", "2025-09-07"), ("Africa/Cairo", "2025-04-25"), ("America/Sao_Paulo", "2018-11-04"),
          ("Pacific/Chatham", "2025-09-28"))  # fmt: skip
AUTUMN = (("Europe/Berlin", "2025-10-26"), ("Europe/Lisbon", "2025-10-26"), ("Atlantic/Azores", "2025-10-26"),
          ("America/New_York", "2025-11-02"), ("America/Denver", "2025-11-02"), ("America/Havana", "2025-11-02"),
          ("Australia/Melbourne", "2025-04-06"), ("Australia/Lord_Howe", "2025-04-06"), ("Asia/Beirut", "2025-10-25"),
          ("America/Santiago", "2025-04-05"), ("Africa/Cairo", "2025-10-30"), ("America/Sao_Paulo", "2018-02-17"),
          ("Pacific/Chatham", "2025-04-06"))  # fmt: skip
# The days beside a change at midnight, whose ends have odd labels.
BESIDE = (("America/Havana", "2025-11-01"), ("America/Havana", "2025-03-08"), ("Asia/Beirut", "2025-03-29"),
          ("Asia/Beirut", "2025-10-26"), ("America/Sao_Paulo", "2018-11-03"), ("America/Sao_Paulo", "2018-02-18"),
          ("America/Santiago", "2025-09-06"), ("Atlantic/Azores", "2025-10-25"))  # fmt: skip


@dataclass(frozen=True)
class Topic:
    """One file of the suite: where its days lie, and how often something is odd in a row."""

    name: str
    days: int
    places: tuple[tuple[str, str], ...]
    gaps: float = 0.0
    uneven: float = 0.0
    absent: float = 0.0
    # Rows of the days before and after, first rows that come late, last ones that never come.
    ragged: bool = False
    merged: bool = False
    constant: bool = False


@dataclass(frozen=True)
class Case:
    """A plant's facts, its day, and the answers that SMA gives for it."""

    name: str
    zone: str
    day: dt.date
    resolution: str
    basis: str
    merged_hour: str
    rated_w: int
    answers: list[dict[str, Any]]


_PLAIN = tuple((zone, day) for zone in PLAIN for day in PLAIN_DAYS)
TOPICS = (
    Topic("constant", 36, (*SPRING[:4], *AUTUMN[:4], *_PLAIN[:4]), constant=True),
    Topic("even", 230, _PLAIN),
    Topic("leap", 80, tuple((zone, day) for zone in PLAIN for day in LEAP_DAYS), gaps=0.05, uneven=0.1),
    Topic("spring", 330, SPRING, gaps=0.05, uneven=0.1),
    Topic("autumn_twice", 330, AUTUMN, gaps=0.03, uneven=0.1),
    Topic("autumn_merged", 260, AUTUMN, uneven=0.05, merged=True),
    Topic("gaps", 330, (*_PLAIN, *SPRING, *AUTUMN), gaps=0.3),
    Topic("uneven", 260, (*_PLAIN, *SPRING, *AUTUMN), uneven=1.0, gaps=0.05),
    Topic("absent", 160, (*_PLAIN, *SPRING, *AUTUMN), absent=0.3),
    Topic("boundaries", 230, (*BESIDE, *SPRING, *AUTUMN, *_PLAIN[:8]), gaps=0.05, uneven=0.2, ragged=True),
)


def cases(topic: Topic) -> Iterator[Case]:
    """The topic's days."""
    chance = Random(f"{SEED} {topic.name}")  # noqa: S311 - nothing secret
    for number in range(topic.days):
        zone, day = topic.places[number % len(topic.places)]
        yield _case(topic, f"{topic.name}-{number:03}", zone, dt.date.fromisoformat(day), chance)


def _case(topic: Topic, name: str, zone: str, day: dt.date, chance: Random) -> Case:
    basis = "plant_local" if topic.merged else chance.choice(["plant_local", "plant_local", "utc"])
    resolution = chance.choice(list(RESOLUTIONS))
    rated = chance.choice(RATED_W)
    fields = ("pvGeneration", *chance.choice([(), (), FIELDS[1:2], FIELDS[2:3]]))
    rows: list[dict[str, Any]] = []
    seen: dict[dt.datetime, dict[str, Any]] = {}
    for moment in _moments(topic, day, ZoneInfo(zone), RESOLUTIONS[resolution], chance):
        label = moment.astimezone(dt.UTC if basis == "utc" else ZoneInfo(zone)).replace(tzinfo=None, fold=0)
        watts = _watts(topic, fields, rated, chance)
        if topic.merged and label in seen:
            before = seen[label]
            before |= {field: (before[field] + power) / 2 for field, power in watts.items()}
            continue
        rows.append({"time": label.isoformat(), **watts})
        seen[label] = rows[-1]
    hour = chance.choice(["gap", "mean"]) if topic.merged else "gap"
    return Case(name, zone, day, resolution, basis, hour, rated, list(_answers(rows, resolution, basis)))


def _answers(rows: list[dict[str, Any]], resolution: str, basis: str) -> Iterator[dict[str, Any]]:
    """The whole day in one answer, or under UTC one for each UTC day."""
    days = {row["time"][:10] for row in rows} if basis == "utc" else {""}
    for day in sorted(days):
        own = [row for row in rows if row["time"].startswith(day)]
        yield {"setType": "EnergyBalance", "resolution": resolution, "set": own}


def _moments(topic: Topic, day: dt.date, zone: ZoneInfo, step: int, chance: Random) -> list[dt.datetime]:
    """When the rows end."""
    start, end = oracle.bounds(day, zone)
    moment, last = start + dt.timedelta(seconds=step), end
    if topic.ragged:
        moment = start + dt.timedelta(seconds=chance.choice([-2 * step, 0, 1, step - 1, step + 1, 7 * step]))
        last = end + dt.timedelta(seconds=chance.choice([2 * step, step, 0, -step, -5 * step]))
    found: list[dt.datetime] = []
    while moment <= last:
        found.append(moment)
        moment += dt.timedelta(seconds=_seconds(topic, step, chance))
    if topic.constant or len(found) <= 5 * NEAR:
        return found
    offsets = [moment.astimezone(zone).utcoffset() for moment in found]
    change = next((number for number, offset in enumerate(offsets) if offset != offsets[0]), 0)
    a_day = sum(moment <= start + dt.timedelta(hours=24) for moment in found)
    kept = [*range(NEAR), *range(change - NEAR, change + 2 * NEAR), *range(a_day - NEAR, a_day + NEAR // 2)]
    return [
        found[number]
        for number in sorted({*kept, *range(len(found) - NEAR, len(found))})
        if 0 <= number < len(found)
    ]


def _seconds(topic: Topic, step: int, chance: Random) -> int:
    """Seconds to the next row: one resolution, an uneven one, or a gap on either side of the limit."""
    if chance.random() < topic.gaps:
        return chance.choice(
            [2 * step, 3 * step - 1, 3 * step, 3 * step + 1, 4 * step, 3600 + step, 7 * step]
        )
    if chance.random() < topic.uneven:
        return chance.choice([chance.randint(1, 2 * step), chance.randint(1, 2 * step), 2 * step, step // 2])
    return step


def _watts(topic: Topic, fields: tuple[str, ...], rated: int, chance: Random) -> dict[str, float]:
    if topic.constant:
        return {"pvGeneration": 1000.0}
    there = [field for field in fields if chance.random() >= topic.absent]
    return {field: _power(rated, chance) for field in there}


def _power(rated: int, chance: Random) -> float:
    """A whole number of watts, as most portals send them, or with decimals; a zero now and then."""
    if chance.random() < 0.2:
        return round(chance.uniform(0, rated), chance.choice([1, 2, 3]))
    return float(chance.randint(0, rated) if chance.random() < 0.9 else 0)
