"""Whole days through all steps: what is stored, what a second reading changes, what a failure leaves."""

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

import polars as pl
import pytest

from bench.lists import refresh_lists
from pipeline.common.errors import SunledgerError, TransientError, UsageError
from pipeline.extract.fetch import SetFetch, fetch_devices, fetch_plants
from pipeline.run.context import RunContext
from pipeline.run.measurement_sets import BALANCE, PV
from pipeline.run.notices import Notices
from pipeline.run.plants import list_known_places
from pipeline.sma.requests import Request
from pipeline.tables.incomplete_days import count_days_of_other_basis
from pipeline.tables.inventory_tables import write_plants
from pipeline.transform.plant_power import list_former_powers
from schemas import (
    DeviceEnergyDaily,
    EnergyBalanceIntervals,
    EnergyDaily,
    EnergyMonthly,
    Plants,
    PvIntervals,
    Quarantine,
    RawEnergyBalance,
    RawPv,
    Table,
    storage,
)
from tests.noticed import noticed
from tests.scripted import NOW, ScriptedSma
from tests.scripted_home import Stage, make_runtime, make_settings, take_stage
from tests.whole_days import MONDAY, TUESDAY, New, build, energy, fetch, read_again, refresh, run

DAY_TABLES: list[type[Table]] = [
    RawEnergyBalance,
    RawPv,
    EnergyBalanceIntervals,
    PvIntervals,
    EnergyDaily,
    DeviceEnergyDaily,
    Quarantine,
]


def versions(runtime: RunContext) -> dict[str, int]:
    return {storage(model).table: runtime.lake.take_snapshot(model).version for model in DAY_TABLES}


def test_a_day_becomes_energy(new_runtime: New) -> None:
    runtime = run(new_runtime(), MONDAY)
    assert energy(runtime) == {("11", 4): pytest.approx(24.0), ("12", 4): pytest.approx(24.0)}
    (row,) = runtime.lake.scan(EnergyDaily).filter(pl.col("plant_id") == "11").collect().rows(named=True)
    assert (row["status"], row["n_rows"], row["n_flagged"]) == ("complete", 288, 0)
    assert row["pv_generation_covered_h"] == 24.0
    assert row["total_consumption_kwh"] is None
    devices = runtime.lake.scan(DeviceEnergyDaily).collect()
    assert devices.select("plant_id", "device_id").rows() == [("11", "111"), ("12", "121")]


# A fleet in which each plant has a fate of its own; all of it is fetched three times.
USUAL, CHANGED, EMPTY, FAILING, SILENT, NEVER, CHOSEN = "11", "12", "13", "14", "15", "16", "17"
FLEET = [USUAL, CHANGED, EMPTY, FAILING, SILENT, NEVER, CHOSEN]
FIRST, EQUAL, OTHER, ALONE = "first", "equal", "other", "alone"
MONDAY_OF = {"local_date": MONDAY}


@dataclass
class Fates:
    """By the reading: what was left, the versions of tables, and the files of Monday."""

    stages: dict[str, Stage] = field(default_factory=dict)
    versions: dict[str, dict[str, int]] = field(default_factory=dict)
    monday: dict[str, dict[type[Table], Any]] = field(default_factory=dict)

    def kwh(self, reading: str, plant: str) -> list[float | None]:
        """PV generation of the plant's days."""
        return self.stages[reading].rows(EnergyDaily, plant).sort("local_date")["pv_generation_kwh"].to_list()


