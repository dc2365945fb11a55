"""Splits answers for several days by day; where that is not possible, the days are requested one by one.

A week's answer may be truncated, at either end, without a word. So a day that comes without rows, ends early or begins
late is asked for alone, unless the whole week has no rows or the day was not over when it was answered.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import NamedTuple, TypeAlias

from pipeline.common.errors import CredentialsError, CredentialUnusableError, PermanentError
from pipeline.extract.request_plan import FetchPlan, PlannedRequest, plan_single_days
from pipeline.extract.split_json import Pieces, cut_logs, cut_rows
from pipeline.sma.requests import Answer, Failure

Result: TypeAlias = Answer | Failure
PlannedResult: TypeAlias = tuple[PlannedRequest, Result]
# Sends planned requests and returns each with its result, in the order of the requests.
Fetch: TypeAlias = Callable[[Sequence[PlannedRequest]], Iterator[PlannedResult]]

# How much earlier than all others of its week a day may end, or how much later it may begin, beyond the differences of
# the others, before the answer counts as truncated: two rows, and the change of daylight where there are few other
# days.
USUAL_EDGE = dt.timedelta(minutes=10)
LITTLE_KNOWN_EDGE = dt.timedelta(minutes=30)
FEW_DAYS = 3

# The number of answers that are split together: DuckDB splits many logs as fast as one.
BATCH = 256


class DayResult(NamedTuple):
    """A result, and the day to which this part belongs.

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
    # Where rows of other days come, the API's week may differ from the intended one. With `utc` there are always some.
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
    """Requests for single days where that may help, which is not so without any answer or without credentials."""
    is_refused = isinstance(failure.error, PermanentError)
    is_hopeless = isinstance(failure.error, CredentialsError | CredentialUnusableError) or not (
        is_answered or is_refused
    )
    if planned.is_whole or is_hopeless:
        yield from (DayResult(day, failure) for day in planned.days)
        return
    found = list(_fetch_single_days(planned, plan, fetch))
    week_refused = is_refused and any(isinstance(one.result, Answer) for one in found)
    yield from (one._replace(week_refused=week_refused) for one in found)


def _fetch_single_days(planned: PlannedRequest, plan: FetchPlan, fetch: Fetch) -> Iterator[DayResult]:
    timezone = plan.zones[planned.request.plant_id]
    batch = list(fetch(plan_single_days(planned, timezone, plan.basis)))
    for (single, result), pieces in zip(batch, _cut(batch), strict=True):
        # An answer that can't be split is passed on whole and checked as it is.
        for place, day in enumerate(single.days):
            if isinstance(result, Answer) and pieces:
                yield DayResult(day, replace(result, body=pieces.bodies[place]))
            else:
                yield DayResult(day, result)


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
