"""What `sunledger backfill --from --to` does, by our own steps and without Dagster: `python -m bench.steps FIRST LAST`.

Lists, days in runs of up to a month, months, checks, money, publication: each step and judgement of the graph, once a
run, with the settings of the environment. Pictures are left out: only Dagster's page shows them. `bench.dagster`
measures it beside the real command.
"""

import datetime as dt
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.metadata import version

from pipeline import steps
from pipeline.due import spans
from pipeline.runtime import Runtime
from pipeline.settings import load_settings
from warehouse.publish import publish

DAYS_PER_RUN = 31
ONE_DAY = dt.timedelta(days=1)


def main() -> None:
    """Do the days that the arguments name."""
    first, last = map(dt.date.fromisoformat, sys.argv[1:])
    with Runtime(load_settings()) as runtime:
        _lists(runtime)
        wanted = [first + i * ONE_DAY for i in range((last - first).days + 1)]
        for begin, end in spans(wanted, DAYS_PER_RUN):
            _days(runtime, [day for day in wanted if begin <= day <= end])
        _publish(runtime)


def _lists(runtime: Runtime) -> None:
    steps.fetch_plants(runtime)
    steps.refresh_consents(runtime)
    steps.write_plants(runtime)
    steps.fetch_devices(runtime)
    steps.write_devices(runtime)
    steps.fetch_measurement_sets(runtime)
    steps.write_measurement_sets(runtime)
    steps.concern(runtime)
    runtime.store_requests()
    steps.budget(runtime)


def _days(runtime: Runtime, days: Sequence[dt.date]) -> None:
    for source in (steps.BALANCE, steps.PV):
        _exhaust(steps.fetch_set(runtime, source, days))
    _exhaust(steps.fetch_logs(runtime, days))
    for source in (steps.BALANCE, steps.PV):
        _each(days, lambda day, source=source: steps.write_intervals(runtime, source, day))  # type: ignore[misc]
    for write in (
        steps.write_logs,
        steps.write_energy_hourly,
        steps.write_energy_daily,
        steps.write_device_energy_daily,
        steps.write_kpi_daily,
    ):
        _each(days, lambda day, write=write: write(runtime, day))  # type: ignore[misc]
    steps.write_energy_monthly(runtime)
    steps.write_kpi_monthly(runtime)
    steps.write_profile_monthly(runtime)
    steps.write_log_messages(runtime)
    steps.completeness(runtime, days)
    steps.quality(runtime, days)
    steps.whole(runtime)
    steps.freshness(runtime)
    steps.drift(runtime, ())
    steps.judge_times(runtime)
    steps.closed_months_hold(runtime)


def _publish(runtime: Runtime) -> None:
    steps.write_billing_units(runtime)
    steps.write_invoices(runtime)
    runtime.store_requests()
    publish(runtime.lake, runtime.settings.warehouse, now=runtime.now(), version=version("sunledger"))
    steps.published(runtime)


def _each(days: Iterable[dt.date], step: Callable[[dt.date], object]) -> None:
    for day in days:
        step(day)


def _exhaust(reports: Iterator[object]) -> None:
    for _ in reports:
        pass


if __name__ == "__main__":
    main()