@pytest.fixture(scope="module")
def fates(tmp_path_factory: pytest.TempPathFactory) -> Fates:
    """Two days that are read; read again with the same answers, with others, and once more for one plant alone."""
    found, settings, sma = Fates(), make_settings(tmp_path_factory.mktemp("fates")), ScriptedSma()
    models: list[type[Table]] = [EnergyDaily, EnergyMonthly, Quarantine]

    def read(name: str, *days: dt.date, plants: tuple[str, ...] = ()) -> None:
        def work(runtime: RunContext) -> Notices:
            notices = noticed(step(runtime, day) for day in days for step in (fetch, build))
            found.versions[name] = versions(runtime)
            found.monday[name] = {m: runtime.lake.take_snapshot(m, MONDAY_OF).files for m in DAY_TABLES}
            return notices

        found.stages[name] = take_stage(settings, sma, models, work, *plants)

    sma.lists = list(FLEET)
    refresh(make_runtime(settings, sma))
    sma.broken = {NEVER}
    sma.watts |= {(SILENT, str(day)): None for day in (MONDAY, TUESDAY)}
    read(FIRST, TUESDAY, MONDAY)
    read(EQUAL, MONDAY, TUESDAY)
    busy = TransientError("GET /v1/x answered 503 six times: try again later.", status=503)
    sma.special = lambda r: busy if (r.plant_id, r.date) == (FAILING, str(TUESDAY)) else None
    sma.watts |= {(CHANGED, str(TUESDAY)): 500.0, (EMPTY, str(TUESDAY)): None}
    read(OTHER, MONDAY, TUESDAY)
    sma.watts |= {(plant, str(MONDAY)): 2000.0 for plant in FLEET}
    read(ALONE, MONDAY, plants=(CHOSEN,))
    return found


def test_the_same_answers_commit_nothing(fates: Fates) -> None:
    assert fates.versions[EQUAL] == fates.versions[FIRST]


def test_a_changed_answer_replaces_its_day_alone(fates: Fates) -> None:
    assert fates.kwh(FIRST, CHANGED) == pytest.approx([24.0, 24.0])
    assert fates.kwh(OTHER, CHANGED) == pytest.approx([24.0, 12.0])
    assert fates.monday[OTHER] == fates.monday[FIRST]


def test_a_silent_plant_is_missing_and_not_zero(fates: Fates) -> None:
    (row,) = fates.stages[FIRST].rows(EnergyDaily, SILENT, MONDAY).rows(named=True)
    assert (row["status"], row["pv_generation_kwh"], row["covered_h"]) == ("missing", None, 0.0)
    assert row["expected_h"] > 11


def test_an_empty_answer_never_erases_a_stored_day(fates: Fates) -> None:
    assert fates.kwh(OTHER, EMPTY) == pytest.approx([24.0, 24.0])
    assert fates.stages[OTHER].missing(EMPTY, TUESDAY) == {"raw_energy_balance", "raw_pv"}
    assert fates.stages[OTHER].missing(EMPTY, MONDAY) == set()


def test_a_failing_plant_keeps_its_last_good_day_and_is_listed(fates: Fates) -> None:
    other = fates.stages[OTHER]
    assert fates.kwh(OTHER, FAILING) == pytest.approx([24.0, 24.0])
    assert {m.plant_id for m in fates.stages[FIRST].notices.missing} == {NEVER}
    assert {m.plant_id for m in other.notices.missing} == {NEVER, FAILING, EMPTY}
    reasons = other.rows(Quarantine, FAILING).select("source", "scope", "reason")
    assert ("raw_energy_balance", "answer", "request_failed") in reasons.rows()


def test_a_plant_that_never_answered_is_a_missing_day(fates: Fates) -> None:
    for reading in (FIRST, EQUAL, OTHER):
        assert fates.stages[reading].rows(EnergyDaily, NEVER)["status"].to_list() == ["missing"] * 2
        assert fates.stages[reading].rows(EnergyDaily, USUAL)["status"].to_list() == ["complete"] * 2


def test_a_run_of_one_plant_leaves_the_others_alone(fates: Fates) -> None:
    assert {request.plant_id for request in fates.stages[ALONE].asked} == {CHOSEN}
    assert fates.kwh(ALONE, CHOSEN) == pytest.approx([48.0, 24.0])
    for plant in set(FLEET) - {CHOSEN}:
        assert fates.kwh(ALONE, plant) == fates.kwh(OTHER, plant)


def test_months_are_the_sums_of_their_days(fates: Fates) -> None:
    """Whichever day is read first."""
    for reading, kwh in ((FIRST, 48.0), (OTHER, 36.0)):
        (row,) = fates.stages[reading].rows(EnergyMonthly, CHANGED).rows(named=True)
        assert (row["month"], row["n_days"], row["status"]) == (dt.date(2021, 10, 1), 2, "partial")
        assert row["pv_generation_kwh"] == pytest.approx(kwh)
        assert row["pv_generation_covered_h"] == pytest.approx(48.0)


