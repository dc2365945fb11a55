"""Nothing is asked twice that can't have changed, and days of one week are asked for together."""

import datetime as dt
from collections import Counter
from collections.abc import Callable

import polars as pl
import pytest

from pipeline.common.errors import TransientError
from pipeline.common.settings import Settings
from pipeline.extract.fetch import SetFetch
from pipeline.run.context import RunContext
from pipeline.run.measurement_sets import BALANCE
from pipeline.sma.requests import Request
from pipeline.tables.energy_tables import write_energy_daily
from pipeline.tables.interval_tables import write_intervals
from pipeline.tables.log_tables import write_logs
from schemas import EnergyDaily, RawEnergyBalance, RawLogs
from tests.e2e.test_days import MONDAY, TUESDAY, build, energy, fetch, refresh, run
from tests.noticed import noticed
from tests.scripted import NOW, ScriptedSma, compact

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


def test_a_week_s_answer_is_stored_by_the_day(new_runtime: New, sma: ScriptedSma) -> None:
    sma.watts["11", "2021-10-06"] = None
    runtime = new_runtime()
    refresh(runtime)
    fetch(runtime, *WEEK)
    stored = runtime.lake.scan(RawEnergyBalance).filter(pl.col("plant_id") == "11").collect()
    assert stored["local_date"].to_list() == WEEK
    assert stored["no_rows"].to_list() == [day.day == 6 for day in WEEK]
    # The day without rows was asked for alone before it was believed.
    assert set(stored["request_date"]) == {"2021-10-04", "2021-10-06"}
    assert stored["body"].bin.size("b").max() < 20_000


def by_day(sma: ScriptedSma) -> list[tuple[str, str, str]]:
    return [(r.plant_id, r.device_id, r.date) for r in sma.asked if r.period == "Day"]


def test_a_silent_day_is_asked_for_alone_once_and_listed(new_runtime: New, sma: ScriptedSma) -> None:
    sma.watts["11", "2021-10-06"] = None
    runtime = new_runtime(again=False)
    notices = noticed([refresh(runtime), fetch(runtime, *WEEK)])
    assert by_day(sma) == [("11", "", "2021-10-06"), ("11", "111", "2021-10-06")]
    told = [(item.day, item.table, item.plant_id) for item in notices.missing]
    assert told == [("2021-10-06", "raw_energy_balance", "11"), ("2021-10-06", "raw_pv", "11")]
    assert "a request for the day alone had none either" in notices.missing[0].reason
    assert "of device 111" in notices.missing[1].reason
    # What SMA was asked for alone is known from then on.
    sma.asked.clear()
    fetch(new_runtime(again=False), *WEEK)
    assert sma.asked == []


def test_a_plant_that_is_silent_all_week_is_not_asked_for_seven_times(
    new_runtime: New, sma: ScriptedSma
) -> None:
    for day in WEEK:
        sma.watts["11", str(day)] = None
    runtime = new_runtime(again=False)
    notices = noticed([refresh(runtime), fetch(runtime, *WEEK)])
    assert (by_day(sma), notices.missing) == ([], [])


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
    assert len(by_day(sma)) == 4 * 4


def test_a_day_that_is_not_over_is_not_asked_for_alone(new_runtime: New, sma: ScriptedSma) -> None:
    for ahead in range(5):
        sma.watts["11", str(TODAY + dt.timedelta(days=ahead))] = None
    runtime = new_runtime(again=False)
    notices = refresh(runtime)
    notices.add(fetch(runtime, TODAY - dt.timedelta(days=2), TODAY - dt.timedelta(days=1), TODAY))
    assert (by_day(sma), notices.missing) == ([], [])


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


def test_days_of_a_week_that_failed_are_all_missing_and_told(new_runtime: New, sma: ScriptedSma) -> None:
    runtime = new_runtime(again=False)
    refresh(runtime)
    busy = TransientError("GET /v1/x answered 503 six times: try again later.", status=503)
    sma.special = lambda r: busy if r.plant_id == "12" and r.endpoint == "measurements" else None
    notices = fetch(runtime, MONDAY, TUESDAY)
    for day in (MONDAY, TUESDAY):
        notices.add(build(runtime, day))
    found = runtime.lake.scan(EnergyDaily).select("plant_id", "status").collect()
    assert sorted(found.rows()) == [("11", "complete")] * 2 + [("12", "missing")] * 2
    assert {(m.day, m.table) for m in notices.missing} == {
        (str(day), table) for day in (MONDAY, TUESDAY) for table in ("raw_energy_balance", "raw_pv")
    }


def test_a_week_of_logs_is_stored_by_the_day(new_runtime: New, sma: ScriptedSma) -> None:
    def say(request: object) -> bytes | None:
        if getattr(request, "endpoint", "") != "logs":
            return None
        stamps = (f'{{"timestamp":"{day}T08:00:00","message":"m"}}' for day in WEEK)
        return ('{"logs":[' + ",".join(stamps) + "]}").encode()

    sma.special = say
    runtime = new_runtime(again=False)
    refresh(runtime)
    fetch(runtime, *WEEK)
    stored = runtime.lake.scan(RawLogs).filter(pl.col("plant_id") == "11").collect()
    assert stored["local_date"].to_list() == WEEK
    for day in WEEK:
        assert write_logs(runtime, day).rows == 2
