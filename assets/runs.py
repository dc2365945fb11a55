"""Runs of the asset graph in this process, for the command line: the same assets as in the UI, in the same records."""

import datetime as dt
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
from sqlalchemy.exc import SQLAlchemyError

from assets.checks import day_checks, list_checks, publish_checks
from assets.common import DAYS_PER_RUN, MODELS, failed_days
from assets.dagster_home import limit_pools, open_dagster
from assets.definitions import day_partitions
from assets.published import warehouse
from assets.run_tags import RANGE_END, RANGE_START
from assets.sensors import DECISIVE
from assets.tables import chosen, day_assets, list_assets, made_day_assets, money_assets, month_assets
from pipeline.common.day_availability import days_of, spans
from pipeline.common.errors import SunledgerError
from pipeline.run.context import Runtime
from pipeline.run.unfinished_days import record_days, take_over_days
from pipeline.tables.incomplete_days import stored_answers, unmade_days

ONE_DAY = dt.timedelta(days=1)
# What a shell expects of a program that ended by Ctrl-C.
INTERRUPTED = 130


class RunFailedError(SunledgerError):
    """A run of the graph failed with an error of ours; `exit_code` is that error's.

    `not_fetched` has the days whose energy could not be asked for.
    """

    def __init__(self, message: str, exit_code: int, not_fetched: Collection[dt.date] = ()) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]
        self.not_fetched = not_fetched


@dataclass(slots=True)
class Runs:
    """Runs that share one runtime and one record of runs."""

    runtime: Runtime
    instance: dg.DagsterInstance
    materialized: int = field(default=0)
    # The days that were made by these runs, those of them that an earlier run had left unfinished, and why that failed.
    made: set[dt.date] = field(default_factory=set)
    completed: list[dt.date] = field(default_factory=list)
    not_completed: str = ""

    def lists(self) -> None:
        """Refresh consents, plants, devices and measurement sets. Raises RunFailedError."""
        self._run([*list_assets(), *list_checks()], {})

    def days(self, first: dt.date, last: dt.date) -> None:
        """Fetch and turn into energy all days from first to last, in runs of up to a month.

        Raises RunFailedError. What was fetched before the failure is turned into energy all the same.
        """
        settings = self.runtime.settings
        partitions = day_partitions(settings)
        for start, end in chunks(first, last):
            failed: RunFailedError | None = None
            assets = [*chosen(day_assets(partitions), settings), *month_assets(), *day_checks(partitions)]
            with record_days(self._unfinished, days_of(start, end)):
                try:
                    self._run_days(assets, start, end)
                except RunFailedError as failure:
                    if failure.exit_code == INTERRUPTED:
                        raise
                    # Days that were not fetched would be made of nothing, and look done.
                    self.remake(set(days_of(start, end)) - set(failure.not_fetched))
                    failed = failure
            if failed is not None:
                raise failed

    def remake(self, days: Iterable[dt.date]) -> None:
        """Make these days again from the stored answers, in runs of up to a month without holes; asks SMA nothing.

        Raises RunFailedError.
        """
        settings = self.runtime.settings
        partitions = day_partitions(settings)
        self._remake(chosen(made_day_assets(partitions), settings), days)

    def publish(self) -> None:
        """Count PU and invoices anew, and publish the warehouse; before, complete days that an earlier run left.

        Raises RunFailedError. Days that can't be completed are left to the next run, and `not_completed` says why.
        """
        try:
            self._complete()
        except RunFailedError as failure:
            self.not_completed = str(failure)
        self._run([*money_assets(), warehouse, *publish_checks()], {})

    def _complete(self) -> None:
        """Make the days that dead runs left, and that lack tables, from the stored answers; asks SMA nothing."""
        lake, partitions = self.runtime.lake, day_partitions(self.runtime.settings)
        with take_over_days(self._unfinished) as left:
            days = (left & set(stored_answers(self.runtime))) | unmade_days(self.runtime)
            days -= self.made
            # Also tables that this run's settings leave alone, where another run has made them before.
            chosen_now = chosen(made_day_assets(partitions), self.runtime.settings)
            kept = [
                a for a in made_day_assets(partitions) if lake.snapshot(MODELS[a.key.path[0]]).version >= 0
            ]
            assets = {asset.key: asset for asset in (*kept, *chosen_now)}
            self._remake(list(assets.values()), days)
            self.completed = sorted(days)

    def _remake(self, made: Sequence[dg.AssetsDefinition], days: Iterable[dt.date]) -> None:
        checks = day_checks(day_partitions(self.runtime.settings))
        for start, end in spans(days, DAYS_PER_RUN):
            with record_days(self._unfinished, days_of(start, end)):
                self._run_days([*made, *month_assets(), *checks], start, end)

    @property
    def _unfinished(self) -> Path:
        return self.runtime.settings.home / "unfinished"

    def _run_days(
        self,
        assets: Sequence[dg.AssetsDefinition | dg.AssetChecksDefinition],
        start: dt.date,
        end: dt.date,
    ) -> None:
        self._run(assets, {RANGE_START: start.isoformat(), RANGE_END: end.isoformat()})
        self.made |= set(days_of(start, end))

    def _run(
        self, assets: Sequence[dg.AssetsDefinition | dg.AssetChecksDefinition], tags: dict[str, str]
    ) -> None:
        result = dg.materialize(
            assets,
            instance=self.instance,
            resources={"runtime": self.runtime},
            tags=tags,
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
        self.materialized += len(result.get_asset_materialization_events())
        if not result.success:
            raise _failure(result)


@contextmanager
def recorded(runtime: Runtime) -> Iterator[Runs]:
    """Runs that are recorded in the home's Dagster, where the UI shows them."""
    try:
        with open_dagster(runtime.settings) as instance:
            limit_pools(instance)
            yield Runs(runtime, instance)
    except SQLAlchemyError as fault:
        raise SunledgerError(
            f"Dagster's records in {runtime.settings.home / 'dagster'} can't be read or written "
            f"({type(fault).__name__}): look at the free space and the permissions there, then run it again."
        ) from fault


def chunks(first: dt.date, last: dt.date, size: int = DAYS_PER_RUN) -> Iterator[tuple[dt.date, dt.date]]:
    """[first, last] cut into ranges of at most `size` days."""
    while first <= last:
        end = min(last, first + (size - 1) * ONE_DAY)
        yield first, end
        first = end + ONE_DAY


def _failure(result: dg.ExecuteInProcessResult) -> Exception:
    """The first failed step as an error of ours; anything else is a fault of this program and keeps its trace."""
    failures = {event.step_key: event for event in result.all_events if event.is_step_failure}
    for event in failures.values():
        data = event.step_failure_data
        if data.user_failure_data and data.user_failure_data.description:
            code = data.user_failure_data.metadata.get("exit_code")
            not_fetched = failed_days(failures.get(DECISIVE))
            exit_code = int(code.value) if code else 1  # type: ignore[arg-type]
            return RunFailedError(data.user_failure_data.description, exit_code, not_fetched)
        if data.error and data.error.cls_name == dg.DagsterExecutionInterruptedError.__name__:
            return RunFailedError(
                "Interrupted. The days that were finished are stored; run it again for the rest.", INTERRUPTED
            )
        return RuntimeError(data.error_display_string)
    return RuntimeError("The run failed before its first step.")
