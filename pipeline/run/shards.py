"""Shards: parts of the fleet whose days are fetched by runs of their own, on any machine.

A plant's shard follows from its id alone, so it stays the same while plants come and go.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from zlib import crc32

from pipeline.common.errors import UsageError

# Each shard rewrites a day's part of the lake, and sends a request for the list of plants.
LEAST_PLANTS = 1000
MOST_SHARDS = 100

_FORM = re.compile(r"(\d{1,3})/(\d{1,3})")


@dataclass(frozen=True, slots=True)
class Shard:
    """One of `count` shards, counted from 1."""

    number: int
    count: int

    def __str__(self) -> str:
        """The form of the option and of the tag."""
        return f"{self.number}/{self.count}"

    def select(self, plants: Collection[str]) -> list[str]:
        """The ids of the plants that are in the shard."""
        return [plant for plant in plants if crc32(plant.encode()) % self.count == self.number - 1]


def parse_shard(where: str, text: str) -> Shard:
    """The shard of a text such as 2/3. Raises UsageError, which names `where` the text stands."""
    found = _FORM.fullmatch(text)
    number, count = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= number <= count <= MOST_SHARDS:
        raise UsageError(
            f"{where} {text} is not a shard: write number/count, for instance 2/3 for the second of three, at most "
            f"{MOST_SHARDS}/{MOST_SHARDS}."
        )
    return Shard(number, count)


def list_shards(count: int) -> list[Shard]:
    """All of them."""
    return [Shard(number, count) for number in range(1, count + 1)]
