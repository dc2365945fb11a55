"""Files of the user that settings name: each is read once while it stays the same, and refused with what to do."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import polars as pl

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


def read_text(setting: str, path: Path) -> str:
    """The text of a file in UTF-8, with or without a byte order mark. Raises ConfigurationError."""
    try:
        return path.read_text("utf-8-sig")
    except OSError as fault:
        raise build_file_error(
            setting, path, f"it can't be read ({fault.strerror})", "give this user permission to read it"
        ) from fault
    except UnicodeDecodeError as fault:
        raise build_file_error(setting, path, "it is not UTF-8 text", "save it as UTF-8") from fault


def find_separator(text: str) -> str:
    """What stands between the columns of a CSV file, by its header: a semicolon as in German Excel, or a comma."""
    head = text.partition("\n")[0]
    return ";" if ";" in head and "," not in head else ","


def refuse_rows(setting: str, path: Path, broken: pl.DataFrame, what: str, cure: str) -> None:
    """Raise ConfigurationError that names the first of these rows by its `row` and `plant_id`, where there is one."""
    if broken.height:
        row, plant = broken.select("row", "plant_id").row(0)
        raise build_file_error(
            setting,
            path,
            f"of row {row} (plant {plant or '?'}) {what}; {broken.height:,} rows have this problem",
            cure,
        )


def build_file_error(setting: str, path: Path, what: str, cure: str) -> ConfigurationError:
    """The error of a file that can't be used: what is wrong with it, and what to do, as clauses."""
    return ConfigurationError(f"{setting}={path} can't be used: {what}. To correct it, {cure}.")
