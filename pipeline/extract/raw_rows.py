"""Converts answers to rows of the raw lake, as received, in batches of bounded bytes.

A plant or device counts as answered on a day when all its requests for it were, and readably. Only what was answered is
replaced; the rest keeps what the lake holds of it and is reported. An answer without rows never replaces a stored one
with rows: a revoked consent and a fault of the portal look just like it.
"""

import datetime as dt
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, groupby
from typing import TypeAlias

import polars as pl

from pipeline.common.errors import (
    CredentialsError,
    CredentialUnusableError,
    SmaError,
    SunledgerError,
    TransientError,
)
from pipeline.extract.answer_checks import LISTS, find_fault, find_faults
from pipeline.extract.request_plan import KnownDay
from pipeline.extract.split_by_day import DayResult
from pipeline.sma.http.retry import TOO_MANY_REQUESTS
from pipeline.sma.requests import Answer, Failure, Request
from pipeline.transform.lists.broken_lists import parse_list
from schemas import RawAnswers, polars_schema

# The bytes of the answers in one frame, which the later steps hold in memory at once; what an answer takes beside its
# body, which is most of it where a fleet's lists are short.
BATCH_BYTES = 8 * 2**20
ANSWER_BYTES = 2**10
# Rows of measurements have a "time", those of logs a "timestamp"; an answer without either has no rows. The envelope's
# "timezone" is neither.
ROW_KEY = re.compile(rb'"time(?:stamp)?"\s*:')

Key: TypeAlias = tuple[str, str, str]
# A plant and a device, which is empty for the plant itself.
Series: TypeAlias = tuple[str, str]


@dataclass(frozen=True, slots=True)
class DayOutcome:
    """The outcome of a day's answers, or of some of them.

    `series` are the (plant_id, device_id) that were answered and are to be replaced; `kept` those whose answer without
    rows would have erased stored ones; `unlisted` the plants that SMA no longer lists; `asked_alone` those whose day
    was fetched again because it lacked rows in the answer for its week, and `silent` those that had none then either,
    though the day could no longer grow.
    `week_refused` says that SMA refuses the set's weeks, while it answers days of it.
    """

    answers: int = 0
    bytes: int = 0
    series: frozenset[Series] = frozenset()
    failures: tuple[Failure, ...] = ()
    kept: tuple[Series, ...] = ()
    unlisted: frozenset[str] = frozenset()
    asked_alone: frozenset[Series] = frozenset()
    silent: frozenset[Series] = frozenset()
    week_refused: bool = False

    @classmethod
    def of_all(cls, outcomes: Collection["DayOutcome"]) -> "DayOutcome":
        """The outcome of a day whose parts had these."""
        return cls(
            answers=sum(one.answers for one in outcomes),
            bytes=sum(one.bytes for one in outcomes),
            series=frozenset().union(*(one.series for one in outcomes)),
            failures=tuple(chain.from_iterable(one.failures for one in outcomes)),
            kept=tuple(chain.from_iterable(one.kept for one in outcomes)),
            unlisted=frozenset().union(*(one.unlisted for one in outcomes)),
            asked_alone=frozenset().union(*(one.asked_alone for one in outcomes)),
            silent=frozenset().union(*(one.silent for one in outcomes)),
            week_refused=any(one.week_refused for one in outcomes),
        )


@dataclass(frozen=True, slots=True)
class AcceptedPart:
    """Rows of RawAnswers for a day, and the outcome of their answers; without rows if no answer is accepted."""

    day: dt.date
    rows: pl.DataFrame
    outcome: DayOutcome


@dataclass(frozen=True, slots=True)
class _SeriesDay:
    """The answers of one plant or device for a day that may be stored, either all or none, with the reason."""

    day: dt.date
    series: Series
    answers: Sequence[Answer]
    outcome: DayOutcome


def accept_answers(
    results: Iterable[DayResult],
    days: Mapping[dt.date, KnownDay],
    still_listed: Callable[[], Collection[str]],
) -> Iterator[AcceptedPart]:
    """The accepted answers of each day, in parts of bounded bytes, sorted by the key, with each plant in one part only.

    `results` has those of one plant or device together, plants and devices in order. `still_listed` asks for the ids
    of the plants that SMA lists now: a plant without a single row that is not among them has lost its consent, and is
    not taken for a silent one. Raises CredentialsError at once; other failures are in the outcomes.
    """
    batch: list[_SeriesDay] = []
    size = 0
    for _, of_plant in groupby(results, key=lambda one: one.result.request.plant_id):
        for _, of_series in groupby(of_plant, key=lambda one: one.result.request.owner_id):
            accepted = _judge_series(of_series, days)
            batch += accepted
            size += sum(len(answer.body) + ANSWER_BYTES for one in accepted for answer in one.answers)
        if size >= BATCH_BYTES:
            yield from _accept_batch(batch, days, still_listed)
            batch, size = [], 0
    yield from _accept_batch(batch, days, still_listed)


