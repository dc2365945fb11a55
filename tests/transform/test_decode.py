"""Answers to columns: every value is read or reported, whatever its neighbours look like."""

import json
import math
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.transform import json_engine
from pipeline.transform.decode import DecodedBatch, Decoder, _count_key_marks
from pipeline.transform.json_engine import PIECE_BYTES
from tests.transform.answers import Row, body, examples, row

FIELDS = ("pvGeneration", "gridFeedIn")
TIME = "2025-07-09T00:05:00"
HTML = b"<!DOCTYPE html><html><body>504 Gateway Time-out</body></html>"


def decode(*bodies: bytes) -> DecodedBatch:
    return Decoder(FIELDS).decode(pl.Series("body", bodies, dtype=pl.Binary))


def single(value: str) -> bytes:
    """An answer with one row whose pvGeneration is this JSON text."""
    return b'{"resolution":"FiveMinutes","set":[{"time":"%b","pvGeneration":%b}]}' % (
        TIME.encode(),
        value.encode(),
    )


# ---- what is read ----------------------------------------------------------------------------------------------------


def test_values_times_and_resolution_are_read_in_the_order_of_answers_and_rows() -> None:
    first = body([row("b", 2.5, gridFeedIn=0), row("a", 1e3)], "OneHour")
    read = decode(first, body([row("c", -4.0)], "FiveMinutes"))
    assert read.rows.columns == ["answer", "raw_time", *FIELDS]
    assert read.rows.rows() == [(0, "b", 2.5, 0.0), (0, "a", 1000.0, None), (1, "c", -4.0, None)]
    assert read.resolution.to_list() == ["OneHour", "FiveMinutes"]
    assert (read.bad_answers.height, read.bad_values.height, read.unknown_fields) == (0, 0, ())


def test_an_absent_key_is_null_and_so_is_an_explicit_null() -> None:
    read = decode(body([row("a"), row("b", 1.0, gridFeedIn=None), {}]))
    assert read.rows.rows() == [(0, "a", None, None), (0, "b", 1.0, None), (0, None, None, None)]
    assert not read.bad_values.height


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0.0),
        ("-0.0", 0.0),
        ("12", 12.0),
        ("12.5", 12.5),
        ('"12.5"', 12.5),
        ("1e3", 1000.0),
        ("18446744073709551615", 1.8446744073709552e19),
        ("99999999999999999999999999", 1e26),
        ("5e-324", 5e-324),
        ("1.7976931348623157e308", 1.7976931348623157e308),
        ("1e400", math.inf),
    ],
)
def test_every_number_is_read_as_it_is(text: str, value: float) -> None:
    read = decode(single(text))
    assert read.rows["pvGeneration"].to_list() == [value]
    assert not read.bad_values.height


@pytest.mark.parametrize("text", ["NaN", "Infinity", '"NaN"', '"-inf"'])
def test_what_is_beyond_all_numbers_is_left_to_the_rules_of_quality(text: str) -> None:
    read = decode(single(text))
    assert not math.isfinite(read.rows["pvGeneration"][0])


@pytest.mark.parametrize(
    "text", ['"abc"', '""', '"1,5"', "true", "false", '"true"', "[1]", "[]", '{"value":1}', "{}"]
)
def test_a_value_that_is_no_number_is_reported_and_null(text: str) -> None:
    read = decode(body([row("x", 7.0)]), single(text))
    assert read.rows.rows() == [(0, "x", 7.0, None), (1, TIME, None, None)]
    assert read.bad_values.drop("index").rows() == [(1, "pvGeneration", text)]


def test_a_long_wrong_value_is_quoted_only_in_part() -> None:
    read = decode(single('"' + "x" * 5000 + '"'))
    assert read.bad_values["detail"].to_list() == ['"' + "x" * 99]


