"""Answers spread over their days, and the days asked for one by one where that does not work."""

import datetime as dt
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import pytest

from pipeline.common.errors import CredentialsError, PermanentError, SmaError, TransientError
from pipeline.extract import request_plan, split_by_day
from pipeline.extract.request_plan import FetchPlan, KnownDay, PlannedRequest, Series
from pipeline.extract.split_by_day import DayResult, PlannedResult
from pipeline.sma.pending_results import PendingResults
from pipeline.sma.requests import Answer, Failure, Request
from schemas import RawEnergyBalance
from tests.transform.answers import body, row

MONDAY = dt.date(2025, 7, 7)
WEEK = tuple(MONDAY + dt.timedelta(days=i) for i in range(7))
ZONE, SET = "Europe/Berlin", "EnergyBalance"
NOW = dt.datetime(2025, 8, 1, tzinfo=dt.UTC)
REFUSED = PermanentError("GET /v1/x answered 400: no weeks here.", path="/v1/x", status=400)
BUSY = TransientError("GET /v1/x answered 503.", path="/v1/x", status=503)

Said = bytes | SmaError


def day_rows(*days: dt.date) -> list[dict[str, object]]:
    """A row for each hour of the days."""
    starts = [dt.datetime.combine(day, dt.time()) for day in days]
    return [row((s + dt.timedelta(hours=h)).isoformat(), 1.0) for s in starts for h in range(1, 25)]


class Portal:
    """Answers as it is reported, and remembers what it was asked."""

    def __init__(self, say: Callable[[Request], Said]) -> None:
        self.say, self.asked = say, list[Request]()

    def fetch(self, requests: Iterable[Request]) -> Iterator[Answer | Failure]:
        for request in requests:
            self.asked.append(request)
            said = self.say(request)
            if isinstance(said, SmaError):
                yield Failure(request, said, 1)
            else:
                yield Answer(request, request.target, 200, NOW, 1.0, 1, said)


def as_sma_would(request: Request) -> bytes:
    first = dt.date.fromisoformat(request.date)
    return body(
        day_rows(*(first + dt.timedelta(days=i) for i in range(7 if request.period == "Week" else 1)))
    )


def spread(
    portal: Portal, *series: Series, slack: bool = False
) -> tuple[dict[tuple[str, dt.date], list[Answer | Failure]], set[str]]:
    """What each plant and day got, by the requests for these series; and the sets whose weeks are refused."""
    asked = request_plan.plan_measurements(series or [Series("1", "", ZONE, WEEK)], SET, "plant_local")
    return _drawn(portal, asked, slack=slack)


def _drawn(
    portal: Portal, asked: list[PlannedRequest], *, slack: bool
) -> tuple[dict[tuple[str, dt.date], list[Answer | Failure]], set[str]]:
    found: dict[tuple[str, dt.date], list[Answer | Failure]] = {}
    refused: set[str] = set()
    for one in split(portal, asked, slack=slack):
        found.setdefault((one.result.request.plant_id, one.day), []).append(one.result)
        refused |= {one.result.request.set_type} if one.week_refused else set()
    return found, refused


def split(
    portal: Portal,
    asked: list[PlannedRequest],
    *,
    slack: bool = False,
    final_after: Mapping[dt.date, dt.datetime] | None = None,
    note: Callable[[PlannedResult], PlannedResult] = lambda found: found,
) -> Iterator[DayResult]:
    """The parts of each day, of which the plant "1" is final after these moments. `note` gets what is taken."""

    def send(planned: Sequence[PlannedRequest]) -> PendingResults[PlannedResult]:
        answers = list(portal.fetch(one.request for one in planned))
        return PendingResults(map(note, zip(planned, answers, strict=True)), lambda: None)

    after = final_after or {}
    days = {
        day: KnownDay("utc" if slack else "plant_local", {"1": after[day]} if day in after else {})
        for day in WEEK
    }
    plan = FetchPlan(RawEnergyBalance, asked, days, dict.fromkeys("123", ZONE))
    return split_by_day.split_by_day(send(asked), plan, send)


def rows_of(results: Mapping[tuple[str, dt.date], list[Answer | Failure]]) -> list[int | None]:
    """Rows that each day got, None where it got a failure; one result a day."""
    assert all(len(of_day) == 1 for of_day in results.values())
    firsts = [of_day[0] for of_day in results.values()]
    return [len(json.loads(r.body)["set"]) if isinstance(r, Answer) else None for r in firsts]


