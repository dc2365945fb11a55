"""Everything Dagster knows: one factory, used by the code location, the command line and the tests.

Nothing is read at import: settings are loaded when Dagster asks for the definitions, and credentials only when a run
first calls SMA, so the graph can be looked at without any.
"""

import datetime as dt
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import dagster as dg

from assets.asset_builders import EVERY
from assets.asset_checks import build_day_checks, build_vendor_checks, list_checks, publish_checks
from assets.dagster_records.record_files import OPEN_FILES
from assets.docs import add_links
from assets.prefix import NOTICES, RUNTIME, build_key, build_name
from assets.published import build_monthly_report, build_warehouse
from assets.publishing import build_publish_job, build_publish_sensor
from assets.pushed import build_push_job, build_push_sensor, build_pushed_tables
from assets.run_control.run_resources import build_context_resource, build_notices
from assets.schedules import build_day_schedules, build_job_schedule
from assets.sensors import (
    build_alert_sensor,
    build_dead_run_sensor,
    build_finishing_sensor,
    build_retention_sensor,
    build_shard_sensors,
)
from assets.table_assets import (
    build_fetched_day_assets,
    build_made_day_assets,
    build_money_assets,
    build_month_assets,
    build_vendor_assets,
    drop_optional_inputs,
    list_assets,
    select_chosen,
)
from assets.upkeep_job import build_upkeep_job, build_upkeep_schedule
from pipeline.common.files.file_modes import limit_readers
from pipeline.common.settings import Settings, load_settings
from pipeline.common.shared_session import open_shared_session
from pipeline.ops.stored_publication import WAREHOUSE
from pipeline.run.context import RunContext

LISTS_JOB = "refresh_lists"
DAYS_JOB = "energy_days"
SHARD_JOB = "shard_of_days"
ENERGY_JOB = "energy_from_lake"
# What Dagster calls the job of runs that people start from the graph.
ASSET_JOB = "__ASSET_JOB"
# One process a run: connections and the token live through it, and libraries are loaded once.
JOB_EXECUTOR = dg.in_process_executor
# What `dg.define_asset_job` returns has no public name.
AssetJob: TypeAlias = Any


class Cadence(NamedTuple):
    """Something longer than a day that is closed once: assets that carry its name as `EVERY` are made then."""

    name: str
    cron: str
    every: dt.timedelta

    @property
    def job(self) -> str:
        """The name of the job that makes them."""
        return f"close_{self.name}"


# The last zone's midnight and the longest delay end at 14:00 UTC of the first; the closing run and its tries have a day
# more. The year comes after its last month.
CADENCES = (
    Cadence("month", "0 15 2 * *", dt.timedelta(days=28)),
    Cadence("year", "0 17 2 1 *", dt.timedelta(days=365)),
)


class GraphAssets(NamedTuple):
    """All assets, by what makes them."""

    lists: list[dg.AssetsDefinition]
    fetched: list[dg.AssetsDefinition]
    made: list[dg.AssetsDefinition]
    sums: list[dg.AssetsDefinition]
    warehouse: dg.AssetsDefinition
    others: list[dg.AssetsDefinition]
    pushed: list[dg.AssetsDefinition]

    def list_all(self) -> list[dg.AssetsDefinition]:
        """The assets in the order in which Dagster gets them."""
        days = [*self.lists, *self.fetched, *self.made, *self.sums]
        return [*days, self.warehouse, *self.others, *self.pushed]


class GraphJobs(NamedTuple):
    """All jobs. Without shards there is none of a shard, and without a server for pushed tables none that pushes."""

    lists: AssetJob
    days: AssetJob
    energy: AssetJob
    shard: list[AssetJob]
    closing: list[AssetJob]
    publish: AssetJob
    push: list[AssetJob]
    upkeep: dg.JobDefinition

    def list_all(self) -> list[AssetJob]:
        """The jobs in the order in which Dagster gets them."""
        days = [self.lists, self.days, self.energy, *self.shard, *self.closing]
        return [*days, self.publish, *self.push, self.upkeep]


def build_definitions(
    settings: Settings,
    runtime: RunContext | None = None,
    *,
    executor: dg.ExecutorDefinition | None = JOB_EXECUTOR,
) -> dg.Definitions:
    """Assets, checks, jobs, schedules, sensors and resources, to load or to merge into a project (docs/dagster.md).

    With `runtime` all runs share it; without, each run opens and closes its own. The setting `asset_prefix` is put
    before the keys of assets and before the names of ops, jobs, schedules and sensors. A project that has an executor
    of its own gives None for `executor`: our jobs keep theirs.
    """
    graph = _build_assets(settings)
    cadences = [cadence for cadence in CADENCES if _has(graph.list_all(), cadence.name)]
    jobs = _build_jobs(settings, graph, cadences)
    return dg.Definitions(
        assets=add_links(drop_optional_inputs(graph.list_all(), settings), settings.docs_url),
        asset_checks=[
            *list_checks(settings),
            *build_day_checks(settings),
            *build_vendor_checks(settings),
            *publish_checks(settings),
        ],
        jobs=jobs.list_all(),
        schedules=_build_schedules(settings, jobs, cadences),
        sensors=_build_sensors(settings, jobs, [asset.op.name for asset in graph.fetched]),
        resources={
            RUNTIME: runtime if runtime is not None else build_context_resource(settings),
            NOTICES: build_notices,
        },
        executor=executor,
    )


