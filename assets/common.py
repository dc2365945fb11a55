"""What all assets share: how a table becomes an asset, how a day loop reports, how an error reaches the page."""

import datetime as dt
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

import dagster as dg

from pipeline.errors import SmaError, SunledgerError
from pipeline.runtime import Runtime
from pipeline.steps import Report
from schemas import Table, columns, comment, storage

OWNERS = ["team:energy-data"]
# A run takes up to a month of days: 30 days as one run cost a fifth of 30 runs.
DAYS_PER_RUN = 31
# Names of pools for operators to set limits on. The limits that must hold need none: the request budget is shared by
# all processes, days are committed by compare-and-swap, and publishers take turns by a lock.
API_POOL = "sma_api"
PUBLISH_POOL = "publish"

# Assets with this tag are made by the schedule of that name too, when a month or year is closed.
EVERY = "sunledger/every"

Decorator: TypeAlias = Callable[[Callable[..., Any]], dg.AssetsDefinition]


def table_schema(model: type[Table]) -> dg.TableSchema:
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


def options(model: type[Table], *, kinds: set[str], group: str | None = None) -> dict[str, Any]:
    """The arguments of an asset that come from its model."""
    kept = storage(model)
    return {
        "name": kept.table,
        "group_name": group or kept.layer,
        "description": comment(model),
        "kinds": kinds,
        "owners": OWNERS,
        "metadata": {
            "dagster/column_schema": table_schema(model),
            "dagster/table_name": kept.table,
            "key": ", ".join(kept.key) or "none",
            "partition": ", ".join(kept.partition) or "none: replaced whole",
        },
    }


def per_day(
    model: type[Table],
    days: dg.DailyPartitionsDefinition,
    step: Callable[[Runtime, dt.date], Report],
    *,
    deps: list[str],
    kinds: set[str],
    pool: str | None = None,
) -> dg.AssetsDefinition:
    """An asset that does its days one after another and keeps those it finished when a later one fails."""

    with warnings.catch_warnings():
        # Delete when backfill policies leave beta: users can do nothing about it.
        warnings.filterwarnings("ignore", "Parameter `backfill_policy`", dg.BetaWarning)
        asset: Decorator = dg.asset(
            **options(model, kinds=kinds),
            deps=deps,
            partitions_def=days,
            backfill_policy=dg.BackfillPolicy.multi_run(DAYS_PER_RUN),
            pool=pool,
        )

    def table(
        context: dg.AssetExecutionContext, runtime: dg.ResourceParam[Runtime]
    ) -> dg.MaterializeResult[None]:
        done: dict[str, dict[str, Any]] = {}
        with told(), kept_when_failing(context, done):
            for key in context.partition_keys:
                report = step(runtime, dt.date.fromisoformat(key))
                done[key] = shown(report)
                context.add_asset_metadata(done[key], partition_key=key)
        return dg.MaterializeResult()

    return asset(table)


def whole(
    model: type[Table],
    step: Callable[[Runtime], Report],
    *,
    deps: list[str],
    kinds: set[str],
    pool: str | None = None,
    group: str | None = None,
    every: str | None = None,
) -> dg.AssetsDefinition:
    """An asset that is made whole, without days. `every` (month, year) has the schedule of that name make it too."""

    asset: Decorator = dg.asset(
        **options(model, kinds=kinds, group=group),
        deps=deps,
        pool=pool,
        tags={EVERY: every} if every else {},
    )

    def table(runtime: dg.ResourceParam[Runtime]) -> dg.MaterializeResult[None]:
        with told():
            return dg.MaterializeResult(metadata=shown(step(runtime)))

    return asset(table)


def shown(report: Report) -> dict[str, Any]:
    """A step's report as metadata."""
    return {"dagster/partition_row_count": report.rows, "changed": report.changed, **report.facts}


@contextmanager
def told() -> Iterator[None]:
    """Our own errors reach the page as their sentence, and a permanent fault is not tried again."""
    try:
        yield
    except SunledgerError as error:
        transient = isinstance(error, SmaError) and error.transient
        raise dg.Failure(
            description=str(error), metadata={"exit_code": error.exit_code}, allow_retries=transient
        ) from error
    except OSError as error:
        raise dg.Failure(
            description=f"{error.filename or 'A file'} can't be read or written ({error.strerror or error}): look at "
            f"the disk and the permissions there. 'sunledger verify' says what of the lake is whole.",
            allow_retries=False,
        ) from error


@contextmanager
def kept_when_failing(
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
