"""How this process uses Dagster's SQLite files: they stay open, and the disk is waited for where a file would be torn.

Dagster opens a database for each event and closes it again, and SQLite reads the list of its tables again. The
last one to close a database with a write-ahead log also writes the log back into it, so each event waited for the disk
ten times. SQLAlchemy asks before it opens a file: a file of a home is opened by us then, and what Dagster closes goes
to the connections at rest, from which the next one is taken. So nobody is the last, and each connection waits for the
disk only when the log is written back. A commit outlives a crash of the program then, if not one of the machine, and
no crash can damage the file. Files, tables and rows are as Dagster makes them.

Dagster also makes an engine for each event, and SQLAlchemy compiles each statement once for each engine's dialect. The
connections to files of a home share one dialect and what was compiled for it: a statement is compiled once a process.
"""

import atexit
import os
import sqlite3
import threading
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from assets.dagster_records.kept_revisions import keep_revisions

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Dialect

# Each run has a database of its own, beside the one for all: a page that shows many runs opens many.
OPEN_AT_MOST = 8
# Connections to one file: a page and the threads of a run read it at the same time.
RESTING_AT_MOST = 4
# Names of files of which it is known whether they are in a home. Each run has a file of its own.
FILES_AT_MOST = 1_000
# How long a write waits for those of other processes; Dagster's own wait for the list of runs is 5 s.
BUSY_TIMEOUT_MS = 60_000
# Dagster has some hundred statements. There is a bound, because a few have as many values as a list has entries, and
# each look at whether a file's tables are the newest leaves one of 0.1 MB, with a table of its own, that nobody uses.
STATEMENTS_AT_MOST = 300

# A function of SQL that each connection has, and nobody calls.
PROBE = "sunledger_probe"

# The process that opened a connection, and the file: no process may use what it has from a fork.
Place: TypeAlias = tuple[int, Path]


class KeptConnection(sqlite3.Connection):
    """A connection to a file of a home, which rests where others close."""

    owner: "OpenFiles"
    file: Path
    # Which file that was: the name may belong to another one later.
    identity: tuple[int, int]
    # The options with which it was opened.
    options: dict[str, Any]

    def close(self) -> None:
        """Let it rest, or close it where enough do."""
        if not self.owner.rest(self):
            super().close()

    def end(self) -> None:
        """Close it in any case."""
        super().close()


class OpenFiles:
    """The databases below the homes of this process that are kept open: the newest few."""

    def __init__(self) -> None:
        self._guard = threading.RLock()
        self._homes: set[Path] = set()
        # The files that connections were to, by their names; None for one that is in no home.
        self._found: dict[str, Path | None] = {}
        self._resting: OrderedDict[Place, list[KeptConnection]] = OrderedDict()
        # The first dialect of its kind, and the statements that were compiled for it.
        self._dialects: dict[type[Dialect], Dialect] = {}
        self._compiled: dict[Any, Any] = {}
        self._listens = False

    def keep(self, dagster_home: Path) -> None:
        """Keep the databases of that home open from now on."""
        from sqlalchemy import event  # noqa: PLC0415 - comes with Dagster, and loads as slowly
        from sqlalchemy.engine import Engine  # noqa: PLC0415

        keep_revisions()
        with self._guard:
            self._homes.add(dagster_home.resolve())
            self._found.clear()
            if not self._listens:
                event.listen(Engine, "do_connect", self._open)
                event.listen(Engine, "engine_connect", self._share_statements)
                atexit.register(self.close, None)
                self._listens = True

    def close(self, below: Path | None) -> None:
        """Close those at rest that are below that folder, or to that file; all for None."""
        with self._guard:
            chosen = [
                place
                for place in self._resting
                if place[0] == os.getpid()
                and (below is None or below.resolve() in (place[1], *place[1].parents))
            ]
            for place in chosen:
                self._end_all(place)

    def rest(self, connection: KeptConnection) -> bool:
        """Keep the connection open for the next one who wants its file, unless enough of them rest already."""
        with self._guard:
            place = (os.getpid(), connection.file)
            resting = self._resting.setdefault(place, [])
            if len(resting) >= RESTING_AT_MOST or not _is_same_file(connection):
                return False
            # The next user must find it as if it were new.
            connection.rollback()
            if _has_open_statement(connection):
                return False
            resting.append(connection)
            self._resting.move_to_end(place)
            while len(self._resting) > OPEN_AT_MOST:
                self._end_all(next(iter(self._resting)))
            return True

    def _end_all(self, place: Place) -> None:
        for connection in self._resting.pop(place):
            # What came by a fork is the other process's: closing it here could take locks from it.
            if place[0] == os.getpid():
                connection.end()

    def _open(
        self, dialect: "Dialect", _record: object, places: Any, options: Any
    ) -> sqlite3.Connection | None:
        """A connection for SQLAlchemy, which opens one itself where this is None: to the files of others."""
        if dialect.name != "sqlite" or options.get("uri"):
            return None
        with self._guard:
            file = self._find_own_file(places[0])
            if file is None:
                return None
            resting = self._resting.get((os.getpid(), file), [])
            while resting:
                connection = resting.pop()
                if connection.options == options and _is_same_file(connection):
                    return connection
                connection.end()
        return self._open_new(file, options)

    def _open_new(self, file: Path, options: dict[str, Any]) -> sqlite3.Connection:
        connection = sqlite3.connect(file, factory=KeptConnection, **options)
        connection.owner, connection.file, connection.options = self, file, dict(options)
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        connection.create_function(PROBE, 0, int)
        found = file.stat()
        connection.identity = (found.st_dev, found.st_ino)
        return connection

    def _find_own_file(self, name: str) -> Path | None:
        """The file of that name, if it is in a home; hundreds of connections are to the same few."""
        if name not in self._found:
            if len(self._found) >= FILES_AT_MOST:
                self._found.clear()
            file = Path(name).resolve()
            self._found[name] = file if self._homes.intersection(file.parents) else None
        return self._found[name]

    def _share_statements(self, connection: "Connection") -> None:
        database = connection.engine.url.database
        if connection.dialect.name != "sqlite" or not database:
            return
        with self._guard:
            if self._find_own_file(database) is None:
                return
            if len(self._compiled) > STATEMENTS_AT_MOST:
                self._compiled.clear()
            connection.dialect = self._dialects.setdefault(type(connection.dialect), connection.dialect)
        connection.execution_options(compiled_cache=self._compiled)


def _is_same_file(connection: KeptConnection) -> bool:
    """Whether the name still belongs to the file that was opened: a deleted one takes what is written to nowhere."""
    with suppress(OSError):
        found = connection.file.stat()
        return (found.st_dev, found.st_ino) == connection.identity
    return False


def _has_open_statement(connection: KeptConnection) -> bool:
    """Whether a statement has not been read to its end, as a run leaves one that is interrupted in the middle of it.

    It goes on reading the file as it was then. SQLite says nothing of it, but replaces no function in the meantime.
    """
    try:
        connection.create_function(PROBE, 0, int)
    except sqlite3.OperationalError:
        return True
    return False


OPEN_FILES = OpenFiles()
