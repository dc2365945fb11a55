"""Answers for several days, spread over them; and what to do where that does not work: ask for the days one by one.

Pure but for the function that asks. What comes out is dated: a result and the day whose part it is.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TypeAlias

from pipeline.common.errors import CredentialsError, PermanentError
from pipeline.extract.request_plan import Asked
from pipeline.extract.split_json import Pieces, cut, cut_logs
from pipeline.sma.requests import Answer, Failure, Request

Result: TypeAlias = Answer | Failure
Dated: TypeAlias = tuple[dt.date, Result]

# How much earlier than all others of its week a day may end, or later begin, without a sign that the answer was cut
# short, beyond what the others differ by: two rows, and what daylight changes by where there is little to compare with.
USUAL_EDGE = dt.timedelta(minutes=10)
LITTLE_KNOWN_EDGE = dt.timedelta(minutes=30)
FEW_DAYS = 3

# Answers that are spread together: a log is cut by an engine that reads many as fast as one.
BATCH = 256


@dataclass(slots=True)
class Spreading:
    """Spreads the results of one kind of data over days.

    `fetch` asks, in order; `single` turns a request for several days into requests for each. `slack` is how far rows
    may lie outside of what was asked for without a sign that the API's week is another one. `refused` fills with the
    sets whose weeks the API refuses while it answers their days: not worth asking for any more.

    A week's answer may be cut short, at either end, without a word. So a day that comes without rows, ends early or
    begins late is asked for alone, unless the whole week has no rows. `is_over` says whether a day was complete when
    it was answered: one that still grows is not asked for twice. `asked_alone` is told of each.
    """

    fetch: Callable[[Iterable[Request]], Iterator[Result]]
    single: Callable[[Asked], list[Asked]]
    slack: bool
    refused: set[str] = field(default_factory=set)
    is_over: Callable[[Answer, dt.date], bool] = lambda _, day: True  # noqa: ARG005 - by its name
    asked_alone: Callable[[Request, dt.date], None] = lambda _, day: None  # noqa: ARG005 - by its name
    _answered: bool = False

    def dated(self, asked: Iterable[Asked]) -> Iterator[Dated]:
        """The parts of all results by day, those of one plant or device together, in the order of `asked`."""
        asked = list(asked)
        at_once = BATCH if asked and asked[0].request.endpoint == "logs" else 1
        results = zip(asked, self.fetch(ask.request for ask in asked), strict=True)
        while batch := list(islice(results, at_once)):
            self._answered |= any(isinstance(result, Answer) for _, result in batch)
            for (ask, result), pieces in zip(batch, _pieces(batch), strict=True):
                yield from self._parts(ask, result, pieces)

    def _parts(self, ask: Asked, result: Result, pieces: Pieces | None) -> Iterator[Dated]:
        if isinstance(result, Failure):
            yield from self._failed(ask, result)
        elif ask.is_whole:
            yield from ((day, result) for day in ask.days)
        elif pieces is None:
            yield from self._one_by_one(ask)
        else:
            # Where rows of other days came, the API's week may not be the one that was meant.
            strange = not self.slack and pieces.before + pieces.after > 0
            doubtful = doubtful_days(ask, pieces) if ask.request.endpoint == "measurements" else frozenset()
            for (day, part), body, rows in zip(ask.days.items(), pieces.bodies, pieces.rows, strict=True):
                if (strange and not rows) or (day in doubtful and self.is_over(result, day)):
                    self.asked_alone(ask.request, day)
                    yield from self._one_by_one(replace(ask, days={day: part}))
                else:
                    yield day, replace(result, body=body)

    def _failed(self, ask: Asked, failure: Failure) -> Iterator[Dated]:
        """The days one by one where that may help: not when nothing is answered at all, and not without credentials."""
        error = failure.error
        hopeless = isinstance(error, CredentialsError) or not (
            self._answered or isinstance(error, PermanentError)
        )
        if ask.is_whole or hopeless:
            yield from ((day, failure) for day in ask.days)
            return
        answered = False
        for day, result in self._one_by_one(ask):
            answered |= isinstance(result, Answer)
            yield day, result
        if answered and isinstance(error, PermanentError):
            self.refused.add(ask.request.set_type)

    def _one_by_one(self, ask: Asked) -> Iterator[Dated]:
        singles = self.single(ask)
        batch = list(zip(singles, self.fetch(one.request for one in singles), strict=True))
        for (one, result), pieces in zip(batch, _pieces(batch), strict=True):
            # What can't be cut is passed on whole, to be judged as it is.
            for place, day in enumerate(one.days):
                if isinstance(result, Answer) and pieces:
                    yield day, replace(result, body=pieces.bodies[place])
                else:
                    yield day, result


def _pieces(batch: Sequence[tuple[Asked, Result]]) -> list[Pieces | None]:
    """The pieces of each answer; None for failures, for answers that need no cutting, and where it is not possible."""
    jobs = {
        place: (result.body, [part for part in ask.days.values() if part is not None])
        for place, (ask, result) in enumerate(batch)
        if isinstance(result, Answer) and not ask.is_whole
    }
    of_logs = bool(batch) and batch[0][0].request.endpoint == "logs"
    found = cut_logs(list(jobs.values())) if of_logs else [cut(*job) for job in jobs.values()]
    pieces: list[Pieces | None] = [None] * len(batch)
    for place, piece in zip(jobs, found, strict=True):
        pieces[place] = piece
    return pieces


def doubtful_days(ask: Asked, pieces: Pieces) -> frozenset[dt.date]:
    """The days that may have lost rows on the way: those without any, and those that end early or begin late.

    None of a week without a single row: it is as silent as the plant.
    """
    found: dict[dt.date, tuple[dt.timedelta, dt.timedelta]] = {}
    for (day, part), edge in zip(ask.days.items(), pieces.edges, strict=False):
        if part is not None and edge is not None:
            begin, first, last = (
                dt.datetime.fromisoformat(label.decode()) for label in (part.begin, *sorted(edge))
            )
            found[day] = (first - begin, last - begin)
    if not found:
        return frozenset()
    empty = ask.days.keys() - found.keys()
    # A day alone has none to be compared with: where all around it is empty, it may be what is left of a whole one.
    if len(found) == 1:
        return frozenset(ask.days if empty else ())
    short = {day for day in found if _is_short(found[day], [found[other] for other in found if other != day])}
    return frozenset(empty | short)


def _is_short(
    day: tuple[dt.timedelta, dt.timedelta], others: Sequence[tuple[dt.timedelta, dt.timedelta]]
) -> bool:
    """Whether the day begins later or ends earlier than all others, by more than they differ from each other."""
    firsts, lasts = [first for first, _ in others], [last for _, last in others]
    usual = USUAL_EDGE if len(others) >= FEW_DAYS else LITTLE_KNOWN_EDGE
    late = day[0] > max(firsts) + (max(firsts) - min(firsts)) + usual
    early = day[1] < min(lasts) - (max(lasts) - min(lasts)) - usual
    return late or early
