"""Writers and a repair keep apart."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pipeline.common.files import file_locks
from pipeline.common.files.lock_waits import LockBusyError
from schemas import EnergyDaily
from tests.programs import PATIENCE_S, start
from tests.warehouse.three_days import DAYS, frame_of, values
from warehouse import lake_lock
from warehouse.lake import Lake
from warehouse.lake_lock import take_repair_turn, take_write_turn


def nobody(_: str) -> None:
    """Is told."""


def test_a_writer_waits_for_the_end_of_a_repair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake, waits, taken = (
        Lake(str(tmp_path / "lake"), tmp_path / "tmp"),
        threading.Event(),
        file_locks.take_lock,
    )

    def seen(descriptor: int, *, shared: bool = False) -> bool:
        had = taken(descriptor, shared=shared)
        if not had:
            waits.set()
        return had

    monkeypatch.setattr(file_locks, "take_lock", seen)
    part, frame = {"local_date": DAYS[0]}, frame_of(EnergyDaily, DAYS[0], 1.0)
    with take_repair_turn(lake.root, nobody):
        writer = threading.Thread(target=lake.replace, args=(EnergyDaily, part, [frame]))
        writer.start()
        assert waits.wait(60)
        assert values(Lake(lake.root, lake.scratch), EnergyDaily) == {}
    writer.join(60)
    assert values(Lake(lake.root, lake.scratch), EnergyDaily) == {DAYS[0]: 1.0}


def test_a_repair_waits_for_writers_which_do_not_wait_for_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lake_lock, "WAIT_S", 0.0)
    root, mine = str(tmp_path), f"process {os.getpid()} .*kill {os.getpid()}"
    writers = take_write_turn(root, nobody), take_write_turn(root, nobody)
    with (
        writers[0],
        writers[1],
        pytest.raises(LockBusyError, match=f"while other processes write to it: {mine}"),
    ):
        take_repair_turn(root, nobody).__enter__()
    with (
        take_repair_turn(root, nobody),
        pytest.raises(LockBusyError, match=f"while it is repaired: {mine}"),
    ):
        take_write_turn(root, nobody).__enter__()


HOLDER = """
import fcntl, os, sys
file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.flock(file, fcntl.LOCK_SH)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.mark.long
def test_the_program_says_whom_a_repair_waits_for_and_goes_on_after_it(tmp_path: Path) -> None:
    lock = tmp_path / "home" / "lake" / lake_lock.FILE
    lock.parent.mkdir(parents=True)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(lock), "sunledger", "backfill"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with start(tmp_path, "repair") as waiting:
            assert waiting.stdout is not None
            said = waiting.stdout.readline()
            holder.communicate()
            rest, _ = waiting.communicate(timeout=PATIENCE_S)
    assert f"process {holder.pid} (sunledger backfill) holds {lock}. Waiting for at most 10 minutes" in said
    assert waiting.returncode == 0, rest