def set_unlisted_apart(
    outcomes: Mapping[dt.date, DayOutcome], still_listed: Callable[[], Collection[str]]
) -> dict[dt.date, DayOutcome]:
    """The outcomes, with the plants that SMA no longer lists among `unlisted` instead of among `kept`."""
    if not any(outcome.kept for outcome in outcomes.values()):
        return dict(outcomes)
    try:
        listed = set(still_listed())
    except TransientError:
        # Stored rows stay either way, and that is said; only the cause is not known.
        return dict(outcomes)
    return {
        day: replace(
            outcome,
            unlisted=outcome.unlisted | {plant for plant, _ in outcome.kept if plant not in listed},
            kept=tuple(series for series in outcome.kept if series[0] in listed),
        )
        for day, outcome in outcomes.items()
    }


def refuse_nothing_answered(
    outcomes: Collection[DayOutcome],
    has_lists: Callable[[], bool] = lambda: False,
    list_plants: Callable[[], Collection[str]] = tuple,
) -> None:
    """Raise the error of the failures where nothing was answered and the run can't go on.

    It goes on where SMA refuses all of it permanently, and where all of it is of some plants and the run has others
    (`list_plants`), of which lists of devices and sets are stored (`has_lists`): then it is missing, and no more. It
    ends where SMA refuses for the rate.
    """
    if any(outcome.series or outcome.kept or outcome.unlisted for outcome in outcomes):
        return
    found = chain.from_iterable(outcome.failures for outcome in outcomes)
    failures = list({failure.request: failure for failure in found}.values())
    # Where one of several credentials can't be used, that is said of its plants, and the others go on.
    grave = [one for one in failures if not isinstance(one.error, CredentialUnusableError)]
    needed = LISTS & {"plants"} if grave and has_lists() else LISTS
    if not any(one.error.transient or one.request.endpoint in needed for one in grave):
        return
    if any(_is_of_all_plants(failure) for failure in grave):
        raise _explain_no_answer(grave)
    has_others = not {one.request.plant_id for one in grave}.issuperset(list_plants())
    is_known = grave[0].request.endpoint not in LISTS or has_lists()
    if not (has_others and is_known):
        raise _explain_no_answer(grave)


def _is_of_all_plants(failure: Failure) -> bool:
    """Whether other plants get no answer either: the list of them has none, or SMA refuses for the rate."""
    return not failure.request.plant_id or failure.error.status == TOO_MANY_REQUESTS


def _judge_series(of_series: Iterable[DayResult], days: Mapping[dt.date, KnownDay]) -> list[_SeriesDay]:
    """The answers of one plant or device that may be stored; for each day either all or none."""
    by_day: dict[dt.date, list[DayResult]] = {}
    for one in of_series:
        if isinstance(one.result, Failure) and isinstance(one.result.error, CredentialsError):
            raise one.result.error
        by_day.setdefault(one.day, []).append(one)
    # One for all of its days, which are most of what is kept of a large fleet's answers until their days are stored.
    series = next((_find_series(of_day[0].result) for of_day in by_day.values()), ("", ""))
    return [_judge_day(series, of_day, days[day]) for day, of_day in by_day.items()]


def _judge_day(series: Series, results: Sequence[DayResult], known: KnownDay) -> _SeriesDay:
    """The day's answers of one plant or device, or none when one is missing or would erase stored rows."""
    answers: list[Answer] = []
    failures: list[Failure] = []
    for _, result, _, _ in results:
        fault = result if isinstance(result, Failure) else find_fault(result)
        if fault is None and isinstance(result, Answer):
            answers.append(result)
        elif fault is not None:
            failures.append(fault)
    is_alone = any(one.asked_alone for one in results)
    # A day that may still grow lacks nothing: it has just begun, or the plant sends no row at night.
    is_silent = (
        is_alone
        and not failures
        and all(_has_no_rows(answer) and known.is_final(answer) for answer in answers)
    )
    is_kept = not failures and _would_erase(answers, known)
    outcome = DayOutcome(
        failures=tuple(failures),
        kept=(series,) if is_kept else (),
        asked_alone=frozenset((series,)) if is_alone else frozenset(),
        silent=frozenset((series,)) if is_silent else frozenset(),
        week_refused=any(one.week_refused for one in results),
    )
    return _SeriesDay(results[0].day, series, () if failures or is_kept else answers, outcome)


def _would_erase(answers: Sequence[Answer], known: KnownDay) -> bool:
    """Whether an answer lost the rows that it had, or all answers did that were requested in another way."""
    lost = [answer for answer in answers if _has_no_rows(answer)]
    if any(_build_key(answer.request) in known.with_rows for answer in lost):
        return True
    return len(lost) == len(answers) and _find_series(answers[0]) in known.series_with_rows