def test_unknown_fields_are_reported_every_time_and_cost_no_value() -> None:
    decoder = Decoder(FIELDS)
    odd = {
        "newField": 1,
        "other.field": {"a": 1},
        "TIME": 5,
        "answer": 2,
        "raw_time": 3,
        "pvgeneration": 4,
        "": 6,
        "it's": 7,
    }
    bodies = pl.Series("body", [body([row("a", 1.0, **odd), row("b", 2.0, newField="x")])], dtype=pl.Binary)
    for _ in range(3):
        read = decoder.decode(bodies)
        assert read.unknown_fields == tuple(sorted(odd))
        assert read.rows.rows() == [(0, "a", 1.0, None), (0, "b", 2.0, None)]
        assert not read.bad_values.height
    assert decoder.decode(pl.Series([body([row("a", 1.0)])])).unknown_fields == ()


def test_wrong_values_are_still_found_beside_fields_that_were_unknown_once() -> None:
    decoder = Decoder(FIELDS)
    for watts in (1.0, "abc"):
        read = decoder.decode(
            pl.Series([body([row("a", 2.0, extra=[1]), {"time": "b", "pvGeneration": watts, "extra": 1}])])
        )
    assert read.bad_values.drop("index").rows() == [(1, "pvGeneration", '"abc"')]


def test_more_unknown_fields_than_are_worth_reading_are_all_reported() -> None:
    decoder = Decoder(FIELDS)
    many = {f"field{number}": number for number in range(100)}
    bodies = pl.Series([body([row("a", 1.0, **many)])])
    for _ in range(2):
        assert decoder.decode(bodies).unknown_fields == tuple(sorted(many))
    assert len(decoder.extra) < 50


# ---- forms of text ---------------------------------------------------------------------------------------------------


def forms(rows: Sequence[Row]) -> dict[str, bytes]:
    """The same answer in other writings."""
    plain = {"plant": {"name": "A"}, "resolution": "OneHour", "set": list(rows)}
    turned = {
        "set": [dict(reversed(each.items())) for each in rows],
        "resolution": "OneHour",
        "plant": {"name": "A"},
    }
    escaped = json.dumps(plain).replace("pvGeneration", "pv\\u0047eneration").replace('"set"', '"s\\u0065t"')
    return {
        "compact": json.dumps(plain, separators=(",", ":")).encode(),
        "spaced": json.dumps(plain).encode(),
        "pretty": json.dumps(plain, indent=2).encode() + b"\n",
        "space before the colon": json.dumps(plain, separators=(" , ", " : ")).encode(),
        "line before the colon": json.dumps(plain, separators=(",", "\n:\t")).encode(),
        "other order": json.dumps(turned, separators=(",", ":")).encode(),
        "escaped": escaped.encode(),
    }


@pytest.mark.parametrize("form", forms([]))
def test_the_writing_of_the_json_does_not_matter(form: str) -> None:
    rows = [row("2025-07-09T00:05:00", 1.5), row("2025-07-09T00:10:00", gridFeedIn=2)]
    read = decode(forms(rows)[form])
    assert read.rows.rows() == [(0, rows[0]["time"], 1.5, None), (0, rows[1]["time"], None, 2.0)]
    assert read.resolution.to_list() == ["OneHour"]
    assert (read.bad_answers.height, read.bad_values.height, read.unknown_fields) == (0, 0, ())


def test_a_resolution_behind_many_rows_is_found() -> None:
    late = b'{"set":[%b],"resolution":"OneMinute"}' % b",".join(b'{"time":"t%d"}' % n for n in range(1000))
    read = decode(body([], None), late, body([row("a")], "OneHour"), HTML)
    assert read.resolution.to_list() == [None, "OneMinute", "OneHour", None]


@pytest.mark.parametrize(
    "name", ['Haus "A": 1', '":":":', 'true "set": [{', "Zürich 🌞", "a\\b", '"resolution":"OneDay"']
)
def test_names_that_look_like_json_change_nothing(name: str) -> None:
    odd = body([row("a", 1.0), {"time": "b", "pvGeneration": "abc"}], name=name)
    read = decode(body([row("x", 2.0)]), odd)
    assert read.rows.rows() == [(0, "x", 2.0, None), (1, "a", 1.0, None), (1, "b", None, None)]
    assert read.bad_values.drop("index").rows() == [(2, "pvGeneration", '"abc"')]
    assert read.resolution.to_list() == ["FiveMinutes"] * 2


