"""Replaces a file or folder of results completely or not at all."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.common.atomic_files import name_in_faults, reserve_beside, sync_folder
from pipeline.common.errors import UsageError


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
    """A new empty folder beside `folder`, which takes its place at the end; after a failure the old one stays."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with reserve_beside(folder) as new:
        new.mkdir()
        with name_in_faults(folder):
            yield new
        _swap(new, folder)


def _swap(new: Path, folder: Path) -> None:
    old = new.with_suffix(".old")
    if folder.exists():
        folder.rename(old)
    try:
        new.rename(folder)
    except OSError:
        if old.exists():
            old.rename(folder)
        raise
    sync_folder(folder.parent)
    shutil.rmtree(old, ignore_errors=True)
