"""An answer for several days, cut: each day's rows are byte for byte what came, or the answer is not cut at all."""

import datetime as dt
import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.extract.split_json import Pieces, Span, cut_logs, cut_rows
from tests.transform.answers import Row, examples, row

MONDAY = dt.datetime(2025, 7, 7)  # noqa: DTZ001 - labels are naive
HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)


def spans(count: int = 7, first: int = 0) -> list[Span]:
    edges = [(MONDAY + i * DAY).isoformat().encode() for i in range(first, first + count + 1)]
    return [Span(*pair) for pair in pairwise(edges)]


def hours(count: int, first: int = 1) -> list[Row]:
    """Rows of each hour's end, with arrays and nested values as some sets have."""
    return [
        row(
            (MONDAY + i * HOUR).isoformat(), float(i), dcPowerInput=[{"index": "A", "value": i}], note='}],{"'
        )
        for i in range(first, first + count)
    ]


def answer(rows: list[Row], **behind: object) -> bytes:
    envelope = {"plant": {"plantId": "1", "name": "[set] Ärger"}, "resolution": "OneHour", "set": rows}
    return json.dumps({**envelope, **behind}, separators=(",", ":"), ensure_ascii=False).encode()


def read(pieces: Pieces | None) -> list[list[Row]]:
    assert pieces is not None
    found = [json.loads(body) for body in pieces.bodies]
    assert [len(piece["set"]) for piece in found] == list(pieces.rows)
    return [piece["set"] for piece in found]


def test_a_label_belongs_to_the_day_that_it_ends() -> None:
    days = read(cut_rows(answer(hours(168)), spans()))
    assert [len(day) for day in days] == [24] * 7
    assert days[0][-1]["time"] == "2025-07-08T00:00:00"
    assert [row for day in days for row in day] == hours(168)


def test_the_envelope_stays_and_nothing_in_it_changes() -> None:
    body = answer(hours(48), total={"set": [1]}, later="ä")
    pieces = cut_rows(body, spans(2))
    assert pieces is not None
    opening, end = body.index(b'"set":[{') + 7, body.index(b'],"total"')
    first, second = pieces.bodies
    assert first[:opening] == second[:opening] == body[:opening]
    assert first.endswith(body[end:])
    assert second.endswith(body[end:])
    assert first[opening : -len(body[end:])] + b"," + second[opening : -len(body[end:])] == body[opening:end]


def test_days_that_are_not_wanted_and_rows_outside_are_left_out_and_counted() -> None:
    some = [spans()[1], spans()[4]]
    pieces = cut_rows(answer(hours(24 * 9, first=-23)), some)
    assert [len(day) for day in read(pieces)] == [24, 24]
    assert pieces is not None
    assert (pieces.before, pieces.after) == (48, 72)


def test_a_day_without_rows_is_an_empty_list() -> None:
    assert [len(day) for day in read(cut_rows(answer(hours(24, first=25)), spans(3)))] == [0, 24, 0]
    assert read(cut_rows(answer([]), spans(2))) == [[], []]


def test_within_a_day_the_order_does_not_matter() -> None:
    rows = hours(24)
    rows[3], rows[4] = rows[4], rows[3]
    assert read(cut_rows(answer([*rows, *hours(24, first=25)]), spans(2)))[0] == rows


