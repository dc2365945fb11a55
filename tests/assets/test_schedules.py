"""Schedules on a simulated clock: what each asks for, what a pause of the machine leaves, and that tries end."""

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal

import dagster as dg
import polars as pl
import pytest

from assets.home_setup.dagster_home import open_dagster
from assets.run_control.run_tags import ASK, BACKENDS, GROUPS, MAX_EUR, TURN, read_limits
from pipeline.billing.spending import CostNotAllowedError
from pipeline.common.errors import PermanentError
from pipeline.common.settings import Settings
from pipeline.extract.fetch import fetch_devices, fetch_plants
from pipeline.ops.alert_conditions import collect_concerns
from pipeline.run.allowance import Allowance
from pipeline.run.plants import count_turn
from pipeline.tables.inventory_tables import write_plants
from schemas import EnergyDaily, KpiDaily
from tests.assets.clockwork import ClockedSma, Clockwork, refresh_lists

HOUR = dt.timedelta(hours=1)
# Midnight in Brisbane, where the scripted plants are: the day of 20 October begins.
MIDNIGHT = dt.datetime(2021, 10, 19, 14, tzinfo=dt.UTC)
CLASSIC = "01234567-89ab-cdef-0123-456789abcdef"


@pytest.fixture
def machine(settings: Settings) -> Iterator[Clockwork]:
    with open_dagster(settings) as instance:
        # When a day is due is no matter of how many sets it has.
        chosen = settings.model_copy(update={"window_days": 2, "sets": "EnergyBalance"})
        found = Clockwork(chosen, instance, ClockedSma())
        found.turn_to(MIDNIGHT)
        yield found


def statuses(machine: Clockwork) -> dict[str, set[str]]:
    daily = machine.runtime({}).lake.scan(EnergyDaily).select("local_date", "status").collect()
    return {str(day): set(rows["status"]) for (day,), rows in daily.sort("local_date").group_by("local_date")}


def asked(machine: Clockwork, day: str) -> list[str]:
    return [r.plant_id for r in machine.sma.asked if r.endpoint == "measurements" and r.date == day]


def test_nothing_is_fetched_before_plants_are_known(machine: Clockwork) -> None:
    for name in ("today", "closing", "window"):
        assert machine.tick(name) == []
    assert [
        name
        for name, text in machine.skips
        if "No plants are stored yet" in text or "no ennexOS plant" in text
    ] == ["today", "closing", "window"]
    assert machine.sma.asked == []


def test_today_is_read_hourly_for_ennexos_and_classic_waits_for_the_end_of_its_day(
    machine: Clockwork,
) -> None:
    machine.sma.lists = ["11", CLASSIC]
    machine.tick("lists")
    machine.turn_to(MIDNIGHT + dt.timedelta(hours=9, minutes=20))
    (request,) = machine.tick("today")
    assert request.tags[BACKENDS] == "ennexos"
    assert machine.runs[-1][2:] == ("2021-10-20", "2021-10-20")
    assert set(asked(machine, "2021-10-20")) == {"11"}
    assert statuses(machine) == {"2021-10-20": {"provisional"}}
    # ennexOS is read to its end in the hour after midnight; Classic is not ready before two hours later.
    machine.turn_to(MIDNIGHT + 24 * HOUR + dt.timedelta(minutes=20))
    machine.tick("today")
    assert statuses(machine)["2021-10-20"] == {"complete"}
    machine.turn_to(MIDNIGHT + 24 * HOUR + dt.timedelta(minutes=35))
    machine.tick("closing")
    assert CLASSIC not in asked(machine, "2021-10-20")
    machine.turn_to(MIDNIGHT + 26 * HOUR + dt.timedelta(minutes=5))
    before = len(asked(machine, "2021-10-20"))
    machine.tick("closing")
    # What is whole is not fetched again.
    assert asked(machine, "2021-10-20")[before:] == [CLASSIC]


@pytest.mark.long
def test_a_small_budget_reads_the_chosen_plant_each_hour_and_the_others_in_turn(machine: Clockwork) -> None:
    machine.sma.lists = ["11", "12", "13", "14", "15", "16", "17", CLASSIC]
    machine.tick("lists")
    # 285 requests a day, of which closing, the window and lists take most.
    update = {"sma_requests_per_5_min": 1, "today_plants": "Plant 13", "logs": "none"}
    update |= {"sets": "EnergyBalance,EnergyAndPowerPv"}
    machine.settings = machine.settings.model_copy(update=update)
    read = []
    for hour in (9, 10, 11):
        machine.turn_to(MIDNIGHT + dt.timedelta(hours=hour, minutes=20))
        before = len(machine.sma.asked)
        (request,) = machine.tick("today")
        read.append({one.plant_id for one in machine.sma.asked[before:]})
        with machine.runtime(dict(request.tags)) as runtime:
            turn = count_turn(runtime)
        assert turn == {"plants_read": len(read[-1]), "plants_left_out_today": 7 - len(read[-1])}
    assert all("13" in one for one in read)
    assert CLASSIC not in set.union(*read)
    others = [sorted(one - {"13"}) for one in read]
    assert others == [["11", "12", "14", "15"], ["11", "12", "16", "17"], ["14", "15", "16", "17"]]
    # With room for all nothing is limited.
    machine.settings = machine.settings.model_copy(update={"sma_requests_per_5_min": 770})
    machine.turn_to(MIDNIGHT + dt.timedelta(hours=12, minutes=20))
    (request,) = machine.tick("today")
    assert TURN not in request.tags


