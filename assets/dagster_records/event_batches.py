"""How this process writes events that Dagster hands over together: in one transaction of each of its SQLite files.

Dagster plans all days of a run at once, and tells of all days at once that a step has made. Its storage in PostgreSQL
writes such a batch in one go; that in SQLite opens two files, each with an engine of its own, and commits twice for
each event. Here it finds both files opened, in transactions that end with the batch. Events of days are written by one
statement for each file, as Dagster does it in PostgreSQL: what it keeps of an asset as a whole is its last event's.
Which rows those are is its own affair. What is stored and read one by one comes by kept engines
(`assets/dagster_records/kept_engines.py`).

A batch that can't be written leaves nothing behind, and Dagster then writes its events one by one.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any, TypeAlias

from assets.dagster_records.kept_engines import KeptEngines

if TYPE_CHECKING:
    from dagster import DagsterInstance, EventLogEntry
    from sqlalchemy.engine import Connection

# The kinds of events of which each leaves a row in the file of its run, one in the file of all runs, and what is known
# of its asset.
_OF_ASSETS = ("ASSET_MATERIALIZATION", "ASSET_MATERIALIZATION_PLANNED", "ASSET_OBSERVATION")
# Events of one statement: SQLite before 3.32 takes 999 values in one, and an event has 7.
AT_ONCE = 100

Connect: TypeAlias = "Callable[..., AbstractContextManager[Connection]]"


def join_event_batches(instance: "DagsterInstance") -> None:
    """Let the instance write each batch of events at once from now on; nothing where its storage has no file a run."""
    storage: Any = instance.event_log_storage
    if not storage.is_run_sharded:
        return
    batches = EventBatches(storage)
    storage.store_event_batch = batches.store
    storage.run_connection = batches.connect_run
    storage.index_connection = batches.connect_index
    storage.has_table = batches.has_table


@dataclass(slots=True)
class _Batch:
    """What is open for a batch: connections by the run that a file is of, None for the file of all runs."""

    opened: ExitStack
    connections: "dict[str | None, Connection]" = field(default_factory=dict)


class EventBatches:
    """The batches of a storage. Several threads may each write one at the same time."""

    def __init__(self, storage: Any) -> None:
        self._engines = KeptEngines()
        self._storage = storage
        self._store_event: Callable[[EventLogEntry], None] = storage.store_event
        self._connect_run: Connect = storage.run_connection
        self._connect_index: Connect = storage.index_connection
        self._written = threading.local()

    def store(self, events: "Sequence[EventLogEntry]") -> None:
        """Write all of them, or none where a database raises an error, which is raised."""
        with ExitStack() as opened:
            self._written.batch = _Batch(opened)
            opened.callback(delattr, self._written, "batch")
            for (run_id, kind), alike in groupby(events, lambda event: (event.run_id, _name_kind(event))):
                some = [*alike]
                if kind in _OF_ASSETS:
                    for begin in range(0, len(some), AT_ONCE):
                        self._store_alike(run_id, some[begin : begin + AT_ONCE])
                else:
                    for event in some:
                        self._store_event(event)

    def _store_alike(self, run_id: str, events: "Sequence[EventLogEntry]") -> None:
        """Write events of one run and kind, which is among those of assets."""
        insert = self._storage.prepare_insert_event_batch(events)
        with self.connect_run(run_id) as file:
            file.execute(insert)
        with self.connect_index() as file:
            # SQLite numbers the rows of a statement one after another, and nobody else writes meanwhile.
            last: int = file.execute(insert).lastrowid
        numbers = range(last - len(events) + 1, last + 1)
        self._storage.store_asset_event_tags(events, [*numbers])
        newest = {_name_asset(event): (event, number) for event, number in zip(events, numbers, strict=True)}
        for event, number in newest.values():
            self._storage.store_asset_event(event, number)

    def connect_run(self, run_id: str | None = None) -> "AbstractContextManager[Connection]":
        """A connection to the file of that run: that of this thread's batch, or else one as the storage makes it."""
        return self._connect(run_id, lambda: self._connect_run(run_id))

    def connect_index(self) -> "AbstractContextManager[Connection]":
        """The same for the file of all runs."""
        return self._connect(None, self._connect_index)

    def has_table(self, name: str) -> bool:
        """Whether the file of all runs has that table. Dagster asks while it has a connection to it already."""
        with self._engines.find(None, self._connect_index).connect() as connection:
            return bool(connection.dialect.has_table(connection, name))

    @contextmanager
    def _connect(self, run_id: str | None, connect: Connect) -> "Iterator[Connection]":
        batch: _Batch | None = getattr(self._written, "batch", None)
        if batch is None:
            with self._engines.connect(run_id, connect) as connection:
                yield connection
            return
        if run_id not in batch.connections:
            engine = self._engines.find(run_id, connect)
            batch.connections[run_id] = batch.opened.enter_context(engine.begin())
        yield batch.connections[run_id]


def _name_kind(event: "EventLogEntry") -> str:
    return event.dagster_event.event_type_value if event.dagster_event else ""


def _name_asset(event: "EventLogEntry") -> object:
    return event.dagster_event.asset_key if event.dagster_event else None
