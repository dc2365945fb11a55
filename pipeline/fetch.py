"""Requests to rows of the raw lake: answers as received, in batches of bounded bytes.

A plant or device counts as answered when all its requests of a part were, and readably. Only what was answered is
replaced; the rest keeps what the lake holds of it and is reported. An answer without rows never replaces a stored one
with rows: a revoked consent and a fault of the portal look just like it.
"""

import datetime as dt
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import TypeAlias

import orjson
import polars as pl

from pipeline.decode import unreadable
from pipeline.errors import CredentialsError, PermanentError, SmaError, SunledgerError, TransientError
from pipeline.sma.requests import Answer, Failure, Request
from schemas import RawAnswers, polars_schema

# The bodies of one frame: what the steps after this one hold at once.
BATCH_BYTES = 16 * 2**20
# Rows of measurements have a "time", those of logs a "timestamp"; an answer without either has no rows. The envelope's
# "timezone" is neither.
ROW_KEY = re.compile(rb'"time(?:stamp)?"\s*:')
LISTS = frozenset({"plants", "devices", "sets"})

Key: TypeAlias = tuple[str, str, str]
Series: TypeAlias = tuple[str, str]


@dataclass(slots=True)
class Fetched:
    """What became of the requests of one part; filled while its frames are drawn.

    `series` are the (plant_id, device_id) that were answered and are to be replaced; `kept` those whose answer without
    rows would have erased stored ones; `unlisted` the plants that SMA lists no more.
    """

    answers: int = 0
    bytes: int = 0
    series: set[Series] = field(default_factory=set)
    failures: list[Failure] = field(default_factory=list)
    kept: list[Series] = field(default_factory=list)
    unlisted: set[str] = field(default_factory=set)


def raw_frames(
    results: Iterable[Answer | Failure],
    part: dt.date,
    *,
    final_after: Mapping[str, dt.datetime],
    with_rows: Collection[Key],
    fetched: Fetched,
    still_listed: Callable[[], Collection[str]],
) -> Iterator[pl.DataFrame]:
    """Frames of RawAnswers in the order of the requests, which is the order of the key; no plant is in two of them.

    `final_after` says for each plant when its part can't grow any more (absent: at once). `with_rows` are the
    (plant_id, device_id, request_date) of stored answers with rows. Raises CredentialsError at once; other failures
    are collected, and raised only if nothing was answered and asking again may help, or if it was a list.
    `still_listed` asks for the ids of the plants that SMA lists now: a plant without a single row that is not among
    them has lost its consent, and is not taken for a silent one.
    """
    batch: list[Answer] = []
    size = 0
    for _, of_plant in groupby(results, key=lambda result: result.request.plant_id):
        for _, group in groupby(of_plant, key=lambda result: result.request.device_id):
            answers = _of_series(group, with_rows, fetched)
            batch += answers
            size += sum(len(answer.body) for answer in answers)
        if size >= BATCH_BYTES:
            yield from _frames(batch, part, final_after, still_listed, fetched)
            batch, size = [], 0
    yield from _frames(batch, part, final_after, still_listed, fetched)
    if fetched.kept:
        fetched.unlisted |= {plant for plant, _ in fetched.kept} - set(still_listed())
        fetched.kept = [series for series in fetched.kept if series[0] not in fetched.unlisted]
    nothing = not (fetched.series or fetched.kept or fetched.unlisted)
    # A day that SMA refuses for good is missing and no reason to stop; without a list there is nothing to go on with.
    if nothing and any(f.error.transient or f.request.endpoint in LISTS for f in fetched.failures):
        raise _nothing_answered(fetched.failures)


def _of_series(
    group: Iterable[Answer | Failure], with_rows: Collection[Key], fetched: Fetched
) -> list[Answer]:
    """The answers of one plant or device, or none of them when one is missing or would erase stored rows."""
    answers: list[Answer] = []
    failures: list[Failure] = []
    for result in group:
        if isinstance(result, Failure):
            if isinstance(result.error, CredentialsError):
                raise result.error
            failures.append(result)
        elif _is_readable(result):
            answers.append(result)
        else:
            failures.append(_unreadable(result))
    if failures:
        fetched.failures += failures
        return []
    if any(_no_rows(a) and _key(a.request) in with_rows for a in answers):
        fetched.kept.append(_series(answers[0]))
        return []
    return answers


