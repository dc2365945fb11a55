"""Files of the user that settings name: each is read once while it stays the same, and refused with what to do."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import TypeVar

import polars as pl

from pipeline.common.files.user_text import build_file_error, check_user_file

T = TypeVar("T")


def read_unchanged(setting: str, path: Path, formats: str, read: Callable[[Path, int, int], T]) -> T:
    """What `read` makes of the file; it gets its time of change and its size too, so that a cache can tell it apart.

    Raises ConfigurationError for a file that can't be looked at. `formats` names what it may be.
    """
    return read(path, *check_user_file(setting, path, formats))


def write_decimal_points(found: pl.DataFrame, separator: str, names: Collection[str]) -> pl.DataFrame:
    """The table with points in the place of decimal commas, which only stand where commas separate no columns."""
    texts = [name for name in names if found.schema.get(name) == pl.String and separator != ","]
    return found.with_columns(pl.col(texts).str.replace(",", ".", literal=True)) if texts else found


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
