"""What goes wrong at SMA or beside us costs what it must and nothing more, and is always told."""

import datetime as dt
import json
from collections.abc import Callable, Iterator
from typing import Any

import polars as pl
import pytest

from assets.runs import record_runs
from pipeline.common.errors import PermanentError, SmaError
from pipeline.run.context import RunContext
from pipeline.run.measurement_sets import BALANCE
from pipeline.sma.requests import Request
from pipeline.tables.incomplete_days import find_incomplete_days
from pipeline.tables.interval_tables import write_intervals
from schemas import (
    CoverageDaily,
    DeviceEnergyDaily,
    EnergyBalanceIntervals,
    EnergyDaily,
    MeasurementSets,
    Quarantine,
    RawEnergyBalance,
)
from tests.e2e.test_days import MONDAY, TUESDAY, build, energy, fetch, refresh, run, run_noticed
from tests.scripted import ScriptedSma, rows
from warehouse.lake import Lake

New = Callable[..., RunContext]
NEXT_MONDAY = MONDAY + dt.timedelta(days=7)
REFUSED = PermanentError("GET /v1/x answered 404: check the id.", path="/v1/x", status=404)


def balance_of(plant: str) -> Callable[[Request], bool]:
    return lambda r: r.endpoint == "measurements" and r.plant_id == plant and not r.device_id


def saying(
    answer: bytes | SmaError, to: Callable[[Request], bool]
) -> Callable[[Request], bytes | SmaError | None]:
    return lambda request: answer if to(request) else None


@pytest.mark.parametrize(
    "body",
    [
        b'{"set":[{"time":"2021-10-04T00:05:00","pvGeneration":1.0},{"time":',
        b'[{"time":"2021-10-04T00:05:00","pvGeneration":1.0}]',
        b"<html>busy</html>",
    ],
)
def test_an_answer_that_cannot_be_read_keeps_the_stored_day_and_is_listed(
    new_runtime: New, sma: ScriptedSma, body: bytes
) -> None:
    run(new_runtime(), MONDAY)
    sma.special = saying(body, balance_of("12"))
    runtime = new_runtime()
    notices = fetch(runtime, MONDAY)
    build(runtime, MONDAY)
    assert energy(runtime)["12", 4] == pytest.approx(24.0)
    assert {(m.plant_id, m.table) for m in notices.missing} == {("12", "raw_energy_balance")}


def test_a_first_answer_that_cannot_be_read_is_a_missing_day(new_runtime: New, sma: ScriptedSma) -> None:
    sma.special = saying(b"<html>busy</html>", balance_of("12"))
    runtime = new_runtime()
    notices = run_noticed(runtime, MONDAY)
    status = runtime.lake.scan(EnergyDaily).select("plant_id", "status").collect()
    assert status.rows() == [("11", "complete"), ("12", "missing")]
    assert len(notices.missing) == 1


@pytest.mark.long
def test_a_day_that_sma_refuses_is_missing_and_the_others_are_done(
    new_runtime: New, sma: ScriptedSma
) -> None:
    sma.special = saying(REFUSED, lambda r: r.period == "Week" or r.date == "2021-10-05")
    with new_runtime() as runtime, record_runs(runtime) as runs:
        runs.refresh_lists()
        runs.fetch_days(MONDAY, TUESDAY + dt.timedelta(days=1))
        runs.publish()
        found = runtime.lake.scan(EnergyDaily).select("local_date", "status").unique().sort("local_date")
        assert [status for _, status in found.collect().rows()] == ["complete", "missing", "complete"]
        assert {m.day for m in runs.notices.missing} == {"2021-10-05"}
        assert runtime.settings.warehouse.is_file()


def test_logs_that_a_client_may_not_read_stop_nothing(new_runtime: New, sma: ScriptedSma) -> None:
    sma.special = saying(REFUSED, lambda r: r.endpoint == "logs")
    runtime = new_runtime()
    notices = run_noticed(runtime, MONDAY)
    assert energy(runtime)["11", 4] == pytest.approx(24.0)
    assert {m.table for m in notices.missing} == {"raw_logs"}