def test_a_week_whose_newest_row_comes_first_is_cut_too() -> None:
    body = answer(hours(24 * 5, first=-23)[::-1])
    pieces = cut_rows(body, spans(3))
    assert [len(day) for day in read(pieces)] == [24] * 3
    assert pieces is not None
    assert (pieces.before, pieces.after) == (24, 24)
    assert [row for day in read(pieces)[::-1] for row in day] == hours(72)[::-1]
    assert [len(day) for day in read(cut_rows(answer(hours(72)[::-1]), [spans()[0], spans()[2]]))] == [24, 24]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"<html>busy</html>", id="a page"),
        pytest.param(b"", id="nothing"),
        pytest.param(b'{"message":"x"}', id="no list"),
        pytest.param(b'{"set":{}}', id="an object"),
        pytest.param(answer(hours(48))[:-40], id="cut short in a row"),
        pytest.param(answer(hours(48))[:-2], id="cut short behind the rows"),
        pytest.param(answer([*hours(24, first=25), *hours(24), *hours(24, first=49)]), id="days in disorder"),
        pytest.param(json.dumps({"set": hours(48)}).encode(), id="with white space"),
        pytest.param(answer([{"pvGeneration": 1.0, **r} for r in hours(48)]), id="time not first"),
        pytest.param(
            answer([*hours(30), {"pvGeneration": 1.0, "time": "2025-07-08T07:00:00"}, *hours(10, first=32)]),
            id="time not first in one row",
        ),
        pytest.param(answer([row("2025-07-07T01:00:00.5", 1.0)]), id="a fraction"),
        pytest.param(answer([row("2025-07-07T01:00:00Z", 1.0)]), id="an offset"),
        pytest.param(answer([{"a": hours(2)}, *hours(2)]), id="rows within a row"),
        pytest.param(b'{"set":[{"time":"2025-07-07T01:00:00","a":"\xff"}]}', id="not UTF-8"),
    ],
)
def test_what_does_not_have_the_plain_form_is_not_cut(body: bytes) -> None:
    assert cut_rows(body, spans()) is None


def test_a_row_without_a_time_stays_with_the_row_before_it() -> None:
    rows = hours(26)
    rows.insert(10, {"pvGeneration": 1.0})
    pieces = cut_rows(answer(rows), spans(2))
    assert pieces is not None
    assert [len(json.loads(body)["set"]) for body in pieces.bodies] == [25, 2]


@given(
    st.lists(st.integers(-2000, 12_000), max_size=60, unique=True).map(sorted),
    st.sets(st.integers(0, 6), min_size=1),
    st.booleans(),
)
@examples(150)
def test_every_row_is_in_the_span_that_it_belongs_to(
    minutes: list[int], wanted: set[int], newest_first: bool
) -> None:
    minutes = minutes[::-1] if newest_first else minutes
    labels = [(MONDAY + dt.timedelta(minutes=minute)).isoformat() for minute in minutes]
    rows = [row(label, 1.5) for label in labels]
    chosen = [spans()[day] for day in sorted(wanted)]
    expected = [[r for r in rows if span.begin.decode() < r["time"] <= span.end.decode()] for span in chosen]
    pieces = cut_rows(answer(rows), chosen)
    assert read(pieces) == expected
    assert pieces is not None
    assert pieces.before == sum(label <= chosen[0].begin.decode() for label in labels)


def log(*entries: Row) -> bytes:
    return json.dumps({"plant": {"plantId": "1", "x": None}, "logs": list(entries)}).encode()


def entries_of(pieces: Pieces | None) -> list[list[Row]]:
    assert pieces is not None
    return [json.loads(body)["logs"] for body in pieces.bodies]


def test_a_log_is_cut_by_its_entries_times_in_whatever_order_they_come() -> None:
    late, midnight, early = (
        {"logId": number, "timestamp": time, "message": 'a "b", ü'}
        for number, time in enumerate(["2025-07-08T10:00:00Z", "2025-07-08T00:00:00", "2025-07-07T09:00:00"])
    )
    (pieces,) = cut_logs([(log(late, midnight, early), spans(3))])
    assert entries_of(pieces) == [[early], [late, midnight], []]
    assert pieces is not None
    assert pieces.rows == (1, 2, 0)
    assert json.loads(pieces.bodies[2])["plant"] == {"plantId": "1", "x": None}


@pytest.mark.parametrize("odd", [{"message": "no time"}, {"timestamp": None}, {"timestamp": "soon"}])
def test_an_entry_without_a_time_is_not_lost(odd: Row) -> None:
    (pieces,) = cut_logs([(log(odd), spans(2))])
    assert entries_of(pieces) == [[odd], []]


def test_logs_outside_of_the_days_are_left_out() -> None:
    (pieces,) = cut_logs([(log({"timestamp": "2025-07-20T00:00:00"}), spans(2))])
    assert entries_of(pieces) == [[], []]


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"x":1}', b'{"logs":{}}', b"\xff", b'{"logs":[{'])
def test_what_is_no_log_is_not_cut_and_harms_no_other(body: bytes) -> None:
    bad, good = cut_logs([(body, spans(2)), (log(), spans(2))])
    assert bad is None
    assert entries_of(good) == [[], []]


def test_no_logs_are_no_pieces() -> None:
    assert cut_logs([]) == []
