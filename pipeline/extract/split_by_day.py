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

# Answers that are spread together: a log is cut by an engine that reads many as fast as one.
BATCH = 256


@dataclass(slots=True)
class Spreading:
    """Spreads the results of one kind of data over days.

    `fetch` asks, in order; `single` turns a request for several days into requests for each. `slack` is how far rows
    may lie outside of what was asked for without a sign that the API's week is another one. `refused` fills with the
    sets whose weeks the API refuses while it answers their days: not worth asking for any more.
    """

    fetch: Callable[[Iterable[Request]], Iterator[Result]]
    single: Callable[[Asked], list[Asked]]
    slack: bool
    refused: set[str] = field(default_factory=set)
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
            strange = not self.slack and pieces.before + pieces.after > 0
            for (day, part), body, rows in zip(ask.days.items(), pieces.bodies, pieces.rows, strict=True):
                if strange and not rows:
                    # Rows came, but of other days: the API's week is not the one that was meant.
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
