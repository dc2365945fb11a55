"""Runs of the asset graph in this process, for the command line: the same assets as in the UI, in the same records."""

import datetime as dt
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TextIO, TypeAlias

import dagster as dg

from assets.asset_builders import DAYS_PER_RUN, MODELS, find_failed_days
from assets.asset_checks import build_day_checks, list_checks, publish_checks
from assets.home_setup.dagster_home import explain_faults, open_dagster, prepare_dagster_home
from assets.prefix import NOTICES, RUNTIME, build_step_key
from assets.published import build_warehouse
from assets.retention import purge_daily
from assets.run_control.changed_days import find_unchanged_days
from assets.run_control.dead_runs import end_own_runs
from assets.run_control.pool_waits import PoolWait, wait_for_pools, watch_pools
from assets.run_control.run_processes import THIS_PROCESS
from assets.run_control.run_tags import RANGE_END, RANGE_START, build_command_tags
from assets.sensors import DECISIVE
from assets.table_assets import (
    DayFetch,
    build_device_assets,
    build_fetched_day_assets,
    build_made_day_assets,
    build_money_assets,
    build_month_assets,
    build_plant_assets,
    list_assets,
    list_day_fetches,
    list_day_tables,
    list_upcoming,
    select_chosen,
)
from pipeline.common.day_availability import bound_days, join_days, list_days
from pipeline.common.errors import SunledgerError
from pipeline.common.text import pluralize
from pipeline.extract.due_lists import find_unlisted_plants
from pipeline.extract.missing_answers import find_unanswered_plants
from pipeline.ops.stored_publication import LOG_REMOVED
from pipeline.run.context import RunContext
from pipeline.run.made_ahead import MadeAhead
from pipeline.run.measurement_sets import list_idle_tables
from pipeline.run.notices import Notices
from pipeline.run.plants import list_plants
from pipeline.run.sent_ahead import SentAhead
from pipeline.run.unfinished_days import find_unfinished, record_days, take_over_days
from pipeline.tables.incomplete_days import list_days_with_answers, list_unmade_days

