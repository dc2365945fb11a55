"""Reads results ahead of who takes them, so that one credential's budget never holds up another one's requests."""

import queue
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO

from pipeline.common.errors import SunledgerError
from pipeline.sma.requests import Answer, Failure

# Bodies that wait in memory; beyond that they wait in a file without a name.
HELD_BYTES = 32 * 2**20
# A reader that is stopped ends with its next result; its session ends it at once when it is closed.
STOP_WAIT_S = 1.0

Result = Answer | Failure


class ReadAhead:
    """Pulls all results in a thread of its own; `take` hands them out in their order. Close it when leaving early."""

    def __init__(self, results: Iterator[Result], scratch: Path) -> None:
        self._results = results
        self._scratch = scratch
        self._ready: queue.SimpleQueue[tuple[Result, int | None, int] | BaseException] = queue.SimpleQueue()
        self._file: IO[bytes] | None = None
        self._guard = threading.Lock()
        self._held_bytes = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._read, name="sma-read-ahead", daemon=True)
        self._thread.start()

    def take(self) -> Result:
        """The next result, waited for. Raises what reading it raised."""
        found = self._ready.get()
        if isinstance(found, BaseException):
            raise found
        result, place, size = found
        if place is None:
            with self._guard:
                self._held_bytes -= size
            return result
        return self._read_body(result, place, size)

    def close(self) -> None:
        """Read no further result."""
        self._stopped.set()
        self._thread.join(STOP_WAIT_S)
        if self._file is not None and not self._thread.is_alive():
            self._file.close()

    def _read(self) -> None:
        try:
            for result in self._results:
                self._ready.put(self._keep(result))
                if self._stopped.is_set():
                    return
            self._ready.put(SunledgerError("All results were taken already."))
        except BaseException as fault:
            self._ready.put(fault)

    def _keep(self, result: Result) -> tuple[Result, int | None, int]:
        size = len(result.body) if isinstance(result, Answer) else 0
        with self._guard:
            if not isinstance(result, Answer) or self._held_bytes + size <= HELD_BYTES:
                self._held_bytes += size
                return result, None, size
            if self._file is None:
                self._scratch.mkdir(parents=True, exist_ok=True)
                self._file = tempfile.TemporaryFile(dir=self._scratch)  # noqa: SIM115 - closed with the reader
            place = self._file.seek(0, 2)
            self._file.write(result.body)
        return replace(result, body=b""), place, size

    def _read_body(self, result: Result, place: int, size: int) -> Result:
        with self._guard:
            assert self._file is not None and isinstance(result, Answer)  # noqa: S101, PT018 - `_keep` wrote it there
            self._file.seek(place)
            return replace(result, body=self._file.read(size))
