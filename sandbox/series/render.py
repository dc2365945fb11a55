"""Rows to JSON text, without a loop over rows: numbers are written by orjson, and C-level formatting places them.

Absent values (NaN) become absent keys.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import orjson

from sandbox.series.table import Columns, Floats

DECIMALS = 3
RATE_DECIMALS = 5
_LETTERS = "ABCDEFGH"


def rows_json(labels: Sequence[bytes], columns: Columns) -> bytes:
    """`[{"time":…,"pvGeneration":4.0},…]`; a field of shape (rows, k) becomes `[{"index":"A","value":…},…]`."""
    rows = len(labels)
    if not rows:
        return b"[]"
    table = np.column_stack(list(columns.values())) if columns else np.empty((rows, 0))
    holey = np.logical_or.reduce(np.isnan(table), axis=0)
    rounded = np.round(table, DECIMALS)
    shape: list[tuple[str, int]] = []
    gaps: list[list[bytes]] = []
    position = 0
    for name, values in columns.items():
        width = values.size // rows
        if name.endswith("Rate"):
            rounded[:, position] = np.round(values, RATE_DECIMALS)
        if holey[position]:
            gaps.append(_with_key(name, rounded[:, position]))
        else:
            shape.append((name, width if values.ndim > 1 else 0))
        position += width
    numbers = _written(rounded[:, ~holey] if gaps else rounded)
    count = len(numbers) // rows
    width = 1 + count + len(gaps)
    places: list[bytes] = [b""] * (rows * width)
    places[::width] = labels
    for position in range(count):
        places[position + 1 :: width] = numbers[position::count]
    for position, texts in enumerate(gaps, start=count + 1):
        places[position::width] = texts
    return _template(tuple(shape), len(gaps), rows) % tuple(places)


def object_json(columns: Columns) -> bytes:
    """The only row of `columns` as one object, without a time."""
    return b"{" + rows_json([b""], columns)[1:-1].partition(b",")[2] if columns else b"{}"


def _written(numbers: Floats) -> list[bytes]:
    """All numbers as text, row by row; adding zero turns a rounded -0.0 into 0.0."""
    if not numbers.size:
        return []
    return orjson.dumps((numbers + 0.0).ravel(), option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].split(b",")


def _with_key(name: str, values: Floats) -> list[bytes]:
    """Each value of a column with gaps as `,"name":value`, or as nothing: by a few replacements in one text."""
    key = b',"' + name.encode() + b'":'
    text = orjson.dumps(values + 0.0, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].replace(b",", b"\n" + key)
    return (key + text).replace(key + b"null", b"").split(b"\n")


@lru_cache(maxsize=128)
def _template(names: tuple[tuple[str, int], ...], gaps: int, rows: int) -> bytes:
    """The text of all rows with a place for the time, for each number, and for each field that may be absent."""
    fields = [b'"time":"%b"']
    for name, elements in names:
        inner = b"%b"
        if elements:
            parts = [b'{"index":"' + letter.encode() + b'","value":%b}' for letter in _LETTERS[:elements]]
            inner = b"[" + b",".join(parts) + b"]"
        fields.append(b'"' + name.encode() + b'":' + inner)
    row = b"{" + b",".join(fields) + b"%b" * gaps + b"}"
    return b"[" + b",".join([row] * rows) + b"]"