ONE_DAY = dt.timedelta(days=1)
# What a shell expects of a program that ended by Ctrl-C.
INTERRUPTED = 130
# What a run makes.
Built: TypeAlias = dg.AssetsDefinition | dg.AssetChecksDefinition


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
    """Runs that share one runtime and one record of runs.

    Their job is called after the `command` that they belong to, and they carry its `tags`: so they are found on the
    page.
    """

    runtime: RunContext
    instance: dg.DagsterInstance
    wait: PoolWait
    command: str = "sunledger"
    tags: dict[str, str] = field(default_factory=dict)
    materialized: int = field(default=0)
    # What a person should know of them.
    notices: Notices = field(default_factory=Notices)
    # The days that these runs have made.
    made: set[dt.date] = field(default_factory=set)

    def refresh_lists(self) -> None:
        """Refresh consents, plants, devices and measurement sets. Raises RunFailedError."""
        settings = self.runtime.settings
        self._run([*select_chosen(list_assets(settings), settings), *list_checks(settings)], {})

    def refresh_plants(self) -> None:
        """Refresh consents and the list of plants, which makes no PU. Raises RunFailedError."""
        settings = self.runtime.settings
        self._run([*build_plant_assets(settings), *list_checks(settings)], {})

    def refresh_plants_again(self) -> None:
        """The same where more may be asked for since: what was missing is missing only if it still is."""
        self.notices.missing.clear()
        self.refresh_plants()

    def refresh_devices(self) -> None:
        """Refresh devices and measurement sets of the listed plants. Raises RunFailedError."""
        settings = self.runtime.settings
        self._run(select_chosen(build_device_assets(settings), settings), {})

    def fetch_days(self, first: dt.date, last: dt.date) -> None:
        """Fetch and turn into energy all days from first to last, in runs of up to a month.

        Raises RunFailedError. What was fetched before the failure is turned into energy all the same.
        """
        settings, fetches = self.runtime.settings, list_day_fetches()
        idle = list_idle_tables(settings)
        assets = [
            *build_fetched_day_assets(settings, fetches, idle),
            *build_made_day_assets(settings, idle),
            *build_month_assets(settings),
            *build_day_checks(settings),
        ]
        ranges = self._bound_changed(list_days(first, last))
        if not ranges:
            # A month may be over since.
            self._run(build_month_assets(settings), {})
        for start, end in ranges:
            self._fetch_range(assets, fetches, start, end)

    def _fetch_range(
        self, assets: Sequence[Built], fetches: Sequence[DayFetch], first: dt.date, last: dt.date
    ) -> None:
        """Fetch and make the days in one run. After a failure those that were fetched are made, before it is raised."""
        settings, days = self.runtime.settings, list_days(first, last)
        failed: RunFailedError | None = None
        with record_days(self._unfinished, days):
            try:
                upcoming = list_upcoming(self.runtime, fetches, days)
                with MadeAhead(self.runtime, list_day_tables(settings)), SentAhead(self.runtime, upcoming):
                    self._run_days(assets, first, last)
            except RunFailedError as failure:
                if failure.exit_code == INTERRUPTED:
                    raise
                # Days that were not fetched would be made of nothing, and look done. A failure of the whole run names
                # none of them: they have no answers.
                fetched = list_days_with_answers(self.runtime) - set(failure.not_fetched)
                self.remake(fetched & set(days))
                failed = failure
        if failed is not None:
            raise failed

    def _bound_changed(self, days: Sequence[dt.date]) -> list[tuple[dt.date, dt.date]]:
        """The ranges of up to a month with the days that lack an answer, or of which something has changed.

        One run tries all of its days, whichever of them fail. So the days of a month are not torn apart by those
        between them that need nothing.
        """
        unchanged = find_unchanged_days(self.runtime, days)
        ranges = bound_days([day for day in days if day not in unchanged], DAYS_PER_RUN)
        for day, notices in unchanged.items():
            if not any(start <= day <= end for start, end in ranges):
                self.notices.add(notices)
        return ranges

    def fetch_answers(self, first: dt.date, last: dt.date) -> frozenset[str]:
        """Fetch the answers of all days from first to last, of the runtime's shard, and make nothing of them yet.

        Returns the plants of other shards whose answers are still lacking. Where there is none, this shard was the
        last one: the days are complete in the lake, whichever runs have fetched them. Raises RunFailedError.
        """
        settings, fetches = self.runtime.settings, list_day_fetches()
        for start, end in split_days(first, last):
            fetched = build_fetched_day_assets(settings, fetches, list_idle_tables(settings))
            with SentAhead(self.runtime, list_upcoming(self.runtime, fetches, list_days(start, end))):
                self._run(fetched, {RANGE_START: start.isoformat(), RANGE_END: end.isoformat()})
        # Every shard looks after its own commits, so of those that end at once at least one sees the answers of all.
        whole = replace(self.runtime, shard=None, again=False)
        lacking = find_unanswered_plants(whole, list_days(first, last)) | find_unlisted_plants(whole)
        return lacking - set(list_plants(self.runtime)["plant_id"])

    def remake(self, days: Iterable[dt.date]) -> None:
        """Rebuild these days from the stored answers, in runs of up to a month without holes; sends no request to SMA.

        Raises RunFailedError.
        """
        settings = self.runtime.settings
        self._remake(build_made_day_assets(settings, list_idle_tables(settings)), days)

    def mend(self, days: Iterable[dt.date]) -> None:
        """Rebuild all tables of these days and of all months from the stored answers; sends no request to SMA.

        Raises RunFailedError.
        """
        self._remake(self._list_made_before(), days)
        self._run(build_month_assets(self.runtime.settings), {})

    def publish(self) -> list[str]:
        """Count PU and invoices again, and publish the warehouse; what there is to say of it. Raises RunFailedError.

        Before, complete the days that an earlier run left unfinished; those that can't be are left to the next run.
        """
        said = self._complete_days()
        settings = self.runtime.settings
        warehouse = build_warehouse(settings)
        result = self._run([*build_money_assets(settings), warehouse, *publish_checks(settings)], {})
        (done,) = result.asset_materializations_for_node(warehouse.op.name)
        if done.metadata["had_log"].value:
            said.append(LOG_REMOVED)
        return said

    def _complete_days(self) -> list[str]:
        """Make the days that dead runs left, or that lack tables, from the stored answers; what there is to say.

        Raises RunFailedError where it is interrupted.
        """
        try:
            with take_over_days(self._unfinished) as left:
                days = (
                    left & list_days_with_answers(self.runtime) | list_unmade_days(self.runtime)
                ) - self.made
                if days:
                    self._remake(self._list_made_before(), days)
        except RunFailedError as failure:
            if failure.exit_code == INTERRUPTED:
                raise
            return [f"Days that an earlier run left unfinished can't be completed yet: {failure}"]
        if not days:
            return []
        first, last = min(days), max(days)
        named = f"{first}" if first == last else f"{pluralize(len(days), 'day')} from {first} to {last}"
        return [
            (
                f"An earlier run left {named} unfinished. This run completed them from the stored answers without a "
                "request."
            )
        ]

    def _list_made_before(self) -> list[dg.AssetsDefinition]:
        """The tables of days that the settings choose, or that another run has made before with other settings."""
        lake, settings = self.runtime.lake, self.runtime.settings
        idle = list_idle_tables(settings)
        return build_made_day_assets(
            settings, frozenset(name for name in idle if lake.take_snapshot(MODELS[name]).version < 0)
        )

    def _remake(self, made: Sequence[dg.AssetsDefinition], days: Iterable[dt.date]) -> None:
        settings = self.runtime.settings
        checks = build_day_checks(settings)
        for start, end in join_days(days, DAYS_PER_RUN):
            with record_days(self._unfinished, list_days(start, end)):
                self._run_days([*made, *build_month_assets(settings), *checks], start, end)

    @property
    def _unfinished(self) -> Path:
        return find_unfinished(self.runtime.settings.home)

    def _run_days(
        self,
        assets: Sequence[Built],
        start: dt.date,
        end: dt.date,
    ) -> None:
        self._run(assets, {RANGE_START: start.isoformat(), RANGE_END: end.isoformat()})
        self.made |= set(list_days(start, end))

    def _run(self, assets: Sequence[Built], tags: dict[str, str]) -> dg.ExecuteInProcessResult:
        wait_for_pools(self.wait, {pool for asset in assets for pool in asset.op.pools})
        job = dg.Definitions(
            assets=assets,
            jobs=[dg.define_asset_job(self.command)],
            resources={RUNTIME: build_runtime_resource(self.runtime, self.wait), NOTICES: self.notices},
        ).resolve_job_def(self.command)
        try:
            with redirect_stderr(WithoutRepeats(sys.stderr)):
                result = job.execute_in_process(
                    instance=self.instance,
                    tags=self.tags | tags | THIS_PROCESS.build_tags(self.instance),
                    raise_on_error=False,
                    run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
                )
        except BaseException as fault:
            # Where the disk is full, this fails too: then the next command finds that the run is dead.
            with suppress(Exception):
                why = f"The run failed because of a bug in the program: {type(fault).__name__}."
                end_own_runs(self.instance, why)
            raise
        if self.wait.fault is not None:
            raise self.wait.fault
        self.materialized += len(result.get_asset_materialization_events())
        if not result.success:
            raise _find_failure(result, build_step_key(self.runtime.settings, DECISIVE))
        return result


