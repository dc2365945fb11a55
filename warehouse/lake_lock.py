"""Lets writers of the lake run together and a repair run alone, so that uncommitted files do not count as orphans.

A lock of the system on a file of the lake, which ends with its process. A lake on an object store has none.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.common.file_locks import free_lock
from pipeline.common.lock_waits import LockWait

FILE = ".repair.lock"
# A repair reads the whole lake, and a writer holds the lock for a part. A longer wait means that a process hangs.
WAIT_S = 600.0


@contextmanager
def take_write_turn(root: str, tell: Callable[[str], None]) -> Iterator[None]:
    """Be one of the writers. `tell` gets who repairs the lake while this waits. Raises LockBusyError at last."""
    with _turn(root, fcntl.LOCK_SH, "Nothing can be written to the lake while it is repaired", tell):
        yield


@contextmanager
def take_repair_turn(root: str, tell: Callable[[str], None]) -> Iterator[None]:
    """Be alone. `tell` gets who writes to the lake while this waits. Raises LockBusyError at last."""
    with _turn(root, fcntl.LOCK_EX, "The lake can't be repaired while other processes write to it", tell):
        yield


@contextmanager
def _turn(root: str, kind: int, why: str, tell: Callable[[str], None]) -> Iterator[None]:
    if "://" in root:
        yield
        return
    Path(root).mkdir(parents=True, exist_ok=True)
    path = Path(root) / FILE
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        wait = LockWait(path, why, WAIT_S, tell)
        while not _take_lock(file, kind):
            wait.go_on()
        try:
            yield
        finally:
            # A child that was started in the meantime has a copy of the descriptor until its exec has finished.
            free_lock(file)
    finally:
        os.close(file)


def _take_lock(file: int, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
