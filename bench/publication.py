"""What a publication costs: `python -m bench.publication`, a full one beside one of a single changed day.

A fleet's year of report tables and of the record of requests is written by the warehouse's own writer, with detail of
a few plants, of which a publication reads the footers alone. Then the file is published in full, one day is changed,
and the file is published again. Each is a process of its own, so that nothing is remembered; what counts is the ratio
of their CPU time within one run of this program.
"""

import argparse
import datetime as dt
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import polars as pl

from bench.child import cpu_seconds
from bench.fleet import NEW_YEAR, fill, put
from schemas import TABLES, ApiRequests, DeviceEnergyDaily, EnergyDaily, KpiDaily
from warehouse.lake import Lake
from warehouse.meta import hash_schema
from warehouse.publish import publish

# One changed day may cost so much of a full publication.
MOST = 0.2
DAILY = (EnergyDaily, KpiDaily, DeviceEnergyDaily)


def main() -> None:
    """Measure and print; leaves with 1 where a changed day costs more than it may."""
    options = _options()
    if options.publish is not None:
        _publish(options.publish)
        return
    with ExitStack() as stack:
        home = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        lake = Lake(str(home / "lake"), home / "tmp")
        fill(lake, options.plants, options.days, options.plants_with_detail)
        _record_requests(lake, options.plants, options.days)
        print(f"{options.plants} plants, {options.days} days", flush=True)
        (home / "sunledger.duckdb").unlink(missing_ok=True)
        first = _measure(home)
        (home / "sunledger.duckdb").unlink()
        full = _measure(home)
        change_day(lake, NEW_YEAR + dt.timedelta(days=options.days // 2))
        changed = _measure(home)
        same = _measure(home)
    print(f"first publication, with a look at every file {first:6.2f} CPU s")
    print(f"full publication                             {full:6.2f} CPU s")
    print(
        f"one changed day                              {changed:6.2f} CPU s, {changed / full:.0%} of a full one"
    )
    print(f"nothing changed                              {same:6.2f} CPU s, {same / full:.0%} of a full one")
    if changed > MOST * full:
        raise SystemExit(f"A changed day costs more than {MOST:.0%} of a full publication.")


def change_day(lake: Lake, day: dt.date) -> None:
    """Change the day's energy in each of its report tables."""
    for model in DAILY:
        rows = pl.concat(lake.read_batches(model, {"local_date": day}))
        kwh = [name for name in rows.columns if name == "pv_generation_kwh"]
        put(
            lake,
            model,
            rows.with_columns(pl.col(kwh) * 1.5, **({} if kwh else {"final_yield_kwh_per_kw": 1.25})),
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


def _measure(home: Path) -> float:
    """CPU seconds of a publication in a process of its own."""
    command = [sys.executable, "-m", "bench.publication", "--publish", str(home)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _publish(home: Path) -> None:
    lake = Lake(str(home / "lake"), home / "tmp")
    # Every command has read the models before it publishes.
    hash_schema(TABLES)
    begun = cpu_seconds()
    publish(lake, home / "sunledger.duckdb", now=dt.datetime.now(dt.UTC), version="bench")
    print(cpu_seconds() - begun)


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
    parser.add_argument("--publish", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
