"""The lake has one Delta table per model. The only way to write is to replace a part, completely or not at all.

A part is what the model's partition columns name, usually a plant-local day. Business rules stay out: the lake knows
models, parts and files.
"""

from collections.abc import Collection, Iterable, Mapping
from functools import cached_property

import polars as pl

from schemas import Table, storage
from warehouse.integrity.file_check import SoundFiles
from warehouse.lake_reader import LakeReader, Snapshot
from warehouse.lake_writer import EmptyPartError, Replacement, WriteResult
from warehouse.part_change import PartChange
from warehouse.part_folders import Part

__all__ = ["EmptyPartError", "Lake", "Part", "PartChange", "Replacement", "Snapshot", "WriteResult"]


class Lake(LakeReader):
    """The tables below one folder or s3 prefix, to read and to write."""

    def check_files(self, model: type[Table], uris: Collection[str]) -> None:
        """As LakeReader says. An object store watches over its objects itself, and comparing would read them twice."""
        if not self.remote:
            self._sound.check(model, uris)

    def trust_file(self, model: type[Table], path: str) -> None:
        """As LakeReader says."""
        self._sound.add(model, path)

    @cached_property
    def _sound(self) -> SoundFiles:
        return SoundFiles(self)

    def replace(
        self,
        model: type[Table],
        part: Part,
        chunks: Iterable[pl.DataFrame],
        *,
        plants: Collection[str] | None = None,
        devices: Collection[tuple[str, str]] | None = None,
        empty: bool = False,
        facts: Mapping[str, str] | None = None,
    ) -> WriteResult:
        """Make the part hold exactly the rows of `chunks`, in the order of the key: see `Replacement.commit`.

        Raises BadFrameError if a row breaks the model, and EmptyPartError.
        """
        with self.open_replacement(model, part) as new:
            for chunk in chunks:
                new.add(chunk)
            # This is evaluated only now, because the caller may learn the values while the chunks are read.
            return new.commit(plants=plants, devices=devices, empty=empty, facts=facts)

    def open_replacement(self, model: type[Table], part: Part) -> Replacement:
        """New rows for a part, to be added and then committed; several may be open at once. Use it as a context."""
        return Replacement(self, model, part)

    def append(self, model: type[Table], part: Part, rows: pl.DataFrame) -> WriteResult:
        """Add rows to the part, which is read and written again. Rows whose key it holds replace those.

        So adding the same rows again, after a kill for instance, changes nothing. Raises BadFrameError as `replace`.
        """
        with self.open_replacement(model, part) as new:
            new.add(rows.rechunk())
            return new.commit_over(rows.select(storage(model).key))
