"""Measurements of a recording: a Parquet file with interval ends, mean power and, if it has one, a meter.

The watts are served unchanged, with the recording's gaps: a row without power is an absent row. Energy (Month, Year,
Total, ReturnEnergyValues and the truth) comes from the meter where there is one, else from power times interval.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sandbox.days import Seconds, find_day_bounds, find_local_date
from sandbox.fleet.plant_model import Device, Plant
from sandbox.series import set_names
from sandbox.series.table import EMPTY, Columns, Floats, RowSheet, RowTable

# A longer hole separates two recordings: nobody waits for its energy.
LONGEST_HOLE_S = 7 * 86400

Positions = NDArray[np.intp]

_NAMES = {
    "end": ("interval_end_utc", "interval_end", "time", "timestamp"),
    "power": ("mean_power_w", "power_w", "pvGeneration", "power"),
    "meter": ("energy_counter_kwh", "meter_kwh"),
}


class RecordingError(ValueError):
    """The file is not a recording: the message says what is missing and what would do."""


@dataclass(frozen=True, slots=True)
class Recording:
    """Rows in the order of time: ends (UTC seconds), mean W (NaN = not reported), and the meter in kWh or None."""

    ends: Seconds
    watts: Floats
    meter_kwh: Floats | None

    @property
    def step_s(self) -> int:
        """The commonest distance of two rows."""
        distances, counts = np.unique(np.diff(self.ends), return_counts=True)
        return int(distances[int(np.argmax(counts))])


def read_recording(path: Path) -> Recording:
    """Read a recording; raises RecordingError with the cure if a column is missing or the file is no Parquet."""
    try:
        frame = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise RecordingError(
            f"Cannot read the recording {path.name}: {error}. Give a Parquet file."
        ) from error
    end = _find_column(frame, "end", path)
    power = _find_column(frame, "power", path)
    meter = next((name for name in _NAMES["meter"] if frame.schema.get(name, pl.Null) != pl.Null), None)
    if not isinstance(frame.schema[end], pl.Datetime):
        raise RecordingError(
            f"Column {end} of {path.name} must hold timestamps (naive ones are taken as UTC)."
        )
    for name in filter(None, (power, meter)):
        if not frame.schema[name].is_numeric():
            raise RecordingError(f"Column {name} of {path.name} must hold numbers, not {frame.schema[name]}.")
    frame = frame.drop_nulls(end).unique(end, keep="last").sort(end)
    if frame.height < 2:  # noqa: PLR2004 - a step needs two rows
        raise RecordingError(f"The recording {path.name} has {frame.height} rows; at least two are needed.")
    watts = frame[power].cast(pl.Float64)
    return Recording(
        ends=frame[end].dt.epoch("s").to_numpy().astype(np.int64),
        watts=watts.set(~watts.is_finite(), None).fill_null(float("nan")).to_numpy(),
        meter_kwh=None if meter is None else frame[meter].cast(pl.Float64).interpolate().to_numpy(),
    )


def _find_column(frame: pl.DataFrame, what: str, path: Path) -> str:
    for name in _NAMES[what]:
        if name in frame.columns:
            return name
    raise RecordingError(f"The recording {path.name} has no column for {what}: name it {_NAMES[what][0]}.")


def _compute_energies(recording: Recording, steps: Seconds, own_steps: Seconds) -> tuple[Floats, Floats]:
    """kWh of each row's own interval, and of the hole before it (zero without a meter, or between two recordings)."""
    by_power: Floats = np.nan_to_num(recording.watts) * own_steps / 3.6e6
    if recording.meter_kwh is None:
        return by_power, np.zeros_like(by_power)
    metered = np.diff(recording.meter_kwh, prepend=recording.meter_kwh[0] - by_power[0])
    # Before the meter's first reading, and after its last.
    metered = np.where(np.isnan(metered), by_power, metered)
    own = np.where(steps > own_steps, np.minimum(by_power, metered), metered)
    return own, np.where(steps > LONGEST_HOLE_S, 0.0, metered - own)


