"""Rows to JSON text, without a loop over rows or numbers.

All rows are written into one matrix of bytes in which every number has a slot of the same width; what is not needed of
a slot stays zero, and at the end all zeros are dropped at once. Numbers are written by looking up groups of three
digits. Absent values (NaN) become absent keys.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

import numpy as np
import orjson
import polars as pl
from numpy.typing import NDArray

from sandbox.days import Labels
from sandbox.series.table import Columns, Floats

DECIMALS = 3
RATE_DECIMALS = 5
_LETTERS = "ABCDEFGH"
_BEGIN, _END = b"[", b"}]"
_TIME = b'\0{"time":"'
"""A row's beginning, with a place for the beginning of the list."""
_MINUS = ord("-")
PLANTS_A_PAGE = 4
"""More would not fit into a processor's cache."""
_WORDS = 3
"""A number takes three words of four bytes: thousands, units, decimals; a rate: units, three decimals, two more."""
_MOST_DIGITS = 1e9
_MOST_RATE_DIGITS = 1e8
"""From here on (as an integer of the last decimal) a number does not fit: sums of energy, in answers of few rows."""

Words = NDArray[np.uint32]
Fields = tuple[tuple[str, int], ...]
"""Names in the order of writing, each with its number of elements; 0 for a field that is no array."""


def rows_json(labels: Labels, columns: Columns) -> bytes:
    """`[{"time":…,"pvGeneration":4.0},…]`; a field of shape (rows, k) becomes `[{"index":"A","value":…},…]`.

    Fields that are absent in some row come last.
    """
    return bytes(lists_json(labels[None], {name: values[None] for name, values in columns.items()})[0])


def lists_json(labels: Labels, columns: Columns) -> list[memoryview]:
    """The lists of several plants with the same fields and the same number of rows, each as `rows_json` writes it.

    All arrays have a leading axis for the plants. What is returned is a view of longer texts: copy it, don't keep it.
    """
    plants, rows = labels.shape
    if not rows:
        return [memoryview(b"[]")] * plants
    fields, numbers = _stacked(columns, labels.shape)
    missing: NDArray[np.bool_] = np.logical_or.reduce(np.isnan(numbers), axis=2)
    alike: dict[bytes, list[int]] = {}
    for plant in range(plants):
        alike.setdefault(missing[:, plant].tobytes(), []).append(plant)
    lists: dict[int, memoryview] = {}
    for group in alike.values():
        for some in (group[at : at + PLANTS_A_PAGE] for at in range(0, len(group), PLANTS_A_PAGE)):
            ordered, slots = _ordered(fields, missing[:, some[0]])
            page = _Page(ordered, labels[some])
            page.write(numbers[np.ix_(slots, some)].reshape(len(slots), len(some) * rows))
            lists |= zip(some, page.lists(), strict=True)
    return [lists[plant] for plant in range(plants)]


def object_json(columns: Columns) -> bytes:
    """The only row of `columns` as one object, without a time."""
    return b"{" + rows_json(np.array([b""]), columns)[1:-1].partition(b",")[2] if columns else b"{}"


def _stacked(columns: Columns, shape: tuple[int, ...]) -> tuple[Fields, Floats]:
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


def _ordered(fields: Fields, missing: NDArray[np.bool_]) -> tuple[Fields, list[int]]:
    """The fields in the order of writing, those with `missing` slots last, and the slots in that order."""
    slots_of: list[range] = []
    for _, elements in fields:
        first = slots_of[-1].stop if slots_of else 0
        slots_of.append(range(first, first + (elements or 1)))
    order = sorted(range(len(fields)), key=lambda number: bool(missing[slots_of[number].start]))
    return tuple(fields[number] for number in order), [slot for number in order for slot in slots_of[number]]


