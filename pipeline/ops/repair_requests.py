"""Fetches lost answers from SMA again: plans the requests, sends them, and records the outcome."""

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import cast

from pipeline.common.errors import SunledgerError
from pipeline.common.text import pluralize
from pipeline.extract.due_lists import plan_device_lists, plan_plant_lists, plan_set_lists
from pipeline.extract.fetch import fetch_devices, fetch_measurement_sets, fetch_plant_list
from pipeline.extract.fetch_days import fetch_days
from pipeline.extract.missing_answers import plan_device_logs, plan_plant_logs, plan_set
from pipeline.extract.request_plan import FetchPlan, group_by_week
from pipeline.extract.vendor_energies import (
    fetch_energy_months,
    fetch_energy_years,
    plan_month_requests,
    plan_year_requests,
)
from pipeline.run.context import RunContext
from pipeline.run.measurement_sets import SETS, VALUES, build_other_set
from pipeline.run.step_result import StepResult
from pipeline.sma.requests import Request
from schemas import (
    RAW,
    Quarantine,
    RawAnswers,
    RawDeviceLogs,
    RawDevices,
    RawEnergyMonths,
    RawEnergyYears,
    RawLogs,
    RawMeasurementSets,
    RawOtherSets,
    RawPlants,
    Table,
    storage,
)
from warehouse.repairs.lost_parts import LostPart

SHOWN = 3
# Lists of today; the lists of the days before are history.
LISTS_ASKED: dict[
    type[Table], tuple[Callable[[RunContext], list[Request]], Callable[[RunContext], StepResult]]
] = {
    RawPlants: (plan_plant_lists, fetch_plant_list),
    RawDevices: (plan_device_lists, fetch_devices),
    RawMeasurementSets: (plan_set_lists, fetch_measurement_sets),
}
# SMA's own energies, by the month and by the year.
_VENDOR: dict[
    type[Table],
    tuple[Callable[[RunContext, dt.date], list[Request]], Callable[[RunContext, dt.date], StepResult]],
] = {
    RawEnergyMonths: (plan_month_requests, fetch_energy_months),
    RawEnergyYears: (plan_year_requests, fetch_energy_years),
}
_RAW = {storage(model).table: model for model in RAW}
_SOURCES = {source.raw: source for source in (*SETS, VALUES)}


@dataclass(slots=True)
class RepairOutcome:
    """What became of lost parts, a sentence each: there again (`copied`: as they were), gone, or to be tried again."""

    copied: dict[LostPart, str] = field(default_factory=dict)
    healed: dict[LostPart, str] = field(default_factory=dict)
    gone: dict[LostPart, str] = field(default_factory=dict)
    waiting: dict[LostPart, str] = field(default_factory=dict)

    @property
    def known(self) -> set[LostPart]:
        """The parts that something is said of."""
        return {*self.copied, *self.healed, *self.gone, *self.waiting}


@dataclass(frozen=True, slots=True)
class AskedAgain:
    """Lost answers that must be fetched again: the requests, and the function that sends them."""

    lost: Sequence[LostPart]
    requests: Sequence[Request]
    send: Callable[[], Sequence[StepResult]]

    @property
    def plants(self) -> set[str]:
        """Whose PU they may make."""
        return {request.plant_id for request in self.requests} - {""}


def plan_requests_again(runtime: RunContext, lost: Iterable[LostPart]) -> list[AskedAgain]:
    """The requests for lost answers, by table; nothing is sent. Raises SunledgerError while no plants are known."""
    by_table: dict[tuple[type[RawAnswers], str], list[LostPart]] = {}
    for one in lost:
        if target := find_answers(one):
            by_table.setdefault(target, []).append(one)
    return [_plan_again(runtime, model, set_type, found) for (model, set_type), found in by_table.items()]


