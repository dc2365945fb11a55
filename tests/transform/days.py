"""Days that break warehouses: both changes of clocks, changes at midnight, odd offsets, uneven series with gaps."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from pipeline.common.local_time import MergedHour, TimeBasis
from tests.transform import oracle
from tests.transform.answers import Row, body

SECOND = dt.timedelta(seconds=1)
ZONES = (
    "UTC",
    "Europe/Berlin",
    "Europe/London",
    "Atlantic/Azores",  # its autumn change repeats midnight
    "America/New_York",
    "America/Havana",  # repeats midnight too
    "America/Sao_Paulo",  # changed at midnight: a skipped 00:00, a repeated 23:00
    "America/Santiago",
    "America/Asuncion",
    "Africa/Cairo",
    "Africa/Casablanca",
    "Asia/Beirut",
    "Asia/Kathmandu",
    "Australia/Melbourne",
    "Australia/Lord_Howe",  # half an hour
    "Pacific/Chatham",
    "Pacific/Kiritimati",
    "Pacific/Pago_Pago",
)
DATES = tuple(
    dt.date.fromisoformat(text)
    for text in (
        "2024-02-29", "2025-07-09", "2025-12-31",
        "2025-03-30", "2025-10-26", "2025-10-25",  # Europe, the Azores, Beirut
        "2025-03-09", "2025-11-02",  # New York, Havana
        "2025-10-05", "2025-04-06", "2025-09-28",  # Melbourne, Lord Howe, Chatham
        "2025-04-05", "2025-09-06", "2025-09-07",  # Santiago
        "2024-03-23", "2024-10-05", "2024-10-06",  # Asuncion
        "2018-02-17", "2018-11-03", "2018-11-04",  # Sao Paulo
        "2025-04-24", "2025-04-25", "2025-10-30",  # Cairo
        "2025-02-23", "2025-04-06",  # Casablanca, around Ramadan
    )
)  # fmt: skip
RESOLUTIONS = {
    "OneMinute": 60,
    "FiveMinutes": 300,
    "TenMinutes": 600,
    "FifteenMinutes": 900,
    "ThirtyMinutes": 1800,
    "OneHour": 3600,
}
# Rows until the changes of clocks are over: more than three hours of minutes.
LONGEST = 200
FIELDS = {"pvGeneration": "pv_generation", "gridFeedIn": "grid_feed_in"}
Powers = Mapping[str, float]


@dataclass(frozen=True)
class Shape:
    """What kind of day a plant has."""

    zone: str
    resolution: str
    seed: int
    # Chance of a row to be far from the one before, of a value to be absent, of an uneven step.
    gaps: float
    absent: float
    uneven: float
    merged: bool
    # What a merged hour is taken for.
    hour: MergedHour = "gap"


shapes = st.builds(
    Shape,
    zone=st.sampled_from(ZONES),
    resolution=st.sampled_from([*RESOLUTIONS, *list(RESOLUTIONS)[1:]]),
    seed=st.integers(0, 10**9),
    gaps=st.sampled_from([0.0, 0.05, 0.3]),
    absent=st.sampled_from([0.0, 0.2, 1.0]),
    uneven=st.sampled_from([0.0, 0.1, 1.0]),
    merged=st.booleans(),
)


@dataclass(frozen=True)
class PlantDay:
    """The rows of one plant as sent: labels, what was measured, and when it really ended."""

    shape: Shape
    day: dt.date
    basis: TimeBasis
    rows: tuple[tuple[dt.datetime, Powers], ...]

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.shape.zone)

    @property
    def resolution(self) -> dt.timedelta:
        return RESOLUTIONS[self.shape.resolution] * SECOND

    def bodies(self) -> list[bytes]:
        """The answers of the API. Under `utc` one for each UTC day, in order."""
        rows: list[Row] = [{"time": _text(label), **watts} for label, watts in self.rows]
        if self.basis == "plant_local":
            return [body(rows, self.shape.resolution)]
        days = sorted({each["time"][:10] for each in rows})
        return [body([r for r in rows if r["time"][:10] == day], self.shape.resolution) for day in days]

    def expected(self) -> list[tuple[oracle.Interval, bool]]:
        """The intervals of the day by the oracle, and whether each is of a merged hour."""
        labels = [label for label, _ in self.rows]
        found = oracle.instants(labels, self.day, self.zone)
        if self.basis == "utc":
            found = [(label.replace(tzinfo=dt.UTC), None) for label in labels]
        start, end = oracle.bounds(self.day, self.zone)
        ends = [
            (*both, watts)
            for both, (_, watts) in zip(found, self.rows, strict=True)
            if both[0] and start < both[0] <= end
        ]
        own = [(first, watts) for first, _, watts in ends if first]
        again = [(second, watts) for _, second, watts in ends if second]
        merged = {t for both in found for t in both if both[1]}
        lost = [t for t, _ in again]
        if self.shape.hour == "mean":
            own, lost = own + again, []
        intervals = oracle.intervals(own, tuple(FIELDS), start, self.resolution, lost)
        return [(interval, interval.end in merged) for interval in intervals]


def plant_day(shape: Shape, day: dt.date, basis: TimeBasis) -> PlantDay:
    """A day of the shape, always the same one."""
    chance, zone = Random(shape.seed), ZoneInfo(shape.zone)  # noqa: S311 - nothing secret
    start, end = oracle.bounds(day, zone)
    step = RESOLUTIONS[shape.resolution]
    moment = start + SECOND * chance.choice(
        [0, 0, step, step // 2, 7, -step, -5 * step, 3 * step + 1, 40_000]
    )
    rows: list[tuple[dt.datetime, Powers]] = []
    seen: set[dt.datetime] = set()
    while moment <= end + SECOND * step * 2:
        local = moment.astimezone(zone).replace(tzinfo=None, fold=0)
        label = moment.replace(tzinfo=None) if basis == "utc" else local
        if not (shape.merged and label in seen):
            watts = {name: _watts(chance) for name in FIELDS if chance.random() >= shape.absent}
            # What its row contradicts is set aside: without a battery no more is fed in than is made.
            if len(watts) == len(FIELDS):
                watts["gridFeedIn"] = min(watts["gridFeedIn"], watts["pvGeneration"])
            rows.append((label, watts))
        seen.add(label)
        moment += SECOND * _step(chance, shape, step)
        if len(rows) == LONGEST:
            # The rest of a long day is of the same kind: only its end is another case.
            moment = max(moment, end - SECOND * step * 50)
    return PlantDay(shape, day, basis, tuple(rows))


def _step(chance: Random, shape: Shape, step: int) -> int:
    """Seconds to the next row: one resolution, an uneven one, or a gap on either side of the limit."""
    if chance.random() < shape.gaps:
        return chance.choice(
            [2 * step, 3 * step, 3 * step - 1, 3 * step + 1, 4 * step, 3600 + step, 7 * step]
        )
    if chance.random() < shape.uneven:
        return chance.randint(1, 2 * step)
    return step


def _watts(chance: Random) -> float:
    return chance.choice([0.0, 1000.0, 1e-3, float(chance.randint(0, 20_000)), chance.uniform(0, 1e6)])


def _text(label: dt.datetime) -> str:
    return label.isoformat(timespec="seconds")
