"""The steps that call the API, one for each raw table: each plans its requests and leaves the rest to `fetch_days`."""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from pipeline.common.errors import TransientError
from pipeline.common.text import pluralize
from pipeline.extract.due_lists import plan_device_lists, plan_plant_lists, plan_set_lists
from pipeline.extract.fetch_days import fetch_days, send_plan
from pipeline.extract.missing_answers import name_stored_answers, plan_device_logs, plan_plant_logs, plan_set
from pipeline.extract.moved_plants import fetch_moves
from pipeline.extract.request_plan import FetchPlan, KnownDay, PlannedRequest, group_by_week
from pipeline.extract.unknown_sets import note_unknown_sets
from pipeline.run.context import RunContext
from pipeline.run.fleet_lists.plant_lists import find_doubles, read_plant_lists
from pipeline.run.fleet_lists.stored_lists import list_future_days
from pipeline.run.measurement_sets import BALANCE, SetSource, build_other_set, find_odd_sets, list_other_sets
from pipeline.run.notices import MissingItem, Notices
from pipeline.run.plants import list_plant_ids_of_newest
from pipeline.run.sent_ahead import DaysToFetch
from pipeline.run.step_result import StepResult
from pipeline.sma.http.retry import TOO_MANY_REQUESTS
from pipeline.sma.requests import Request
from schemas import (
    RawAnswers,
    RawDeviceLogs,
    RawDevices,
    RawLogs,
    RawMeasurementSets,
    RawOtherSets,
    RawPlants,
    storage,
)


def fetch_plants(runtime: RunContext) -> StepResult:
    """Fetch the list of plants, always, because it takes one request and shows lost access.

    Where SMA does not answer with a list, the run goes on with the plants of the last one, and says so. Raises the
    error where none is stored, where SMA refuses the request, and where it refuses for the rate: then more requests
    would be beyond it.
    """
    try:
        return fetch_plant_list(runtime)
    except TransientError as error:
        stored = list_plant_ids_of_newest(runtime)
        if not stored or error.status == TOO_MANY_REQUESTS:
            raise
        day, _ = read_plant_lists(runtime.lake, runtime.credential_names, runtime.find_today())
        reason = (
            "SMA's list of plants could not be read, so this run knows no newer plants than the "
            f"{pluralize(len(stored), 'plant')} of the list of {day}: {error}"
        )
        missing = MissingItem(str(runtime.find_today()), storage(RawPlants).table, "", reason)
        return StepResult(facts={"requests": 1, "list_not_read": reason}, notices=Notices.of([missing]))


def fetch_plant_list(runtime: RunContext) -> StepResult:
    """Fetch the list of plants of each credential. Raises SmaError where SMA does not answer with one.

    Plants that it lacks are asked for by themselves: SMA leads to the new id of a plant that moved.
    """
    report = _fetch_list(runtime, RawPlants, plan_plant_lists)
    _tell_doubles(runtime)
    _tell_future_lists(runtime)
    report.facts["moved"] = fetch_moves(runtime)
    return report


def fetch_devices(runtime: RunContext) -> StepResult:
    """Fetch the devices of the plants whose turn it is, and of new and changed ones."""
    return _fetch_list(runtime, RawDevices, plan_device_lists)


def fetch_measurement_sets(runtime: RunContext) -> StepResult:
    """Fetch the list of sets of the plants whose turn it is and of their devices, and of new and changed ones."""
    return _fetch_list(runtime, RawMeasurementSets, plan_set_lists)


@dataclass(slots=True)
class SetFetch:
    """Fetches a set for some days at a time; by single days once SMA has refused a week but not its days.

    A call fetches what the days lack of the set, of every plant or device that has it, and hands out each day as it is
    stored. Days of one calendar week are asked for together. Weeks that are finished stay when a later one fails.
    """

    source: SetSource
    by_week: bool = True

    def __call__(self, runtime: RunContext, days: Iterable[dt.date]) -> Iterator[tuple[dt.date, StepResult]]:
        """Each day with its result. Raises SmaError where SMA answers no request and the run can't go on."""
        for week in group_by_week(days):
            noted = note_unknown_sets(runtime, week) if self.source is BALANCE else {}
            for day, report in fetch_days(runtime, partial(self._plan, week), self._name, week):
                self.by_week &= not report.facts.get("week_refused")
                report.notices.add(noted.get(day, Notices()))
                yield day, report

    def list_upcoming(self, _: RunContext, days: Iterable[dt.date]) -> list[DaysToFetch]:
        """The weeks of these days, whose requests may be sent ahead."""
        return list(_list_weeks(self._name, self._plan, days))

    @property
    def _name(self) -> str:
        return f"{storage(self.source.raw).table} {self.source.set.name}"

    def _plan(self, week: Sequence[dt.date], runtime: RunContext) -> FetchPlan:
        return plan_set(runtime, self.source, week, by_week=self.by_week)