def _accept_batch(
    batch: Sequence[_SeriesDay], days: Mapping[dt.date, KnownDay], still_listed: Callable[[], Collection[str]]
) -> Iterator[AcceptedPart]:
    """The batch as one part for each day, without unreadable answers and without plants that are no longer listed."""
    unreadable = _find_unreadable(batch)
    readable = [one for one in batch if (one.day, one.series) not in unreadable]
    gone, doubt = _find_gone(readable, still_listed)
    for day, known in days.items():
        of_day = [one for one in batch if one.day == day]
        left = [one for one in readable if one.day == day]
        accepted = [one for one in left if one.answers and one.series[0] not in gone]
        answers = [answer for one in accepted for answer in one.answers]
        outcome = DayOutcome(
            answers=len(answers),
            bytes=sum(len(answer.body) for answer in answers),
            series=frozenset(one.series for one in accepted),
            failures=(
                *chain.from_iterable(unreadable.get((day, one.series), ()) for one in of_day),
                *(
                    Failure(answer.request, doubt, answer.attempts)
                    for one in left
                    for answer in one.answers
                    if doubt is not None and one.series[0] in gone
                ),
            ),
            unlisted=frozenset(one.series[0] for one in left if one.answers and doubt is None) & gone,
        )
        found = DayOutcome.of_all([*(one.outcome for one in of_day), outcome])
        if of_day:
            yield AcceptedPart(day, build_raw_frame(answers, day, known), found)


def _find_unreadable(batch: Sequence[_SeriesDay]) -> dict[tuple[dt.date, Series], list[Failure]]:
    """The days of a series with a measurement answer that is truncated, too large or of another form, with the reason.

    To look at all of them at once takes a tenth of what reading them will cost.
    """
    measured = [
        (one.day, one.series, answer)
        for one in batch
        for answer in one.answers
        if answer.request.endpoint == "measurements"
    ]
    found: dict[tuple[dt.date, Series], list[Failure]] = {}
    for place, fault in find_faults([answer for _, _, answer in measured]).items():
        day, series, _ = measured[place]
        found.setdefault((day, series), []).append(fault)
    return found


def _find_gone(
    batch: Sequence[_SeriesDay], still_listed: Callable[[], Collection[str]]
) -> tuple[frozenset[str], TransientError | None]:
    """The plants of the batch whose answers are all empty and that are no longer listed.

    Where that list can't be read, all with empty answers and the error: nothing without rows is taken for a silent day
    while the consent may have ended.
    """
    answers = [answer for one in batch for answer in one.answers]
    with_content = {answer.request.plant_id for answer in answers if has_content(answer)}
    bare = {answer.request.plant_id for answer in answers} - with_content
    if not bare:
        return frozenset(), None
    try:
        return frozenset(bare - set(still_listed())), None
    except TransientError as error:
        said = f"SMA's answer has no rows, and SMA's list can't be read to see if the plant is still in it: {error}"
        return frozenset(bare), TransientError(said, path=error.path, status=error.status)


def has_content(answer: Answer) -> bool:
    """Whether the answer is not empty, as it is without consent. A log may be empty in any case."""
    endpoint = answer.request.endpoint
    if endpoint in {"plants", "logs"}:
        return True
    if endpoint == "measurements":
        return not _has_no_rows(answer)
    content = parse_list(answer.body, endpoint)
    return not isinstance(content, dict) or content.get(endpoint) != []


def _find_series(result: Answer | Failure) -> Series:
    return result.request.plant_id, result.request.owner_id


def _build_key(request: Request) -> Key:
    return request.plant_id, request.device_id, request.date


def _has_no_rows(answer: Answer) -> bool:
    return answer.request.endpoint not in LISTS and ROW_KEY.search(answer.body) is None


def build_raw_frame(answers: list[Answer], day: dt.date, known: KnownDay) -> pl.DataFrame:
    """Rows of RawAnswers from the day's answers."""
    requests = [answer.request for answer in answers]
    columns = {
        "plant_id": [r.plant_id for r in requests],
        "device_id": [r.owner_id for r in requests],
        "request_date": [r.date for r in requests],
        "set_type": [r.set_type for r in requests],
        "local_date": [day] * len(answers),
        "target": [a.target for a in answers],
        "time_basis": [known.basis] * len(answers),
        "asked_timezone": [known.zones.get(r.plant_id) for r in requests],
        "status": [a.status for a in answers],
        "fetched_at": [a.fetched_at for a in answers],
        "elapsed_ms": [a.elapsed_ms for a in answers],
        "attempts": [a.attempts for a in answers],
        "final": [known.is_final(a) for a in answers],
        "no_rows": [_has_no_rows(a) for a in answers],
        "body": [a.body for a in answers],
    }
    schema = polars_schema(RawAnswers)
    return pl.DataFrame({name: columns[name] for name in schema}, schema=schema)


def _explain_no_answer(failures: list[Failure]) -> SunledgerError:
    first = failures[0].error
    if len(failures) == 1:
        return first
    kind = TransientError if all(failure.error.transient for failure in failures) else SmaError
    return kind(
        f"None of the {len(failures)} requests was answered. The first error: {first}",
        method=first.method,
        path=first.path,
        status=first.status,
    )
