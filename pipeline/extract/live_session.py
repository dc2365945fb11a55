"""A session of live values: calls plants in turn, stores each answer at once, and ends by itself."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from pipeline.billing.live_plan import LiveBook, LivePlan
from pipeline.common.errors import SmaError, TransientError
from pipeline.run.context import RunContext
from pipeline.run.plant_sessions import ask_by_plant
from pipeline.sma.budget.file_store import Moment
from pipeline.sma.unproven_live import (
    PAUSE_S,
    SECONDS_BETWEEN_CALLS,
    SESSION_S,
    LiveAnswer,
    LiveBusyError,
    LiveReading,
    LiveRequest,
    NotEligibleError,
    ask_live,
    check_backend,
    check_configuration,
    read_values,
)
from schemas import LiveReadings, polars_schema

# Each failed call counts against the plan.
FAILURES_IN_A_ROW: Final = 5

Send = Callable[[Sequence[LiveRequest]], Sequence[LiveAnswer | SmaError]]


@dataclass(slots=True)
class LivePlant:
    """A plant of a session. `due` is when it may be called next, in seconds of the session's clock.

    `problem` says what became of its last call where that gave no values, `ended` why it is called no more.
    """

    plant_id: str
    name: str
    timezone: str
    due: float = 0.0
    confirmed: bool = False
    calls: int = 0
    readings: int = 0
    failures: int = 0
    newest: LiveReading | None = None
    problem: str = ""
    ended: str = ""


def list_live_plants(plants: pl.DataFrame) -> list[LivePlant]:
    """Plants with plant_id, name, timezone and backend for a session; those not on Classic are ended before a call."""
    found = []
    for row in plants.select("plant_id", "name", "timezone", "backend").iter_rows(named=True):
        plant = LivePlant(row["plant_id"], row["name"], row["timezone"])
        try:
            check_backend(plant.plant_id, row["backend"])
        except NotEligibleError as error:
            plant.ended = str(error)
        found.append(plant)
    return found


class LiveSession:
    """Calls the plants once in ten seconds each, until ten minutes or the month are over, or no plant is left.

    `show` gets the plants after each round, with those that were called. `send` asks SMA, by default by the run's
    session.
    """

    def __init__(
        self,
        runtime: RunContext,
        plan: LivePlan,
        book: LiveBook,
        plants: Sequence[LivePlant],
        show: Callable[[Sequence[LivePlant], Sequence[LivePlant]], None],
        *,
        send: Send | None = None,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._runtime, self._plan, self._book, self._plants = runtime, plan, book, plants
        self._show = show
        self._send = send or self._ask
        self._sleep = sleep
        self._monotonic = monotonic
        self._shared: set[str] = set()

    def run(self) -> None:
        """Call until the session ends. Raises SunledgerError where calls can't be counted or values not stored."""
        began = self._monotonic()
        since = Moment.of(began, self._runtime.now().timestamp())
        left_s = (self._plan.next_month - self._runtime.now()).total_seconds()
        end = began + min(SESSION_S, left_s)
        while alive := [plant for plant in self._plants if not plant.ended]:
            now = self._monotonic()
            if now >= end:
                return
            due = {plant.plant_id: plant for plant in alive if plant.due <= now}
            if due:
                called = self._call(due, since)
                self._show(self._plants, called)
            else:
                self._sleep(max(0.0, min(end, *(plant.due for plant in alive)) - now))

    def _call(self, due: dict[str, LivePlant], since: Moment) -> list[LivePlant]:
        """Call the plants whose turn it is; returns those."""
        turns = self._book.reserve_calls(self._plan, due, since)
        for plant_id, wait_s in turns.waits.items():
            self._wait(due[plant_id], wait_s)
        for plant_id in turns.over:
            due[plant_id].ended = (
                f"The session of plant {plant_id}, which another process of this home began, is over after "
                f"{SESSION_S / 60:.0f} minutes: run this again after a minute."
            )
        for plant_id in turns.exhausted:
            due[plant_id].ended = self._plan.describe_exhaustion()
        called = [due[plant_id] for plant_id in turns.admitted]
        if not called:
            return []
        requests = [
            (LiveRequest.values if plant.confirmed else LiveRequest.configuration)(plant.plant_id)
            for plant in called
        ]
        try:
            results = self._send(requests)
        finally:
            self._book.note_answers(turns.admitted)
        self._store([self._take(plant, result) for plant, result in zip(called, results, strict=True)])
        return called

    def _wait(self, plant: LivePlant, wait_s: float) -> None:
        plant.due = self._monotonic() + wait_s
        if plant.plant_id in self._shared or plant.ended:
            return
        if wait_s > SECONDS_BETWEEN_CALLS or not plant.calls:
            why = (
                "its last session was ended by its length"
                if wait_s > SECONDS_BETWEEN_CALLS
                else "it was called a moment ago"
            )
        else:
            self._shared.add(plant.plant_id)
            why = f"another process of this home calls it too, and both share one call in {SECONDS_BETWEEN_CALLS:.0f} s"
        self._runtime.tell(f"Plant {plant.plant_id} waits for {wait_s:.0f} s, because {why}.")

    def _take(self, plant: LivePlant, result: LiveAnswer | SmaError) -> LiveReading | None:
        """Note what became of a call; returns the values, if it gave some."""
        plant.calls += 1
        plant.due = self._monotonic() + SECONDS_BETWEEN_CALLS
        try:
            if isinstance(result, SmaError):
                raise result
            if not plant.confirmed:
                check_configuration(result)
                plant.confirmed = True
                reading = None
            else:
                settings = self._runtime.settings
                reading = read_values(result, plant.timezone, settings.sma_time_basis)
        except NotEligibleError as error:
            plant.problem = plant.ended = str(error)
            return None
        except SmaError as error:
            self._note_failure(plant, error)
            return None
        plant.failures, plant.problem = 0, ""
        if reading is not None:
            plant.newest = reading
            plant.readings += 1
        return reading

    def _note_failure(self, plant: LivePlant, error: SmaError) -> None:
        plant.failures += 1
        plant.problem = str(error)
        lasting = not isinstance(error, TransientError)
        if lasting or plant.failures >= FAILURES_IN_A_ROW:
            plant.ended = (
                plant.problem
                if lasting
                else f"{FAILURES_IN_A_ROW} calls of plant {plant.plant_id} failed in a row, the last one so: {error}"
            )
        wait_s = min(PAUSE_S, SECONDS_BETWEEN_CALLS * 2 ** (plant.failures - 1))
        if isinstance(error, LiveBusyError) and error.wait_s is not None:
            wait_s = max(SECONDS_BETWEEN_CALLS, error.wait_s)
        plant.due = self._monotonic() + wait_s

    def _store(self, readings: Sequence[LiveReading | None]) -> None:
        """Append the values to the table. A reading is stored before the next call is made."""
        rows = [
            {
                "plant_id": one.plant_id,
                "read_at": one.read_at,
                "read_date": one.read_at.date(),
                "measured_at": one.measured_at,
                "status": one.status,
                **one.values,
            }
            for one in readings
            if one is not None
        ]
        if not rows:
            return
        frame = pl.DataFrame(rows, schema=polars_schema(LiveReadings))
        for day in frame["read_date"].unique():
            part = frame.filter(pl.col("read_date") == day)
            self._runtime.lake.append(LiveReadings, {"read_date": day}, part)

    def _ask(self, requests: Sequence[LiveRequest]) -> Sequence[LiveAnswer | SmaError]:
        return ask_by_plant(self._runtime, requests, ask_live)
