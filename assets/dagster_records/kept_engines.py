"""The engines of Dagster's SQLite files, which this process makes once a file.

Dagster makes an engine of SQLAlchemy for each connection, twenty or thirty for each step of a run, and each asks its
file again what it can do. That takes several times as long as what is asked for. The first connection to a file is
still Dagster's own, which lays the file's tables; those after it come from the engine of the first.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine

Connect: TypeAlias = "Callable[[], AbstractContextManager[Connection]]"

# Each run has a file of its own; a page that shows many runs reads many.
ENGINES_AT_MOST = 8


class KeptEngines:
    """Those of the files of one storage, by a run's identity, or None for the file of all runs: the newest few."""

    def __init__(self) -> None:
        # Dagster's storage lets one thread have a connection at a time, and so do we.
        self._turn, self._guard = threading.Lock(), threading.Lock()
        self._engines: OrderedDict[str | None, Engine] = OrderedDict()

    @contextmanager
    def connect(self, file: str | None, connect: Connect) -> "Iterator[Connection]":
        """A connection to that file in a transaction, which ends with it. `connect` makes the first one."""
        engine = self.find(file, connect)
        with self._turn, engine.begin() as connection:
            yield connection

    def find(self, file: str | None, connect: Connect) -> "Engine":
        """The file's engine, which `connect` has made."""
        with self._guard:
            engine = self._engines.get(file)
        if engine is None:
            # The storage holds a lock while one of its own connections is open, so none of ours may be open in it.
            with connect() as connection:
                engine = connection.engine
        with self._guard:
            self._engines[file] = engine
            self._engines.move_to_end(file)
            while len(self._engines) > ENGINES_AT_MOST:
                self._engines.popitem(last=False)
        return engine
