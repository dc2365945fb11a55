"""Limits of plants' power that a user gets elsewhere, from a grid operator for instance: read, checked, never repaired.

One file for all plants. A CSV file has a row a limit, a TOML file a table `[[limit]]` a limit. A file that breaks a
rule stops the step with the first row that does: half of the limits would make lost energy look small.
"""

import datetime as dt
import io
import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import polars as pl

from pipeline.common.errors import ConfigurationError
from pipeline.common.files.toml_text import parse_toml
from pipeline.common.files.user_text import build_file_error, read_user_text, split_separator
from pipeline.common.local_time import UTC_US, parse_offset_times
from pipeline.common.settings import Settings, name_variable
from pipeline.run.supplied_files.user_files import read_unchanged, refuse_rows, write_decimal_points
from schemas.base import FINITE
from schemas.curtailment import ASKED_BY, FEED_IN, KINDS, METHODS

SETTING: Final = name_variable("curtailment_limits")
COLUMNS: Final = ("plant_id", "limit_start", "limit_end")
VALUES: Final = ("limit_kw", "limit_percent")
OPTIONAL: Final = ("kind", "asked_by", "method")
LIMITS: Final = pl.Schema(
    {
        "plant_id": pl.String(),
        "limit_start": UTC_US,
        "limit_end": UTC_US,
        "limit_kw": pl.Float64(),
        "limit_percent": pl.Float64(),
        "kind": pl.String(),
        "asked_by": pl.String(),
        "method": pl.String(),
    }
)
# A limit without an end holds until then.
FOREVER: Final = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)
_TABLE: Final = "limit"
_WANTED: Final = (
    "'plant_id, limit_start, limit_end, limit_kw' (or limit_percent), and maybe kind, asked_by, method"
)


def read_supplied_limits(settings: Settings) -> pl.DataFrame:
    """Rows of the user's file (LIMITS), sorted by plant and time; none where no file is set.

    One of `limit_kw` (kW) and `limit_percent` (% of the rated AC power) has a value. Raises ConfigurationError for a
    file that can't be read or breaks a rule.
    """
    path = settings.curtailment_limits
    if path is None:
        return pl.DataFrame(schema=LIMITS)
    return read_unchanged(SETTING, path, "CSV or TOML", _read)


@lru_cache(maxsize=2)
def _read(path: Path, _changed: int, _size: int) -> pl.DataFrame:
    """The file's rows, read once for all months that are made of it while it stays the same."""
    text = read_user_text(SETTING, path)
    found = _parse_toml(path, text) if path.suffix.lower() == ".toml" else _parse_csv(path, text)
    return _build_rows(path, found)


def _parse_csv(path: Path, text: str) -> pl.DataFrame:
    separator, text = split_separator(text)
    try:
        found = pl.read_csv(io.StringIO(text.lstrip("\r\n")), separator=separator, infer_schema=False)
    except (pl.exceptions.PolarsError, OSError) as fault:
        reason = str(fault).partition("\n")[0]
        raise _build_error(path, f"it is not a table ({reason})", f"write a header with {_WANTED}") from fault
    return write_decimal_points(found, separator, VALUES)


def _parse_toml(path: Path, text: str) -> pl.DataFrame:
    form = f"write a table [[{_TABLE}]] with {_WANTED} for each limit"
    try:
        told = parse_toml(text)
    except tomllib.TOMLDecodeError as fault:
        raise _build_error(path, f"it is not TOML ({fault})", form) from fault
    listed = told.get(_TABLE, [])
    if set(told) - {_TABLE} or not isinstance(listed, list) or not all(isinstance(i, dict) for i in listed):
        raise _build_error(path, f"it has something other than tables [[{_TABLE}]]", form)
    rows = [{name: _write_text(value) for name, value in entry.items()} for entry in listed]
    names = dict.fromkeys((*COLUMNS, *(name for row in rows for name in row)), pl.String)
    return pl.DataFrame(rows, schema=names)


def _write_text(value: Any) -> str:
    """A value of TOML as CSV would hold it."""
    return value.isoformat() if isinstance(value, dt.datetime) else str(value)


