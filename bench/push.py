"""What a push to PostgreSQL costs: `python -m bench.push postgresql://…`, a first one beside those after changes.

A fleet's year of report tables is written and published as by `bench.publication`, and pushed into a schema that is
dropped at the end. Each push is a process of its own; the CPU time is that of the client alone, and the server adds to
the wall time.
"""

import argparse
import datetime as dt
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.child import cpu_seconds, peak_mb
from bench.fleet import NEW_YEAR, fill
from bench.publication import change_days
from warehouse.database_server.postgresql import open_postgresql
from warehouse.database_server.push import PushTarget, push_published
from warehouse.lake import Lake
from warehouse.published_file.publish import publish

SCHEMA = "sunledger_bench"


@dataclass(frozen=True, slots=True)
class PushCost:
    """What a push took: CPU of the client and wall in s, the peak of memory in MB, and the rows that it wrote."""

    cpu_s: float
    wall_s: float
    peak_mb: float
    rows: int


def main() -> None:
    """Measure and print."""
    options = _options()
    if options.push is not None:
        _push(options.push, options.url)
        return
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        lake = Lake(str(home / "lake"), home / "tmp")
        fill(lake, options.plants, options.days, 1, 0)
        print(f"{options.plants} plants, {options.days} days", flush=True)
        try:
            for what, change in _list_changes(lake, options.days).items():
                change()
                publish(lake, home / "sunledger.duckdb", now=dt.datetime.now(dt.UTC), version="bench")
                _tell(what, _measure(home, options.url))
        finally:
            with open_postgresql(options.url) as server:
                server.run(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
                server.commit()


def _list_changes(lake: Lake, days: int) -> dict[str, Callable[[], object]]:
    """What happens before each push, by its name."""
    day = NEW_YEAR + dt.timedelta(days=days // 2)
    month = (NEW_YEAR + dt.timedelta(days=days // 3)).replace(day=1)
    return {
        "everything": lambda: None,
        "one day": lambda: change_days(lake, [day]),
        "a month of 28 days": lambda: change_days(lake, [month + dt.timedelta(days=n) for n in range(28)]),
        "nothing": lambda: None,
    }


def _tell(name: str, found: PushCost) -> None:
    print(
        f"{name:18} {found.rows:9,} rows, {found.cpu_s:6.2f} CPU s, {found.wall_s:6.2f} s, "
        f"{found.peak_mb:5.0f} MB of memory",
        flush=True,
    )


def _measure(home: Path, url: str) -> PushCost:
    command = [sys.executable, "-m", "bench.push", url, "--push", str(home)]
    ended = subprocess.run(command, check=True, capture_output=True, text=True)
    return PushCost(**json.loads(ended.stdout))


def _push(home: Path, url: str) -> None:
    cpu, wall = cpu_seconds(), time.monotonic()
    done = push_published(home / "sunledger.duckdb", PushTarget(url, SCHEMA))
    cost = PushCost(cpu_seconds() - cpu, time.monotonic() - wall, peak_mb(), sum(done.rows.values()))
    print(json.dumps(asdict(cost)))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.push", description="What a push to PostgreSQL costs."
    )
    parser.add_argument("url", help="address of a database in which a schema may be created and dropped")
    parser.add_argument("--plants", type=int, default=1000, help="plants (default 1000)")
    parser.add_argument("--days", type=int, default=365, help="days (default 365)")
    parser.add_argument("--push", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
