"""One process at a time sets up Dagster's home, or tidies it: Dagster's set-up of databases is not made for two.

Two processes that open a new home at once would both run the migrations of its databases, and leave some with two
versions, which no later start can read.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.common.errors import SunledgerError
from pipeline.common.files.file_locks import name_missing_locks, open_lock, take_lock
from pipeline.common.files.lock_waits import find_holders
from pipeline.common.slow_stores import watch_lock

LOCK_FILE, DAEMON_LOCK = "start.lock", "daemon.lock"
# Setting up a new home takes 2 s; a slow disk takes longer, but whoever has it for so long makes no progress.
PATIENCE_S = 90.0


class StartLockedError(SunledgerError):
    """Somebody else is setting up or tidying the home for too long, or runs its daemon."""


@contextmanager
def start_lock(dagster_home: Path) -> Iterator[None]:
    """Hold the lock of that folder; a thread that has it already goes on at once. Raises StartLockedError."""
    file = dagster_home / LOCK_FILE
    lock = FileLock(file, timeout=PATIENCE_S, is_singleton=True)
    try:
        _acquire(lock, file)
    except Timeout:
        raise StartLockedError(
            f"Another process has held {file} for more than {PATIENCE_S:.0f} s and makes no progress: find it with "
            "'sunledger doctor', resume or end it, then run this again."
        ) from None
    try:
        yield
    finally:
        lock.release()


def _acquire(lock: FileLock, file: Path) -> None:
    """Wait for the lock, and say so when it takes seconds. Raises Timeout, and OSError where no file can be locked."""
    with name_missing_locks(lambda: str(file)):
        try:
            lock.acquire(timeout=0)
        except Timeout:
            with watch_lock(f"lock {file}", f"it is waited for {PATIENCE_S:.0f} s at most"):
                lock.acquire()


@contextmanager
def hold_daemon_lock(dagster_home: Path) -> Iterator[None]:
    """Be the only process that runs Dagster's daemon of that folder. Raises StartLockedError.

    Dagster begins a second daemon and has both log errors of each other every half a minute.
    """
    file = dagster_home / DAEMON_LOCK
    descriptor = open_lock(file)
    try:
        is_ours = True
        # Where files can't be locked, nobody can be kept out.
        with suppress(OSError):
            is_ours = take_lock(descriptor)
        if not is_ours:
            holders = " and ".join(map(str, find_holders(file))) or "another process"
            raise StartLockedError(
                f"Dagster's daemon of this home is running already, started by {holders}: use the page that was "
                "started with it, end that process first, or start a page alone with 'sunledger ui --part web'."
            )
        yield
    finally:
        os.close(descriptor)
