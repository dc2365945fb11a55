"""Tables of the user's own, beside ours in the published file: read from a folder, checked, in the schema `own`.

Each table is a file `NAME.csv` or `NAME.parquet`, with its columns in `NAME.toml`. A file that does not fit is left out
and told; it stops neither the others nor the publication. Nothing here writes to a table of ours.
"""

import hashlib
import io
import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
import polars as pl

from pipeline.common.errors import ConfigurationError
from pipeline.common.files.toml_text import parse_toml
from pipeline.common.local_time import parse_offset_times
from pipeline.common.settings import name_variable
from pipeline.common.text import pluralize
from warehouse.quoting import quote_identifier, quote_text

SETTING: Final = name_variable("own_tables")
SCHEMA: Final = "own"
TABLE_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")
# What lies in a folder and is no table.
BESIDE: Final = (".md", ".txt")
DATA: Final = (".csv", ".parquet")
TYPES: Final[dict[str, pl.DataType]] = {
    "BOOLEAN": pl.Boolean(),
    "BIGINT": pl.Int64(),
    "DOUBLE": pl.Float64(),
    "DECIMAL(18,2)": pl.Decimal(18, 2),
    "VARCHAR": pl.String(),
    "DATE": pl.Date(),
    "TIMESTAMP": pl.Datetime("us"),
    "TIMESTAMPTZ": pl.Datetime("us", "UTC"),
}
_FORM: Final[dict[str, str]] = {
    "BOOLEAN": "true or false",
    "BIGINT": "a whole number",
    "DOUBLE": "a number with a point, as in 12.5",
    "DECIMAL(18,2)": "a number with at most two digits after the point",
    "VARCHAR": "text",
    "DATE": "a day, as in 2026-06-01",
    "TIMESTAMP": "a time without offset, as in 2026-06-01T10:00:00",
    "TIMESTAMPTZ": "a time with its offset, as in 2026-06-01T10:00:00Z",
}
_TABLE_KEYS: Final = {"description", "key", "columns"}
_COLUMN_KEYS: Final = {"type", "null", "unit", "description"}


class _BadTableError(Exception):
    """Why a table is left out, and what to do, as one sentence."""


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    type: str
    nullable: bool
    comment: str


@dataclass(frozen=True, slots=True)
class _Shape:
    """What the file beside a table says of it."""

    columns: tuple[_Column, ...]
    key: tuple[str, ...]
    comment: str


@dataclass(frozen=True, slots=True)
class OwnTable:
    """A table of the user that fits its description; `frame` has its rows in the order of the key."""

    name: str
    frame: pl.DataFrame
    shape: _Shape


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file of the folder that is not published: its table, and why with what to do."""

    name: str
    reason: str


def check_own_folder(folder: Path | None) -> None:
    """Raise ConfigurationError for a setting that names no folder."""
    if folder is not None and not folder.is_dir():
        raise ConfigurationError(
            f"{SETTING}={folder} is not a folder: name the folder of your tables, or take it out of the settings."
        )


def hash_own_files(folder: Path | None) -> str | None:
    """A digest of all that tables of the user's own are made of; None where something can't be read."""
    found = hashlib.sha256()
    try:
        for path in _list_files(folder) if folder else ():
            found.update(json.dumps([path.name, _digest_content(path)]).encode())
    except OSError:
        return None
    return found.hexdigest()


def read_own_tables(folder: Path | None, taken: frozenset[str]) -> Iterator[OwnTable | LeftOut]:
    """The tables of the folder, one at a time, and what is left out. `taken` are the names of ours, in lower case."""
    if folder is None:
        return
    try:
        kept = _list_files(folder)
    except OSError as fault:
        yield LeftOut(
            str(folder), f"the folder of {SETTING} can't be read ({fault.strerror}): mount it or name another"
        )
        return
    for name in dict.fromkeys(path.stem for path in kept):
        try:
            yield _read_table(name, [path for path in kept if path.stem == name], taken)
        except _BadTableError as fault:
            yield LeftOut(f"{SCHEMA}.{name}", str(fault))
        except pl.exceptions.PolarsError as fault:
            reason = str(fault).partition("\n")[0]
            yield LeftOut(
                f"{SCHEMA}.{name}", f"its columns have other types than {name}.toml says ({reason}): mend one"
            )
        except OSError as fault:
            yield LeftOut(
                f"{SCHEMA}.{name}", f"it can't be read ({fault.strerror}): give this user the right to"
            )


def add_own_table(connection: duckdb.DuckDBPyConnection, table: OwnTable) -> int:
    """Write a table into the file in a transaction of its own, and return its rows. Raises duckdb.Error."""
    place = f"{quote_identifier(SCHEMA)}.{quote_identifier(table.name)}"
    columns = ", ".join(
        f"{quote_identifier(c.name)} {c.type}{'' if c.nullable else ' NOT NULL'}" for c in table.shape.columns
    )
    connection.execute("BEGIN")
    try:
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quote_identifier(SCHEMA)}")
        connection.execute(f"CREATE TABLE {place} ({columns})")
        connection.register("incoming", table.frame.to_arrow(compat_level=pl.CompatLevel.oldest()))
        connection.execute(f"INSERT INTO {place} FROM incoming")
        connection.unregister("incoming")
        connection.execute(f"COMMENT ON TABLE {place} IS {quote_text(table.shape.comment)}")
        for column in table.shape.columns:
            meaning = (
                f"COMMENT ON COLUMN {place}.{quote_identifier(column.name)} IS {quote_text(column.comment)}"
            )
            connection.execute(meaning)
        connection.execute("COMMIT")
    except duckdb.Error:
        connection.execute("ROLLBACK")
        raise
    return table.frame.height


def _list_files(folder: Path) -> list[Path]:
    """What should be tables and their descriptions, by name. Raises OSError."""
    found = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    return [path for path in found if path.suffix.lower() not in BESIDE]


def _digest_content(path: Path) -> str:
    """A digest of the file, read piece by piece; empty for what is not a file. Raises OSError."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_table(name: str, files: list[Path], taken: frozenset[str]) -> OwnTable:
    if not TABLE_NAME.fullmatch(name):
        raise _BadTableError(
            f"{files[0].name} gives no name of a table: call it by small letters, digits and _, a letter first"
        )
    if name in taken:
        raise _BadTableError(f"{files[0].name} has the name of a table of sunledger: choose another one")
    other = [path.name for path in files if path.suffix.lower() not in (*DATA, ".toml") or not path.is_file()]
    if other:
        raise _BadTableError(
            f"{other[0]} is not a CSV, Parquet or TOML file: write one, or keep it elsewhere"
        )
    data = [path for path in files if path.suffix.lower() in DATA]
    if len(data) != 1:
        found = " and ".join(path.name for path in data) or f"{files[0].name} alone"
        raise _BadTableError(f"there is {found}: keep one file of rows, {name}.csv or {name}.parquet")
    described = [path for path in files if path.suffix.lower() == ".toml"]
    if not described:
        raise _BadTableError(f"{name}.toml is not there: describe the columns of {data[0].name} in it")
    shape = _read_shape(described[0])
    # As they are at one moment, whoever writes the file meanwhile.
    content = data[0].read_bytes()
    return OwnTable(name, _check_rows(data[0], _parse_rows(data[0], content, shape), shape), shape)