def test_a_rebuild_from_raw_calls_no_api(new_runtime: New, sma: ScriptedSma) -> None:
    expected = energy(run(new_runtime(), MONDAY))
    runtime = new_runtime()
    for model in (EnergyBalanceIntervals, PvIntervals, EnergyDaily):
        runtime.lake.replace(model, {"local_date": MONDAY}, [], empty=True)
    sma.asked.clear()
    build(runtime, MONDAY)
    assert energy(runtime) == expected
    assert sma.asked == []


@pytest.mark.long
def test_days_keep_their_energy_when_less_power_is_listed(new_runtime: New, sma: ScriptedSma) -> None:
    """Inverters that are taken down leave a plant with a fraction of the power that it had."""
    usual = sma._body

    def list_less(request: Request) -> dict[str, Any]:
        body = usual(request)
        for plant in body.get("plants", []):
            plant["installation"] = {"acNominalPower": 400.0, "peakPower": 450.0}
        return body

    runtime = run(new_runtime(), MONDAY)
    expected = energy(runtime)
    sma._body = list_less  # type: ignore[method-assign]
    fetch_plants(runtime)
    write_plants(runtime)
    build(runtime, MONDAY)
    assert energy(runtime) == expected
    assert set(runtime.lake.scan(EnergyDaily).collect()["status"]) == {"complete"}
    for days_later, watts in ((0, 5000.0), (1, 400.0)):
        places = list_known_places(runtime.lake, BALANCE, NOW.date() + days_later * dt.timedelta(days=1))
        assert set(places["rated_w"]) == {watts}


@pytest.mark.long
def test_days_keep_their_energy_when_less_power_of_a_device_is_listed(
    new_runtime: New, sma: ScriptedSma
) -> None:
    """The same device's id may stand for a smaller inverter later, or for one of which no power is given."""

    def list_power(day_of_list: int, watts: float | None, peak: float | None) -> RunContext:
        inverter = {"deviceId": "111", "name": "Inverter", "type": "Solar Inverters", "isActive": True}
        sma.devices["11"] = [inverter | {"generatorPower": watts, "generatorPowerDc": peak}]
        runtime = new_runtime()
        runtime.now = lambda: dt.datetime(2021, 10, day_of_list, 12, tzinfo=dt.UTC)
        refresh_lists(runtime)
        return runtime

    def judge(runtime: RunContext, day: int) -> tuple[float | None, ...]:
        places = list_known_places(runtime.lake, PV, dt.date(2021, 10, day))
        return places.filter(device_id="111").select("rated_w", "peak_w", "own_w").row(0)

    runtime = read_again(list_power(20, 25_000.0, 30_000.0), MONDAY)
    expected = runtime.lake.scan(DeviceEnergyDaily).collect()
    assert expected.filter(device_id="111")["pv_generation_kwh"].to_list() == [pytest.approx(24.0)]
    assert judge(runtime, 4) == (25_000.0, 30_000.0, 25_000.0)
    for day_of_list, watts, peak in ((21, 100.0, 120.0), (22, None, None)):
        runtime = list_power(day_of_list, watts, peak)
        build(runtime, MONDAY)
        assert runtime.lake.scan(DeviceEnergyDaily).collect().equals(expected)
        assert judge(runtime, day_of_list) == (25_000.0, 30_000.0, 25_000.0)
        assert judge(runtime, day_of_list + 1) == (watts or 5000.0, peak, watts)
    # A larger one is what its earlier days may have had, too: the list may be older than the device.
    assert judge(list_power(23, 40_000.0, 50_000.0), 4) == (40_000.0, 50_000.0, 40_000.0)


def test_all_stored_lists_in_their_order_give_the_powers_that_are_known(
    new_runtime: New, sma: ScriptedSma
) -> None:
    """What a repair makes of the lists is what the days made of them one by one."""
    usual, days = sma._body, [dt.date(2021, month, 20) for month in (5, 7, 10)]
    for day, watts in zip(days, (5000.0, 9000.0, 7000.0), strict=True):

        def list_power(request: Request, watts: float = watts) -> dict[str, Any]:
            body = usual(request)
            for plant in body.get("plants", []):
                plant["installation"] = {"acNominalPower": watts, "peakPower": 10_000.0}
            return body

        sma._body = list_power  # type: ignore[method-assign]
        runtime = new_runtime()
        runtime.now = lambda day=day: dt.datetime.combine(day, dt.time(12), dt.UTC)  # type: ignore[misc]
        fetch_plants(runtime)
        write_plants(runtime)
    known = runtime.lake.read_whole(Plants)
    former = list_former_powers(known.filter(plant_id="11"), ["plant_id"], ["ac_power_kw"])
    assert former.select("until", "ac_power_kw").rows() == [
        (days[1] - dt.timedelta(days=1), 5.0),
        (days[2], 9.0),
    ]
    runtime.lake.replace(Plants, {}, [], empty=True)
    for day in days:
        write_plants(runtime, day)
    assert runtime.lake.read_whole(Plants).equals(known)


