"""Writers of the lake beside each other, and a repair alone: a file of a writer that is in no commit yet is no orphan.

A lock of the system on a file of the lake, which ends with its process. A lake on an object store has none.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.common.errors import SunledgerError

FILE = ".repair.lock"
# A repair reads the whole lake, a writer holds its turn for a part: who waits this long waits for one that hangs.
WAIT_S = 600.0
POLL_S = 0.05


@contextmanager
def take_write_turn(root: str) -> Iterator[None]:
    """Be one of the writers. Raises SunledgerError while a repair goes on and on."""
    with _turn(root, fcntl.LOCK_SH, "'sunledger repair' has been mending it"):
        yield


@contextmanager
def take_repair_turn(root: str) -> Iterator[None]:
    """Be alone. Raises SunledgerError while others write on and on."""
    with _turn(root, fcntl.LOCK_EX, "other runs have been writing to it"):
        yield


@contextmanager
def _turn(root: str, kind: int, why: str) -> Iterator[None]:
    if "://" in root:
        yield
        return
    Path(root).mkdir(parents=True, exist_ok=True)
    file = os.open(f"{root}/{FILE}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        deadline = time.monotonic() + WAIT_S
        while not _take_lock(file, kind):
            if time.monotonic() > deadline:
                raise SunledgerError(
                    f"The lake {root} can't be written: {why} for {WAIT_S:g} s. Run this again when that is done."
                )
            time.sleep(POLL_S)
        yield
    finally:
        os.close(file)


def _take_lock(file: int, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
