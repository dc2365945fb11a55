"""The report tables in PostgreSQL as an asset with a job and a sensor of its own, where SUNLEDGER_PUSH_URL is set."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from assets.asset_builders import OWNERS, convert_errors
from assets.prefix import build_key, build_name, split_prefix
from assets.sensors import choose_sensor_status
from pipeline.common.settings import Settings
from pipeline.ops.stored_publication import WAREHOUSE
from pipeline.run.context import RunContext
from warehouse.database_server.push import PushTarget, push_published
from warehouse.database_server.push_origin import list_lake_ids
from warehouse.published_file.published_object import fetch_published

PUSHED = "postgresql_tables"
PUSH_JOB = "push"
# A server that restarts is back by then.
RETRIES, RETRY_DELAY_S = 3, 60


def build_pushed_tables(settings: Settings) -> list[dg.AssetsDefinition]:
    """The asset that pushes; none without a server."""
    if not settings.push_url.get_secret_value():
        return []

    @dg.asset(
        name=PUSHED,
        key_prefix=split_prefix(settings),
        group_name="publish",
        description="The report tables of the published file in PostgreSQL, for BI servers and many readers. What "
        "changed is written in one transaction.",
        kinds={"postgresql"},
        owners=OWNERS,
        deps=[build_key(settings, WAREHOUSE)],
        retry_policy=dg.RetryPolicy(max_retries=RETRIES, delay=RETRY_DELAY_S),
    )
    def postgresql_tables(sunledger_runtime: dg.ResourceParam[RunContext]) -> dg.MaterializeResult[None]:
        """Bring what changed of the published file into the schema."""
        chosen = sunledger_runtime.settings
        target = PushTarget(chosen.push_url.get_secret_value(), chosen.push_schema, chosen.push_reader)
        with convert_errors():
            source = fetch_published(chosen, sunledger_runtime.tell)
            lake_ids = list_lake_ids(sunledger_runtime.lake)
            done = push_published(source, target, lake_ids=lake_ids, tell=sunledger_runtime.tell)
        return dg.MaterializeResult(
            metadata={
                "place": done.place,
                "rows": dg.MetadataValue.json(dict(done.rows)),
                "parts": done.parts,
                "seconds": done.seconds,
                "summary": done.describe(),
            }
        )

    return [postgresql_tables]


def build_push_job(settings: Settings, pushed: Sequence[dg.AssetsDefinition]) -> list[Any]:
    """The job that pushes; none without a server."""
    if not pushed:
        return []
    return [
        dg.define_asset_job(
            build_name(settings, PUSH_JOB),
            selection=dg.AssetSelection.assets(*pushed),
            executor_def=dg.in_process_executor,
            description="Write what changed of the published report tables to PostgreSQL.",
        )
    ]


def build_push_sensor(settings: Settings, jobs: Sequence[Any]) -> list[dg.SensorDefinition]:
    """Start the job after each publication."""
    return [
        dg.AssetSensorDefinition(
            name=build_name(settings, PUSH_JOB),
            asset_key=build_key(settings, WAREHOUSE),
            job_name=job.name,
            asset_materialization_fn=_request_push,
            description="After each publication: writes what changed of the report tables to PostgreSQL.",
            default_status=choose_sensor_status(settings),
        )
        for job in jobs
    ]


def _request_push(_context: dg.SensorEvaluationContext, _event: dg.EventLogEntry) -> dg.RunRequest:
    # Without a key of the run, each publication is followed by a push.
    return dg.RunRequest()