def test_days_that_were_asked_for_with_another_time_basis_are_counted(new_runtime: New) -> None:
    runtime = run(new_runtime(), MONDAY, TUESDAY)
    assert count_days_of_other_basis(runtime, MONDAY, TUESDAY) == 0
    other = "utc" if runtime.settings.sma_time_basis == "plant_local" else "plant_local"
    runtime.settings = runtime.settings.model_copy(update={"sma_time_basis": other})
    assert count_days_of_other_basis(runtime, MONDAY, TUESDAY) == 2
    assert count_days_of_other_basis(runtime, TUESDAY, TUESDAY) == 1


def test_when_nothing_is_answered_the_step_fails(new_runtime: New, sma: ScriptedSma) -> None:
    runtime = run(new_runtime(), MONDAY)
    before = versions(runtime)
    sma.broken |= {"11", "12"}
    with pytest.raises(SunledgerError, match=r"None of the 2 requests was answered.*503"):
        list(SetFetch(BALANCE)(runtime, [MONDAY]))
    assert versions(runtime) == before


def test_an_unknown_plant_is_wrong_usage(new_runtime: New) -> None:
    runtime = new_runtime("99")
    fetch_plants(runtime)
    write_plants(runtime)
    with pytest.raises(UsageError, match="Plant 99 is not in SMA's list of 2 plants"):
        fetch_devices(runtime)


def test_an_empty_list_of_plants_says_what_to_do(new_runtime: New, sma: ScriptedSma) -> None:
    sma.lists = []
    runtime = new_runtime()
    fetch_plants(runtime)
    with pytest.raises(SunledgerError, match=r"no owner was asked for consent by this sunledger"):
        write_plants(runtime)


def test_a_plant_that_is_listed_no_more_stays_known_and_is_not_asked(
    new_runtime: New, sma: ScriptedSma
) -> None:
    refresh(new_runtime())
    sma.lists = ["11"]
    later = new_runtime()
    later.now = lambda: dt.datetime(2021, 10, 21, 12, tzinfo=dt.UTC)
    refresh(later)
    assert later.lake.scan(Plants).collect()["plant_id"].to_list() == ["11", "12"]
    sma.asked.clear()
    fetch(later, MONDAY)
    assert {request.plant_id for request in sma.asked} == {"11"}


def test_days_before_the_start_of_operation_are_not_asked_for(new_runtime: New, sma: ScriptedSma) -> None:
    runtime = new_runtime()
    refresh(runtime)
    sma.asked.clear()
    fetch(runtime, dt.date(2019, 12, 31))
    assert sma.asked == []


def test_today_is_provisional_until_it_is_read_again(new_runtime: New) -> None:
    today = dt.date(2021, 10, 20)
    runtime = run(new_runtime(), today)
    assert set(runtime.lake.scan(EnergyDaily).collect()["status"]) == {"provisional"}


def test_under_utc_a_local_day_is_put_together_from_the_utc_days_that_it_touches(
    new_runtime: New, sma: ScriptedSma
) -> None:
    sma.watts["11", "2021-10-03"] = 2400.0
    runtime = new_runtime()
    runtime.settings = runtime.settings.model_copy(update={"sma_time_basis": "utc"})
    run(runtime, MONDAY)
    # Brisbane's Monday begins on Sunday at 14:00 UTC: ten hours of 2.4 kW, then fourteen of 1 kW.
    assert energy(runtime)["11", 4] == pytest.approx(10 * 2.4 + 14)
    dates = {r.date for r in sma.asked if r.endpoint == "measurements"}
    assert dates == {"2021-10-03", "2021-10-04"}
