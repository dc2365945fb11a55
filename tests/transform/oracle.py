"""The rules of time and energy again, in exact fractions and plain Python, row by row.

Written from the rules' text alone. It shares nothing with the pipeline, so that a mistake would have to be made twice.
"""

import datetime as dt
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

MAX_STEPS = 3
DAY = dt.timedelta(days=1)
MICROSECOND = dt.timedelta(microseconds=1)
MICROSECONDS_PER_HOUR = 3_600_000_000


@dataclass(frozen=True)
class Interval:
    """What a row stands for: (start, end], how its start was found, and exact energies in kWh (None: absent)."""

    start: dt.datetime
    end: dt.datetime
    basis: str
    kwh: Mapping[str, Fraction | None]


@cache
def bounds(day: dt.date, zone: ZoneInfo) -> tuple[dt.datetime, dt.datetime]:
    """The day's first instant and the next day's, found by walking the clock in steps of a minute."""
    return _first_instant(day, zone), _first_instant(day + DAY, zone)


def _first_instant(day: dt.date, zone: ZoneInfo) -> dt.datetime:
    # No zone is further than 14 hours from UTC.
    moment = dt.datetime.combine(day, dt.time(), dt.UTC) - dt.timedelta(hours=15)
    step = dt.timedelta(hours=1)
    while step >= dt.timedelta(minutes=1):
        while moment.astimezone(zone).date() < day:
            moment += step
        moment -= step
        step /= 60
    return moment + dt.timedelta(minutes=1)


def candidates(label: dt.datetime, zone: ZoneInfo) -> list[dt.datetime]:
    """The instants at which the zone's clocks show the label, in order.

    In the skipped hour the clocks show nothing, but the moment of the change may be called by the old time.
    """
    early, late = (label.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    if early.utcoffset() == late.utcoffset():
        return [early.astimezone(dt.UTC)]
    found = {early.astimezone(dt.UTC), late.astimezone(dt.UTC)}
    shown = sorted(t for t in found if t.astimezone(zone).replace(tzinfo=None, fold=0) == label)
    if shown:
        return shown
    old = label.replace(tzinfo=zone, fold=0).astimezone(dt.UTC)
    before, after = ((old - MICROSECOND).astimezone(zone), old.astimezone(zone))
    return [old] if before.utcoffset() != after.utcoffset() else []


def instants(
    labels: Sequence[dt.datetime], day: dt.date, zone: ZoneInfo
) -> list[tuple[dt.datetime | None, dt.datetime | None]]:
    """The instant of each plant-local label of a series in the order sent, and the other pass if it is merged.

    A label of the repeated hour is of the second pass if it came before, or if it comes once, behind the place where
    the labels of that hour do not grow. If they always grow, they are merged: they end in the first pass, and stand
    for the second too.
    """
    start, end = bounds(day, zone)
    options = []
    for label in labels:
        shown = candidates(label, zone)
        # Of a repeated midnight the first pass closes the day before, the second is of the day that begins.
        options.append(
            [t for t in shown if start < t <= end] or [t for t in shown if t > start] or shown[-1:]
        )
    repeated = [label for label, option in zip(labels, options, strict=True) if len(option) > 1]
    jumps = any(later <= earlier for earlier, later in pairwise(repeated))
    times, seen, jumped, last = Counter(repeated), set[dt.datetime](), False, None
    found: list[tuple[dt.datetime | None, dt.datetime | None]] = []
    for label, option in zip(labels, options, strict=True):
        if len(option) < 2:
            found.append((option[0] if option else None, None))
            continue
        jumped = jumped or (last is not None and label <= last)
        last = label
        if times[label] == 1:
            found.append((option[1], None) if jumped else (option[0], None if jumps else option[1]))
        else:
            found.append((option[1] if label in seen else option[0], None))
        seen.add(label)
    return found


def intervals(
    rows: Iterable[tuple[dt.datetime, Mapping[str, float]]],
    fields: Sequence[str],
    start_of_day: dt.datetime,
    resolution: dt.timedelta,
    lost: Collection[dt.datetime] = (),
) -> list[Interval]:
    """The intervals and energies of one day's rows of one series: (end, mean power in W by field).

    `lost` are the ends of rows that were there but never came, the second pass of a merged hour: no row reaches back
    over them.
    """
    found: list[Interval] = []
    for end, watts in sorted(rows, key=lambda row: row[0]):
        start, basis = end - resolution, "resolution"
        if found and found[-1].end == end:
            continue  # a double: the first one stays
        if found:
            before = max([found[-1].end, *(t for t in lost if t < end)])
            if end - before <= MAX_STEPS * resolution:
                start, basis = before, "previous_row"
        elif end - start_of_day <= resolution:
            start, basis = start_of_day, "midnight"
        kilo_hours = Fraction((end - start) // MICROSECOND, MICROSECONDS_PER_HOUR * 1000)
        kwh = {name: Fraction(watts[name]) * kilo_hours if name in watts else None for name in fields}
        found.append(Interval(start, end, basis, kwh))
    return found
