"""Consent that ends in the middle of a run: marked, said, and never booked as a silent plant."""

import datetime as dt
import json
from collections.abc import Callable

import dagster as dg
import polars as pl
import pytest

from assets.runs import record_runs
from pipeline.common.errors import ConsentMissing
from pipeline.common.settings import Settings
from pipeline.extract.consent_refresh import find_concern
from pipeline.extract.fetch import fetch_devices, fetch_measurement_sets, fetch_plants
from pipeline.run.context import RunContext
from pipeline.sma.consents.consent_api import Consent, ConsentState
from pipeline.sma.consents.consent_book import ConsentBook
from pipeline.sma.requests import Request
from pipeline.tables.incomplete_days import ASK_AGAIN, FAILED, find_incomplete_days
from pipeline.tables.inventory_tables import write_measurement_sets, write_plants
from schemas import MeasurementSets, Plants, Quarantine, RawEnergyBalance
from tests.noticed import noticed
from tests.scripted import NOW, ScriptedSma
from tests.whole_days import MONDAY, TUESDAY, build, energy, fetch, refresh

New = Callable[..., RunContext]


def revoke(sma: ScriptedSma, plant: str) -> None:
    """From now on SMA does not list the plant, and answers as without consent for it: 200, and nothing in it."""
    sma.lists.remove(plant)

    def answer(request: Request) -> bytes | None:
        endpoint = {"measurements": "set"}.get(request.endpoint, request.endpoint)
        return json.dumps({endpoint: []}).encode() if request.plant_id == plant else None

    sma.special = answer


def test_days_after_the_end_of_consent_are_marked_and_not_silent(
    new_runtime: New,
    sma: ScriptedSma,
) -> None:
    runtime = new_runtime()
    notices = noticed([refresh(runtime), fetch(runtime, MONDAY)])
    revoke(sma, "12")
    notices.add(fetch(runtime, TUESDAY))
    for day in (MONDAY, TUESDAY):
        build(runtime, day)
    assert energy(runtime)["12", 4] == pytest.approx(24.0)
    raw = runtime.lake.scan(RawEnergyBalance).filter(pl.col("local_date") == TUESDAY).collect()
    assert raw["plant_id"].to_list() == ["11"]
    of_answers = (pl.col("local_date") == TUESDAY) & (pl.col("scope") == "answer")
    marked = runtime.lake.scan(Quarantine).filter(of_answers).collect()
    assert set(marked.select("source", "plant_id", "reason").rows()) == {
        ("raw_energy_balance", "12", "not_listed"),
        ("raw_pv", "12", "not_listed"),
    }
    assert {(m.day, m.table, m.plant_id) for m in notices.missing} == {
        (str(TUESDAY), "raw_energy_balance", "12"),
        (str(TUESDAY), "raw_pv", "12"),
    }
    assert all("SMA no longer lists it" in m.reason for m in notices.missing)


@pytest.mark.long
def test_days_after_the_end_of_consent_are_to_be_fetched_once_it_is_back(
    new_runtime: New, sma: ScriptedSma
) -> None:
    runtime = new_runtime()
    noticed([refresh(runtime), fetch(runtime, MONDAY)])
    revoke(sma, "12")
    # Of Monday the rows are stored, of Tuesday nothing is.
    fetch(runtime, MONDAY, TUESDAY)
    for day in (MONDAY, TUESDAY):
        build(runtime, day)
    sma.lists.append("12")
    refresh(new_runtime())
    found = find_incomplete_days(new_runtime(), MONDAY, TUESDAY).filter(pl.col("reason") == FAILED)
    assert found.select("plant_id", "local_date").rows() == [("12", TUESDAY)]
    assert FAILED in ASK_AGAIN


def test_a_stored_day_is_kept_and_the_reason_is_the_list(
    new_runtime: New,
    sma: ScriptedSma,
) -> None:
    runtime = new_runtime()
    refresh(runtime)
    fetch(runtime, MONDAY)
    revoke(sma, "12")
    again = new_runtime()
    notices = fetch(again, MONDAY)
    assert {m.plant_id for m in notices.missing} == {"12"}
    assert all("SMA no longer lists it" in m.reason for m in notices.missing)
    build(again, MONDAY)
    assert energy(again)["12", 4] == pytest.approx(24.0)


