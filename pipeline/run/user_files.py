"""Files of the user that settings name: each is read once while it stays the same, and refused with what to do."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pipeline.common.errors import ConfigurationError

T = TypeVar("T")


def read_unchanged(setting: str, path: Path, formats: str, read: Callable[[Path, int, int], T]) -> T:
    """What `read` makes of the file; it gets its time of change and its size too, so that a cache can tell it apart.

    Raises ConfigurationError for a file that can't be looked at. `formats` names what it may be.
    """
    try:
        seen = path.stat()
    except OSError as fault:
        raise build_file_error(
            setting, path, f"it can't be read ({fault.strerror})", f"give the path of a {formats} file"
        ) from fault
    return read(path, seen.st_mtime_ns, seen.st_size)


def build_file_error(setting: str, path: Path, what: str, cure: str) -> ConfigurationError:
    """The error of a file that can't be used: what is wrong with it, and what to do, as clauses."""
    return ConfigurationError(f"{setting}={path} can't be used: {what}. To correct it, {cure}.")
