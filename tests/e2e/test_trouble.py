"""What goes wrong at SMA or beside us costs what it must and nothing more, and is always told.

A fleet has each trouble at a plant of its own, all on the same days: so no trouble may show at another plant.
"""

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
from pipeline.run.notices import Notices
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
    Table,
)
from tests.noticed import noticed
from tests.scripted import ScriptedSma, rows
from tests.scripted_home import Stage, make_settings, take_stage
from tests.whole_days import MONDAY, TUESDAY, build, energy, fetch, refresh
from warehouse.lake import Lake

New = Callable[..., RunContext]
Rule = tuple[Callable[[Request], bool], bytes | SmaError]
NEXT_MONDAY = MONDAY + dt.timedelta(days=7)
REFUSED = PermanentError("GET /v1/x answered 404: check the id.", path="/v1/x", status=404)
# Whose answers can't be read the second time, and what they are.
UNREADABLE = {
    "21": b'{"set":[{"time":"2021-10-04T00:05:00","pvGeneration":1.0},{"time":',
    "22": b'[{"time":"2021-10-04T00:05:00","pvGeneration":1.0}]',
    "23": b"<html>busy</html>",
}
USUAL, FIRST_UNREADABLE, LOGLESS, UNNAMED, FAILING, SILENT = "11", "12", "13", "14", "15", "16"
REPLACED, ENDED, METERED, UNEQUAL, ONLY_INVERTERS, DARK, SPIKE = "31", "32", "33", "34", "35", "36", "37"
FLEET = [
    USUAL, FIRST_UNREADABLE, LOGLESS, UNNAMED, FAILING, SILENT, *UNREADABLE,
    REPLACED, ENDED, METERED, UNEQUAL, ONLY_INVERTERS, DARK, SPIKE,
]  # fmt: skip
MODELS: list[type[Table]] = [CoverageDaily, DeviceEnergyDaily, EnergyDaily, MeasurementSets, Quarantine]
GONE = {"isActive": False, "deactivatedAt": "2021-10-04T13:00:00"}


def balance_of(plant: str) -> Callable[[Request], bool]:
    return lambda r: r.endpoint == "measurements" and r.plant_id == plant and not r.device_id


def measured_by(device: str) -> Callable[[Request], bool]:
    return lambda r: r.endpoint == "measurements" and r.device_id == device


def sets_of(plant: str, *, devices: bool) -> Callable[[Request], bool]:
    return lambda r: r.endpoint == "sets" and r.plant_id == plant and (devices or not r.device_id)


def on_monday(rule: Callable[[Request], bool]) -> Callable[[Request], bool]:
    return lambda r: rule(r) and r.date == str(MONDAY)


def answer_by(*rules: Rule) -> Callable[[Request], bytes | SmaError | None]:
    """What the first rule that fits says."""
    return lambda request: next((said for fits, said in rules if fits(request)), None)


def two_inverters(plant: str, second: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"deviceId": f"{plant}1", "isActive": True},
        {"deviceId": f"{plant}2", "isActive": True, **second},
    ]


def compose(day: list[dict[str, Any]]) -> bytes:
    return json.dumps({"resolution": "FiveMinutes", "set": day}).encode()


def script_first(sma: ScriptedSma) -> None:
    """The fleet, and what goes wrong the first time."""
    sma.lists = list(FLEET)
    sma.devices |= {plant: two_inverters(plant, {}) for plant in (FAILING, ENDED, METERED, UNEQUAL)}
    sma.devices[REPLACED] = two_inverters(REPLACED, GONE)
    sma.watts[DARK, str(MONDAY)] = 0.0
    metered = compose([{**row, "gridFeedIn": 600.0} for row in rows(str(MONDAY), 1000.0)])
    spike = [{**row, "totalGeneration": row["pvGeneration"]} for row in rows(str(MONDAY), 1000.0)]
    spike[100] |= {"pvGeneration": 2e6, "totalGeneration": 2e6}
    sma.special = answer_by(
        (on_monday(balance_of(FIRST_UNREADABLE)), b"<html>busy</html>"),
        (measured_by(f"{FAILING}2"), REFUSED),
        (measured_by(f"{ENDED}2"), b'{"set":[]}'),
        (
            lambda r: r.endpoint == "sets" and r.plant_id == METERED and bool(r.device_id),
            b'{"sets":["EnergyAndPowerPv","EnergyAndPowerInOut"]}',
        ),
        (on_monday(lambda r: r.endpoint == "measurements" and r.plant_id == METERED), metered),
        (sets_of(ONLY_INVERTERS, devices=False), b'{"sets":[]}'),
        (on_monday(balance_of(SPIKE)), compose(spike)),
    )


