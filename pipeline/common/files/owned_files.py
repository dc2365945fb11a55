"""Files that belong to a living process: another one may take them over only once their owner is gone."""

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.common.files.file_locks import take_lock


def create_owned(folder: Path, suffix: str, content: bytes = b"") -> tuple[int, Path]:
    """A new file with a name of its own, locked until its descriptor is closed: the descriptor and the path.

    The descriptor appends. The folder is made where there is none. Raises OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # Locked under a name that nobody looks for, so that nobody takes it for the file of a dead process.
    new = folder / f"{uuid.uuid4().hex}.new"
    file = os.open(new, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        # It is new and has no name that others know, so nobody else can have it.
        take_lock(file)
        write_whole(file, content)
        os.fsync(file)
        return file, new.rename(new.with_suffix(suffix))
    except BaseException:
        os.close(file)
        new.unlink(missing_ok=True)
        raise


def write_whole(file: int, content: bytes) -> None:
    """Append the content whole or not at all: a line that ends in the middle would spoil the next. Raises OSError."""
    written = os.write(file, content)
    if written < len(content):
        os.ftruncate(file, os.fstat(file).st_size - written)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextmanager
def take_over(path: Path) -> Iterator[bool]:
    """Whether the owner of the file is gone and nobody else takes it over; nobody can while the block lasts."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        yield False
        return
    try:
        # Another process may have taken it over and removed it between the two.
        yield take_lock(file) and os.fstat(file).st_nlink > 0
    finally:
        os.close(file)