def _read_shape(path: Path) -> _Shape:
    try:
        told = parse_toml(path.read_text("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
        raise _BadTableError(
            f"{path.name} is not valid TOML ({fault}): write [columns] with one line for each column"
        ) from fault
    _refuse_unknown(path, "", told, _TABLE_KEYS)
    columns, key = told.get("columns"), told.get("key", [])
    if not isinstance(columns, dict) or not columns:
        raise _BadTableError(
            f'{path.name} has no columns: write [columns] with lines such as price = "DOUBLE"'
        )
    found = tuple(_read_column(path, name, column) for name, column in columns.items())
    double = _find_double([column.name.lower() for column in found])
    if double is not None:
        raise _BadTableError(
            f"{path.name} has the column {double} twice, since SQL reads A and a alike: rename one"
        )
    if not isinstance(key, list) or not set(map(str, key)) <= set(columns):
        raise _BadTableError(
            f"key of {path.name} names a column that is not there: list columns of the table"
        )
    description = told.get("description", "")
    suffix = f"Key: {', '.join(key)}." if key else "No key: two rows may be equal."
    return _Shape(found, tuple(key), f"{description} {suffix}".strip())


def _read_column(path: Path, name: str, told: Any) -> _Column:
    """A column by its type alone, or by a table with type, null, unit and description."""
    facts = {"type": told} if isinstance(told, str) else told
    if not isinstance(facts, dict):
        raise _BadTableError(f'column {name} of {path.name} has no type: write {name} = "DOUBLE"')
    _refuse_unknown(path, f"column {name} of ", facts, _COLUMN_KEYS)
    kind = str(facts.get("type", "")).upper().replace(" ", "")
    if kind not in TYPES:
        raise _BadTableError(
            f"column {name} of {path.name} has the type {kind or 'nothing'}: choose from {', '.join(TYPES)}"
        )
    null = facts.get("null", False)
    if not isinstance(null, bool):
        raise _BadTableError(
            f"null of column {name} of {path.name} is neither true nor false: write one of them"
        )
    unit = f" Unit: {facts['unit']}." if facts.get("unit") else ""
    return _Column(name, kind, null, f"{facts.get('description', '')}{unit}".strip())


def _refuse_unknown(path: Path, place: str, told: dict[str, Any], known: set[str]) -> None:
    unknown = sorted(set(told) - known)
    if unknown:
        raise _BadTableError(f"{place}{path.name} has {unknown[0]!r}: choose from {', '.join(sorted(known))}")


def _find_double(names: list[str]) -> str | None:
    return next((name for number, name in enumerate(names) if name in names[:number]), None)


def _parse_rows(path: Path, content: bytes, shape: _Shape) -> pl.DataFrame:
    """The file's rows with the columns that it should have, as it has them. Raises _BadTableError."""
    try:
        if path.suffix.lower() == ".parquet":
            found = pl.read_parquet(io.BytesIO(content))
        else:
            found = pl.read_csv(io.BytesIO(content), infer_schema=False)
    except pl.exceptions.PolarsError as fault:
        reason = str(fault).partition("\n")[0]
        raise _BadTableError(
            f"{path.name} can't be read as a table ({reason}): write the file again"
        ) from fault
    wanted = [column.name for column in shape.columns]
    lacking = [name for name in wanted if name not in found.columns]
    further = [name for name in found.columns if name not in wanted]
    if lacking or further:
        what = f"lacks the column {lacking[0]}" if lacking else f"has the column {further[0]}"
        raise _BadTableError(f"{path.name} {what}, and {path.stem}.toml says otherwise: make them agree")
    return found.select(wanted)


def _check_rows(path: Path, found: pl.DataFrame, shape: _Shape) -> pl.DataFrame:
    """The rows in their types, sorted by the key. Raises _BadTableError for the first row that does not fit."""
    rows = found.select(_convert(found, column).alias(column.name) for column in shape.columns)
    for column in shape.columns:
        given, read = found[column.name], rows[column.name]
        _refuse(
            path,
            given.is_not_null() & read.is_null(),
            column.name,
            f"is not of type {column.type}",
            f"write {_FORM[column.type]}",
        )
        if not column.nullable:
            _refuse(
                path,
                read.is_null(),
                column.name,
                "is empty",
                f"fill it, or say null = true in {path.stem}.toml",
            )
        if read.dtype.is_float():
            _refuse(
                path,
                ~read.is_finite().fill_null(value=True),
                column.name,
                "is not a finite number",
                "leave it empty",
            )
    if shape.key:
        double = rows.select(pl.struct(shape.key).is_first_distinct().not_()).to_series()
        _refuse(path, double, ", ".join(shape.key), "was there before", "keep one row of each key")
        return rows.sort(shape.key)
    return rows


def _convert(found: pl.DataFrame, column: _Column) -> pl.Expr:
    """The column in its type; null where it is not one."""
    kind, target = found.schema[column.name], TYPES[column.type]
    text = pl.col(column.name)
    if isinstance(kind, pl.Datetime) or isinstance(target, pl.Datetime):
        return _convert_time(column, kind, text)
    if kind != pl.String:
        # What a cast would cut, such as digits after the point, does not fit.
        return text.cast(target, strict=False) if _is_within(kind, column.type) else pl.lit(None, target)
    return _parse_text(column, text)


def _parse_text(column: _Column, text: pl.Expr) -> pl.Expr:
    target, trimmed = TYPES[column.type], text.str.strip_chars()
    if column.type == "BOOLEAN":
        return trimmed.str.to_lowercase().replace_strict({"true": True, "false": False}, default=None)
    if column.type == "DATE":
        return trimmed.str.to_date("%Y-%m-%d", strict=False)
    if column.type == "DECIMAL(18,2)":
        # A cast would round what has more digits.
        whole = trimmed.str.contains(r"^[+-]?\d{1,16}(\.\d{1,2})?$")
        return pl.when(whole).then(trimmed).cast(target, strict=False)
    return text if column.type == "VARCHAR" else trimmed.cast(target, strict=False)


def _is_within(kind: pl.DataType, name: str) -> bool:
    """Whether each value of a type of Parquet is one of ours."""
    if kind.is_integer() or kind == pl.Null:
        return name in ("BIGINT", "DOUBLE", "DECIMAL(18,2)") or kind == pl.Null
    if isinstance(kind, pl.Decimal):
        return name == "DOUBLE" or (name == "DECIMAL(18,2)" and kind.scale <= TYPES[name].scale)  # type: ignore[attr-defined]
    if kind.is_float():
        return name == "DOUBLE"
    if isinstance(kind, pl.Categorical | pl.Enum):
        return name == "VARCHAR"
    return kind == TYPES[name]


def _convert_time(column: _Column, kind: pl.DataType, given: pl.Expr) -> pl.Expr:
    target = TYPES[column.type]
    if column.type == "TIMESTAMPTZ" and kind == pl.String:
        return parse_offset_times(given)
    if column.type == "TIMESTAMP" and kind == pl.String:
        text = given.str.strip_chars().str.replace(" ", "T", literal=True)
        return text.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit="us", strict=False)
    # A wall clock is no moment, and a moment no wall clock.
    if (
        isinstance(kind, pl.Datetime)
        and isinstance(target, pl.Datetime)
        and bool(kind.time_zone) == bool(target.time_zone)
    ):
        moment = given.cast(pl.Datetime("us", kind.time_zone))
        return moment.dt.convert_time_zone("UTC") if kind.time_zone else moment
    return pl.lit(None, target)


def _refuse(path: Path, broken: pl.Series, column: str, what: str, cure: str) -> None:
    places = broken.arg_true()
    if n_broken := places.len():
        row = places[0] + 1
        like = f", as in {pluralize(n_broken, 'row')}" if n_broken > 1 else ""
        raise _BadTableError(f"{column} of row {row} of {path.name} {what}{like}: {cure}")
