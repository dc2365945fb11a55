"""Lists of devices and sets are asked for in turn, and at once where something says that they changed."""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import polars as pl
import pytest

from pipeline.common.errors import UsageError
from pipeline.common.settings import Settings
from pipeline.extract import claims, due_lists
from pipeline.extract.fetch import fetch_devices, fetch_plants
from pipeline.run.context import RunContext
from pipeline.run.fleet_lists.stored_lists import find_turns
from pipeline.run.measurement_sets import check_sets
from pipeline.sma.requests import Request
from pipeline.tables.inventory_tables import write_plants
from schemas import ApiRequests, Devices, MeasurementSets, Plants, Table, polars_schema
from tests.scripted import NOW, ScriptedSma, compact
from tests.scripted_home import make_runtime, make_settings
from tests.whole_days import refresh

CYCLE = 14
FLEET = [str(number) for number in range(100, 120)]
New = Callable[..., RunContext]


@pytest.fixture
def sma(sma: ScriptedSma) -> Iterator[ScriptedSma]:
    sma.lists = list(FLEET)
    return sma


def at(new_runtime: New, day: int, **settings: Any) -> RunContext:
    """The run of a day, counted from the first one."""
    runtime = new_runtime(again=False)
    moment = NOW + dt.timedelta(days=day)
    runtime.now = lambda: moment
    runtime.settings = runtime.settings.model_copy(update=settings)
    return runtime


def asked(sma: ScriptedSma, run: RunContext) -> Counter[str]:
    """How many requests of each kind the lists of a day take."""
    sma.answered_at = run.now()
    sma.asked.clear()
    refresh(run)
    kinds = (
        (r.endpoint if r.endpoint != "sets" else "device sets" if r.device_id else "plant sets")
        for r in sma.asked
    )
    return Counter(kinds)


def whom(sma: ScriptedSma, endpoint: str) -> set[tuple[str, str]]:
    return {(r.plant_id, r.device_id) for r in sma.asked if r.endpoint == endpoint}


def plants_of_turn(day: int, cycle: int = CYCLE, plants: list[str] = FLEET) -> set[str]:
    today = (NOW + dt.timedelta(days=day)).date()
    turns = find_turns(plants, today, cycle)
    return set(turns.filter(pl.col("turn") == today)["plant_id"])


def one_without_turn(*days: int) -> str:
    busy = set().union(*map(plants_of_turn, days))
    return next(plant for plant in FLEET if plant not in busy)


@pytest.mark.long
def test_all_are_asked_for_at_first_and_then_each_plant_once_in_a_cycle(
    new_runtime: New, sma: ScriptedSma
) -> None:
    """A second run of a day asks for the list of plants alone; and with a cycle of a day all are asked each day."""
    size, cycle = len(FLEET), 2
    everything = {"plants": 1, "devices": size, "plant sets": size, "device sets": size}
    assert asked(sma, at(new_runtime, 0, lists_cycle_days=cycle)) == everything
    assert asked(sma, at(new_runtime, 0, lists_cycle_days=cycle)) == {"plants": 1}
    seen: Counter[str] = Counter()
    for day in range(1, cycle + 1):
        asked(sma, at(new_runtime, day, lists_cycle_days=cycle))
        plants = {plant for plant, _ in whom(sma, "devices")}
        assert plants == plants_of_turn(day, cycle)
        assert whom(sma, "sets") == {*((p, "") for p in plants), *((p, f"{p}1") for p in plants)}
        seen.update(plants)
    assert seen == Counter(FLEET)
    assert asked(sma, at(new_runtime, cycle, lists_cycle_days=cycle)) == {"plants": 1}
    for day in (cycle + 1, cycle + 2):
        assert asked(sma, at(new_runtime, day, lists_cycle_days=1)) == everything


@pytest.mark.long
def test_lists_take_few_requests_in_the_long_run(new_runtime: New, sma: ScriptedSma) -> None:
    inverters = [
        {"deviceId": f"{p}{n}", "name": "Inverter", "isActive": True} for p in FLEET for n in range(5)
    ]
    sma.devices = {plant: [one for one in inverters if one["deviceId"][:3] == plant] for plant in FLEET}
    asked(sma, at(new_runtime, 0))
    later = sum(asked(sma, at(new_runtime, day)).total() for day in range(1, CYCLE + 1))
    # The list of plants each day, and everything else once: devices, the plant's sets and those of five inverters.
    assert later == CYCLE + len(FLEET) * 7
    assert later / len(FLEET) / CYCLE < 1.2


def grow(sma: ScriptedSma, *plants: str) -> None:
    """The list of plants shows a larger installation of the plants, and their lists of devices a second inverter."""
    content = sma._body(Request.plants())
    for one in content["plants"]:
        if one["plantId"] in plants:
            one["installation"]["peakPower"] = 9000.0
    for plant in plants:
        inverters = [{"deviceId": f"{plant}{n}", "name": "Inverter", "isActive": True} for n in (1, 2)]
        sma.devices[plant] = inverters
    sma.special = lambda request: compact(content) if request.endpoint == "plants" else None


