"""A turn at a document in PostgreSQL that outlives a restart of the server, which takes locks away without a word.

SMA takes a refresh token once. A process that lost its lock while SMA renews its login must end before the next one
begins, so a row says whose turn it is, by the number of its process: who finds one waits while that process lives.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Any

from pipeline.common.shared_session import SharedSession
from pipeline.common.slow_stores import watch_lock

LOOK_EVERY_S = 0.2


@dataclass(slots=True)
class SharedTurn:
    """One turn at the document of that name. It is over, whatever ends it, after `longest_s` seconds at most.

    Call `begin` while the document's lock is held, and `end` in any case: also where `begin` goes on in another thread
    because nobody waits for it any more.
    """

    session: SharedSession
    name: str
    longest_s: float
    busy: Callable[[], Exception]
    _token: str = field(default_factory=lambda: token_hex(8), init=False)
    _is_over: bool = field(default=False, init=False)

    def begin(self) -> None:
        """Wait until no living process has its turn. Raises SharedStoreError, and what `busy` makes."""
        deadline, gone = time.monotonic() + self.longest_s, set[int]()
        place, end = (
            f"turn at {self.name} in {self.session.place}",
            f"it is waited for {self.longest_s:.0f} s at most",
        )
        with watch_lock(place, end):
            while not self._is_over and (holder := self._take(gone)) is not None:
                if newly_gone := self.session.find_gone({holder}):
                    gone |= newly_gone
                elif time.monotonic() >= deadline:
                    raise self.busy()
                else:
                    time.sleep(LOOK_EVERY_S)
        if self._is_over:
            self.end()

    def end(self) -> None:
        """Let others have their turn. Raises SharedStoreError; then they wait for the rest of the longest time."""
        self._is_over = True

        def leave(cursor: Any) -> None:
            # The row stays: one that is deleted while another process waits for it is not there for that process.
            cursor.execute(
                "UPDATE documents SET content = '' WHERE name = %s AND content LIKE %s",
                [self._row, self._end_of_row],
            )

        self.session.transact(leave)

    @property
    def _row(self) -> str:
        return f"turn {self.name}"

    @property
    def _end_of_row(self) -> bytes:
        return f"% {self._token}".encode()

    def _take(self, gone: set[int]) -> int | None:
        """Take the turn, or return the number of the process whose it is."""
        me = self.session.holder

        def take(cursor: Any) -> int | None:
            cursor.execute("SET LOCAL synchronous_commit TO on")
            cursor.execute("INSERT INTO documents VALUES (%s, '') ON CONFLICT DO NOTHING", [self._row])
            cursor.execute(
                "SELECT content, extract(epoch FROM clock_timestamp())::bigint FROM documents WHERE name = %s FOR "
                "UPDATE",
                [self._row],
            )
            content, now = cursor.fetchone()
            holder, began, token = (bytes(content).decode() or f"{me} 0 {self._token}").split()
            is_free = int(holder) in gone or now - int(began) > self.longest_s
            if not is_free and token != self._token:
                return int(holder)
            mine = f"{me} {now} {self._token}".encode()
            cursor.execute("UPDATE documents SET content = %s WHERE name = %s", [mine, self._row])
            return None

        return self.session.transact(take)
