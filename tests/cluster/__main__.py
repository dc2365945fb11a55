"""`python -m tests.cluster`: a worker is lost in the midst of its work, and every table is that of one machine.

With --move a home of one machine moves to several instead, as docs/scale.md tells it.
"""

import argparse
import datetime as dt
import sys
import tempfile
from pathlib import Path

from tests.cluster.lost_worker import WORKERS, Report, lose_worker
from tests.cluster.move import move_home

FIRST = dt.date(2026, 9, 1)


def main() -> int:
    """Lose a worker of each kind of cluster, or move a home; the number of tables that differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=sorted(WORKERS), action="append")
    parser.add_argument("--plants", type=int, default=200)
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--runs", type=int, default=6)
    parser.add_argument("--work", type=Path, help="keep what was made in this folder")
    parser.add_argument("--move", action="store_true", help="move a home, half of the days before")
    options = parser.parse_args()
    different = 0
    for kind in ["move"] if options.move else options.kind or sorted(WORKERS):
        with tempfile.TemporaryDirectory(prefix="sunledger-cluster-") as name:
            folder = (options.work / kind).resolve() if options.work else Path(name)
            folder.mkdir(parents=True, exist_ok=True)
            report = _run(folder, kind, options)
        compared = (
            f"{report.tables} tables compared with those of one machine, {len(report.differences)} differ"
        )
        sys.stdout.write("\n  ".join([f"{kind}:", *report.lines, compared, *report.differences]) + "\n")
        different += len(report.differences)
    return different


def _run(folder: Path, kind: str, options: argparse.Namespace) -> Report:
    if kind == "move":
        before = options.days // 2
        return move_home(folder, options.plants, FIRST, before, options.days - before)
    return lose_worker(folder, kind, options.plants, FIRST, options.days, options.runs)


if __name__ == "__main__":
    raise SystemExit(min(main(), 1))
