"""One process at a time sets up Dagster's home, or tidies it: Dagster's set-up of databases is not made for two.

Two processes that open a new home at once would both run the migrations of its databases, and leave some with two
versions, which no later start can read.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.common.errors import SunledgerError

LOCK_FILE = "start.lock"
# Setting up a new home takes 2 s; a slow disk takes longer, but whoever has it for so long makes no progress.
PATIENCE_S = 90.0


class StartLockedError(SunledgerError):
    """Somebody else is setting up or tidying the home for too long."""


@contextmanager
def start_lock(dagster_home: Path) -> Iterator[None]:
    """Hold the lock of that folder; a thread that has it already goes on at once. Raises StartLockedError."""
    file = dagster_home / LOCK_FILE
    lock = FileLock(file, timeout=PATIENCE_S, is_singleton=True)
    try:
        lock.acquire()
    except Timeout:
        raise StartLockedError(
            f"Another process has held {file} for more than {PATIENCE_S:.0f} s and makes no progress: find it with "
            "'sunledger doctor', resume or end it, then run this again."
        ) from None
    try:
        yield
    finally:
        lock.release()
