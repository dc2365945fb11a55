"""Which answers are no answers, and why: most of them are judged by a quick reader, and nothing slips through it."""

import polars as pl
import pytest

from pipeline.transform import answer_bounds
from pipeline.transform.answer_bounds import find_unreadable
from pipeline.transform.answer_text import list_buffers
from tests.fuzz.inputs import ODD_VALUES

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


PLAIN = b'{"plant":{"name":"a"},"set":[{"time":"b","pv":-1.5e3,"on":true,"c":[{"index":1}]}]}'
SIGNS = [b"", *(bytes([sign]) for sign in b'{}[]",:0.-+eEstu/\\ \t\x00\x0c\xc3\xff')]
ODD_PARTS = (
    *(value.encode() for value in ODD_VALUES),
    *(b"01", b"-", b"1.", b".5", b"+1", b"1e", b"0x1", b"1_0", b"nan", b"/*1*/1", b"\xef\xbb\xbf1", b"1" * 400),
    *(b'"\\x"', b'"\\u12"', b'"a\tb"', b'"\x7f"', b'"\xed\xa0\x80"', b'"\xc0\x80"', b"[1,]", b'{"a":1,}'),
    *(b'1,"set":[]', b'1,"s\\u0065t":1', b'1},{"set":2', b'1}],"set":[{"a":1', b'1}],"\\u0073et":[{"a":1'),
    b"[" * 1200 + b"]" * 1200,
)  # fmt: skip


def test_a_right_answer_is_not_given_to_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_bounds, "sort_out", lambda *_: pytest.fail("the engine was asked"))
    assert find_unreadable(pl.Series([PLAIN, b' { "set" : [ ] } '], dtype=pl.Binary)) == {}


def test_the_quick_reader_accepts_nothing_that_the_engine_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    # Every edit of one byte, and what a value may be in place of the number and of the text.
    bodies = [
        PLAIN[:place] + sign + PLAIN[place + gone :]
        for place in range(len(PLAIN))
        for sign in SIGNS
        for gone in (0, 1)
    ]
    bodies += [PLAIN.replace(old, part) for old in (b"-1.5e3", b'"b"', b'"a"') for part in ODD_PARTS]
    given = pl.Series(bodies, dtype=pl.Binary)
    found = find_unreadable(given)
    monkeypatch.setattr(answer_bounds, "_is_right", lambda _: False)
    assert find_unreadable(given) == found
    assert len(bodies) / 10 < len(found) < len(bodies)


def test_texts_are_found_where_they_lie() -> None:
    texts = pl.Series(["short", "a text of thirteen", None, "", "ü" * 6, "ü" * 7, "x" * 100_000])
    for some in (texts, texts[2:5], texts[[5, 1, 1, 0]], pl.concat([texts, texts[1:3]], rechunk=False)):
        found = [buffer.to_pybytes().decode() for buffer in list_buffers(some)]
        assert found == some.fill_null("").to_list()
    (whole,) = list_buffers(texts[-1:])
    (again,) = list_buffers(texts[-1:])
    assert whole.address == again.address
