"""Rows to JSON text, without a loop over rows: numbers are written by orjson, and C-level formatting places them.

Absent values (NaN) become absent keys.
"""

from functools import lru_cache

import numpy as np
import orjson
import polars as pl

from sandbox.series.table import Columns

DECIMALS = 3
RATE_DECIMALS = 5
_LETTERS = "ABCDEFGH"


def rows_json(labels: pl.Series, columns: Columns) -> bytes:
    """`[{"time":…,"pvGeneration":4.0},…]`; a field of shape (rows, k) becomes `[{"index":"A","value":…},…]`."""
    rows = len(labels)
    if not rows:
        return b"[]"
    names = tuple((name, values.shape[1] if values.ndim == 2 else 0) for name, values in columns.items())  # noqa: PLR2004
    numbers = np.column_stack(list(columns.values())) if columns else np.empty((rows, 0))
    width = numbers.shape[1]
    rounded = np.round(numbers, DECIMALS)
    fine = [at for at, (name, _) in enumerate(_flat(names)) if name.endswith("Rate")]
    rounded[:, fine] = np.round(numbers[:, fine], RATE_DECIMALS)
    rounded += 0.0  # a rounded -0.0 becomes 0.0
    written = orjson.dumps(rounded.ravel(), option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].split(b",")
    values: list[bytes] = [b""] * (rows * (width + 1))
    values[:: width + 1] = labels.to_list()
    for position in range(width):
        values[position + 1 :: width + 1] = written[position::width]
    text = _template(names, rows) % tuple(values)
    for name in _absent(columns):
        text = text.replace(b',"' + name.encode() + b'":null', b"")
    return text


def object_json(label: str, columns: Columns) -> bytes:
    """The only row of `columns` as one object."""
    return rows_json(pl.Series("time", [label.encode()], dtype=pl.Binary), columns)[1:-1]


def _flat(names: tuple[tuple[str, int], ...]) -> list[tuple[str, int]]:
    """Name and element of every number of a row."""
    return [(name, element) for name, elements in names for element in range(max(elements, 1))]


def _absent(columns: Columns) -> list[str]:
    return [name for name, values in columns.items() if np.isnan(values).any()]


@lru_cache(maxsize=128)
def _template(names: tuple[tuple[str, int], ...], rows: int) -> bytes:
    """The text of all rows with a place for the time and for each number."""
    fields = [b'"time":"%b"']
    for name, elements in names:
        inner = b"%b"
        if elements:
            parts = [b'{"index":"' + letter.encode() + b'","value":%b}' for letter in _LETTERS[:elements]]
            inner = b"[" + b",".join(parts) + b"]"
        fields.append(b'"' + name.encode() + b'":' + inner)
    row = b"{" + b",".join(fields) + b"}"
    return b"[" + b",".join([row] * rows) + b"]"
