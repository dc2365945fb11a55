"""A plant that moved from Sunny Portal Classic to ennexOS is one plant: neither gap nor double, by a real sandbox."""

import datetime as dt
import json
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import polars as pl
import pytest

from pipeline.common.local_time import find_local_day
from pipeline.common.settings import Settings, load_settings
from pipeline.extract.consent_refresh import find_concern
from pipeline.run.context import RunContext
from pipeline.run.notices import Notices
from pipeline.sma.blocking_client import SmaSession
from pipeline.sma.client import SmaClient
from pipeline.sma.clock import Clock
from sandbox.launch import SandboxAddress, run_sandbox
from schemas import ApiRequests, DeviceEnergyDaily, EnergyDaily, EnergyMonthly, Plants
from tests.whole_days import build, fetch, refresh

# A Monday; the sandbox's clock stands on the Wednesday of the move, at noon.
MONDAY = dt.date(2025, 7, 7)
WEEK = [MONDAY + dt.timedelta(days=i) for i in range(7)]
MOVE = dt.datetime(2025, 7, 9, 12, tzinfo=dt.UTC)


@pytest.fixture
def sandbox() -> Iterator[SandboxAddress]:
    with run_sandbox("--plants", "4") as address:
        yield address


@pytest.fixture
def settings(sandbox: SandboxAddress, tmp_path: Path) -> Settings:
    values = {name.lower(): value for name, value in sandbox.settings().items()}
    return load_settings(env_file=None, home=tmp_path / "home", **values)


def control(sandbox: SandboxAddress, path: str, **content: object) -> dict[str, object]:
    request = urllib.request.Request(  # noqa: S310 - loopback
        f"{sandbox.url}/_control/{path}",
        json.dumps(content).encode(),
        {"Content-Type": "application/json"},
        method="POST",
    )
    with urllib.request.urlopen(request) as answer:  # noqa: S310 - loopback
        found: dict[str, object] = json.load(answer)
        return found


def at(settings: Settings, sandbox: SandboxAddress, moment: dt.datetime, *plants: str) -> RunContext:
    """A run at a moment, which is the sandbox's too."""
    control(sandbox, "clock", now=moment.isoformat())
    found = RunContext(settings, only_plants=frozenset(plants), now=lambda: moment)

    def client(of: Settings) -> SmaClient:
        return SmaClient(of, clock=Clock(now=lambda: moment), record=found.requests.add)

    found.make_session = partial(SmaSession, make_client=client)
    return found


def run(runtime: RunContext, *days: dt.date) -> tuple[int, Notices]:
    """Refresh, fetch and build the days; how many requests for data were sent, and what was noticed."""
    with runtime:
        notices = refresh(runtime)
        before = runtime.session.requests_sent
        notices.add(fetch(runtime, *days))
        sent = runtime.session.requests_sent - before
        for day in days:
            notices.add(build(runtime, day))
    return sent, notices


@pytest.mark.long
def test_a_backfill_over_the_move_has_neither_gap_nor_double(
    sandbox: SandboxAddress, settings: Settings
) -> None:
    with at(settings, sandbox, MOVE) as first:
        refresh(first)
        stored = first.lake.scan(Plants).filter(pl.col("backend") == "classic").collect()
        old = stored["plant_id"][0]
    run(at(settings, sandbox, MOVE, old), *WEEK[:3])
    before = first.lake.scan(EnergyDaily).sort("local_date").collect()
    assert before["plant_id"].unique().to_list() == [old]
    assert before["status"].to_list() == ["complete", "complete", "provisional"]

    new = str(control(sandbox, "migrations", plantId=old)["to"])
    after = at(settings, sandbox, MOVE + dt.timedelta(days=7), new)
    sent, notices = run(after, *WEEK)
    lake = after.lake

    plants = lake.scan(Plants).collect()
    (zone, before_the_move), *_ = (
        plants.filter(pl.col("plant_id") == new).select("timezone", "migrated_from").rows()
    )
    assert before_the_move == old
    assert find_concern(after) is None
    assert not [m for m in notices.missing if m.plant_id == old]

    days = lake.scan(EnergyDaily).sort("local_date").collect()
    assert days.select("plant_id", "local_date").rows() == [(new, day) for day in WEEK]
    assert set(days["status"]) == {"complete"}
    for day, kwh in days.select("local_date", "pv_generation_kwh").rows():
        assert kwh == pytest.approx(truth(sandbox, new, zone, day), rel=1e-4)
    months = lake.scan(EnergyMonthly).collect()
    assert months["plant_id"].to_list() == [new]
    assert months["pv_generation_kwh"].item() == pytest.approx(days["pv_generation_kwh"].sum())

    of_plant = pl.col("pv_generation_kwh").sum()
    devices = lake.scan(DeviceEnergyDaily).group_by("plant_id", "local_date").agg(of_plant).collect()
    assert set(devices["plant_id"]) == {new}
    by_devices = dict(devices.select("local_date", "pv_generation_kwh").rows())
    for day, kwh in days.select("local_date", "pv_generation_kwh").rows():
        assert by_devices[day] == pytest.approx(kwh, rel=1e-4)

    # Monday and Tuesday were final under the old id: a week of the new one lacks them.
    asked = lake.scan(ApiRequests).filter(pl.col("plant_id") == new, pl.col("endpoint") == "measurements")
    assert sent < 10
    assert asked.collect()["request_date"].n_unique() == 1


def test_once_known_a_move_stays_known_and_is_not_asked_for(
    sandbox: SandboxAddress, settings: Settings
) -> None:
    with at(settings, sandbox, MOVE) as first:
        refresh(first)
        old = first.lake.scan(Plants).filter(pl.col("backend") == "classic").collect()["plant_id"][0]
    new = str(control(sandbox, "migrations", plantId=old)["to"])
    for days in (1, 2):
        with at(settings, sandbox, MOVE + dt.timedelta(days=days)) as later:
            refresh(later)
            found = later.lake.scan(Plants).filter(pl.col("plant_id") == new).collect()
            assert found["migrated_from"].to_list() == [old]
    # The old id is asked for once: SMA's redirect, and the answer that it leads to.
    record = later.lake.scan(ApiRequests).filter(
        pl.col("asked_date") > MOVE.date(), pl.col("plant_id") == old
    )
    assert record.collect()["status"].sort().to_list() == [200, 308]


def truth(sandbox: SandboxAddress, plant: str, zone: str, day: dt.date) -> float:
    """The exact kWh of the plant's local day."""
    bounds = find_local_day(day, zone)
    window = f"from={bounds.start:%Y-%m-%dT%H:%M:%SZ}&to={bounds.end:%Y-%m-%dT%H:%M:%SZ}"
    with urllib.request.urlopen(f"{sandbox.url}/_truth/plants/{plant}/pvGeneration?{window}") as answer:  # noqa: S310
        return float(json.load(answer)["kwh"])
