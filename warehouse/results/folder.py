"""Replaces a file or folder of results completely or not at all."""

import ctypes
import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.common.errors import UsageError
from pipeline.common.files.atomic_files import name_in_faults, reserve_beside, sync_file, sync_folder

# Of Linux's renameat2: names are of the working directory or whole, and both are there before and after.
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
# What a system or file system says that can't exchange two names.
_NO_EXCHANGE = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP})


def resolve_place(file: Path) -> Path:
    """The path at which `file` is to be replaced, which for a link is its target.

    Raises UsageError for a folder, a device, a pipe, and a place in a folder that is not there.
    """
    if file.exists() and not file.is_file():
        problem = "is a folder" if file.is_dir() else "is a device or a pipe, which can't be replaced"
    elif not file.absolute().parent.is_dir():
        problem = "is in a folder that does not exist"
    else:
        return file.resolve()
    raise UsageError(f"{file} {problem}: name a file in an existing folder.")


@contextmanager
def replace_folder(folder: Path) -> Iterator[Path]:
    """A new empty folder beside `folder`, which takes its place at the end; after a failure the old one stays.

    The files of the new one, which has no folders in it, are durable before.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    _bring_back(folder)
    with reserve_beside(folder) as new:
        new.mkdir()
        with name_in_faults(folder):
            yield new
            for file in new.iterdir():
                sync_file(file)
            sync_folder(new)
            _swap(new, folder)
        sync_folder(folder.parent)


def _swap(new: Path, folder: Path) -> None:
    """Put the new folder in the place of the other one, which has a name beside it until it is removed."""
    if _exchange(new, folder):
        return
    old = new.with_suffix(".old")
    with suppress(FileNotFoundError):
        folder.rename(old)
    try:
        new.rename(folder)
    except OSError:
        if old.exists():
            old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _exchange(new: Path, folder: Path) -> bool:
    """Exchange the two names in one step, as Linux can; False where the folder is not there, or the system can't."""
    try:
        exchange = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    names = os.fsencode(new), os.fsencode(folder)
    if exchange(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0:
        return True
    fault = ctypes.get_errno()
    if fault == errno.ENOENT or fault in _NO_EXCHANGE:
        return False
    raise OSError(fault, os.strerror(fault), str(folder))


def _bring_back(folder: Path) -> None:
    """Where names can't be exchanged, a process that was killed between two renames left the folder without a name."""
    if folder.exists():
        return
    pattern = re.compile(rf"\.{re.escape(folder.name)}\.[0-9a-f]{{8}}\.old")
    left = [path for path in folder.parent.iterdir() if pattern.fullmatch(path.name)]
    for path in left[:1]:
        # Another process may have done it meanwhile.
        with suppress(OSError):
            path.rename(folder)
