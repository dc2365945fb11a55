"""Nothing is asked twice that can't have changed, and days of one week are asked for together."""

import datetime as dt
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import polars as pl
import pytest

from pipeline.common.errors import TransientError
from pipeline.common.settings import Settings
from pipeline.extract.fetch import SetFetch
from pipeline.run.context import RunContext
from pipeline.run.measurement_sets import BALANCE
from pipeline.run.notices import MissingItem
from pipeline.sma.requests import Request
from pipeline.tables.energy_tables import write_energy_daily
from pipeline.tables.interval_tables import write_intervals
from pipeline.tables.log_tables import write_logs
from schemas import EnergyDaily, RawEnergyBalance, RawLogs, Table
from tests.noticed import noticed
from tests.scripted import NOW, ScriptedSma, compact, has_nothing_special
from tests.scripted_home import make_runtime, make_settings
from tests.whole_days import MONDAY, TUESDAY, build, energy, fetch, refresh, run

New = Callable[..., RunContext]
WEEK = [MONDAY + dt.timedelta(days=i) for i in range(7)]
TODAY = NOW.date()
CLASSIC = "aaaaaaaa-0000-4000-8000-000000000011"


def later(runtime: RunContext, **ahead: float) -> RunContext:
    """The runtime at a later moment."""
    moment = NOW + dt.timedelta(**ahead)
    runtime.now = lambda: moment
    return runtime


@pytest.mark.long
def test_four_weeks_take_a_seventh_of_the_requests(new_runtime: New, sma: ScriptedSma) -> None:
    runtime = new_runtime(again=False)
    refresh(runtime)
    sma.asked.clear()
    days = [dt.date(2021, 9, 20) + dt.timedelta(days=i) for i in range(28)]
    fetch(runtime, *days)
    # Two plants: a set and a log each; two inverters: a set each; four weeks.
    assert len(sma.asked) == 4 * (2 + 2 + 2)
    for day in (days[0], days[13], days[-1]):
        build(runtime, day)
    assert list(energy(runtime).values()) == pytest.approx([24.0] * 6)


# A week in which each plant has a fate of its own, read twice; in the first reading all of them have logs.
USUAL, SILENT_DAY, SILENT, FAILING = "11", "12", "13", "14"


@dataclass
class Week:
    """What was asked in both readings, and what the first one left."""

    asked: list[Request]
    asked_again: list[Request]
    missing: list[MissingItem]
    frames: dict[type[Table], pl.DataFrame]
    entries: list[int]

    def told(self, plant: str) -> list[MissingItem]:
        """What is missing of the plant."""
        return [item for item in self.missing if item.plant_id == plant]


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory) -> Week:
    settings, sma = make_settings(tmp_path_factory.mktemp("week")), ScriptedSma()
    sma.lists = [USUAL, SILENT_DAY, SILENT, FAILING]
    sma.watts = {(SILENT, str(day)): None for day in WEEK} | {(SILENT_DAY, "2021-10-06"): None}
    runtime = make_runtime(settings, sma, again=False)
    refresh(runtime)
    sma.asked.clear()
    stamps = [{"timestamp": f"{day}T08:00:00", "message": "m"} for day in WEEK]
    busy = TransientError("GET /v1/x answered 503 six times: try again later.", status=503)

    def say(request: Request) -> bytes | TransientError | None:
        if request.endpoint == "logs":
            return compact({"logs": stamps})
        return busy if request.plant_id == FAILING and request.endpoint == "measurements" else None

    sma.special = say
    notices = fetch(runtime, *WEEK)
    for day in (MONDAY, TUESDAY):
        notices.add(build(runtime, day))
    entries = [write_logs(runtime, day).rows for day in WEEK]
    frames = {model: runtime.lake.scan(model).collect() for model in (RawEnergyBalance, RawLogs, EnergyDaily)}
    asked = list(sma.asked)
    sma.asked.clear()
    sma.special = has_nothing_special
    fetch(make_runtime(settings, sma, again=False), *WEEK)
    return Week(asked, sma.asked, notices.missing, frames, entries)


