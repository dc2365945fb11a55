"""The chain of digests under processes: one that is killed after its commit, and several that write one table."""

import datetime as dt
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from schemas import PvIntervals
from tests.warehouse.pv_rows import DAY, pv
from warehouse.integrity.digest_chain import Chain
from warehouse.lake import Lake
from warehouse.verification.verify import verify_lake

ROOT = Path(__file__).parents[2]
WRITERS, COMMITS = 3, 6
PROGRAM = """
import datetime as dt, os, signal, sys
from pathlib import Path
from schemas import PvIntervals
from tests.warehouse.pv_rows import DAY, pv
from warehouse.integrity import digests
from warehouse.lake import Lake

home, number, commits, killed = Path(sys.argv[1]), *map(int, sys.argv[2:])
lake = Lake(str(home / "lake"), home / "scratch")
print("ready", flush=True)
sys.stdin.readline()
if killed:
    digests.RecordStore.write = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
for step in range(commits):
    day = DAY + dt.timedelta(days=step % 2)
    lake.replace(PvIntervals, {"local_date": day}, [pv(day=day, watts=1000.0 * number + step)])
"""


def start(home: Path, number: int, commits: int, *, killed: bool) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", PROGRAM, str(home), str(number), str(commits), str(int(killed))]
    pipe = subprocess.PIPE
    process = subprocess.Popen(words, cwd=ROOT, stdin=pipe, stdout=pipe, text=True)
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return process


def end(process: subprocess.Popen[str]) -> int:
    process.communicate("go\n")
    return process.returncode


def check(home: Path) -> None:
    lake = Lake(str(home / "lake"), home / "scratch")
    assert [found.fault for found in verify_lake(lake, [PvIntervals]) if found.fault] == []
    assert Chain(lake, PvIntervals).store.list_versions()[-1] == lake.take_snapshot(PvIntervals).version


@pytest.mark.long
def test_a_writer_killed_between_its_commit_and_its_record_costs_nothing(tmp_path: Path) -> None:
    first = Lake(str(tmp_path / "lake"), tmp_path / "scratch")
    for step in range(2):
        day = DAY + dt.timedelta(days=step)
        first.replace(PvIntervals, {"local_date": day}, [pv(day=day, watts=1000.0 + step)])
    for number in (2, 3):
        assert end(start(tmp_path, number, 1, killed=True)) == -signal.SIGKILL
    lake = Lake(str(tmp_path / "lake"), tmp_path / "scratch")
    newest = lake.take_snapshot(PvIntervals).version
    # The second one was killed while it made the record that the first one owed, so before its own commit.
    assert Chain(lake, PvIntervals).store.list_versions()[-1] == newest - 1
    check(tmp_path)


@pytest.mark.long
def test_writers_that_race_for_the_same_days_leave_one_whole_chain(tmp_path: Path) -> None:
    writers = [start(tmp_path, number, COMMITS, killed=False) for number in range(1, WRITERS + 1)]
    for writer in writers:
        assert writer.stdin
        writer.stdin.write("go\n")
        writer.stdin.flush()
    assert [writer.wait() for writer in writers] == [0] * WRITERS
    for writer in writers:
        writer.communicate()
    check(tmp_path)
