"""Whole days on a scripted SMA: lists and days are fetched and made as a run does it, without Dagster."""

import datetime as dt
from collections.abc import Callable

from bench.lists import refresh_lists
from pipeline.extract.fetch import SetFetch, fetch_logs
from pipeline.run.context import RunContext
from pipeline.run.measurement_sets import BALANCE, PV
from pipeline.run.notices import Notices
from pipeline.tables.energy_tables import write_device_energy_daily, write_energy_daily, write_energy_monthly
from pipeline.tables.interval_tables import write_intervals
from pipeline.tables.log_tables import write_logs
from schemas import (
    EnergyDaily,
)
from tests.beginnings import BEGINNINGS
from tests.noticed import noticed

New = Callable[..., RunContext]
MONDAY, TUESDAY = dt.date(2021, 10, 4), dt.date(2021, 10, 5)


def refresh(runtime: RunContext) -> Notices:
    return BEGINNINGS.begin(runtime, ("lists",), refresh_lists)


def fetch(runtime: RunContext, *days: dt.date) -> Notices:
    found = Notices()
    for steps in (
        SetFetch(BALANCE)(runtime, days),
        SetFetch(PV)(runtime, days),
        fetch_logs(runtime, days),
    ):
        reports = list(steps)
        assert [day for day, _ in reports] == sorted(days)
        found.add(noticed(reports))
    return found


def build(runtime: RunContext, day: dt.date) -> Notices:
    return noticed(
        [
            write_intervals(runtime, BALANCE, day),
            write_intervals(runtime, PV, day),
            write_logs(runtime, day),
            write_energy_daily(runtime, day),
            write_device_energy_daily(runtime, day),
            write_energy_monthly(runtime),
        ]
    )


def run_noticed(runtime: RunContext, *days: dt.date) -> Notices:
    def work(runtime: RunContext) -> Notices:
        return noticed([refresh(runtime), *(step(runtime, day) for day in days for step in (fetch, build))])

    return BEGINNINGS.begin(runtime, ("days", *days), work)


def run(runtime: RunContext, *days: dt.date) -> RunContext:
    run_noticed(runtime, *days)
    return runtime


def read_again(runtime: RunContext, *days: dt.date) -> RunContext:
    """Days of a home whose lists are known."""
    for day in days:
        fetch(runtime, day)
        build(runtime, day)
    return runtime


def energy(runtime: RunContext) -> dict[tuple[str, int], float | None]:
    """kWh by plant and day of the month."""
    found = runtime.lake.scan(EnergyDaily).collect()
    return {(r["plant_id"], r["local_date"].day): r["pv_generation_kwh"] for r in found.iter_rows(named=True)}
