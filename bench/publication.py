"""What a publication costs: `python -m bench.publication`, a full one beside those of the changes that there are.

A fleet's year of report tables and of the record of requests is written by the warehouse's own writer, with detail of
a few plants, of which a publication reads the footers alone. Then the file is published in full, something is changed,
and the file is published again. Each is a process of its own, so that nothing is remembered; what counts is the ratio
of their CPU time within one run of this program.

With `--store` the lake is copied to a look-alike of an object store, and the file is published as an object there, with
the detail of all plants on the newest days. Each publication is then that of a machine that has no copy of the file.
"""

import argparse
import datetime as dt
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import polars as pl

from bench.child import BYTES_PER_MB, cpu_seconds, peak_mb
from bench.fleet import NEW_YEAR, fill, put
from bench.store import BUCKET, copy_lake, open_look_alike
from schemas import (
    TABLES,
    ApiRequests,
    DeviceEnergyDaily,
    Devices,
    EnergyDaily,
    EnergyMonthly,
    KpiDaily,
    KpiMonthly,
    Plants,
    Table,
)
from warehouse.lake import Lake
from warehouse.published_file.meta import hash_schema
from warehouse.published_file.publish import publish
from warehouse.published_file.publish_object import publish_object
from warehouse.published_file.published_object import PublishedObject

# One changed day may cost so much of a full publication.
MOST = 0.2
# A year of 1,000 plants to an object, and the days of detail that the file then has.
MOST_OBJECT_S, MOST_OBJECT_MB, FULL_DAYS = 60, 1000, 7
DAILY = (EnergyDaily, KpiDaily, DeviceEnergyDaily)
MONTHLY = (EnergyMonthly, KpiMonthly)


@dataclass(frozen=True, slots=True)
class PublicationCost:
    """What a publication took: CPU and wall in s, the peak of memory in MB, and the bytes of the file."""

    cpu_s: float
    wall_s: float
    peak_mb: float
    bytes: int


def main() -> None:
    """Measure and print; leaves with 1 where a changed day costs more than it may."""
    options = _options()
    if options.publish is not None:
        _publish(options.publish, options.object)
        return
    with ExitStack() as stack:
        home = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        lake = Lake(str(home / "lake"), home / "tmp")
        if not lake.scan(EnergyDaily).head(1).collect().height:
            full_days = FULL_DAYS if options.store else 0
            fill(lake, options.plants, options.days, options.plants_with_detail, full_days)
            _record_requests(lake, options.plants, options.days)
        print(f"{options.plants} plants, {options.days} days", flush=True)
        if options.store:
            stack.enter_context(open_look_alike())
            lake = copy_lake(lake)
            _measure_object(lake)
            return
        _measure(home)
        (home / "sunledger.duckdb").unlink()
        full = _measure(home)
        _tell("full publication", full, full)
        shares = {}
        for name, change in _list_changes(lake, options.days).items():
            change()
            found = _measure(home)
            _tell(name, found, full)
            shares[name] = found.cpu_s / full.cpu_s
    if shares["one day"] > MOST:
        raise SystemExit(f"A changed day costs more than {MOST:.0%} of a full publication.")


def _measure_object(lake: Lake) -> None:
    """A full publication to an object, and one after a changed day; leaves with 1 where the first costs too much."""
    full = _measure(lake.scratch, lake.root)
    _tell("full publication", full, full)
    newest = max(part["local_date"] for part in lake.list_parts(EnergyDaily))
    change_days(lake, [dt.date.fromisoformat(newest)])
    _tell("one day", _measure(lake.scratch, lake.root), full)
    if full.cpu_s > MOST_OBJECT_S or full.peak_mb > MOST_OBJECT_MB:
        raise SystemExit(
            f"A full publication takes more than {MOST_OBJECT_S} CPU s or {MOST_OBJECT_MB} MB of memory."
        )


