"""Which answers are no answers, and why: most of them are parsed once, and nothing slips through because of that."""

import polars as pl
import pytest

from pipeline.transform.answer_bounds import find_unreadable

REASONS = {
    b'{"set":[]}': None,
    b'{"plant":{"name":"\\u00dc"},"set":[{"time":"2025-06-09T00:05:00"}]}': None,
    b'{"plant":{"set":[]},"set":[]}': None,
    b'{"s\\u0065t":[]}': None,
    b'{"set":[],"set":[]}': "wrong_shape",
    b'{"set":[],"s\\u0065t":[]}': "wrong_shape",
    b'{"set":1,"set":[]}': "wrong_shape",
    b'{"plant":{"set":[]}}': "wrong_shape",
    b'{"set":{}}': "wrong_shape",
    b'{"set":null}': "wrong_shape",
    b"{}": "wrong_shape",
    b"[]": "wrong_shape",
    b"null": "wrong_shape",
    b"": "not_json",
    b'{"set":[]': "not_json",
    b'{"set":[]}{"set":[]}': "not_json",
    b"<html></html>": "not_json",
    b"\xff\xfe": "not_utf8",
}


@pytest.mark.parametrize("body", REASONS, ids=repr)
def test_the_reason_for_one_answer(body: bytes) -> None:
    found = find_unreadable(pl.Series([body], dtype=pl.Binary))
    assert found == ({} if REASONS[body] is None else {0: REASONS[body]})


def test_a_bad_answer_changes_nothing_for_its_neighbours() -> None:
    bodies = [body for body in REASONS for _ in range(2)]
    found = find_unreadable(pl.Series(bodies, dtype=pl.Binary))
    bad = {place for place, body in enumerate(bodies) if REASONS[body] is not None}
    assert set(found) == bad
