"""A file of the home with the reports of steps by day, and what they had looked at; nothing is lost without it."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

# Another process that writes holds the file for milliseconds. A step that finds nothing is done, which is the remedy.
PATIENCE_S = 2.0
_TABLE = "CREATE TABLE IF NOT EXISTS results (step TEXT, day TEXT, basis TEXT, report TEXT, PRIMARY KEY (step, day))"
_KEEP = "INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?)"
_FIND = "SELECT report FROM results WHERE step = ? AND day = ? AND basis = ?"


class KeptResult(NamedTuple):
    """What is kept of a step and a day: `basis` is the state of all but the lake, `report` a text."""

    step: str
    day: str
    basis: str
    report: str


class ResultFile:
    """The newest result of each step and day. Threads may share it, and processes the file.

    A file that can't be used is removed where it is damaged and otherwise left alone: then nothing is found.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._guard = threading.Lock()
        self._opened: sqlite3.Connection | None = None

    def find(self, step: str, day: str, basis: str) -> str | None:
        """The report of the step and day on this basis; None where there is none, or the file can't be read."""
        with self._use() as database:
            if database is not None:
                row = database.execute(_FIND, (step, day, basis)).fetchone()
                return None if row is None else str(row[0])
        return None

    def keep(self, result: KeptResult) -> None:
        """Keep it in the place of an older one of its step and day."""
        with self._use() as database:
            if database is not None:
                database.execute(_KEEP, result)

    def close(self) -> None:
        """Close the file; it is opened again where it is needed."""
        with self._guard:
            if self._opened is not None:
                self._opened.close()
                self._opened = None

    @contextmanager
    def _use(self) -> Iterator[sqlite3.Connection | None]:
        """The open file, for one thread at a time; None where it can't be used. What fails in the block is left out."""
        with self._guard:
            try:
                if self._opened is None:
                    self._opened = self._open()
            except (sqlite3.Error, OSError) as fault:
                self._drop(fault)
                yield None
                return
            with suppress(sqlite3.OperationalError):
                try:
                    yield self._opened
                except sqlite3.DatabaseError as fault:
                    self._drop(fault)
                    raise sqlite3.OperationalError(str(fault)) from fault

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        opened = sqlite3.connect(
            self._path, timeout=PATIENCE_S, isolation_level=None, check_same_thread=False
        )
        # It is never worth a wait for the disk.
        opened.execute("PRAGMA synchronous = OFF")
        opened.execute(_TABLE)
        return opened

    def _drop(self, fault: Exception) -> None:
        """Close the file, and remove it where it is damaged."""
        if self._opened is not None:
            with suppress(sqlite3.Error):
                self._opened.close()
            self._opened = None
        if type(fault) is sqlite3.DatabaseError:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)
