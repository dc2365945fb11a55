"""The way of an answer into its raw table: plan the requests, fetch, split by day, accept, write."""

import datetime as dt
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import TypeAlias

import polars as pl

from pipeline.billing import spending
from pipeline.common.credentials import find_flow
from pipeline.common.errors import CredentialUnusableError, PermanentError
from pipeline.common.settings import Settings
from pipeline.extract.answer_checks import find_fault
from pipeline.extract.claims import claim_plan
from pipeline.extract.consent_refresh import read_owners
from pipeline.extract.due_lists import plan_plant_lists
from pipeline.extract.raw_rows import (
    DayOutcome,
    accept_answers,
    has_content,
    refuse_nothing_answered,
    set_unlisted_apart,
)
from pipeline.extract.request_plan import FetchPlan, PlannedRequest
from pipeline.extract.split_by_day import PlannedResult, split_by_day
from pipeline.run.context import RequestsAhead, RunContext
from pipeline.run.fleet_lists.unlisted_devices import NOT_FOUND, find_unlisted_devices
from pipeline.run.notices import MissingItem, Notices
from pipeline.run.plants import list_own_plants
from pipeline.run.step import EMPTY_NOW, NOT_LISTED, REQUEST_FAILED, build_raw_part, quarantine
from pipeline.run.step_result import StepResult, build_result
from pipeline.sma.client import Admit, pass_all
from pipeline.sma.consents import access_problems
from pipeline.sma.pending_results import PendingResults
from pipeline.sma.requests import Failure
from pipeline.sma.session_set import fetch_by_plant, find_sources, find_unusable_plants
from pipeline.transform.batch_account import build_quarantine
from pipeline.transform.lists import inventory
from schemas import RawAnswers, storage
from warehouse.lake import Replacement

Planner: TypeAlias = Callable[[RunContext], FetchPlan]


@dataclass(frozen=True, slots=True)
class SentPlan:
    """The requests of a plan on their way, the plants that it leaves out, and the claim on its days.

    `admit` stands before each try of these requests, and of those that follow from them.
    """

    plan: FetchPlan
    left_out: Sequence[MissingItem]
    admit: Admit
    results: PendingResults[PlannedResult]
    held: ExitStack

    @property
    def count(self) -> int:
        """How many requests there are."""
        return len(self.plan.requests)

    def close(self) -> None:
        """End what is still on its way, and let go of the days. May be called twice."""
        self.held.close()


def send_plan(runtime: RunContext, plan_requests: Planner, *, wait: bool = True) -> SentPlan:
    """Plan the missing answers of some days, claim them, and send the requests. To be closed.

    Raises CostNotAllowedError where no plant's PU may be made, and ClaimedDaysError (see `claim_plan`).
    """
    with ExitStack() as held:
        plan = held.enter_context(claim_plan(runtime, plan_requests, wait=wait))
        plan, left_out, admit = _leave_out_costs(runtime, plan)
        results: PendingResults[PlannedResult] = PendingResults(iter(()), lambda: None)
        if plan.requests:
            results = held.enter_context(closing(_send(runtime, plan, plan.requests, admit)))
        return SentPlan(plan, left_out, admit, results, held.pop_all())


def fetch_days(
    runtime: RunContext, plan_requests: Planner, name: str = "", days: tuple[dt.date, ...] = ()
) -> Iterator[tuple[dt.date, StepResult]]:
    """Fetch the missing answers of some days and replace each day's part; yields each day as it is stored.

    All days are on their way at once, as a stream: in memory are the answers that the client holds, one batch of
    bounded bytes, and what became of each answer. With `name` and `days` (see `DaysToFetch`) their requests may have
    been sent ahead, and those of the next days are sent meanwhile. Raises CostNotAllowedError where no plant's PU may
    be made, CredentialsError, and the error of the failures where nothing is answered and the run can't go on.
    """
    ahead = runtime.opened.sent_ahead if name else None
    sent = ahead.take(name, days) if ahead else None
    if not isinstance(sent, SentPlan):
        sent = send_plan(runtime, plan_requests)
    with closing(sent):
        yield from _store_plan(runtime, sent, ahead)


