"""A folder of results that is there whole or as it was."""

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """A new empty folder beside `folder`, which takes its place at the end; after a failure the old one stays."""
    new = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.new")
    new.mkdir(parents=True)
    try:
        yield new
        _swap(new, folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _swap(new: Path, folder: Path) -> None:
    old = new.with_suffix(".old")
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