def record(run: RunContext, plant: str, device: str, moment: dt.datetime) -> None:
    """SMA no longer found a set of the device."""
    facts = {
        "request_id": f"{plant}-{moment}", "asked_at": moment, "asked_date": moment.date(), "plant_id": plant,
        "device_id": device, "endpoint": "measurements", "set_type": "EnergyAndPowerPv", "period": "Day",
        "request_date": "2021-10-01", "attempt": 1, "status": 404, "error": None, "bytes": 10, "elapsed_ms": 1.0,
    }  # fmt: skip
    run.lake.append(
        ApiRequests, {"asked_date": moment.date()}, pl.DataFrame([facts], schema=polars_schema(ApiRequests))
    )


class Days:
    """What the runs of days 0, 1, 2, 7 and 50 asked for and said, of plants of which each has something of its own."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.sma = settings, ScriptedSma()
        self.sma.lists = list(FLEET)
        self.owners: dict[int, dict[str, set[tuple[str, str]]]] = {}
        self.setless: dict[int, list[str]] = {}
        self.frames: dict[int, dict[type[Table], pl.DataFrame]] = {}

    def open(self, day: int) -> RunContext:
        return at(lambda again: make_runtime(self.settings, self.sma, again=again), day)

    def run(self, day: int) -> None:
        runtime = self.open(day)
        self.sma.answered_at = runtime.now()
        self.sma.asked.clear()
        missing = refresh(runtime).missing
        self.owners[day] = {endpoint: whom(self.sma, endpoint) for endpoint in ("devices", "sets")}
        self.setless[day] = [item.plant_id for item in missing if item.table == "measurement_sets"]
        self.frames[day] = {model: runtime.lake.scan(model).collect() for model in (Devices, MeasurementSets)}

    def devices(self, day: int) -> set[str]:
        """The plants whose devices the day's run asked for."""
        return {plant for plant, _ in self.owners[day]["devices"]}

    def sets(self, day: int, plant: str) -> set[str]:
        """The devices of the plant of which the day's run asked for the sets; an empty text is the plant."""
        return {device for owner, device in self.owners[day]["sets"] if owner == plant}


# Plants whose turn is on none of the days that a change of theirs is looked at.
FAILED, GROWN, UNANSWERED, CHANGED, NOT_FOUND, *_ = [
    plant for plant in FLEET if plant not in set().union(*(plants_of_turn(day) for day in (1, 2)))
]
SETLESS = min(plants_of_turn(1) - plants_of_turn(2))
NEW = "999"


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Days:
    found = Days(make_settings(tmp_path_factory.mktemp("lists")))
    sma = found.sma
    two = [{"deviceId": f"{CHANGED}{n}", "name": "Inverter", "isActive": True} for n in (1, 2)]
    sma.devices[CHANGED] = two
    sma.broken.add(FAILED)
    found.run(0)
    first = found.open(0)
    record(first, NOT_FOUND, f"{NOT_FOUND}1", first.now() + dt.timedelta(hours=1))

    sma.broken = {UNANSWERED}
    sma.lists.append(NEW)
    grow(sma, GROWN, UNANSWERED, CHANGED)
    sma.devices[CHANGED] = [two[0] | {"product": "Tripower X"}, two[1] | {"isActive": False}]
    usual = sma.special
    sma.special = lambda r: (
        compact({"sets": []}) if (r.endpoint, r.plant_id, r.device_id) == ("sets", SETLESS, "") else usual(r)
    )
    found.run(1)
    # The list still names the set, and SMA still does not find it: that is no news.
    second = found.open(1)
    record(second, NOT_FOUND, f"{NOT_FOUND}1", second.now() + dt.timedelta(hours=1))
    sma.broken = set()
    for day in (2, 7, 50):
        found.run(day)
    return found


@pytest.mark.long
def test_turns_that_were_missed_are_made_up_for(days: Days) -> None:
    missed = set().union(*(plants_of_turn(day, plants=[*FLEET, NEW]) for day in range(3, 8)))
    assert 0 < len(missed) < len(FLEET)
    assert days.devices(7) == missed
    assert days.devices(50) == {*FLEET, NEW}


def test_a_new_plant_is_asked_for_on_its_first_day(days: Days) -> None:
    assert NEW in days.devices(1)
    assert days.sets(1, NEW) == {"", f"{NEW}1"}
    assert NEW in set(days.frames[1][MeasurementSets]["plant_id"])


def test_what_failed_is_asked_for_again(days: Days) -> None:
    assert FAILED in days.devices(1)
    assert days.sets(1, FAILED) == {"", f"{FAILED}1"}