def script_second(sma: ScriptedSma) -> None:
    """What goes wrong when Monday is read again; other troubles last."""
    last = sma.special
    sma.devices[ENDED] = two_inverters(ENDED, GONE)
    sma.watts |= {(DARK, str(MONDAY)): 900.0, (UNNAMED, str(MONDAY)): 500.0}
    now = answer_by(
        *((balance_of(plant), body) for plant, body in UNREADABLE.items()),
        (lambda r: r.endpoint == "logs" and r.plant_id == LOGLESS, REFUSED),
        (sets_of(UNNAMED, devices=True), b'{"sets":[]}'),
        (measured_by(f"{SILENT}1"), b'{"set":[]}'),
    )
    sma.special = lambda request: said if (said := now(request)) is not None else last(request)


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Stage, Stage]:
    """Two days of the fleet; and the first of them read again, and both made again."""
    settings, sma = make_settings(tmp_path_factory.mktemp("trouble")), ScriptedSma()

    def begin(runtime: RunContext) -> Notices:
        days = (MONDAY, TUESDAY)
        return noticed([refresh(runtime), *(step(runtime, day) for day in days for step in (fetch, build))])

    def go_on(runtime: RunContext) -> Notices:
        # Nobody waits for the plant of which nothing but inverters can be asked for.
        waited_for = set(find_incomplete_days(runtime, MONDAY, MONDAY)["plant_id"])
        assert FIRST_UNREADABLE in waited_for
        assert ONLY_INVERTERS not in waited_for
        return noticed(
            [refresh(runtime), fetch(runtime, MONDAY), build(runtime, MONDAY), build(runtime, TUESDAY)]
        )

    script_first(sma)
    first = take_stage(settings, sma, MODELS, begin)
    script_second(sma)
    return first, take_stage(settings, sma, MODELS, go_on)


@pytest.fixture(scope="module")
def first(stages: tuple[Stage, Stage]) -> Stage:
    return stages[0]


@pytest.fixture(scope="module")
def second(stages: tuple[Stage, Stage]) -> Stage:
    return stages[1]


def daily_of(stage: Stage, plant: str) -> dict[str, Any]:
    (found,) = stage.rows(EnergyDaily, plant, MONDAY).rows(named=True)
    return found


def told_of(stage: Stage, plant: str) -> dict[tuple[str, str], tuple[float, str]]:
    """Value and detail of what is told of a plant's Monday, by source and reason."""
    told = stage.rows(Quarantine, plant, MONDAY).filter(pl.col("scope") == "day")
    assert told["kept"].all()
    return {(s, r): (v, d) for s, r, v, d in told.select("source", "reason", "value", "detail").rows()}


def devices_of(stage: Stage, plant: str) -> list[tuple[Any, ...]]:
    return stage.rows(DeviceEnergyDaily, plant, MONDAY).select("device_id", "status").rows()