def test_a_week_is_one_request_and_each_day_has_its_rows() -> None:
    portal = Portal(as_sma_would)
    found, _ = spread(portal)
    assert rows_of(found) == [24] * 7
    assert [request.period for request in portal.asked] == ["Week"]


def asked_by_day(portal: Portal) -> list[str]:
    return [request.date for request in portal.asked if request.period == "Day"]


def test_a_silent_day_in_a_week_is_asked_for_alone_once() -> None:
    portal = Portal(lambda r: body(day_rows(*WEEK[:3], *WEEK[4:]) if r.period == "Week" else []))
    found, _ = spread(portal)
    assert rows_of(found) == [24, 24, 24, 0, 24, 24, 24]
    assert asked_by_day(portal) == [str(WEEK[3])]


@pytest.mark.parametrize(
    ("held", "before"), [(split_by_day.HELD_BYTES, ["1 W", "2 W", "3 W", "1 D"]), (1, ["1 W", "1 D"])]
)
def test_while_a_day_is_asked_for_alone_further_answers_are_split(
    monkeypatch: pytest.MonkeyPatch, held: int, before: list[str]
) -> None:
    """They wait for it, as far as they fit into memory, and come in their order."""
    monkeypatch.setattr(split_by_day, "HELD_BYTES", held)
    taken: list[str] = []

    def say(request: Request) -> bytes:
        lacks = (request.plant_id, request.period) == ("1", "Week")
        return body(day_rows(*WEEK[1:])) if lacks else as_sma_would(request)

    def note(found: PlannedResult) -> PlannedResult:
        taken.append(f"{found[0].request.plant_id} {found[0].request.period[0]}")
        return found

    series = [Series(plant, "", ZONE, WEEK) for plant in "123"]
    asked = request_plan.plan_measurements(series, SET, "plant_local")
    parts = split(Portal(say), asked, note=note)
    assert next(parts).day == MONDAY
    assert taken == before
    assert [(one.result.request.plant_id, one.day) for one in parts] == [
        (plant, day) for plant in "123" for day in WEEK
    ][1:]


def test_a_week_without_a_row_is_as_silent_as_its_plant() -> None:
    portal = Portal(lambda _: body([]))
    found, _ = spread(portal)
    assert rows_of(found) == [0] * 7
    assert len(portal.asked) == 1


@pytest.mark.parametrize(
    ("kept", "lacking"),
    [
        pytest.param(slice(0, 100), WEEK[4:], id="the end is lost"),
        pytest.param(slice(0, 96), WEEK[4:], id="from a midnight on"),
        pytest.param(slice(0, 166), WEEK[6:], id="two rows are lost"),
        pytest.param(slice(-100, None), WEEK[:3], id="the beginning is lost"),
        pytest.param(slice(-165, None), WEEK[:1], id="the first rows are lost"),
        pytest.param(slice(0, 20), WEEK, id="one day is left"),
    ],
)
@pytest.mark.parametrize("newest_first", [False, True])
def test_a_week_that_is_cut_short_is_made_whole_by_its_days(
    kept: slice, lacking: tuple[dt.date, ...], newest_first: bool
) -> None:
    def say(request: Request) -> bytes:
        if request.period == "Day":
            return as_sma_would(request)
        rows = day_rows(*WEEK)[kept]
        return body(rows[::-1] if newest_first else rows)

    portal = Portal(say)
    found, _ = spread(portal)
    assert rows_of(found) == [24] * 7
    assert asked_by_day(portal) == [str(day) for day in lacking]


def test_days_that_end_with_daylight_are_not_asked_for_alone() -> None:
    """Inverters begin and end a little earlier or later every day."""
    edges = [(300, 1250), (290, 1240), (325, 1200), (310, 1245), (300, 1255), (295, 1260), (305, 1180)]
    rows = [
        row((dt.datetime.combine(day, dt.time()) + dt.timedelta(minutes=at)).isoformat(), 1.0)
        for day, (first, last) in zip(WEEK, edges, strict=True)
        for at in range(first, last, 5)
    ]
    portal = Portal(lambda _: body(rows))
    spread(portal)
    assert asked_by_day(portal) == []


def test_a_day_that_still_grows_is_not_asked_for_alone() -> None:
    portal = Portal(lambda _: body(day_rows(*WEEK[:5])))
    asked = request_plan.plan_measurements([Series("1", "", ZONE, WEEK[:6])], SET, "plant_local")
    growing = {WEEK[5]: NOW + dt.timedelta(seconds=1)}
    assert [one.day for one in split(portal, asked, final_after=growing)] == list(WEEK[:6])
    assert len(portal.asked) == 1


