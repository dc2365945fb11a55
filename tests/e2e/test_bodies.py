"""Answers that cannot be read, from the sandbox: each is in quarantine with its reason, and the run goes on."""

import datetime as dt
from functools import partial

import polars as pl
import pytest

from pipeline.common.settings import Settings
from pipeline.extract.fetch import SetFetch
from pipeline.run.context import RunContext
from pipeline.run.measurement_sets import BALANCE
from pipeline.run.plants import list_plants
from pipeline.sma.blocking_client import SmaSession
from pipeline.sma.client import SmaClient
from pipeline.sma.clock import Clock
from pipeline.tables.interval_tables import write_intervals
from schemas import EnergyBalanceIntervals, Quarantine, RawEnergyBalance
from tests.noticed import noticed
from tests.sandbox.conftest import serve  # noqa: F401 - a fixture
from tests.sandbox.served_sandbox import NOW, Serve, Served
from tests.whole_days import refresh

DAY = dt.date(2024, 6, 10)
BROKEN = {
    "invalid_json": "but not with measurements",
    "html_body": "but not with measurements",
    "missing_envelope": "but not with measurements",
    "truncated_body": "was truncated or damaged",
    "huge_answer,amount=1": "more than the 400,000 bytes allowed",
    "status_504": "answered 504",
}


async def _at_once(_: float) -> None:
    """Wait for nothing."""


@pytest.fixture
def box(serve: Serve) -> Served:  # noqa: F811 - the fixture of that name
    return serve(plants=8)


@pytest.fixture
def runtime(box: Served, settings: Settings) -> RunContext:
    at_box = settings.model_copy(
        update={
            "sma_client_id": box.world.options.client_id,
            "sma_client_secret": type(settings.sma_client_secret)(box.world.options.client_secret),
            "sma_auth_url": box.url,
            "sma_consent_url": box.url,
            "sma_monitoring_url": f"{box.url}/monitoring",
            "sma_max_answer_bytes": 400_000,
        }
    )
    make = partial(SmaClient, clock=Clock(now=lambda: NOW, sleep=_at_once))
    return RunContext(at_box, now=lambda: NOW, make_session=partial(SmaSession, make_client=make))


def test_each_is_set_aside_with_its_reason_and_the_others_are_done(runtime: RunContext, box: Served) -> None:
    with runtime:
        refresh(runtime)
        plants = list_plants(runtime)["plant_id"].to_list()
        broken = dict(zip(plants, BROKEN, strict=False))
        faults = [f"{fault},plants={plant},path=EnergyBalance" for plant, fault in broken.items()]
        box.http.put("/_control/faults", json={"faults": faults}).raise_for_status()
        notices = noticed(SetFetch(BALANCE)(runtime, [DAY]))
        write_intervals(runtime, BALANCE, DAY)
    aside = runtime.lake.scan(Quarantine).filter(pl.col("local_date") == DAY).collect()
    told = dict(aside.select("plant_id", "detail").rows())
    assert set(told) == set(broken)
    assert {plant: BROKEN[fault] in told[plant] for plant, fault in broken.items()} == dict.fromkeys(
        broken, True
    )
    assert set(aside["reason"]) == {"request_failed"}
    assert {item.plant_id for item in notices.missing} == set(broken)
    done = runtime.lake.scan(EnergyBalanceIntervals).collect()
    assert set(done["plant_id"]) == set(plants) - set(broken)


def test_unknown_fields_stay_in_raw_and_are_told_once(runtime: RunContext, box: Served) -> None:
    days = [DAY, DAY + dt.timedelta(days=1)]
    with runtime:
        notices = refresh(runtime)
        box.http.put("/_control/faults", json={"faults": ["unknown_fields"]}).raise_for_status()
        notices.add(noticed(SetFetch(BALANCE)(runtime, days)))
        notices.add(noticed(write_intervals(runtime, BALANCE, day) for day in days))
    ((table, names),) = notices.unknown_fields.items()
    assert table == "raw_energy_balance"
    assert names
    bodies = runtime.lake.scan(RawEnergyBalance).collect()["body"]
    assert all(any(name.encode() in body for body in bodies) for name in names)
    assert not names & set(EnergyBalanceIntervals.to_schema().columns)


def test_lists_name_their_unknown_fields_and_none_without_the_fault(runtime: RunContext, box: Served) -> None:
    with runtime:
        notices = refresh(runtime)
        assert notices.unknown_fields == {}
        box.http.put("/_control/faults", json={"faults": ["unknown_fields,path=plants"]}).raise_for_status()
        runtime.again = True
        notices.add(refresh(runtime))
    names = {"newQuantity"}
    assert notices.unknown_fields == {"raw_plants": names, "raw_devices": names}
