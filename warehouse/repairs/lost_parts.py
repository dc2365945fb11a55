"""What a repair of the lake says: parts whose rows are lost, and what became of each place."""

import datetime as dt
from dataclasses import dataclass

import polars as pl

from schemas import Table, polars_schema
from warehouse.frames import name_place
from warehouse.lake import Part
from warehouse.part_folders import find_part


@dataclass(frozen=True, slots=True)
class LostPart:
    """A part whose rows are to be rebuilt.

    `published` is the version of the table that the published file shows, where its copy of the part is what was lost.
    """

    model: type[Table]
    folder: str
    published: int | None = None

    @property
    def part(self) -> Part:
        """The values of the partition columns."""
        schema = polars_schema(self.model)
        texts = dict(name.split("=", 1) for name in self.folder.split("/") if name)
        return {n: dt.date.fromisoformat(v) if schema[n] == pl.Date else v for n, v in texts.items()}

    @property
    def place(self) -> str:
        """Table and part as a message names them."""
        return name_place(self.model, self.part)


@dataclass(frozen=True, slots=True)
class Step:
    """What was found at a place, and what became of it."""

    place: str
    found: str
    done: str


def name_file_place(model: type[Table], path: str) -> str:
    """Table and part of a file, by its path in the table, as a message names them; a file of no part has the table."""
    return name_place(model, find_part(path, polars_schema(model)))