def _build_assets(settings: Settings) -> GraphAssets:
    return GraphAssets(
        lists=list_assets(settings),
        fetched=build_fetched_day_assets(settings),
        made=build_made_day_assets(settings),
        sums=[*build_month_assets(settings), *build_money_assets(settings)],
        warehouse=build_warehouse(settings),
        others=[*build_vendor_assets(settings), build_monthly_report(settings)],
        pushed=build_pushed_tables(settings),
    )


def _build_jobs(settings: Settings, graph: GraphAssets, cadences: Iterable[Cadence]) -> GraphJobs:
    # In a cluster no run publishes but that job's.
    reports = [*graph.sums, graph.warehouse] if settings.cluster == "none" else graph.sums
    return GraphJobs(
        lists=_build_job(
            build_name(settings, LISTS_JOB),
            dg.AssetSelection.assets(*select_chosen(graph.lists, settings)),
            "Fetch the states of consents and the lists of plants, devices and measurement sets from SMA.",
        ),
        days=_build_job(
            build_name(settings, DAYS_JOB),
            dg.AssetSelection.assets(*select_chosen([*graph.fetched, *graph.made], settings), *reports),
            "Fetch days, turn power into energy, add up days, months and PU, and publish.",
        ),
        energy=_build_job(
            build_name(settings, ENERGY_JOB),
            dg.AssetSelection.assets(*graph.made, *reports),
            "Rebuild the energy of stored days, add up months, and publish. Sends no request to SMA.",
        ),
        shard=[_build_shard_job(settings, graph.fetched)] if settings.shards > 1 else [],
        closing=[_build_closing_job(settings, cadence) for cadence in cadences],
        publish=build_publish_job(settings, graph.warehouse),
        push=build_push_job(settings, graph.pushed),
        upkeep=build_upkeep_job(settings),
    )


def _build_schedules(
    settings: Settings, jobs: GraphJobs, cadences: Iterable[Cadence]
) -> list[dg.ScheduleDefinition]:
    (days_job,) = jobs.shard or [jobs.days]
    return [
        build_job_schedule(
            settings,
            name="lists",
            cron="5 1 * * *",
            every=dt.timedelta(days=1),
            job=jobs.lists.name,
            description="Daily: fetches the states of consents and the lists of plants, devices and measurement sets.",
        ),
        *build_day_schedules(settings, days_job.name),
        *(_build_closing_schedule(settings, cadence) for cadence in cadences),
        build_upkeep_schedule(settings),
    ]


def _build_sensors(settings: Settings, jobs: GraphJobs, fetched: list[str]) -> list[dg.SensorDefinition]:
    """All sensors; `fetched` are the names of the ops that fetch days."""
    days = [jobs.lists.name, jobs.days.name, jobs.energy.name]
    closing = [job.name for job in jobs.closing]
    targets = [job.name for job in (jobs.publish, *jobs.push)]
    shard = build_name(settings, SHARD_JOB)
    return [
        build_finishing_sensor(settings, fetched=fetched, job=jobs.energy),
        *(build_shard_sensors(settings, job=jobs.energy) if jobs.shard else []),
        # Runs that people start from the graph have no job of ours.
        build_alert_sensor(settings, jobs=[*days, shard, *targets, ASSET_JOB]),
        build_publish_sensor(settings, jobs.publish, after=[*days, *closing, ASSET_JOB]),
        *build_push_sensor(settings, jobs.push),
        build_retention_sensor(settings),
        build_dead_run_sensor(settings, jobs=[jobs.days, jobs.energy, *jobs.shard]),
    ]


def _build_job(name: str, selection: dg.AssetSelection, description: str) -> AssetJob:
    return dg.define_asset_job(name, selection=selection, executor_def=JOB_EXECUTOR, description=description)


def _build_shard_job(settings: Settings, fetched: Iterable[dg.AssetsDefinition]) -> AssetJob:
    return _build_job(
        build_name(settings, SHARD_JOB),
        dg.AssetSelection.assets(*select_chosen(fetched, settings)),
        "Fetch the answers of days, of one shard of the plants. After the last shard the sensor "
        "finish_shards starts the job that makes energy of them.",
    )


def _build_closing_job(settings: Settings, cadence: Cadence) -> AssetJob:
    chosen = dg.AssetSelection.tag(EVERY, cadence.name)
    if settings.cluster == "none":
        chosen |= dg.AssetSelection.assets(build_key(settings, WAREHOUSE))
    return _build_job(
        build_name(settings, cadence.job),
        chosen,
        f"Materialize the tables of whole {cadence.name}s, and publish.",
    )


def _build_closing_schedule(settings: Settings, cadence: Cadence) -> dg.ScheduleDefinition:
    return build_job_schedule(
        settings,
        name=cadence.name,
        cron=cadence.cron,
        every=cadence.every,
        job=build_name(settings, cadence.job),
        description=f"When all days of a {cadence.name} are closed: materializes the tables of whole {cadence.name}s.",
    )


def _has(assets: Iterable[dg.AssetsDefinition], every: str) -> bool:
    return any(tags.get(EVERY) == every for asset in assets for tags in asset.tags_by_key.values())


@dg.definitions
def defs() -> dg.Definitions:
    """What Dagster loads, by workspace.yaml here and in assets."""
    settings = load_settings()
    limit_readers(settings.home, settings.readable_by)
    # Runs of this process carry its number, and sensors look by it whether others live.
    open_shared_session(settings)
    if home := os.environ.get("DAGSTER_HOME"):
        OPEN_FILES.keep(Path(home))
    return build_definitions(settings)