@pytest.mark.long
def test_what_was_fetched_before_an_outage_becomes_energy(new_runtime: New, sma: ScriptedSma) -> None:
    def outage(request: Request) -> None:
        if request.date == str(NEXT_MONDAY):
            sma.broken |= {"11", "12"}

    sma.special = outage  # type: ignore[assignment]
    with new_runtime() as runtime, record_runs(runtime) as runs:
        runs.refresh_lists()
        with pytest.raises(Exception, match="None of the 2 requests was answered"):
            runs.fetch_days(MONDAY, NEXT_MONDAY)
        assert energy(runtime)["11", 10] == pytest.approx(24.0)


def test_a_set_that_is_named_no_more_is_still_asked_for_and_told(new_runtime: New, sma: ScriptedSma) -> None:
    refresh(new_runtime())
    sma.special = saying(b'{"sets":[]}', lambda r: r.endpoint == "sets" and r.plant_id == "12")
    runtime = new_runtime()
    notices = run_noticed(runtime, MONDAY)
    assert set(runtime.lake.scan(MeasurementSets).collect()["plant_id"]) == {"11", "12"}
    assert energy(runtime)["12", 4] == pytest.approx(24.0)
    assert {m.plant_id for m in notices.missing} == {"12"}


def two_inverters(second: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"deviceId": "111", "isActive": True}, {"deviceId": "112", "isActive": True, **second}]


def test_a_failing_inverter_leaves_its_sibling_alone_and_is_listed(
    new_runtime: New, sma: ScriptedSma
) -> None:
    sma.devices["11"] = two_inverters({})
    sma.special = saying(REFUSED, lambda r: r.device_id == "112" and r.endpoint == "measurements")
    runtime = run(new_runtime(), MONDAY)
    found = runtime.lake.scan(DeviceEnergyDaily).filter(pl.col("plant_id") == "11").collect()
    assert found.select("device_id", "status").rows() == [("111", "complete"), ("112", "missing")]
    aside = runtime.lake.scan(Quarantine).select("device_id", "reason").collect()
    assert ("112", "request_failed") in aside.rows()


def test_an_empty_answer_of_an_inverter_makes_no_inverter_without_a_name(
    new_runtime: New, sma: ScriptedSma
) -> None:
    run(new_runtime(), MONDAY)
    sma.special = saying(b'{"set":[]}', lambda r: r.device_id == "111" and r.endpoint == "measurements")
    runtime = run(new_runtime(), MONDAY)
    found = runtime.lake.scan(DeviceEnergyDaily).filter(pl.col("plant_id") == "11").collect()
    assert found.select("device_id", "status").rows() == [("111", "complete")]


def test_a_replaced_inverter_is_asked_for_the_days_that_it_worked(new_runtime: New, sma: ScriptedSma) -> None:
    sma.devices["11"] = two_inverters({"isActive": False, "deactivatedAt": "2021-10-04T13:00:00"})
    runtime = run(new_runtime(), MONDAY, TUESDAY)
    found = runtime.lake.scan(DeviceEnergyDaily).filter(pl.col("plant_id") == "11").collect()
    worked = {(row["local_date"].day, row["device_id"]) for row in found.iter_rows(named=True)}
    assert worked == {(4, "111"), (4, "112"), (5, "111")}
    sma.asked.clear()
    refresh(new_runtime())
    assert not [r for r in sma.asked if r.endpoint == "sets" and r.device_id == "112"]


