"""Whether a plant-day costs the same in a large fleet: `python -m bench.growth --plants 300 1000 3000 10000`.

For each size one sandbox serves three runs of `sunledger backfill`, each a process of its own: a day into an empty
home, with every list of plants, devices and sets; the day after it, for which few lists are asked; and the first day
again, of which nothing is missing. A fleet of one plant shows what a run costs whatever its size, and that is taken
off. CPU seconds are those of the client (user and system, all threads). Prints a table; writes FOLDER/growth.json and
FOLDER/growth.svg.
"""

import argparse
import datetime as dt
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from matplotlib.figure import Figure

from bench.program import PROGRAM, ProgramCost, build_environment, run_program
from sandbox.launch import run_sandbox

FIRST_DAY = dt.date(2025, 6, 10)
# The runs, each in the home that the one before it left.
RUNS: Mapping[str, dt.date] = {
    "first day": FIRST_DAY,
    "next day": FIRST_DAY + dt.timedelta(days=1),
    "again": FIRST_DAY,
}
# What a plant-day costs in the largest fleet may differ by so much from what it costs in the second of these.
MOST, COMPARED_PLANTS = 1.1, 1_000


def main() -> None:
    """Measure, print and write."""
    options = _options()
    alone = _measure_fleet(1)
    costs = {plants: _measure_fleet(plants) for plants in options.plants}
    _print(alone, costs)
    options.folder.mkdir(parents=True, exist_ok=True)
    report = {
        str(plants): {run: asdict(cost) for run, cost in of_fleet.items()}
        for plants, of_fleet in {1: alone, **costs}.items()
    }
    (options.folder / "growth.json").write_text(json.dumps(report, indent=2) + "\n")
    draw_growth(compute_milliseconds(alone, costs), options.folder / "growth.svg")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.growth", description="What a plant-day costs in fleets of several sizes."
    )
    parser.add_argument(
        "--plants", type=int, nargs="+", default=[300, COMPARED_PLANTS, 3_000], help="sizes of the fleet"
    )
    parser.add_argument("--folder", type=Path, default=Path("bench-results"), help="where the results go")
    options = parser.parse_args()
    if min(options.plants) < 2:
        parser.error(
            "--plants takes fleets of 2 plants and more: what one plant costs is measured in any case"
        )
    return options


def _measure_fleet(plants: int) -> dict[str, ProgramCost]:
    """The cost of each of `RUNS` for a fleet of so many plants."""
    with (
        run_sandbox("--plants", str(plants), "--requests-per-5-min", "100000000") as address,
        tempfile.TemporaryDirectory(prefix="sunledger-bench-") as home,
    ):
        environment = build_environment(address.settings(), Path(home))
        return {run: _measure_day(day, environment, Path(home)) for run, day in RUNS.items()}


def _measure_day(day: dt.date, environment: dict[str, str], home: Path) -> ProgramCost:
    command = [PROGRAM, "backfill", "--from", str(day), "--to", str(day), "--yes"]
    return run_program(command, environment, home, folder=home)


def compute_milliseconds(
    alone: Mapping[str, ProgramCost], costs: Mapping[int, Mapping[str, ProgramCost]]
) -> dict[str, dict[int, float]]:
    """Milliseconds of CPU a plant-day of each run, by the size of the fleet, without what one plant costs."""
    return {
        run: {
            plants: 1000 * (of_fleet[run].cpu_s - alone[run].cpu_s) / (plants - 1)
            for plants, of_fleet in costs.items()
        }
        for run in alone
    }


def _print(alone: Mapping[str, ProgramCost], costs: Mapping[int, Mapping[str, ProgramCost]]) -> None:
    found = compute_milliseconds(alone, costs)
    _line("plants", *(f"{run}, CPU s" for run in alone), *(f"{run}, ms" for run in alone), "peak MB")
    _line("1", *(f"{cost.cpu_s:.2f}" for cost in alone.values()), *("" for _ in alone), "")
    for plants, of_fleet in costs.items():
        spent = (f"{cost.cpu_s:.2f}" for cost in of_fleet.values())
        each = (f"{found[run][plants]:.2f}" for run in alone)
        _line(f"{plants:,}", *spent, *each, f"{max(cost.peak_mb for cost in of_fleet.values()):,.0f}")
    largest = max(costs)
    if COMPARED_PLANTS in costs and largest > COMPARED_PLANTS:
        for run in ("first day", "next day"):
            ratio = found[run][largest] / found[run][COMPARED_PLANTS]
            verdict = "within" if ratio <= MOST else "beyond"
            print(
                f"{run}: a plant-day of {largest:,} plants costs {ratio:.2f} of one of {COMPARED_PLANTS:,}, {verdict} "
                f"{MOST}"
            )


def _line(name: str, *cells: str) -> None:
    print(f"{name:8}" + "".join(f"{cell:>18}" for cell in cells), flush=True)


def draw_growth(milliseconds: Mapping[str, Mapping[int, float]], file: Path) -> None:
    """A line for each run: milliseconds a plant-day by the size of the fleet."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for run, of_run in milliseconds.items():
        sizes: Sequence[int] = sorted(of_run)
        axes.plot(sizes, [of_run[size] for size in sizes], marker="o", label=run)
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("plants")
    axes.set_ylabel("ms of CPU time a plant-day")
    axes.set_title("One day of all tables, without what a run costs whatever its size")
    axes.legend()
    figure.savefig(file)


if __name__ == "__main__":
    main()
