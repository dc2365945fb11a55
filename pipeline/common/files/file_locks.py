"""Locks between processes that end with their holder, however that ends: the system's own, on an open file.

docs/decisions/0010-locks-and-atomic-files.md says why not all of them are filelock's.
"""

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from pipeline.common.slow_stores import watch_lock

POLL_S = 0.05
# What disks say that lock no files, as some over a network, each in its own way.
_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP})


def take_lock(descriptor: int, *, shared: bool = False) -> bool:
    """Lock the open file unless somebody else has; whether it is ours. It ends with the last copy of the descriptor.

    Those that take it `shared` have it together. Raises OSError, with ENOLCK and the file where its disk locks none.
    """
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        with name_missing_locks(lambda: _find_path(descriptor)):
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def name_missing_locks(find_path: Callable[[], str | None]) -> Iterator[None]:
    """Raise OSError, with ENOLCK and that file, for each way in which a disk says that it locks none."""
    try:
        yield
    except OSError as fault:
        if fault.errno in _NO_LOCKS:
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK), find_path()) from fault
        raise


def _find_path(descriptor: int) -> str | None:
    with suppress(OSError):
        return str(Path(f"/proc/self/fd/{descriptor}").readlink())
    return None


def free_lock(descriptor: int) -> None:
    """Let others have the lock; the file stays open."""
    fcntl.flock(descriptor, fcntl.LOCK_UN)


def open_lock(path: Path, mode: int = 0o600) -> int:
    """A descriptor of the lock file, which stays there for good: removed, it would let two in. Raises OSError."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, mode)


@contextmanager
def hold_descriptor(descriptor: int, wait: Callable[[], None], *, shared: bool = False) -> Iterator[None]:
    """Hold the lock of the open file, alone or together with others that share it, and close the file at the end.

    `wait` is called each time that somebody else has the lock: it waits, or raises when that has taken too long.
    """
    try:
        while not take_lock(descriptor, shared=shared):
            wait()
        try:
            yield
        finally:
            # A child that was started in the meantime has a copy of the descriptor until its exec is through.
            free_lock(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def hold_lock(descriptor: int, wait_s: float, busy: Callable[[], Exception], place: Path) -> Iterator[None]:
    """Be the only process and thread inside, and close the descriptor of the file `place` at the end.

    A wait of seconds is announced. Raises what `busy` makes when it stays locked for so long.
    """
    deadline, waiting, waits = time.monotonic() + wait_s, ExitStack(), 0

    def wait() -> None:
        nonlocal waits
        if time.monotonic() >= deadline:
            raise busy()
        if not waits:
            waiting.enter_context(watch_lock(f"lock {place}", f"it is waited for {wait_s:.0f} s at most"))
        waits += 1
        time.sleep(POLL_S)

    with waiting, hold_descriptor(descriptor, wait):
        waiting.close()
        yield
