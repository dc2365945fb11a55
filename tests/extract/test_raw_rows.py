"""Requests to rows of the raw lake: whole plants, bounded batches, nothing replaced by nothing."""

import datetime as dt
import json
from collections.abc import Collection, Iterator

import polars as pl
import pytest

from pipeline.common.errors import CredentialsError, PermanentError, SmaError, TransientError
from pipeline.extract import raw_rows
from pipeline.extract.raw_rows import DayOutcome, accept_answers, refuse_nothing_answered, set_unlisted_apart
from pipeline.extract.request_plan import KnownDay
from pipeline.extract.split_by_day import DayResult
from pipeline.sma.requests import Answer, Failure, Request
from schemas import RawAnswers, polars_schema
from tests.transform.answers import DAY, Row, body, row
from warehouse.frames import validate

ARRIVED = dt.datetime(2025, 7, 10, 1, tzinfo=dt.UTC)


def anybody(rows: list[Row], name: str = "Plant") -> bytes:
    """An answer that may be of any plant: its envelope has no id."""
    return body(rows, name=name).replace(b'"plantId":"1",', b"")


WITH_ROWS = anybody([row("2025-07-09T00:05:00", 1.0)])
WITHOUT_ROWS = anybody([])
LISTS = {
    Request.plants(): b'{"plants":[]}',
    Request.devices("1"): b'{"devices":[]}',
    Request.plant_sets("1"): b'{"sets":[]}',
}


def answer(request: Request, content: bytes = WITH_ROWS) -> Answer:
    return Answer(request, request.target, 200, ARRIVED, 12.5, 2, content)


def failure(request: Request, error: SmaError | None = None) -> Failure:
    return Failure(
        request, error or TransientError(f"GET {request.path} got no answer.", path=request.path), 6
    )


def plant_day(plant: str, day: dt.date = DAY) -> Request:
    return Request.measured(plant, "", "EnergyBalance", "Day", day)


def drawn(
    *results: Answer | Failure,
    final_after: dict[str, dt.datetime] | None = None,
    with_rows: frozenset[tuple[str, str, str]] = frozenset(),
    listed: frozenset[str] | None = None,
) -> tuple[list[pl.DataFrame], DayOutcome]:
    known = KnownDay("utc", final_after or {}, with_rows, zones={"7": "Europe/Berlin"})
    asked = {result.request.plant_id for result in results}
    of_day = (DayResult(DAY, result) for result in results)

    def still_listed() -> Collection[str]:
        return asked if listed is None else listed

    parts = list(accept_answers(of_day, {DAY: known}, still_listed))
    found = set_unlisted_apart({DAY: DayOutcome.of_all([part.outcome for part in parts])}, still_listed)
    refuse_nothing_answered(found.values())
    return [part.rows for part in parts if part.rows.height], found[DAY]


def test_answers_become_rows_of_the_raw_lake_as_they_are() -> None:
    request = Request.measured("7", "70", "EnergyAndPowerPv", "Day", DAY)
    (frame,), fetched = drawn(answer(request), final_after={"7": ARRIVED + dt.timedelta(seconds=1)})
    assert frame.schema == polars_schema(RawAnswers)
    validate(RawAnswers, frame, {"local_date": DAY})
    assert frame.row(0, named=True) == {
        "plant_id": "7",
        "device_id": "70",
        "set_type": "EnergyAndPowerPv",
        "request_date": "2025-07-09",
        "local_date": DAY,
        "target": "/v1/devices/70/measurements/sets/EnergyAndPowerPv/Day?Date=2025-07-09",
        "time_basis": "utc",
        "asked_timezone": "Europe/Berlin",
        "status": 200,
        "fetched_at": ARRIVED,
        "elapsed_ms": 12.5,
        "attempts": 2,
        "final": False,
        "no_rows": False,
        "body": WITH_ROWS,
    }
    assert (fetched.answers, fetched.bytes, fetched.series) == (1, len(WITH_ROWS), {("7", "70")})


@pytest.mark.parametrize(("late_s", "final"), [(-1, False), (0, True), (1, True)])
def test_an_answer_is_final_from_the_moment_that_its_day_is(late_s: int, final: bool) -> None:
    due = ARRIVED - dt.timedelta(seconds=late_s)
    (frame,), _ = drawn(answer(plant_day("1")), answer(plant_day("2")), final_after={"1": due})
    assert frame["final"].to_list() == [final, True]


@pytest.mark.parametrize(("grows_s", "silent"), [(1, set()), (0, {("1", "")})])
def test_a_day_without_rows_is_silent_once_it_can_no_longer_grow(
    grows_s: int, silent: set[tuple[str, str]]
) -> None:
    known = KnownDay("plant_local", {"1": ARRIVED + dt.timedelta(seconds=grows_s)})
    alone = DayResult(DAY, answer(plant_day("1"), WITHOUT_ROWS), asked_alone=True)
    (part,) = accept_answers([alone], {DAY: known}, still_listed=lambda: "1")
    assert (part.outcome.asked_alone, part.outcome.silent) == ({("1", "")}, silent)


