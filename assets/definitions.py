"""Everything Dagster knows: one factory, used by the code location, the command line and the tests.

Nothing is read at import: settings are loaded when Dagster asks for the definitions, and credentials only when a run
first calls SMA, so the graph can be looked at without any.
"""

import datetime as dt
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg

from assets.asset_builders import EVERY
from assets.asset_checks import build_day_checks, build_vendor_checks, list_checks, publish_checks
from assets.docs import add_links
from assets.pool_waits import PoolWait, watch_pools
from assets.prefix import NOTICES, RUNTIME, build_key, build_name
from assets.published import build_monthly_report, build_warehouse
from assets.publishing import build_publish_job, build_publish_sensor
from assets.pushed import build_push_job, build_push_sensor, build_pushed_tables
from assets.record_files import OPEN_FILES
from assets.run_processes import THIS_PROCESS
from assets.run_tags import read_limits
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
from pipeline.common.errors import SunledgerError
from pipeline.common.file_modes import limit_readers
from pipeline.common.settings import Settings, load_settings
from pipeline.common.shared_session import open_shared_session
from pipeline.common.slow_stores import announce_slow_stores
from pipeline.common.text import escape_line
from pipeline.ops.stored_publication import WAREHOUSE
from pipeline.run.context import RunContext
from pipeline.run.notices import Notices
from pipeline.run.plants import count_turn

LISTS_JOB = "refresh_lists"
DAYS_JOB = "energy_days"
SHARD_JOB = "shard_of_days"
ENERGY_JOB = "energy_from_lake"
# What Dagster calls the job of runs that people start from the graph.
ASSET_JOB = "__ASSET_JOB"
# One process a run: connections and the token live through it, and libraries are loaded once.
JOB_EXECUTOR = dg.in_process_executor


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
    lists = list_assets(settings)
    fetched, made = build_fetched_day_assets(settings), build_made_day_assets(settings)
    warehouse = build_warehouse(settings)
    publish_job = build_publish_job(settings, warehouse)
    sums = [*build_month_assets(settings), *build_money_assets(settings)]
    # In a cluster no run publishes but that job's.
    reports = [*sums, warehouse] if settings.cluster == "none" else sums
    others = [*build_vendor_assets(settings), build_monthly_report(settings)]
    pushed = build_pushed_tables(settings)
    push_job = build_push_job(settings, pushed)
    assets = [*lists, *fetched, *made, *sums, warehouse, *others, *pushed]
    cadences = [cadence for cadence in CADENCES if _has(assets, cadence.name)]
    job_names = [build_name(settings, name) for name in (LISTS_JOB, DAYS_JOB, ENERGY_JOB)]
    lists_job, days_job, energy_job = job_names
    closing_jobs = [build_name(settings, cadence.job) for cadence in cadences]
    targets = [job.name for job in (publish_job, *push_job)]
    finish = _build_job(
        energy_job,
        dg.AssetSelection.assets(*made, *reports),
        "Rebuild the energy of stored days, add up months, and publish. Sends no request to SMA.",
    )
    shard_job = build_name(settings, SHARD_JOB)
    sharded = settings.shards > 1
    return dg.Definitions(
        assets=add_links(drop_optional_inputs(assets, settings), settings.docs_url),
        asset_checks=[
            *list_checks(settings),
            *build_day_checks(settings),
            *build_vendor_checks(settings),
            *publish_checks(settings),
        ],
        jobs=[
            _build_job(
                lists_job,
                dg.AssetSelection.assets(*select_chosen(lists, settings)),
                "Fetch the states of consents and the lists of plants, devices and measurement sets from SMA.",
            ),
            _build_job(
                days_job,
                dg.AssetSelection.assets(*select_chosen([*fetched, *made], settings), *reports),
                "Fetch days, turn power into energy, add up days, months and PU, and publish.",
            ),
            finish,
            *([_build_shard_job(settings, fetched)] if sharded else []),
            *(_build_closing_job(settings, cadence) for cadence in cadences),
            publish_job,
            *push_job,
            build_upkeep_job(settings),
        ],
        schedules=[
            build_job_schedule(
                settings,
                name="lists",
                cron="5 1 * * *",
                every=dt.timedelta(days=1),
                job=lists_job,
                description="Daily: fetches the states of consents and the lists of plants, devices and measurement "
                "sets.",
            ),
            *build_day_schedules(settings, shard_job if sharded else days_job),
            *(_build_closing_schedule(settings, cadence) for cadence in cadences),
            build_upkeep_schedule(settings),
        ],
        sensors=[
            build_finishing_sensor(settings, fetched=[asset.op.name for asset in fetched], job=finish),
            *(build_shard_sensors(settings, job=finish) if sharded else []),
            # Runs that people start from the graph have no job of ours.
            build_alert_sensor(settings, jobs=[*job_names, shard_job, *targets, ASSET_JOB]),
            build_publish_sensor(settings, publish_job, after=[*job_names, *closing_jobs, ASSET_JOB]),
            *build_push_sensor(settings, push_job),
            build_retention_sensor(settings),
            build_dead_run_sensor(settings),
        ],
        resources={
            RUNTIME: runtime if runtime is not None else _build_runtime_resource(settings),
            NOTICES: _build_notices,
        },
        executor=executor,
    )


