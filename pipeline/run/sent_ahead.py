"""Sends the requests of the next days while the answers of those before are split and stored.

Whoever fetches days in their turn takes what was sent ahead. What can't be sent yet, because another run fetches the
same or because of its cost, is left to its turn, and fails there with its own error.
"""

import datetime as dt
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeAlias

from pipeline.run.context import RunContext, SentRequests

# The name of what is fetched, and its days.
Place: TypeAlias = tuple[str, tuple[dt.date, ...]]


@dataclass(frozen=True, slots=True)
class DaysToFetch:
    """Days of one calendar week of a raw table and set, by name, and what sends the requests that they lack."""

    name: str
    days: tuple[dt.date, ...]
    send: Callable[[RunContext], SentRequests]


class SentAhead:
    """What a run will fetch, in this order. Use it as a context; outside of the block nothing is sent ahead.

    Only the next days that lack something are sent ahead, so memory and what a kill loses stay bounded.
    """

    def __init__(self, runtime: RunContext, upcoming: Iterable[DaysToFetch]) -> None:
        self._runtime = runtime
        # None stands for days that are left to their turn: nothing after them is sent ahead.
        self._upcoming: dict[Place, DaysToFetch | None] = {(one.name, one.days): one for one in upcoming}
        self._sent: dict[Place, SentRequests] = {}
        self._guard = threading.RLock()

    def take(self, name: str, days: tuple[dt.date, ...]) -> SentRequests | None:
        """The requests of these days if they were sent ahead; the caller closes them, or sends them where None is."""
        with self._guard:
            self._upcoming.pop((name, days), None)
            return self._sent.pop((name, days), None)

    def send_next(self) -> None:
        """Send the requests of the next days that lack something, unless some are sent ahead already."""
        with self._guard:
            for place, following in self._upcoming.items():
                if place not in self._sent:
                    if following is None:
                        return
                    try:
                        self._sent[place] = following.send(self._runtime)
                    except Exception:
                        # Whoever fetches them in their turn meets the fault too, and reports it.
                        self._upcoming[place] = None
                        return
                if self._sent[place].count:
                    return

    def drop(self) -> None:
        """End what is sent ahead, and leave it to its turn: the run waits for others, who may wait for it."""
        with self._guard:
            while self._sent:
                place, sent = self._sent.popitem()
                self._upcoming[place] = None
                with suppress(Exception):
                    sent.close()

    def __enter__(self) -> Self:
        self._runtime.opened.sent_ahead = self
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._runtime.opened.sent_ahead = None
        self.drop()
