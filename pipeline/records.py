"""Dagster's records in SQLite at a fraction of the CPU time that its own storage takes: `storage:` of dagster.yaml.

Dagster's own opens each database anew for each event, compiles each statement anew, and commits each of a range's
materializations by itself. Here connections are kept, and a range's events are stored together. Files, tables and rows
are Dagster's: its own storage goes on with them when the setting is taken out.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import sqlalchemy as db
from dagster._core.events import ASSET_EVENTS
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.runs import SqliteRunStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData

from assets.start_lock import start_lock

# Each run has a database of its own, beside the one for all: a page that shows many runs opens many.
OPEN_AT_MOST = 8
BUSY_TIMEOUT_S = 60


def open_database(address: str) -> db.Engine:
    """An engine that keeps its connections; a commit outlives a crash of the program, if not one of the machine."""
    engine = db.create_engine(address, connect_args={"timeout": BUSY_TIMEOUT_S})

    @db.event.listens_for(engine, "connect")
    def _(connection: Any, _record: object) -> None:
        # With a write-ahead log no crash can damage the file; a fsync for each event would protect the newest seconds.
        connection.execute("PRAGMA synchronous=NORMAL")

    return engine


class EventLog(SqliteEventLogStorage):
    """Dagster's event log with open databases, which stores a batch of events in one transaction."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._open: OrderedDict[str, db.Engine] = OrderedDict()
        self._tables: set[str] = set()
        super().__init__(base_dir, inst_data)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[db.Connection]:
        with self._db_lock:
            engine = self._engine(shard)
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.begin() as connection:
                yield connection

    def _engine(self, shard: str) -> db.Engine:
        if shard not in self._open:
            self._open[shard] = open_database(self.conn_string_for_shard(shard))
        self._open.move_to_end(shard)
        while len(self._open) > OPEN_AT_MOST:
            self._open.popitem(last=False)[1].dispose()
        return self._open[shard]

    def delete_events(self, run_id: str) -> None:
        """Forget a run, and its database with it, which Dagster leaves behind empty."""
        super().delete_events(run_id)
        with self._db_lock:
            if run_id in self._open:
                self._open.pop(run_id).dispose()
            self._initialized_dbs.discard(run_id)
            for end in ("", "-wal", "-shm"):
                Path(self.path_for_shard(run_id) + end).unlink(missing_ok=True)

    def has_table(self, table_name: str) -> bool:
        """Whether there is such a table: asked for at each event, so a table that was found stays found."""
        if table_name not in self._tables and super().has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events of one run: those about assets together, others (plans of checks) one by one."""
        about_assets = [event for event in events if event.dagster_event_type in ASSET_EVENTS]
        if about_assets:
            self._store_together(about_assets)
        for event in events:
            if event.dagster_event_type not in ASSET_EVENTS:
                self.store_event(event)

    def _store_together(self, events: Sequence[EventLogEntry]) -> None:
        rows = [self._event_to_row(event) for event in events]
        insert = SqlEventLogStorageTable.insert()
        with self.run_connection(events[0].run_id) as connection:
            connection.execute(insert, rows)
        with self.index_transaction() as connection:
            ids = [connection.execute(insert, row).lastrowid for row in rows]
            self._store_asset_event_tags(connection, events, ids)
            # Each asset has one row, which its newest event of a kind writes anew.
            newest = {
                (event.get_dagster_event().asset_key, event.dagster_event_type): place
                for place, event in enumerate(events)
            }
            for place in newest.values():
                self._store_asset_event(connection, events[place], ids[place])

    def dispose(self) -> None:
        """Close all databases."""
        super().dispose()
        with self._db_lock:
            while self._open:
                self._open.popitem()[1].dispose()


class RunLog(SqliteRunStorage):
    """Dagster's list of runs with an open database."""

    def __init__(self, conn_string: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engine = open_database(conn_string)
        super().__init__(conn_string, inst_data)

    @contextmanager
    def connect(self) -> Iterator[db.Connection]:
        """A transaction."""
        with self._engine.begin() as connection:
            yield connection

    def dispose(self) -> None:
        """Close the database."""
        self._engine.dispose()


class Records(DagsterSqliteStorage):
    """All of Dagster's records below `base_dir`, where its own SQLite storage has them."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        # However Dagster was started: two processes that set up the same databases at once leave them unreadable.
        with start_lock(Path(base_dir)):
            super().__init__(base_dir, inst_data)
        self._run_storage = RunLog(self._run_storage._conn_string)  # noqa: SLF001 - the file that it has just made
        self._event_log_storage = EventLog(self._event_log_storage._base_dir)  # noqa: SLF001

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> Self:
        """The records that dagster.yaml names."""
        return cls.from_local(inst_data=inst_data, **config_value)
