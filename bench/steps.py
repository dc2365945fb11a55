"""What `sunledger backfill --from --to` does, by our own steps and without Dagster: `python -m bench.steps FIRST LAST`.

Lists, days in runs of up to a month, months, checks, money, publication: each step and judgement of the graph, once a
run, with the settings of the environment. What they are follows from the same declarations as the graph, so a new table
is measured too. Pictures are left out: only Dagster's page shows them. `bench.dagster` measures it beside the real
command.
"""

import datetime as dt
import sys
from collections.abc import Iterator, Sequence
from graphlib import TopologicalSorter
from importlib.metadata import version

from pipeline.common.day_availability import join_days
from pipeline.common.settings import load_settings
from pipeline.extract.consent_refresh import find_concern, refresh_consents
from pipeline.extract.fetch import SetFetch, fetch_devices, fetch_logs, fetch_measurement_sets, fetch_plants
from pipeline.ops import checks
from pipeline.run.check import CheckMoment, collect_checks
from pipeline.run.context import RunContext
from pipeline.run.measurement_sets import BALANCE, PV, list_idle_tables
from pipeline.run.table_step import Stage, TableStep, list_steps
from pipeline.tables import (
    billing_tables,
    curtailment_tables,
    energy_tables,
    hourly_tables,
    interval_tables,
    inventory_tables,
    kpi_tables,
    log_tables,
    month_close,
)
from schemas import storage
from warehouse.published_file.publish import publish

DAYS_PER_RUN = 31
ONE_DAY = dt.timedelta(days=1)
TABLE_MODULES = (
    inventory_tables,
    interval_tables,
    log_tables,
    energy_tables,
    hourly_tables,
    kpi_tables,
    curtailment_tables,
    billing_tables,
)
CHECK_MODULES = (checks, month_close, billing_tables, curtailment_tables)


def main() -> None:
    """Do the days that the arguments name."""
    first, last = map(dt.date.fromisoformat, sys.argv[1:])
    with RunContext(load_settings()) as runtime:
        _make_lists(runtime)
        wanted = [first + i * ONE_DAY for i in range((last - first).days + 1)]
        for begin, end in join_days(wanted, DAYS_PER_RUN):
            _make_days(runtime, [day for day in wanted if begin <= day <= end])
        _publish(runtime)


def _make_lists(runtime: RunContext) -> None:
    fetch_plants(runtime)
    refresh_consents(runtime)
    _make_tables(runtime, Stage.PLANTS)
    fetch_devices(runtime)
    inventory_tables.write_devices(runtime)
    fetch_measurement_sets(runtime)
    inventory_tables.write_measurement_sets(runtime)
    find_concern(runtime)
    _judge(runtime, CheckMoment.LISTS)


def _make_days(runtime: RunContext, days: Sequence[dt.date]) -> None:
    for source in (BALANCE, PV):
        _exhaust(SetFetch(source)(runtime, days))
    _exhaust(fetch_logs(runtime, days))
    for source in (BALANCE, PV):
        for day in days:
            interval_tables.write_intervals(runtime, source, day)
    for step in _sort_steps(runtime, Stage.DAYS):
        for day in days:
            step.write(runtime, day)
    _make_tables(runtime, Stage.MONTHS)
    checks.judge_completeness(runtime, days)
    checks.check_quality(runtime, days)
    checks.check_drift(runtime, ())
    interval_tables.judge_times(runtime)
    _judge(runtime, CheckMoment.DAYS)


def _publish(runtime: RunContext) -> None:
    _make_tables(runtime, Stage.MONEY)
    runtime.store_requests()
    publish(runtime.lake, runtime.settings.warehouse, now=runtime.now(), version=version("sunledger"))
    _judge(runtime, CheckMoment.PUBLISHING)


def _make_tables(runtime: RunContext, stage: Stage) -> None:
    for step in _sort_steps(runtime, stage):
        step.write(runtime)


def _sort_steps(runtime: RunContext, stage: Stage) -> list[TableStep]:
    """The steps of the stage that a backfill makes, each after those whose tables it reads."""
    idle = list_idle_tables(runtime.settings)
    steps = {storage(step.model).table: step for step in list_steps(TABLE_MODULES, stage)}
    order = TopologicalSorter({table: step.inputs for table, step in steps.items()}).static_order()
    return [steps[table] for table in order if table in steps and table not in idle]


def _judge(runtime: RunContext, moment: CheckMoment) -> None:
    for check in collect_checks(CHECK_MODULES, moment):
        if check.of_requests:
            runtime.store_requests()
        check.judge(runtime)


def _exhaust(reports: Iterator[object]) -> None:
    for _ in reports:
        pass


if __name__ == "__main__":
    main()
