"""How many requests a backfill takes, beside one that asks for each day of each plant and device by itself.

`python -m bench.requests --plants 200 --days 28` does the backfill against a sandbox and counts there.
"""

import argparse
import datetime as dt
import tempfile
from pathlib import Path

import polars as pl

from assets.runs import record_runs
from bench.child import AT_ONCE
from pipeline.common.settings import load_settings
from pipeline.run.context import RunContext
from sandbox.launch import run_sandbox
from schemas import ApiRequests, MeasurementSets, Plants

FIRST = dt.date(2025, 5, 5)


def main() -> None:
    """Backfill, and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plants", type=int, default=200, help="plants (default 200)")
    parser.add_argument("--days", type=int, default=28, help="days (default 28)")
    options = parser.parse_args()
    last = FIRST + dt.timedelta(days=options.days - 1)
    with run_sandbox("--plants", str(options.plants)) as address, tempfile.TemporaryDirectory() as home:
        settings = load_settings(
            env_file=None,
            home=Path(home),
            sma_max_connections=AT_ONCE,
            **{name.lower(): value for name, value in address.settings().items()},
        )
        counts = [_backfill(RunContext(settings), last) for _ in range(2)]
        with RunContext(settings) as runtime:
            naive = _naive(runtime, options.days)
            endpoints = runtime.lake.scan(ApiRequests).group_by("endpoint", "set_type", "period").len()
            print(endpoints.sort("endpoint", "set_type", "period").collect())
    print(f"{options.plants} plants, {options.days} days from {FIRST}:")
    print(f"  by the day      {naive:>8,} requests")
    print(f"  this backfill   {counts[0]:>8,} requests ({naive / counts[0]:.1f} times fewer)")
    print(f"  the same again  {counts[1]:>8,} requests")


def _backfill(runtime: RunContext, last: dt.date) -> int:
    with runtime, record_runs(runtime) as runs:
        runs.refresh_lists()
        runs.fetch_days(FIRST, last)
        return runtime.session.requests_sent


def _naive(runtime: RunContext, days: int) -> int:
    """Lists once, then a request for each day of each plant's set and log and of each inverter's set."""
    sets = runtime.lake.scan(MeasurementSets).collect()
    plants = runtime.lake.scan(Plants).collect().height
    owners = sets.select("plant_id", "device_id").unique().height
    asked = sets.filter(
        pl.col("device_id").is_null() & (pl.col("set_type") == "EnergyBalance")
        | pl.col("device_id").is_not_null() & (pl.col("set_type") == "EnergyAndPowerPv")
    ).height
    return 1 + plants + owners + days * (asked + plants)


if __name__ == "__main__":
    main()
