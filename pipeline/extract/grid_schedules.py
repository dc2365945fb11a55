"""Reads the schedules of plants from the GridControl API into the raw table, while the setting allows it."""

import datetime as dt
from collections.abc import Collection, Sequence

import polars as pl

from pipeline.common.errors import CredentialsError, SmaError
from pipeline.common.text import pluralize
from pipeline.extract.order_states import note_order_states
from pipeline.run.context import RunContext
from pipeline.run.grid_order_book import GridOrderBook, OrderBookError
from pipeline.run.notices import MissingItem, Notices
from pipeline.run.plant_sessions import ask_by_plant
from pipeline.run.plants import list_own_plants
from pipeline.run.step_result import StepResult
from pipeline.sma.auth.secret_files import SecretFileError
from pipeline.sma.http.retry import TOO_MANY_REQUESTS
from pipeline.sma.unproven_grid_control import GridAnswer, GridRequest, ask_grid
from schemas import GridCommands, RawGridSchedules, polars_schema, storage
from schemas.grid_control import ACTIVE, SCHEDULED

_TABLE = storage(RawGridSchedules).table


def fetch_grid_schedules(runtime: RunContext) -> StepResult:
    """Fetch the schedules of each plant once a day, and again of those with commands or orders that are not over.

    Notes what became of orders of `sunledger grid`. Sends no request while SUNLEDGER_GRID_CONTROL is off.
    A damaged book of orders is missing in the report, and what needs no book is done. So are the schedules where SMA
    answers for no plant: nothing else of a run needs them. Raises as `read_schedules` for credentials, settings and
    the rate.
    """
    if runtime.settings.grid_control == "off":
        return StepResult(facts={"requests": 0})
    book = GridOrderBook(runtime.settings)
    try:
        ordered = {one.order.plant_id for one in book.list_orders()}
    except (OrderBookError, SecretFileError) as fault:
        result, _ = _read_due(runtime, ())
        result.notices.missing.append(MissingItem(str(runtime.find_today()), _TABLE, "", str(fault)))
        return result
    result, read = _read_due(runtime, ordered)
    note_order_states(runtime, book, read)
    book.store_events(runtime.lake)
    return result


def read_schedules(runtime: RunContext, plants: Sequence[str]) -> StepResult:
    """Fetch the schedules of these plants and store the answers; what SMA does not answer is missing in the report.

    Raises ConfigurationError while the setting is off, CredentialsError, and the error of the first plant where no
    plant was answered.
    """
    requests = [GridRequest.schedules(plant) for plant in plants]
    results = ask_by_plant(runtime, requests, ask_grid)
    answers = [one for one in results if isinstance(one, GridAnswer)]
    errors = {plant: one for plant, one in zip(plants, results, strict=True) if isinstance(one, SmaError)}
    refused = next((one for one in errors.values() if isinstance(one, CredentialsError)), None)
    if refused is not None:
        raise refused
    if errors and not answers:
        raise next(iter(errors.values()))
    _store(runtime, answers)
    today = str(runtime.find_today())
    missing = [MissingItem(today, _TABLE, plant, str(error)) for plant, error in errors.items()]
    facts = {"requests": len(requests), "unanswered": len(errors)}
    return StepResult(len(answers), bool(answers), facts, notices=Notices.of(missing))


def _read_due(runtime: RunContext, ordered: Collection[str]) -> tuple[StepResult, list[str]]:
    """The result of reading the plants whose turn it is, and those that were read."""
    due = _find_due(runtime, list_own_plants(runtime)["plant_id"].to_list(), ordered)
    try:
        result = read_schedules(runtime, due)
    except SmaError as error:
        if isinstance(error, CredentialsError) or error.status == TOO_MANY_REQUESTS:
            raise
        reason = (
            f"SMA answered no request for the schedules of {pluralize(len(due), 'plant')}, so those of the last "
            f"reading stay: {error}"
        )
        missing = MissingItem(str(runtime.find_today()), _TABLE, "", reason)
        return StepResult(
            facts={"requests": len(due), "unanswered": len(due)}, notices=Notices.of([missing])
        ), []
    silent = {one.plant_id for one in result.notices.missing}
    return result, [plant for plant in due if plant not in silent]


def _find_due(runtime: RunContext, plants: Sequence[str], ordered: Collection[str]) -> list[str]:
    """The plants that were not read on this UTC day, and those that have a command or an order that is not over."""
    if runtime.again:
        return list(plants)
    today = runtime.find_today()
    read = (
        runtime.lake.scan(RawGridSchedules).filter(pl.col("read_date") == today).select("plant_id").collect()
    )
    open_ = (
        runtime.lake.scan(GridCommands)
        .filter(pl.col("state").is_in([SCHEDULED, ACTIVE]))
        .select("plant_id")
        .collect()
    )
    done = {*read["plant_id"]} - {*open_["plant_id"], *ordered}
    return [plant for plant in plants if plant not in done]


def _store(runtime: RunContext, answers: Sequence[GridAnswer]) -> None:
    frame = pl.DataFrame(
        {
            "plant_id": [one.request.plant_id for one in answers],
            "read_at": [one.read_at for one in answers],
            "read_date": [one.read_at.date() for one in answers],
            "body": [one.body for one in answers],
        },
        schema=polars_schema(RawGridSchedules),
    )
    for (day,), rows in frame.group_by("read_date", maintain_order=True):
        assert isinstance(day, dt.date)  # noqa: S101 - for the type checker
        runtime.lake.append(RawGridSchedules, {"read_date": day}, rows)
