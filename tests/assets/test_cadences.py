"""The jobs of the month and of the year, done once as their schedules do."""

import datetime as dt
from collections.abc import Callable

import dagster as dg
import pytest

from assets.definitions import DAYS_JOB, build_definitions
from assets.home_setup.dagster_home import open_dagster
from assets.run_control.run_tags import RANGE_END, RANGE_START
from pipeline.common.settings import Settings
from pipeline.run.context import RunContext
from schemas import EnergyMonthly
from tests.assets.clockwork import refresh_lists
from tests.scripted import ScriptedSma

pytestmark = pytest.mark.long

DAYS = {RANGE_START: "2021-10-04", RANGE_END: "2021-10-05"}


def test_a_month_and_a_year_are_closed(
    settings: Settings, new_runtime: Callable[..., RunContext], sma: ScriptedSma
) -> None:
    sma.special = lambda request: b'{"set":[]}' if request.period in {"Month", "Year"} else None
    with new_runtime() as runtime, open_dagster(settings) as instance:
        refresh_lists(runtime)
        defs = build_definitions(settings, runtime)

        def done(job: str, tags: dict[str, str] | None = None) -> bool:
            return defs.resolve_job_def(job).execute_in_process(instance=instance, tags=tags).success

        def made(table: str) -> bool:
            return instance.get_latest_materialization_event(dg.AssetKey(table)) is not None

        assert done(DAYS_JOB, DAYS)
        assert not made("reconciliation")
        runtime.now = lambda: dt.datetime(2021, 11, 2, 15, tzinfo=dt.UTC)
        closing = defs.resolve_job_def("close_month").execute_in_process(instance=instance)
        assert closing.success
        steps = [event.step_key for event in closing.all_events if event.is_step_success]
        # Without being depended on, what SMA was asked for comes before it is counted and published.
        assert steps.index("raw_energy_months") < steps.index("billing_units") < steps.index("warehouse")
        assert steps.index("reconciliation") < steps.index("warehouse")
        months = runtime.lake.scan(EnergyMonthly).select("month", "n_days").unique().collect()
        assert months.rows() == [(dt.date(2021, 10, 1), 2)]
        assert made("reconciliation")
        assert (settings.home / "reports" / "2021-10" / "index.html").is_file()
        runtime.now = lambda: dt.datetime(2022, 1, 2, 17, tzinfo=dt.UTC)
        assert done("close_year")
        assert made("raw_energy_years")
        assert made("invoices")
        assert settings.warehouse.is_file()