def test_batches_are_bounded_by_bytes_keep_the_order_and_never_split_a_plant(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # An answer takes more than its body.
    monkeypatch.setattr(raw_rows, "BATCH_BYTES", 3 * (len(WITH_ROWS) + raw_rows.ANSWER_BYTES))
    days = [DAY, DAY + dt.timedelta(days=1)]
    requests = [plant_day(plant, day) for plant in "abcde" for day in days]
    frames, fetched = drawn(*map(answer, requests))
    assert [frame["plant_id"].to_list() for frame in frames] == [list("aabb"), list("ccdd"), list("ee")]
    assert pl.concat(frames)["request_date"].to_list() == [request.date for request in requests]
    assert fetched.bytes == 10 * len(WITH_ROWS)


def test_the_days_of_a_plant_share_what_is_kept_of_it_until_they_are_stored() -> None:
    days = [DAY, DAY + dt.timedelta(days=1)]
    results = (DayResult(day, answer(plant_day("a", day))) for day in days)
    parts = list(accept_answers(results, dict.fromkeys(days, KnownDay("utc")), still_listed=lambda: "a"))
    first, second = (series for part in parts for series in part.outcome.series)
    assert first is second == ("a", "")


def test_no_more_is_drawn_than_a_batch_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw_rows, "BATCH_BYTES", 1)
    asked: list[str] = []

    def results() -> Iterator[DayResult]:
        for plant in "abcd":
            asked.append(plant)
            yield DayResult(DAY, answer(plant_day(plant)))

    parts = accept_answers(results(), {DAY: KnownDay("utc")}, still_listed=lambda: "abcd")
    next(parts)
    # The first answer of the next plant says that the first plant is complete.
    assert asked == ["a", "b"]


def test_a_series_is_dropped_whole_when_one_of_its_requests_failed() -> None:
    later = DAY + dt.timedelta(days=1)
    frames, fetched = drawn(
        answer(plant_day("1")),
        failure(plant_day("1", later)),
        answer(plant_day("2")),
        failure(plant_day("3")),
        failure(plant_day("3", later)),
    )
    assert pl.concat(frames)["plant_id"].to_list() == ["2"]
    assert fetched.series == {("2", "")}
    assert [f.request.plant_id for f in fetched.failures] == ["1", "3", "3"]
    assert fetched.answers == 1


@pytest.mark.parametrize(
    "empty",
    [
        WITHOUT_ROWS,
        anybody([], name="time"),
        anybody([], name='"time":'),
        b'{"plant":{"timezone":"Europe/Berlin"},"set":[]}',
    ],
)
def test_an_answer_without_rows_never_replaces_one_with_rows(empty: bytes) -> None:
    stored = frozenset({("1", "", "2025-07-09")})
    frames, fetched = drawn(answer(plant_day("1"), empty), answer(plant_day("2"), empty), with_rows=stored)
    assert pl.concat(frames).select("plant_id", "no_rows").rows() == [("2", True)]
    assert (fetched.kept, fetched.series, fetched.failures) == ((("1", ""),), {("2", "")}, ())


def test_a_failing_device_does_not_take_its_siblings_along() -> None:
    good, bad = (Request.measured("1", device, "EnergyAndPowerPv", "Day", DAY) for device in ("a", "b"))
    (frame,), fetched = drawn(answer(good), failure(bad))
    assert frame["device_id"].to_list() == ["a"]
    assert fetched.series == {("1", "a")}
    assert [f.request.device_id for f in fetched.failures] == ["b"]


def test_rows_of_one_answer_do_not_replace_a_plant_whose_other_answer_lost_its_rows() -> None:
    later = DAY + dt.timedelta(days=1)
    stored = frozenset({("1", "", later.isoformat())})
    frames, fetched = drawn(
        answer(plant_day("1")), answer(plant_day("1", later), WITHOUT_ROWS), with_rows=stored
    )
    assert (frames, fetched.kept) == ([], (("1", ""),))


def test_an_answer_with_rows_replaces_one_with_rows() -> None:
    stored = frozenset({("1", "", "2025-07-09"), ("1", "", "2025-07-10")})
    (frame,), fetched = drawn(answer(plant_day("1")), with_rows=stored)
    assert (frame["no_rows"].to_list(), fetched.kept) == ([False], ())


