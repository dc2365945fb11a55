"""Lists of which a part is not JSON: the rest is read, what is not is told, and a list that was cut off is no list."""

import json
from typing import Any

import polars as pl
import pytest

from pipeline.transform.lists import broken_lists
from pipeline.transform.lists.broken_lists import (
    MOST_MENDED,
    OddPart,
    decode_lists,
    find_odd_parts,
    mend_list,
    parse_list,
)

SOUND = '{"plants":[{"plantId":"1","power":5.0},{"plantId":"2","power":6.0}]}'


def read(text: str) -> Any:
    return parse_list(text.encode(), "plants")


@pytest.mark.parametrize(
    "token",
    ["0x10", "+5", "007", ".5", "1.", "12.3.4", "undefined", "None", "True", "'x'", "/*x*/1", "\u0661", "#"],
)
def test_a_value_that_is_not_json_counts_as_not_given(token: str) -> None:
    text = SOUND.replace("5.0", token)
    assert read(text)["plants"] == [{"plantId": "1", "power": None}, {"plantId": "2", "power": 6.0}]
    found = mend_list(text, "plants")
    assert found is not None
    assert found.odd == (OddPart("1", token, kept=True),)


@pytest.mark.parametrize("text", [r'"a\qb"', r'"\u12"', '"a\tb"', '"a\x00b"'])
def test_a_character_that_is_not_json_costs_only_itself(text: str) -> None:
    first, second = read(SOUND.replace("5.0", text))["plants"]
    assert (first["plantId"], second) == ("1", {"plantId": "2", "power": 6.0})
    assert set(first["power"]) <= set("a b\ufffdq12")


@pytest.mark.parametrize(
    "entry", ['{"plantId":"1","power":1,000}', '{"plantId":"1" "power":1}', "1 2", '"a" "b"']
)
def test_an_entry_that_can_t_be_read_is_left_out_alone(entry: str) -> None:
    text = SOUND.replace('{"plantId":"1","power":5.0}', entry)
    found = mend_list(text, "plants")
    assert found is not None
    assert json.loads(found.text)["plants"][-1] == {"plantId": "2", "power": 6.0}
    assert not any(odd.kept for odd in found.odd)
    assert found.odd


@pytest.mark.long
def test_an_entry_that_is_too_deep_is_left_out_alone() -> None:
    deep = "[" * 100_000 + "]" * 100_000
    text = SOUND.replace("5.0", deep)
    assert read(text) == {"plants": [{"plantId": "2", "power": 6.0}]}
    (decoded,) = decode_lists(pl.Series([text.encode()]), "plants")
    assert json.loads(decoded) == read(text)


@pytest.mark.parametrize(
    "text",
    [
        SOUND[:-1],
        SOUND[:40],
        SOUND.replace("5.0", "0x1")[:-2],
        SOUND.replace('"1"', '"1'),
        "<html>",
        "",
        '{"plants":0x1}',
        '{"plants":[0x1}]',
        "[0x1]",
        '{"devices":[0x1]}',
        '{"a":{"plants":[0x1, 1]}}',
        # Nothing of it can be read, and an empty list would say that all plants are gone.
        '{"plants":[{"a":1,000}]}',
        '{"plants":[0x1' + " " * MOST_MENDED + "]}",
    ],
)
def test_a_list_that_was_cut_off_or_is_none_is_refused(text: str) -> None:
    assert not isinstance(read(text), dict) or "plants" not in read(text)


@pytest.mark.parametrize(
    "text", ['"' * 200_001, '"' + "\\" * 400_001, '"a\\"b' * 100_000 + "\\", "[" * 200_000]
)
def test_a_hostile_text_is_looked_at_once(text: str) -> None:
    """A second look from each sign would never end."""
    assert mend_list('{"plants":[' + text, "plants") is None


def test_a_list_that_is_there_twice_is_read_as_one() -> None:
    text = '{"plants":[{"plantId":"1"}],"plant":{"plantId":"9"},"plants":[{"plantId":"2"}]}'
    assert read(text) == {"plant": {"plantId": "9"}, "plants": [{"plantId": "1"}, {"plantId": "2"}]}


def test_the_parts_that_can_t_be_read_are_told_with_who_was_asked() -> None:
    bodies = [SOUND.encode(), SOUND.replace("6.0", "0x10").encode()]
    answers = pl.DataFrame({"plant_id": ["8", "9"], "device_id": ["", ""], "body": bodies})
    assert find_odd_parts(answers, "plants").rows() == [("9", "", "2", "0x10", True)]
    assert decode_lists(answers["body"], "plants")[0] == SOUND


def test_small_lists_are_read_without_a_query_and_as_large_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    # What the engine reads though JSON by the letter has none of it, and what it does not read.
    lenient = [SOUND.replace("5.0", "NaN"), SOUND.replace("6.0}]", "6.0},]"), SOUND.replace("5.0", "1e999")]
    texts = [SOUND, *lenient, SOUND.replace("5.0", "0x10"), SOUND[:40], ""]
    bodies = [pl.Series([text.encode()]) for text in texts]
    small = [decode_lists(body, "plants").item() for body in bodies]
    with monkeypatch.context() as patched:
        patched.setattr(broken_lists, "MOST_PARSED", 0)
        assert [decode_lists(body, "plants").item() for body in bodies] == small
    assert small[: 1 + len(lenient)] == [SOUND, *lenient]
    monkeypatch.delattr(broken_lists, "run_on")
    assert decode_lists(pl.Series([SOUND.encode()] * 10), "plants").to_list() == [SOUND] * 10