def test_an_envelope_longer_than_expected_is_read() -> None:
    read = decode(body([row("a", 1.0), {"time": "b", "pvGeneration": True}], name="n" * 5000))
    assert read.rows["pvGeneration"].to_list() == [1.0, None]
    assert read.bad_values["row"].to_list() == [1]
    assert read.resolution.to_list() == ["FiveMinutes"]


def test_an_escaped_name_of_the_list_does_not_upset_the_count() -> None:
    escaped = b'{"s\\u0065t":[{"time":"a","pvGeneration":"abc"},{"time":"b","set":1}]}'
    read = decode(escaped, body([row("c", gridFeedIn="x"), row("d", gridFeedIn="y")]))
    assert read.bad_values["row"].to_list() == [0, 2, 3]


# ---- doubles ---------------------------------------------------------------------------------------------------------


def test_a_key_given_twice_and_differently_is_set_aside() -> None:
    text = b'{"set":[{"time":"a","pvGeneration":1,"pvGeneration":2,"gridFeedIn":3},{"time":"b","pvGeneration":4}]}'
    read = decode(text)
    assert read.rows.rows() == [(0, "a", None, 3.0), (0, "b", 4.0, None)]
    assert read.bad_values.drop("index").rows() == [(0, "pvGeneration", "1 and 2")]


def test_a_key_given_twice_with_one_value_is_that_value() -> None:
    read = decode(b'{"set":[{"time":"a","time":"a","pvGeneration":1,"pvGeneration":1}]}')
    assert read.rows.rows() == [(0, "a", 1.0, None)]
    assert not read.bad_values.height


def test_a_row_with_two_times_has_none() -> None:
    read = decode(b'{"set":[{"time":"a","time":"b","pvGeneration":1},{"time":"c","pvGeneration":2}]}')
    assert read.rows.rows() == [(0, None, 1.0, None), (0, "c", 2.0, None)]


def test_an_answer_with_two_lists_of_rows_is_set_aside() -> None:
    read = decode(b'{"set":[{"time":"a"}],"set":[{"time":"b"}]}', body([row("c", 1.0)]))
    assert read.bad_answers.rows() == [(0, "wrong_shape")]
    assert read.rows.rows() == [(1, "c", 1.0, None)]


# ---- answers that can't be read --------------------------------------------------------------------------------------

UNREADABLE = [
    (b"", "not_json"),
    (HTML, "not_json"),
    (body([row("a", 1.0)])[:-2], "not_json"),
    (body([row("a", 1.0)])[:40], "not_json"),
    (body([row("a", 1.0)]) + b"x", "not_json"),
    (b"[" * 3000, "too_large"),
    (b'{"set":[{"time":"\xff"}]}', "not_utf8"),
    (body([row("ä", 1.0)]).decode("unicode_escape").encode("latin-1"), "not_utf8"),
    (b"null", "wrong_shape"),
    (b"[]", "wrong_shape"),
    (b'"set"', "wrong_shape"),
    (b'{"message":"Not Found","code":"404"}', "wrong_shape"),
    (b'{"set":null}', "wrong_shape"),
    (b'{"set":{"time":"a"}}', "wrong_shape"),
    (b'{"set":"a"}', "wrong_shape"),
    (b'{"Set":[]}', "wrong_shape"),
    (b'{"a":' * 2000 + b"1" + b"}" * 2000, "too_large"),
]


@pytest.mark.parametrize(("bad", "reason"), UNREADABLE)
def test_an_unreadable_answer_is_isolated_and_the_rest_survives(bad: bytes, reason: str) -> None:
    read = decode(body([row("a", 1.0)]), bad, body([{"time": "b", "pvGeneration": "abc"}]))
    assert read.bad_answers.rows() == [(1, reason)]
    assert read.rows.rows() == [(0, "a", 1.0, None), (2, "b", None, None)]
    assert read.bad_values.drop("index").rows() == [(1, "pvGeneration", '"abc"')]


