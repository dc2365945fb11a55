"""Holds rows of a part between their arrival and their commit, in memory while they are few, then in a file.

Most parts are compared and written from memory without having been packed once. A part that is larger waits in a
file of this machine, packed by lz4, so that memory does not follow it.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import pyarrow as pa

HELD_BYTES = 32 * 2**20


class Spool:
    """Record batches in the order in which they were added; may be read several times. Use it as a context."""

    def __init__(self, schema: pa.Schema, folder: Path, held_bytes: int = HELD_BYTES) -> None:
        self.schema, self.folder, self.held_bytes = schema, folder, held_bytes
        self._held: list[pa.Table] = []
        self._size = 0
        self._file: IO[bytes] | None = None
        self._writer: pa.RecordBatchStreamWriter | None = None

    def add(self, table: pa.Table) -> None:
        """Keep a table of the spool's schema; not after the first reading."""
        if self._writer is not None:
            self._writer.write_table(table)
            return
        self._held.append(table)
        self._size += table.nbytes
        if self._size > self.held_bytes:
            self._move_to_file()

    def read_batches(self) -> Iterator[pa.RecordBatch]:
        """All rows that were added, from the first one on."""
        if self._file is None:
            for table in self._held:
                yield from table.to_batches()
            return
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self._file.seek(0)
        yield from pa.ipc.open_stream(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.clear()
        if self._file is not None:
            self._file.close()

    def _move_to_file(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=self.folder)  # noqa: SIM115 - closed with the spool
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        self._writer = pa.ipc.new_stream(self._file, self.schema, options=options)
        for table in self._held:
            self._writer.write_table(table)
        self._held.clear()