def test_a_silent_plant_that_is_still_listed_is_silent(
    new_runtime: New,
    sma: ScriptedSma,
) -> None:
    sma.watts["12", "2021-10-04"] = None
    runtime = new_runtime()
    notices = noticed([refresh(runtime), fetch(runtime, MONDAY)])
    assert notices.missing == []
    raw = runtime.lake.scan(RawEnergyBalance).select("plant_id", "no_rows").collect()
    assert raw.rows() == [("11", False), ("12", True)]


def test_consent_that_ends_between_the_lists_keeps_what_is_known_of_the_sets(
    new_runtime: New,
    sma: ScriptedSma,
) -> None:
    refresh(new_runtime())
    runtime = new_runtime()
    notices = noticed(step(runtime) for step in (fetch_plants, write_plants, fetch_devices))
    revoke(sma, "12")
    notices.add(noticed(step(runtime) for step in (fetch_measurement_sets, write_measurement_sets)))
    assert set(runtime.lake.scan(MeasurementSets).collect()["plant_id"]) == {"11", "12"}
    assert {(m.table, m.plant_id) for m in notices.missing} == {("raw_measurement_sets", "12")}


def test_a_shorter_list_on_the_same_day_is_told_and_its_plant_not_asked(
    new_runtime: New,
    sma: ScriptedSma,
) -> None:
    refresh(new_runtime())
    revoke(sma, "12")
    runtime = new_runtime()
    notices = refresh(runtime)
    assert [(m.table, m.plant_id) for m in notices.missing] == [("plants", "12")]
    sma.asked.clear()
    fetch(runtime, MONDAY)
    assert {request.plant_id for request in sma.asked} == {"11"}


def test_a_list_that_became_empty_fails_with_the_reason_and_keeps_the_plants(
    new_runtime: New,
    sma: ScriptedSma,
    settings: Settings,
) -> None:
    refresh(new_runtime())
    ConsentBook.of(settings).note({"owner1@example.com": Consent(ConsentState.REVOKED, None, 1800.0)}, NOW)
    sma.lists = []
    runtime = new_runtime()
    fetch_plants(runtime)
    with pytest.raises(ConsentMissing, match="1 owner has revoked the consent"):
        write_plants(runtime)
    assert runtime.lake.scan(Plants).collect().height == 2


def test_the_check_warns_with_what_to_do(
    new_runtime: New,
    sma: ScriptedSma,
) -> None:
    with new_runtime() as runtime, record_runs(runtime) as runs:
        runs.refresh_lists()
        assert checked(runs.instance) == (True, "SMA still lists every plant of the last month.")
        revoke(sma, "12")
        runs.refresh_lists()
        passed, text = checked(runs.instance)
        assert not passed
        assert "1 plant is no longer listed" in text
        assert "consent request EMAIL" in text


def checked(instance: dg.DagsterInstance) -> tuple[bool, str]:
    """The newest result of the check: whether it passed, and its text."""
    key = dg.AssetCheckKey(dg.AssetKey("plants"), "consent")
    record = instance.event_log_storage.get_asset_check_execution_history(key, limit=1)[0]
    assert record.event is not None
    evaluation = record.event.dagster_event.event_specific_data  # type: ignore[union-attr]
    assert isinstance(evaluation, dg.AssetCheckEvaluation)
    assert evaluation.severity is dg.AssetCheckSeverity.WARN
    return evaluation.passed, evaluation.description or ""


def test_the_day_of_the_list_is_not_the_list(new_runtime: New, sma: ScriptedSma) -> None:
    refresh(new_runtime())
    later = new_runtime()
    later.now = lambda: NOW + dt.timedelta(days=1)
    revoke(sma, "12")
    refresh(later)
    assert find_concern(later) is not None
    later.now = lambda: NOW + dt.timedelta(days=60)
    assert find_concern(later) is None