def _list_changes(lake: Lake, days: int) -> dict[str, Callable[[], object]]:
    """What happens between two publications, by its name; each is another thing than the one before."""
    day = NEW_YEAR + dt.timedelta(days=days // 2)
    month = (NEW_YEAR + dt.timedelta(days=days // 3)).replace(day=1)
    of_month = [month + dt.timedelta(days=number) for number in range(28)]
    return {
        "one day": lambda: change_days(lake, [day]),
        "one day of one plant": lambda: change_days(lake, [day], plant="900001"),
        "a month of 28 days": lambda: change_days(lake, of_month),
        "the name of a plant": lambda: _rename_plant(lake),
        "nothing": lambda: None,
    }


def change_days(lake: Lake, days: list[dt.date], plant: str | None = None) -> None:
    """Change the energy of days in each report table, and of their months; plants and devices are seen again."""
    for model in DAILY:
        for day in days:
            _scale(lake, model, {"local_date": day}, plant)
    for month in sorted({day.replace(day=1) for day in days}):
        for monthly in MONTHLY:
            _scale(lake, monthly, {"month": month}, plant)
    for listed in (Plants, Devices):
        put(lake, listed, lake.scan(listed).collect().with_columns(pl.col("last_seen") + pl.duration(days=1)))


def _scale(lake: Lake, model: type[Table], part: dict[str, dt.date], plant: str | None) -> None:
    rows = pl.concat(lake.read_batches(model, part))
    name = "pv_generation_kwh" if "pv_generation_kwh" in rows.columns else "final_yield_kwh_per_kw"
    chosen = pl.lit(value=True) if plant is None else pl.col("plant_id") == plant
    changed = pl.when(chosen).then(pl.col(name).fill_null(1.0) * 1.01).otherwise(pl.col(name))
    put(lake, model, rows.with_columns(changed.alias(name)))


def _rename_plant(lake: Lake) -> None:
    plants = lake.scan(Plants).collect()
    is_first = pl.col("plant_id") == plants["plant_id"].min()
    put(lake, Plants, plants.with_columns(name=pl.when(is_first).then(pl.lit("New")).otherwise("name")))


def _tell(name: str, found: PublicationCost, full: PublicationCost) -> None:
    print(
        f"{name:22} {found.cpu_s:6.2f} CPU s ({found.cpu_s / full.cpu_s:4.0%} of a full one), {found.wall_s:6.2f} s, "
        f"{found.peak_mb:5.0f} MB of memory, {found.bytes / BYTES_PER_MB:6.1f} MB of file",
        flush=True,
    )


def _record_requests(lake: Lake, plants: int, days: int) -> None:
    for number in range(days):
        day = NEW_YEAR + dt.timedelta(days=number)
        moment = dt.datetime.combine(day, dt.time(5), dt.UTC)
        asked = pl.DataFrame({"number": range(plants)}).select(
            plant_id=pl.format("{}", 900_001 + pl.col("number")),
            asked_at=pl.lit(moment) + pl.duration(milliseconds=pl.col("number") * 20),
            asked_date=pl.lit(day),
            request_id=pl.format("{}-{}", pl.lit(number), pl.col("number")),
        )
        put(lake, ApiRequests, asked)


def _measure(home: Path, root: str = "") -> PublicationCost:
    """What a publication takes in a process of its own; from the lake `root` in a store, to an object there."""
    command = [sys.executable, "-m", "bench.publication", "--publish", str(home), "--object", root]
    ended = subprocess.run(command, check=True, capture_output=True, text=True)
    return PublicationCost(**json.loads(ended.stdout))


def _publish(home: Path, root: str) -> None:
    lake = Lake(root or str(home / "lake"), home / "tmp")
    # Every command has read the models before it publishes.
    hash_schema(TABLES)
    cpu, wall = cpu_seconds(), time.monotonic()
    now, version = dt.datetime.now(dt.UTC), "bench"
    if root:
        with tempfile.TemporaryDirectory() as empty:
            file, address = Path(empty) / "sunledger.duckdb", f"s3://{BUCKET}/sunledger.duckdb"
            published = publish_object(
                lake, PublishedObject(address, file, sys.stderr.write), now=now, version=version
            )
    else:
        published = publish(lake, home / "sunledger.duckdb", now=now, version=version)
    cost = PublicationCost(cpu_seconds() - cpu, time.monotonic() - wall, peak_mb(), published.bytes)
    print(json.dumps(asdict(cost)))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.publication", description="What a publication costs."
    )
    parser.add_argument("--plants", type=int, default=1000, help="plants (default 1000)")
    parser.add_argument("--days", type=int, default=365, help="days (default 365)")
    parser.add_argument(
        "--plants-with-detail", type=int, default=10, help="plants with intervals (default 10)"
    )
    parser.add_argument(
        "--folder", type=Path, help="keep the data here, and use what is here (default: a temporary folder)"
    )
    parser.add_argument(
        "--store", action="store_true", help="publish from a look-alike of an object store to an object there"
    )
    parser.add_argument("--publish", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--object", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