def test_a_week_that_begins_elsewhere_is_noticed_and_its_lacking_days_asked_for() -> None:
    """As if the API's weeks began on Sundays."""

    def say(request: Request) -> bytes:
        if request.period == "Day":
            return as_sma_would(request)
        return body(day_rows(MONDAY - dt.timedelta(days=1), *WEEK[:6]))

    portal = Portal(say)
    found, _ = spread(portal)
    assert rows_of(found) == [24] * 7
    assert [(r.period, r.date) for r in portal.asked] == [("Week", "2025-07-07"), ("Day", "2025-07-13")]


def test_under_utc_rows_beside_the_days_are_no_sign_of_another_week() -> None:
    portal = Portal(lambda _: body(day_rows(MONDAY - dt.timedelta(days=1), *WEEK)))
    found, _ = spread(portal, slack=True)
    assert rows_of(found) == [24] * 7
    assert len(portal.asked) == 1


@pytest.mark.parametrize("odd", [b"<html>busy</html>", b'{"set":[{"time":', b'{ "set": 3 }'])
def test_a_week_that_cannot_be_cut_is_asked_for_by_the_day(odd: bytes) -> None:
    portal = Portal(lambda request: odd if request.period == "Week" else as_sma_would(request))
    found, refused = spread(portal)
    assert rows_of(found) == [24] * 7
    assert len(portal.asked) == 8
    assert not refused


def test_a_portal_without_weeks_is_asked_for_days_and_not_for_weeks_again() -> None:
    portal = Portal(lambda request: REFUSED if request.period == "Week" else as_sma_would(request))
    found, refused = spread(portal)
    assert rows_of(found) == [24] * 7
    assert refused == {SET}


def test_a_plant_that_is_refused_by_the_day_too_says_nothing_about_weeks() -> None:
    found, refused = spread(Portal(lambda _: REFUSED))
    assert rows_of(found) == [None] * 7
    assert not refused


def test_in_an_outage_days_are_not_asked_for_after_weeks() -> None:
    portal = Portal(lambda _: BUSY)
    found, _ = spread(portal, Series("1", "", ZONE, WEEK), Series("2", "", ZONE, WEEK))
    assert rows_of(found) == [None] * 14
    assert len(portal.asked) == 2


def test_a_week_that_fails_while_others_are_answered_is_asked_for_by_the_day() -> None:
    def say(request: Request) -> Said:
        return BUSY if (request.plant_id, request.period) == ("2", "Week") else as_sma_would(request)

    portal = Portal(say)
    found, _ = spread(portal, Series("1", "", ZONE, WEEK), Series("2", "", ZONE, WEEK[:2]))
    assert rows_of(found) == [24] * 9
    assert [(r.plant_id, r.period) for r in portal.asked] == [
        ("1", "Week"),
        ("2", "Week"),
        ("2", "Day"),
        ("2", "Day"),
    ]


def test_wrong_credentials_are_not_tried_again_by_the_day() -> None:
    portal = Portal(lambda _: CredentialsError("The secret is wrong: check SMA_CLIENT_SECRET."))
    found, _ = spread(portal)
    assert rows_of(found) == [None] * 7
    assert len(portal.asked) == 1


def test_logs_are_cut_by_their_time() -> None:
    stamps = [f"{day}T12:00:00" for day in WEEK]
    entries = json.dumps({"logs": [{"timestamp": stamp} for stamp in reversed(stamps)]}).encode()
    portal = Portal(lambda _: entries)
    found, _ = _drawn(
        portal, request_plan.plan_logs([Series("1", "", ZONE, WEEK)], "plant_local"), slack=False
    )
    (first,) = found["1", MONDAY]
    assert isinstance(first, Answer)
    assert json.loads(first.body) == {"logs": [{"timestamp": stamps[0]}]}
    assert (len(found), len(portal.asked)) == (7, 1)


def test_a_log_that_is_none_is_asked_for_by_the_day_and_passed_on_as_it_is() -> None:
    portal = Portal(lambda _: b"<html>")
    found, _ = _drawn(
        portal, request_plan.plan_logs([Series("1", "", ZONE, WEEK[:2])], "plant_local"), slack=False
    )
    assert [result.body for (result,) in found.values() if isinstance(result, Answer)] == [b"<html>"] * 2
    assert len(portal.asked) == 3


def test_nothing_asked_is_nothing_spread() -> None:
    found, _ = _drawn(Portal(as_sma_would), [], slack=False)
    assert found == {}
