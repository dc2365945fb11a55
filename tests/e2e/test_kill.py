"""A run that is killed at any moment leaves each day of each table either old or new."""

import subprocess
import sys
import time
from pathlib import Path

import duckdb
import polars as pl
import pytest

from schemas import DeviceEnergyDaily, EnergyBalanceIntervals, EnergyDaily, PvIntervals, Table, storage
from tests.programs import PATIENCE_S
from tests.samples import take_samples
from warehouse.lake import Lake

ROOT = Path(__file__).parent.parent.parent
TABLES: list[type[Table]] = [EnergyBalanceIntervals, PvIntervals, EnergyDaily, DeviceEnergyDaily]
ROWS = {EnergyBalanceIntervals: 576, PvIntervals: 576, EnergyDaily: 2, DeviceEnergyDaily: 2}
KILLS = 6
QUERY = """
SELECT count(*), count(DISTINCT pv_generation_w), min(pv_generation_w) FROM read_parquet(?) GROUP BY filename
"""


def run_and_kill(home: Path, first: int, after_s: float) -> int:
    """Let the rewriter work for `after_s` once it has begun, kill it, and say which watts it was at."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.e2e.rewriter", str(home), str(first)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        process.stdout.readline()
        time.sleep(after_s)
        process.kill()
        lines = process.stdout.read().split()
    return int(lines[-1]) if lines else first


def kwh_by_day(lake: Lake, model: type[Table]) -> dict[str, tuple[int, set[float]]]:
    """Rows and distinct values of each stored day."""
    column = "pv_generation_w" if storage(model).table.endswith("intervals") else "pv_generation_kwh"
    found = lake.scan(model).group_by("local_date").agg(pl.len(), pl.col(column).round(6).unique()).collect()
    return {str(day): (rows, set(values)) for day, rows, values in found.rows()}


@pytest.mark.parametrize("kill", take_samples(3, range(KILLS)))
def test_a_killed_run_leaves_each_day_old_or_new(tmp_path: Path, kill: int) -> None:
    home = tmp_path / "home"
    # The moments spread over the rewriting of two days; the first pass alone also meets half a warehouse.
    reached = run_and_kill(home, 100, 0.05 + 0.27 * kill)
    lake = Lake(str(home / "lake"), home / "tmp")
    for model in TABLES:
        for rows, values in kwh_by_day(lake, model).values():
            assert rows == ROWS[model]
            assert len(values) == 1
    again = run_and_kill(home, reached + 1, 0.0)
    assert again >= reached + 1


@pytest.mark.long
def test_a_reader_of_the_published_list_of_files_never_sees_a_mixture(tmp_path: Path) -> None:
    """DuckDB reads the active files of snapshots while a process replaces the days without pause."""
    home = tmp_path / "home"
    lake = Lake(str(home / "lake"), home / "tmp")
    with subprocess.Popen(
        [sys.executable, "-m", "tests.e2e.rewriter", str(home), "100"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        while process.stdout.readline().strip() not in {"102", ""}:
            pass
        seen: set[float] = set()
        # Six states of a day, however fast this machine makes them; a reader that sees none of it would hang here.
        deadline = time.monotonic() + PATIENCE_S
        while len(seen) < 6 and time.monotonic() < deadline:
            files = list(lake.take_snapshot(EnergyBalanceIntervals).files)
            for rows, values, watts in duckdb.execute(QUERY, [files]).fetchall():
                assert (rows, values) == (576, 1)
                seen.add(watts)
            # Several looks at each state, and the processor for who makes it.
            time.sleep(0.02)
        process.kill()
    assert len(seen) >= 6