def _build_job(name: str, selection: dg.AssetSelection, description: str) -> Any:
    return dg.define_asset_job(name, selection=selection, executor_def=JOB_EXECUTOR, description=description)


def _build_shard_job(settings: Settings, fetched: Iterable[dg.AssetsDefinition]) -> Any:
    return _build_job(
        build_name(settings, SHARD_JOB),
        dg.AssetSelection.assets(*select_chosen(fetched, settings)),
        "Fetch the answers of days, of one shard of the plants. After the last shard the sensor "
        "finish_shards starts the job that makes energy of them.",
    )


def _build_closing_job(settings: Settings, cadence: Cadence) -> Any:
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


@dg.resource(description="What a person should know of one run.")
def _build_notices(_: dg.InitResourceContext) -> Notices:
    return Notices()


def _build_runtime_resource(settings: Settings) -> Any:
    @dg.resource(description="Settings, the lake, and the session with SMA of one run.")
    @contextmanager
    def runtime(context: dg.InitResourceContext) -> Iterator[RunContext]:
        # A schedule that looks what is due has no run.
        tags = context.run.tags if context.run else {}
        opened = RunContext(settings, tell=_find_log(context), **read_limits(tags))
        with announce_slow_stores(opened.tell), opened, _attend_run(context, settings):
            _tell_turn(opened)
            yield opened

    return runtime


def _tell_turn(runtime: RunContext) -> None:
    """Say in the run's log how many plants it leaves out, if any."""
    # The first step meets a fault too, and reports it.
    with suppress(SunledgerError):
        if turn := count_turn(runtime):
            runtime.tell(
                f"This run reads {turn['plants_read']} plants and leaves out {turn['plants_left_out_today']}, whose "
                "turn comes in later hours, because the request budget can't hold the current day of all plants."
            )


@contextmanager
def _attend_run(context: dg.InitResourceContext, settings: Settings) -> Iterator[None]:
    """Say on the run which process does it; tell and bound its waits for pools."""
    instance, run = context.instance, context.run
    if instance is None or run is None or instance.is_ephemeral:
        yield
        return
    instance.add_run_tags(run.run_id, THIS_PROCESS.build_tags(instance))

    def say(text: str) -> None:
        instance.report_engine_event(text, run)

    with watch_pools(PoolWait(instance, say, settings.pool_wait_minutes * 60), run.run_id, say_fault=True):
        yield


def _find_log(context: dg.InitResourceContext) -> Callable[[str], None]:
    """Who is informed of waits: the run's own log."""
    log = context.log

    def tell(text: str) -> None:
        if log is not None:
            log.info(escape_line(text))

    return tell


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
