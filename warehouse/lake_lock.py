"""Lets writers of the lake run together and a repair run alone, so that uncommitted files do not count as orphans.

A lock of the system on a file of the lake, which ends with its process. A lake on an object store has none.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.common.files.lock_waits import LockWait, hold_awaited_lock

FILE = ".repair.lock"
# A repair reads the whole lake, and a writer holds the lock for a part. A longer wait means that a process hangs.
WAIT_S = 600.0


@contextmanager
def take_write_turn(root: str, tell: Callable[[str], None]) -> Iterator[None]:
    """Be one of the writers. `tell` gets who repairs the lake while this waits. Raises LockBusyError at last."""
    with _turn(root, "Nothing can be written to the lake while it is repaired", tell, shared=True):
        yield


@contextmanager
def take_repair_turn(root: str, tell: Callable[[str], None]) -> Iterator[None]:
    """Be alone. `tell` gets who writes to the lake while this waits. Raises LockBusyError at last."""
    with _turn(root, "The lake can't be repaired while other processes write to it", tell, shared=False):
        yield


@contextmanager
def _turn(root: str, why: str, tell: Callable[[str], None], *, shared: bool) -> Iterator[None]:
    if "://" in root:
        yield
        return
    Path(root).mkdir(parents=True, exist_ok=True)
    wait = LockWait(Path(root) / FILE, why, WAIT_S, tell)
    with hold_awaited_lock(wait, 0o640, shared=shared):
        yield