def test_log_entries_are_rows_too() -> None:
    request = Request.logs("1", DAY)
    entries = {"plant": {"timezone": "Europe/Berlin"}, "logs": [{"timestamp": "2025-07-09T10:00:00"}]}
    (frame,), _ = drawn(
        answer(request, json.dumps(entries).encode()),
        answer(Request.logs("2", DAY), json.dumps(entries | {"logs": []}).encode()),
    )
    assert frame["no_rows"].to_list() == [False, True]


@pytest.mark.parametrize("request_", LISTS, ids=lambda request: request.endpoint)
def test_lists_are_never_without_rows(request_: Request) -> None:
    (frame,), fetched = drawn(
        answer(request_, LISTS[request_]), with_rows=frozenset({(request_.plant_id, "", "")})
    )
    assert (frame["no_rows"].to_list(), fetched.kept) == ([False], ())


@pytest.mark.parametrize("request_", LISTS, ids=lambda request: request.endpoint)
@pytest.mark.parametrize("content", [b"<html></html>", b"", b"[]", b'{"plants":[', b"\xff"])
def test_a_list_that_is_none_counts_as_a_request_that_failed(request_: Request, content: bytes) -> None:
    with pytest.raises(TransientError, match=r"answered 200, but not with .*: run it again") as raised:
        drawn(answer(request_, content))
    assert (raised.value.status, raised.value.path) == (200, request_.path)


@pytest.mark.parametrize("request_", LISTS, ids=lambda request: request.endpoint)
@pytest.mark.parametrize("content", [{}, {"devices": None}, {"message": "x"}, {"sets": {}}, {"plants": "a"}])
def test_an_object_without_the_list_is_none(request_: Request, content: Row) -> None:
    good = Request.devices("9")
    frames, fetched = drawn(
        answer(request_, json.dumps(content).encode()), answer(good, LISTS[Request.devices("1")])
    )
    assert pl.concat(frames)["plant_id"].to_list() == ["9"]
    assert [f.request for f in fetched.failures] == [request_]


@pytest.mark.parametrize(
    "content",
    [
        b"<html>a page of the portal</html>",
        b'{"message":"no consent","code":"200"}',
        b"",
        b"\xff",
        WITH_ROWS[:-9],
        b"[" + WITH_ROWS + b"]",
        WITH_ROWS.replace(b'"set"', b'"rows"'),
    ],
)
def test_measurements_that_cannot_be_read_replace_nothing_and_are_failures(content: bytes) -> None:
    (frame,), fetched = drawn(answer(plant_day("1"), content), answer(plant_day("2")))
    assert frame["plant_id"].to_list() == ["2"]
    assert fetched.series == {("2", "")}
    assert [f.request.plant_id for f in fetched.failures] == ["1"]
    assert "but not with measurements" in str(fetched.failures[0].error)


def test_a_day_of_which_nothing_can_be_read_is_missing_and_ends_no_run() -> None:
    refused = PermanentError("GET /v1/x answered 404: check the id.", path="/v1/x", status=404)
    frames, fetched = drawn(answer(plant_day("1"), b"<html>"), failure(plant_day("2"), refused))
    assert (frames, len(fetched.failures)) == ([], 2)


def test_wrong_credentials_end_everything_at_once() -> None:
    asked: list[str] = []

    def results() -> Iterator[DayResult]:
        for plant in "abc":
            asked.append(plant)
            error = CredentialsError("The secret is wrong: check SMA_CLIENT_SECRET.")
            yield DayResult(DAY, failure(plant_day(plant), error))

    with pytest.raises(CredentialsError, match="SMA_CLIENT_SECRET"):
        list(accept_answers(results(), {DAY: KnownDay("utc")}, still_listed=set))
    assert asked == ["a"]


def test_the_only_failure_is_raised_as_it_is() -> None:
    error = PermanentError("GET /v1/x answered 404: check the id.", path="/v1/x", status=404)
    with pytest.raises(PermanentError) as raised:
        drawn(failure(Request.plants(), error))
    assert raised.value is error


@pytest.mark.parametrize(("second", "transient"), [(TransientError, True), (PermanentError, False)])
def test_all_failures_are_told_in_one_error(second: type[SmaError], transient: bool) -> None:
    with pytest.raises(
        SmaError, match=r"None of the 2 requests was answered\. The first error: GET /v1/plants/1/"
    ) as raised:
        drawn(failure(plant_day("1")), failure(plant_day("2"), second("x")))
    assert raised.value.transient is transient
    assert raised.value.path == plant_day("1").path


def test_failures_beside_kept_rows_are_not_raised() -> None:
    stored = frozenset({("1", "", "2025-07-09")})
    frames, fetched = drawn(answer(plant_day("1"), WITHOUT_ROWS), failure(plant_day("2")), with_rows=stored)
    assert (frames, len(fetched.failures), fetched.kept) == ([], 1, (("1", ""),))


def test_nothing_asked_is_nothing_drawn() -> None:
    assert drawn() == ([], DayOutcome())
