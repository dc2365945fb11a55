"""The order in which workers of pytest find their tests."""

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any, TypeVar

T = TypeVar("T")


def deal_out(items: Sequence[T], workers: int, rank: Callable[[T], Any]) -> list[T]:
    """The items so that equal parts of the list, one for each worker, begin with as many of each lower rank.

    xdist gives each worker the next part of the list. Tests of a file stay together, since they share what they begin
    with.
    """
    ranks = [list(found) for _, found in groupby(sorted(items, key=rank), rank)]
    return [
        item
        for number in range(workers)
        for found in ranks
        for item in found[len(found) * number // workers : len(found) * (number + 1) // workers]
    ]
