"""Records in PostgreSQL, with the limits of one machine's configuration: days are fetched and recorded, twice."""

import datetime as dt
from collections.abc import Callable, Iterator

import dagster as dg
import pytest

from assets.home_setup.dagster_home import prepare_dagster_home
from assets.runs import record_runs
from pipeline.common.settings import Settings
from pipeline.run.context import RunContext
from schemas import EnergyDaily
from tests.assets.postgres_server import configure_postgres, needs_postgres, postgres

DAYS = ["2021-10-04", "2021-10-05"]

pytestmark = [pytest.mark.long, needs_postgres]


@pytest.fixture
def cluster(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    pytest.importorskip(
        "dagster_postgres", reason="dagster-postgres is not installed: pip install '.[cluster]'"
    )
    with postgres() as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        configure_postgres(prepare_dagster_home(settings))
        yield


@pytest.mark.usefixtures("cluster")
def test_days_are_recorded_in_postgresql(new_runtime: Callable[..., RunContext], settings: Settings) -> None:
    from dagster_postgres import PostgresEventLogStorage  # noqa: PLC0415 - part of the extra `cluster`

    days = [dt.date.fromisoformat(day) for day in DAYS]
    # The last of them again, as another process would.
    for first in days:
        with new_runtime() as runtime, record_runs(runtime) as runs:
            runs.refresh_lists()
            runs.fetch_days(first, days[-1])
            runs.publish()
            assert isinstance(runs.instance.event_log_storage, PostgresEventLogStorage)
            assert runs.instance.get_materialized_partitions(dg.AssetKey("energy_daily")) == set(DAYS)
            pools = {pool.name: pool.limit for pool in runs.instance.event_log_storage.get_pool_limits()}
            assert pools == {"sma_api": 3, "publish": 1}
            stored = [part["local_date"] for part in runtime.lake.list_parts(EnergyDaily)]
            assert stored == DAYS
    assert not list((settings.home / "dagster").rglob("*.db"))
