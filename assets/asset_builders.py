"""Shared code of all assets: it makes tables into assets, reports loops over days, and passes errors to the page."""

import datetime as dt
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import cache, partial
from typing import Any, TypeAlias

import dagster as dg

from assets.day_partitions import DayPartitions, list_run_days
from assets.prefix import build_key, split_prefix
from pipeline.common.allocators import free_code_pages, free_kept_memory
from pipeline.common.day_availability import FIRST_ZONE
from pipeline.common.errors import CredentialsError, SmaError, SunledgerError, UsageError
from pipeline.common.files.machine_faults import explain_machine_fault
from pipeline.common.files.refused_files import explain_bad_file, translate_refusals
from pipeline.common.settings import Settings
from pipeline.common.store_faults import StoreError, StoreUnavailableError, translate_store_faults
from pipeline.common.text import escape_controls, join_lines, shorten_text
from pipeline.run.context import RunContext
from pipeline.run.notices import Notices
from pipeline.run.plants import count_turn
from pipeline.run.sent_ahead import DaysToFetch, SentAhead
from pipeline.run.step_result import StepResult
from pipeline.run.store_waits import retry_after_outage, wait_for_store
from pipeline.run.unchanged_steps import UnchangedSteps
from schemas import TABLES, Table, columns, comment, storage
from schemas.lineage import trace_columns
from warehouse.database_server.postgresql import PostgresqlError

OWNERS = ["team:energy-data"]
# A run takes up to a month of days: 30 days as one run cost a fifth of 30 runs.
DAYS_PER_RUN = 31
# A page shows at most this many of the names that a report lists.
MOST_NAMES = 1_000
# If this many days, or groups of days, fail one after another, the rest of the range would fail too.
MOST_FAILING_IN_A_ROW = 3

# These assets read what others may have made in the same run, but do not depend on them. So they come when nothing else
# is left to do; one process does a run, one asset after another.
LAST = {"dagster/priority": "-1"}
# Assets that ask SMA come before those that make tables, so that there is something to make while SMA answers. The
# first of them fetches what most tables are made of.
FIRST, EARLY = {"dagster/priority": "2"}, {"dagster/priority": "1"}
# Assets with this tag are made by the schedule of that name too, when a month or year is closed.
EVERY = "sunledger/every"

MODELS = {storage(model).table: model for model in TABLES}

# Days in the groups that are done together.
Groups: TypeAlias = Callable[[Iterable[dt.date]], Iterable[Sequence[dt.date]]]
# Makes a group of days, and yields the report of each day as it is stored.
Steps: TypeAlias = Callable[[RunContext, Sequence[dt.date]], Iterator[tuple[dt.date, StepResult]]]
# What a run will fetch of some days.
Upcoming: TypeAlias = Callable[[RunContext, Sequence[dt.date]], Iterable[DaysToFetch]]
Decorator: TypeAlias = Callable[[Callable[..., Any]], dg.AssetsDefinition]


@cache
def build_table_schema(model: type[Table]) -> dg.TableSchema:
    """The model as Dagster's Columns tab shows it: type, unit, meaning, rules."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=column.name,
                type=column.duckdb_type,
                description=column.comment,
                constraints=dg.TableColumnConstraints(nullable=column.nullable, other=list(column.rules)),
                tags={"unit": column.unit} if column.unit else {},
            )
            for column in columns(model)
        ]
    )


def build_day_partitions(settings: Settings) -> DayPartitions:
    """One partition for each plant-local calendar day, today included.

    The key is a label that plants of all zones share: a day exists as soon as it begins in the first time zone.
    """
    return DayPartitions(start_date=settings.first_day.isoformat(), end_offset=1, timezone=FIRST_ZONE)


def build_lineage(model: type[Table], settings: Settings, deps: Iterable[str]) -> dg.TableColumnLineage:
    """The sources of each column by the models, in Dagster's form."""
    parents = [MODELS[name] for name in deps if name in MODELS]
    return dg.TableColumnLineage(
        {
            name: [
                dg.TableColumnDep(build_key(settings, storage(parent).table), column)
                for parent, column in made
            ]
            for name, made in trace_columns(model, parents).items()
            if made
        }
    )


def build_asset_options(
    model: type[Table],
    settings: Settings,
    *,
    deps: Sequence[str],
    kinds: set[str],
    group: str | None = None,
) -> dict[str, Any]:
    """The arguments of an asset that come from its model."""
    kept = storage(model)
    return {
        "name": kept.table,
        "key_prefix": split_prefix(settings),
        "deps": [build_key(settings, table) for table in deps],
        "group_name": group or kept.layer,
        "description": comment(model),
        "kinds": kinds,
        "owners": OWNERS,
        "metadata": {
            "dagster/column_schema": build_table_schema(model),
            "dagster/table_name": kept.table,
            "dagster/column_lineage": build_lineage(model, settings, deps),
            "key": ", ".join(kept.key) or "none",
            "partition": ", ".join(kept.partition) or "none: replaced whole",
        },
    }


