"""A copy of a SQLite file that others may be writing: whole, and with a bound to the wait for who has locked it."""

import contextlib
import errno
import shutil
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.common.errors import SunledgerError
from pipeline.common.files.lock_waits import TELL_FROM_S

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


def write_database_copy(path: Path, scratch: Path, tell: Callable[[str], None]) -> Path | None:
    """Write what is committed into that folder; the copy, None for a damaged database, which `tell` gets.

    Raises OSError, and SunledgerError where the folder has no room or another process has locked the database.
    """
    copy, look = scratch / "copy.db", LockedDatabase(path, tell).look
    try:
        try:
            _write_copy(path, copy, look)
        except sqlite3.DatabaseError:
            # On a disk that is read-only or full its log can't be opened: a process that was killed has left one.
            _write_copy(_copy_files(path, scratch / "files.db"), copy, look)
    except (sqlite3.DatabaseError, OSError) as fault:
        full = getattr(fault, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
        if full or getattr(fault, "errno", None) in {errno.ENOSPC, errno.EDQUOT}:
            raise SunledgerError(
                f"There is no room for a copy of {path} in {scratch.parent}, so no backup was written: free some space "
                "there or name another folder in TMPDIR, then run this again."
            ) from fault
        if isinstance(fault, OSError):
            raise
        tell(
            f"{path} can't be read as a database ({fault}), so the backup holds it as it is. It has no figures: "
            "'sunledger repair' puts it aside, also after a restore."
        )
        return None
    return copy


def _write_copy(path: Path, copy: Path, look: Callable[[int, int, int], None]) -> None:
    """Copy what is committed to a new file; `look` is called after each step. Raises sqlite3.Error."""
    copy.unlink(missing_ok=True)
    with (
        contextlib.closing(sqlite3.connect(path)) as source,
        contextlib.closing(sqlite3.connect(copy)) as target,
    ):
        source.backup(target, progress=look, sleep=LOOK_EVERY_S)


def _copy_files(path: Path, there: Path) -> Path:
    """The database and what a transaction of it has left beside it, under another name."""
    shutil.copyfile(path, there)
    for ending in ("-wal", "-journal"):
        Path(f"{there}{ending}").unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            shutil.copyfile(f"{path}{ending}", f"{there}{ending}")
    return there
