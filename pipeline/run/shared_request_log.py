"""The record of requests of a cluster: each try goes to PostgreSQL at once, and from there to the lake in batches.

So a worker that is lost with its disk loses no request that SMA counts: whoever stores records next takes those of dead
processes along.
"""

import datetime as dt
import threading
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.common.errors import SunledgerError
from pipeline.common.shared_session import SharedSession
from pipeline.run.request_log import MovedRequests, format_try, read_tries, set_lines_aside
from pipeline.sma.http.attempt_log import LoggedTry
from schemas import ApiRequests
from warehouse.lake import Lake

# Tries that are moved at once: some 5 MB.
BATCH = 20_000
# Moving a batch takes seconds.
PATIENCE_S = 600.0


class SharedRequestLog:
    """Tries in PostgreSQL. May be used by several threads. Lines that can't be read go to a file below `folder`."""

    def __init__(self, session: SharedSession, folder: Path) -> None:
        self._session, self._folder = session, folder
        self._guard = threading.Lock()
        self._name, self._count, self._synced = uuid.uuid4().hex, 0, 0

    def add(self, one: LoggedTry) -> None:
        """Write one try down. Raises SharedStoreError when it can't be."""
        with self._guard:
            self._count += 1
            name = f"{self._name}-{self._count}"
        line, holder = format_try(one, name).decode(), self._session.holder

        def insert(cursor: Any) -> None:
            cursor.execute(
                "INSERT INTO requests VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
                [name, holder, line],
            )

        self._session.transact(insert)

    def store(self, lake: Lake) -> MovedRequests:
        """Move to the lake what this process wrote, and what processes left that are gone."""
        moved = MovedRequests()
        with self._session.lock("requests", PATIENCE_S, _build_slow_error):
            while rows := self._take_batch():
                frame, unreadable = read_tries("".join(line for _, line in rows).encode())
                for (day,), of_day in frame.group_by("asked_date", maintain_order=True):
                    assert isinstance(day, dt.date)  # noqa: S101 - group_by types its keys as objects
                    lake.append(ApiRequests, {"asked_date": day}, of_day)
                if unreadable:
                    moved.kept.append(set_lines_aside(self._folder / f"{uuid.uuid4().hex}", unreadable))
                self._forget([name for name, _ in rows])
                moved.tries += frame.height
                moved.unreadable += len(unreadable)
        return moved

    def sync(self) -> None:
        """Have the tries up to now on PostgreSQL's disk, before anything is stored of their answers.

        And on that of a standby that it waits for. Raises SharedStoreError.
        """
        with self._guard:
            count = self._count
        if count > self._synced:
            self._session.transact(_wait_for_disk)
            self._synced = count

    def close(self) -> None:
        """Nothing is held open."""

    def _take_batch(self) -> list[tuple[str, str]]:
        """Names and lines of this process and of dead ones."""
        me = self._session.holder

        def list_others(cursor: Any) -> list[int]:
            cursor.execute("SELECT DISTINCT holder FROM requests WHERE holder <> %s", [me])
            return [holder for (holder,) in cursor.fetchall()]

        taken = [me, *self._session.find_gone(self._session.transact(list_others))]

        def select(cursor: Any) -> list[tuple[str, str]]:
            cursor.execute(
                "SELECT request_id, try::text || E'\\n' FROM requests WHERE holder = ANY(%s) LIMIT %s",
                [taken, BATCH],
            )
            found: list[tuple[str, str]] = cursor.fetchall()
            return found

        return self._session.transact(select)

    def _forget(self, names: Sequence[str]) -> None:
        def delete(cursor: Any) -> None:
            cursor.execute("DELETE FROM requests WHERE request_id = ANY(%s)", [list(names)])

        self._session.transact(delete)


def _wait_for_disk(cursor: Any) -> None:
    """A commit that waits for the disk takes all before it along; it must have something to write, or it does not."""
    cursor.execute("SET LOCAL synchronous_commit TO on")
    cursor.execute("SELECT pg_logical_emit_message(true, 'sunledger', '')")


def _build_slow_error() -> SunledgerError:
    return SunledgerError(
        f"Another process has been moving the record of requests to the lake for {PATIENCE_S / 60:.0f} minutes: end "
        "it, then run this again. No request is lost."
    )
