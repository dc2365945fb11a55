"""A copy of a SQLite file that others may be writing: whole, and with a bound to the wait for who has locked it."""

import contextlib
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.common.errors import SunledgerError
from pipeline.common.lock_waits import TELL_FROM_S

# Whoever writes records holds their file for milliseconds.
PATIENCE_S = 60.0
LOOK_EVERY_S = 0.25


@dataclass(slots=True)
class LockedDatabase:
    """A wait for a database that another process has locked, which `tell` gets."""

    path: Path
    tell: Callable[[str], None]
    _since: float | None = None
    _told: bool = False

    def look(self, status: int, left: int, pages: int) -> None:  # noqa: ARG002 - as sqlite3 calls it
        """Go on, or wait for a moment more where the status says that it is locked. Raises SunledgerError at last."""
        if status not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            self._since = None
            return
        now = time.monotonic()
        self._since = self._since or now
        if now - self._since >= PATIENCE_S:
            raise SunledgerError(
                f"Another process has locked {self.path} for {PATIENCE_S:g} s, so no backup was written: end it if it "
                "is stopped ('sunledger doctor' helps to find it), then run this again."
            )
        if now - self._since >= TELL_FROM_S and not self._told:
            self._told = True
            self.tell(f"Another process has locked {self.path}. Waiting for at most {PATIENCE_S:g} s.")


def write_database_copy(path: Path, copy: Path, look: Callable[[int, int, int], None]) -> None:
    """Copy what is committed to a new file; `look` is called after each step. Raises sqlite3.Error."""
    with (
        contextlib.closing(sqlite3.connect(path)) as source,
        contextlib.closing(sqlite3.connect(copy)) as target,
    ):
        source.backup(target, progress=look, sleep=LOOK_EVERY_S)