def test_a_device_that_is_found_to_have_ended_is_missing_no_more(new_runtime: New, sma: ScriptedSma) -> None:
    sma.devices["11"] = two_inverters({})
    sma.special = saying(b'{"set":[]}', lambda r: r.device_id == "112" and r.endpoint == "measurements")
    runtime = run(new_runtime(), MONDAY, TUESDAY)

    def statuses() -> list[tuple[Any, ...]]:
        found = runtime.lake.scan(DeviceEnergyDaily).filter(pl.col("device_id") == "112").collect()
        return found.select(pl.col("local_date").dt.day(), "status", "expected_h").sort("local_date").rows()

    assert [status for _, status, _ in statuses()] == ["missing", "missing"]
    sma.devices["11"] = two_inverters({"isActive": False, "deactivatedAt": "2021-10-04T13:00:00"})
    refresh(runtime)
    build(runtime, MONDAY)
    build(runtime, TUESDAY)
    ((day, status, expected),) = statuses()
    assert (day, status) == (4, "missing")
    assert 7 < expected < 8  # from sunrise to its end at 13 o'clock


def test_a_meter_that_several_devices_show_is_counted_once(new_runtime: New, sma: ScriptedSma) -> None:
    metered = [{**row, "gridFeedIn": 600.0} for row in rows("2021-10-04", 1000.0)]
    body = json.dumps({"resolution": "FiveMinutes", "set": metered}).encode()
    sets = b'{"sets":["EnergyAndPowerPv","EnergyAndPowerInOut"]}'
    sma.devices["11"] = two_inverters({})
    sma.special = lambda r: (
        sets
        if r.endpoint == "sets" and r.device_id
        else body
        if r.endpoint == "measurements" and r.plant_id == "11"
        else None
    )
    runtime = run(new_runtime(), MONDAY)
    (found,) = runtime.lake.scan(EnergyDaily).filter(pl.col("plant_id") == "11").collect().rows(named=True)
    assert found["grid_feed_in_kwh"] == pytest.approx(0.6 * 24)
    covered = runtime.lake.scan(CoverageDaily).filter(pl.col("plant_id") == "11").collect()
    assert covered.select("quantity", "energy_kwh", "status").rows() == [
        ("grid_consumption", None, "missing"),
        ("grid_feed_in", pytest.approx(14.4), "complete"),
        ("pv_generation", pytest.approx(24.0), "complete"),
        ("total_consumption", None, "missing"),
    ]


def test_inverters_that_do_not_make_up_their_plant_are_told_and_nothing_is_lost(
    new_runtime: New, sma: ScriptedSma
) -> None:
    sma.devices["11"] = two_inverters({})
    runtime = run(new_runtime(), MONDAY)
    told = runtime.lake.scan(Quarantine).filter(pl.col("scope") == "day").collect()
    assert told.select("plant_id", "reason", "kept", "value").rows() == [
        ("11", "inverters_sum", True, pytest.approx(24.0))
    ]
    assert energy(runtime)["11", 4] == pytest.approx(24.0)


def daily_of(runtime: RunContext, plant: str) -> dict[str, Any]:
    (found,) = runtime.lake.scan(EnergyDaily).filter(pl.col("plant_id") == plant).collect().rows(named=True)
    return found


def told_of(runtime: RunContext, plant: str) -> dict[tuple[str, str], tuple[float, str]]:
    """Value and detail of what is told of a plant's day, by source and reason."""
    told = (
        runtime.lake.scan(Quarantine).filter(pl.col("scope") == "day", pl.col("plant_id") == plant).collect()
    )
    assert told["kept"].all()
    return {(s, r): (v, d) for s, r, v, d in told.select("source", "reason", "value", "detail").rows()}