@pytest.mark.long
def test_a_plant_beside_all_of_them_has_its_days_and_nothing_is_told_of_it(
    first: Stage, second: Stage
) -> None:
    for stage in (first, second):
        assert stage.rows(EnergyDaily, USUAL)["status"].to_list() == ["complete", "complete"]
        assert stage.rows(EnergyDaily, USUAL)["pv_generation_kwh"].to_list() == pytest.approx([24.0, 24.0])
        assert (told_of(stage, USUAL), stage.missing(USUAL)) == ({}, set())
    assert {m.plant_id for m in first.notices.missing} == {FIRST_UNREADABLE, FAILING}
    assert {m.plant_id for m in second.notices.missing} == {
        FIRST_UNREADABLE, FAILING, LOGLESS, UNNAMED, SILENT, *UNREADABLE
    }  # fmt: skip


@pytest.mark.parametrize("plant", UNREADABLE)
def test_an_answer_that_cannot_be_read_keeps_the_stored_day_and_is_listed(second: Stage, plant: str) -> None:
    assert daily_of(second, plant)["pv_generation_kwh"] == pytest.approx(24.0)
    assert second.missing(plant) == {"raw_energy_balance"}


def test_a_first_answer_that_cannot_be_read_is_a_missing_day(first: Stage) -> None:
    assert first.rows(EnergyDaily, FIRST_UNREADABLE)["status"].to_list() == ["missing", "complete"]
    assert len([item for item in first.notices.missing if item.plant_id == FIRST_UNREADABLE]) == 1


@pytest.mark.long
def test_a_day_that_sma_refuses_is_missing_and_the_others_are_done(
    new_runtime: New, sma: ScriptedSma
) -> None:
    sma.special = answer_by((lambda r: r.period == "Week" or r.date == "2021-10-05", REFUSED))
    with new_runtime() as runtime, record_runs(runtime) as runs:
        runs.refresh_lists()
        runs.fetch_days(MONDAY, TUESDAY + dt.timedelta(days=1))
        runs.publish()
        found = runtime.lake.scan(EnergyDaily).select("local_date", "status").unique().sort("local_date")
        assert [status for _, status in found.collect().rows()] == ["complete", "missing", "complete"]
        assert {m.day for m in runs.notices.missing} == {"2021-10-05"}
        assert runtime.settings.warehouse.is_file()


def test_logs_that_a_client_may_not_read_stop_nothing(second: Stage) -> None:
    assert daily_of(second, LOGLESS)["pv_generation_kwh"] == pytest.approx(24.0)
    assert second.missing(LOGLESS) == {"raw_logs"}


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


def test_a_set_that_is_named_no_more_is_still_asked_for_and_told(second: Stage) -> None:
    assert second.rows(MeasurementSets, UNNAMED).height > 0
    assert second.rows(MeasurementSets, USUAL).height > 0
    # What it generates now, which is not what was stored.
    assert daily_of(second, UNNAMED)["pv_generation_kwh"] == pytest.approx(12.0)
    assert second.missing(UNNAMED)


def test_a_failing_inverter_leaves_its_sibling_alone_and_is_listed(first: Stage) -> None:
    assert devices_of(first, FAILING) == [(f"{FAILING}1", "complete"), (f"{FAILING}2", "missing")]
    aside = first.rows(Quarantine, FAILING, MONDAY).select("device_id", "reason")
    assert (f"{FAILING}2", "request_failed") in aside.rows()


def test_an_empty_answer_of_an_inverter_makes_no_inverter_without_a_name(second: Stage) -> None:
    assert devices_of(second, SILENT) == [(f"{SILENT}1", "complete")]
    assert set(second.frames[DeviceEnergyDaily]["device_id"].str.slice(0, 2)) == set(FLEET)


def test_a_replaced_inverter_is_asked_for_the_days_that_it_worked(first: Stage, second: Stage) -> None:
    found = first.rows(DeviceEnergyDaily, REPLACED)
    worked = {(row["local_date"].day, row["device_id"]) for row in found.iter_rows(named=True)}
    assert worked == {(4, f"{REPLACED}1"), (4, f"{REPLACED}2"), (5, f"{REPLACED}1")}
    of_sets = [r.device_id for r in second.asked if r.endpoint == "sets" and r.plant_id == REPLACED]
    assert sorted(of_sets) == ["", f"{REPLACED}1"]


