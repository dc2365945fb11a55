"""The days that a run works on, in a file while it does: what a dead run leaves there is completed by the next one.

A day has many tables. A kill between two of them leaves each whole, but some of them old, or not there at all, and
nothing in the lake says so.
"""

import datetime as dt
import fcntl
import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

SUFFIX = ".days"


@contextmanager
def record_days(folder: Path, days: Iterable[dt.date]) -> Iterator[None]:
    """Keep the days in a file until the block is done. A block that fails leaves them there, and so does a kill."""
    folder.mkdir(parents=True, exist_ok=True)
    # Locked under a name that nobody looks for, so that nobody takes it for the file of a dead run.
    new = folder / f"{uuid.uuid4().hex}.new"
    file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        os.write(file, "".join(f"{day}\n" for day in sorted(days)).encode())
        os.fsync(file)
        path = new.rename(new.with_suffix(SUFFIX))
        yield
        path.unlink()
    finally:
        os.close(file)


@contextmanager
def take_over_days(folder: Path) -> Iterator[set[dt.date]]:
    """The days that dead runs left. During the block nobody else takes them over; after it they are forgotten."""
    with ExitStack() as held:
        mine = [path for path in sorted(folder.glob(f"*{SUFFIX}")) if held.enter_context(_alone(path))]
        yield {day for path in mine for day in _read(path)}
        for path in mine:
            path.unlink()


@contextmanager
def _alone(path: Path) -> Iterator[bool]:
    """Whether the run of this file is dead, and nobody else takes it over; nobody can while the block lasts."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        yield False
        return
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        # Another run may have completed and removed it between the two.
        yield os.fstat(file).st_nlink > 0
    finally:
        os.close(file)


def _read(path: Path) -> Iterator[dt.date]:
    """The days of a file; a line that a crash of the machine cut short names none."""
    for line in path.read_text(errors="replace").splitlines():
        with suppress(ValueError):
            yield dt.date.fromisoformat(line)
