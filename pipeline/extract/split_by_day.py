"""Splits answers for several days by day; where that is not possible, the days are requested one by one.

A week's answer may be truncated, at either end, without a word. So a day that comes without rows, ends early or begins
late is asked for alone, unless the whole week has no rows or the day was not over when it was answered. Meanwhile
further answers are split: they wait for it, so that all come in their order.
"""

import datetime as dt
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import NamedTuple, TypeAlias

from pipeline.common.errors import CredentialsError, CredentialUnusableError, PermanentError
from pipeline.extract.request_plan import FetchPlan, PlannedRequest, plan_single_days
from pipeline.extract.split_json import Pieces, cut_logs, cut_rows
from pipeline.sma.pending_results import PendingResults
from pipeline.sma.requests import Answer, Failure

Result: TypeAlias = Answer | Failure
PlannedResult: TypeAlias = tuple[PlannedRequest, Result]
# Sends planned requests and returns at once; each comes with its result, in the order of the requests.
Send: TypeAlias = Callable[[Sequence[PlannedRequest]], PendingResults[PlannedResult]]

# How much earlier than all others of its week a day may end, or how much later it may begin, beyond the differences of
# the others, before the answer counts as truncated: two rows, and the change of daylight where there are few other
# days.
USUAL_EDGE = dt.timedelta(minutes=10)
LITTLE_KNOWN_EDGE = dt.timedelta(minutes=30)
FEW_DAYS = 3

# The number of answers that are split together: DuckDB splits many logs as fast as one.
BATCH = 256
# What has been split may wait for the days of an earlier answer: so many answers, and bytes.
HELD_ANSWERS = 64
HELD_BYTES = 8 * 2**20


class DayResult(NamedTuple):
    """A result, and the day to which this part belongs.

    `asked_alone` says that the day was fetched again, because it lacked rows in the answer for its week;
    `week_refused` that SMA refuses the set's week for good, while it answers days of it.
    """

    day: dt.date
    result: Result
    asked_alone: bool = False
    week_refused: bool = False


@dataclass(slots=True)
class _SingleDays:
    """Days of an answer that are on their way one by one, and what is said of each."""

    sent: PendingResults[PlannedResult]
    asked_alone: bool = False
    # Whether SMA refuses the week for good, if it answers one of its days.
    refused: bool = False

    def take(self) -> Iterator[DayResult]:
        """The results of the days, waited for."""
        found = list(self._split())
        week_refused = self.refused and any(isinstance(one.result, Answer) for one in found)
        yield from (one._replace(asked_alone=self.asked_alone, week_refused=week_refused) for one in found)

    def _split(self) -> Iterator[DayResult]:
        batch = list(self.sent)
        for (single, result), pieces in zip(batch, _cut(batch), strict=True):
            # An answer that can't be split is passed on whole and checked as it is.
            for place, day in enumerate(single.days):
                if isinstance(result, Answer) and pieces:
                    yield DayResult(day, replace(result, body=pieces.bodies[place]))
                else:
                    yield DayResult(day, result)


# What an answer gives, in the order of its days.
_Parts: TypeAlias = list[DayResult | _SingleDays]


def split_by_day(
    results: Iterable[PlannedResult], plan: FetchPlan, send: Send
) -> Generator[DayResult, None, None]:
    """The parts of all results by day, those of one plant or device together, in the order of the plan.

    `send` sends the further requests that it takes.
    """
    held: deque[_Parts] = deque()
    held_bytes = 0
    try:
        for parts in _split_each(iter(results), plan, send):
            held.append(parts)
            held_bytes += _measure_parts(parts)
            while held and (_is_complete(held[0]) or len(held) > HELD_ANSWERS or held_bytes > HELD_BYTES):
                held_bytes -= _measure_parts(held[0])
                yield from _take_parts(held.popleft())
        while held:
            yield from _take_parts(held.popleft())
    finally:
        for parts in held:
            _drop_parts(parts)


def _split_each(results: Iterator[PlannedResult], plan: FetchPlan, send: Send) -> Iterator[_Parts]:
    is_answered = False
    of_logs = bool(plan.requests) and plan.requests[0].request.endpoint == "logs"
    while batch := list(islice(results, BATCH if of_logs else 1)):
        is_answered |= any(isinstance(result, Answer) for _, result in batch)
        for (planned, result), pieces in zip(batch, _cut(batch), strict=True):
            if isinstance(result, Failure):
                yield _split_failure(planned, result, plan, send, is_answered=is_answered)
            else:
                yield _split_answer(planned, result, pieces, plan, send)