def test_a_plant_without_energy_of_its_own_has_a_row_beside_its_inverters(
    new_runtime: New, sma: ScriptedSma
) -> None:
    """Its own list of sets is empty, so nothing but its inverters can be asked for."""
    sma.special = lambda r: (
        b'{"sets":[]}' if r.endpoint == "sets" and r.plant_id == "12" and not r.device_id else None
    )
    runtime = run(new_runtime(), MONDAY)
    assert {request.plant_id for request in sma.asked if balance_of("12")(request)} == set()
    row = daily_of(runtime, "12")
    assert (row["status"], row["n_rows"], row["pv_generation_kwh"], row["coverage"]) == (
        "missing",
        0,
        None,
        0.0,
    )
    assert row["expected_h"] > 11
    assert told_of(runtime, "12") == {
        ("device_energy_daily", "inverters_sum"): (pytest.approx(24.0), "inverters 24.0 kWh, plant no kWh")
    }
    # rebuilt it is the same; and nobody waits for it to be asked for.
    build(runtime, MONDAY)
    assert daily_of(runtime, "12") == row
    assert "12" not in find_incomplete_days(runtime, MONDAY, MONDAY)["plant_id"]


def test_a_bright_day_without_any_generation_is_told_of_plant_and_inverter(
    new_runtime: New, sma: ScriptedSma
) -> None:
    sma.watts["11", "2021-10-04"] = 0.0
    runtime = run(new_runtime(), MONDAY)
    assert (daily_of(runtime, "11")["status"], daily_of(runtime, "11")["pv_generation_kwh"]) == (
        "complete",
        0.0,
    )
    told = told_of(runtime, "11")
    assert {source for source, reason in told if reason == "no_generation"} == {
        "energy_daily",
        "device_energy_daily",
    }
    assert told_of(runtime, "12") == {}
    # By pvlib's sun it is higher than 10 degrees for 645 minutes.
    minutes = int(told["energy_daily", "no_generation"][1].split()[0])
    assert minutes == pytest.approx(645, abs=5)
    # What generated after all is told no more.
    sma.watts["11", "2021-10-04"] = 900.0
    assert told_of(run(new_runtime(), MONDAY), "11") == {}


def test_a_spike_is_left_out_of_all_that_comes_from_it_and_the_day_is_not_complete(
    new_runtime: New, sma: ScriptedSma
) -> None:
    day = [{**row, "totalGeneration": row["pvGeneration"]} for row in rows("2021-10-04", 1000.0)]
    day[100] |= {"pvGeneration": 2e6, "totalGeneration": 2e6}
    body = json.dumps({"resolution": "FiveMinutes", "set": day}).encode()
    sma.special = saying(body, balance_of("11"))
    runtime = run(new_runtime(), MONDAY)
    (found,) = runtime.lake.scan(EnergyDaily).filter(pl.col("plant_id") == "11").collect().rows(named=True)
    assert found["pv_generation_kwh"] == pytest.approx(24.0 - 1 / 12)
    assert found["total_generation_kwh"] == pytest.approx(24.0 - 1 / 12)
    assert (found["n_flagged"], found["status"]) == (1, "partial")
    assert found["coverage"] < 1
    aside = runtime.lake.scan(Quarantine).filter(pl.col("scope") == "value").collect()
    assert aside.select("field", "reason").sort("field").rows() == [
        ("pvGeneration", "beyond_rated"),
        ("totalGeneration", "beyond_rated"),
    ]


def test_two_runs_on_one_day_lose_nothing_of_each_other(
    new_runtime: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One run has read the raw day when another adds its plant; then the first one commits what it made."""
    refresh(new_runtime())
    first = new_runtime("11")
    fetch(first, MONDAY)
    read, raced = Lake.read_batches, []

    def slow(lake: Lake, model: Any, *arguments: Any, **options: Any) -> Iterator[pl.DataFrame]:
        frames = list(read(lake, model, *arguments, **options))
        if model is RawEnergyBalance and not raced:
            raced.append(True)
            second = new_runtime("12")
            fetch(second, MONDAY)
            build(second, MONDAY)
        return iter(frames)

    monkeypatch.setattr(Lake, "read_batches", slow)
    write_intervals(first, BALANCE, MONDAY)
    stored = first.lake.scan(EnergyBalanceIntervals).select("plant_id").unique().sort("plant_id").collect()
    assert raced
    assert stored["plant_id"].to_list() == ["11", "12"]
