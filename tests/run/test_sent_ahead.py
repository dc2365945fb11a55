"""Requests of the next days are sent while others are stored: which ones, who takes them, and what a failure leaves."""

import datetime as dt
from collections.abc import Callable
from functools import partial

import pytest

from pipeline.common.errors import SunledgerError
from pipeline.run.context import RunContext
from pipeline.run.sent_ahead import DaysToFetch, SentAhead

WEEK = (dt.date(2021, 10, 4),)


class Sent:
    """Requests that are on their way until they are closed."""

    def __init__(self, count: int) -> None:
        self.count, self.closed = count, False

    def close(self) -> None:
        self.closed = True


class Wire:
    """Says what was sent, in this order: tables with so many requests each, or with a fault."""

    def __init__(self, **counts: int | Exception) -> None:
        self.counts, self.sent = counts, dict[str, Sent]()

    def list_upcoming(self) -> list[DaysToFetch]:
        return [DaysToFetch(name, WEEK, partial(self.send, name)) for name in self.counts]

    def send(self, name: str, _: RunContext) -> Sent:
        count = self.counts[name]
        if isinstance(count, Exception):
            raise count
        self.sent[name] = Sent(count)
        return self.sent[name]


@pytest.fixture
def runtime(new_runtime: Callable[..., RunContext]) -> RunContext:
    return new_runtime()


def test_the_next_days_that_lack_something_are_sent_and_no_others(runtime: RunContext) -> None:
    wire = Wire(first=2, second=0, third=3, fourth=1)
    with SentAhead(runtime, wire.list_upcoming()) as ahead:
        assert runtime.opened.sent_ahead is ahead
        assert ahead.take("first", WEEK) is None
        for _ in range(2):
            ahead.send_next()
        assert list(wire.sent) == ["second", "third"]
        assert ahead.take("second", WEEK) is wire.sent["second"]
        ahead.send_next()
        assert ahead.take("third", WEEK) is wire.sent["third"]
        ahead.send_next()
        assert list(wire.sent) == ["second", "third", "fourth"]
    assert runtime.opened.sent_ahead is None
    # What was taken is closed by those who took it.
    assert [one.closed for one in wire.sent.values()] == [False, False, True]


def test_what_cannot_be_sent_yet_is_left_to_its_turn(runtime: RunContext) -> None:
    wire = Wire(first=2, second=SunledgerError("Another run fetches it."), third=3, fourth=1)
    with SentAhead(runtime, wire.list_upcoming()) as ahead:
        ahead.take("first", WEEK)
        for _ in range(2):
            ahead.send_next()
        assert not wire.sent
        assert ahead.take("second", WEEK) is None
        ahead.send_next()
        assert list(wire.sent) == ["third"]


def test_a_run_that_waits_for_others_lets_go_of_what_it_has_sent_ahead(runtime: RunContext) -> None:
    wire = Wire(first=2, second=3, third=1)
    with SentAhead(runtime, wire.list_upcoming()) as ahead:
        ahead.take("first", WEEK)
        ahead.send_next()
        ahead.drop()
        assert wire.sent["second"].closed
        ahead.send_next()
        assert list(wire.sent) == ["second"]
        assert ahead.take("second", WEEK) is None
        ahead.send_next()
        assert list(wire.sent) == ["second", "third"]
