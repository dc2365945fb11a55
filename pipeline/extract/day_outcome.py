"""What became of a day's answers: which were accepted, which are missing and why, and when that is an error."""

import datetime as dt
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import TypeAlias

import polars as pl

from pipeline.common.errors import SmaError, SunledgerError, TransientError
from pipeline.common.settings import Settings
from pipeline.extract.answer_checks import LISTS
from pipeline.extract.consents import owners_of
from pipeline.run.context import Missing
from pipeline.run.step import EMPTY_NOW, NOT_LISTED, REQUEST_FAILED
from pipeline.sma.consents import access_problems
from pipeline.sma.requests import Failure
from pipeline.transform.intervals import build_quarantine
from schemas import RawAnswers, storage

# A plant and a device, which is empty for the plant itself.
Series: TypeAlias = tuple[str, str]


@dataclass(frozen=True, slots=True)
class DayOutcome:
    """What became of a day's answers, or of some of them.

    `series` are the (plant_id, device_id) that were answered and are to be replaced; `kept` those whose answer without
    rows would have erased stored ones; `unlisted` the plants that SMA lists no more; `asked_alone` those whose day was
    asked for again because it lacked rows in the answer for its week, and `silent` those that had none then either.
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


def part_unlisted(
    outcomes: Mapping[dt.date, DayOutcome], still_listed: Callable[[], Collection[str]]
) -> dict[dt.date, DayOutcome]:
    """The outcomes, with the plants that SMA lists no more among `unlisted` instead of among `kept`."""
    listed = set(still_listed()) if any(outcome.kept for outcome in outcomes.values()) else set()
    return {
        day: replace(
            outcome,
            unlisted=outcome.unlisted | {plant for plant, _ in outcome.kept if plant not in listed},
            kept=tuple(series for series in outcome.kept if series[0] in listed),
        )
        for day, outcome in outcomes.items()
    }


def refuse_nothing_answered(outcomes: Collection[DayOutcome]) -> None:
    """Raise the error of the failures where nothing was answered and asking again may help, or where a list failed."""
    if any(outcome.series or outcome.kept or outcome.unlisted for outcome in outcomes):
        return
    found = chain.from_iterable(outcome.failures for outcome in outcomes)
    failures = list({failure.request: failure for failure in found}.values())
    # A day that SMA refuses for good is missing and no reason to stop; without a list there is nothing to go on with.
    if any(failure.error.transient or failure.request.endpoint in LISTS for failure in failures):
        raise _nothing_answered(failures)


def list_missing(
    outcome: DayOutcome, model: type[RawAnswers], day: dt.date, settings: Settings
) -> Iterator[Missing]:
    """What of the day is missing in the raw table, each with its reason."""
    missing = partial(Missing, str(day), storage(model).table)
    yield from (missing(failure.request.plant_id, str(failure.error)) for failure in outcome.failures)
    if outcome.unlisted:
        reason = access_problems.why_gone(settings.sma_flow, owners_of(settings))
        text = f"SMA answers without rows; {reason}"
        yield from (missing(plant, text) for plant in sorted(outcome.unlisted))
    text = "SMA answers without rows where rows are stored; the stored ones were kept"
    yield from (missing(plant, text) for plant, _ in outcome.kept)
    told = {
        *outcome.kept,
        *((plant, device) for plant, device in outcome.silent if plant in outcome.unlisted),
    }
    for plant, device in sorted(outcome.silent - told):
        whose = f" of device {device}" if device else ""
        text = f"SMA has no rows{whose} of this day, asked for alone too, while it has some of other days of the week"
        yield missing(plant, text)


def quarantined_answers(outcome: DayOutcome, model: type[RawAnswers], day: dt.date) -> pl.DataFrame:
    """Rows of quarantine for requests without a usable answer."""
    rows: list[tuple[str, str, str, str | None]] = [
        (failure.request.plant_id, failure.request.device_id, REQUEST_FAILED, str(failure.error))
        for failure in outcome.failures
    ]
    rows += [(plant, device, EMPTY_NOW, None) for plant, device in outcome.kept]
    rows += [(plant, "", NOT_LISTED, None) for plant in sorted(outcome.unlisted)]
    found = pl.DataFrame(
        rows,
        schema=dict.fromkeys(("plant_id", "device_id", "reason", "detail"), pl.String),
        orient="row",
    )
    return build_quarantine(found, "answer", model, day)


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
