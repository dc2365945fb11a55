"""`python -m tests.cluster [PART ...]`: several machines at work, and every table is that of one machine.

Without a part all of them are done, each by itself; --short does those of `.ci/run` in its size.
"""

import argparse
import datetime as dt
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.budget import spend_budget
from tests.cluster.ceph import serve_ceph
from tests.cluster.lost_worker import Report, lose_worker
from tests.cluster.move import move_home
from tests.cluster.stage import serve_store
from tests.cluster.writers import begin_at_once, race_writers

FIRST = dt.date(2026, 9, 1)
# What a request to an object store in another building takes.
LATENCY_S = 0.05


@dataclass(frozen=True)
class Size:
    """How many plants, days and runs a part has."""

    plants: int
    days: int
    runs: int


SHORT = Size(plants=2, days=3, runs=2)
# `moved` is `move` and `celery` on one set of machines.
SHORT_PARTS = ("moved", "kubernetes", "one-day")


def _list_days(count: int) -> list[dt.date]:
    return [FIRST + dt.timedelta(days=number) for number in range(count)]


PARTS: dict[str, tuple[str, Callable[[Path, Size], Report]]] = {
    "celery": (
        "a Celery worker is killed in the midst of its days",
        lambda folder, size: lose_worker(folder, "celery", size.plants, FIRST, size.days, size.runs),
    ),
    "kubernetes": (
        "a Job of Kubernetes is killed in the midst of its days",
        lambda folder, size: lose_worker(folder, "kubernetes", size.plants, FIRST, size.days, size.runs),
    ),
    "move": (
        "a home moves from one machine to several, as docs/scale.md tells it",
        lambda folder, size: move_home(
            folder, size.plants, FIRST, size.days - size.days // 2, size.days // 2
        ),
    ),
    "moved": (
        "a home moves from one machine to several, and a Celery worker is killed in the midst of its next days",
        lambda folder, size: lose_worker(
            folder, "celery", size.plants, FIRST, size.runs, size.runs, before=size.days - size.days // 2
        ),
    ),
    "one-day": (
        "two machines write one day of a lake at once",
        lambda folder, size: race_writers(folder, size.plants, [FIRST, FIRST], serve_store()),
    ),
    "waiting": (
        "a worker is killed while runs wait in the broker",
        lambda folder, size: lose_worker(
            folder, "celery", size.plants, FIRST, size.days, size.runs, at_once=size.runs
        ),
    ),
    "writers": (
        "eight machines write eight days of a lake, and two a ninth, at once",
        lambda folder, size: race_writers(
            folder, size.plants, [*_list_days(9), _list_days(9)[-1]], LATENCY_S
        ),
    ),
    "ceph": (
        "two machines write one day at once into Ceph's object store",
        lambda folder, size: race_writers(folder, size.plants, [FIRST, FIRST], serve_ceph(folder / "ceph")),
    ),
    "first-runs": (
        "four machines begin at once on an empty PostgreSQL",
        lambda folder, size: begin_at_once(folder, size.plants, _list_days(4)),
    ),
    "budget": (
        "two machines spend one budget of requests for three minutes",
        lambda folder, size: spend_budget(folder, 600, 180.0),
    ),
}


def main() -> int:
    """Do the parts that were asked for; 1 if one of them failed or a table differs."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.cluster",
        description=__doc__,
        epilog="; ".join(f"{name}: {what}" for name, (what, _) in PARTS.items()),
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--plants", type=int, default=12)
    parser.add_argument("--days", type=int, default=8)
    parser.add_argument("--runs", type=int, default=4, help="among which the days are divided")
    parser.add_argument("--work", type=Path, help="keep what was made in this folder")
    parser.add_argument("--short", action="store_true", help=f"{', '.join(SHORT_PARTS)} with few plants")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"There is no part {', '.join(sorted(unknown))}. Choose from {', '.join(PARTS)}.")
    size = SHORT if options.short else Size(options.plants, options.days, options.runs)
    chosen = options.parts or (SHORT_PARTS if options.short else [one for one in PARTS if one != "moved"])
    with tempfile.TemporaryDirectory(prefix="sunledger-cluster-") as temporary:
        # What one machine makes of the days lies there for all parts.
        work = (options.work or Path(temporary)).resolve()
        failed = [name for name in chosen if not _do_part(name, size, work / name)]
    sys.stdout.write(
        f"{len(chosen) - len(failed)} parts are well, {len(failed)} are not {' '.join(failed)}\n"
    )
    return bool(failed)


def _do_part(name: str, size: Size, folder: Path) -> bool:
    """Do a part in its folder and say what was seen; whether it went well."""
    what, do = PARTS[name]
    began = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        report = do(folder, size)
    except AssertionError as fault:
        report = Report(differences=[f"It failed: {fault}"])
    lines = [f"{name}: {what} ({time.monotonic() - began:.0f} s)", *report.lines]
    if report.tables:
        compared = f"{report.tables} tables compared with those of one machine"
        lines.append(f"{compared}, {len(report.differences)} differ")
    sys.stdout.write("\n  ".join([*lines, *report.differences]) + "\n")
    sys.stdout.flush()
    return not report.differences


if __name__ == "__main__":
    raise SystemExit(main())
