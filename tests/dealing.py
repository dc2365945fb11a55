"""The order in which workers of pytest find their tests."""

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any, TypeVar

T = TypeVar("T")


def deal_out(items: Sequence[T], workers: int, rank: Callable[[T], Any], file: Callable[[T], Any]) -> list[T]:
    """The items so that parts of the list, one for each worker, begin with as many of each lower rank.

    xdist gives each worker an equal part of the list. Tests of a file stay together, since they share what they begin
    with: a part ends with the file that is begun.
    """
    dealt: list[list[T]] = [[] for _ in range(workers)]
    for _, found in groupby(sorted(items, key=rank), rank):
        ranked, begun = list(found), 0
        for _, together in groupby(ranked, file):
            of_file = list(together)
            dealt[begun * workers // len(ranked)] += of_file
            begun += len(of_file)
    return [item for part in dealt for item in part]
