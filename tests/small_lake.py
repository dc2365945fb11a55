"""A small lake to publish: three plants, two days, and everything that the curated views look at."""

import atexit
import datetime as dt
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import polars as pl

from schemas import (
    DeviceEnergyDaily,
    Devices,
    EnergyBalanceIntervals,
    EnergyDaily,
    EnergyHourly,
    EnergyMonthly,
    KpiDaily,
    KpiMonthly,
    Logs,
    Plants,
    ProfileMonthly,
    PvIntervals,
    Quarantine,
    QuarterHours,
    Table,
    columns,
    storage,
)
from warehouse.lake import Lake

NOW = dt.datetime(2021, 10, 3, 4, 5, 6, tzinfo=dt.UTC)
FIRST, SECOND = dt.date(2021, 10, 1), dt.date(2021, 10, 2)
MONTH = dt.date(2021, 10, 1)
# A name as an owner could give it, to break what pastes text into SQL.
HOSTILE = """O'Brien"; DROP TABLE plants; --"""
Rows: TypeAlias = Iterable[Mapping[str, Any]]
Frame: TypeAlias = Callable[[type[Table], Rows], pl.DataFrame]
DEFAULTS: dict[Any, Any] = {
    pl.String: "x",
    pl.Boolean: False,
    pl.Int32: 0,
    pl.Int64: 0,
    pl.Binary: b"",
    pl.Float64: 0.0,
    pl.Date: FIRST,
    pl.Datetime: NOW,
}
WORDS = {
    "backend": "ennexos",
    "interval_basis": "previous_row",
    "status": "complete",
    "scope": "value",
    "irradiation_source": "none",
}


def make_frame(model: type[Table], rows: Rows) -> pl.DataFrame:
    """A frame of the model from the values that matter; the others are null or a default."""
    blank = {
        c.name: None if c.nullable else WORDS.get(c.name, DEFAULTS[c.dtype.base_type()])
        for c in columns(model)
    }
    return pl.DataFrame([blank | dict(row) for row in rows], schema={c.name: c.dtype for c in columns(model)})


def put(lake: Lake, model: type[Table], rows: Rows) -> None:
    """Store rows, each in the part that it belongs to."""
    whole = make_frame(model, rows)
    partition = list(storage(model).partition)
    parts = whole.partition_by(partition, as_dict=True) if partition else {(): whole}
    for values, part in parts.items():
        lake.replace(model, dict(zip(partition, values, strict=True)), [part])


def fill(lake: Lake) -> None:
    """Plants a (10 kW, good), b (hostile name, poor data) and c (no day at all); two inverters on a.

    A lake that has nothing yet becomes a copy of the first one: to commit all this takes half a second of CPU.
    """
    if lake.remote or Path(lake.root).exists():
        put_rows_of_all(lake)
    else:
        shutil.copytree(lay_first_lake(), lake.root)


