"""Local calendar days as spans of UTC seconds, and the labels that SMA writes beside each row.

A label is the END of an interval: the rows of day D are labelled D 00:05 to D+1 00:00. In the plant-local time basis
labels are the plant's wall clock without an offset, so the autumn hour appears twice (or merged: see `series.periods`).
"""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
from numpy.typing import NDArray

# No zone changes its offset twice within so short a time.
_CALM_S = 8 * 86400

# Instants in whole seconds since 1970 (UTC).
Seconds = NDArray[np.int64]

# Texts as SMA writes times.
Labels = NDArray[np.bytes_]


@lru_cache(maxsize=64)
def load_zone(name: str) -> ZoneInfo:
    """The zone of an IANA name; ZoneInfo itself remembers eight, and reads all others from disk again and again."""
    return ZoneInfo(name)


@lru_cache(maxsize=8192)
def find_midnight(day: date, zone: str) -> int:
    """The instant at which the local day `day` begins in `zone`, in seconds since 1970."""
    return int(datetime(day.year, day.month, day.day, tzinfo=load_zone(zone)).timestamp())


def find_day_bounds(day: date, zone: str) -> tuple[int, int]:
    """Start and end of the local day: 23, 24 or 25 hours apart."""
    return find_midnight(day, zone), find_midnight(day + timedelta(days=1), zone)


def find_local_date(instant: float, zone: str) -> date:
    """The calendar date that the plant's wall clock shows at `instant`."""
    return datetime.fromtimestamp(instant, load_zone(zone)).date()


def list_dates(first: date, last: date) -> Iterator[date]:
    """Every date from `first` to `last`, both included."""
    for step in range((last - first).days + 1):
        yield first + timedelta(days=step)


def format_labels(ends: Seconds, zone: str) -> Labels:
    """The labels of these interval ends, `YYYY-MM-DDTHH:MM:SS` in `zone`'s wall clock; shared, so read-only."""
    if not len(ends):
        return np.empty(0, dtype="S19")
    first, last = (_find_offset(int(instant), zone) for instant in (ends[0], ends[-1]))
    if first == last and ends[-1] - ends[0] < _CALM_S:
        return _write_labels((ends + first).tobytes())
    series = pl.from_epoch(pl.Series(ends), time_unit="s").dt.replace_time_zone("UTC")
    naive = series.dt.convert_time_zone(zone).dt.replace_time_zone(None)
    return _write_labels(naive.dt.epoch("s").to_numpy().tobytes())


@lru_cache(maxsize=256)
def _write_labels(wall_clock: bytes) -> Labels:
    """Seconds of a wall clock since 1970 (int64) as text.

    Parts are looked up, for numpy takes far longer to write each. Cached by content: on a day without a change of
    clocks all zones share their labels.
    """
    wall = np.frombuffer(wall_clock, dtype=np.int64)
    day, second = np.divmod(wall, 86400)
    minute, second = np.divmod(second, 60)
    days = np.arange(day.min(), day.max() + 1).astype("datetime64[D]")
    text = np.empty((len(wall), 19), dtype=np.uint8)
    text[:, :10] = _view_bytes(np.datetime_as_string(days).astype("S10"))[day - day.min()]
    text[:, 10:16] = _list_minutes()[minute]
    text[:, 16:] = _list_seconds()[second]
    labelled: Labels = text.reshape(-1).view("S19")
    labelled.setflags(write=False)
    return labelled


@lru_cache(maxsize=1)
def _list_minutes() -> NDArray[np.uint8]:
    """The text of each minute of the day: `T00:00` to `T23:59`."""
    return _view_bytes(
        np.array([f"T{minute // 60:02}:{minute % 60:02}" for minute in range(1440)], dtype="S6")
    )


@lru_cache(maxsize=1)
def _list_seconds() -> NDArray[np.uint8]:
    """The text of each second of a minute: `:00` to `:59`."""
    return _view_bytes(np.array([f":{second:02}" for second in range(60)], dtype="S3"))


def _view_bytes(texts: Labels) -> NDArray[np.uint8]:
    """Texts of one length as their bytes, shape (texts, length)."""
    return texts.view(np.uint8).reshape(len(texts), -1)


def _find_offset(instant: int, zone: str) -> int:
    """Seconds that the wall clock is ahead of UTC at `instant`."""
    ahead = datetime.fromtimestamp(instant, load_zone(zone)).utcoffset()
    return int(ahead.total_seconds()) if ahead is not None else 0
