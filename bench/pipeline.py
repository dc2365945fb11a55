"""Plant-days from the API to the published file by our own steps, measured stage by stage; a process of its own.

Kinds of runs: `balance` does the EnergyBalance set alone, which is what others are compared on; `all` does every table
of the day; `dagster` does the same as `all` through the asset graph, recorded as a user's runs are.
"""

import datetime as dt
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

import polars as pl

from assets.runs import record_runs
from bench.child import AT_ONCE, Result, Task, peak_mb, run_as_child
from bench.lists import refresh_lists
from pipeline.common.settings import Settings, load_settings
from pipeline.extract.fetch import SetFetch, fetch_logs
from pipeline.run.context import OpenResources, RunContext
from pipeline.run.measurement_sets import BALANCE, PV
from pipeline.run.step_result import StepResult
from pipeline.tables.energy_tables import write_device_energy_daily, write_energy_daily, write_energy_monthly
from pipeline.tables.interval_tables import write_intervals
from pipeline.tables.log_tables import write_logs
from schemas import EnergyBalanceIntervals, EnergyDaily, PvIntervals, RawEnergyBalance, Table, storage
from warehouse import frames, lake_writer
from warehouse.lake import Lake, Part, PartChange, Replacement, WriteResult
from warehouse.published_file.publish import publish

T = TypeVar("T")

FETCH, RAW_WRITE, RAW_READ = "fetch", "raw write", "raw read"
DECODE, VALIDATE, CORE_WRITE = "decode + kWh", "validate", "core write"
DAILY, PUBLISH, DAYS = "daily", "publish", "days through Dagster"

# The stage of writing by the layer of the table.
WRITES = {"raw": RAW_WRITE, "core": CORE_WRITE}


class StagedLake(Lake):
    """A lake that counts what is written and read to its stages; the steps know nothing of it."""

    def __init__(self, settings: Settings, result: Result) -> None:
        super().__init__(settings.lake, settings.home / "tmp")
        self.result = result

    def open_replacement(self, model: type[Table], part: Part) -> Replacement:
        """As the lake does; what adds and commits counts to the stage of the table's layer."""
        stage = WRITES.get(storage(model).layer) if storage(model).partition else None
        return StagedReplacement(self, model, part, stage) if stage else super().open_replacement(model, part)

    def read_batches(
        self, model: type[Table], part: Part | None = None, *, columns: Collection[str] | None = None
    ) -> Iterator[pl.DataFrame]:
        """As the lake does; whole answers count to their own stage."""
        found = super().read_batches(model, part, columns=columns)
        if storage(model).layer == "raw" and columns is None:
            found = self._drawn(found, RAW_READ)
        return found

    def _drawn(self, items: Iterable[T], stage: str) -> Iterator[T]:
        waiting = iter(items)
        while True:
            with self.result.stage(stage):
                item = next(waiting, None)
            if item is None:
                return
            yield item


class StagedReplacement(Replacement):
    """A replacement that counts its own work to a stage, and not that of who makes its chunks."""

    def __init__(self, lake: StagedLake, model: type[Table], part: Part, stage: str) -> None:
        super().__init__(lake, model, part)
        self._result, self._stage = lake.result, stage

    def add(self, chunk: pl.DataFrame) -> None:
        """As the replacement does."""
        with self._result.stage(self._stage):
            super().add(chunk)

    def commit(self, **scope: Any) -> WriteResult:
        """As the replacement does."""
        with self._result.stage(self._stage):
            return super().commit(**scope)

    def commit_change(self, change: PartChange) -> None:
        """As the replacement does."""
        with self._result.stage(self._stage):
            super().commit_change(change)


def run(task: Task) -> Result:
    """Days and publication of the task, into an empty home."""
    settings = load_settings(
        env_file=None, home=Path(task.home), sma_max_connections=AT_ONCE, **task.settings
    )
    _lists(settings)
    result = Result(days=len(task.days), start_mb=peak_mb())
    validate = _counted(frames.validate, result, VALIDATE)
    days = [dt.date.fromisoformat(day) for day in task.days]
    with (
        RunContext(settings, opened=OpenResources(lake=StagedLake(settings, result))) as runtime,
        mock.patch.object(lake_writer, "validate", validate),
    ):
        {"balance": _balance, "all": _all, "dagster": _dagster}[task.kind](runtime, days, result)
        result.requests = runtime.session.requests_sent
        result.peak_mb = peak_mb()
        result.rows = _count(runtime, EnergyBalanceIntervals) + _count(runtime, PvIntervals)
        result.figures = _sum_figures(runtime)
        result.file_bytes = {
            "raw": _size(runtime, RawEnergyBalance),
            "rows": _size(runtime, EnergyBalanceIntervals),
        }
    return result


def _lists(settings: Settings) -> None:
    """Plants, devices and sets: asked for once, whatever the days, so not a part of what is measured."""
    with RunContext(settings) as runtime:
        refresh_lists(runtime)


def _balance(runtime: RunContext, days: list[dt.date], result: Result) -> None:
    with result.stage(FETCH):
        _do_all(SetFetch(BALANCE)(runtime, days))
    for day in days:
        with result.stage(DECODE):
            write_intervals(runtime, BALANCE, day)
        with result.stage(DAILY):
            write_energy_daily(runtime, day)
    _finish(runtime, result)


def _all(runtime: RunContext, days: list[dt.date], result: Result) -> None:
    with result.stage(FETCH):
        _do_all(SetFetch(BALANCE)(runtime, days))
        _do_all(SetFetch(PV)(runtime, days))
        _do_all(fetch_logs(runtime, days))
    for day in days:
        with result.stage(DECODE):
            write_intervals(runtime, BALANCE, day)
            write_intervals(runtime, PV, day)
            write_logs(runtime, day)
        with result.stage(DAILY):
            write_energy_daily(runtime, day)
            write_device_energy_daily(runtime, day)
    _finish(runtime, result)


def _do_all(reports: Iterator[tuple[dt.date, StepResult]]) -> None:
    for _ in reports:
        pass


def _dagster(runtime: RunContext, days: list[dt.date], result: Result) -> None:
    with record_runs(runtime) as runs:
        with result.stage(DAYS):
            runs.fetch_days(days[0], days[-1])
        with result.stage(PUBLISH):
            runs.publish()


def _finish(runtime: RunContext, result: Result) -> None:
    with result.stage(DAILY):
        write_energy_monthly(runtime)
    with result.stage(PUBLISH):
        publish(runtime.lake, runtime.settings.warehouse, now=runtime.now(), version="bench")


def _count(runtime: RunContext, model: type[Table]) -> int:
    return int(runtime.lake.scan(model).select(pl.len()).collect().item())


def _sum_figures(runtime: RunContext) -> dict[str, float]:
    """The sums that the script of the floor has as well."""
    days = runtime.lake.scan(EnergyDaily)
    found = days.select(
        pl.sum("pv_generation_kwh", "grid_feed_in_kwh"), covered_h=pl.sum("pv_generation_covered_h")
    )
    return found.collect().row(0, named=True)


def _size(runtime: RunContext, model: type[Table]) -> int:
    return sum(Path(file).stat().st_size for file in runtime.lake.take_snapshot(model).files)


def _counted(work: Callable[..., Any], result: Result, stage: str) -> Callable[..., Any]:
    def counted(*arguments: Any) -> Any:
        with result.stage(stage):
            return work(*arguments)

    return counted


if __name__ == "__main__":
    run_as_child(run)
