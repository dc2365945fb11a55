"""Runs that Dagster records only where there is something to record: a command that changes nothing does without it.

To load Dagster, to open its records and to do four runs takes several times the CPU time of all that a backfill does
that finds nothing to do. So its steps are done first, and as soon as one of them changes something, fails, or has
something new to say, Dagster does the run: with the results of the steps that are done already, and all runs of the
command after it.
"""

import datetime as dt
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from assets.dagster_records.run_records import is_quiet_home
from assets.home_setup.dagster_home import prepare_dagster_home
from assets.run_control.changed_days import find_unchanged_days
from assets.whole_steps import CHECK_MODULES, list_whole_steps
from pipeline.common.day_availability import list_days
from pipeline.ops.stored_publication import LOG_REMOVED, WAREHOUSE, publish_stored
from pipeline.run.check import CheckMoment, collect_checks
from pipeline.run.check_outcomes import is_known_outcome
from pipeline.run.context import RunContext
from pipeline.run.measurement_sets import list_idle_tables
from pipeline.run.notices import Notices
from pipeline.run.table_step import Stage
from pipeline.run.unfinished_days import has_unfinished_days
from pipeline.tables.incomplete_days import list_unmade_days
from schemas import storage
from warehouse.published_file.publish import PublishedFile
from warehouse.published_file.published_object import open_target

if TYPE_CHECKING:
    from assets.runs import Runs


class SparedRuns:
    """The runs of a command, with the methods of `assets.runs.Runs` that it needs."""

    def __init__(
        self, runtime: RunContext, command: str, days: tuple[dt.date, dt.date], opened: ExitStack
    ) -> None:
        self._runtime, self._command, self._days, self._opened = runtime, command, days, opened
        self._notices = Notices()
        self._runs: Runs | None = None
        self._may_spare = _may_spare(runtime)

    @property
    def notices(self) -> Notices:
        """What a person should know of them."""
        return self._notices if self._runs is None else self._runs.notices

    def refresh_plants(self) -> None:
        """As `Runs.refresh_plants`."""
        with self._runtime.opened.done:
            if not (self._is_spared(Stage.PLANTS) and self._are_checks_known(CheckMoment.LISTS)):
                self._record().refresh_plants()

    def refresh_plants_again(self) -> None:
        """As `Runs.refresh_plants_again`."""
        self._record().refresh_plants_again()

    def refresh_devices(self) -> None:
        """As `Runs.refresh_devices`."""
        with self._runtime.opened.done:
            if not self._is_spared(Stage.DEVICES):
                self._record().refresh_devices()

    def fetch_days(self, first: dt.date, last: dt.date) -> None:
        """As `Runs.fetch_days`."""
        with self._runtime.opened.done:
            if not (self._are_unchanged(first, last) and self._is_spared(Stage.MONTHS)):
                self._record().fetch_days(first, last)

    def fetch_answers(self, first: dt.date, last: dt.date) -> frozenset[str]:
        """As `Runs.fetch_answers`."""
        return self._record().fetch_answers(first, last)

    def remake(self, days: Iterable[dt.date]) -> None:
        """As `Runs.remake`."""
        self._record().remake(days)

    def publish(self) -> list[str]:
        """As `Runs.publish`."""
        with self._runtime.opened.done:
            if self._is_complete() and self._is_spared(Stage.MONEY):
                published = self._publish()
                if published and self._are_checks_known(CheckMoment.PUBLISHING):
                    return [LOG_REMOVED] if published.had_log else []
            return self._record().publish()

    def _record(self) -> "Runs":
        """Dagster's runs, in which everything is from now on."""
        if self._runs is None:
            from assets.runs import record_runs  # noqa: PLC0415 - loads Dagster

            self._runs = self._opened.enter_context(
                record_runs(self._runtime, command=self._command, days=self._days)
            )
            self._runs.notices.add(self._notices)
        return self._runs

    def _is_spared(self, stage: Stage) -> bool:
        """Do the steps of the stage; whether none of them has changed or missed anything."""
        if self._runs is not None or not self._may_spare:
            return False
        notices = Notices()
        for step in list_whole_steps(self._runtime.settings, stage):
            work = partial(step.write, self._runtime)
            done = self._runtime.opened.done.do(storage(step.model).table, work)
            if done is None or done.changed or done.notices.missing:
                return False
            notices.add(done.notices)
        self._notices.add(notices)
        return True

    def _are_checks_known(self, moment: CheckMoment) -> bool:
        """Judge again; whether no check finds anything else than when it was recorded."""
        idle = list_idle_tables(self._runtime.settings)
        for check in collect_checks(CHECK_MODULES, moment):
            if check.asset in idle:
                continue
            if check.of_requests:
                moved = self._runtime.store_requests()
                self._notices.add(moved.build_notices(self._runtime.find_today()))
            if not is_known_outcome(self._runtime, check.name, check.judge_table(self._runtime)):
                return False
        return True

    def _are_unchanged(self, first: dt.date, last: dt.date) -> bool:
        """Whether no day lacks an answer or has changed; then what a person should know of them is noted."""
        if self._runs is not None or not self._may_spare:
            return False
        days = list_days(first, last)
        unchanged = find_unchanged_days(self._runtime, days)
        if len(unchanged) < len(days):
            return False
        for notices in unchanged.values():
            self._notices.add(notices)
        return True

    def _is_complete(self) -> bool:
        """Whether there are no days that another run has left, or is at."""
        if self._runs is not None or not self._may_spare:
            return False
        return not has_unfinished_days(self._runtime.settings.home) and not list_unmade_days(self._runtime)

    def _publish(self) -> PublishedFile | None:
        """Publish; None where it failed, or left out what a person should know of."""
        runtime = self._runtime
        published = runtime.opened.done.do(
            WAREHOUSE,
            lambda: publish_stored(runtime, self._notices, open_target(runtime.settings, runtime.tell)),
        )
        return None if published is None or published.left_out else published


@contextmanager
def open_spared_runs(
    runtime: RunContext, *, command: str, days: tuple[dt.date, dt.date]
) -> Iterator[SparedRuns]:
    """The runs of a command for these days: as `assets.runs.record_runs` where there is something to record.

    Raises SunledgerError for a home that can't be used.
    """
    with ExitStack() as opened:
        yield SparedRuns(runtime, command, days, opened)


def _may_spare(runtime: RunContext) -> bool:
    """Whether nobody but this home waits for records of its runs, and the newest ones are over and went well.

    A push to PostgreSQL follows each recorded publication. What a dead run holds is freed before the next one begins,
    and its failure must not be the last that is known.
    """
    settings = runtime.settings
    home = prepare_dagster_home(settings)
    if runtime.again or not runtime.reuse or runtime.shard is not None:
        return False
    if settings.cluster != "none" or settings.push_url.get_secret_value():
        return False
    return is_quiet_home(home)
