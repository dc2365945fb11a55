"""The places of numbers in a row of JSON: what stands around them, and how precisely they are written."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from sandbox.series.table import Floats

DECIMALS = 3
RATE_DECIMALS = 5
_LETTERS = "ABCDEFGH"

Fields = tuple[tuple[str, int], ...]
"""Names in the order of writing, each with its number of elements; 0 for a field that is no array.

A field has one slot, or one for each of its elements.
"""


def surround_numbers(fields: Fields) -> list[tuple[bytes, bytes]]:
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
def find_fields_of_slots(fields: Fields) -> NDArray[np.intp]:
    """Of each slot: the number of its field."""
    return np.repeat(np.arange(len(fields)), [elements or 1 for _, elements in fields])


@lru_cache(maxsize=128)
def choose_precision(fields: Fields) -> tuple[NDArray[np.bool_], Floats]:
    """Of each slot: whether it is a rate, and what makes integers of its values."""
    rates = np.array([name.endswith("Rate") for name, elements in fields for _ in range(elements or 1)], bool)
    return rates, np.where(rates, 10.0**RATE_DECIMALS, 10.0**DECIMALS)[:, None]
