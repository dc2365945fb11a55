"""Which requests some days take, and which part of each answer belongs to which day."""

import datetime as dt

import polars as pl
import pytest

from pipeline.common.local_time import TimeBasis, find_local_day
from pipeline.extract.request_plan import (
    Series,
    collect_series,
    find_day_span,
    find_monday,
    group_by_week,
    plan_logs,
    plan_measurements,
    plan_single_days,
)
from pipeline.sma.requests import Request

MONDAY = dt.date(2025, 7, 7)
SET = "EnergyBalance"
BERLIN, BRISBANE, BOSTON = "Europe/Berlin", "Australia/Brisbane", "America/New_York"


def days(first: dt.date, count: int) -> tuple[dt.date, ...]:
    return tuple(first + dt.timedelta(days=i) for i in range(count))


def asked(series: Series, basis: TimeBasis = "plant_local", *, by_week: bool = True) -> list[tuple[str, str]]:
    """Period and date of each request."""
    return [
        (a.request.period, a.request.date) for a in plan_measurements([series], SET, basis, by_week=by_week)
    ]


def test_days_are_grouped_by_calendar_week() -> None:
    found = list(group_by_week(reversed(days(dt.date(2025, 7, 4), 12))))
    assert [len(week) for week in found] == [3, 7, 2]
    assert {find_monday(day) for day in found[1]} == {MONDAY}


def test_a_month_takes_five_requests_and_not_thirty_one() -> None:
    july = Series("1", "", BERLIN, days(dt.date(2025, 7, 1), 31))
    assert asked(july) == [
        ("Week", "2025-06-30"),
        ("Week", "2025-07-07"),
        ("Week", "2025-07-14"),
        ("Week", "2025-07-21"),
        ("Week", "2025-07-28"),
    ]


def test_a_day_alone_is_asked_for_as_a_day() -> None:
    series = Series("1", "7", BERLIN, (MONDAY,))
    (ask,) = plan_measurements([series], SET, "plant_local")
    assert ask.request == Request.measured("1", "7", SET, "Day", MONDAY)
    assert ask.is_whole


def test_two_days_of_a_week_are_worth_one_request() -> None:
    series = Series("1", "", BERLIN, (MONDAY, MONDAY + dt.timedelta(days=5)))
    (ask,) = plan_measurements([series], SET, "plant_local")
    assert ask.request == Request.measured("1", "", SET, "Week", MONDAY)
    assert list(ask.days) == list(series.days)
    assert not ask.is_whole


def test_where_weeks_are_refused_days_are_asked_for() -> None:
    assert asked(Series("1", "", BERLIN, days(MONDAY, 3)), by_week=False) == [
        ("Day", "2025-07-07"),
        ("Day", "2025-07-08"),
        ("Day", "2025-07-09"),
    ]


@pytest.mark.parametrize("day", [dt.date(2025, 3, 30), dt.date(2025, 10, 26)])
def test_a_week_in_which_the_clocks_change_is_asked_for_by_the_day(day: dt.date) -> None:
    week = days(find_monday(day), 7)
    assert {period for period, _ in asked(Series("1", "", BERLIN, week))} == {"Day"}
    assert {period for period, _ in asked(Series("1", "", BRISBANE, week))} == {"Week"}


@pytest.mark.parametrize(
    ("zone", "beside"), [(BRISBANE, "2025-07-06"), (BOSTON, "2025-07-14"), ("UTC", None)]
)
def test_under_utc_the_utc_days_at_the_edges_are_asked_for_too(zone: str, beside: str | None) -> None:
    found = asked(Series("1", "", zone, days(MONDAY, 7)), "utc")
    assert ("Week", "2025-07-07") in found
    assert set(found) - {("Week", "2025-07-07")} == ({("Day", beside)} if beside else set())


def test_under_utc_each_day_has_all_the_answers_that_it_lies_in() -> None:
    found = plan_measurements([Series("1", "", BRISBANE, days(MONDAY, 7))], SET, "utc")
    of_monday = [ask.request.date for ask in found if MONDAY in ask.days]
    assert sorted(of_monday) == ["2025-07-06", "2025-07-07"]
    of_tuesday = [ask.request.date for ask in found if MONDAY + dt.timedelta(days=1) in ask.days]
    assert of_tuesday == ["2025-07-07"]


@pytest.mark.parametrize("basis", ["utc", "plant_local"])
@pytest.mark.parametrize("zone", [BERLIN, BRISBANE, BOSTON])
def test_the_days_one_by_one_cover_what_the_week_would_have(basis: TimeBasis, zone: str) -> None:
    series = Series("1", "", zone, days(MONDAY, 7))
    both = plan_measurements([series], SET, basis)
    (week,) = (ask for ask in both if ask.request.period == "Week")
    instead = [*(ask for ask in both if ask is not week), *plan_single_days(week, zone, basis)]
    alone = plan_measurements([series], SET, basis, by_week=False)
    assert sorted(instead, key=lambda a: a.request) == alone


@pytest.mark.parametrize("zone", [BERLIN, BRISBANE, BOSTON])
def test_a_day_s_labels(zone: str) -> None:
    local = find_day_span(MONDAY, zone, "plant_local")
    assert (local.begin, local.end) == (b"2025-07-07T00:00:00", b"2025-07-08T00:00:00")
    bounds = find_local_day(MONDAY, zone)
    utc = find_day_span(MONDAY, zone, "utc")
    assert utc.begin.decode() + "+00:00" == bounds.start.isoformat()
    assert utc.end.decode() + "+00:00" == bounds.end.isoformat()


def test_a_plant_s_log_is_one_request_a_week() -> None:
    series = [Series(plant, "", BERLIN, days(MONDAY, 9)) for plant in "21"]
    found = [ask.request.target for ask in plan_logs(series, "plant_local")]
    assert found == [
        "/v1/plants/1/logs?From=2025-07-07&To=2025-07-13",
        "/v1/plants/1/logs?From=2025-07-14&To=2025-07-15",
        "/v1/plants/2/logs?From=2025-07-07&To=2025-07-13",
        "/v1/plants/2/logs?From=2025-07-14&To=2025-07-15",
    ]


def test_the_log_of_a_day_alone_needs_no_cutting_unless_the_day_s_edges_are_not_known() -> None:
    series = [Series("1", "", BRISBANE, (MONDAY,))]
    (local,), (utc,) = plan_logs(series, "plant_local"), plan_logs(series, "utc")
    assert local.is_whole
    assert local.request == Request.logs("1", MONDAY)
    assert not utc.is_whole
    assert utc.request.date == "2025-07-06/2025-07-08"
    assert plan_single_days(utc, BRISBANE, "utc") == [utc]


def test_series_come_sorted_with_their_days() -> None:
    frame = pl.DataFrame(
        {
            "plant_id": ["2", "1", "1"],
            "device_id": ["", "9", "9"],
            "timezone": [BERLIN, BOSTON, BOSTON],
            "local_date": [MONDAY, MONDAY + dt.timedelta(days=1), MONDAY],
        }
    )
    assert collect_series(frame) == [
        Series("1", "9", BOSTON, days(MONDAY, 2)),
        Series("2", "", BERLIN, (MONDAY,)),
    ]