class _Page:
    """All rows of some plants as a matrix of words, first with the labels and keys alone."""

    def __init__(self, fields: Fields, labels: Labels) -> None:
        """Labels have the shape (plants, rows); what `write` gets is known for these fields."""
        self._fields = fields
        self._labels = labels
        self._words: Words = np.empty((0, 0), dtype=np.uint32)

    def write(self, numbers: Floats) -> None:
        """Write all values, shape (slots, all rows); absent ones are NaN."""
        rates, scale, most = _precision(self._fields)
        scaled = np.rint(numbers * scale)
        absent = ~np.isfinite(scaled)
        gaps = np.flatnonzero(absent.any(axis=1)).tolist()
        if gaps:
            scaled[absent] = 0.0
        negative = scaled < 0
        size = np.abs(scaled)
        long = np.flatnonzero(size.max(axis=1, initial=0.0) >= most).tolist()
        texts = {slot: _texts(scaled[slot] / scale[slot]) for slot in long}
        size[long], negative[long] = 0.0, False

        layout = _layout(
            self._fields, self._labels.itemsize, max([_WORDS, *(text.shape[1] for text in texts.values())])
        )
        self._words = layout.page(self._labels)
        slots = layout.slots(self._words)
        _write_numbers(slots[:, :, layout.prefix :], size.astype(np.uint32), rates)
        for slot, text in texts.items():
            slots[:, slot, layout.prefix : layout.prefix + text.shape[1]] = text
        for slot in np.flatnonzero(negative.any(axis=1)).tolist():
            slots[:, slot].view(np.uint8)[negative[slot], 4 * layout.prefix - 1] = _MINUS
        for slot in gaps:
            slots[absent[slot], slot] = 0

    def lists(self) -> list[memoryview]:
        """Each plant's rows as a list; polars drops zeros many times faster than numpy or a translation does."""
        flat = pl.Series(self._words.reshape(-1).view(np.uint8))
        used = flat != 0
        text = flat.filter(used).to_numpy()
        plants = len(self._labels)
        size = len(flat) // plants
        lengths = [int(used.slice(plant * size, size).sum()) for plant in range(plants)]
        return [
            text[end - length : end].data for end, length in zip(accumulate(lengths), lengths, strict=True)
        ]


@lru_cache(maxsize=128)
def _precision(fields: Fields) -> tuple[NDArray[np.bool_], Floats, Floats]:
    """Of each slot: whether it is a rate, what makes integers of its values, and the first integer that is too long."""
    rates = np.array([name.endswith("Rate") for name, elements in fields for _ in range(elements or 1)], bool)
    scale = np.where(rates, 10.0**RATE_DECIMALS, 10.0**DECIMALS)
    return rates, scale[:, None], np.where(rates, _MOST_RATE_DIGITS, _MOST_DIGITS)


def _write_numbers(places: Words, integers: Words, rates: NDArray[np.bool_]) -> None:
    """Write integers of the last decimal, shape (slots, rows), into places of the shape (rows, slots, words)."""
    words = _words()
    units, decimals = _divided(integers, 1000)
    thousands, units = _divided(units, 1000)
    texts = [
        words.take(thousands),
        words.take(_PLAIN + units + (thousands > 0) * _TABLE),  # zeros inside of a number are written
        words.take(_DECIMALS + decimals),
    ]
    if rates.any():
        more, last = _divided(integers[rates], 100)
        units, decimals = _divided(more, 1000)
        texts[0][rates] = words.take(_PLAIN + units)
        texts[1][rates] = words.take(_DECIMALS + decimals + (last > 0) * _TABLE)
        texts[2][rates] = words.take(_LAST_DECIMALS + last)
    for position, text in enumerate(texts):
        places[:, :, position] = text.T


def _divided(integers: Words, by: int) -> tuple[Words, Words]:
    """Quotient and remainder; a multiplication is far cheaper than numpy's remainder."""
    quotient: Words = integers // by
    return quotient, integers - quotient * by


