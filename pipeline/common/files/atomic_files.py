"""A file that is there as it was or as it will be, whatever is killed, and durable once it is in its place."""

import errno
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.common.files.file_locks import take_lock

# The end of the name of the file that a process holds locked while names beside a target are its own.
_HELD = ".held"
# What a file system says that cannot sync at all, as some over a network: the rename itself happens all the same.
_NO_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.ENOSYS})


# A hidden name of ours, with what libraries append to it for files of their own.
_HIDDEN = re.compile(r"\.(.+)\.[0-9a-f]{8}\.(?:new|held)\b[^/]*")


def name_target(path: str) -> str:
    """The path that a hidden name of `reserve_beside` stands for; any other path as it is."""
    folder, slash, name = path.rpartition("/")
    hidden = _HIDDEN.fullmatch(name)
    return f"{folder}{slash}{hidden[1]}" if hidden else path


@contextmanager
def replace_file(target: Path, mode: int | None = None) -> Iterator[Path]:
    """A hidden name beside `target` for the new content, which takes its place at the end of the block.

    With a mode the file is made with it at once, so that nobody else ever reads it. Without one the block makes it, and
    who may read it stays as it was. After any failure the old file stays and the new one is removed. Raises OSError.
    """
    with reserve_beside(target) as new:
        if mode is not None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            os.close(os.open(new, flags, mode))
        yield new
        if mode is None:
            with suppress(FileNotFoundError):
                new.chmod(target.stat().st_mode & 0o777)
        put_in_place(new, target)


@contextmanager
def reserve_beside(target: Path) -> Iterator[Path]:
    """A hidden name beside `target`, which ends with `.new`; what has this name at the end is removed.

    So is what processes that were killed have left of such names: a backup that nobody finished is as large as a whole
    one, and holds its secrets. Each process locks a file of its own beside its names, so that others know it is alive.
    """
    descriptor, key = _reserve_key(target)
    if descriptor is not None:
        # Where files can't be locked, nobody knows whose the others are.
        _remove_left(target)
    try:
        yield target.with_name(f"{key}.new")
    finally:
        _remove_beside(target.parent, key)
        if descriptor is not None:
            os.close(descriptor)


def _reserve_key(target: Path) -> tuple[int | None, str]:
    """The beginning of names that are this process's own, and the locked file that says so; None without locks."""
    while True:
        key = f".{target.name}.{secrets.token_hex(4)}"
        descriptor = None
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(target.with_name(f"{key}{_HELD}"), flags, 0o600)
            # Another process may have taken it for one of a dead process, before it was locked.
            if take_lock(descriptor) and os.fstat(descriptor).st_nlink:
                return descriptor, key
        except OSError:
            if descriptor is not None:
                os.close(descriptor)
            return None, key
        os.close(descriptor)


def _remove_left(target: Path) -> None:
    pattern = re.compile(rf"(\.{re.escape(target.name)}\.[0-9a-f]{{8}})\.(new|old|held)")
    with suppress(OSError), os.scandir(target.parent) as entries:
        keys = {found[1] for entry in entries if (found := pattern.match(entry.name))}
        for key in keys:
            _remove_if_dead(target.parent, key)


def _remove_if_dead(folder: Path, key: str) -> None:
    """Remove what has names with that beginning, unless their process lives."""
    descriptor = None
    with suppress(OSError):
        try:
            flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(folder / f"{key}{_HELD}", flags)
        except FileNotFoundError:
            # Of a version that kept no such file, or removed in the middle.
            _remove_beside(folder, key)
            return
        try:
            if take_lock(descriptor):
                _remove_beside(folder, key)
        finally:
            os.close(descriptor)


def _remove_beside(folder: Path, key: str) -> None:
    """Remove all names with that beginning, that of the lock last."""
    with suppress(OSError), os.scandir(folder) as entries:
        ours = tuple(f"{key}.{end}" for end in ("new", "old", "held"))
        mine = [Path(entry.path) for entry in entries if entry.name.startswith(ours)]
        for path in sorted(mine, key=lambda path: path.name.endswith(_HELD)):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def write_file(target: Path, content: bytes, mode: int | None = None) -> None:
    """Replace the file by `content`, durably. Raises OSError; then the old content is still there."""
    with replace_file(target, mode) as new, name_in_faults(target):
        new.write_bytes(content)


def put_in_place(new: Path, target: Path) -> None:
    """Make the closed file `new` durable and put it in the place of `target`, in the same folder. Raises OSError."""
    with name_in_faults(target):
        sync_file(new)
        new.replace(target)
    sync_folder(target.parent)


@contextmanager
def name_in_faults(target: Path | str) -> Iterator[None]:
    """Give an OSError of the block that names no file this one: the system names none that is open already.

    A home may lie on several disks, and a person has to know which one is meant.
    """
    try:
        yield
    except OSError as fault:
        fault.filename = fault.filename or str(target)
        raise


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
