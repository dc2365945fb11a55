"""The record of requests: every try of a run, exactly once, without secrets, published."""

import datetime as dt
import os
import re
from pathlib import Path

import duckdb
import polars as pl
import pytest

from pipeline.common.errors import SunledgerError
from pipeline.common.settings import Settings, load_settings
from pipeline.extract.fetch import fetch_devices, fetch_plants
from pipeline.ops.doctor import facts, machine
from pipeline.run import request_log
from pipeline.run.context import RunContext
from pipeline.run.request_log import RequestLog, read_tries
from pipeline.sma.http.attempt_log import LoggedTry, name_service
from pipeline.sma.requests import Request
from pipeline.tables.inventory_tables import write_plants
from schemas import ApiRequests, Plants
from tests import programs
from tests.budget.conftest import Sandbox
from warehouse.lake import Lake
from warehouse.published_file.publish import publish

NOON = dt.datetime(2025, 7, 1, 12, tzinfo=dt.UTC)


def one(seconds: float = 0.0, plant: str = "13", **others: object) -> LoggedTry:
    request = Request.measured(plant, "", "EnergyBalance", "Day", "2025-06-30")
    facts = {"attempt": 1, "status": 200, "error": None, "size": 10, "elapsed_ms": 2.5, **others}
    return LoggedTry(NOON + dt.timedelta(seconds=seconds), "measurements", request, **facts)  # type: ignore[arg-type]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"), tmp_path / "tmp")


def stored(lake: Lake) -> pl.DataFrame:
    return lake.scan(ApiRequests).collect()


@pytest.mark.parametrize("sandbox", [(None, 300.0, False)], indirect=True)
def test_a_run_records_exactly_what_the_sandbox_was_asked(settings: Settings, sandbox: Sandbox) -> None:
    with RunContext(settings) as runtime:
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


