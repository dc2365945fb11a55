"""The pure rules: waits, Retry-After, texts from outside."""

import datetime as dt
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sma.clock import Clock
from pipeline.sma.http.redact import redact_text
from pipeline.sma.http.retry import RetryPolicy, is_transient, retry_after_s

NOW = dt.datetime(2025, 7, 1, 12, tzinfo=dt.UTC)
CLOCK = Clock(now=lambda: NOW, chance=lambda: 1.0)


@pytest.mark.parametrize(
    ("status", "transient"),
    [
        *((status, False) for status in (200, 308, 400, 401, 403, 404, 407, 410, 499, 600)),
        *((status, True) for status in (408, 429, 500, 502, 503, 504, 599)),
    ],
)
def test_which_statuses_are_worth_another_try(status: int, transient: bool) -> None:
    assert is_transient(status) is transient


def test_waits_double_and_end() -> None:
    policy = RetryPolicy()
    waits = [policy.wait_s(done, 503, None, CLOCK) for done in range(1, 7)]
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, None]


def test_rate_refusals_wait_longer_and_outlast_the_five_minutes_of_the_bucket() -> None:
    policy = RetryPolicy()
    clock = Clock(chance=lambda: 0.0)
    waits = [policy.wait_s(done, 429, None, clock) for done in range(1, 9)]
    assert waits == [2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, None]
    assert sum(w for w in waits if w) > 300


@given(
    st.integers(1, 20),
    st.sampled_from([None, 408, 429, 503]),
    st.none() | st.floats(0, 1e9),
    st.floats(0, 1, exclude_max=True),
)
def test_no_wait_is_longer_than_300_s_nor_shorter_than_asked(
    done: int, status: int | None, asked: float | None, chance: float
) -> None:
    wait = RetryPolicy().wait_s(done, status, asked, Clock(chance=lambda: chance))
    assert wait is None or min(asked or 0.0, 300.0) <= wait <= 300.0
    assert (wait is None) == (done >= (8 if status == 429 else 6))


def test_a_server_that_always_says_now_still_meets_a_growing_wait() -> None:
    waits = [RetryPolicy().wait_s(done, 429, 0.0, CLOCK) for done in range(1, 5)]
    assert waits == [0.5, 1.0, 2.0, 4.0]


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 7 "}, 7.0),
        ({"retry-after": "-7"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Tue, 01 Jul 2025 12:01:30 GMT"}, 90.0),
        ({"retry-after": "Tue, 01 Jul 2025 11:00:00 GMT"}, 0.0),
        # The server's own clock decides: this machine's may be wrong.
        ({"retry-after": "Tue, 01 Jul 2025 12:01:30 GMT", "date": "Tue, 01 Jul 2025 12:01:00 GMT"}, 30.0),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers, CLOCK) == seconds


@given(st.text())
def test_an_unreadable_retry_after_does_no_harm(text: str) -> None:
    seconds = retry_after_s({"retry-after": text, "date": text}, CLOCK)
    assert seconds is None or seconds >= 0


@given(st.integers(-(10**9), 10**9))
def test_a_date_and_the_same_seconds_mean_the_same(seconds: int) -> None:
    moment = NOW + dt.timedelta(seconds=seconds)
    headers = {"retry-after": format_datetime(moment, usegmt=True)}
    assert retry_after_s(headers, CLOCK) == max(0, seconds)


@given(st.text(), st.integers(10, 300))
def test_cleaned_text_is_one_short_printable_line(text: str, limit: int) -> None:
    cleaned = redact_text(text, limit=limit)
    assert len(cleaned) <= limit
    assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or c in "\u2028\u2029\u202e" for c in cleaned)


@given(st.text(), st.text("abcdef0123456789", min_size=8), st.text())
def test_a_secret_never_survives(before: str, secret: str, after: str) -> None:
    assert secret not in redact_text(f"{before}{secret}{after}", secrets=(secret,), limit=10_000)


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("owner jane.doe+x@example.com is unknown", "owner [e-mail] is unknown"),
        ("Bearer abc.def refused", "[token] refused"),
        ("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln is old", "[token] is old"),
        ("a\r\nb\x1b[31mc", "a b [31mc"),
    ],
)
def test_blotted_out(text: str, cleaned: str) -> None:
    assert redact_text(text) == cleaned
