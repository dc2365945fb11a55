"""One's own facts about plants: the file of SUNLEDGER_PLANT_ATTRIBUTES, read, checked, and never repaired.

A CSV file has a row a plant, a TOML file a table a plant. What has a column of its own in `plant_attributes` is checked
by that column's rules; all else is kept as text. A file that breaks a rule stops the command with the first place that
does: half of the attributes would look like all.
"""

import csv
import difflib
import io
import json
import re
import tomllib
from collections.abc import Collection, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import polars as pl

from pipeline.common.errors import ConfigurationError, UsageError
from pipeline.common.files.toml_text import parse_toml
from pipeline.common.files.user_text import build_file_error, read_user_text, split_separator
from pipeline.common.settings import Settings, name_variable
from pipeline.run.supplied_files.user_files import read_unchanged
from pipeline.transform.lists.plant_moves import find_successors
from schemas import PlantAttributes, polars_schema
from schemas.base import FINITE
from warehouse.lake_reader import build_empty_frame

SETTING: Final = name_variable("plant_attributes")
# The word `group` belongs to SQL, so the column has another name than in the file.
RENAMED: Final = {"group": "plant_group"}
EXPECTED: Final = tuple(f"expected_{month:02}_kwh" for month in range(1, 13))
TEXTS: Final = ("group", "owner", "region", "tariff")
NUMBERS: Final = ("battery_capacity_kwh", *EXPECTED)
# In TOML the twelve months may be one list.
EXPECTED_LIST: Final = "expected_kwh"
# An unknown name that is so like a known one is a slip, and not an attribute of one's own.
ALIKE: Final = 0.8
_KNOWN: Final = ("plant_id", *TEXTS, *NUMBERS)
# A longer header has other things than attributes, and to compare its names would take minutes.
MOST_COLUMNS: Final = 256
_ADDRESS: Final = r"\S@\S+\.\S"


class _Entry(NamedTuple):
    """What a file says of one plant, as texts by attribute, and the line where it does; 0 where that is not known."""

    line: int
    plant_id: str
    values: dict[str, str]


def read_plant_attributes(settings: Settings) -> pl.DataFrame:
    """Rows of `plant_attributes` with their `line`, by the ids of the file; none where no file is set.

    Raises ConfigurationError for a file that can't be read or breaks a rule.
    """
    path = settings.plant_attributes
    if path is None:
        return pl.DataFrame(schema={"line": pl.Int64, **polars_schema(PlantAttributes)})
    return read_unchanged(SETTING, path, "CSV or TOML", _read)


def match_plants(settings: Settings, plants: pl.DataFrame) -> pl.DataFrame:
    """The same by the newest ids of the plants, without `line`; `plants` are rows of the table.

    Raises ConfigurationError also for a plant that SMA has never listed, and for one that is named by two of its ids.
    """
    path = settings.plant_attributes
    if path is None:
        return build_empty_frame(PlantAttributes)
    rows = read_plant_attributes(settings)
    if not plants.height:
        return rows.drop("line").clear()
    moved = find_successors(plants)
    found = rows.join(moved, on="plant_id", how="left", maintain_order="left").with_columns(
        newest=pl.coalesce("successor", "plant_id")
    )
    strange = found.join(plants, left_on="newest", right_on="plant_id", how="anti", maintain_order="left")
    _refuse(
        path,
        strange,
        "which is not in SMA's list of plants",
        "take the id from 'sunledger plants', or run 'sunledger refresh' if SMA lists the plant only since today",
    )
    _refuse(
        path,
        found.filter(~pl.col("newest").is_first_distinct()),
        "which another row names by the id that it had before or after it moved",
        "keep one of the two",
    )
    return found.with_columns(plant_id="newest").select(polars_schema(PlantAttributes).names())


def find_members(settings: Settings, groups: Collection[str], where: str) -> frozenset[str]:
    """The ids, as the file has them, of the plants of these groups.

    A group is named without regard to upper and lower case; `*` matches any text and `?` one character. `where` names
    the option or setting. Raises
    ConfigurationError for a group that no plant of the file is in.
    """
    if not groups:
        return frozenset()
    path = settings.plant_attributes
    if path is None:
        raise ConfigurationError(
            f"{where} names a group, but no file says which plants are in it: set {SETTING} to such a file."
        )
    rows = read_plant_attributes(settings).drop_nulls("plant_group")
    members: set[str] = set()
    for group in groups:
        found = rows.filter(pl.col("plant_group").str.contains(build_pattern(group)))
        if not found.height:
            raise build_unknown_group(where, group, rows["plant_group"], str(path))
        members.update(found["plant_id"])
    return frozenset(members)


