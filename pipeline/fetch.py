"""Requests to rows of the raw lake: answers as received, plant by plant, in batches of bounded bytes.

A plant counts as answered when all its requests of a part were. Only answered plants are replaced; the others keep
what the lake holds of them and are reported. An answer without rows never replaces a stored one with rows: a
revoked consent and a fault of the portal look just like it.
"""

import datetime as dt
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby

import orjson
import polars as pl

from pipeline.errors import CredentialsError, SmaError, SunledgerError, TransientError
from pipeline.sma.requests import Answer, Failure, Request
from schemas import RawAnswers, polars_schema

# The bodies of one frame: what the steps after this one hold at once.
BATCH_BYTES = 16 * 2**20
# Rows of measurements have a "time", those of logs a "timestamp"; an answer without either has no rows. The envelope's
# "timezone" is neither.
ROW_KEY = re.compile(rb'"time(?:stamp)?"\s*:')
LISTS = frozenset({"plants", "devices", "sets"})

Key = tuple[str, str, str]


@dataclass(slots=True)
class Fetched:
    """What became of the requests of one part; filled while its frames are drawn."""

    answers: int = 0
    bytes: int = 0
    plants: set[str] = field(default_factory=set)
    failures: list[Failure] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
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
    """Frames of RawAnswers in the order of the requests, which is the order of the key.

    `final_after` says for each plant when its part can't grow any more (absent: at once). `with_rows` are the
    (plant_id, device_id, request_date) of stored answers with rows. Raises CredentialsError at once; other failures
    are collected, and raised only if nothing was answered. `still_listed` asks for the ids of the plants that SMA lists
    now: a plant without a single row that is not among them has lost its consent, and is not taken for a silent one.
    """
    batch: list[Answer] = []
    size = 0
    for plant_id, group in groupby(results, key=lambda result: result.request.plant_id):
        answers = _of_plant(plant_id, group, with_rows, fetched)
        fetched.answers += len(answers)
        batch += answers
        size += sum(len(answer.body) for answer in answers)
        if size >= BATCH_BYTES:
            yield _frame(_of_listed(batch, still_listed, fetched), part, final_after)
            fetched.bytes += size
            batch, size = [], 0
    fetched.bytes += size
    if batch:
        yield _frame(_of_listed(batch, still_listed, fetched), part, final_after)
    if fetched.kept:
        fetched.unlisted |= set(fetched.kept) - set(still_listed())
        fetched.kept = [plant for plant in fetched.kept if plant not in fetched.unlisted]
    if fetched.failures and not (fetched.plants or fetched.kept or fetched.unlisted):
        raise _nothing_answered(fetched.failures)


def _of_plant(
    plant_id: str, group: Iterable[Answer | Failure], with_rows: Collection[Key], fetched: Fetched
) -> list[Answer]:
    """The plant's answers, or none of them when one is missing or would erase stored rows."""
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
            failures.append(Failure(result.request, _unreadable(result), result.attempts))
    if failures:
        fetched.failures += failures
        return []
    if any(_no_rows(a) and _key(a.request) in with_rows for a in answers):
        fetched.kept.append(plant_id)
        return []
    fetched.plants.add(plant_id)
    return answers


def _of_listed(
    batch: list[Answer], still_listed: Callable[[], Collection[str]], fetched: Fetched
) -> list[Answer]:
    """The batch without the plants that answered nothing at all and are listed no more."""
    with_content = {answer.request.plant_id for answer in batch if not _is_bare(answer)}
    bare = {answer.request.plant_id for answer in batch} - with_content
    gone = bare - set(still_listed()) if bare else set()
    fetched.plants -= gone
    fetched.unlisted |= gone
    return [answer for answer in batch if answer.request.plant_id not in gone]


def _is_bare(answer: Answer) -> bool:
    """Whether the answer is as empty as one without consent. A log may well be empty."""
    endpoint = answer.request.endpoint
    if endpoint in {"plants", "logs"}:
        return False
    return _no_rows(answer) if endpoint == "measurements" else not orjson.loads(answer.body)[endpoint]


def _key(request: Request) -> Key:
    return request.plant_id, request.device_id, request.date


def _no_rows(answer: Answer) -> bool:
    return answer.request.endpoint not in LISTS and ROW_KEY.search(answer.body) is None


def _is_readable(answer: Answer) -> bool:
    """Whether the answer is what was asked for. Measurements are looked at when they are decoded, one by one."""
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


def _unreadable(answer: Answer) -> SmaError:
    request = answer.request
    return TransientError(
        f"GET {request.path} answered {answer.status}, but with something else than {request.endpoint}: run it again "
        "later; if it stays, check SMA_MONITORING_URL.",
        path=request.path,
        status=answer.status,
    )


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