def _frames(
    batch: list[Answer],
    part: dt.date,
    final_after: Mapping[str, dt.datetime],
    still_listed: Callable[[], Collection[str]],
    fetched: Fetched,
) -> Iterator[pl.DataFrame]:
    """The batch as one frame, without what can't be read and without plants that are listed no more."""
    answers = _of_listed(_decodable(batch, fetched), still_listed, fetched)
    fetched.answers += len(answers)
    fetched.bytes += sum(len(answer.body) for answer in answers)
    fetched.series |= {_series(answer) for answer in answers}
    if answers:
        yield _frame(answers, part, final_after)


def _decodable(batch: list[Answer], fetched: Fetched) -> list[Answer]:
    """The batch without the series that have a measurement answer which is cut short or of another shape.

    The engine looks at all of them at once, at a tenth of what reading them will cost.
    """
    measured = [answer for answer in batch if answer.request.endpoint == "measurements"]
    bodies = pl.Series("body", [answer.body for answer in measured], dtype=pl.Binary)
    bad = [measured[place] for place in unreadable(bodies)]
    if not bad:
        return batch
    fetched.failures += [_unreadable(answer) for answer in bad]
    lost = {_series(answer) for answer in bad}
    return [answer for answer in batch if _series(answer) not in lost]


def _of_listed(
    batch: list[Answer], still_listed: Callable[[], Collection[str]], fetched: Fetched
) -> list[Answer]:
    """The batch without the plants that answered nothing at all and are listed no more."""
    with_content = {answer.request.plant_id for answer in batch if not _is_bare(answer)}
    bare = {answer.request.plant_id for answer in batch} - with_content
    gone = bare - set(still_listed()) if bare else set()
    fetched.unlisted |= gone
    return [answer for answer in batch if answer.request.plant_id not in gone]


def _is_bare(answer: Answer) -> bool:
    """Whether the answer is as empty as one without consent. A log may well be empty."""
    endpoint = answer.request.endpoint
    if endpoint in {"plants", "logs"}:
        return False
    return _no_rows(answer) if endpoint == "measurements" else not orjson.loads(answer.body)[endpoint]


def _series(answer: Answer) -> Series:
    return answer.request.plant_id, answer.request.device_id


def _key(request: Request) -> Key:
    return request.plant_id, request.device_id, request.date


def _no_rows(answer: Answer) -> bool:
    return answer.request.endpoint not in LISTS and ROW_KEY.search(answer.body) is None


def _is_readable(answer: Answer) -> bool:
    """Whether the answer is what was asked for. Measurements are looked at in larger batches."""
    endpoint = answer.request.endpoint
    if endpoint == "measurements":
        return True
    try:
        content = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return False
    if not isinstance(content, dict):
        return False
    return endpoint not in LISTS or isinstance(content.get(endpoint), list)


def _unreadable(answer: Answer) -> Failure:
    """Without a list nothing can go on; a day whose answers can't be read is one that is missing."""
    request = answer.request
    kind = TransientError if request.endpoint in LISTS else PermanentError
    error = kind(
        f"GET {request.path} answered {answer.status}, but with something else than {request.endpoint}: run it again "
        "later; if it stays, check SMA_MONITORING_URL.",
        path=request.path,
        status=answer.status,
    )
    return Failure(request, error, answer.attempts)


def _frame(answers: list[Answer], part: dt.date, final_after: Mapping[str, dt.datetime]) -> pl.DataFrame:
    requests = [answer.request for answer in answers]
    columns = {
        "plant_id": [r.plant_id for r in requests],
        "device_id": [r.device_id for r in requests],
        "request_date": [r.date for r in requests],
        "set_type": [r.set_type for r in requests],
        "local_date": [part] * len(answers),
        "target": [a.target for a in answers],
        "status": [a.status for a in answers],
        "fetched_at": [a.fetched_at for a in answers],
        "elapsed_ms": [a.elapsed_ms for a in answers],
        "attempts": [a.attempts for a in answers],
        "final": [
            a.fetched_at >= final_after.get(a.request.plant_id, dt.datetime.min.replace(tzinfo=dt.UTC))
            for a in answers
        ],
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
