"""Schedules on a clock that tests turn: ticks are evaluated as the daemon does, and their work is done at once.

The work is that of the jobs, step by step: runs of the graph, which take seconds, have tests of their own.
"""

import dataclasses
import datetime as dt
from collections.abc import Iterable, Iterator
from typing import Any

import dagster as dg

from assets.definitions import DAYS_JOB, LISTS_JOB, SHARD_JOB, build_definitions
from assets.prefix import RUNTIME
from assets.run_control.run_tags import read_limits
from bench.lists import refresh_lists
from pipeline.common.settings import Settings
from pipeline.extract.fetch import SetFetch
from pipeline.run.context import RunContext
from pipeline.run.measurement_sets import PV, choose_sets
from pipeline.sma.client import Admit, pass_all
from pipeline.sma.requests import Answer, Failure, Request
from pipeline.tables.energy_tables import write_device_energy_daily, write_energy_daily
from pipeline.tables.hourly_tables import write_energy_hourly, write_quarter_energies
from pipeline.tables.interval_tables import write_intervals
from pipeline.tables.kpi_tables import write_kpi_daily
from tests.scripted import ScriptedSma

# Of each choice of settings, for all tests: to build them takes longer than a tick.
_SCHEDULES: dict[str, dict[str, dg.ScheduleDefinition]] = {}


class ClockedSma(ScriptedSma):
    """A scripted SMA whose answers carry the time of the clock."""

    now = dt.datetime(2021, 10, 20, 12, tzinfo=dt.UTC)

    def fetch(
        self, requests: Iterable[Request], *, urgent: bool = False, admit: Admit = pass_all
    ) -> Iterator[Answer | Failure]:
        for result in super().fetch(requests, urgent=urgent, admit=admit):
            yield dataclasses.replace(result, fetched_at=self.now) if isinstance(result, Answer) else result


class Clockwork:
    """A machine with schedules, which is on when it is reported to tick."""

    def __init__(self, settings: Settings, instance: dg.DagsterInstance, sma: ClockedSma) -> None:
        self.settings, self.instance, self.sma = settings, instance, sma
        self.runs: list[tuple[str, dt.datetime, str, str]] = []
        self.skips: list[tuple[str, str]] = []
        self.schedules = _build_schedules(settings)

    def runtime(self, tags: dict[str, str]) -> RunContext:
        return RunContext(
            self.settings,
            now=lambda: self.sma.now,
            make_session=lambda _: self.sma,  # type: ignore[arg-type,return-value]
            **read_limits(tags),
        )

    def turn_to(self, now: dt.datetime) -> None:
        self.sma.now = now

    def tick(self, name: str, scheduled: dt.datetime | None = None) -> list[dg.RunRequest]:
        """Evaluate one tick at the clock's time, or one that was due earlier, and do its runs."""
        with self.runtime({}) as runtime:
            schedule = self.schedules[name]
            with dg.build_schedule_context(
                instance=self.instance,
                scheduled_execution_time=scheduled or self.sma.now,
                resources={RUNTIME: runtime},
            ) as context:
                found = schedule.evaluate_tick(context)
        if found.skip_message:
            self.skips.append((name, found.skip_message))
        for request in found.run_requests or []:
            self._run(name, schedule.job_name, request)
        return list(found.run_requests or [])

    def _run(self, name: str, job: str, request: dg.RunRequest) -> None:
        tags: dict[str, Any] = {**request.tags, "dagster/schedule_name": name}
        first, last = (tags.get(f"dagster/asset_partition_range_{end}", "") for end in ("start", "end"))
        self.runs.append((name, self.sma.now, first, last))
        self.instance.add_run(dg.DagsterRun(job_name=job, tags=tags, status=dg.DagsterRunStatus.SUCCESS))
        with self.runtime(tags) as runtime:
            if job == LISTS_JOB:
                refresh_lists(runtime)
            elif job in {DAYS_JOB, SHARD_JOB}:
                _days(runtime, dt.date.fromisoformat(first), dt.date.fromisoformat(last))


def _build_schedules(settings: Settings) -> dict[str, dg.ScheduleDefinition]:
    """The schedules by name. They find the home in the runtime of each tick, so those of one home are those of all."""
    chosen = settings.model_dump_json(exclude={"home", "lake", "warehouse"})
    if chosen not in _SCHEDULES:
        found = build_definitions(settings).schedules or []
        _SCHEDULES[chosen] = {one.name: one for one in found if isinstance(one, dg.ScheduleDefinition)}
    return _SCHEDULES[chosen]


def _days(runtime: RunContext, first: dt.date, last: dt.date) -> None:
    sources = choose_sets(runtime.settings)
    for day in (first + i * dt.timedelta(days=1) for i in range((last - first).days + 1)):
        for source in sources:
            assert [done for done, _ in SetFetch(source)(runtime, [day])] == [day]
        for source in sources:
            write_intervals(runtime, source, day)
        write_energy_daily(runtime, day)
        if PV in sources:
            write_device_energy_daily(runtime, day)
        write_quarter_energies(runtime, day)
        write_energy_hourly(runtime, day)
        write_kpi_daily(runtime, day)