def test_all_unreadable_answers_of_a_batch_are_named_in_order() -> None:
    read = decode(*(bad for bad, _ in UNREADABLE))
    assert read.bad_answers.rows() == [(at, reason) for at, (_, reason) in enumerate(UNREADABLE)]
    assert read.rows.height == 0
    assert read.rows.columns == ["answer", "raw_time", *FIELDS]


def test_an_empty_list_is_no_fault() -> None:
    read = decode(body([]), body([row("a", 1.0)]), body([]))
    assert read.rows.rows() == [(1, "a", 1.0, None)]
    assert not read.bad_answers.height


def test_no_answers_at_all_are_no_rows() -> None:
    assert decode().rows.height == 0


def test_rows_that_are_no_objects_stay_rows_without_anything() -> None:
    read = decode(b'{"set":[1,null,"x",[],{"time":"a","pvGeneration":1}]}')
    assert read.rows.rows() == [(0, None, None, None)] * 4 + [(0, "a", 1.0, None)]


@pytest.mark.parametrize(("text", "time"), [("5", "5"), ("true", "true"), ("null", None), ("[1]", "[1]")])
def test_a_time_that_is_no_text_is_kept_as_text_for_the_rules_of_time(text: str, time: str | None) -> None:
    read = decode(b'{"set":[{"time":%b,"pvGeneration":1}]}' % text.encode())
    assert read.rows.rows() == [(0, time, 1.0, None)]


# ---- nothing vanishes ------------------------------------------------------------------------------------------------

numbers = st.one_of(st.integers(-10, 10**19), st.floats(allow_nan=False, allow_infinity=False))
wrong = st.one_of(
    st.booleans(),
    st.sampled_from(["", "abc", "--1", '":', "1 2", "nul", "0x1f"]),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.sampled_from(["value", "a:b", '"', "set"]), st.booleans(), max_size=2),
)
cells = st.one_of(numbers, numbers, numbers, st.none(), wrong)
rows_of_answers = st.lists(
    st.fixed_dictionaries(
        {"time": st.just(TIME)}, optional=dict.fromkeys((*FIELDS, "unknown", "un:known"), cells)
    ),
    max_size=6,
)
names = st.text(st.sampled_from('":{}[],\\ truefals'), max_size=12)
separators = st.sampled_from([(",", ":"), (", ", ": "), (" ,", " :"), (",\n", "\t:\r\n")])


@st.composite
def answers(draw: st.DrawFn) -> tuple[bytes, list[Row] | None]:
    """The bytes of an answer, and its rows; None where it can't be read."""
    if draw(st.integers(0, 5)) == 0:
        return draw(st.sampled_from(UNREADABLE))[0], None
    rows = draw(rows_of_answers)
    members: list[tuple[str, Any]] = [
        ("plant", {"name": draw(names)}),
        ("resolution", "FiveMinutes"),
        ("set", rows),
    ]
    turned = dict(draw(st.permutations(members)))
    return json.dumps(
        turned, separators=draw(separators), indent=draw(st.sampled_from([None, 1]))
    ).encode(), rows


def number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


@examples(40)
@given(st.lists(answers(), max_size=5))
def test_every_cell_is_a_number_absent_or_reported(batch: list[tuple[bytes, list[Row] | None]]) -> None:
    check_cells(batch)


@pytest.mark.long
@examples(200)
@given(st.lists(answers(), max_size=5))
def test_every_cell_of_many_is_a_number_absent_or_reported(
    batch: list[tuple[bytes, list[Row] | None]],
) -> None:
    check_cells(batch)