_TABLE = np.uint32(1000)
"""Length of each of the tables of texts, which follow one another."""
_PLAIN, _PADDED, _DECIMALS, _ALL_DECIMALS, _LAST_DECIMALS = (number * _TABLE for number in range(1, 6))


@lru_cache(maxsize=1)
def _words() -> Words:
    """Texts of up to four bytes by number.

    Tables: leading (nothing for 0), plain, padded with zeros; decimals without and with zeros at the end; the last two.
    """
    numbers = [str(number) for number in range(1000)]
    padded = [f"{number:03}" for number in range(1000)]
    texts = [
        *("", *numbers[1:]),
        *numbers,
        *padded,
        *(f".{text.rstrip('0') or '0'}" for text in padded),
        *(f".{text}" for text in padded),
        *(text[1:].rstrip("0") for text in padded[:100]),
    ]
    return np.array(texts, dtype="S4").view(np.uint32)


def _texts(values: Floats) -> Words:
    """Values of any size as text, shape (rows, words)."""
    texts = orjson.dumps(values + 0.0, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].split(b",")
    width = 4 * -(-max(map(len, texts)) // 4)
    return np.array(texts, dtype=f"S{width}").view(np.uint32).reshape(len(texts), -1)


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where everything stands in a row of words: the time, then one slot a number (its key first), then the end."""

    row: Words
    head: int
    slot: int
    prefix: int

    def page(self, labels: Labels) -> Words:
        """All rows with their labels and keys, without numbers; shape (plants * rows, words)."""
        plants, rows = labels.shape
        page = np.empty((plants * rows, len(self.row)), dtype=np.uint32)
        page[:] = self.row
        page[rows - 1 :: rows, -1] = _in_words(_END)
        letters = page.view(np.uint8)
        letters[::rows, 0] = ord(_BEGIN)
        text = np.ascontiguousarray(labels).view(np.uint8).reshape(plants * rows, -1)
        letters[:, len(_TIME) : len(_TIME) + text.shape[1]] = text
        return page

    def slots(self, page: Words) -> Words:
        """The page's slots, shape (rows, slots, words of a slot)."""
        return page[:, self.head : -1].reshape(len(page), -1, self.slot)


@lru_cache(maxsize=128)
def _layout(fields: Fields, label_bytes: int, number_words: int) -> _Layout:
    """The layout of rows with these fields; keys end in at least one zero, the place of a minus sign."""
    head = _in_words(_TIME + bytes(label_bytes) + b'"')
    prefixes: list[bytes] = []
    suffixes: list[bytes] = []
    for name, elements in fields:
        key = b',"' + name.encode() + b'":'
        for letter in _LETTERS[:elements]:
            prefixes.append(
                (key + b"[" if letter == "A" else b",") + b'{"index":"' + letter.encode() + b'","value":'
            )
            suffixes.append(b"}")
        if elements:
            suffixes[-1] += b"]"
        else:
            prefixes.append(key)
            suffixes.append(b"")
    prefix = max([len(_in_words(text + b"\0")) for text in prefixes], default=0)
    suffix = 1 if any(suffixes) else 0
    blank = np.zeros((len(prefixes), prefix + number_words + suffix), dtype=np.uint32)
    for slot, (before, after) in enumerate(zip(prefixes, suffixes, strict=True)):
        blank[slot, :prefix] = np.frombuffer(before.ljust(4 * prefix, b"\0"), np.uint32)
        blank[slot, prefix + number_words :] = np.frombuffer(after.ljust(4 * suffix, b"\0"), np.uint32)
    row = np.concatenate([head, blank.ravel(), _in_words(b"},")])
    return _Layout(row, len(head), blank.shape[1], prefix)


def _in_words(text: bytes) -> Words:
    """A text as whole words, with zeros at the end."""
    return np.frombuffer(text.ljust(4 * -(-len(text) // 4), b"\0"), dtype=np.uint32)