def test_a_week_s_answer_is_stored_by_the_day(week: Week) -> None:
    stored = week.frames[RawEnergyBalance].filter(plant_id=SILENT_DAY)
    assert stored["local_date"].to_list() == WEEK
    assert stored["no_rows"].to_list() == [day.day == 6 for day in WEEK]
    # The day without rows was asked for alone before it was believed.
    assert set(stored["request_date"]) == {"2021-10-04", "2021-10-06"}
    assert stored["body"].bin.size("b").max() < 20_000


def by_day(asked: list[Request], plant: str) -> list[tuple[str, str]]:
    return [(r.device_id, r.date) for r in asked if r.period == "Day" and r.plant_id == plant]


def test_a_silent_day_is_asked_for_alone_once_and_listed(week: Week) -> None:
    assert by_day(week.asked, SILENT_DAY) == [("", "2021-10-06"), ("121", "2021-10-06")]
    told = week.told(SILENT_DAY)
    assert [(one.day, one.table) for one in told] == [
        ("2021-10-06", "raw_energy_balance"),
        ("2021-10-06", "raw_pv"),
    ]
    assert "a request for the day alone had none either" in told[0].reason
    assert "of device 121" in told[1].reason
    # What SMA was asked for alone is known from then on.
    assert {request.plant_id for request in week.asked_again} == {FAILING}


def test_a_plant_that_is_silent_all_week_is_not_asked_for_seven_times(week: Week) -> None:
    assert (by_day(week.asked, SILENT), week.told(SILENT)) == ([], [])


def test_days_of_a_week_that_failed_are_all_missing_and_told(week: Week) -> None:
    found = week.frames[EnergyDaily].select("plant_id", "status")
    assert found.filter(plant_id=USUAL).rows() == [(USUAL, "complete")] * 2
    assert found.filter(plant_id=FAILING).rows() == [(FAILING, "missing")] * 2
    assert {(item.day, item.table) for item in week.told(FAILING)} == {
        (str(day), table) for day in WEEK for table in ("raw_energy_balance", "raw_pv")
    }


def test_a_week_of_logs_is_stored_by_the_day(week: Week) -> None:
    stored = week.frames[RawLogs].filter(plant_id=USUAL)
    assert stored["local_date"].to_list() == WEEK
    assert week.entries == [4] * 7


@pytest.mark.parametrize("end", [slice(0, 1000), pytest.param(slice(-1000, None), marks=pytest.mark.long)])
def test_a_cap_on_the_rows_of_a_week_costs_requests_and_no_energy(
    new_runtime: New, sma: ScriptedSma, end: slice
) -> None:
    def capped(request: Request) -> bytes | None:
        if request.endpoint != "measurements":
            return None
        content = sma._body(request)
        return compact({**content, "set": content["set"][end]})

    sma.special = capped
    runtime = new_runtime(again=False)
    # The first and the last day, and that within which the answer ends.
    made = [WEEK[0], WEEK[3], WEEK[-1]]
    notices = noticed([refresh(runtime), fetch(runtime, *WEEK), *(build(runtime, day) for day in made)])
    stored = runtime.lake.scan(RawEnergyBalance).collect()
    assert stored["body"].cast(pl.String).str.count_matches("pvGeneration").to_list() == [288] * 14
    assert list(energy(runtime).values()) == pytest.approx([24.0] * 6)
    assert set(runtime.lake.scan(EnergyDaily).collect()["status"]) == {"complete"}
    assert notices.missing == []
    # 1,000 rows are three days and a half: four days of two plants and two inverters are asked for alone.
    assert [len(by_day(sma.asked, plant)) for plant in ("11", "12")] == [4 * 2] * 2


def test_a_day_that_is_not_over_is_not_asked_for_alone(new_runtime: New, sma: ScriptedSma) -> None:
    for ahead in range(5):
        sma.watts["11", str(TODAY + dt.timedelta(days=ahead))] = None
    runtime = new_runtime(again=False)
    notices = refresh(runtime)
    notices.add(fetch(runtime, TODAY - dt.timedelta(days=2), TODAY - dt.timedelta(days=1), TODAY))
    assert (by_day(sma.asked, "11"), by_day(sma.asked, "12"), notices.missing) == ([], [], [])


def test_what_is_stored_and_final_is_not_asked_for_again(new_runtime: New, sma: ScriptedSma) -> None:
    run(new_runtime(again=False), MONDAY, TUESDAY)
    sma.asked.clear()
    runtime = run(new_runtime(again=False), MONDAY, TUESDAY)
    assert [request.endpoint for request in sma.asked] == ["plants"]
    assert energy(runtime)["11", 4] == pytest.approx(24.0)


