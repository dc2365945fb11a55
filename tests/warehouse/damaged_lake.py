"""A small lake of every layer, and ways to damage it; what readers then see is compared with what they saw."""

import datetime as dt
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from schemas import EnergyBalanceIntervals, EnergyDaily, Plants, RawEnergyBalance, Table, storage
from tests.small_lake import NOW, put
from warehouse.lake import Lake
from warehouse.published_file.open_published import connect
from warehouse.published_file.publish import publish
from warehouse.verification.verify import verify_lake, verify_published

FIRST = dt.date(2021, 10, 1)
DAYS = 4
# Delta writes a checkpoint of its log at version 100; the first day is written again after it, the others are not.
COMMITS = 101
# A layer each: answers, intervals, figures, and a table without parts.
MODELS: tuple[type[Table], ...] = (RawEnergyBalance, EnergyBalanceIntervals, EnergyDaily, Plants)
PLACES = (
    *("lake/raw_energy_balance", "lake/energy_balance_intervals", "lake/energy_daily", "lake/plants"),
    *("log", "checkpoint", "digests", "sunledger.duckdb"),
)


def build(home: Path) -> None:
    """Fill a lake of two plants, so that one table has a checkpoint, and publish it."""
    lake = lake_of(home)
    put(lake, Plants, [{"plant_id": plant, "timezone": "Europe/Berlin"} for plant in "ab"])
    for day in range(DAYS):
        _put_day(lake, FIRST + dt.timedelta(days=day), 1.0)
    for step in range(COMMITS):
        _put_figures(lake, FIRST + dt.timedelta(days=step % DAYS), 10.0 + step)
    publish_again(home)


def _put_day(lake: Lake, day: dt.date, factor: float) -> None:
    answer = {
        "local_date": day,
        "status": 200,
        "attempts": 1,
        "time_basis": "utc",
        "body": f'{{"set":[{{"time":"{day}T10:00:00","pvGeneration":{factor}}}]}}'.encode(),
    }
    put(lake, RawEnergyBalance, [{**answer, "plant_id": plant} for plant in "ab"])
    start = dt.datetime(day.year, day.month, day.day, tzinfo=dt.UTC)
    step = dt.timedelta(minutes=5)
    rows = [
        {
            "plant_id": plant,
            "local_date": day,
            "interval_start": start + i * step,
            "interval_end": start + (i + 1) * step,
            "pv_generation_w": factor * i,
            "pv_generation_kwh": factor * i / 12000,
        }
        for plant in "ab"
        for i in range(96)
    ]
    put(lake, EnergyBalanceIntervals, rows)


def _put_figures(lake: Lake, day: dt.date, kwh: float) -> None:
    put(lake, EnergyDaily, [{"plant_id": p, "local_date": day, "pv_generation_kwh": kwh} for p in "ab"])


def publish_again(home: Path) -> None:
    """Publish what the lake has now."""
    publish(lake_of(home), home / "sunledger.duckdb", now=NOW, version="1")


def lake_of(home: Path) -> Lake:
    """The lake as a new process would see it."""
    return Lake(str(home / "lake"), home / "scratch")


def figures(home: Path) -> dict[str, list[tuple[object, ...]]]:
    """What readers see: of each table by its parts, as steps read it, and of the published file."""
    lake, found = lake_of(home), {}
    for model in MODELS:
        parts = lake.list_parts(model) if storage(model).partition else [{}]
        dates = [{name: dt.date.fromisoformat(text) for name, text in part.items()} for part in parts]
        rows = [row for part in dates for frame in lake.read_batches(model, part) for row in frame.rows()]
        whole = lake.scan(model).collect()
        found[storage(model).table] = sorted(rows, key=str)
        found[f"scan of {storage(model).table}"] = sorted(whole.rows(), key=str)
    with connect(home / "sunledger.duckdb") as db:
        found["published"] = db.execute("SELECT * FROM energy_daily ORDER BY ALL").fetchall()
        query = "SELECT * FROM energy_balance_intervals ORDER BY ALL"
        found["view"] = db.execute(query).fetchall()
    return found


def faults(home: Path, file: Path | None = None) -> list[str]:
    """What `verify` says of all tables and the published file, or of those that the file belongs to."""
    tables = file.relative_to(home).parts if file else ()
    models = [model for model in MODELS if file is None or storage(model).table in tables]
    lake = lake_of(home)
    found = [*verify_lake(lake, models), *verify_published(lake, home / "sunledger.duckdb")]
    return [f"{each.place}: {each.fault}" for each in found if each.fault]


@dataclass(frozen=True)
class Flip:
    """One bit of one file."""

    file: Path
    position: int
    bit: int

    def do(self) -> None:
        """Flip it; again puts it back."""
        content = bytearray(self.file.read_bytes())
        content[self.position] ^= 1 << self.bit
        self.file.write_bytes(content)


def files_of(home: Path, place: str) -> list[Path]:
    """The files of a place: of a table, of all logs, their checkpoints, the digests, or the published file."""
    lake = home / "lake"
    if place == "log":
        found = [*lake.glob("*/_delta_log/*.json")]
    elif place == "checkpoint":
        found = [*lake.glob("*/_delta_log/*.parquet"), *lake.glob("*/_delta_log/_last_checkpoint")]
    elif place == "digests":
        found = [*lake.glob("_digests/*/*.json")]
    elif place.startswith("lake/"):
        # The active ones: nobody reads the others.
        model = next(m for m in MODELS if storage(m).table == place.removeprefix("lake/"))
        found = [Path(file) for file in lake_of(home).take_snapshot(model).files]
    else:
        found = [home / place]
    return sorted(found)


def flips(home: Path, count: int, seed: int) -> Iterator[tuple[str, Flip]]:
    """Random flips, as many in each place, and as many in the end of a file as in all of it: footers are small."""
    choice = random.Random(seed)  # noqa: S311 - repeatable, guards nothing
    files = {place: files_of(home, place) for place in PLACES}
    for number in range(count):
        place = PLACES[number % len(PLACES)]
        file = choice.choice(files[place])
        size = file.stat().st_size
        first = choice.choice([0, 0, max(0, size - 3000)])
        yield place, Flip(file, choice.randrange(first, size), choice.randrange(8))


def copy(source: Path, target: Path) -> Path:
    """A home to damage, with the same files and times."""
    shutil.copytree(source, target, symlinks=True)
    return target


def energy(home: Path, day: dt.date) -> float:
    """The figures of a day that the lake shows."""
    rows = lake_of(home).scan(EnergyDaily).filter(pl.col("local_date") == day)
    return float(rows.select(pl.col("pv_generation_kwh").sum()).collect().item())


def double_generation(file: Path) -> None:
    """Double the generation in a whole, readable file, as somebody may who mends figures by hand."""
    rows = pl.read_parquet(file, hive_partitioning=False)
    rows.with_columns(pl.col("pv_generation_kwh") * 2).write_parquet(file)