def _build_rows(path: Path, found: pl.DataFrame) -> pl.DataFrame:
    lacking = [name for name in COLUMNS if name not in found.columns]
    strange = [name for name in found.columns if name not in (*COLUMNS, *VALUES, *OPTIONAL)]
    if lacking or strange or not set(VALUES) & set(found.columns):
        what = (
            f"it lacks {', '.join(lacking)}"
            if lacking
            else f"it has the unknown column {strange[0]!r}"
            if strange
            else "it has neither limit_kw nor limit_percent"
        )
        raise _build_error(path, what, f"write a header with {_WANTED}")
    absent = [pl.lit(None, pl.String).alias(name) for name in LIMITS if name not in found.columns]
    texts = found.with_columns(absent).select(pl.col(LIMITS.names()).str.strip_chars().replace("", None))
    texts = texts.with_row_index("row", 1).with_columns(
        pl.col("kind").str.to_lowercase().fill_null(FEED_IN),
        pl.col("asked_by").str.to_lowercase().fill_null(ASKED_BY[0]),
        pl.col("method").str.to_lowercase(),
    )
    rows = texts.with_columns(
        parse_offset_times(pl.col("limit_start")),
        parse_offset_times(pl.col("limit_end")),
        *(pl.col(name).cast(pl.Float64, strict=False) for name in VALUES),
    )
    _check_rows(path, texts, rows)
    rows = rows.with_columns(pl.col("limit_end").fill_null(pl.lit(FOREVER, UTC_US)))
    _refuse(
        path,
        rows.filter(pl.col("limit_end") <= pl.col("limit_start")),
        "its end is not after its start",
        "write the end of the limit into limit_end",
    )
    ordered = rows.sort("plant_id", "kind", "asked_by", "limit_start")
    same = pl.all_horizontal(pl.col(n) == pl.col(n).shift(1) for n in ("plant_id", "kind", "asked_by"))
    _refuse(
        path,
        ordered.filter(same & (pl.col("limit_start") < pl.col("limit_end").shift(1))),
        "it overlaps another limit of the same plant, kind and asker",
        "end the former limit where the next one supersedes it",
    )
    return ordered.sort("plant_id", "limit_start", "row").select(LIMITS.names())


def _check_rows(path: Path, texts: pl.DataFrame, rows: pl.DataFrame) -> None:
    """Raise ConfigurationError for the first row that breaks a rule. `texts` are the rows as they were written."""
    given = [texts[name].is_not_null() for name in VALUES]
    kw, percent = (pl.col(name) for name in VALUES)
    good_kw = kw.is_between(0, FINITE).fill_null(value=False)
    good_percent = percent.is_between(0, 100).fill_null(value=False)
    for broken, what, cure in (
        (pl.col("plant_id").is_null(), "its plant_id is empty", "name the plant"),
        (
            pl.col("limit_start").is_null()
            | (pl.col("limit_end").is_null() & pl.lit(texts["limit_end"].is_not_null())),
            "its limit_start or limit_end is not a time",
            "write times with their offset, for instance 2026-06-01T10:00:00Z",
        ),
        (
            pl.lit(given[0]) == pl.lit(given[1]),
            "it needs either limit_kw or limit_percent",
            "give one of the two",
        ),
        (
            pl.lit(given[0]) & ~good_kw,
            "its limit_kw is not a number of 0 or more",
            "write it without a unit and with a point, as in 12.5",
        ),
        (
            pl.lit(given[1]) & ~good_percent,
            "its limit_percent is not a number from 0 to 100",
            "write the percentage of the rated AC power",
        ),
        (~pl.col("kind").is_in(KINDS), "its kind is unknown", f"choose from {', '.join(KINDS)}"),
        (
            ~pl.col("asked_by").is_in(ASKED_BY),
            "its asked_by is unknown",
            f"choose from {', '.join(ASKED_BY)}",
        ),
        (
            ~pl.col("method").is_in(METHODS),
            "its method is unknown",
            f"leave it empty, or choose from {', '.join(METHODS)}",
        ),
    ):
        _refuse(path, rows.filter(broken.fill_null(value=False)), what, cure)


def _refuse(path: Path, broken: pl.DataFrame, what: str, cure: str) -> None:
    refuse_rows(SETTING, path, broken.sort("row"), what, cure)


def _build_error(path: Path, what: str, cure: str) -> ConfigurationError:
    return build_file_error(SETTING, path, what, cure)
