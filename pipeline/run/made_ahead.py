"""Makes tables of days in a thread of its own while other days are still fetched.

A day of a table can be made as soon as the day of all tables is stored that it reads and that the run brings. Whoever
makes the tables in their turn takes what was made ahead; what failed here is done there, and fails with its own error.
"""

import datetime as dt
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Self, TypeAlias

from pipeline.common.allocators import free_code_pages, free_kept_memory
from pipeline.common.day_availability import is_closed_everywhere
from pipeline.run.context import RunContext
from pipeline.run.step_result import StepResult
from pipeline.run.unchanged_steps import HeldResult, UnchangedSteps

MakeDay: TypeAlias = Callable[[RunContext, dt.date], StepResult]
# A day of a table takes seconds at most; by then a store that does not answer is given up.
END_PATIENCE_S = 120.0
# Nearly all days are made within this time, and nothing is said of them.
QUIET_WAIT_S = 10.0


@dataclass(frozen=True, slots=True)
class DayTable:
    """A table of which a run brings days: the tables that it is made from, and what makes a day.

    `make` is None of a table that is fetched.
    """

    name: str
    inputs: frozenset[str]
    make: MakeDay | None


class MadeAhead:
    """The days that are made ahead in a run. Use it as a context; outside of the block nothing is made."""

    def __init__(self, runtime: RunContext, tables: Iterable[DayTable]) -> None:
        self._runtime = runtime
        self._unchanged = UnchangedSteps.of(runtime)
        self._tables = {table.name: table for table in tables}
        self._stored: defaultdict[dt.date, set[str]] = defaultdict(set)
        # The tables and days that may be made now, in this order; the one that is being made; and those that are made
        # and not taken yet.
        self._ready: dict[tuple[str, dt.date], None] = {}
        self._making: tuple[str, dt.date] | None = None
        self._made: dict[tuple[str, dt.date], HeldResult] = {}
        self._ended = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._make_days, name="made-ahead", daemon=True)

    def note_stored(self, table: str, day: dt.date) -> None:
        """A day of the table is stored: what is made of it may be ready."""
        if not is_closed_everywhere(day, self._runtime.now()):
            return
        with self._changed:
            stored = self._stored[day]
            stored.add(table)
            for other in self._tables.values():
                place = (other.name, day)
                needed = other.inputs & self._tables.keys()
                if other.make and table in needed and needed <= stored and other.name not in stored:
                    self._ready[place] = None
            self._changed.notify_all()

    def take(self, table: str, day: dt.date) -> StepResult | None:
        """The result of the day if it was made ahead and still holds; None if it is for the caller to make.

        Waits while the day is being made, for two minutes at most: two who make the same day do no harm.
        """
        place = (table, day)
        with self._changed:
            self._ready.pop(place, None)
            if not self._changed.wait_for(lambda: self._making != place, QUIET_WAIT_S):
                self._tell_wait(f"{table} of {day}")
                self._changed.wait_for(lambda: self._making != place, END_PATIENCE_S - QUIET_WAIT_S)
            made = self._made.pop(place, None)
        return None if made is None or not self._unchanged.confirm(made) else made.result

    def _tell_wait(self, what: str) -> None:
        self._runtime.tell(
            f"Another thread still makes {what}. This run waits for it for {END_PATIENCE_S:.0f} seconds at most."
        )

    def _make_days(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._ended or self._ready)
                if self._ended:
                    return
                place = self._making = next(iter(self._ready))
                del self._ready[place]
            name, day = place
            make = self._tables[name].make
            made = None
            # Also a panic of a library: who makes the day in its turn meets it too, and reports it.
            with suppress(BaseException):
                made = self._unchanged.work(name, day, partial(make, self._runtime, day)) if make else None
            # Days of a month are made one after another here, while the step that fetches them goes on.
            free_kept_memory()
            free_code_pages()
            with self._changed:
                self._making = None
                if made is not None:
                    self._made[place] = made
                self._changed.notify_all()
            if made is not None:
                self.note_stored(name, day)

    def __enter__(self) -> Self:
        self._runtime.opened.ahead = self
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._runtime.opened.ahead = None
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._thread.join(QUIET_WAIT_S)
        making = self._making
        if self._thread.is_alive() and making:
            self._tell_wait(f"{making[0]} of {making[1]}")
            self._thread.join(END_PATIENCE_S - QUIET_WAIT_S)