def test_three_days_off_are_caught_up_by_the_first_tick(machine: Clockwork) -> None:
    machine.tick("lists")
    for hour in (1, 25):
        machine.turn_to(MIDNIGHT + hour * HOUR)
        machine.tick("closing")
    assert set(statuses(machine)) == {"2021-10-18", "2021-10-19", "2021-10-20"}
    machine.turn_to(MIDNIGHT + 25 * HOUR + dt.timedelta(days=3))
    # The hourly schedule is faster, and stores the running day before the missed ones.
    machine.tick("today")
    machine.tick("closing")
    # It also reads the day that has closed within the last hour.
    assert machine.runs[-1][2:] == ("2021-10-21", "2021-10-22")
    assert {status for day, found in statuses(machine).items() if day < "2021-10-24" for status in found} == {
        "complete"
    }
    machine.tick("closing")
    assert machine.skips[-1] == (
        "closing",
        "Skipped, because all days up to 2021-10-23 were fetched after they had ended.",
    )


@pytest.mark.long
def test_a_day_that_a_killed_run_left_half_made_is_completed_without_a_request(machine: Clockwork) -> None:
    machine.tick("lists")
    machine.turn_to(MIDNIGHT + 25 * HOUR)
    machine.tick("closing")
    with machine.runtime({}) as runtime:
        runtime.lake.replace(KpiDaily, {"local_date": dt.date(2021, 10, 20)}, [], empty=True)
    before = len(machine.sma.asked)
    machine.turn_to(MIDNIGHT + 27 * HOUR)
    machine.tick("closing")
    assert machine.runs[-1][2:] == ("2021-10-20", "2021-10-20")
    with machine.runtime({}) as runtime:
        assert [part["local_date"] for part in runtime.lake.list_parts(KpiDaily)][-1] == "2021-10-20"
    assert len(machine.sma.asked) == before
    machine.tick("closing")
    assert machine.skips[-1] == (
        "closing",
        "Skipped, because all days up to 2021-10-20 were fetched after they had ended.",
    )


def test_ticks_that_the_daemon_makes_up_for_are_left_to_the_newest(machine: Clockwork) -> None:
    machine.tick("lists")
    machine.turn_to(MIDNIGHT + 72 * HOUR)
    before = len(machine.runs)
    for late in (5, 4, 3, 2, 1):
        assert machine.tick("today", scheduled=machine.sma.now - late * HOUR) == []
        assert machine.tick("closing", scheduled=machine.sma.now - late * HOUR) == []
    assert len(machine.runs) == before
    assert machine.tick("closing", scheduled=machine.sma.now - dt.timedelta(minutes=1))


@pytest.mark.long
def test_a_day_that_never_comes_whole_is_tried_five_times(machine: Clockwork) -> None:
    machine.tick("lists")
    machine.sma.special = lambda request: (
        PermanentError("GET /v1/x answered 404.", status=404)
        if request.plant_id == "12" and request.date == "2021-10-20"
        else None
    )
    machine.turn_to(MIDNIGHT + 24 * HOUR)
    for hour in (1, 1.5, 2, 4, 5, 7, 10, 11, 20, 23, 24, 40):
        machine.turn_to(MIDNIGHT + (24 + hour) * HOUR)
        machine.tick("closing")
    tries = [at - machine.runs[1][1] for _, at, first, last in machine.runs if first <= "2021-10-20" <= last]
    assert tries == [0 * HOUR, HOUR, 4 * HOUR, 10 * HOUR, 22 * HOUR]
    # Each try asks the plant that failed, never the one that is whole.
    assert asked(machine, "2021-10-20").count("11") == 1
    assert "were tried recently" in machine.skips[-1][1]


