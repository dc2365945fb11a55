"""The rows of a list are read once while nothing of it changes, and within a bound of memory."""

from typing import Any

import polars as pl
import pytest

from pipeline.transform.lists import list_rows
from pipeline.transform.lists.list_rows import read_list_rows

SETS = (
    'SELECT plant_id, device_id, unnest(from_json(body, \'{"sets": ["VARCHAR"]}\').sets) AS name FROM batch'
)
OWNERS = "SELECT plant_id FROM batch"


def answer(plant: str, body: bytes) -> pl.DataFrame:
    return pl.DataFrame({"plant_id": [plant], "device_id": [""], "body": [body]})


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The queries that the engine was asked, of a process that has kept nothing."""
    queries: list[str] = []
    real = list_rows.run_on

    def note(query: str, *more: Any) -> pl.DataFrame:
        queries.append(query)
        return real(query, *more)

    monkeypatch.setattr(list_rows, "_kept", list_rows._KeptRows())
    monkeypatch.setattr(list_rows, "run_on", note)
    return queries


def test_the_engine_is_asked_once_for_the_same(asked: list[str]) -> None:
    body = b'{"sets": ["a", "b"]}'
    for _ in range(3):
        assert read_list_rows(SETS, answer("1", body), "sets")["name"].to_list() == ["a", "b"]
    assert asked == [SETS]


def test_whatever_differs_is_asked_for(asked: list[str]) -> None:
    first = answer("1", b'{"sets": ["a"]}')
    others = [
        answer("2", b'{"sets": ["a"]}'),
        answer("1", b'{"sets": ["b"]}'),
        first.with_columns(device_id=pl.lit("7")),
        pl.concat([first, first]),
    ]
    rows = [read_list_rows(SETS, batch, "sets").rows() for batch in (first, *others)]
    assert rows == [
        [("1", "", "a")],
        [("2", "", "a")],
        [("1", "", "b")],
        [("1", "7", "a")],
        [("1", "", "a"), ("1", "", "a")],
    ]
    assert read_list_rows(OWNERS, first, "sets").rows() == [("1",)]
    assert len(asked) == 6


def test_what_was_not_asked_for_longest_makes_room(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(list_rows, "KEPT_BYTES", 2 * list_rows.EMPTY_BYTES + 1000)
    for plant in ("1", "2", "1", "3", "1", "2"):
        assert read_list_rows(OWNERS, answer(plant, b"{}"), "sets").item() == plant
    assert len(asked) == 4
    # What alone is larger is not kept, and takes the place of nothing.
    long = "x" * 10_000
    assert read_list_rows(OWNERS, answer(long, b"{}"), "sets").item() == long
    assert read_list_rows(OWNERS, answer("2", b"{}"), "sets").item() == "2"
    assert len(asked) == 5