@pytest.mark.long
@pytest.mark.parametrize("sandbox", [(None, 300.0, False)], indirect=True)
def test_requests_are_on_the_disk_before_their_answers(
    settings: Settings, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: dict[str, int] = {}
    stored_with: list[bool] = []
    sync, link = os.fsync, os.link

    def watch_sync(descriptor: int) -> None:
        sync(descriptor)
        synced[str(Path(f"/proc/self/fd/{descriptor}").readlink())] = os.fstat(descriptor).st_size

    def watch_link(new: Path, place: Path) -> None:
        if "raw_devices" in place.parts:
            files = [*(settings.home / "requests").glob("*.jsonl")]
            stored_with.append(all(synced.get(str(file)) == file.stat().st_size > 0 for file in files))
        link(new, place)

    with RunContext(settings) as runtime:
        fetch_plants(runtime)
        write_plants(runtime)
        monkeypatch.setattr(os, "fsync", watch_sync)
        monkeypatch.setattr(os, "link", watch_link)
        fetch_devices(runtime)
    assert stored_with
    assert all(stored_with)


def test_what_is_stored_twice_is_there_once(tmp_path: Path, lake: Lake) -> None:
    """A kill between the commit and the removal of the file leaves both."""
    log = RequestLog(tmp_path / "requests")
    for number in range(5):
        log.add(one(number))
    log.close()
    (path,) = (tmp_path / "requests").iterdir()
    data = path.read_bytes()
    assert log.store(lake).tries == 5
    path.write_bytes(data)
    before = lake.take_snapshot(ApiRequests)
    assert log.store(lake).tries == 5
    assert lake.take_snapshot(ApiRequests) == before
    assert stored(lake).height == 5


@pytest.mark.parametrize("odd", [b"", b"[]\n"])
def test_a_try_that_stands_twice_in_a_file_is_one(tmp_path: Path, lake: Lake, odd: bytes) -> None:
    """Files that a person put together, or restored from a copy, stop no command."""
    log = RequestLog(tmp_path / "requests")
    for number in range(3):
        log.add(one(number))
    log.close()
    (path,) = (tmp_path / "requests").iterdir()
    path.write_bytes(path.read_bytes() * 2 + odd)
    found = log.store(lake)
    assert (found.tries, found.unreadable) == (3, len(odd) // 3)
    assert stored(lake).height == 3


def test_a_long_record_is_read_some_lines_at_a_time(
    tmp_path: Path, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []

    def read_some(data: bytes) -> tuple[pl.DataFrame, list[bytes]]:
        sizes.append(len(data))
        return read_tries(data)

    monkeypatch.setattr(request_log, "LINES_BYTES", 500)
    monkeypatch.setattr(request_log, "read_tries", read_some)
    log = RequestLog(tmp_path / "requests")
    for number in range(20):
        log.add(one(seconds=number))
    log.close()
    (file,) = (tmp_path / "requests").iterdir()
    # Once more what stands in other lines.
    file.write_bytes(file.read_bytes() + file.read_bytes()[:1000] + b"\n")
    assert log.store(lake).tries == stored(lake).height == 20
    assert max(sizes) < 1000 < sum(sizes)


def test_days_and_runs_add_up_and_hold_one_file_a_day(tmp_path: Path, lake: Lake) -> None:
    for run in range(4):
        log = RequestLog(tmp_path / "requests")
        for hour in (0, 6, 11.99, 12.01):
            log.add(one(3600 * hour + run, plant=str(run)))
        log.store(lake)
    days = dict(stored(lake).group_by("asked_date").len().rows())
    assert days == {dt.date(2025, 7, 1): 12, dt.date(2025, 7, 2): 4}
    assert len(lake.take_snapshot(ApiRequests).files) == 2


def test_the_file_of_a_living_process_is_left_alone(tmp_path: Path, lake: Lake) -> None:
    living, other = RequestLog(tmp_path / "requests"), RequestLog(tmp_path / "requests")
    living.add(one(1))
    other.add(one(2))
    assert other.store(lake).tries == 1
    living.add(one(3))
    assert living.store(lake).tries == 2
    assert stored(lake).height == 3


@pytest.mark.parametrize("place", ["first", "middle", "last"])
@pytest.mark.parametrize(
    ("good", "bad"),
    [
        pytest.param(r".{40}$", "", id="cut short"),
        pytest.param(r"^.{40}", "", id="the end of a line"),
        pytest.param(r"^(.{40}).*", r"\1{}", id="cut short in front of another"),
        pytest.param(r".*", "\udcff", id="no text"),
        pytest.param(r".*", "[1]", id="no object"),
        pytest.param(r".*", "{}", id="empty"),
        pytest.param(r'"bytes":\d+', '"bytes":-1', id="a rule broken"),
        pytest.param(r'"asked_at":\d+', '"asked_at":99999999999999999', id="no moment"),
        pytest.param(r'"status":\d+', '"status":12345', id="no status"),
        pytest.param(r'"elapsed_ms":[\d.]+', '"elapsed_ms":1e999', id="infinite"),
    ],
)
def test_a_line_that_is_no_try_is_set_aside_alone_and_told(
    tmp_path: Path, good: str, bad: str, place: str
) -> None:
    folder = tmp_path / "home" / "requests"
    with RunContext(load_settings(env_file=None, home=tmp_path / "home")) as runtime:
        log = runtime.requests
        for number in range(4):
            # A status that HTTP does not know, from a proxy, is none the less a request.
            log.add(one(number, status=999))
        log.close()
        (path,) = folder.iterdir()
        lines = path.read_bytes().splitlines()
        at = {"first": 0, "middle": 1, "last": 3}[place]
        lines[at] = re.sub(good, bad, lines[at].decode(), count=1).encode("utf-8", "surrogateescape")
        path.write_bytes(b"\n".join(lines) + (b"\0" * 100 if place == "last" else b"\n"))
        moved = runtime.store_requests()
        assert moved.tries == 3
        found = stored(runtime.lake)
        assert found["status"].to_list() == [999] * 3
        assert at not in found["asked_at"].dt.second().to_list()
        (told,) = moved.build_notices(runtime.find_today()).missing
        assert told.reason.startswith("1 line of the record of requests can't be read")
        (kept,) = folder.iterdir()
        assert kept.read_bytes() == lines[at] + b"\n"
        assert str(kept) in told.reason
        # It is reported once, and stops nobody.
        again = runtime.store_requests()
        assert (again.tries, again.build_notices(runtime.find_today()).missing) == (0, [])


@pytest.mark.parametrize(("command", "code"), [(["publish"], 3), (["billing", "--year", "2025"], 0)])
def test_an_odd_line_stops_no_command(tmp_path: Path, command: list[str], code: int) -> None:
    folder = tmp_path / "home" / "requests"
    log = RequestLog(folder)
    log.add(one(1))
    log.close()
    (path,) = folder.iterdir()
    path.write_bytes(b'{"request_id":"x","ask' + path.read_bytes() + b"[]\n" + path.read_bytes())
    ended, said = programs.run(tmp_path, *command)
    assert (ended, "Traceback" in said) == (code, False), said
    assert sorted(each.suffix for each in folder.iterdir()) == [".unreadable"]
    assert "2 lines of the record of requests can't be read" in said


def test_the_doctor_names_what_could_not_be_read(tmp_path: Path) -> None:
    settings = load_settings(env_file=None, home=tmp_path)
    assert machine.judge_record(facts.find_unreadable_records(settings)) == []
    (tmp_path / "requests").mkdir()
    (tmp_path / "requests" / "a.unreadable").write_text("x")
    (found,) = machine.judge_record(facts.find_unreadable_records(settings))
    assert "a.unreadable" in found.text


def test_a_line_for_which_there_is_no_room_leaves_no_part_of_it(
    tmp_path: Path, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, write = RequestLog(tmp_path / "requests"), os.write
    log.add(one(1))
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:20]))
    with pytest.raises(SunledgerError, match=r"can't be written \(No space left.* free some space"):
        log.add(one(2))
    monkeypatch.undo()
    log.add(one(3))
    found = log.store(lake)
    assert (found.tries, found.unreadable) == (2, 0)
    assert stored(lake)["asked_at"].dt.second().to_list() == [1, 3]


def test_nothing_is_stored_of_a_run_that_asked_nothing(tmp_path: Path, lake: Lake) -> None:
    assert RequestLog(tmp_path / "requests").store(lake).tries == 0
    assert not (tmp_path / "lake").exists()


def test_a_record_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "requests").write_text("a file where the folder should be")
    with pytest.raises(SunledgerError, match=r"can't be written.* free some space"):
        RequestLog(tmp_path / "requests").add(one())


def test_an_address_in_a_path_is_never_recorded() -> None:
    assert name_service("/oauth2/v2/bc-authorize/owner@example.com") == "consent"
    assert name_service("/oauth2/token") == "token"
    assert name_service("/v9/owner@example.com") == "other"