def build_pattern(text: str) -> str:
    """The regular expression of a name in which * is any text and ? one character, in upper or lower case."""
    pattern = "".join({"*": ".*", "?": "."}.get(sign, re.escape(sign)) for sign in text)
    return f"(?is)^{pattern}$"


def build_unknown_group(where: str, group: str, known: Iterable[str], place: str) -> UsageError:
    """The error for a group that has no plant: which groups there are."""
    there = ", ".join(sorted(set(known))) or "none"
    return ConfigurationError(
        f"{where} names the group {group}, which {place} does not have: choose from {there}."
    )


@lru_cache(maxsize=2)
def _read(path: Path, _changed: int, _size: int) -> pl.DataFrame:
    """The file's rows, read once while it stays the same: every step that asks plants looks at them."""
    text = read_user_text(SETTING, path)
    entries = _parse_toml(path, text) if path.suffix.lower() == ".toml" else _parse_csv(path, text)
    return _build_rows(path, entries)


def _parse_csv(path: Path, text: str) -> list[_Entry]:
    separator, text = split_separator(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        lines = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except csv.Error as fault:
        raise _build_error(
            path, f"line {reader.line_num} is not CSV ({fault})", "close its quotes"
        ) from fault
    lines = [(line, row) for line, row in lines if any(row)]
    names = lines[0][1] if lines else []
    _check_names(path, names, f"line {lines[0][0]}" if lines else "it")
    entries = []
    for line, row in lines[1:]:
        if len(row) != len(names):
            raise _build_error(
                path,
                f"line {line} has {len(row)} values for {len(names)} columns (plant {row[0] or '?'})",
                "write a value or nothing for each column, and put values with the separator into quotes",
            )
        values = dict(zip(names, row, strict=True))
        entries.append(_Entry(line, values.pop("plant_id"), {n: v for n, v in values.items() if v}))
    return entries


def _check_names(path: Path, names: list[str], place: str) -> None:
    """Raise ConfigurationError for a header that lacks a column, has one twice, or has a slip."""
    if len(names) > MOST_COLUMNS:
        raise _build_error(
            path,
            f"{place} names {len(names):,} columns",
            f"keep {MOST_COLUMNS} at most, with a line for each plant",
        )
    double = next((name for number, name in enumerate(names) if name in names[:number]), None)
    if double is not None:
        raise _build_error(path, f"{place} names the column {double!r} twice", "keep one of the two")
    if "plant_id" not in names:
        raise _build_error(
            path, f"{place} lacks the column plant_id", "write a header such as plant_id,group,owner,tariff"
        )
    lacking = [name for name in EXPECTED if name not in names]
    if 0 < len(lacking) < len(EXPECTED):
        raise _build_error(
            path,
            f"{place} lacks the column {lacking[0]}",
            f"give all of {EXPECTED[0]} to {EXPECTED[-1]}, or none",
        )
    for name in names:
        _check_name(path, name, place)


def _check_name(path: Path, name: str, place: str) -> None:
    if not name:
        raise _build_error(path, f"{place} has a column without a name", "name each column")
    alike = difflib.get_close_matches(name.lower(), _KNOWN, 1, ALIKE)
    if alike and name not in _KNOWN:
        raise _build_error(
            path,
            f"{place} names {name!r}",
            f"write {alike[0]}, or choose a name that is less like it for your own",
        )


def _parse_toml(path: Path, text: str) -> list[_Entry]:
    try:
        found = parse_toml(text)
    except tomllib.TOMLDecodeError as fault:
        raise _build_error(
            path, f"it is not TOML ({fault})", 'write a table for each plant, as in ["5000000"], once'
        ) from fault
    return [_parse_table(path, _find_line(text, plant), plant.strip(), told) for plant, told in found.items()]


def _parse_table(path: Path, line: int, plant: str, told: Any) -> _Entry:
    place = f"line {line}" if line else "it"
    if not isinstance(told, dict):
        raise _build_error(
            path,
            f"{place} has {plant!r} outside of a plant's table",
            'write ["PLANT_ID"] above the attributes',
        )
    months = told.pop(EXPECTED_LIST, None)
    if months is not None:
        if not isinstance(months, list) or len(months) != len(EXPECTED):
            raise _build_error(
                path,
                f"{EXPECTED_LIST} of {place} (plant {plant}) is not a list of twelve numbers",
                "write the kWh of January to December",
            )
        told |= dict(zip(EXPECTED, months, strict=True))
    values = {}
    for name, value in told.items():
        if isinstance(value, dict | list):
            raise _build_error(
                path, f"{name} of {place} (plant {plant}) is a list or a table", "give one text or number"
            )
        values[name] = (json.dumps(value) if isinstance(value, bool) else str(value)).strip()
    _check_names(path, ["plant_id", *values], f"{place} (plant {plant})")
    return _Entry(line, plant, {name: value for name, value in values.items() if value})


def _find_line(text: str, plant: str) -> int:
    """The line that begins the plant's table: TOML's reader does not tell it."""
    key = re.compile(rf"\s*\[?\s*[\"']?{re.escape(plant)}[\"']?\s*[\]=.]")
    return next((number for number, line in enumerate(text.splitlines(), 1) if key.match(line)), 0)


def _build_rows(path: Path, entries: list[_Entry]) -> pl.DataFrame:
    names = list(dict.fromkeys(name for entry in entries for name in entry.values))
    own = [name for name in names if name not in _KNOWN]
    columns = dict.fromkeys(("plant_id", *TEXTS, *NUMBERS, *own), pl.String)
    rows = pl.DataFrame(
        [{"line": entry.line, "plant_id": entry.plant_id, **entry.values} for entry in entries],
        schema={"line": pl.Int64, **columns},
    )
    _check_rows(path, rows)
    numbers = [pl.col(name).cast(pl.Float64) for name in NUMBERS]
    others = [_write_others(entry, own) for entry in entries]
    found = rows.with_columns(*numbers, other_attributes=pl.Series(others, dtype=pl.String)).rename(RENAMED)
    return found.select("line", *polars_schema(PlantAttributes).names())


def _write_others(entry: _Entry, own: list[str]) -> str | None:
    """The attributes without a column of their own as a JSON object."""
    told = {name: entry.values[name] for name in own if name in entry.values}
    return json.dumps(told, ensure_ascii=False) if told else None


def _check_rows(path: Path, rows: pl.DataFrame) -> None:
    """Raise ConfigurationError for the first row that breaks a rule."""
    _refuse(path, rows.filter(pl.col("plant_id") == ""), "which is an empty plant_id", "name the plant")
    _refuse(
        path,
        rows.filter(~pl.col("plant_id").is_first_distinct()),
        "which another line names already",
        "keep one of the two",
    )
    for name in NUMBERS:
        number = pl.col(name).cast(pl.Float64, strict=False)
        good = number.is_between(0, FINITE).fill_null(value=False) | pl.col(name).is_null()
        _refuse(
            path,
            rows.filter(~good),
            f"whose {name} is not a number of 0 or more",
            "write it without a unit and with a point, as in 12.5, or leave it empty",
        )
    _refuse(
        path,
        rows.filter(pl.col("group").str.contains(",", literal=True)),
        "whose group has a comma in its name",
        "write it without one, because lists of groups are separated by commas",
    )
    for name in rows.columns[1:]:
        # What this program stores and prints holds no address of a person; so the message does not repeat it either.
        _refuse(
            path,
            rows.filter(pl.col(name).str.contains(_ADDRESS)),
            f"whose {name} holds an e-mail address"
            if name != "plant_id"
            else "whose id is an e-mail address",
            "write a name or a number in its place",
            secret=name == "plant_id",
        )


def _refuse(path: Path, broken: pl.DataFrame, what: str, cure: str, *, secret: bool = False) -> None:
    if broken.height:
        line, plant = broken.select("line", "plant_id").row(0)
        named = "a plant" if secret else f"plant {plant or '?'}"
        place = f"line {line} names {named}" if line else f"it names {named}"
        raise _build_error(path, f"{place}, {what}", cure)


def _build_error(path: Path, what: str, cure: str) -> ConfigurationError:
    return build_file_error(SETTING, path, what, cure)
