"""Rows to JSON text. Lists of several plants at once are written on pages, a list alone with a template.

Absent values (NaN) become absent keys.
"""

from functools import lru_cache
from itertools import compress

import numpy as np
import orjson

from sandbox.days import Labels
from sandbox.series.json_pages import write_page_lists
from sandbox.series.slots import Fields, choose_precision, find_fields_of_slots, surround_numbers
from sandbox.series.table import Columns, Floats

ROWS_A_PAGE = 16 * 288
"""Few enough that a page stays near the processor, enough that each step over it is worth its call."""


def write_rows(labels: Labels, columns: Columns) -> bytes:
    """`[{"time":…,"pvGeneration":4.0},…]`; a field of shape (rows, k) becomes `[{"index":"A","value":…},…]`."""
    return bytes(write_lists(labels[None], {name: values[None] for name, values in columns.items()})[0])


def write_lists(labels: Labels, columns: Columns) -> list[memoryview]:
    """The lists of several plants with the same number of rows, each as `write_rows` writes it.

    All arrays have a leading axis for the plants. What is returned is a view of longer texts: copy it, don't keep it.
    """
    plants, rows = labels.shape
    if not rows:
        return [memoryview(b"[]")] * plants
    fields, numbers = _stack_columns(columns, labels.shape)
    a_page = max(1, ROWS_A_PAGE // rows)
    lists: list[memoryview] = []
    for first in range(0, plants, a_page):
        theirs = labels[first : first + a_page]
        held, numbered = _drop_absent(
            fields, numbers[:, first : first + a_page].reshape(len(numbers), theirs.size)
        )
        if len(theirs) == 1:
            lists.append(memoryview(_list_alone(held, theirs[0], numbered)))
        else:
            lists += write_page_lists(held, theirs, numbered)
    return lists


def _drop_absent(fields: Fields, numbers: Floats) -> tuple[Fields, Floats]:
    """The fields that are there in any row, and their numbers (slots, rows)."""
    there = np.isfinite(numbers).any(axis=1)
    if there.all():
        return fields, numbers
    owners = find_fields_of_slots(fields)
    held = np.zeros(len(fields), dtype=bool)
    held[owners[there]] = True
    return tuple(compress(fields, held)), numbers[held[owners]]


def _list_alone(fields: Fields, labels: Labels, numbers: Floats) -> bytes:
    """The list of one plant; numbers (slots, rows), used up."""
    slots, rows = numbers.shape
    gaps = np.flatnonzero(~np.isfinite(numbers).all(axis=1)).tolist()
    _, scale = choose_precision(fields)
    rounded = np.multiply(numbers, scale, out=numbers)
    np.rint(rounded, out=rounded)
    rounded /= scale
    rounded += 0.0  # no minus before a zero
    texts = orjson.dumps(rounded.reshape(-1), option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].split(b",")
    words = [b""] * (rows * (slots + 1))
    words[:: slots + 1] = labels.tolist()
    around = surround_numbers(fields)
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
    for slot, (before, after) in enumerate(surround_numbers(fields)):
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
