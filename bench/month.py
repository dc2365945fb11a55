"""What is left to do after the last answer of a month, and what a month costs that is there: `python -m bench.month`.

One sandbox, whose answers come late by `--latency` seconds, serves three runs of `sunledger backfill` of the same days
in one home, each a process of its own: the first, which fetches all; the second, which finds that nothing is missing;
and the third, which knows it. CPU seconds are those of the client (user and system, all threads). What is left after
the last answer is the time from there to the published file, by the record of requests and the file's own time.
"""

import argparse
import datetime as dt
import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import duckdb

from bench.child import AT_ONCE
from bench.program import PROGRAM, ProgramCost, build_environment, run_program
from sandbox.launch import run_sandbox

FIRST_DAY = dt.date(2025, 6, 2)
# The program may say that plants have gaps, which simulated ones have.
DONE = (0, 3)
_OF_REQUESTS = """
SELECT
    epoch(max(asked_at)),
    count(*) FILTER (endpoint IN ('measurements', 'logs')),
    epoch(max(asked_at)) - epoch(min(asked_at) FILTER (endpoint IN ('measurements', 'logs'))),
    sum(elapsed_ms) FILTER (endpoint IN ('measurements', 'logs')) / 1000
FROM api_requests
"""


@dataclass(frozen=True, slots=True)
class MonthRun:
    """What a run cost, and how many s after its last request the file was published.

    `asked` requests for days were sent within `asking_s`, and were on their way for `under_way_s` in sum.
    """

    cost: ProgramCost
    left_s: float
    asked: int
    asking_s: float
    under_way_s: float


def main() -> None:
    """Measure, print and write."""
    options = _options()
    last = FIRST_DAY + dt.timedelta(days=options.days - 1)
    command = [PROGRAM, "backfill", "--from", str(FIRST_DAY), "--to", str(last), "--yes"]
    late = f"slow_first_byte=1.0,amount={options.latency}"
    faults = ["--fault", late] if options.latency else []
    with (
        run_sandbox("--plants", str(options.plants), "--requests-per-5-min", "100000000", *faults) as address,
        tempfile.TemporaryDirectory(prefix="sunledger-bench-") as home,
    ):
        environment = build_environment(address.settings(), Path(home))
        runs = [_run(command, environment, Path(home)) for _ in range(3)]
    first = runs[0]
    print(
        f"{options.plants} plants, {options.days} days, answers after {options.latency} s\n"
        f"after the last answer: {first.left_s:.1f} s of {first.cost.wall_s:.1f} s"
    )
    if options.latency:
        full = first.asked * options.latency / AT_ONCE
        print(
            f"{first.asked:,} requests for days in {first.asking_s:.1f} s: {AT_ONCE} connections need "
            f"{full:.1f} s ({100 * full / first.asking_s:.0f} %), and {first.under_way_s / first.asking_s:.1f} were on "
            "their way in the mean"
        )
    for name, run in zip(("first", "second", "third"), runs, strict=True):
        cost = run.cost
        spent = f"{cost.cpu_s:8.2f} CPU s {100 * cost.cpu_s / first.cost.cpu_s:6.1f} %"
        print(f"{name:8}{spent} {cost.wall_s:8.1f} s {cost.peak_mb:6.0f} MB", flush=True)
    options.folder.mkdir(parents=True, exist_ok=True)
    report = {"plants": options.plants, "days": options.days, "latency_s": options.latency}
    written = {**report, "runs": [asdict(run) for run in runs]}
    (options.folder / "month.json").write_text(json.dumps(written, indent=2) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.month", description="A month that is fetched, and fetched when it is there."
    )
    parser.add_argument("--plants", type=int, default=100)
    parser.add_argument("--days", type=int, default=28)
    parser.add_argument("--latency", type=float, default=0.2, help="seconds until an answer begins")
    parser.add_argument("--folder", type=Path, default=Path("bench-results"), help="where the results go")
    return parser.parse_args()


def _run(command: list[str], environment: Mapping[str, str], home: Path) -> MonthRun:
    cost = run_program(command, environment, home, folder=home, fine=DONE)
    published = home / "sunledger.duckdb"
    with duckdb.connect(str(published), read_only=True) as file:
        ((last, asked, asking_s, under_way_s),) = file.execute(_OF_REQUESTS).fetchall()
    return MonthRun(cost, published.stat().st_mtime - float(last), asked, float(asking_s), float(under_way_s))


if __name__ == "__main__":
    main()
