"""What is right for a case: its intervals and energies by the oracle in exact fractions."""

import datetime as dt
import json
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from tests.conformance.draw import FIELDS, RESOLUTIONS, Case
from tests.transform import oracle

NAMES = {
    "pvGeneration": "pv_generation",
    "gridFeedIn": "grid_feed_in",
    "totalConsumption": "total_consumption",
}
SECOND = dt.timedelta(seconds=1)
DIGITS = 15


def record(case: Case) -> dict[str, Any]:
    """The case as a line of the suite: facts, answers and what is expected."""
    zone = ZoneInfo(case.zone)
    start, end = oracle.bounds(case.day, zone)
    return {
        "id": case.name,
        "local_date": str(case.day),
        "plant": {
            "timezone": case.zone,
            "resolution": case.resolution,
            "time_basis": case.basis,
            "merged_hour": case.merged_hour,
            "rated_w": case.rated_w,
        },
        "answers": case.answers,
        "expected": {
            "day_start": _utc(start),
            "day_end": _utc(end),
            **_figures(*_intervals(case, zone, start, end), start),
        },
    }


def _intervals(
    case: Case, zone: ZoneInfo, start: dt.datetime, end: dt.datetime
) -> tuple[list[oracle.Interval], dict[dt.datetime, int]]:
    """The intervals, and which row (of all answers' rows, from 0) each is of, by its end."""
    rows = [row for answer in case.answers for row in answer["set"]]
    labels = [dt.datetime.fromisoformat(row["time"]) for row in rows]
    powers = [{name: exact(row[name]) for name in FIELDS if name in row} for row in rows]
    passes = oracle.instants(labels, case.day, zone)
    if case.basis == "utc":
        passes = [(label.replace(tzinfo=dt.UTC), None) for label in labels]
    own = [(*both, row) for row, both in enumerate(passes) if both[0] and start < both[0] <= end]
    ends = [(first, powers[row]) for first, _, row in own if first]
    again = [(second, powers[row]) for _, second, row in own if second]
    row_of = {moment: row for first, second, row in reversed(own) for moment in (first, second) if moment}
    lost = [second for second, _ in again]
    if case.merged_hour == "mean":
        ends, lost = ends + again, []
    return oracle.intervals(ends, FIELDS, start, RESOLUTIONS[case.resolution] * SECOND, lost), row_of


def exact(number: float) -> Fraction:
    """The number as its JSON text says it."""
    return Fraction(json.dumps(number))


def _figures(
    intervals: list[oracle.Interval], row_of: dict[dt.datetime, int], start: dt.datetime
) -> dict[str, Any]:
    kwh: dict[str, Any] = {}
    covered: dict[str, int] = {}
    for field, name in NAMES.items():
        known = [(each, each.kwh[field]) for each in intervals if each.kwh[field] is not None]
        total = sum((energy for _, energy in known if energy is not None), Fraction(0))
        if known:
            kwh[name] = {"exact": str(total), "decimal": f"{float(total):.{DIGITS}g}"}
            covered[name] = sum((each.end - each.start) // SECOND for each, _ in known)
    return {
        "intervals": [
            [(each.start - start) // SECOND, (each.end - start) // SECOND, each.basis, row_of[each.end]]
            for each in intervals
        ],
        "kwh": kwh,
        "covered_s": covered,
    }


def _utc(moment: dt.datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