class ReplaySource:
    """The source of one replayed plant with one inverter."""

    def __init__(self, plant: Plant, recording: Recording) -> None:
        """Serve `recording` as `plant`."""
        self.plant = plant
        self._recording = recording
        steps = np.diff(recording.ends, prepend=recording.ends[0] - recording.step_s)
        self._own_steps = np.minimum(steps, recording.step_s)
        self._own_kwh, self._hole_kwh = _compute_energies(recording, steps, self._own_steps)

    def sets(self, device: Device | None) -> tuple[str, ...]:
        """See `Source.sets`."""
        return (set_names.ENERGY_BALANCE,) if device is None else (set_names.PV,)

    def span(self) -> tuple[date, date | None]:
        """See `Source.span`."""
        ends = self._recording.ends
        return find_local_date(int(ends[0]) - 1, self.plant.zone), find_local_date(
            int(ends[-1]) - 1, self.plant.zone
        )

    def note_request(self, day: date | None) -> None:
        """See `Source.asked`: a recording expects nothing."""

    def day(self, device: Device | None, set_type: str, day: date) -> RowTable:
        """See `Source.day`."""
        if set_type not in self.sets(device):
            return EMPTY
        start, end = find_day_bounds(day, self.plant.zone)
        first, last = np.searchsorted(self._recording.ends, [start, end], side="right")
        reported = first + np.flatnonzero(~np.isnan(self._recording.watts[first:last]))
        if not len(reported):
            return EMPTY
        watts = self._recording.watts[reported]
        energy = self._interval_wh(reported)
        names = ("pvGeneration",) if device else ("pvGeneration", "totalGeneration")
        return RowTable(
            self._recording.ends[reported], dict.fromkeys(names, watts), dict.fromkeys(names, energy)
        )

    def take_neighbours(self, day: date) -> list[RowSheet]:  # noqa: ARG002 - a recording has no neighbours on any day
        """See `Source.neighbours`."""
        return []

    def daily_energy(self, device: Device | None, set_type: str, days: Sequence[date]) -> Columns:
        """See `Source.daily_energy`."""
        if set_type not in self.sets(device):
            return {}
        first, last = self.span()
        spans = [find_day_bounds(day, self.plant.zone) for day in days]
        edges = np.array(spans, dtype=np.float64).reshape(-1, 2)
        energy = 1000 * (self._read_kwh_until(edges[:, 1]) - self._read_kwh_until(edges[:, 0]))
        known = np.array([bool(last) and first <= day <= (last or first) and self._has_rows(*span)
                          for day, span in zip(days, spans, strict=True)])  # fmt: skip
        wh = np.where(known, energy, np.nan)
        return dict.fromkeys(("pvGeneration",) if device else ("pvGeneration", "totalGeneration"), wh)

    def exact_kwh(self, device: Device | None, quantity: str, start: float, end: float) -> float | None:  # noqa: ARG002
        """See `Source.exact_kwh`; plant and inverter are one. Inside an interval the energy is spread evenly."""
        if quantity not in ("pvGeneration", "totalGeneration"):
            return None
        before, after = self._read_kwh_until(np.array([start, end]))
        return float(after - before)

    def _has_rows(self, start: int, end: int) -> bool:
        first, last = np.searchsorted(self._recording.ends, [start, end], side="right")
        return bool(last > first)

    def _interval_wh(self, rows: Positions) -> Floats:
        """Wh of each reported row; the first one after a hole carries the energy of the whole hole."""
        reported = np.flatnonzero(~np.isnan(self._recording.watts))
        position = np.searchsorted(reported, rows)
        before = np.where(position > 0, reported[np.maximum(position - 1, 0)], -1)
        total = np.insert(np.cumsum(self._own_kwh + self._hole_kwh), 0, 0.0)
        wh: Floats = 1000 * (total[rows + 1] - total[before + 1])
        return wh

    def _read_kwh_until(self, instants: Floats) -> Floats:
        """Energy from the recording's beginning to these instants; within an interval it grows evenly."""
        ends = self._recording.ends.astype(np.float64)
        total = np.cumsum(self._own_kwh + self._hole_kwh)
        knots = np.stack([ends - self._own_steps, ends], axis=1).ravel()
        kwh = np.stack([total - self._own_kwh, total], axis=1).ravel()
        return np.interp(instants, knots, kwh)
