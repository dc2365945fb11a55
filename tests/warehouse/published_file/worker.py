"""The other processes of the tests: `python worker.py ROLE ...`. Each tells what it saw on standard output.

* `stall LAKE TARGET`: begins to publish and stops in the middle of it, until it is killed.
* `read TARGET DONE SEEN how`: queries until the file DONE exists. `reopen`: with a connection for each query,
  `hold`: with one for all. Adds a byte to SEEN for each query and prints the states seen, without repetition.
* `write LAKE TARGET LAST SEEN...`: publishes the states 1 to LAST, each after every reader has read the one before.

State k: every table says k. A reader that sees two different numbers in one query saw a mixture.
"""

import datetime as dt
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import duckdb
import polars as pl

from schemas import EnergyBalanceIntervals, EnergyDaily, EnergyMonthly, Table, storage
from warehouse.lake import Lake, Snapshot
from warehouse.published_file.open_published import connect
from warehouse.published_file.publish import publish

DAY = dt.date(2021, 10, 1)
NOW = dt.datetime(2021, 10, 3, tzinfo=dt.UTC)
PATIENCE_S = 600.0
STATE = """
    SELECT DISTINCT state FROM (
        SELECT pv_generation_kwh AS state FROM energy_daily
        UNION ALL SELECT pv_generation_kwh FROM energy_monthly
        UNION ALL SELECT pv_generation_kwh FROM energy_balance_intervals
        UNION ALL SELECT pv_generation_kwh FROM v_energy_daily
        UNION ALL SELECT product_version::DOUBLE FROM _meta
    ) ORDER BY state"""


class StallingLake(Lake):
    """A lake that never gives the rows of energy_daily."""

    def scan(self, model: type[Table], snapshot: Snapshot | None = None) -> pl.LazyFrame:
        if model is EnergyDaily:
            tell("building")
            time.sleep(PATIENCE_S)
        return super().scan(model, snapshot)


def tell(what: object) -> None:
    sys.stdout.write(f"{json.dumps(what)}\n")
    sys.stdout.flush()


def stall(lake: str, target: str) -> None:
    publish(StallingLake(lake, Path(lake).with_name("scratch")), Path(target), now=NOW, version="0")


def read(target: str, done: str, seen: str, how: str) -> None:
    # The machine is the publisher's first: a reader that never pauses would only make the test slow.
    os.nice(10)
    states: list[list[float]] = []
    held = connect(Path(target))
    with Path(seen).open("ab", buffering=0) as progress:
        while not Path(done).exists():
            if how == "reopen":
                held.close()
                held = connect(Path(target))
            state = query(held)
            if not states or states[-1] != state:
                states.append(state)
            progress.write(b".")
    held.close()
    tell(states)


def query(connection: duckdb.DuckDBPyConnection) -> list[float]:
    return [state for (state,) in connection.execute(STATE).fetchall()]


def write(root: str, target: str, last: str, *seen: str) -> None:
    lake = Lake(root, Path(root).with_name("scratch"))
    for state in range(1, int(last) + 1):
        let_read(seen)
        for model in (EnergyDaily, EnergyMonthly, EnergyBalanceIntervals):
            rows = lake.scan(model).with_columns(pv_generation_kwh=pl.lit(float(state))).collect()
            (name,) = storage(model).partition
            lake.replace(model, {name: DAY}, [rows])
        publish(lake, Path(target), now=NOW, version=str(state))
    let_read(seen)
    tell("published")


def let_read(seen: Sequence[str]) -> None:
    """Wait until each reader has made two more queries: the first may have begun before the last publication."""
    for file in map(Path, seen):
        wait_for(file, file.stat().st_size + 2)


def wait_for(file: Path, size: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while file.stat().st_size < size:
        if time.monotonic() > deadline:
            raise TimeoutError(f"no reader wrote to {file.name} for {PATIENCE_S} s")
        time.sleep(0.005)


ROLES: dict[str, Callable[..., None]] = {"stall": stall, "read": read, "write": write}

if __name__ == "__main__":
    ROLES[sys.argv[1]](*sys.argv[2:])
