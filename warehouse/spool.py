"""Holds rows of a part between their arrival and their commit, in memory while they are few, then in a file.

Most parts are compared and written from memory without having been packed once. All parts of a lake share the memory:
the days of a week are open at once. Where they hold too much, the one that grows goes on in a file of this machine,
packed by lz4, so memory follows neither the size of the parts nor their number.
"""

import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import pyarrow as pa

from pipeline.common.files.atomic_files import name_in_faults

HELD_BYTES = 16 * 2**20


class SharedMemory:
    """How many bytes all spools of a lake hold in memory; several threads may fill spools."""

    def __init__(self, limit: int = HELD_BYTES) -> None:
        self.limit = limit
        self._held = 0
        self._lock = threading.Lock()

    def take(self, size: int) -> bool:
        """Count the bytes in; False if all spools together now hold more than the limit."""
        with self._lock:
            self._held += size
            return self._held <= self.limit

    def give_back(self, size: int) -> None:
        """Count the bytes out again."""
        with self._lock:
            self._held -= size


class Spool:
    """Record batches in the order in which they were added; may be read several times. Use it as a context."""

    def __init__(self, schema: pa.Schema, folder: Path, memory: SharedMemory) -> None:
        self.schema, self.folder, self.memory = schema, folder, memory
        self._held: list[pa.Table] = []
        self._size = 0
        self._file: IO[bytes] | None = None
        self._writer: pa.RecordBatchStreamWriter | None = None

    def add(self, table: pa.Table) -> None:
        """Keep a table of the spool's schema; not after the first reading."""
        if self._writer is not None:
            with name_in_faults(self.folder):
                self._writer.write_table(table)
            return
        self._held.append(table)
        self._size += table.nbytes
        if not self.memory.take(table.nbytes):
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
        self._let_go()
        if self._file is not None:
            self._file.close()

    def _move_to_file(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=self.folder)  # noqa: SIM115 - closed with the spool
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        self._writer = pa.ipc.new_stream(self._file, self.schema, options=options)
        with name_in_faults(self.folder):
            for table in self._held:
                self._writer.write_table(table)
        self._let_go()

    def _let_go(self) -> None:
        self.memory.give_back(self._size)
        self._size = 0
        self._held.clear()
