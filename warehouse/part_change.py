"""The difference that replacing a part makes, before it is made."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import cast

import polars as pl
import pyarrow as pa

from schemas import Table, polars_schema
from warehouse.lake_reader import LakeReader, build_empty_frame
from warehouse.part_folders import cut_table_path


class PartChange:
    """A part's stored rows and the different ones that are about to replace them."""

    def __init__(
        self,
        lake: LakeReader,
        model: type[Table],
        files: Sequence[str],
        spooled: Callable[[], Iterator[pa.RecordBatch]],
        facts: Mapping[str, str],
    ) -> None:
        self.files, self.facts = files, facts
        self._lake, self._model, self._spooled = lake, model, spooled
        # The stored files are never written again, so their names tell this change from every other one of the part.
        self.replaces = " ".join(cut_table_path(model, uri) for uri in files)

    def read_before(self) -> Iterator[pl.DataFrame]:
        """The stored rows in frames of bounded size, in the order of the key; none at the first writing."""
        yield build_empty_frame(self._model)
        yield from self._lake.read_files(self._model, self.files)

    def read_after(self) -> Iterator[pl.DataFrame]:
        """The rows that take their place, likewise."""
        types = polars_schema(self._model)
        yield build_empty_frame(self._model)
        for batch in self._spooled():
            yield cast("pl.DataFrame", pl.from_arrow(batch)).cast(types)

    def read_facts_before(self) -> dict[str, str]:
        """The recorded sources of the stored rows; empty where none were recorded."""
        return self._lake.read_facts_of(self._model, self.files)