def _store_plan(
    runtime: RunContext, sent: SentPlan, ahead: RequestsAhead | None
) -> Iterator[tuple[dt.date, StepResult]]:
    plan = sent.plan
    if not plan.requests:
        yield from ((day, StepResult(facts={"requests": 0})) for day in plan.days)
        return
    still_listed = partial(_fetch_plant_ids, runtime)
    outcomes: dict[dt.date, list[DayOutcome]] = {day: [] for day in plan.days}
    results = _send_ahead(sent.results, ahead) if ahead else sent.results
    with (
        _open_parts(runtime, plan) as parts,
        closing(split_by_day(results, plan, partial(_send_single_days, runtime, sent))) as of_days,
    ):
        for accepted in accept_answers(of_days, plan.days, still_listed):
            parts[accepted.day].add(accepted.rows)
            outcomes[accepted.day].append(accepted.outcome)
        found = {day: DayOutcome.of_all(outcomes.pop(day)) for day in plan.days}
        found = set_unlisted_apart(found, still_listed)
        found = _leave_out_removed_devices(runtime, plan, found)
        refuse_nothing_answered(
            found.values(),
            has_lists=lambda: bool(runtime.lake.list_parts(plan.model)),
            list_plants=partial(_list_plants_of_run, runtime),
        )
        for day, outcome in found.items():
            missing = [*sent.left_out, *_list_missing(outcome, plan.model, day, runtime.settings)]
            yield day, _write_day(runtime, plan, day, parts[day], outcome, Notices.of(missing))


def _list_plants_of_run(runtime: RunContext) -> list[str]:
    return list_own_plants(runtime)["plant_id"].to_list()


def _leave_out_removed_devices(
    runtime: RunContext, plan: FetchPlan, outcomes: Mapping[dt.date, DayOutcome]
) -> dict[dt.date, DayOutcome]:
    """The outcomes without failures of devices that SMA neither lists nor finds, where nothing is missing by them.

    On days since they were seen last another device is in their place, or none; of other days their rows are stored.
    """
    if not any(map(_is_not_found, chain.from_iterable(one.failures for one in outcomes.values()))):
        return dict(outcomes)
    unlisted = find_unlisted_devices(runtime.lake)
    seen = {(plant, device): last_seen for plant, device, last_seen in unlisted.iter_rows()}

    def is_needed(failure: Failure, day: dt.date, stored: Collection[tuple[str, str]]) -> bool:
        device = (failure.request.plant_id, failure.request.device_id)
        return (
            not _is_not_found(failure) or device not in seen or (day < seen[device] and device not in stored)
        )

    found: dict[dt.date, DayOutcome] = {}
    for day, outcome in outcomes.items():
        stored = {(plant, device) for plant, device, _ in plan.days[day].with_rows}
        needed = tuple(one for one in outcome.failures if is_needed(one, day, stored))
        found[day] = replace(outcome, failures=needed)
    return found


def _is_not_found(failure: Failure) -> bool:
    return failure.error.status == NOT_FOUND and bool(failure.request.device_id)


def _send_ahead(results: Iterable[PlannedResult], ahead: RequestsAhead) -> Iterator[PlannedResult]:
    """The same results. As soon as SMA answers, and refuses no week, the next days are sent.

    Without an answer the run may end with these days, and where weeks are refused the next ones are asked for by day.
    """
    is_refused = False
    for planned, result in results:
        if isinstance(result, Failure):
            is_refused |= isinstance(result.error, PermanentError) and not planned.is_whole
        elif not is_refused:
            ahead.send_next()
        yield planned, result


def _leave_out_costs(runtime: RunContext, plan: FetchPlan) -> tuple[FetchPlan, list[MissingItem], Admit]:
    """The plan for the plants whose PU are allowed, the other plants, and what stands before each try.

    Raises CostNotAllowedError if no PU is allowed.
    """
    if not plan.plants:
        return plan, [], pass_all
    # What is not asked for costs nothing, so it takes no room of the limits.
    unasked = find_unusable_plants(runtime.session, plan.plants)
    admission = spending.admit(runtime, plan.plants - unasked)
    admit, refused = spending.MonthGate(runtime, admission).check, admission.refused
    if refused is None:
        return plan, [], admit
    if not admission.plants and not unasked:
        raise spending.build_refusal(runtime, refused)
    reason = f"not fetched because of its cost: {spending.explain_limit(runtime, refused)}"
    left_out = [
        MissingItem(f"{refused.month:%Y-%m}", "billing_units", plant, reason) for plant in refused.ids
    ]
    return plan.limit_to(admission.plants | unasked), left_out, admit


def _send_single_days(
    runtime: RunContext, sent: SentPlan, planned: Iterable[PlannedRequest]
) -> PendingResults[PlannedResult]:
    """Requests that follow from those of a plan, before the others of it."""
    return _send(runtime, sent.plan, planned, sent.admit, urgent=True)