def test_only_what_lacks_is_asked_for(new_runtime: New, sma: ScriptedSma) -> None:
    runtime = new_runtime(again=False)
    refresh(runtime)
    sma.broken.add("12")
    fetch(runtime, MONDAY)
    sma.broken.clear()
    sma.asked.clear()
    fetch(new_runtime(again=False), MONDAY)
    assert {request.plant_id for request in sma.asked} == {"12"}
    assert Counter(request.endpoint for request in sma.asked) == {"measurements": 2, "logs": 1}


def test_who_says_so_asks_for_everything_again(new_runtime: New, sma: ScriptedSma) -> None:
    run(new_runtime(), MONDAY)
    first = Counter(request.endpoint for request in sma.asked)
    sma.asked.clear()
    run(new_runtime(), MONDAY)
    assert Counter(request.endpoint for request in sma.asked) == first


@pytest.mark.long
def test_lists_are_asked_for_once_in_a_cycle(new_runtime: New, sma: ScriptedSma) -> None:
    refresh(new_runtime(again=False))
    sma.asked.clear()
    refresh(new_runtime(again=False))
    assert [request.endpoint for request in sma.asked] == ["plants"]
    sma.asked.clear()
    sma.lists.append("13")
    refresh(new_runtime(again=False))
    assert {request.plant_id for request in sma.asked} == {"", "13"}
    sma.asked.clear()
    refresh(later(new_runtime(again=False), days=14))
    assert {request.plant_id for request in sma.asked} == {"", "11", "12", "13"}


def test_a_day_that_can_grow_is_read_again_after_its_portal_s_delay(
    new_runtime: New, sma: ScriptedSma
) -> None:
    sma.lists = ["11", CLASSIC]
    runtime = new_runtime(again=False)
    refresh(runtime)
    fetch(runtime, TODAY)
    for minutes, asked in ((9, set()), (11, {"11"}), (121, {"11", CLASSIC})):
        sma.asked.clear()
        list(SetFetch(BALANCE)(later(new_runtime(again=False), minutes=minutes), [TODAY]))
        assert {request.plant_id for request in sma.asked} == asked


def test_the_professional_package_of_a_plant_shortens_its_delay(
    new_runtime: New, sma: ScriptedSma, settings: Settings
) -> None:
    sma.lists = [CLASSIC]
    runtime = new_runtime(again=False)
    refresh(runtime)
    fetch(runtime, TODAY)
    sma.asked.clear()
    after = later(new_runtime(again=False), minutes=16)
    after.settings = settings.model_copy(update={"professional_plants": frozenset({CLASSIC})})
    list(SetFetch(BALANCE)(after, [TODAY]))
    assert len(sma.asked) == 1


@pytest.mark.parametrize(
    ("plant", "hours_after_midnight", "final"), [("11", 0.2, True), (CLASSIC, 1.9, False)]
)
def test_a_day_is_final_once_its_portal_s_delay_is_over(
    new_runtime: New, sma: ScriptedSma, plant: str, hours_after_midnight: float, final: bool
) -> None:
    sma.lists = [plant]
    sma.answered_at = dt.datetime(2021, 10, 20, 14, tzinfo=dt.UTC) + dt.timedelta(hours=hours_after_midnight)
    runtime = new_runtime(again=False)
    refresh(runtime)
    # Brisbane's day ends at 14:00 UTC.
    fetch(runtime, TODAY)
    assert runtime.lake.scan(RawEnergyBalance).collect()["final"].to_list() == [final]


def test_another_time_basis_asks_for_what_it_lacks(
    new_runtime: New, sma: ScriptedSma, settings: Settings
) -> None:
    run(new_runtime(again=False), TUESDAY)
    sma.asked.clear()
    runtime = new_runtime(again=False)
    runtime.settings = settings.model_copy(update={"sma_time_basis": "utc"})
    list(SetFetch(BALANCE)(runtime, [TUESDAY]))
    assert {request.period for request in sma.asked} == {"Week"}
    write_intervals(runtime, BALANCE, TUESDAY)
    write_energy_daily(runtime, TUESDAY)
    assert energy(runtime)["11", 5] == pytest.approx(24.0)
