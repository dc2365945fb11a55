"""Requests to rows of the raw lake: answers as received, in batches of bounded bytes.

A plant or device counts as answered on a day when all its requests for it were, and readably. Only what was answered is
replaced; the rest keeps what the lake holds of it and is reported. An answer without rows never replaces a stored one
with rows: a revoked consent and a fault of the portal look just like it.
"""

import datetime as dt
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TypeAlias

import polars as pl

from pipeline.common.errors import CredentialsError, SmaError, SunledgerError, TransientError
from pipeline.common.local_time import TimeBasis
from pipeline.extract.answer_checks import LISTS, fault_of, faults_of
from pipeline.extract.split_by_day import Dated, Result
from pipeline.sma.requests import Answer, Failure, Request
from pipeline.transform.answer_text import parse
from schemas import RawAnswers, polars_schema

# The bodies of one frame: what the steps after this one hold at once.
BATCH_BYTES = 16 * 2**20
# Rows of measurements have a "time", those of logs a "timestamp"; an answer without either has no rows. The envelope's
# "timezone" is neither.
ROW_KEY = re.compile(rb'"time(?:stamp)?"\s*:')
LONG_AGO = dt.datetime.min.replace(tzinfo=dt.UTC)

Key: TypeAlias = tuple[str, str, str]
Series: TypeAlias = tuple[str, str]
Piece: TypeAlias = tuple[dt.date, Answer]


@dataclass(slots=True)
class Fetched:
    """What is known of a day before its answers come, and what became of them; filled while its frames are drawn.

    `basis` is how its answers were asked for and cut, by the time zone that `zones` has of each plant. `final_after`
    says for each plant when its day can't grow any more (absent: at once). `with_rows` are the (plant_id, device_id,
    request_date) of stored answers with rows.

    `series` are the (plant_id, device_id) that were answered and are to be replaced; `kept` those whose answer without
    rows would have erased stored ones; `unlisted` the plants that SMA lists no more; `asked_alone` those whose day was
    asked for again because it lacked rows in the answer for its week, and `silent` those that had none then either.
    """

    basis: TimeBasis
    final_after: Mapping[str, dt.datetime] = field(default_factory=dict)
    with_rows: Collection[Key] = frozenset()
    zones: Mapping[str, str] = field(default_factory=dict)
    answers: int = 0
    bytes: int = 0
    series: set[Series] = field(default_factory=set)
    failures: list[Failure] = field(default_factory=list)
    kept: list[Series] = field(default_factory=list)
    unlisted: set[str] = field(default_factory=set)
    asked_alone: set[Series] = field(default_factory=set)
    silent: set[Series] = field(default_factory=set)
    series_with_rows: frozenset[Series] = field(init=False)

    def __post_init__(self) -> None:
        """Know the series too: they may have been asked for by other dates."""
        self.series_with_rows = frozenset((plant, device) for plant, device, _ in self.with_rows)


def raw_frames(
    dated: Iterable[Dated], days: Mapping[dt.date, Fetched], still_listed: Callable[[], Collection[str]]
) -> Iterator[tuple[dt.date, pl.DataFrame]]:
    """Frames of RawAnswers, each with its day: of a day in the order of the key, and no plant in two of them.

    `dated` has the results of one plant or device together, plants and devices in order. Raises CredentialsError at
    once; other failures are collected, and raised only if nothing was answered and asking again may help, or if it was
    a list. `still_listed` asks for the ids of the plants that SMA lists now: a plant without a single row that is not
    among them has lost its consent, and is not taken for a silent one.
    """
    batch: list[Piece] = []
    size = 0
    for _, of_plant in groupby(dated, key=lambda piece: piece[1].request.plant_id):
        for _, of_series in groupby(of_plant, key=lambda piece: piece[1].request.device_id):
            pieces = _of_series(of_series, days)
            batch += pieces
            size += sum(len(answer.body) for _, answer in pieces)
        if size >= BATCH_BYTES:
            yield from _frames(batch, days, still_listed)
            batch, size = [], 0
    yield from _frames(batch, days, still_listed)
    _part_kept_from_unlisted(days.values(), still_listed)
    nothing = not any(f.series or f.kept or f.unlisted for f in days.values())
    failures = list({failure.request: failure for f in days.values() for failure in f.failures}.values())
    # A day that SMA refuses for good is missing and no reason to stop; without a list there is nothing to go on with.
    if nothing and any(f.error.transient or f.request.endpoint in LISTS for f in failures):
        raise _nothing_answered(failures)


def _of_series(of_series: Iterable[Dated], days: Mapping[dt.date, Fetched]) -> list[Piece]:
    """The answers of one plant or device: of a day, all or none."""
    by_day: dict[dt.date, list[Result]] = {}
    for day, result in of_series:
        if isinstance(result, Failure) and isinstance(result.error, CredentialsError):
            raise result.error
        by_day.setdefault(day, []).append(result)
    return [(day, answer) for day, results in by_day.items() for answer in _of_day(results, days[day])]


def _of_day(results: Iterable[Result], fetched: Fetched) -> list[Answer]:
    """The day's answers of one plant or device, or none when one is missing or would erase stored rows."""
    answers: list[Answer] = []
    failures: list[Failure] = []
    for result in results:
        if isinstance(result, Failure):
            failures.append(result)
        elif fault := fault_of(result):
            failures.append(fault)
        else:
            answers.append(result)
    if failures:
        fetched.failures += failures
        return []
    if _series(answers[0]) in fetched.asked_alone and all(_no_rows(answer) for answer in answers):
        fetched.silent.add(_series(answers[0]))
    if _would_erase(answers, fetched):
        fetched.kept.append(_series(answers[0]))
        return []
    return answers