def build_day_asset(
    model: type[Table],
    settings: Settings,
    step: Callable[[RunContext, dt.date], StepResult],
    *,
    deps: list[str],
    kinds: set[str],
) -> dg.AssetsDefinition:
    """An asset that makes its days one after another, each unless nothing has changed since it was made."""
    name = storage(model).table

    def steps(runtime: RunContext, group: Sequence[dt.date]) -> Iterator[tuple[dt.date, StepResult]]:
        unchanged, ahead = UnchangedSteps.of(runtime), runtime.opened.ahead
        for day in group:
            made = ahead.take(name, day) if ahead else None
            yield day, made or unchanged.do(name, day, partial(step, runtime, day))

    return build_days_asset(
        model, settings, steps, lambda days: ((day,) for day in days), deps=deps, kinds=kinds
    )


def build_days_asset(
    model: type[Table],
    settings: Settings,
    steps: Steps,
    groups: Groups,
    *,
    deps: list[str],
    kinds: set[str],
    pool: str | None = None,
    priority: Mapping[str, str] | None = None,
    upcoming: Upcoming | None = None,
) -> dg.AssetsDefinition:
    """An asset that makes its days in groups, and keeps the finished days when others fail.

    While a group is made, the requests of the next one that `upcoming` lists are sent.
    """
    name = storage(model).table
    options = build_asset_options(model, settings, deps=deps, kinds=kinds)

    def table(
        context: dg.AssetExecutionContext,
        sunledger_runtime: dg.ResourceParam[RunContext],
        sunledger_notices: dg.ResourceParam[Notices],
    ) -> dg.MaterializeResult[None]:
        begun = time.monotonic()
        with convert_errors():
            days = list_run_days(context, sunledger_runtime)
        done: dict[str, dict[str, Any]] = {}
        with (
            convert_errors(),
            record_finished_days(context, done),
            _send_ahead(sunledger_runtime, upcoming, days),
        ):
            turn = count_turn(sunledger_runtime)
            for day, report in do_each_day(sunledger_runtime, days, steps, groups):
                sunledger_notices.add(report.notices)
                if ahead := sunledger_runtime.opened.ahead:
                    ahead.note_stored(name, day)
                seconds = {"seconds": round(time.monotonic() - begun, 3)}
                begun = time.monotonic()
                done[day.isoformat()] = describe_report(report) | turn | seconds
                context.add_asset_metadata(done[day.isoformat()], partition_key=day.isoformat())
        free_kept_memory()
        free_code_pages()
        return dg.MaterializeResult()

    return _decorate_days(settings, options | {"pool": pool, "op_tags": priority})(table)


def _decorate_days(settings: Settings, options: Mapping[str, Any]) -> Decorator:
    """Dagster's decorator of an asset of days. Its backfills make a run for each `DAYS_PER_RUN` days."""
    with warnings.catch_warnings():
        # Delete when backfill policies leave beta: users can do nothing about it.
        warnings.filterwarnings("ignore", "Parameter `backfill_policy`", dg.BetaWarning)
        decorator: Decorator = dg.asset(
            **options,
            partitions_def=build_day_partitions(settings),
            backfill_policy=dg.BackfillPolicy.multi_run(DAYS_PER_RUN),
        )
    return decorator


def _send_ahead(
    runtime: RunContext, upcoming: Upcoming | None, days: Sequence[dt.date]
) -> AbstractContextManager[object]:
    """Requests of the asset's next days are sent ahead, unless the whole run does so.

    Not those of other assets: another process may do them.
    """
    if upcoming is None or runtime.opened.sent_ahead is not None:
        return nullcontext()
    return SentAhead(runtime, upcoming(runtime, days))


def do_each_day(
    runtime: RunContext, days: Iterable[dt.date], steps: Steps, groups: Groups
) -> Iterator[tuple[dt.date, StepResult]]:
    """Yield the report of each day that succeeded; then raise DaysFailedError if some days failed.

    A failing group of days does not stop the others, unless it is one of several in a row or the fault is that of all
    days. An outage of the lake's store is waited for. Days that may succeed later are tried again at the end, for what
    is missing of them.
    """
    failed: dict[dt.date, SunledgerError] = {}
    in_a_row = 0
    wanted = list(groups(days))
    for place, group in enumerate(wanted):
        left = list(group)
        try:
            with translate_store_faults():
                for day, report in steps(runtime, group):
                    left.remove(day)
                    yield day, report
        except (UsageError, CredentialsError):
            raise
        except SunledgerError as error:
            failed |= dict.fromkeys(left, error)
            if isinstance(error, StoreUnavailableError) and wait_for_store(runtime):
                continue
            in_a_row += 1
            if in_a_row == MOST_FAILING_IN_A_ROW and len(wanted) > in_a_row:
                not_tried = [day for later in wanted[place + 1 :] for day in later]
                raise DaysFailedError(failed, not_tried) from error
        else:
            in_a_row = 0
    if len(failed) < sum(map(len, wanted)):
        yield from _retry_days(runtime, failed, steps, groups)
    if failed:
        raise DaysFailedError(failed)


