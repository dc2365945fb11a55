"""Rows of several plants to JSON text, without a loop over rows or numbers.

All rows are written into one matrix of words (eight bytes), in which every key and every number has its place; what is
not needed of a place stays zero, and at the end all zeros are dropped at once. Numbers are written by looking up their
digits before and after the point. Absent values (NaN) become absent keys.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import orjson
import polars as pl
from numpy.typing import NDArray

from sandbox.days import Labels
from sandbox.series.slots import Fields, choose_precision, surround_numbers
from sandbox.series.table import Floats

_BEGIN, _END = b"[", b"}]"
_TIME = b'\0{"time":"'
"""A row's beginning, with a place for the beginning of the list."""
_MINUS = ord("-")
_WORD = 8

_SHORT_BELOW = 1e7
_LONG_FROM = 1e9
_LONG_RATE_FROM = 1e6
"""As integers of the last decimal: up to 9,999.999 a number takes one word, below a million two; a rate takes one."""

Words = NDArray[np.uint64]
Integers = NDArray[np.int32]
Slots = NDArray[np.intp]
Flags = NDArray[np.bool_]


def write_page_lists(fields: Fields, labels: Labels, numbers: Floats) -> list[memoryview]:
    """The lists of plants whose rows fit on one page; labels (plants, rows), numbers (slots, all rows), used up."""
    rates, scale = choose_precision(fields)
    scaled = np.multiply(numbers, scale, out=numbers)
    np.rint(scaled, out=scaled)
    there: Flags = np.isfinite(scaled)
    np.copyto(scaled, 0.0, where=~there)
    sizes = _Sizes.of(scaled, rates)
    texts = {int(slot): _encode_texts(scaled[slot] / scale[slot]) for slot in sizes.long}
    scaled[sizes.long] = 0.0
    integers = scaled.astype(np.int32)
    layout = _lay_out(fields, labels.itemsize, sizes.words(texts))
    page = layout.page(labels)
    for slots, write in (
        (sizes.short, _encode_short),
        (sizes.rates, _encode_rates),
        (sizes.wide, _encode_wide),
    ):
        if len(slots):
            for number, words in enumerate(write(integers[slots])):
                page[:, layout.places[slots] + number] = words.T
    for long, text in texts.items():
        page[:, layout.places[long] : layout.places[long] + text.shape[1]] = text
    _erase(page, layout.begins, there.reshape(len(there), *labels.shape))
    return _cut(page, len(labels))


def _erase(page: Words, begins: list[int], there: Flags) -> None:
    """Take keys and numbers of absent values off the page; `there` has the shape (slots, plants, rows)."""
    some, every = np.asarray(there.any(axis=2)), np.asarray(there.all(axis=2))
    of_plants = page.reshape(*there.shape[1:], -1)
    for slot, plant in zip(*np.nonzero(~some), strict=True):
        of_plants[plant, :, begins[slot] : begins[slot + 1]] = 0
    for slot in np.flatnonzero((some & ~every).any(axis=1)).tolist():
        kept = there[slot].reshape(-1).astype(np.uint64)
        for word in range(begins[slot], begins[slot + 1]):
            page[:, word] *= kept


def _cut(page: Words, plants: int) -> list[memoryview]:
    """Each plant's rows as a list; polars drops zeros many times faster than numpy or a translation does."""
    flat = pl.Series(page.reshape(-1).view(np.uint8))
    used = flat != 0
    text = flat.filter(used).to_numpy()
    size = len(flat) // plants
    lengths = [int(used.slice(plant * size, size).sum()) for plant in range(plants)]
    return [text[end - length : end].data for end, length in zip(accumulate(lengths), lengths, strict=True)]


class _Sizes(NamedTuple):
    """The slots of a page by the place that their numbers need."""

    short: Slots
    wide: Slots
    rates: Slots
    long: Slots

    @classmethod
    def of(cls, scaled: Floats, rates: NDArray[np.bool_]) -> "_Sizes":
        """Sort the slots by their smallest and largest numbers; what fits nowhere is long."""
        low, high = scaled.min(axis=1, initial=0.0), scaled.max(axis=1, initial=0.0)
        most = np.maximum(high, -low)
        rate = rates & (low >= 0) & (high < _LONG_RATE_FROM)
        short = ~rates & (low >= 0) & (high < _SHORT_BELOW)
        wide = ~rates & ~short & (most < _LONG_FROM)
        return cls(*(np.flatnonzero(some) for some in (short, wide, rate, ~(rate | short | wide))))

    def words(self, texts: dict[int, Words]) -> tuple[int, ...]:
        """How many words the numbers of each slot take."""
        counts = np.ones(sum(map(len, self)), dtype=np.intp)
        counts[self.wide] = 2
        for slot, text in texts.items():
            counts[slot] = text.shape[1]
        return tuple(counts.tolist())


def _encode_short(integers: Integers) -> tuple[Words, ...]:
    """Thousandths of 0 to 9,999.999 as one word."""
    table = _build_tables()
    whole, decimals = _divide(integers, 1000)
    return (table.whole.take(whole) | table.decimals.take(decimals),)