class WithoutRepeats:
    """A stream without what Dagster writes there, with SQL, of faults of its records: those are raised."""

    STARTS = (
        "Exception while storing event batch",
        "Falling back to storing multiple single-event",
        "Exception while writing logger call to event log",
    )

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Pass the text on, unless it is one of those."""
        return len(text) if text.startswith(self.STARTS) else self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        """All else is the stream's."""
        return getattr(self._stream, name)


def build_runtime_resource(runtime: RunContext, wait: PoolWait) -> dg.ResourceDefinition:
    """The runtime as a resource; while a run has it, its waits for pools are announced and bounded."""

    def let_go() -> None:
        if ahead := runtime.opened.sent_ahead:
            ahead.drop()

    @dg.resource
    @contextmanager
    def resource(context: dg.InitResourceContext) -> Iterator[RunContext]:
        with watch_pools(wait, context.run.run_id if context.run else "", let_go=let_go):
            yield runtime

    return resource


@contextmanager
def record_runs(
    runtime: RunContext, *, command: str = "sunledger", days: tuple[dt.date, dt.date] | None = None
) -> Iterator[Runs]:
    """Runs that are recorded in the home's Dagster, where the UI shows them by their command and its days.

    Runs whose process has died are ended before. Raises SunledgerError for a home that can't be used.
    """
    settings = runtime.settings
    tags = build_command_tags(
        plants=runtime.only_plants,
        groups=runtime.only_groups,
        sets=settings.sets,
        again=runtime.again,
        days=days,
        shard=runtime.shard,
    )
    home = prepare_dagster_home(settings)
    with open_dagster(settings) as instance, explain_faults(home, records_only=True):
        wait = PoolWait(instance, runtime.tell, settings.pool_wait_minutes * 60)
        wait.free_dead()
        yield Runs(runtime, instance, wait, command, tags)
        # Old records that can't be deleted are no fault of a command that has done its work.
        with suppress(SunledgerError, OSError), explain_faults(home, records_only=True):
            purge_daily(instance, runtime)


def split_days(first: dt.date, last: dt.date, size: int = DAYS_PER_RUN) -> Iterator[tuple[dt.date, dt.date]]:
    """[first, last] cut into ranges of at most `size` days."""
    while first <= last:
        end = min(last, first + (size - 1) * ONE_DAY)
        yield first, end
        first = end + ONE_DAY


def _find_failure(result: dg.ExecuteInProcessResult, decisive: str) -> Exception:
    """The first failed step as an error of ours, with the days that the step `decisive` lacks.

    Anything else is a fault of this program and keeps its trace.
    """
    failures = {event.step_key: event for event in result.all_events if event.is_step_failure}
    for event in failures.values():
        data = event.step_failure_data
        if data.user_failure_data and data.user_failure_data.description:
            code = data.user_failure_data.metadata.get("exit_code")
            not_fetched = find_failed_days(failures.get(decisive))
            exit_code = int(code.value) if code else 1  # type: ignore[arg-type]
            return RunFailedError(data.user_failure_data.description, exit_code, not_fetched)
        if data.error and data.error.cls_name == dg.DagsterExecutionInterruptedError.__name__:
            return RunFailedError(
                "The run was interrupted. All finished days are stored: run it again for the rest.",
                INTERRUPTED,
            )
        return RuntimeError(data.error_display_string)
    ended = next((event.job_failure_data for event in result.all_events if event.is_run_failure), None)
    if ended is None:
        return RunFailedError(
            "The run was ended from outside, as in Dagster's page. All finished days are stored: run it again for the "
            "rest.",
            INTERRUPTED,
        )
    cause = ended.error.to_string() if ended.error else "Dagster does not say why"
    return RuntimeError(f"The run failed before its first step: {cause}")
