"""What `sunledger backfill --from --to` does, by our own steps and without Dagster: `python -m bench.steps FIRST LAST`.

Lists, days in runs of up to a month, months, checks, money, publication: each step and judgement of the graph, once a
run, with the settings of the environment. Pictures are left out: only Dagster's page shows them. `bench.dagster`
measures it beside the real command.
"""

import datetime as dt
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.metadata import version

from pipeline.common.day_availability import join_days
from pipeline.common.settings import load_settings
from pipeline.extract.consent_refresh import find_concern, refresh_consents
from pipeline.extract.fetch import SetFetch, fetch_devices, fetch_logs, fetch_measurement_sets, fetch_plants
from pipeline.ops.checks import (
    check_budget,
    check_closed_days,
    check_drift,
    check_quality,
    judge_completeness,
    judge_freshness,
    judge_published_file,
)
from pipeline.run.context import RunContext
from pipeline.run.measurement_sets import BALANCE, PV
from pipeline.tables.billing_tables import write_billing_units, write_invoices
from pipeline.tables.energy_tables import write_device_energy_daily, write_energy_daily, write_energy_monthly
from pipeline.tables.hourly_tables import write_energy_hourly, write_profile_monthly, write_quarter_hours
from pipeline.tables.interval_tables import judge_times, write_intervals
from pipeline.tables.inventory_tables import write_devices, write_measurement_sets, write_plants
from pipeline.tables.kpi_tables import write_kpi_daily, write_kpi_monthly
from pipeline.tables.log_tables import write_log_messages, write_logs
from pipeline.tables.month_close import judge_closed_months
from warehouse.publish import publish

DAYS_PER_RUN = 31
ONE_DAY = dt.timedelta(days=1)


def main() -> None:
    """Do the days that the arguments name."""
    first, last = map(dt.date.fromisoformat, sys.argv[1:])
    with RunContext(load_settings()) as runtime:
        _lists(runtime)
        wanted = [first + i * ONE_DAY for i in range((last - first).days + 1)]
        for begin, end in join_days(wanted, DAYS_PER_RUN):
            _days(runtime, [day for day in wanted if begin <= day <= end])
        _publish(runtime)


def _lists(runtime: RunContext) -> None:
    fetch_plants(runtime)
    refresh_consents(runtime)
    write_plants(runtime)
    fetch_devices(runtime)
    write_devices(runtime)
    fetch_measurement_sets(runtime)
    write_measurement_sets(runtime)
    find_concern(runtime)
    runtime.store_requests()
    check_budget(runtime)


def _days(runtime: RunContext, days: Sequence[dt.date]) -> None:
    for source in (BALANCE, PV):
        _exhaust(SetFetch(source)(runtime, days))
    _exhaust(fetch_logs(runtime, days))
    for source in (BALANCE, PV):
        _each(days, lambda day, source=source: write_intervals(runtime, source, day))  # type: ignore[misc]
    for write in (
        write_logs,
        write_energy_daily,
        write_quarter_hours,
        write_energy_hourly,
        write_device_energy_daily,
        write_kpi_daily,
    ):
        _each(days, lambda day, write=write: write(runtime, day))  # type: ignore[misc]
    write_energy_monthly(runtime)
    write_kpi_monthly(runtime)
    write_profile_monthly(runtime)
    write_log_messages(runtime)
    judge_completeness(runtime, days)
    check_quality(runtime, days)
    check_closed_days(runtime)
    judge_freshness(runtime)
    check_drift(runtime, ())
    judge_times(runtime)
    judge_closed_months(runtime)


def _publish(runtime: RunContext) -> None:
    write_billing_units(runtime)
    write_invoices(runtime)
    runtime.store_requests()
    publish(runtime.lake, runtime.settings.warehouse, now=runtime.now(), version=version("sunledger"))
    judge_published_file(runtime)


def _each(days: Iterable[dt.date], step: Callable[[dt.date], object]) -> None:
    for day in days:
        step(day)


def _exhaust(reports: Iterator[object]) -> None:
    for _ in reports:
        pass


if __name__ == "__main__":
    main()
