"""A file that is there as it was or as it will be, whatever is killed, and durable once it is in its place."""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# What a file system says that cannot sync at all, as some over a network: the rename itself happens all the same.
_NO_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.ENOSYS})


@contextmanager
def replace_file(target: Path, mode: int | None = None) -> Iterator[Path]:
    """A hidden name beside `target` for the new content, which takes its place at the end of the block.

    With a mode the file is made with it at once, so that nobody else ever reads it. Without one the block makes it, and
    who may read it stays as it was. After any failure the old file stays and the new one is removed. Raises OSError.
    """
    new = target.with_name(f".{target.name}.{secrets.token_hex(4)}.new")
    try:
        if mode is not None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            os.close(os.open(new, flags, mode))
        yield new
        if mode is None:
            with suppress(FileNotFoundError):
                new.chmod(target.stat().st_mode & 0o777)
        put_in_place(new, target)
    finally:
        new.unlink(missing_ok=True)


def write_file(target: Path, content: bytes, mode: int | None = None) -> None:
    """Replace the file by `content`, durably. Raises OSError; then the old content is still there."""
    with replace_file(target, mode) as new:
        new.write_bytes(content)


def put_in_place(new: Path, target: Path) -> None:
    """Make the closed file `new` durable and put it in the place of `target`, in the same folder. Raises OSError."""
    sync_file(new)
    new.replace(target)
    sync_folder(target.parent)


def sync_file(file: Path) -> None:
    """Make the content of a closed file durable: a name can outlive a power cut without it. Raises OSError."""
    with file.open("rb") as handle:
        _sync(handle.fileno())


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        # The names have changed already: what can't be synced now is no reason to say that they have not.
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as fault:
        if fault.errno not in _NO_SYNC:
            raise
