"""What a plant-day costs: `python -m bench`, at the repository's root.

One sandbox serves all runs of a size, each run is a process of its own with an empty home, and only its own CPU time
counts (user and system, all threads), not the sandbox's. What counts are the ratios within one run of this program:
machines and their neighbours differ. dlt is measured by the Python of an environment of its own (`make bench` sets it
up from requirements-bench.lock.txt).
"""

import argparse
import datetime as dt
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.child import AT_ONCE, Result, measure
from sandbox.launch import run_sandbox

FIRST_DAY = dt.date(2025, 6, 10)
OURS, DLT = "bench.pipeline", "bench.dlt_source"


def main() -> None:
    """Measure and print."""
    options = _options()
    days = [(FIRST_DAY + dt.timedelta(days=number)).isoformat() for number in range(options.days)]
    print(
        f"EnergyBalance of {options.plants} plants, {len(days)} days, {AT_ONCE} connections; CPU seconds of the client"
    )
    with run_sandbox("--plants", str(options.plants)) as address:
        settings = _fields(address.settings())
        one_day = measure(sys.executable, OURS, settings, days[:1], "balance")
        ours = measure(sys.executable, OURS, settings, days, "balance")
        _print_stages("sunledger", ours, requests_in="fetch")
        if options.dlt_python.exists():
            theirs = measure(str(options.dlt_python), DLT, settings, days)
            _compare(ours, theirs)
        else:
            print(f"dlt: not measured, {options.dlt_python} is not there: make bench sets it up")
        _print_dagster(
            measure(sys.executable, OURS, settings, days, "all"),
            measure(sys.executable, OURS, settings, days, "dagster"),
        )
    with run_sandbox("--plants", str(options.more_plants)) as address:
        settings = _fields(address.settings())
        more = [measure(sys.executable, OURS, settings, some, "balance") for some in (days[:1], days)]
    few = [(options.plants, run) for run in (one_day, ours)]
    _print_memory([*few, *((options.more_plants, run) for run in more)])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="What a plant-day costs, beside dlt."
    )
    parser.add_argument("--plants", type=int, default=100, help="plants (default 100)")
    parser.add_argument("--days", type=int, default=5, help="days (default 5)")
    parser.add_argument(
        "--more-plants", type=int, default=400, help="plants of the run that shows memory (default 400)"
    )
    parser.add_argument(
        "--dlt-python", type=Path, default=Path(".venv-bench/bin/python"), help="a Python that has dlt"
    )
    return parser.parse_args()


def _fields(environment: dict[str, str]) -> dict[str, str]:
    """The sandbox's environment variables as fields of our settings."""
    return {name.lower(): value for name, value in environment.items()}


def _print_stages(name: str, result: Result, *, requests_in: str) -> None:
    print()
    _line(name, "CPU s", "rows/CPU s", "requests/CPU s", "peak MB")
    _line(
        "end to end",
        f"{result.cpu():.2f}",
        f"{result.rows / result.cpu():,.0f}",
        f"{result.requests / result.cpu():,.0f}",
        f"{result.peak_mb:,.0f}",
    )
    for stage, spent in result.stages.items():
        requests = f"{result.requests / spent:,.0f}" if stage == requests_in else ""
        _line(f"  {stage}", f"{spent:.2f}", f"{result.rows / spent:,.0f}", requests)


def _compare(ours: Result, theirs: Result) -> None:
    _print_stages("dlt rest_api", theirs, requests_in="extract")
    if ours.rows != theirs.rows:
        raise SystemExit(f"Not the same work: {ours.rows:,} rows by sunledger, {theirs.rows:,} by dlt.")
    print(
        f"\n{ours.rows:,} rows each. sunledger takes 1/{theirs.cpu() / ours.cpu():.1f} of dlt's CPU time, "
        "and that with raw copy, kWh, rules, daily figures and publication, which dlt was not asked for."
    )


def _print_dagster(plain: Result, dagster: Result) -> None:
    print(
        f"\nAll tables of the days, {plain.rows:,} rows: {plain.cpu():.2f} CPU s by the steps alone, "
        f"{dagster.cpu():.2f} through Dagster ({dagster.cpu() / plain.cpu():.1f} x)."
    )


def _print_memory(runs: Sequence[tuple[int, Result]]) -> None:
    """A run holds a batch of answers and its rows, full at some 300 plants, and what waits for its commit, bounded."""
    print()
    _line("peak memory", "days", "rows", "peak MB", "over start")
    for plants, run in runs:
        grown = run.peak_mb - run.start_mb
        _line(f"{plants} plants", str(run.days), f"{run.rows:,}", f"{run.peak_mb:,.0f}", f"{grown:,.0f}")


def _line(name: str, *cells: str) -> None:
    print(f"{name:20}" + "".join(f"{cell:>16}" for cell in cells))


if __name__ == "__main__":
    main()