def _retry_days(
    runtime: RunContext, failed: dict[dt.date, SunledgerError], steps: Steps, groups: Groups
) -> Iterator[tuple[dt.date, StepResult]]:
    """Retry the days whose fault may have passed, for their missing data, and remove those that succeed."""
    for_the_rest = replace(runtime, again=False)
    for group in list(groups(day for day, error in failed.items() if may_pass(error))):
        try:
            with translate_store_faults():
                for day, report in steps(for_the_rest, group):
                    del failed[day]
                    yield day, report
        except SunledgerError as error:
            failed |= {day: error for day in group if day in failed}


class DaysFailedError(SunledgerError):
    """Some days of a range failed; the others are stored."""

    def __init__(self, failed: Mapping[dt.date, SunledgerError], not_tried: Sequence[dt.date] = ()) -> None:
        first, error = next(iter(failed.items()))
        text = (
            str(error) if len(failed) == 1 else f"{len(failed)} days failed. The first was {first}: {error}"
        )
        if not_tried:
            text += f" The run did not continue with {not_tried[0]} to {not_tried[-1]}."
        super().__init__(text)
        self.transient = all(may_pass(error) for error in failed.values())
        self.days = [str(day) for day in (*failed, *not_tried)]


def may_pass(error: SunledgerError) -> bool:
    """Whether a retry may succeed later."""
    return isinstance(error, SmaError | StoreError | PostgresqlError | DaysFailedError) and error.transient


def build_whole_asset(
    model: type[Table],
    settings: Settings,
    step: Callable[[RunContext], StepResult],
    *,
    deps: list[str],
    kinds: set[str],
    pool: str | None = None,
    group: str | None = None,
    every: str | None = None,
    last: bool = False,
) -> dg.AssetsDefinition:
    """An asset that is made whole, without days. `every` (month, year) has the schedule of that name make it too.

    `last` does it after all of its run that does not depend on it.
    """
    asset: Decorator = dg.asset(
        **build_asset_options(model, settings, deps=deps, kinds=kinds, group=group),
        pool=pool,
        tags={EVERY: every} if every else {},
        op_tags=LAST if last else None,
    )

    def table(
        sunledger_runtime: dg.ResourceParam[RunContext], sunledger_notices: dg.ResourceParam[Notices]
    ) -> dg.MaterializeResult[None]:
        with convert_errors():
            begun = time.monotonic()
            report = retry_after_outage(
                sunledger_runtime,
                lambda: sunledger_runtime.opened.done.take(
                    storage(model).table, lambda: step(sunledger_runtime)
                ),
            )
            sunledger_notices.add(report.notices)
            facts = describe_report(report)
        free_kept_memory()
        free_code_pages()
        return dg.MaterializeResult(metadata={**facts, "seconds": round(time.monotonic() - begun, 3)})

    return asset(table)


def describe_report(report: StepResult) -> dict[str, Any]:
    """A step's report as metadata."""
    facts = bound_facts(report.facts)
    pictures = {name: dg.MetadataValue.md(text) for name, text in report.pictures.items()}
    return {"dagster/partition_row_count": report.rows, "changed": report.changed, **facts, **pictures}


def bound_facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts with texts of others as a page and a database can hold them: short, and without control characters."""
    return {name: _bound_fact(value) for name, value in facts.items()}


def _bound_fact(value: Any) -> Any:
    if isinstance(value, str):
        return escape_controls(shorten_text(value))
    return [_bound_fact(one) for one in value[:MOST_NAMES]] if isinstance(value, list) else value


@contextmanager
def convert_errors() -> Iterator[None]:
    """The page shows the message of sunledger's own errors, and a permanent fault is not retried."""
    try:
        with translate_store_faults(), translate_refusals():
            yield
    except SunledgerError as error:
        days = {"failed_days": error.days} if isinstance(error, DaysFailedError) else {}
        raise dg.Failure(
            description=escape_controls(shorten_text(str(error))),
            metadata={"exit_code": error.exit_code, **days},
            allow_retries=may_pass(error),
        ) from error
    except OSError as error:
        said = error.strerror or join_lines(str(error))
        found = explain_machine_fault(error) or (
            f"{explain_bad_file(error, said)} 'sunledger verify' finds damage in the lake."
        )
        raise dg.Failure(description=found, allow_retries=False) from error


def find_failed_days(failure: dg.DagsterEvent | None) -> set[dt.date]:
    """The failed days that a step's failure names; empty where it names none."""
    said = failure.step_failure_data.user_failure_data if failure else None
    told: Any = said.metadata.get("failed_days") if said else None
    return {dt.date.fromisoformat(day) for day in (told.value if told else ())}


@contextmanager
def record_finished_days(
    context: dg.AssetExecutionContext, done: Mapping[str, Mapping[str, Any]]
) -> Iterator[None]:
    """The finished days of a failing range are stored, so they are recorded too."""
    try:
        yield
    except BaseException:
        for key, metadata in done.items():
            context.log_event(
                dg.AssetMaterialization(asset_key=context.asset_key, partition=key, metadata=dict(metadata))
            )
        raise