def test_the_window_reads_all_its_days_again(machine: Clockwork) -> None:
    machine.tick("lists")
    machine.turn_to(MIDNIGHT + 15 * HOUR)
    machine.tick("closing")
    machine.sma.watts["11", "2021-10-19"] = 500.0
    machine.tick("window")
    assert machine.runs[-1][2:] == ("2021-10-18", "2021-10-19")
    daily = machine.runtime({}).lake.scan(EnergyDaily).filter(pl.col("plant_id") == "11").collect()
    assert dict(daily.select("local_date", "pv_generation_kwh").rows()) == {
        dt.date(2021, 10, 18): pytest.approx(24.0),
        dt.date(2021, 10, 19): pytest.approx(12.0),
    }


def test_the_month_is_closed_after_its_last_day(machine: Clockwork) -> None:
    machine.tick("lists")
    machine.turn_to(dt.datetime(2021, 11, 2, 15, tzinfo=dt.UTC))
    machine.tick("closing")
    assert len(machine.tick("month")) == 1
    assert machine.runs[-1][0] == "month"


def test_a_schedule_waits_for_its_own_run(machine: Clockwork) -> None:
    machine.tick("lists")
    unfinished = dg.DagsterRun(
        job_name="energy_days", tags={"dagster/schedule_name": "window"}, status=dg.DagsterRunStatus.STARTED
    )
    machine.instance.add_run(unfinished)
    assert machine.tick("window") == []
    assert machine.skips[-1][1] == "Skipped, because the previous run of window is still running."
    assert machine.tick("closing")


def test_schedules_are_off_until_they_are_wanted(settings: Settings) -> None:
    from assets.definitions import build_definitions  # noqa: PLC0415

    def states(on: str) -> set[dg.DefaultScheduleStatus]:
        found = build_definitions(settings.model_copy(update={"schedules": on})).schedules or []
        return {schedule.default_status for schedule in found}  # type: ignore[union-attr]

    assert states("off") == {dg.DefaultScheduleStatus.STOPPED}
    assert states("on") == {dg.DefaultScheduleStatus.RUNNING}


def test_a_run_that_is_tried_again_asks_for_what_is_missing() -> None:
    nothing = {
        "only_plants": frozenset(),
        "only_groups": frozenset(),
        "only_backends": frozenset(),
        "turn": "",
        "shard": None,
        "again": False,
        "allowance": Allowance(),
    }
    assert read_limits({}) == nothing
    assert read_limits({GROUPS: "North, South"})["only_groups"] == {"North", "South"}
    assert read_limits({ASK: "all"})["again"]
    assert not read_limits({"dagster/parent_run_id": "x", ASK: "all"})["again"]
    assert read_limits({"sunledger/plants": "11, 12"})["only_plants"] == {"11", "12"}


@pytest.mark.long
def test_schedules_make_no_pu_that_nobody_agreed_to(machine: Clockwork) -> None:
    machine.tick("lists")
    machine.settings = machine.settings.model_copy(update={"max_eur_per_month": None})
    machine.turn_to(MIDNIGHT + 30 * HOUR)
    # Both plants count in October already, so October goes on.
    assert machine.tick("closing")
    # In November they would be new on the bill: no run is started that could only fail.
    machine.turn_to(dt.datetime(2021, 11, 2, 6, 20, tzinfo=dt.UTC))
    before = len(machine.sma.asked)
    for name in ("today", "closing", "window"):
        assert machine.tick(name) == []
        assert machine.skips[-1][0] == name
        assert "add 2 PU to 2021-11: 24.90 EUR" in machine.skips[-1][1]
        assert "SUNLEDGER_MAX_EUR_PER_MONTH" in machine.skips[-1][1]
    assert len(machine.sma.asked) == before
    with machine.runtime({}) as runtime:
        assert [told.title for told in collect_concerns(runtime) if told.name == "spending:2021-11"] == [
            "2 plants not fetched because of the cost"
        ]
    # With room for one of them, the other days wait, and that one is read.
    machine.settings = machine.settings.model_copy(update={"max_eur_per_month": Decimal(13)})
    assert machine.tick("window")
    assert {asked.plant_id for asked in machine.sma.asked[before:]} == {"11"}


@pytest.mark.long
def test_a_tag_agrees_for_one_run(machine: Clockwork) -> None:
    machine.settings = machine.settings.model_copy(update={"max_eur_per_month": None})
    with pytest.raises(CostNotAllowedError):
        machine.tick("lists")
    assert {asked.endpoint for asked in machine.sma.asked} == {"plants"}
    # The daemon's own retry carries the tag, and what the tag allowed was let through by the first try.
    with machine.runtime({MAX_EUR: "25", "dagster/retry_number": "1"}) as runtime:
        fetch_plants(runtime)
        write_plants(runtime)
        with pytest.raises(CostNotAllowedError):
            fetch_devices(runtime)
    with machine.runtime({MAX_EUR: "25"}) as runtime:
        refresh_lists(runtime)
    assert {asked.plant_id for asked in machine.sma.asked} == {"", "11", "12"}
