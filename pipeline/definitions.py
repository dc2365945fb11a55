"""Everything Dagster knows: one factory, used by the code location, the command line and the tests.

Nothing is read at import: settings are loaded when Dagster asks for the definitions, and credentials only when a run
first calls SMA, so the graph can be looked at without any.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg

from assets.checks import day_checks, list_checks
from assets.published import warehouse
from assets.tables import day_assets, list_assets, money_assets, month_assets
from pipeline.runtime import Runtime
from pipeline.settings import Settings, load_settings

LISTS_JOB = "refresh_lists"
DAYS_JOB = "energy_days"


def build_definitions(settings: Settings, runtime: Runtime | None = None) -> dg.Definitions:
    """Assets, jobs and resources. With `runtime` all runs share it; without, each run opens and closes its own."""
    days = day_partitions(settings)
    lists, daily = list_assets(), day_assets(days)
    reports = [*month_assets(), *money_assets()]
    return dg.Definitions(
        assets=[*lists, *daily, *reports, warehouse],
        asset_checks=[*list_checks(), *day_checks()],
        jobs=[
            dg.define_asset_job(
                LISTS_JOB,
                selection=dg.AssetSelection.assets(*lists),
                description="Ask SMA for consents, plants, devices and measurement sets.",
            ),
            dg.define_asset_job(
                DAYS_JOB,
                selection=dg.AssetSelection.assets(*daily, *reports, warehouse),
                description="Fetch days, turn power into energy, add up days, months and PU, publish.",
            ),
        ],
        resources={"runtime": runtime if runtime is not None else _runtime_per_run(settings)},
        # One process a run: connections and the token live through it, and libraries are loaded once.
        executor=dg.in_process_executor,
    )


def day_partitions(settings: Settings) -> dg.DailyPartitionsDefinition:
    """One partition for each plant-local calendar day, today included.

    The key is a label that plants of all zones share, so the partitions themselves are counted in UTC.
    """
    return dg.DailyPartitionsDefinition(start_date=settings.first_day.isoformat(), end_offset=1)


def _runtime_per_run(settings: Settings) -> Any:
    @dg.resource(description="Settings, the lake, and the session with SMA of one run.")
    @contextmanager
    def runtime(_context: dg.InitResourceContext) -> Iterator[Runtime]:
        with Runtime(settings) as opened:
            yield opened

    return runtime


@dg.definitions
def defs() -> dg.Definitions:
    """What `dagster dev -w workspace.yaml` loads."""
    return build_definitions(load_settings())