@dataclass(slots=True)
class OtherSetsFetch:
    """Fetches every chosen set that has no table of its own, for some days at a time, each like a `SetFetch`."""

    fetches: dict[str, SetFetch] = field(default_factory=dict)

    def __call__(self, runtime: RunContext, days: Iterable[dt.date]) -> Iterator[tuple[dt.date, StepResult]]:
        """Each day with its result. Raises as `SetFetch`."""
        for week in group_by_week(days):
            reports = {day: StepResult(facts={"requests": 0, "sets": []}) for day in week}
            reports[week[0]].notices.add(_list_odd_sets(runtime, week[0]))
            for name, fetch in self._list_fetches(runtime):
                for day, report in fetch(runtime, week):
                    reports[day].rows += report.rows
                    reports[day].changed |= report.changed
                    reports[day].facts["requests"] += report.facts["requests"]
                    reports[day].facts["sets"].append(name)
                    reports[day].notices.add(report.notices)
            yield from reports.items()

    def list_upcoming(self, runtime: RunContext, days: Iterable[dt.date]) -> list[DaysToFetch]:
        """As `SetFetch.list_upcoming`, of all of these sets."""
        fetches = self._list_fetches(runtime)
        return [
            upcoming
            for week in group_by_week(days)
            for _, fetch in fetches
            for upcoming in fetch.list_upcoming(runtime, week)
        ]

    def _list_fetches(self, runtime: RunContext) -> list[tuple[str, SetFetch]]:
        names = list_other_sets(runtime)
        return [(name, self.fetches.setdefault(name, SetFetch(build_other_set(name)))) for name in names]


def fetch_logs(runtime: RunContext, days: Iterable[dt.date]) -> Iterator[tuple[dt.date, StepResult]]:
    """Fetch the missing answers for every plant's log; yields each day as it is stored."""
    for week in group_by_week(days):
        yield from fetch_days(runtime, partial(_plan_plant_logs, week), storage(RawLogs).table, week)


def list_logs(_: RunContext, days: Iterable[dt.date]) -> list[DaysToFetch]:
    """The weeks of plants' logs, whose requests may be sent ahead."""
    return list(_list_weeks(storage(RawLogs).table, _plan_plant_logs, days))


def fetch_device_logs(runtime: RunContext, days: Iterable[dt.date]) -> Iterator[tuple[dt.date, StepResult]]:
    """Fetch the missing answers for every device's own log; yields each day as it is stored."""
    for week in group_by_week(days):
        yield from fetch_days(runtime, partial(_plan_device_logs, week), storage(RawDeviceLogs).table, week)


def list_device_logs(_: RunContext, days: Iterable[dt.date]) -> list[DaysToFetch]:
    """The weeks of devices' logs, whose requests may be sent ahead."""
    return list(_list_weeks(storage(RawDeviceLogs).table, _plan_device_logs, days))


def _plan_plant_logs(week: Sequence[dt.date], runtime: RunContext) -> FetchPlan:
    return plan_plant_logs(runtime, week)


def _plan_device_logs(week: Sequence[dt.date], runtime: RunContext) -> FetchPlan:
    return plan_device_logs(runtime, week)


def _list_weeks(
    name: str, plan: Callable[[Sequence[dt.date], RunContext], FetchPlan], days: Iterable[dt.date]
) -> Iterator[DaysToFetch]:
    for week in group_by_week(days):
        planner = partial(plan, week)
        yield DaysToFetch(name, week, partial(send_plan, plan_requests=planner, wait=False))


def _fetch_list(
    runtime: RunContext, model: type[RawAnswers], list_requests: Callable[[RunContext], Sequence[Request]]
) -> StepResult:
    today = runtime.find_today()

    def plan_lists(planning: RunContext) -> FetchPlan:
        # Another run may fetch the same lists while this one waits for it: they are not asked for a second time.
        seen = name_stored_answers(planning, model)
        planned = [PlannedRequest(request, {today: None}) for request in list_requests(planning)]
        return FetchPlan(model, planned, {today: KnownDay(planning.settings.sma_time_basis)}, {}, seen=seen)

    ((_, report),) = fetch_days(runtime, plan_lists)
    return report


def _tell_future_lists(runtime: RunContext) -> None:
    """Say which stored lists are not used, because their day has not come."""
    today = runtime.find_today()
    days = {
        day
        for model in (RawPlants, RawDevices, RawMeasurementSets)
        for day in list_future_days(runtime.lake, model, today)
    }
    if days:
        runtime.tell(
            f"Lists stored for {', '.join(map(str, sorted(days)))} are not used, because that is in the future: this "
            "machine's clock, or that of another one with this lake, was ahead when they were fetched. Days that were "
            "fetched then may lack their end: get them again with 'sunledger backfill --again'."
        )


def _tell_doubles(runtime: RunContext) -> None:
    """Say which plants several credentials show: only one of them asks."""
    if len(runtime.credential_names) == 1:
        return
    doubles = find_doubles(runtime.lake, runtime.credential_names, runtime.find_today())
    if doubles:
        plant, names = next(iter(doubles.items()))
        first = f"{plant}, listed by {' and '.join(names)}"
        runtime.tell(
            f"{pluralize(len(doubles), 'plant')} {'is' if len(doubles) == 1 else 'are'} listed by several credentials "
            f"({'' if len(doubles) == 1 else 'the first: '}{first}): each is asked for by the credential that "
            "SMA_CREDENTIALS names first, and by the next one where that has no data of it."
        )


def _list_odd_sets(runtime: RunContext, day: dt.date) -> Notices:
    return Notices.of(
        MissingItem(
            str(day),
            storage(RawOtherSets).table,
            plant,
            f"the set {name!r} can't be fetched, because its name is not a plain word",
        )
        for plant, name in find_odd_sets(runtime)
    )
