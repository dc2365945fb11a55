"""Plant-days beside the least that they can cost: `python -m bench.floor --plants 300 --days 7`.

One sandbox serves a script that does nothing but fetch, decode, multiply and write (`bench.floor_script`), sunledger
with raw copy, rules, daily figures and publication, and dlt where `--dlt-python` has it. All do the same rows, and
their energies are compared. Prints a table; writes FOLDER/floor.json and FOLDER/floor.svg.
"""

import argparse
import datetime as dt
import json
import math
import platform
import sys
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from matplotlib.figure import Figure

from bench.child import Result, measure
from sandbox.launch import run_sandbox

# A Monday: days are asked for by the week.
FIRST_DAY = dt.date(2025, 6, 9)
FLOOR, OURS, DLT = "floor", "sunledger", "dlt"
PACKAGES = ("aiohttp", "dagster", "deltalake", "duckdb", "httpx", "pandera", "polars", "pyarrow")


def main() -> None:
    """Measure, compare, print and write."""
    options = _options()
    days = [(FIRST_DAY + dt.timedelta(days=number)).isoformat() for number in range(options.days)]
    with run_sandbox("--plants", str(options.plants)) as address:
        settings = {name.lower(): value for name, value in address.settings().items()}
        runs = {
            FLOOR: measure(sys.executable, "bench.floor_script", settings, days),
            OURS: measure(sys.executable, "bench.pipeline", settings, days, "balance"),
        }
        if options.dlt_python.exists():
            runs[DLT] = measure(str(options.dlt_python), "bench.dlt_source", settings, days)
    _compare(runs)
    _print(runs, options)
    options.folder.mkdir(parents=True, exist_ok=True)
    (options.folder / "floor.json").write_text(json.dumps(_report(runs, options), indent=2) + "\n")
    _draw(
        runs, options.folder / "floor.svg", f"{options.plants} plants, {options.days} days of EnergyBalance"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.floor", description="Cost beside the least cost.")
    parser.add_argument("--plants", type=int, default=300, help="plants (default 300)")
    parser.add_argument("--days", type=int, default=7, help=f"days from {FIRST_DAY} (default 7)")
    parser.add_argument("--folder", type=Path, default=Path("bench-results"), help="where the results go")
    parser.add_argument(
        "--dlt-python", type=Path, default=Path(".venv-bench/bin/python"), help="a Python that has dlt"
    )
    return parser.parse_args()


def _compare(runs: Mapping[str, Result]) -> None:
    """Raise SystemExit unless all did the same rows, and have the same energies."""
    floor = runs[FLOOR]
    for name, run in runs.items():
        if run.rows != floor.rows:
            raise SystemExit(f"Not the same work: {run.rows:,} rows by {name}, {floor.rows:,} by the floor.")
        for figure, value in run.figures.items():
            if not math.isclose(value, floor.figures[figure], rel_tol=1e-9):
                raise SystemExit(f"{figure}: {value} by {name}, {floor.figures[figure]} by the floor.")


def _print(runs: Mapping[str, Result], options: argparse.Namespace) -> None:
    floor = runs[FLOOR]
    print(
        f"EnergyBalance of {options.plants} plants, {options.days} days: {floor.rows:,} rows, the same energies\n"
    )
    _line("", "CPU s", "us/row", "rows/CPU s", "of the floor", "peak MB", "bytes/row", "raw bytes/row")
    for name, run in runs.items():
        sizes = [
            f"{run.file_bytes[kind] / run.rows:.1f}" if run.file_bytes else "" for kind in ("rows", "raw")
        ]
        speed = run.rows / run.cpu()
        cells = [f"{run.cpu():.2f}", f"{1e6 / speed:.2f}", f"{speed:,.0f}", f"{floor.cpu() / run.cpu():.2f}"]
        _line(name, *cells, f"{run.peak_mb:,.0f}", *sizes)
        for stage, spent in run.stages.items() if len(run.stages) > 1 else ():
            _line(f"  {stage}", f"{spent:.2f}", f"{1e6 * spent / run.rows:.2f}")


def _line(name: str, *cells: str) -> None:
    print(f"{name:16}" + "".join(f"{cell:>14}" for cell in cells))


def _report(runs: Mapping[str, Result], options: argparse.Namespace) -> dict[str, object]:
    return {
        "plants": options.plants,
        "days": options.days,
        "machine": {
            "system": platform.platform(),
            "processor": platform.machine(),
            "python": platform.python_version(),
        },
        "versions": {name: version(name) for name in PACKAGES},
        "runs": {name: asdict(run) | {"cpu": run.cpu()} for name, run in runs.items()},
    }


def _draw(runs: Mapping[str, Result], file: Path, title: str) -> None:
    """Microseconds of CPU time a row, stage by stage."""
    figure = Figure(figsize=(8, 1.2 + 0.6 * len(runs)), layout="constrained")
    axes = figure.subplots()
    for place, run in enumerate(runs.values()):
        left = 0.0
        for stage, spent in run.stages.items():
            width = 1e6 * spent / run.rows
            axes.barh(place, width, left=left, edgecolor="white")
            if width > 0.25:
                axes.text(left + width / 2, place, stage, ha="center", va="center", fontsize=7)
            left += width
    axes.set_yticks(range(len(runs)), list(runs))
    axes.invert_yaxis()
    axes.set_xlabel("µs of CPU time a row")
    axes.set_title(title)
    figure.savefig(file)


if __name__ == "__main__":
    main()
