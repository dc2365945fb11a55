"""Independent random streams: the same seed, plant, topic and day always give the same numbers, in any order."""

from datetime import date
from enum import IntEnum

import numpy as np


class Topic(IntEnum):
    """What the numbers are for; each topic has a stream of its own."""

    PLANT = 1
    DAY = 2
    ELECTRICAL = 3
    LOGS = 4
    FAULT = 5


def stream(seed: int, topic: Topic, index: int, number: int = 0) -> np.random.Generator:
    """A generator for (seed, topic, index, number), each a non-negative integer."""
    key = np.array([(seed << 8 | topic) & (2**64 - 1), (index << 32 | number) & (2**64 - 1)], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key))


def day_stream(seed: int, topic: Topic, index: int, day: date) -> np.random.Generator:
    """The stream of one plant on one local day."""
    return stream(seed, topic, index, day.toordinal())
