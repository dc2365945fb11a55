"""Rows to JSON text: orjson writes the numbers, and a template puts them between the keys and labels.

Absent values (NaN) become absent keys. A slot is the place of a number in a row: a field has one, or one for each
element of its array.
"""

from functools import lru_cache
from itertools import compress

import numpy as np
import orjson
from numpy.typing import NDArray

from sandbox.days import Labels
from sandbox.series.table import Columns, Floats

DECIMALS = 3
RATE_DECIMALS = 5
_LETTERS = "ABCDEFGH"

# Names in the order of writing, each with its number of elements; 0 for a field that is no array. A field has one slot,
# or one for each of its elements.
Fields = tuple[tuple[str, int], ...]


def write_rows(labels: Labels, columns: Columns) -> bytes:
    """`[{"time":…,"pvGeneration":4.0},…]`; a field of shape (rows, k) becomes `[{"index":"A","value":…},…]`."""
    return write_lists(labels[None], {name: values[None] for name, values in columns.items()})[0]


def write_lists(labels: Labels, columns: Columns) -> list[bytes]:
    """The lists of several plants with the same number of rows, each as `write_rows` writes it.

    All arrays have a leading axis for the plants.
    """
    plants, rows = labels.shape
    if not rows:
        return [b"[]"] * plants
    fields, numbers = _stack_columns(columns, labels.shape)
    return [
        _write_list(*_drop_absent(fields, numbers[:, plant]), theirs) for plant, theirs in enumerate(labels)
    ]


def _drop_absent(fields: Fields, numbers: Floats) -> tuple[Fields, Floats]:
    """The fields that are there in any row, and their numbers (slots, rows)."""
    there = np.isfinite(numbers).any(axis=1)
    if there.all():
        return fields, numbers
    owners = _find_fields_of_slots(fields)
    held = np.zeros(len(fields), dtype=bool)
    held[owners[there]] = True
    return tuple(compress(fields, held)), numbers[held[owners]]


def _write_list(fields: Fields, numbers: Floats, labels: Labels) -> bytes:
    """The list of one plant; numbers (slots, rows), used up."""
    slots, rows = numbers.shape
    gaps = np.flatnonzero(~np.isfinite(numbers).all(axis=1)).tolist()
    scale = _choose_scale(fields)
    rounded = np.multiply(numbers, scale, out=numbers)
    np.rint(rounded, out=rounded)
    rounded /= scale
    rounded += 0.0  # no minus before a zero
    texts = orjson.dumps(rounded.reshape(-1), option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].split(b",")
    words = [b""] * (rows * (slots + 1))
    words[:: slots + 1] = labels.tolist()
    around = _surround_numbers(fields)
    for slot, (before, after) in enumerate(around):
        text = texts[slot * rows : (slot + 1) * rows]
        if slot in gaps:
            text = [b"" if number == b"null" else before + number + after for number in text]
        words[slot + 1 :: slots + 1] = text
    return _build_template(fields, rows, tuple(gaps)) % tuple(words)


@lru_cache(maxsize=64)
def _build_template(fields: Fields, rows: int, gaps: tuple[int, ...]) -> bytes:
    """A list with places for labels and numbers; in the slots with gaps, the keys come with the numbers."""
    row = b'{"time":"%b"'
    for slot, (before, after) in enumerate(_surround_numbers(fields)):
        row += b"%b" if slot in gaps else before.replace(b"%", b"%%") + b"%b" + after
    return b"[" + b",".join([row + b"}"] * rows) + b"]"


def write_object(columns: Columns) -> bytes:
    """The only row of `columns` as one object, without a time."""
    return b"{" + write_rows(np.array([b""]), columns)[1:-1].partition(b",")[2] if columns else b"{}"


def _stack_columns(columns: Columns, shape: tuple[int, ...]) -> tuple[Fields, Floats]:
    """The fields, and their values with the shape (slots, plants, rows), one slot an element."""
    fields = tuple((name, values.shape[2] if values.ndim > 2 else 0) for name, values in columns.items())  # noqa: PLR2004
    numbers = np.empty((sum(elements or 1 for _, elements in fields), *shape))
    slot = 0
    for (_, elements), values in zip(fields, columns.values(), strict=True):
        if elements:
            numbers[slot : slot + elements] = np.moveaxis(values, 2, 0)
        else:
            numbers[slot] = values
        slot += elements or 1
    return fields, numbers


def _surround_numbers(fields: Fields) -> list[tuple[bytes, bytes]]:
    """What stands before and after each slot's number."""
    around: list[tuple[bytes, bytes]] = []
    for name, elements in fields:
        key = b',"' + name.encode() + b'":'
        for letter in _LETTERS[:elements]:
            first, last = letter == "A", letter == _LETTERS[elements - 1]
            begin = (key + b"[" if first else b",") + b'{"index":"' + letter.encode() + b'","value":'
            around.append((begin, b"}]" if last else b"}"))
        if not elements:
            around.append((key, b""))
    return around


@lru_cache(maxsize=128)
def _find_fields_of_slots(fields: Fields) -> NDArray[np.intp]:
    """Of each slot: the number of its field."""
    return np.repeat(np.arange(len(fields)), [elements or 1 for _, elements in fields])


@lru_cache(maxsize=128)
def _choose_scale(fields: Fields) -> Floats:
    """What makes integers of each slot's values, shape (slots, 1): a rate has more decimals than a power."""
    rates = np.array([name.endswith("Rate") for name, elements in fields for _ in range(elements or 1)], bool)
    return np.where(rates, 10.0**RATE_DECIMALS, 10.0**DECIMALS)[:, None]
