"""Tables of days are made while others are fetched: what is ready, what is taken, and what a failure leaves."""

import datetime as dt
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import pytest

from pipeline.run import made_ahead
from pipeline.run.context import RunContext
from pipeline.run.made_ahead import DayTable, MadeAhead, MakeDay
from pipeline.run.step_result import StepResult
from schemas import Quarantine
from tests.run.test_unchanged_steps import SOURCE, write
from tests.scripted import NOW

DAY, OTHER_DAY = dt.date(2021, 10, 4), dt.date(2021, 10, 5)
PATIENCE_S = 60.0


@pytest.fixture
def runtime(new_runtime: Callable[..., RunContext]) -> Iterator[RunContext]:
    with new_runtime() as opened:
        write(opened.lake, SOURCE)
        yield opened


class Maker:
    """A step that reads a part; says when it has begun, and waits until it may go on."""

    def __init__(self) -> None:
        self.days: list[dt.date] = []
        self.threads: set[int] = set()
        self.begun, self.may_end = threading.Event(), threading.Event()
        self.may_end.set()

    def __call__(self, runtime: RunContext, day: dt.date) -> StepResult:
        self.begun.set()
        assert self.may_end.wait(PATIENCE_S)
        self.days.append(day)
        self.threads.add(threading.get_ident())
        list(runtime.lake.read_batches(Quarantine, SOURCE))
        return StepResult(1, changed=True)


def tables(**makers: MakeDay) -> list[DayTable]:
    """Two fetched tables, and tables that read both; `second` reads `first` too."""
    fetched = [DayTable(name, frozenset(), None) for name in ("raw", "raw_logs")]
    inputs = {"first": {"raw", "raw_logs", "plants"}, "second": {"first", "raw"}}
    return [*fetched, *(DayTable(name, frozenset(inputs[name]), make) for name, make in makers.items())]


def test_a_day_is_made_when_all_that_the_run_brings_of_it_is_stored(runtime: RunContext) -> None:
    first, second = Maker(), Maker()
    with MadeAhead(runtime, tables(first=first, second=second)) as ahead:
        assert runtime.opened.ahead is ahead
        ahead.note_stored("raw", DAY)
        ahead.note_stored("raw", OTHER_DAY)
        ahead.note_stored("raw_logs", DAY)
        assert second.begun.wait(PATIENCE_S)
        assert ahead.take("second", DAY) == StepResult(1, changed=True)
        assert ahead.take("first", DAY) == StepResult(1, changed=True)
        assert ahead.take("first", OTHER_DAY) is None
    assert first.days == second.days == [DAY]
    assert threading.get_ident() not in first.threads
    assert runtime.opened.ahead is None


def begin_day(ahead: MadeAhead, maker: Maker) -> None:
    """All that the day is made of is stored, and the maker is at work on it."""
    for name in ("raw", "raw_logs"):
        ahead.note_stored(name, DAY)
    assert maker.begun.wait(PATIENCE_S)


def test_who_takes_a_day_that_is_being_made_waits_for_it(runtime: RunContext) -> None:
    first = Maker()
    first.may_end.clear()
    with MadeAhead(runtime, tables(first=first)) as ahead:
        begin_day(ahead, first)
        threading.Timer(0.2, first.may_end.set).start()
        assert ahead.take("first", DAY) == StepResult(1, changed=True)


def test_what_has_changed_since_is_not_taken(runtime: RunContext) -> None:
    first, second = Maker(), Maker()
    with MadeAhead(runtime, tables(first=first, second=second)) as ahead:
        for name in ("raw", "raw_logs"):
            ahead.note_stored(name, DAY)
        assert second.begun.wait(PATIENCE_S)
        write(runtime.lake, SOURCE, "12")
        assert ahead.take("first", DAY) is None


def test_a_failure_is_left_to_who_makes_the_day_in_its_turn(runtime: RunContext) -> None:
    def fail(_: RunContext, __: dt.date) -> StepResult:
        failed.set()
        raise ValueError("it failed")

    failed = threading.Event()
    with MadeAhead(runtime, tables(first=fail)) as ahead:
        for day in (DAY, OTHER_DAY):
            for name in ("raw", "raw_logs"):
                ahead.note_stored(name, day)
        assert failed.wait(PATIENCE_S)
        assert [ahead.take("first", day) for day in (DAY, OTHER_DAY)] == [None, None]


def test_a_day_that_is_not_closed_is_not_made_ahead(runtime: RunContext) -> None:
    first = Maker()
    with MadeAhead(runtime, tables(first=first)) as ahead:
        for name in ("raw", "raw_logs"):
            ahead.note_stored(name, NOW.date())
        assert ahead.take("first", NOW.date()) is None
    assert first.days == []


def test_the_end_of_the_block_lets_what_is_being_made_end_and_begins_nothing(runtime: RunContext) -> None:
    first = Maker()
    first.may_end.clear()
    with MadeAhead(runtime, tables(first=first)) as ahead:
        for day in (DAY, OTHER_DAY):
            for name in ("raw", "raw_logs"):
                ahead.note_stored(name, day)
        assert first.begun.wait(PATIENCE_S)
        threading.Timer(0.2, first.may_end.set).start()
    assert first.days == [DAY]


def test_a_long_wait_is_announced(runtime: RunContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(made_ahead, "QUIET_WAIT_S", 0.01)
    first, said = Maker(), list[str]()

    def tell(text: str) -> None:
        said.append(text)
        first.may_end.set()

    for wait_at_end in (False, True):
        first.begun.clear()
        first.may_end.clear()
        with MadeAhead(replace(runtime, tell=tell), tables(first=first)) as ahead:
            for name in ("raw", "raw_logs"):
                ahead.note_stored(name, DAY)
            assert first.begun.wait(PATIENCE_S)
            assert wait_at_end or ahead.take("first", DAY) == StepResult(1, changed=True)
    sentence = (
        "Another thread still makes first of 2021-10-04. This run waits for it for 120 seconds at most."
    )
    assert said == [sentence, sentence]


def test_what_a_day_has_taken_is_given_back_before_it_is_taken(
    runtime: RunContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fetch beside it goes on for weeks, and gives nothing back until its end."""
    freed: list[str] = []
    for name in ("free_kept_memory", "free_code_pages"):
        monkeypatch.setattr(made_ahead, name, partial(freed.append, name))
    first = Maker()
    first.may_end.clear()
    with MadeAhead(runtime, tables(first=first)) as ahead:
        begin_day(ahead, first)
        first.may_end.set()
        assert ahead.take("first", DAY) == StepResult(1, changed=True)
        assert freed == ["free_kept_memory", "free_code_pages"]
