"""A table of measurement rows before it becomes JSON, and the source that yields tables."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sandbox.days import Seconds
from sandbox.fleet.plant_model import Device, Plant

Floats = NDArray[np.float64]
Columns = dict[str, Floats]


@dataclass(frozen=True, slots=True)
class RowTable:
    """Rows in the order of time. NaN means that the key is absent.

    `power` holds the energy-and-power fields in W, `energy` the same keys in Wh over the row's interval (a hole before
    the row included), `other` all further fields; a field with one element a string or stack has the shape (rows, k).
    """

    ends: Seconds
    power: Columns = field(default_factory=dict)
    energy: Columns = field(default_factory=dict)
    other: Columns = field(default_factory=dict)

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.ends)

    def where(self, keep: NDArray[np.bool_]) -> "RowTable":
        """Only the rows that `keep` marks."""
        return RowTable(
            self.ends[keep],
            *(
                {name: values[keep] for name, values in part.items()}
                for part in (self.power, self.energy, self.other)
            ),
        )

    def between(self, after: float, until: float) -> "RowTable":
        """Only the rows whose end lies in (after, until]; the same object if that is all of them."""
        if not len(self) or (self.ends[0] > after and self.ends[-1] <= until):
            return self
        return self.where((self.ends > after) & (self.ends <= until))

    def in_energy(self) -> "RowTable":
        """The same rows with Wh in place of W."""
        return replace(self, power=self.energy)


EMPTY = RowTable(np.empty(0, dtype=np.int64))


def stack_tables(tables: Sequence[RowTable]) -> RowTable:
    """These tables one after the other; a key that one of them lacks is absent in its rows."""
    filled = [table for table in tables if len(table)]
    if len(filled) <= 1:
        return filled[0] if filled else EMPTY
    return RowTable(
        np.concatenate([table.ends for table in filled]),
        *(
            _stack_columns([(len(t), getattr(t, part)) for t in filled])
            for part in ("power", "energy", "other")
        ),
    )


def _stack_columns(parts: list[tuple[int, Columns]]) -> Columns:
    names = dict.fromkeys(name for _, columns in parts for name in columns)
    result: Columns = {}
    for name in names:
        shape = next(columns[name].shape[1:] for _, columns in parts if name in columns)
        absent = [np.full((rows, *shape), np.nan) for rows, columns in parts if name not in columns]
        spare = iter(absent)
        result[name] = np.concatenate(
            [columns[name] if name in columns else next(spare) for _, columns in parts]
        )
    return result


@dataclass(frozen=True, slots=True)
class RowSheet:
    """The same day of plants with as many rows; arrays have the shape (plants, rows), NaN in fields a plant lacks."""

    plants: list[Plant]
    ends: Seconds
    columns: Columns


class Source(Protocol):
    """Where a plant's measurements come from."""

    plant: Plant

    def sets(self, device: Device | None) -> tuple[str, ...]:
        """The measurement sets of the plant (None) or of one of its devices."""

    def note_request(self, day: date | None) -> None:
        """Take note that somebody asks for this plant (and day), be it for an answer that is kept."""

    def day(self, device: Device | None, set_type: str, day: date) -> RowTable:
        """All rows of the plant-local day `day`."""

    def take_neighbours(self, day: date) -> list[RowSheet]:
        """The day's EnergyBalance of all plants that were simulated together with this one's, itself included.

        Each simulation is used only once, so that nothing is done twice for plants that nobody asks for.
        """

    def daily_energy(self, device: Device | None, set_type: str, days: Sequence[date]) -> Columns:
        """Wh of each local day, one element a day; NaN where a day has no data."""

    def span(self) -> tuple[date, date | None]:
        """The first local day with data, and the last (None: up to now)."""

    def exact_kwh(self, device: Device | None, quantity: str, start: float, end: float) -> float | None:
        """The exact energy in the window (seconds since 1970), or None for an unknown quantity."""
