"""The way of an answer into its raw table: plan the requests, fetch, split by day, accept, write."""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TypeAlias

import polars as pl

from pipeline.billing import spending
from pipeline.extract.day_outcome import (
    DayOutcome,
    list_missing,
    part_unlisted,
    quarantined_answers,
    refuse_nothing_answered,
)
from pipeline.extract.raw_rows import accept_answers
from pipeline.extract.request_plan import FetchPlan, PlannedRequest
from pipeline.extract.split_by_day import PlannedResult, split_by_day
from pipeline.run.context import Missing, Runtime
from pipeline.run.step import Report, quarantine, raw_part, report_of
from pipeline.sma.requests import Failure, Request
from pipeline.transform import inventory
from schemas import storage
from warehouse.lake import Replacement

Planner: TypeAlias = Callable[[Runtime], FetchPlan]


def fetch_days(runtime: Runtime, plan_requests: Planner) -> Iterator[tuple[dt.date, Report]]:
    """Fetch what some days lack, and replace each day's part by what is accepted; each day as it is stored.

    All days are on their way at once, as a stream: in memory are the answers that the client holds, one batch of
    bounded bytes, and what became of each answer. Raises CostNotAllowedError where no plant's PU may be made,
    CredentialsError, and the error of the failures where nothing is answered at all.
    """
    plan = plan_requests(runtime)
    plan = _leave_out_costs(runtime, plan)
    if not plan.requests:
        yield from ((day, Report(facts={"requests": 0})) for day in plan.days)
        return
    fetch, still_listed = partial(_fetch, runtime, plan), partial(_fetch_plant_ids, runtime)
    outcomes: dict[dt.date, list[DayOutcome]] = {day: [] for day in plan.days}
    with _open_parts(runtime, plan) as parts:
        results = fetch(plan.requests)
        of_days = split_by_day(results, plan, fetch)
        for accepted in accept_answers(of_days, plan.days, still_listed):
            parts[accepted.day].add(accepted.rows)
            outcomes[accepted.day].append(accepted.outcome)
        found = {day: DayOutcome.of_all(of_day) for day, of_day in outcomes.items()}
        found = part_unlisted(found, still_listed)
        refuse_nothing_answered(found.values())
        for day, outcome in found.items():
            yield day, _write_day(runtime, plan, day, parts[day], outcome)


def _leave_out_costs(runtime: Runtime, plan: FetchPlan) -> FetchPlan:
    """The plan for the plants whose PU may be made. Raises CostNotAllowedError if there is none."""
    if not plan.plants:
        return plan
    admission = spending.admit(runtime, plan.plants)
    refused = admission.refused
    if refused is None:
        return plan
    if not admission.plants:
        raise spending.build_refusal(runtime, refused)
    reason = f"not asked for, because of its cost: {spending.explain_limit(runtime, refused)}"
    left_out = [Missing(f"{refused.month:%Y-%m}", "billing_units", plant, reason) for plant in refused.ids]
    runtime.missing += [one for one in left_out if one not in runtime.missing]
    return plan.limited_to(admission.plants)


def _fetch(runtime: Runtime, plan: FetchPlan, planned: Iterable[PlannedRequest]) -> Iterator[PlannedResult]:
    """Each planned request with its result, in order, within the month whose PU are agreed to."""
    planned = list(planned)
    requests: Iterable[Request] = (one.request for one in planned)
    plants = plan.plants
    if plants:
        requests = spending.admit_by_month(runtime, plants, requests)
    table = storage(plan.model).table
    for one, result in zip(planned, runtime.session.fetch(requests), strict=True):
        runtime.progress.advance(table)
        yield one, result


def _fetch_plant_ids(runtime: Runtime) -> set[str]:
    """The plants that SMA lists at this moment. Raises SmaError."""
    (result,) = runtime.session.fetch([Request.plants()])
    if isinstance(result, Failure):
        raise result.error
    return set(
        inventory.list_plant_ids(pl.DataFrame({"plant_id": [""], "device_id": [""], "body": [result.body]}))
    )


@contextmanager
def _open_parts(runtime: Runtime, plan: FetchPlan) -> Iterator[Mapping[dt.date, Replacement]]:
    """The parts of the plan's days, open for their new rows; what is not committed at the end is dropped."""
    label = " to ".join(str(day) for day in dict.fromkeys((min(plan.days), max(plan.days))))
    runtime.progress.begin(storage(plan.model).table, label, len(plan.requests))
    with ExitStack() as opened:
        yield {
            day: opened.enter_context(runtime.lake.replacement(plan.model, raw_part(day, plan.set_type)))
            for day in plan.days
        }


def _write_day(
    runtime: Runtime, plan: FetchPlan, day: dt.date, part: Replacement, outcome: DayOutcome
) -> Report:
    """Commit the day's rows, and what could not be accepted to `quarantine`."""
    written = part.commit(devices=outcome.series)
    aside = quarantined_answers(outcome, plan.model, day)
    quarantine(runtime, plan.model, day, aside, plants=plan.plants_on(day), set_type=plan.set_type)
    runtime.missing += list_missing(outcome, plan.model, day, runtime.settings)
    return report_of(
        written,
        requests=len(plan.requests),
        days_asked_together=len(plan.days),
        answers=outcome.answers,
        bytes=outcome.bytes,
        failed=len(outcome.failures),
        kept_because_empty=len(outcome.kept),
        no_longer_listed=len(outcome.unlisted),
        asked_alone=len(outcome.asked_alone),
        week_refused=outcome.week_refused,
    )
