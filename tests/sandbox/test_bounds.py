"""Nothing in the server grows with the number of requests."""

import numpy as np
import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.sandbox_clock import SandboxClock
from sandbox.series.render import write_lists, write_object, write_rows
from sandbox.services.measurements import BodyCache
from sandbox.tokens import ACCESS_S, Client, TokenStore


def test_kept_bodies_are_bounded_by_their_bytes_and_the_oldest_go_first() -> None:
    bodies = BodyCache(limit=100)
    for number in range(50):
        bodies.put((number,), bytes(30))
        bodies.get((48,))
    assert [number for number in range(50) if bodies.get((number,)) is not None] == [47, 48, 49]


def test_a_body_that_is_put_again_counts_once() -> None:
    bodies = BodyCache(limit=100)
    bodies.put((1,), bytes(30))
    for _ in range(10):
        bodies.put((2,), bytes(60))
    assert bodies.get((1,)) is not None


def test_dead_access_tokens_are_forgotten() -> None:
    clock = SandboxClock()
    tokens = TokenStore(clock)
    client = Client("a", "b", "custom")
    for _ in range(20):
        tokens.start(client, None, offline=False)
        clock.advance(ACCESS_S / 4)
    assert tokens.expire_access_tokens() <= 4


SOME_NUMBERS = st.one_of(
    st.floats(-1e12, 1e12),
    st.floats(-10, 10),
    st.integers(-(10**10), 10**10).map(lambda number: number / 1000),
    st.sampled_from(
        [
            0.0,
            -0.0,
            999.9995,
            9999.999,
            9999.9995,
            -999.9994,
            999_999.999,
            999_999.9995,
            1e6,
            0.0005,
            0.00001,
            -0.0004,
        ]
    ),
)


@settings(deadline=None)  # the first number makes the tables of all digits
@given(
    st.dictionaries(
        st.sampled_from(["pvGeneration", "gridFeedIn", "autarkyRate", "selfConsumptionRate"]),
        st.lists(st.one_of(st.none(), SOME_NUMBERS), min_size=3, max_size=3),
        max_size=4,
    ),
    st.booleans(),
)
def test_rows_are_what_a_plain_writer_would_write(
    values: dict[str, list[float | None]], strings: bool
) -> None:
    """The fast writer against one that goes row by row."""
    columns = {
        name: np.array([np.nan if v is None else v for v in column]) for name, column in values.items()
    }
    if strings:
        columns["dcPowerInput"] = np.arange(6.0).reshape(3, 2)
    labels = np.array([b"2023-01-01T00:05:00", b"2023-01-01T00:10:00", b"2023-01-01T00:15:00"])
    expected = []
    for row, label in enumerate(labels):
        entry: dict[str, object] = {"time": label.decode()}
        for name, column in values.items():
            value = column[row]
            if value is not None:
                entry[name] = float(np.round(value, 5 if name.endswith("Rate") else 3))
        if strings:
            entry["dcPowerInput"] = [
                {"index": "A", "value": 2.0 * row},
                {"index": "B", "value": 2.0 * row + 1},
            ]
        expected.append(entry)
    rows = orjson.loads(write_rows(labels, columns))
    assert rows == expected
    assert [list(row) for row in rows] == [list(row) for row in expected]
    twice = write_lists(np.stack([labels] * 2), {name: np.stack([v] * 2) for name, v in columns.items()})
    assert [orjson.loads(rows) for rows in twice] == [expected] * 2


def test_no_rows_and_no_columns() -> None:
    assert write_rows(np.array([], dtype="S19"), {}) == b"[]"
    assert write_rows(np.array([b"x"]), {}) == b'[{"time":"x"}]'
    assert write_object({}) == b"{}"
    assert write_object({"a": np.array([1.0])}) == b'{"a":1.0}'
    assert write_object({"a": np.array([np.nan]), "bRate": np.array([0.5])}) == b'{"bRate":0.5}'
