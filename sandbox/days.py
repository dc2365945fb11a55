"""Local calendar days as spans of UTC seconds, and the labels that SMA writes beside each row.

A label is the END of an interval: the rows of day D are labelled D 00:05 to D+1 00:00. In the plant-local time basis
labels are the plant's wall clock without an offset, so the autumn hour appears twice (or merged: see `series.periods`).
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
from numpy.typing import NDArray

Seconds = NDArray[np.int64]
"""Instants in whole seconds since 1970 (UTC)."""


@lru_cache(maxsize=8192)
def local_midnight(day: date, zone: str) -> int:
    """The instant at which the local day `day` begins in `zone`, in seconds since 1970."""
    return int(datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).timestamp())


def day_span(day: date, zone: str) -> tuple[int, int]:
    """Start and end of the local day: 23, 24 or 25 hours apart."""
    return local_midnight(day, zone), local_midnight(day + timedelta(days=1), zone)


def local_date(instant: float, zone: str) -> date:
    """The calendar date that the plant's wall clock shows at `instant`."""
    return datetime.fromtimestamp(instant, ZoneInfo(zone)).date()


def utc_date(instant: float) -> date:
    """The calendar date in UTC at `instant`."""
    return datetime.fromtimestamp(instant, UTC).date()


def dates(first: date, last: date) -> Iterator[date]:
    """Every date from `first` to `last`, both included."""
    for step in range((last - first).days + 1):
        yield first + timedelta(days=step)


def labels(ends: Seconds, zone: str) -> list[bytes]:
    """The labels of these interval ends, `YYYY-MM-DDTHH:MM:SS` in `zone`'s wall clock; shared, so not to be changed."""
    return _labels(np.ascontiguousarray(ends).tobytes(), zone)


@lru_cache(maxsize=512)
def _labels(ends: bytes, zone: str) -> list[bytes]:
    """Cached by content: all plants of a zone and step share their labels."""
    instants = pl.Series("time", np.frombuffer(ends, dtype=np.int64))
    wall = pl.from_epoch(instants, time_unit="s").dt.replace_time_zone("UTC").dt.convert_time_zone(zone)
    return wall.dt.strftime("%Y-%m-%dT%H:%M:%S").cast(pl.Binary).to_list()