def find_answers(one: LostPart) -> tuple[type[RawAnswers], str] | None:
    """The raw table, and the set in it, whose answers were lost with the part: failed requests are in quarantine."""
    if "local_date" not in one.part:
        return None
    if one.model is Quarantine:
        table, _, set_type = str(one.part["source"]).partition("-")
        return (_RAW[table], set_type) if table in _RAW else None
    if one.model in RAW:
        return one.model, str(one.part.get("set_type", ""))
    return None


def send(runtime: RunContext, again: AskedAgain, outcome: RepairOutcome) -> None:
    """Ask SMA, and say of each part whether it is there again. What fails waits for the next repair."""
    try:
        why = _find_passing_fault(again.send())
    except SunledgerError as fault:
        why = str(fault)
    if why:
        outcome.waiting |= dict.fromkeys(again.lost, f"the request to SMA failed: {why}")
        return
    for one in again.lost:
        without = _list_plants_without_answers(runtime, one)
        if one.model is not Quarantine and not runtime.lake.name_stored_files(one.model, one.part):
            history = one.model in LISTS_ASKED
            whose = "the list of that day is" if history else "SMA no longer has these answers, so they are"
            outcome.gone[one] = f"{whose} lost; the tables that were made from them stay as they are"
        elif without:
            names = ", ".join(without[:SHOWN]) + (", …" if len(without) > SHOWN else "")
            outcome.gone[one] = (
                f"fetched again, but SMA no longer has the answers of {pluralize(len(without), 'plant')} ({names}), so "
                "they are lost; the figures that were made from them stay as they are"
            )
        else:
            outcome.healed[one] = "fetched again"


def _find_passing_fault(reports: Sequence[StepResult]) -> str:
    """The first reason of a report with a request that failed for now; empty where none did."""
    failed = (report for report in reports if report.facts.get("failed_for_now"))
    return next((item.reason for report in failed for item in report.notices.missing), "")


def _plan_again(
    runtime: RunContext, model: type[RawAnswers], set_type: str, lost: list[LostPart]
) -> AskedAgain:
    days = sorted(cast("dt.date", one.part["local_date"]) for one in lost)
    if model in LISTS_ASKED:
        requests, fetch = LISTS_ASKED[model]
        newest = max((part["local_date"] for part in runtime.lake.list_parts(model)), default="")
        # An older list says nothing that the tables which were made from it do not say.
        if str(days[-1]) <= newest:
            return AskedAgain(lost, [], list)
        return AskedAgain(lost, requests(runtime), lambda: [fetch(runtime)])
    if model in _VENDOR:
        of, fetch_one = _VENDOR[model]
        return AskedAgain(
            lost,
            [request for day in days for request in of(runtime, day)],
            lambda: [fetch_one(runtime, day) for day in days],
        )
    return AskedAgain(
        lost,
        [
            planned.request
            for week in group_by_week(days)
            for planned in _plan_week(runtime, model, set_type, week).requests
        ],
        lambda: [
            report
            for week in group_by_week(days)
            for _, report in fetch_days(
                runtime, partial(_plan_week, model=model, set_type=set_type, week=week)
            )
        ],
    )


def _plan_week(
    runtime: RunContext, model: type[RawAnswers], set_type: str, week: Sequence[dt.date]
) -> FetchPlan:
    if model is RawLogs:
        return plan_plant_logs(runtime, week)
    if model is RawDeviceLogs:
        return plan_device_logs(runtime, week)
    return plan_set(runtime, build_other_set(set_type) if model is RawOtherSets else _SOURCES[model], week)


def _list_plants_without_answers(runtime: RunContext, one: LostPart) -> list[str]:
    """The plants that have rows of the day in the table made from its answers, and no answer any more."""
    source = _SOURCES.get(cast("type[RawAnswers]", one.model))
    if source is None:
        return []
    part = {"local_date": one.part["local_date"]}
    made, answered = (
        {
            plant
            for rows in runtime.lake.read_batches(model, part, columns=["plant_id"])
            for plant in rows["plant_id"]
        }
        for model in (source.intervals, source.raw)
    )
    return sorted(made - answered)
