"""Limits of a plant's power, and what of them holds in each cell of a day."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from sandbox.days import Seconds
from sandbox.physics.solar_position import CELL_S
from sandbox.series.table import Floats


class ActsOn(StrEnum):
    """Where a limit acts: at the grid connection, or on the power of the inverters."""

    FEED_IN = "feed_in"
    GENERATION = "generation"


@dataclass(frozen=True, slots=True)
class PowerLimit:
    """At most `watts` from `start` to `end` (seconds since 1970)."""

    start: float
    end: float
    watts: float
    acts_on: ActsOn = ActsOn.FEED_IN


def spread_limits(limits: Iterable[PowerLimit], begins: Seconds, acts_on: ActsOn) -> Floats:
    """The lowest limit of one kind in each cell, in W; infinite where none holds."""
    lowest = np.full(begins.shape, np.inf)
    for held in limits:
        if held.acts_on is acts_on:
            # A limit acts from the first full cell on, as an asynchronous task would.
            inside = (begins >= held.start) & (begins + CELL_S <= held.end)
            lowest = np.where(inside, np.minimum(lowest, held.watts), lowest)
    return lowest
