"""Independent random streams: the same seed, plant, topic and day always give the same numbers, in any order."""

from collections.abc import Iterable, Iterator
from datetime import date
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class Topic(IntEnum):
    """What the numbers are for; each topic has a stream of its own."""

    PLANT = 1
    DAY = 2
    ELECTRICAL = 3
    LOGS = 4
    FAULT = 5
    SKY = 6


def open_random_stream(seed: int, topic: Topic, index: int, number: int = 0) -> np.random.Generator:
    """A generator for (seed, topic, index, number), each a non-negative integer."""
    return np.random.Generator(np.random.Philox(key=_build_key(seed, topic, index, number)))


def open_day_stream(seed: int, topic: Topic, index: int, day: date) -> np.random.Generator:
    """The stream of one plant on one local day."""
    return open_random_stream(seed, topic, index, day.toordinal())


def open_day_streams(
    seed: int, topic: Topic, rows: Iterable[tuple[int, date]]
) -> Iterator[np.random.Generator]:
    """The streams of many plants (by index) and days: draw from each before you take the next."""
    return _open_streams(_build_key(seed, topic, index, day.toordinal()) for index, day in rows)


def open_index_streams(seed: int, topic: Topic, indices: Iterable[int]) -> Iterator[np.random.Generator]:
    """The streams of many plants, whatever the day: draw from each before you take the next."""
    return _open_streams(_build_key(seed, topic, index, 0) for index in indices)


def _open_streams(keys: Iterable[NDArray[np.uint64]]) -> Iterator[np.random.Generator]:
    """One generator that gets a new key each time, for to make one takes as long as to draw a day's numbers."""
    philox = np.random.Philox(key=0)
    generator = np.random.Generator(philox)
    state = philox.state
    for key in keys:
        state["state"]["key"] = key
        philox.state = state
        yield generator


def _build_key(seed: int, topic: Topic, index: int, number: int) -> NDArray[np.uint64]:
    return np.array(
        [(seed << 8 | topic) & (2**64 - 1), (index << 32 | number) & (2**64 - 1)], dtype=np.uint64
    )