def _send(
    runtime: RunContext,
    plan: FetchPlan,
    planned: Iterable[PlannedRequest],
    admit: Admit,
    *,
    urgent: bool = False,
) -> PendingResults[PlannedResult]:
    """Each planned request with its result, in order, within the month for whose PU there is consent.

    They are sent from now on, `urgent` ones before the others of the plan.
    """
    planned = list(planned)
    table = storage(plan.model).table
    requests = [one.request for one in planned]
    results = fetch_by_plant(runtime.session, requests, admit, urgent=urgent, has_content=has_content)

    def pair() -> Iterator[PlannedResult]:
        for one, result in zip(planned, results, strict=True):
            runtime.progress.advance(table)
            yield one, result

    return PendingResults(pair(), results.close)


def _fetch_plant_ids(runtime: RunContext) -> set[str]:
    """The plants that SMA lists now, each by the credential that is asked for its data.

    Raises SmaError if SMA does not answer with a list. A credential that can't be used asks for nothing, so it lists
    nothing.
    """
    listed: set[str] = set()
    requests = plan_plant_lists(runtime)
    results = fetch_by_plant(runtime.session, requests, urgent=True)
    for request, result in zip(requests, results, strict=True):
        if isinstance(result, Failure):
            if isinstance(result.error, CredentialUnusableError):
                continue
            raise result.error
        if fault := find_fault(result):
            raise fault.error
        lists = pl.DataFrame({"plant_id": [""], "device_id": [""], "body": [result.body]})
        found = inventory.list_plant_ids(lists)
        name = request.credential
        named = find_sources(runtime.session, found) if name else {}
        listed |= {plant for plant in found if not name or named.get(plant) == name}
    return listed


@contextmanager
def _open_parts(runtime: RunContext, plan: FetchPlan) -> Iterator[Mapping[dt.date, Replacement]]:
    """The parts of the plan's days, open for new rows; parts that are not committed at the end are dropped."""
    label = " to ".join(str(day) for day in dict.fromkeys((min(plan.days), max(plan.days))))
    runtime.progress.begin(storage(plan.model).table, label, len(plan.requests))
    with ExitStack() as opened:
        yield {
            day: opened.enter_context(
                runtime.lake.open_replacement(plan.model, build_raw_part(day, plan.set_type))
            )
            for day in plan.days
        }


def _write_day(
    runtime: RunContext,
    plan: FetchPlan,
    day: dt.date,
    part: Replacement,
    outcome: DayOutcome,
    notices: Notices,
) -> StepResult:
    """Commit the day's rows, and write rejected answers to `quarantine`."""
    runtime.requests.sync()
    written = part.commit(devices=outcome.series)
    aside = _build_answer_quarantine(outcome, plan.model, day)
    asked = {planned.request.plant_id for planned in plan.requests if day in planned.days}
    quarantine(runtime, plan.model, day, aside, plants=asked, set_type=plan.set_type)
    return build_result(
        written,
        notices,
        requests=len(plan.requests),
        days_asked_together=len(plan.days),
        answers=outcome.answers,
        bytes=outcome.bytes,
        failed=len(outcome.failures),
        failed_for_now=sum(failure.error.transient for failure in outcome.failures),
        kept_because_empty=len(outcome.kept),
        no_longer_listed=len(outcome.unlisted),
        asked_alone=len(outcome.asked_alone),
        week_refused=outcome.week_refused,
    )


def _list_missing(
    outcome: DayOutcome, model: type[RawAnswers], day: dt.date, settings: Settings
) -> Iterator[MissingItem]:
    """The data of the day that is missing in the raw table, each with its reason."""
    missing = partial(MissingItem, str(day), storage(model).table)
    yield from (missing(failure.request.plant_id, str(failure.error)) for failure in outcome.failures)
    if outcome.unlisted:
        reason = access_problems.explain_gone_plant(find_flow(settings), read_owners(settings))
        text = f"SMA's answer has no rows; {reason}"
        yield from (missing(plant, text) for plant in sorted(outcome.unlisted))
    text = "SMA's answer has no rows, but rows are stored; the stored rows were kept"
    yield from (missing(plant, text) for plant, _ in outcome.kept)
    told = {
        *outcome.kept,
        *((plant, device) for plant, device in outcome.silent if plant in outcome.unlisted),
    }
    for plant, device in sorted(outcome.silent - told):
        whose = f" of device {device}" if device else ""
        text = (
            f"SMA has no rows{whose} of this day, although it has rows of other days of the week; a request for the "
            "day alone had none either"
        )
        yield missing(plant, text)


def _build_answer_quarantine(outcome: DayOutcome, model: type[RawAnswers], day: dt.date) -> pl.DataFrame:
    """Rows of quarantine for requests without a usable answer."""
    rows: list[tuple[str, str, str, str | None]] = [
        (failure.request.plant_id, failure.request.owner_id, REQUEST_FAILED, str(failure.error))
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
