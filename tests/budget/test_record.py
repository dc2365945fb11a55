"""The record of requests: every try of a run, exactly once, without secrets, published."""

import datetime as dt
from pathlib import Path

import duckdb
import polars as pl
import pytest

from pipeline.common.errors import SunledgerError
from pipeline.common.settings import Settings
from pipeline.extract.fetch import fetch_devices, fetch_plants
from pipeline.run.context import Runtime
from pipeline.run.request_log import RequestLog
from pipeline.sma.http.attempt_log import Try, service
from pipeline.sma.requests import Request
from pipeline.tables.inventory_tables import write_plants
from schemas import ApiRequests, Plants
from tests.budget.conftest import Sandbox
from warehouse.lake import Lake
from warehouse.publish import publish

NOON = dt.datetime(2025, 7, 1, 12, tzinfo=dt.UTC)


def one(seconds: float = 0.0, plant: str = "13", **others: object) -> Try:
    request = Request.plant_day(plant, "EnergyBalance", "2025-06-30")
    facts = {"attempt": 1, "status": 200, "error": None, "size": 10, "elapsed_ms": 2.5, **others}
    return Try(NOON + dt.timedelta(seconds=seconds), "measurements", request, **facts)  # type: ignore[arg-type]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"), tmp_path / "tmp")


def stored(lake: Lake) -> pl.DataFrame:
    return lake.scan(ApiRequests).collect()


@pytest.mark.parametrize("sandbox", [(None, 300.0, False)], indirect=True)
def test_a_run_records_exactly_what_the_sandbox_was_asked(settings: Settings, sandbox: Sandbox) -> None:
    with Runtime(settings) as runtime:
        fetch_plants(runtime)
        write_plants(runtime)
        fetch_devices(runtime)
        sent = runtime.session.requests_sent
    seen = sandbox.counts()["paths"]
    rows = stored(runtime.lake)
    assert rows.height == sum(seen.values()) == sent
    by_endpoint = dict(rows.group_by("endpoint").len().rows())
    assert by_endpoint == {"token": seen["/oauth2/token"], "plants": 1, "devices": 12}
    devices = rows.filter(pl.col("endpoint") == "devices")
    assert sorted(devices["plant_id"]) == sorted(runtime.lake.scan(Plants).collect()["plant_id"])
    assert (
        devices.select(pl.col("status") == 200, pl.col("bytes") > 100, pl.col("attempt") == 1)
        .to_series()
        .all()
    )
    assert rows.filter(pl.col("endpoint") == "token")["attempt"].to_list() == [None]

    publish(runtime.lake, settings.warehouse, now=NOON, version="0")
    with duckdb.connect(str(settings.warehouse), read_only=True) as connection:
        query = "SELECT count(*), count(DISTINCT plant_id) FILTER (plant_id <> '') FROM api_requests"
        assert connection.execute(query).fetchall() == [(rows.height, 12)]
    secret = settings.sma_client_secret.get_secret_value().encode()
    files = [path for path in settings.home.rglob("*") if path.is_file()]
    assert [path for path in files if secret in path.read_bytes()] == []


def test_what_is_stored_twice_is_there_once(tmp_path: Path, lake: Lake) -> None:
    """A kill between the commit and the removal of the file leaves both."""
    log = RequestLog(tmp_path / "requests")
    for number in range(5):
        log.add(one(number))
    log.close()
    (path,) = (tmp_path / "requests").iterdir()
    data = path.read_bytes()
    assert log.store(lake) == 5
    path.write_bytes(data)
    before = lake.snapshot(ApiRequests)
    assert log.store(lake) == 5
    assert lake.snapshot(ApiRequests) == before
    assert stored(lake).height == 5


def test_days_and_runs_add_up_and_hold_one_file_a_day(tmp_path: Path, lake: Lake) -> None:
    for run in range(4):
        log = RequestLog(tmp_path / "requests")
        for hour in (0, 6, 11.99, 12.01):
            log.add(one(3600 * hour + run, plant=str(run)))
        log.store(lake)
    days = dict(stored(lake).group_by("asked_date").len().rows())
    assert days == {dt.date(2025, 7, 1): 12, dt.date(2025, 7, 2): 4}
    assert len(lake.snapshot(ApiRequests).files) == 2


def test_the_file_of_a_living_process_is_left_alone(tmp_path: Path, lake: Lake) -> None:
    living, other = RequestLog(tmp_path / "requests"), RequestLog(tmp_path / "requests")
    living.add(one(1))
    other.add(one(2))
    assert other.store(lake) == 1
    living.add(one(3))
    assert living.store(lake) == 2
    assert stored(lake).height == 3


def test_a_line_that_a_crash_cut_short_is_left_out(tmp_path: Path, lake: Lake) -> None:
    log = RequestLog(tmp_path / "requests")
    log.add(one(1))
    log.add(one(2, status=None, error="SMA did not answer in time"))
    log.close()
    (path,) = (tmp_path / "requests").iterdir()
    path.write_bytes(path.read_bytes() + b'{"request_id":"x","ask' + b"\0" * 100)
    assert log.store(lake) == 2
    assert stored(lake)["status"].to_list() == [200, None]
    assert stored(lake)["asked_at"][0] == NOON + dt.timedelta(seconds=1)


def test_nothing_is_stored_of_a_run_that_asked_nothing(tmp_path: Path, lake: Lake) -> None:
    assert RequestLog(tmp_path / "requests").store(lake) == 0
    assert not (tmp_path / "lake").exists()


def test_a_record_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "requests").write_text("a file where the folder should be")
    with pytest.raises(SunledgerError, match=r"can't be written.* make room"):
        RequestLog(tmp_path / "requests").add(one())


def test_an_address_in_a_path_is_never_recorded() -> None:
    assert service("/oauth2/v2/bc-authorize/owner@example.com") == "consent"
    assert service("/oauth2/token") == "token"
    assert service("/v9/owner@example.com") == "other"