def _encode_wide(integers: Integers) -> tuple[Words, ...]:
    """Thousandths of anything below a million as two words: thousands with their sign, and the rest."""
    table = _build_tables()
    thousands, rest = _divide(np.abs(integers), 1_000_000)
    whole, decimals = _divide(rest, 1000)
    whole += (thousands > 0) * _INNER  # zeros inside of a number are written
    signs = (integers < 0) * np.uint64(_MINUS)
    return table.thousands.take(thousands) | signs, table.whole.take(whole) | table.decimals.take(decimals)


def _encode_rates(integers: Integers) -> tuple[Words, ...]:
    """Rates in units of the fifth decimal, 0 to 9.99999, as one word."""
    table = _build_tables()
    first, last = _divide(integers, 100)
    first += (last > 0) * _INNER
    return (table.rates.take(first) | table.last_decimals.take(last),)


def _divide(integers: Integers, by: int) -> tuple[Integers, Integers]:
    """Quotient and remainder; a multiplication is far cheaper than numpy's remainder."""
    quotient: Integers = integers // np.int32(by)
    return quotient, integers - quotient * np.int32(by)


_INNER = np.int32(10_000)
"""Where the texts begin that other digits precede or follow."""


class _Tables(NamedTuple):
    """Texts of up to eight bytes by number; texts of one number have their bytes in different places."""

    thousands: Words
    """One zero byte (the sign's place), then 1 to 999; nothing for 0."""
    whole: Words
    """`0.` to `9999.`, then `000.` to `999.`."""
    decimals: Words
    """From the sixth byte on: three decimals without the zeros at the end."""
    rates: Words
    """`0.0` to `9.999` without the zeros at the end, then with them."""
    last_decimals: Words
    """From the sixth byte on: two more decimals without the zeros at the end."""


@lru_cache(maxsize=1)
def _build_tables() -> _Tables:
    behind = "\0" * 5
    return _Tables(
        thousands=_build_table(["", *(f"\0{number}" for number in range(1, 1000))]),
        whole=_build_table([f"{n}." for n in range(_INNER)] + [f"{n:03}." for n in range(1000)]),
        decimals=_build_table([behind + (f"{n:03}".rstrip("0") or "0") for n in range(1000)]),
        rates=_build_table(
            [f"{n / 1000}" for n in range(_INNER)] + [f"{n / 1000:.3f}" for n in range(_INNER)]
        ),
        last_decimals=_build_table([behind + f"{n:02}".rstrip("0") for n in range(100)]),
    )


def _build_table(texts: list[str]) -> Words:
    return np.array(texts, dtype=f"S{_WORD}").view(np.uint64)


def _encode_texts(values: Floats) -> Words:
    """Values of any size as text, shape (rows, words)."""
    texts = orjson.dumps(values + 0.0, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].split(b",")
    width = _WORD * -(-max(map(len, texts)) // _WORD)
    return np.array(texts, dtype=f"S{width}").view(np.uint64).reshape(len(texts), -1)


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where everything stands in a row of words: the time, then of each slot the key and the number, then the end.

    `begins` has the first word of each slot's key, and at last where the slots end; `places` that of each number.
    """

    row: Words
    begins: list[int]
    places: Slots

    def page(self, labels: Labels) -> Words:
        """All rows with their labels and keys, without numbers; shape (plants * rows, words)."""
        plants, rows = labels.shape
        page = np.empty((plants * rows, len(self.row)), dtype=np.uint64)
        page[:] = self.row
        page[rows - 1 :: rows, -1] = _pad_to_words(_END)
        letters = page.view(np.uint8)
        letters[::rows, 0] = ord(_BEGIN)
        text = np.ascontiguousarray(labels).view(np.uint8).reshape(plants * rows, -1)
        letters[:, len(_TIME) : len(_TIME) + text.shape[1]] = text
        return page


@lru_cache(maxsize=256)
def _lay_out(fields: Fields, label_bytes: int, number_words: tuple[int, ...]) -> _Layout:
    """The layout of rows with these fields, and so many words for the numbers of each slot."""
    pieces = [_pad_to_words(_TIME + bytes(label_bytes) + b'"')]
    begins = [len(pieces[0])]
    places: list[int] = []
    for (before, after), words in zip(surround_numbers(fields), number_words, strict=True):
        slot = [_pad_to_words(before), np.zeros(words, dtype=np.uint64), _pad_to_words(after)]
        places.append(begins[-1] + len(slot[0]))
        begins.append(begins[-1] + sum(map(len, slot)))
        pieces += slot
    return _Layout(np.concatenate([*pieces, _pad_to_words(b"},")]), begins, np.array(places, dtype=np.intp))


def _pad_to_words(text: bytes) -> Words:
    """A text as whole words, with zeros at the end."""
    return np.frombuffer(text.ljust(_WORD * -(-len(text) // _WORD), b"\0"), dtype=np.uint64)