def _would_erase(answers: Sequence[Answer], fetched: Fetched) -> bool:
    """Whether an answer lost the rows that it had, or all of them did that were asked for in another way."""
    lost = [answer for answer in answers if _no_rows(answer)]
    if any(_key(answer.request) in fetched.with_rows for answer in lost):
        return True
    return len(lost) == len(answers) and _series(answers[0]) in fetched.series_with_rows


def _part_kept_from_unlisted(days: Iterable[Fetched], still_listed: Callable[[], Collection[str]]) -> None:
    """Of what was kept because nothing came: whose plant is listed no more."""
    kept = [fetched for fetched in days if fetched.kept]
    listed = still_listed() if kept else ()
    for fetched in kept:
        fetched.unlisted |= {plant for plant, _ in fetched.kept} - set(listed)
        fetched.kept = [series for series in fetched.kept if series[0] not in fetched.unlisted]


def _frames(
    batch: list[Piece], days: Mapping[dt.date, Fetched], still_listed: Callable[[], Collection[str]]
) -> Iterator[tuple[dt.date, pl.DataFrame]]:
    """The batch as one frame a day, without what can't be read and without plants that are listed no more."""
    pieces = _of_listed(_decodable(batch, days), days, still_listed)
    for day, fetched in days.items():
        answers = [answer for of, answer in pieces if of == day]
        fetched.answers += len(answers)
        fetched.bytes += sum(len(answer.body) for answer in answers)
        fetched.series |= {_series(answer) for answer in answers}
        if answers:
            yield day, raw_frame(answers, day, fetched)


def _decodable(batch: list[Piece], days: Mapping[dt.date, Fetched]) -> list[Piece]:
    """The batch without the series of a day that have a measurement answer which is cut short, too large or of another
    shape.

    The engine looks at all of them at once, at a tenth of what reading them will cost.
    """
    measured = [piece for piece in batch if piece[1].request.endpoint == "measurements"]
    faults = faults_of([answer for _, answer in measured])
    if not faults:
        return batch
    for place, fault in faults.items():
        days[measured[place][0]].failures.append(fault)
    lost = {(measured[place][0], _series(measured[place][1])) for place in faults}
    return [(day, answer) for day, answer in batch if (day, _series(answer)) not in lost]


def _of_listed(
    batch: list[Piece], days: Mapping[dt.date, Fetched], still_listed: Callable[[], Collection[str]]
) -> list[Piece]:
    """The batch without the plants that answered nothing at all and are listed no more."""
    with_content = {answer.request.plant_id for _, answer in batch if not _is_bare(answer)}
    bare = {answer.request.plant_id for _, answer in batch} - with_content
    gone = bare - set(still_listed()) if bare else set()
    for day, answer in batch:
        if answer.request.plant_id in gone:
            days[day].unlisted.add(answer.request.plant_id)
    return [piece for piece in batch if piece[1].request.plant_id not in gone]


def _is_bare(answer: Answer) -> bool:
    """Whether the answer is as empty as one without consent. A log may well be empty."""
    endpoint = answer.request.endpoint
    if endpoint in {"plants", "logs"}:
        return False
    return _no_rows(answer) if endpoint == "measurements" else not parse(answer.body)[endpoint]


def _series(answer: Answer) -> Series:
    return answer.request.plant_id, answer.request.device_id


def _key(request: Request) -> Key:
    return request.plant_id, request.device_id, request.date


def _no_rows(answer: Answer) -> bool:
    return answer.request.endpoint not in LISTS and ROW_KEY.search(answer.body) is None


def raw_frame(answers: list[Answer], day: dt.date, fetched: Fetched) -> pl.DataFrame:
    """Rows of RawAnswers from the day's answers."""
    requests = [answer.request for answer in answers]
    columns = {
        "plant_id": [r.plant_id for r in requests],
        "device_id": [r.device_id for r in requests],
        "request_date": [r.date for r in requests],
        "set_type": [r.set_type for r in requests],
        "local_date": [day] * len(answers),
        "target": [a.target for a in answers],
        "time_basis": [fetched.basis] * len(answers),
        "asked_timezone": [fetched.zones.get(r.plant_id) for r in requests],
        "status": [a.status for a in answers],
        "fetched_at": [a.fetched_at for a in answers],
        "elapsed_ms": [a.elapsed_ms for a in answers],
        "attempts": [a.attempts for a in answers],
        "final": [a.fetched_at >= fetched.final_after.get(a.request.plant_id, LONG_AGO) for a in answers],
        "no_rows": [_no_rows(a) for a in answers],
        "body": [a.body for a in answers],
    }
    schema = polars_schema(RawAnswers)
    return pl.DataFrame({name: columns[name] for name in schema}, schema=schema)


def _nothing_answered(failures: list[Failure]) -> SunledgerError:
    first = failures[0].error
    if len(failures) == 1:
        return first
    kind = TransientError if all(failure.error.transient for failure in failures) else SmaError
    return kind(
        f"None of {len(failures)} requests was answered. The first: {first}",
        method=first.method,
        path=first.path,
        status=first.status,
    )