def test_a_device_that_is_found_to_have_ended_is_missing_no_more(first: Stage, second: Stage) -> None:
    def statuses(stage: Stage) -> list[tuple[Any, ...]]:
        found = stage.rows(DeviceEnergyDaily, ENDED).filter(device_id=f"{ENDED}2").sort("local_date")
        return found.select(pl.col("local_date").dt.day(), "status", "expected_h").rows()

    assert [status for _, status, _ in statuses(first)] == ["missing", "missing"]
    ((day, status, expected),) = statuses(second)
    assert (day, status) == (4, "missing")
    assert 7 < expected < 8  # from sunrise to its end at 13 o'clock


def test_a_meter_that_several_devices_show_is_counted_once(first: Stage) -> None:
    assert daily_of(first, METERED)["grid_feed_in_kwh"] == pytest.approx(0.6 * 24)
    covered = first.rows(CoverageDaily, METERED, MONDAY)
    assert covered.select("quantity", "energy_kwh", "status").rows() == [
        ("grid_consumption", None, "missing"),
        ("grid_feed_in", pytest.approx(14.4), "complete"),
        ("pv_generation", pytest.approx(24.0), "complete"),
        ("total_consumption", None, "missing"),
    ]


def test_inverters_that_do_not_make_up_their_plant_are_told_and_nothing_is_lost(first: Stage) -> None:
    told = told_of(first, UNEQUAL)
    assert {key: value for key, (value, _) in told.items()} == {
        ("device_energy_daily", "inverters_sum"): pytest.approx(24.0)
    }
    assert daily_of(first, UNEQUAL)["pv_generation_kwh"] == pytest.approx(24.0)


def test_a_plant_without_energy_of_its_own_has_a_row_beside_its_inverters(
    first: Stage, second: Stage
) -> None:
    """Its own list of sets is empty, so nothing but its inverters can be asked for."""
    assert [request for request in first.asked if balance_of(ONLY_INVERTERS)(request)] == []
    row = daily_of(first, ONLY_INVERTERS)
    assert (row["status"], row["n_rows"], row["pv_generation_kwh"], row["coverage"]) == (
        "missing",
        0,
        None,
        0.0,
    )
    assert row["expected_h"] > 11
    assert told_of(first, ONLY_INVERTERS) == {
        ("device_energy_daily", "inverters_sum"): (pytest.approx(24.0), "inverters 24.0 kWh, plant no kWh")
    }
    # Rebuilt it is the same.
    assert daily_of(second, ONLY_INVERTERS) == row


def test_a_bright_day_without_any_generation_is_told_of_plant_and_inverter(
    first: Stage, second: Stage
) -> None:
    row = daily_of(first, DARK)
    assert (row["status"], row["pv_generation_kwh"]) == ("complete", 0.0)
    told = told_of(first, DARK)
    assert {source for source, reason in told if reason == "no_generation"} == {
        "energy_daily",
        "device_energy_daily",
    }
    # By pvlib's sun it is higher than 10 degrees for 645 minutes.
    minutes = int(told["energy_daily", "no_generation"][1].split()[0])
    assert minutes == pytest.approx(645, abs=5)
    # What generated after all is told no more.
    assert told_of(second, DARK) == {}


def test_a_spike_is_left_out_of_all_that_comes_from_it_and_the_day_is_not_complete(first: Stage) -> None:
    found = daily_of(first, SPIKE)
    assert found["pv_generation_kwh"] == pytest.approx(24.0 - 1 / 12)
    assert found["total_generation_kwh"] == pytest.approx(24.0 - 1 / 12)
    assert (found["n_flagged"], found["status"]) == (1, "partial")
    assert found["coverage"] < 1
    # Of no other plant is a value set aside.
    aside = first.frames[Quarantine].filter(pl.col("scope") == "value").sort("field")
    assert aside.select("plant_id", "field", "reason").rows() == [
        (SPIKE, "pvGeneration", "beyond_rated"),
        (SPIKE, "totalGeneration", "beyond_rated"),
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
