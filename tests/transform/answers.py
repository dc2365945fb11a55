"""Answers as SMA would send them, and the way of one day from their bytes to rows of a table."""

import datetime as dt
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from hypothesis import HealthCheck, Phase, settings

from pipeline.common.local_time import MergedHour, TimeBasis
from pipeline.transform.batch_account import BatchAccount, IntervalBatch
from pipeline.transform.intervals import SetTransform
from schemas import EnergyBalanceIntervals, PvIntervals, RawAnswers, Table, polars_schema
from schemas.quantities import ENERGY_AND_POWER_PV, ENERGY_BALANCE

DAY = dt.date(2025, 7, 9)
# Long after every day of the tests, so that nothing in them lies in the future.
FETCHED = dt.datetime(2040, 1, 1, tzinfo=dt.UTC)
Row = dict[str, Any]


def examples(count: int, *, shrink: bool = True) -> settings:
    """The same examples in every run, on every machine. Heavy ones are told as found: to shrink them takes minutes."""
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large]
    phases = [phase for phase in Phase if shrink or phase is not Phase.shrink]
    return settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        phases=phases,
        suppress_health_check=slow,
    )


def body(rows: Sequence[Row], resolution: str | None = "FiveMinutes", name: str = "Plant") -> bytes:
    """An answer to a measurement set as the API words it, without white space."""
    envelope: Row = {
        "plant": {"plantId": "1", "name": name, "timezone": "Europe/Berlin"},
        "setType": "EnergyBalance",
    }
    if resolution is not None:
        envelope["resolution"] = resolution
    return json.dumps({**envelope, "set": list(rows)}, separators=(",", ":")).encode()


def row(time: str, watts: float | None = None, **others: object) -> Row:
    """A row of an answer; an absent value is an absent key."""
    return {"time": time} | ({} if watts is None else {"pvGeneration": watts}) | others


def raw(
    bodies: Iterable[tuple[str, bytes]], *, device: str = "", fetched: dt.datetime = FETCHED
) -> pl.DataFrame:
    """Rows of the raw lake: an answer for each (plant, body), in this order."""
    given = list(bodies)
    schema = polars_schema(RawAnswers)
    columns: Mapping[str, list[object]] = {
        "plant_id": [plant for plant, _ in given],
        "device_id": [device] * len(given),
        "set_type": ["EnergyBalance"] * len(given),
        "request_date": [f"{number:04}" for number in range(len(given))],
        "local_date": [DAY] * len(given),
        "target": ["/v1"] * len(given),
        "time_basis": ["plant_local"] * len(given),
        "asked_timezone": [None] * len(given),
        "status": [200] * len(given),
        "fetched_at": [fetched] * len(given),
        "elapsed_ms": [1.0] * len(given),
        "attempts": [1] * len(given),
        "final": [True] * len(given),
        "no_rows": [False] * len(given),
        "body": [body for _, body in given],
    }
    return pl.DataFrame(columns, schema=schema)


def places(
    zones: Mapping[str, str],
    *,
    rated_w: float | None = None,
    device: str | None = None,
    latitude: float | None = None,
    longitude: float | None = None,
    peak_w: float | None = None,
) -> pl.DataFrame:
    """Where each plant is, for `SetTransform.transform_day`."""
    facts = {"rated_w": rated_w, "latitude": latitude, "longitude": longitude, "peak_w": peak_w}
    frame = pl.DataFrame({"plant_id": list(zones), "timezone": list(zones.values())}).with_columns(
        pl.lit(value, pl.Float64).alias(name) for name, value in facts.items()
    )
    return frame if device is None else frame.with_columns(device_id=pl.lit(device))


@dataclass(frozen=True)
class Outcome:
    """What a day's answers became."""

    rows: pl.DataFrame
    account: BatchAccount

    @classmethod
    def of(cls, model: type[Table], batches: Iterable[IntervalBatch]) -> "Outcome":
        """All batches of a day together."""
        found = list(batches)
        rows = pl.concat([pl.DataFrame(schema=polars_schema(model)), *(batch.rows for batch in found)])
        return cls(rows, BatchAccount.of_all([batch.account for batch in found]))

    @property
    def quarantine(self) -> pl.DataFrame:
        """What was set aside."""
        return self.account.build_quarantine()


def balance(
    frames: Iterable[pl.DataFrame],
    where: pl.DataFrame,
    day: dt.date = DAY,
    basis: TimeBasis = "plant_local",
    merged_hour: MergedHour = "gap",
) -> Outcome:
    """Answers of EnergyBalance to rows of `energy_balance_intervals`."""
    transform = SetTransform(ENERGY_BALANCE, EnergyBalanceIntervals, basis, merged_hour)
    return Outcome.of(EnergyBalanceIntervals, transform.transform_day(frames, where, day))


def inverters(
    frames: Iterable[pl.DataFrame],
    where: pl.DataFrame,
    day: dt.date = DAY,
    basis: TimeBasis = "plant_local",
) -> Outcome:
    """Answers of EnergyAndPowerPv to rows of `pv_intervals`."""
    transform = SetTransform(ENERGY_AND_POWER_PV, PvIntervals, basis)
    return Outcome.of(PvIntervals, transform.transform_day(frames, where, day))
