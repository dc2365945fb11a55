"""The days that a run works on, in a file while it does: what a dead run leaves there is completed by the next one.

A day has many tables. A kill between two of them leaves each whole, but some of them old, or not there at all, and
nothing in the lake says so.
"""

import datetime as dt
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from pipeline.common.files.owned_files import create_owned, take_over
from pipeline.common.files.regular_files import list_regular_files

SUFFIX = ".days"


def find_unfinished(home: Path) -> Path:
    """The folder of such files in a home."""
    return home / "unfinished"


def has_unfinished_days(home: Path) -> bool:
    """Whether a run of that home works on days, or has left some unfinished."""
    return bool(list_regular_files(find_unfinished(home), SUFFIX))


@contextmanager
def record_days(folder: Path, days: Iterable[dt.date]) -> Iterator[None]:
    """Keep the days in a file until the block is done. A block that fails leaves them there, and so does a kill."""
    file, path = _create(folder, days)
    try:
        yield
        path.unlink()
    finally:
        os.close(file)


@contextmanager
def take_over_days(folder: Path) -> Iterator[set[dt.date]]:
    """The days that dead runs left. During the block nobody else takes them over; after it they are forgotten.

    A block that fails leaves them in one file, so that there are not more of these with each run.
    """
    with ExitStack() as held:
        mine = [path for path in list_regular_files(folder, SUFFIX) if held.enter_context(take_over(path))]
        days = {day for path in mine for day in _read(path)}
        try:
            yield days
        except BaseException:
            if len(mine) > 1:
                # Where the disk has no room for one file, the several files stay as they are.
                with suppress(OSError):
                    file, _ = _create(folder, days)
                    os.close(file)
                    _remove(mine)
            raise
        _remove(mine)


def _create(folder: Path, days: Iterable[dt.date]) -> tuple[int, Path]:
    return create_owned(folder, SUFFIX, "".join(f"{day}\n" for day in sorted(days)).encode())


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink()


def _read(path: Path) -> Iterator[dt.date]:
    """The days of a file; a line that a crash of the machine truncated names none."""
    for line in path.read_text(errors="replace").splitlines():
        with suppress(ValueError):
            yield dt.date.fromisoformat(line)