@cache
def lay_first_lake() -> str:
    """The root of a lake with these rows, which nobody else writes to; it ends with this process."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    lake = Lake(f"{folder.name}/lake", Path(folder.name) / "scratch")
    put_rows_of_all(lake)
    return lake.root


def put_rows_of_all(lake: Lake) -> None:
    """Commit the rows that `fill` tells of."""
    put(
        lake,
        Plants,
        [
            {"plant_id": "a", "name": "Alpha", "timezone": "Europe/Berlin", "peak_power_kw": 10.0},
            {"plant_id": "b", "name": HOSTILE, "timezone": "Europe/Berlin"},
            {"plant_id": "c", "name": "Gamma", "timezone": "Australia/Melbourne", "peak_power_kw": 5.0},
        ],
    )
    put(
        lake,
        Devices,
        [
            {"plant_id": "a", "device_id": "a1", "name": "East", "generator_power_w": 5000.0},
            {"plant_id": "a", "device_id": "a2", "name": "West", "generator_power_w": 2500.0},
        ],
    )
    day = {"covered_h": 24.0, "expected_h": 24.0, "coverage": 1.0, "n_rows": 288}
    half = {"covered_h": 12.0, "expected_h": 24.0, "coverage": 0.5, "n_rows": 144, "largest_gap_min": 720.0}
    gone = {"covered_h": 0.0, "expected_h": 24.0, "coverage": 0.0, "status": "missing"}
    put(
        lake,
        EnergyDaily,
        [
            {"plant_id": "b", "local_date": FIRST, "pv_generation_kwh": 4.0, "status": "partial"} | half,
            {"plant_id": "a", "local_date": FIRST, "pv_generation_kwh": 30.0} | day,
            {"plant_id": "a", "local_date": SECOND, "pv_generation_kwh": 20.0, "n_flagged": 1} | day,
            {"plant_id": "b", "local_date": SECOND} | gone,
        ],
    )
    whole = {"month": MONTH, "n_days": 2}
    put(
        lake,
        EnergyMonthly,
        [
            whole | {"plant_id": "a", "pv_generation_kwh": 50.0, "covered_h": 48.0, "expected_h": 48.0},
            whole
            | {"plant_id": "b", "pv_generation_kwh": 4.0, "covered_h": 12.0, "expected_h": 48.0}
            | {"status": "partial", "n_days_missing": 1},
        ],
    )
    put(
        lake,
        DeviceEnergyDaily,
        [
            {"plant_id": "a", "device_id": "a1", "local_date": FIRST, "pv_generation_kwh": 20.0} | day,
            {"plant_id": "a", "device_id": "a2", "local_date": FIRST, "pv_generation_kwh": 6.0} | day,
            {"plant_id": "b", "device_id": "b1", "local_date": FIRST, "pv_generation_kwh": 4.0} | half,
        ],
    )
    put(lake, KpiDaily, [{"plant_id": "a", "local_date": FIRST, "final_yield_kwh_per_kw": 3.0}])
    put(lake, KpiMonthly, [whole | {"plant_id": "a", "final_yield_kwh_per_kw": 5.0, "co2_avoided_kg": 21.5}])
    noon = dt.datetime(2021, 10, 1, 12, tzinfo=dt.UTC)
    for model, device in ((EnergyBalanceIntervals, {}), (PvIntervals, {"device_id": "a1"})):
        put(
            lake,
            model,
            [
                {
                    "plant_id": "a",
                    "local_date": (noon + later).date(),
                    "interval_start": noon + later,
                    "interval_end": noon + later + dt.timedelta(minutes=5),
                    "pv_generation_w": 3000.0,
                    "pv_generation_kwh": 0.25,
                }
                | device
                for later in (dt.timedelta(0), dt.timedelta(minutes=5), dt.timedelta(days=1))
            ],
        )
    rest = {
        f"{name}_rest_kwh": 0.0 for name in ("total_generation", "self_consumption", "direct_consumption")
    }
    quarter = {"quarter_start": noon, "covered_h": 1 / 6, "pv_generation_kwh": 0.5, **rest}
    put(
        lake,
        QuarterHours,
        [
            quarter
            | {"plant_id": "a", "local_date": FIRST, "grid_feed_in_kwh": 0.125, "battery_charging_kwh": 0.25}
        ],
    )
    hour = {"local_hour": 14, "pv_generation_kwh": 0.5, "pv_generation_covered_h": 1 / 6}
    put(lake, EnergyHourly, [hour | {"plant_id": "a", "local_date": FIRST, "hour_start": noon}])
    average = {"month": MONTH, "n_days": 2, "local_hour": 14}
    put(
        lake,
        ProfileMonthly,
        [
            average | {"plant_id": "a", "pv_generation_kwh": 0.75, "pv_generation_covered_h": 0.25},
            average | {"plant_id": "b", "pv_generation_kwh": 2.0, "pv_generation_covered_h": 0.5},
            average | {"plant_id": "b", "local_hour": 15},
        ],
    )
    put(
        lake,
        Quarantine,
        [
            {"local_date": SECOND, "source": "energy_balance_intervals", "plant_id": "a", "reason": reason}
            for reason in ("spike", "negative", "spike")
        ],
    )
    put(lake, Logs, [{"plant_id": "a", "local_date": FIRST, "message": HOSTILE}])


def flip_bit(target: Path) -> None:
    """Change a bit in the middle of a file, as a disk may."""
    found = bytearray(target.read_bytes())
    found[len(found) // 2] ^= 1
    target.write_bytes(found)
