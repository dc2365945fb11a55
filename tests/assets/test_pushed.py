"""The job that pushes to PostgreSQL exists where a server is set, follows each publication, and can be tried again."""

from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
from pydantic import SecretStr

from assets import pushed
from assets.definitions import build_definitions
from assets.home_setup.dagster_home import open_dagster
from pipeline.common.settings import Settings
from pipeline.run.context import RunContext
from tests.assets.postgres_server import needs_postgres, postgres
from tests.ports import find_free_port
from warehouse.lake import Lake
from warehouse.published_file.publish import publish


def set_server(settings: Settings, port: int, word: str = "wrong") -> Settings:
    url = f"postgresql://sunledger:{word}@127.0.0.1:{port}/postgres"
    return settings.model_copy(update={"push_url": SecretStr(url)})


def test_without_a_server_there_is_nothing_of_it(settings: Settings) -> None:
    defs = build_definitions(settings)
    assert "push" not in {job.name for job in defs.jobs or []} | {one.name for one in defs.sensors or []}
    defs = build_definitions(set_server(settings, 1))
    assert "push" in {job.name for job in defs.jobs or []}
    assert "push" in {one.name for one in defs.sensors or []}


@pytest.mark.long
@needs_postgres
def test_the_job_follows_a_publication(
    settings: Settings,
    new_runtime: Callable[..., RunContext],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pushed, "RETRY_DELAY_S", 0)
    lake = Lake(settings.lake, tmp_path / "scratch")
    with postgres() as server, new_runtime() as runtime, open_dagster(settings) as instance:
        publish(lake, settings.warehouse, now=runtime.now(), version="1")
        chosen = set_server(settings, int(server["DAGSTER_PG_PORT"]), server["DAGSTER_PG_PASSWORD"])
        runtime.settings = chosen
        defs = build_definitions(chosen, runtime)
        (sensor,) = [one for one in defs.sensors or [] if one.name == "push"]

        def look(cursor: str | None) -> tuple[int, str | None]:
            with dg.build_sensor_context(instance, cursor=cursor, definitions=defs) as context:
                found = sensor.evaluate_tick(context)
            return len(found.run_requests or []), found.cursor

        assert look(None)[0] == 0
        instance.report_runless_asset_event(dg.AssetMaterialization("warehouse"))
        n_requests, cursor = look(None)
        assert n_requests == 1
        assert look(cursor)[0] == 0
        job = defs.resolve_job_def("push")
        result = job.execute_in_process(instance=instance)
        (event,) = result.asset_materializations_for_node("postgresql_tables")
        assert event.metadata["parts"].value > 0
        # A server that is gone is asked later.
        runtime.settings = set_server(settings, find_free_port())
        result = job.execute_in_process(instance=instance, raise_on_error=False)
        assert sum(event.is_step_up_for_retry for event in result.all_events) == pushed.RETRIES
        assert "wrong" not in repr(result.all_events)
