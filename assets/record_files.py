"""How this process uses Dagster's SQLite files: they stay open, and the disk is waited for where a file would be torn.

Dagster opens a database for each event and closes it again. The last one to close a database with a write-ahead log
writes the log back into it, so each event waited for the disk ten times. SQLAlchemy tells of each new connection: the
first one to a file makes us keep another one open, so that nobody is the last, and each one waits for the disk only
when the log is written back. A commit outlives a crash of the program then, if not one of the machine, and no crash
can damage the file. Files, tables and rows are as Dagster makes them.

Dagster also makes an engine for each event, and SQLAlchemy compiles each statement once for each engine's dialect. The
connections to files of a home share one dialect and what was compiled for it: a statement is compiled once a process.
"""

import atexit
import sqlite3
import threading
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Dialect

# Each run has a database of its own, beside the one for all: a page that shows many runs opens many.
OPEN_AT_MOST = 8
# Names of files that are known to be in a home or not: each run has a file of its own.
FILES_AT_MOST = 1_000
# How long a write waits for those of other processes; Dagster's own wait for the list of runs is 5 s.
BUSY_TIMEOUT_MS = 60_000
# Dagster has some hundred statements. A few have as many values as a list has entries, so there is a bound.
STATEMENTS_AT_MOST = 1_000


class OpenFiles:
    """The databases below the homes of this process that are kept open: the newest few."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._homes: set[Path] = set()
        # The files that connections were to, by their names; None for one that is in no home.
        self._found: dict[str, Path | None] = {}
        self._open: OrderedDict[Path, sqlite3.Connection] = OrderedDict()
        # The first dialect of its kind, and the statements that were compiled for it.
        self._dialects: dict[type[Dialect], Dialect] = {}
        self._compiled: dict[Any, Any] = {}
        self._listens = False

    def keep(self, dagster_home: Path) -> None:
        """Keep the databases of that home open from now on."""
        from sqlalchemy import event  # noqa: PLC0415 - comes with Dagster, and loads as slowly
        from sqlalchemy.engine import Engine  # noqa: PLC0415

        with self._guard:
            self._homes.add(dagster_home.resolve())
            self._found.clear()
            if not self._listens:
                event.listen(Engine, "connect", self._restrict_connection)
                event.listen(Engine, "engine_connect", self._share_statements)
                atexit.register(self.close, None)
                self._listens = True

    def close(self, below: Path | None) -> None:
        """Close those that are below that folder, or that file; all for None."""
        with self._guard:
            chosen = [
                file for file in self._open if below is None or below.resolve() in (file, *file.parents)
            ]
            for file in chosen:
                self._open.pop(file).close()

    def _restrict_connection(self, connection: Any, _record: object) -> None:
        if not isinstance(connection, sqlite3.Connection):
            return
        _, _, name = connection.execute("PRAGMA database_list").fetchone()
        with self._guard:
            file = self._find_own_file(name)
            if file is None:
                return
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
            if file in self._open:
                self._open.move_to_end(file)
            else:
                # Without it everything goes on, but more slowly.
                with suppress(sqlite3.Error):
                    self._hold(file)
            while len(self._open) > OPEN_AT_MOST:
                self._open.popitem(last=False)[1].close()

    def _find_own_file(self, name: str) -> Path | None:
        """The file of that name, if it is in a home; hundreds of connections are to the same few."""
        if name not in self._found:
            if len(self._found) >= FILES_AT_MOST:
                self._found.clear()
            file = Path(name)
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

    def _hold(self, file: Path) -> None:
        held = sqlite3.connect(file, check_same_thread=False)
        try:
            # A database that Dagster is still making has no such log yet, and who has not read has not opened it.
            ((mode,),) = held.execute("PRAGMA journal_mode").fetchall()
            held.execute("SELECT count(*) FROM sqlite_master").fetchall()
        except BaseException:
            held.close()
            raise
        if mode == "wal":
            self._open[file] = held
        else:
            held.close()


OPEN_FILES = OpenFiles()
