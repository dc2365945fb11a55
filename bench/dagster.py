"""What Dagster adds to a backfill: `python -m bench.dagster`, at the repository's root.

For each size, one sandbox serves `sunledger backfill` (through Dagster, recorded as every user's runs are) and
`python -m bench.steps` (the same steps and checks without it), in turn, each as a process of its own with an empty
home. CPU seconds are those of the whole process and its children (user and system), from its start to its end, so the
imports count; the sandbox's don't. Both must have stored the same number of rows in every table.
"""

import argparse
import datetime as dt
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import polars as pl

from sandbox.launch import running
from schemas import TABLES, storage
from warehouse.lake import Lake

FIRST_DAY = dt.date(2025, 5, 1)
PROGRAM = str(Path(sys.executable).with_name("sunledger"))


def main() -> None:
    """Measure each size, and print a line for each."""
    options = _options()
    last = FIRST_DAY + dt.timedelta(days=options.days - 1)
    days = [str(FIRST_DAY), str(last)]
    print(
        f"{options.days} days, {options.rounds} rounds each in turn; CPU seconds of the client, lowest and median"
    )
    _line("plants", "steps alone", "with Dagster", "ratio (median)", "more, s", "rows")
    for plants in options.plants:
        with running("--plants", str(plants)) as box:
            _compare(plants, days, box.settings(), options.rounds)


def _compare(plants: int, days: Sequence[str], settings: dict[str, str], rounds: int) -> None:
    alone: list[float] = []
    dagster: list[float] = []
    for _ in range(rounds):
        spent, rows = _measure([sys.executable, "-m", "bench.steps", *days], settings)
        alone.append(spent)
        spent, theirs = _measure([PROGRAM, "backfill", "--from", days[0], "--to", days[1]], settings)
        dagster.append(spent)
        if rows != theirs:
            odd = {name: (rows[name], theirs[name]) for name in rows if rows[name] != theirs[name]}
            raise SystemExit(f"Not the same work, rows by table: {odd}")
    middle = median(dagster) / median(alone)
    _line(
        str(plants),
        f"{min(alone):.1f} {median(alone):.1f}",
        f"{min(dagster):.1f} {median(dagster):.1f}",
        f"{middle:.3f}",
        f"{median(dagster) - median(alone):.1f}",
        f"{sum(rows.values()):,}",
    )


def _measure(command: Sequence[str], settings: dict[str, str]) -> tuple[float, dict[str, int]]:
    """CPU seconds of the command and its children, and the rows that it stored by table."""
    with tempfile.TemporaryDirectory(prefix="sunledger-bench-") as home:
        environment = {**os.environ, **settings, "SUNLEDGER_HOME": home}
        with (Path(home) / "said").open("w+") as said:
            process = subprocess.Popen(command, env=environment, stdout=said, stderr=subprocess.STDOUT)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                said.seek(0)
                raise SystemExit(f"{' '.join(command)} failed:\n{said.read()[-2000:]}")
        return usage.ru_utime + usage.ru_stime, _rows(Path(home))


def _rows(home: Path) -> dict[str, int]:
    lake = Lake(str(home / "lake"), home / "tmp")
    return {storage(m).table: lake.scan(m).select(pl.len()).collect().item() for m in TABLES}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.dagster", description="What Dagster adds to a backfill."
    )
    parser.add_argument("--plants", type=int, nargs="+", default=[50, 200, 500], help="sizes of the fleet")
    parser.add_argument("--days", type=int, default=31, help="days (default 31: one run)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each (default 3)")
    return parser.parse_args()


def _line(*cells: str) -> None:
    print("".join(f"{cell:>18}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