def check_cells(batch: list[tuple[bytes, list[Row] | None]]) -> None:
    read = decode(*(text for text, _ in batch))
    flat = [(at, each) for at, (_, rows) in enumerate(batch) for each in rows or []]
    assert read.rows["answer"].to_list() == [at for at, _ in flat]
    assert read.bad_answers["answer"].to_list() == [at for at, (_, rows) in enumerate(batch) if rows is None]
    for field in FIELDS:
        assert read.rows[field].to_list() == [number(each.get(field)) for _, each in flat]
    reported = set(read.bad_values.select("row", "field").rows())
    lost = {
        (at, field)
        for at, (_, each) in enumerate(flat)
        for field in FIELDS
        if each.get(field) is not None and number(each[field]) is None
    }
    assert reported == lost
    seen = {name for _, each in flat for name in each} - {"time", *FIELDS}
    # An unknown field that is null everywhere may go unnoticed once it is known by name: it holds nothing.
    assert seen == set(read.unknown_fields)


# ---- bounds ----------------------------------------------------------------------------------------------------------


def test_a_broken_answer_behind_many_rows_is_reported_and_the_rows_are_kept() -> None:
    """The engine takes it in another piece of the batch than those whose rows it could hand over already."""
    plain = body([row(f"{number:040}", 1.5) for number in range(1_000)])
    count = 4 * PIECE_BYTES // len(plain)
    read = decode(*[plain] * count, single("1.5")[:-1], plain)
    assert read.rows.height == (count + 1) * 1_000
    assert read.rows["answer"].is_sorted()
    assert read.bad_answers.rows() == [(count, "not_json")]


def test_rows_are_in_one_piece_however_the_engine_hands_them_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames in pieces made intervals and energies take nearly twice the time."""
    answers = [body([row(f"{answer} {number}", 1.5) for number in range(2_000)]) for answer in range(4)]
    whole = decode(*answers)
    monkeypatch.setattr(json_engine, "ROWS_AT_ONCE", 2_048)
    read = decode(*answers)
    assert read.rows.n_chunks() == 1
    assert read.rows.equals(whole.rows)


# What a process may take beyond what Python and its libraries take, for one answer of a few megabytes.
MOST_MEMORY_MB = 500
MEMORY = """
import json, resource, sys
import polars as pl
from pipeline.transform.decode import Decoder
Decoder(["pvGeneration"]).decode(pl.Series("body", [b'{"set":[{"time":"a","x":1}]}'], dtype=pl.Binary))
found, before = [], None
for count, fields, own in cases:
    rows = [{"time": f"{n}", **{f"f{n * own}x{k}": 1.0 for k in range(fields)}} for n in range(count)]
    text = pl.Series("body", [json.dumps({"set": rows}).encode()], dtype=pl.Binary)
    before = before or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found.append(Decoder(["pvGeneration"]).decode(text).bad_answers["reason"].to_list())
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024, found)
"""
# Rows, fields a row, whether a row's fields are its own, and why the answer is set aside.
LARGE = [(116, 2000, 1, ["too_large"]), (1, 14_000, 1, ["too_large"]), (600, 400, 1, []), (600, 400, 0, [])]


@pytest.mark.long
def test_memory_follows_the_answer_and_not_its_square() -> None:
    """An answer of 3.5 MB with 2,000 fields of its own in each row took 6.4 GB; now all of these fit one bound."""
    code = f"cases = {[case for *case, _ in LARGE]}\n{MEMORY}"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    taken, _, said = done.stdout.strip().partition(" ")
    assert said == str([reasons for *_, reasons in LARGE])
    assert int(taken) < MOST_MEMORY_MB


def test_keys_are_counted_where_texts_lie_also_beside_other_texts() -> None:
    short, long = '{"set":[]}', '{"resolution":"FiveMinutes","set":[{"time":"2021-10-05T00:05:00","a":1}]}'
    texts = pl.Series([short, long] * 50)
    assert _count_key_marks(texts) == 50 * 1 + 50 * 4
    assert _count_key_marks(texts.slice(1, 2)) == 5
    assert _count_key_marks(pl.concat([texts, texts], rechunk=False)) == 500
    assert _count_key_marks(texts.clear()) == 0