def test_a_larger_installation_announces_a_new_device(days: Days) -> None:
    assert GROWN in days.devices(1)
    # The plant may have other sets now; its first inverter is what it was.
    assert days.sets(1, GROWN) == {"", f"{GROWN}2"}
    today = days.open(1).find_today()
    seen = days.frames[1][Devices].filter(plant_id=GROWN)
    assert seen.select("device_id", "first_seen", "last_seen").rows() == [
        (f"{GROWN}1", NOW.date(), today),
        (f"{GROWN}2", today, today),
    ]
    assert (GROWN in days.devices(2), days.sets(2, GROWN)) == (False, set())


def test_a_change_that_a_run_did_not_ask_for_is_asked_for_by_the_next(days: Days) -> None:
    assert UNANSWERED in days.devices(2)
    assert f"{UNANSWERED}2" in days.sets(2, UNANSWERED)


def test_a_changed_device_is_asked_for_its_sets_and_a_retired_one_is_not(days: Days) -> None:
    assert days.sets(1, CHANGED) == {"", f"{CHANGED}1"}


def test_a_set_that_is_not_found_has_its_device_and_the_devices_asked_once(days: Days) -> None:
    assert days.sets(1, NOT_FOUND) == {f"{NOT_FOUND}1"}
    assert days.sets(2, NOT_FOUND) == set()
    # The device may have been replaced by one that nobody knows.
    assert NOT_FOUND in days.devices(1)


def test_who_lists_no_set_any_more_is_reported_until_it_is_asked_again(days: Days) -> None:
    assert days.setless[1] == [SETLESS]
    assert days.setless[2] == [SETLESS]


def test_who_has_had_no_turn_and_no_news_is_not_asked(days: Days) -> None:
    quiet = {*FLEET} - {FAILED, GROWN, UNANSWERED, CHANGED, NOT_FOUND, *plants_of_turn(1)}
    assert days.devices(1) & quiet == set()
    assert days.devices(2) == plants_of_turn(2, plants=[*FLEET, NEW]) | {UNANSWERED}


def test_answers_of_a_run_that_was_killed_before_their_table_are_not_lost(
    new_runtime: New, sma: ScriptedSma
) -> None:
    plant = one_without_turn(1, 2)
    asked(sma, at(new_runtime, 0))
    grow(sma, plant)
    killed = at(new_runtime, 1)
    sma.answered_at = killed.now()
    fetch_plants(killed)
    write_plants(killed)
    fetch_devices(killed)
    run = at(new_runtime, 2)
    asked(sma, run)
    assert (plant, "") not in whom(sma, "devices")
    assert f"{plant}2" in set(run.lake.scan(Devices).collect()["device_id"])
    assert (plant, f"{plant}2") in whom(sma, "sets")


def test_a_chosen_set_that_nobody_is_known_to_have_is_looked_for(new_runtime: New, sma: ScriptedSma) -> None:
    asked(sma, at(new_runtime, 0))
    named = at(new_runtime, 1, sets="EnergyBalance,NewSet")
    with pytest.raises(UsageError, match="No plant and no device has a set 'NewSet'"):
        check_sets(named)
    sma.special = lambda r: (
        compact({"sets": ["EnergyBalance", "NewSet"]}) if r.endpoint == "sets" and not r.device_id else None
    )
    found = asked(sma, named)
    assert (found["plant sets"], found["device sets"]) == (len(FLEET), len(FLEET))
    check_sets(named)
    assert asked(sma, at(new_runtime, 1, sets="EnergyBalance,NewSet")) == {"plants": 1}


def test_turns_are_spread_over_the_cycle() -> None:
    today = dt.date(2026, 3, 1)
    turns = find_turns([str(5_000_000 + i) for i in range(10_000)], today, CYCLE)
    assert turns["turn"].max() == today
    assert turns["turn"].min() == today - dt.timedelta(days=CYCLE - 1)
    counts = turns.group_by("turn").len()["len"]
    assert counts.min() > 0.8 * 10_000 / CYCLE
    assert counts.max() < 1.2 * 10_000 / CYCLE


def test_the_forecast_counts_every_list_once(new_runtime: New, sma: ScriptedSma) -> None:
    run = at(new_runtime, 0)
    asked(sma, run)
    assert run.lake.scan(Plants).collect().height == len(FLEET)
    assert due_lists.count_lists(run) == 3 * len(FLEET)


def test_lists_that_another_run_fetches_meanwhile_are_not_asked_for_a_second_time(
    new_runtime: New, sma: ScriptedSma, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch_plants(at(new_runtime, 0))
    write_plants(at(new_runtime, 0))
    wait = claims._wait_for_claims

    def let_another_run_fetch(*given: Any) -> None:
        monkeypatch.setattr(claims, "_wait_for_claims", wait)
        fetch_devices(at(new_runtime, 0))
        wait(*given)

    monkeypatch.setattr(claims, "_wait_for_claims", let_another_run_fetch)
    sma.asked.clear()
    assert fetch_devices(at(new_runtime, 0)).facts["requests"] == 0
    assert len(sma.asked) == len(FLEET)
