"""Answers for several days, split by day; where that does not work, the days are asked for one by one.

A week's answer may be truncated, at either end, without a word. So a day that comes without rows, ends early or begins
late is asked for alone, unless the whole week has no rows or the day was not over when it was answered.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import NamedTuple, TypeAlias

from pipeline.common.errors import CredentialsError, PermanentError
from pipeline.extract.request_plan import FetchPlan, PlannedRequest
from pipeline.extract.split_json import Pieces, cut_logs, cut_rows
from pipeline.sma.requests import Answer, Failure

Result: TypeAlias = Answer | Failure
PlannedResult: TypeAlias = tuple[PlannedRequest, Result]
# Sends planned requests, and hands back each with its result, in the order of the requests.
Fetch: TypeAlias = Callable[[Sequence[PlannedRequest]], Iterator[PlannedResult]]

# How much earlier than all others of its week a day may end, or later begin, without a sign that the answer was cut
# short, beyond what the others differ by: two rows, and what daylight changes by where there is little to compare with.
USUAL_EDGE = dt.timedelta(minutes=10)
LITTLE_KNOWN_EDGE = dt.timedelta(minutes=30)
FEW_DAYS = 3

# Answers that are split together: a log is cut by an engine that reads many as fast as one.
BATCH = 256


class DayResult(NamedTuple):
    """A result, and the day whose part it is.

    `asked_alone` says that the day was fetched again, because it lacked rows in the answer for its week;
    `week_refused` that SMA refuses the set's week for good, while it answers days of it.
    """

    day: dt.date
    result: Result
    asked_alone: bool = False
    week_refused: bool = False


def split_by_day(results: Iterable[PlannedResult], plan: FetchPlan, fetch: Fetch) -> Iterator[DayResult]:
    """The parts of all results by day, those of one plant or device together, in the order of the plan.

    `fetch` sends the further requests that it takes.
    """
    waiting, is_answered = iter(results), False
    of_logs = bool(plan.requests) and plan.requests[0].request.endpoint == "logs"
    while batch := list(islice(waiting, BATCH if of_logs else 1)):
        is_answered |= any(isinstance(result, Answer) for _, result in batch)
        for (planned, result), pieces in zip(batch, _cut(batch), strict=True):
            if isinstance(result, Failure):
                yield from _split_failure(planned, result, plan, fetch, is_answered=is_answered)
            else:
                yield from _split_answer(planned, result, pieces, plan, fetch)


def _split_answer(
    planned: PlannedRequest, answer: Answer, pieces: Pieces | None, plan: FetchPlan, fetch: Fetch
) -> Iterator[DayResult]:
    if planned.is_whole:
        yield from (DayResult(day, answer) for day in planned.days)
        return
    if pieces is None:
        yield from _fetch_single_days(planned, plan, fetch)
        return
    # Where rows of other days came, the API's week may not be the one that was meant. Under `utc` they always do.
    is_strange = plan.basis != "utc" and pieces.before + pieces.after > 0
    doubtful = (
        find_doubtful_days(planned, pieces) if planned.request.endpoint == "measurements" else frozenset()
    )
    for (day, span), body, rows in zip(planned.days.items(), pieces.bodies, pieces.rows, strict=True):
        if (is_strange and not rows) or (day in doubtful and plan.days[day].is_final(answer)):
            alone = replace(planned, days={day: span})
            yield from (one._replace(asked_alone=True) for one in _fetch_single_days(alone, plan, fetch))
        else:
            yield DayResult(day, replace(answer, body=body))


def _split_failure(
    planned: PlannedRequest, failure: Failure, plan: FetchPlan, fetch: Fetch, *, is_answered: bool
) -> Iterator[DayResult]:
    """The days one by one where that may help: not when nothing is answered at all, and not without credentials."""
    is_refused = isinstance(failure.error, PermanentError)
    is_hopeless = isinstance(failure.error, CredentialsError) or not (is_answered or is_refused)
    if planned.is_whole or is_hopeless:
        yield from (DayResult(day, failure) for day in planned.days)
        return
    found = list(_fetch_single_days(planned, plan, fetch))
    week_refused = is_refused and any(isinstance(one.result, Answer) for one in found)
    yield from (one._replace(week_refused=week_refused) for one in found)


def _fetch_single_days(planned: PlannedRequest, plan: FetchPlan, fetch: Fetch) -> Iterator[DayResult]:
    batch = list(fetch(plan.plan_single_days(planned)))
    for (single, result), pieces in zip(batch, _cut(batch), strict=True):
        # What can't be cut is passed on whole, to be judged as it is.
        for place, day in enumerate(single.days):
            if isinstance(result, Answer) and pieces:
                yield DayResult(day, replace(result, body=pieces.bodies[place]))
            else:
                yield DayResult(day, result)


def _cut(batch: Sequence[PlannedResult]) -> list[Pieces | None]:
    """The pieces of each answer; None for failures, for answers that need no cutting, and where it is not possible."""
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
    """The days that may have lost rows on the way: those without any, and those that end early or begin late.

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
    # A day alone has none to be compared with: where all around it is empty, it may be what is left of a whole one.
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
