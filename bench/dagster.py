"""What Dagster adds to a backfill: `python -m bench.dagster`, at the repository's root.

For each size, one sandbox serves `sunledger backfill` (through Dagster, recorded as every user's runs are) and
`python -m bench.steps` (the same steps and checks without it), in turn, each as a process of its own with an empty
home. CPU seconds are those of the whole process and its children (user and system), from its start to its end, so the
imports count; the sandbox's don't. Both must have stored the same number of rows in every table, but for requests for
tokens: a token lives for five minutes, so a slower run records more of them. Of Dagster's records
the last columns say how many events the backfill left, and how many bytes its databases have.
"""

import argparse
import datetime as dt
import sqlite3
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import polars as pl

from bench.program import PROGRAM, build_environment, run_program
from sandbox.launch import run_sandbox
from schemas import TABLES, ApiRequests, storage
from warehouse.lake import Lake

FIRST_DAY = dt.date(2025, 5, 1)


@dataclass(frozen=True, slots=True)
class Measured:
    """What one command cost, and what it left."""

    cpu_s: float
    wall_s: float
    rows: dict[str, int]
    events: int
    bytes: int


def main() -> None:
    """Measure each size, and print a line for each."""
    options = _options()
    last = FIRST_DAY + dt.timedelta(days=options.days - 1)
    days = [str(FIRST_DAY), str(last)]
    print(
        f"{options.days} days, {options.rounds} rounds each in turn; CPU seconds of the client, lowest and median"
    )
    _line("plants", "steps alone", "with Dagster", "ratio", "more, s", "more wall, s", "rows", "events", "MB")
    for plants in options.plants:
        with run_sandbox("--plants", str(plants)) as box:
            _compare(plants, days, box.settings(), options.rounds)


def _compare(plants: int, days: Sequence[str], settings: dict[str, str], rounds: int) -> None:
    alone: list[Measured] = []
    dagster: list[Measured] = []
    for _ in range(rounds):
        alone.append(_measure([sys.executable, "-m", "bench.steps", *days], settings))
        dagster.append(_measure([PROGRAM, "backfill", "--from", days[0], "--to", days[1]], settings))
        rows, theirs = alone[-1].rows, dagster[-1].rows
        if rows != theirs:
            odd = {name: (rows[name], theirs[name]) for name in rows if rows[name] != theirs[name]}
            raise SystemExit(f"Not the same work, rows by table: {odd}")
    cpu = [median(one.cpu_s for one in some) for some in (alone, dagster)]
    wall = [median(one.wall_s for one in some) for some in (alone, dagster)]
    _line(
        str(plants),
        f"{min(one.cpu_s for one in alone):.1f} {cpu[0]:.1f}",
        f"{min(one.cpu_s for one in dagster):.1f} {cpu[1]:.1f}",
        f"{cpu[1] / cpu[0]:.3f}",
        f"{cpu[1] - cpu[0]:.1f}",
        f"{wall[1] - wall[0]:.1f}",
        f"{sum(rows.values()):,}",
        f"{dagster[-1].events:,}",
        f"{dagster[-1].bytes / 1e6:.1f}",
    )


def _measure(command: Sequence[str], settings: dict[str, str]) -> Measured:
    """Run the command in an empty home, its children included."""
    with tempfile.TemporaryDirectory(prefix="sunledger-bench-") as folder:
        home = Path(folder)
        cost = run_program(command, build_environment(settings, home), home)
        events, size = _records(home / "dagster")
        return Measured(cost.cpu_s, cost.wall_s, _rows(home), events, size)


def _records(dagster_home: Path) -> tuple[int, int]:
    """How many events all runs have, and the bytes of all databases."""
    events = 0
    for file in (dagster_home / "history" / "runs").glob("*-*.db"):
        with closing(sqlite3.connect(file)) as database:
            ((count,),) = database.execute("SELECT count(*) FROM event_logs").fetchall()
            events += count
    return events, sum(file.stat().st_size for file in dagster_home.rglob("*.db*"))


def _rows(home: Path) -> dict[str, int]:
    lake = Lake(str(home / "lake"), home / "tmp")
    counts = {storage(m).table: lake.scan(m).select(pl.len()).collect().item() for m in TABLES}
    asked = lake.scan(ApiRequests).filter(pl.col("endpoint") != "token")
    return counts | {storage(ApiRequests).table: asked.select(pl.len()).collect().item()}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.dagster", description="What Dagster adds to a backfill."
    )
    parser.add_argument("--plants", type=int, nargs="+", default=[50, 200, 500], help="sizes of the fleet")
    parser.add_argument("--days", type=int, default=31, help="days (default 31: one run)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each (default 3)")
    return parser.parse_args()


def _line(*cells: str) -> None:
    print("".join(f"{cell:>16}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