def _is_complete(parts: _Parts) -> bool:
    return not any(isinstance(part, _SingleDays) for part in parts)


def _measure_parts(parts: _Parts) -> int:
    results = (part.result for part in parts if isinstance(part, DayResult))
    return sum(len(result.body) for result in results if isinstance(result, Answer))


def _take_parts(parts: _Parts) -> Iterator[DayResult]:
    try:
        for part in parts:
            if isinstance(part, DayResult):
                yield part
            else:
                yield from part.take()
    finally:
        _drop_parts(parts)


def _drop_parts(parts: _Parts) -> None:
    for part in parts:
        if isinstance(part, _SingleDays):
            part.sent.close()


def _split_answer(
    planned: PlannedRequest, answer: Answer, pieces: Pieces | None, plan: FetchPlan, send: Send
) -> _Parts:
    if planned.is_whole:
        return [DayResult(day, answer) for day in planned.days]
    if pieces is None:
        return [_SingleDays(_send_single_days(planned, plan, send))]
    # Where rows of other days come, the API's week may differ from the intended one. With `utc` there are always some.
    is_strange = plan.basis != "utc" and pieces.before + pieces.after > 0
    doubtful = (
        find_doubtful_days(planned, pieces) if planned.request.endpoint == "measurements" else frozenset()
    )
    parts: _Parts = []
    for (day, span), body, rows in zip(planned.days.items(), pieces.bodies, pieces.rows, strict=True):
        if (is_strange and not rows) or (day in doubtful and plan.days[day].is_final(answer)):
            alone = replace(planned, days={day: span})
            parts.append(_SingleDays(_send_single_days(alone, plan, send), asked_alone=True))
        else:
            parts.append(DayResult(day, replace(answer, body=body)))
    return parts


def _split_failure(
    planned: PlannedRequest, failure: Failure, plan: FetchPlan, send: Send, *, is_answered: bool
) -> _Parts:
    """Requests for single days where that may help, which is not so without any answer or without credentials."""
    is_refused = isinstance(failure.error, PermanentError)
    is_hopeless = isinstance(failure.error, CredentialsError | CredentialUnusableError) or not (
        is_answered or is_refused
    )
    if planned.is_whole or is_hopeless:
        return [DayResult(day, failure) for day in planned.days]
    return [_SingleDays(_send_single_days(planned, plan, send), refused=is_refused)]


def _send_single_days(planned: PlannedRequest, plan: FetchPlan, send: Send) -> PendingResults[PlannedResult]:
    timezone = plan.zones[planned.request.plant_id]
    return send(plan_single_days(planned, timezone, plan.basis))


def _cut(batch: Sequence[PlannedResult]) -> list[Pieces | None]:
    """The parts of each answer; None for failures, and for answers that need not or can't be split."""
    jobs = {
        place: (result.body, [span for span in planned.days.values() if span is not None])
        for place, (planned, result) in enumerate(batch)
        if isinstance(result, Answer) and not planned.is_whole
    }
    of_logs = bool(batch) and batch[0][0].request.endpoint == "logs"
    found = cut_logs(list(jobs.values())) if of_logs else [cut_rows(*job) for job in jobs.values()]
    pieces: list[Pieces | None] = [None] * len(batch)
    for place, piece in zip(jobs, found, strict=True):
        pieces[place] = piece
    return pieces


def find_doubtful_days(planned: PlannedRequest, pieces: Pieces) -> frozenset[dt.date]:
    """The days that may have lost rows: days without any row, and days that end early or begin late.

    None of a week without a single row: it is as silent as the plant.
    """
    found: dict[dt.date, tuple[dt.timedelta, dt.timedelta]] = {}
    for (day, span), edge in zip(planned.days.items(), pieces.edges, strict=False):
        if span is not None and edge is not None:
            begin, first, last = (
                dt.datetime.fromisoformat(label.decode()) for label in (span.begin, *sorted(edge))
            )
            found[day] = (first - begin, last - begin)
    if not found:
        return frozenset()
    empty = planned.days.keys() - found.keys()
    # A single day with rows can't be compared with others; if all adjacent days are empty, it may have lost rows too.
    if len(found) == 1:
        return frozenset(planned.days if empty else ())
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
