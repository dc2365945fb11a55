"""Requests SMA's own energies by month and by year, and stores the answers in the raw lake."""

import datetime as dt
from collections.abc import Callable
from functools import partial

import polars as pl

from pipeline.common.calendar_months import find_month_before, find_month_end, find_year_start
from pipeline.common.errors import UsageError
from pipeline.extract.fetch_days import fetch_days
from pipeline.extract.request_plan import FetchPlan, KnownDay, PlannedRequest
from pipeline.run.context import RunContext
from pipeline.run.measurement_sets import BALANCE, find_plants_with_set
from pipeline.run.plants import compute_delay, list_plants, select_in_operation
from pipeline.run.step_result import StepResult
from pipeline.sma.requests import Request
from schemas import RawAnswers, RawEnergyMonths, RawEnergyYears, polars_schema

_FACTS = ("plant_id", "device_id", "request_date", "final", "no_rows")


def plan_month_requests(runtime: RunContext, month: dt.date) -> list[Request]:
    """One request for each plant with EnergyBalance that was in operation and whose final answer is not stored."""
    return [planned.request for planned in _plan_month(runtime, month).requests]


def plan_year_requests(runtime: RunContext, year: dt.date) -> list[Request]:
    """The same requests for a year, given by its first day."""
    return [planned.request for planned in _plan_year(runtime, year).requests]


def check_month_is_over(runtime: RunContext, month: dt.date) -> None:
    """Raises UsageError for a month that is not over by UTC."""
    if month >= runtime.find_today().replace(day=1):
        raise UsageError(f"{month:%Y-%m} is not over: choose a month before this one.")


def check_year_is_over(runtime: RunContext, year: dt.date) -> None:
    """Raises UsageError for a year, given by its first day, that is not over by UTC."""
    if year >= find_year_start(runtime.find_today()):
        raise UsageError(f"{year:%Y} is not over: choose a year before this one.")


def fetch_energy_months(runtime: RunContext, month: dt.date | None = None) -> StepResult:
    """Fetch SMA's own energies of a month, by default the last one that is over, with one request for each plant."""
    first = find_last_month(runtime) if month is None else month
    check_month_is_over(runtime, first)
    ((_, report),) = fetch_days(runtime, partial(_plan_month, month=first))
    return report


def fetch_energy_years(runtime: RunContext, year: dt.date) -> StepResult:
    """Fetch SMA's own energies of the months of a year, given by its first day, with one request for each plant."""
    check_year_is_over(runtime, year)
    ((_, report),) = fetch_days(runtime, partial(_plan_year, year=year))
    return report


def fetch_past_years(runtime: RunContext) -> StepResult:
    """Fetch each year that is over and has stored days, once, where the settings say so."""
    report = StepResult(facts={"requests": 0})
    if runtime.settings.energy_years == "off":
        return report
    days = [dt.date.fromisoformat(part["local_date"]) for part in runtime.lake.list_parts(BALANCE.raw)]
    running = find_year_start(runtime.find_today())
    # Plants in the east have days of the next year when this one is not over by UTC.
    for year in sorted(year for year in {find_year_start(day) for day in days} if year < running):
        of_year = fetch_energy_years(runtime, year)
        report.rows += of_year.rows
        report.changed |= of_year.changed
        report.facts["requests"] += of_year.facts["requests"]
        report.notices.add(of_year.notices)
    return report


def find_last_month(runtime: RunContext) -> dt.date:
    """First day of the last month that is over."""
    return find_month_before(runtime.find_today())


def _plan_month(runtime: RunContext, month: dt.date) -> FetchPlan:
    def request(plant: str) -> Request:
        return Request.plant_month(plant, BALANCE.set.name, month)

    return _plan_period(runtime, RawEnergyMonths, month, find_month_end(month), request)


def _plan_year(runtime: RunContext, year: dt.date) -> FetchPlan:
    def request(plant: str) -> Request:
        return Request.plant_year(plant, BALANCE.set.name, year)

    return _plan_period(runtime, RawEnergyYears, year, year.replace(month=12, day=31), request)


def _plan_period(
    runtime: RunContext,
    model: type[RawAnswers],
    first: dt.date,
    last: dt.date,
    request: Callable[[str], Request],
) -> FetchPlan:
    """Requests for the days from first to last, whose answers are stored in the part of the first day."""
    having = find_plants_with_set(runtime.lake, BALANCE)
    plants = select_in_operation(list_plants(runtime), last, runtime.now()).filter(
        pl.col("plant_id").is_in(having.implode())
    )
    plants = plants.with_columns(compute_delay(runtime.settings)).sort("plant_id")
    stored = pl.concat(
        [
            pl.DataFrame(schema={name: polars_schema(model)[name] for name in _FACTS}),
            *(
                b.select(_FACTS)
                for b in runtime.lake.read_batches(model, {"local_date": first}, columns=_FACTS)
            ),
        ]
    )
    known = KnownDay(
        runtime.settings.sma_time_basis,
        final_after=dict(plants.select("plant_id", pl.col("day_end") + pl.col("delay")).rows()),
        with_rows=frozenset(
            stored.filter(~pl.col("no_rows")).select("plant_id", "device_id", "request_date").rows()
        ),
    )
    if not runtime.again:
        plants = plants.join(stored.filter("final"), on="plant_id", how="anti", maintain_order="left")
    planned = [PlannedRequest(request(plant), {first: None}) for plant in plants["plant_id"]]
    zones = dict(plants.select("plant_id", "timezone").rows())
    return FetchPlan(model, planned, {first: known}, zones)
