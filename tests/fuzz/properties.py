"""What must hold for any bytes: a sentence of ours, rows that fit their model, and no figure from garbage."""

import datetime as dt
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

import polars as pl

from pipeline.common.errors import SunledgerError
from pipeline.common.local_time import (
    TimeBasis,
)
from pipeline.transform.thresholds import load_thresholds
from schemas import (
    Table,
)
from schemas.sets import SOURCES, VALUES
from warehouse.frames import sort, validate

TODAY = dt.date(2025, 7, 20)
SETS = (*SOURCES, VALUES)
BASES: tuple[TimeBasis, ...] = ("plant_local", "utc")
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu")
RATED_W = 5_000.0
Check = Callable[[bytes], None]


def choose(data: bytes, salt: int, count: int) -> int:
    """A number below `count` that the bytes decide, each salt another one."""
    return zlib.crc32(data, salt) % count


def read_as_file(data: bytes, suffix: str, read: Callable[[Path], None]) -> None:
    """Read a file of these bytes; an error of ours is an answer too, as long as it says something."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"given{suffix}"
        path.write_bytes(data)
        try:
            read(path)
        except SunledgerError as error:
            assert_speaks(error)


def assert_fits(
    model: type[Table], rows: pl.DataFrame, part: dict[str, object], *, unique: bool = True
) -> None:
    """The rows satisfy the model, and no two share the key where it has one."""
    validate(model, rows, part)
    if unique:
        sort(model, rows, part)


def assert_energies_are_of_the_powers(rows: pl.DataFrame, hours: float) -> None:
    """Each energy is finite and the power's over the row's own interval; no series has more hours than the day."""
    if "interval_start" not in rows.columns:
        return
    length = (pl.col("interval_end") - pl.col("interval_start")).dt.total_microseconds() / 3.6e9
    for name in [column.removesuffix("_kwh") for column in rows.columns if column.endswith("_kwh")]:
        if f"{name}_w" not in rows.columns:
            continue
        known = rows.drop_nulls(f"{name}_kwh").select(
            finite=pl.col(f"{name}_kwh").is_finite(),
            off=(pl.col(f"{name}_kwh") - pl.col(f"{name}_w") * length / 1000).abs(),
            allowed=pl.col(f"{name}_w").abs() * 1e-9 + 1e-9,
        )
        assert known.select((pl.col("finite") & (pl.col("off") <= pl.col("allowed"))).all()).item(), name
    series = [name for name in rows.columns if name in {"plant_id", "device_id", "input", "stack", "index"}]
    keys = [key for key in series if rows.schema[key] != pl.Null]
    most = rows.group_by(keys).agg(hours=length.sum())["hours"].max()
    assert most is None or float(most) <= hours + 1e-6  # type: ignore[arg-type]


def assert_pv_is_within_its_bound(rows: pl.DataFrame) -> None:
    most = rows["pv_generation_w"].max()
    limits = load_thresholds()
    times = max(limits.beyond_rated_times, limits.beyond_sun_times, limits.peak_per_ac_power)
    assert most is None or float(most) <= RATED_W * times * 1.5  # type: ignore[arg-type]


def assert_speaks(error: SunledgerError, name: str = "") -> None:
    """An error says something, and names the file."""
    assert len(str(error)) > 10
    assert name in str(error)


def assert_odd(found: pl.DataFrame) -> None:
    assert found.select("plant_id", "field", "reason").null_count().sum_horizontal().item() == 0
