"""The arithmetic of the budget, on clocks that pass by hand."""

import asyncio
from pathlib import Path

import pytest

from pipeline.sma.budget.file_store import FileStore, Moment, State
from pipeline.sma.budget.shared_budget import Budget, SharedBudget
from tests.budget.conftest import FakeTime


def shared(time: FakeTime, path: Path, requests: int | None) -> SharedBudget:
    """A budget of `requests` in 300 s whose state is in `path`."""
    return SharedBudget(Budget(requests), FileStore(path, time.moment, time.sleep), time.clock)


def send_for(
    limiter: SharedBudget, time: FakeTime, seconds: float, idle: tuple[float, ...] = ()
) -> list[float]:
    """Send as fast as is allowed; the times of sending. Before some requests the work rests for `idle` seconds."""
    begin, sent = time.monotonic, []
    rests = list(idle)

    async def run() -> None:
        while True:
            await limiter.admit()
            if time.monotonic - begin > seconds:
                return
            sent.append(time.monotonic - begin)
            if rests:
                time.pass_by(rests.pop(0))

    asyncio.run(run())
    return sent


def most_in_any(sent: list[float], window_s: float) -> int:
    return max(sum(start <= at < start + window_s for at in sent) for start in sent)


def refusals(sent: list[float], size: int, level: float) -> int:
    """How many of these a token bucket of `size` would refuse that holds `level` at time 0."""
    refused, seen_at = 0, 0.0
    for at in sent:
        level = min(size, level + (at - seen_at) * size / 300.0)
        seen_at = at
        if level >= 1:
            level -= 1
        else:
            refused += 1
    return refused


@pytest.mark.parametrize("requests", [1, 2, 7, 49, 50, 100, 1000])
@pytest.mark.parametrize(
    "idle", [(), (2.0,) * 20, (500.0, 0.0, 299.0)], ids=["busy", "pauses", "long pauses"]
)
def test_never_more_than_the_budget_in_any_window_nor_beyond_an_empty_bucket(
    time: FakeTime, tmp_path: Path, requests: int, idle: tuple[float, ...]
) -> None:
    sent = send_for(shared(time, tmp_path / "state", requests), time, 1500.0, idle)
    assert most_in_any(sent, 300.0) <= requests
    # The bucket at SMA may be empty when we begin: another machine may have spent it.
    assert refusals(sent, requests, level=0.0) == 0


@pytest.mark.parametrize("requests", [50, 100, 1000])
def test_all_but_a_hundredth_is_spent(time: FakeTime, tmp_path: Path, requests: int) -> None:
    sent = send_for(shared(time, tmp_path / "state", requests), time, 3000.0)
    assert len(sent) >= 0.97 * 10 * requests


def test_short_pauses_of_the_work_are_made_up_for(time: FakeTime, tmp_path: Path) -> None:
    sent = send_for(shared(time, tmp_path / "state", 1000), time, 600.0, ((0.0,) * 9 + (2.5,)) * 200)
    assert len(sent) >= 0.97 * 2000


def test_requests_go_in_the_order_of_asking(time: FakeTime, tmp_path: Path) -> None:
    limiter = shared(time, tmp_path / "state", 300)
    gone: list[int] = []

    async def one(number: int) -> None:
        await limiter.admit()
        gone.append(number)

    async def run() -> None:
        await asyncio.gather(*(one(number) for number in range(20)))

    asyncio.run(run())
    assert gone == list(range(20))


def test_a_token_is_counted_but_never_waits(time: FakeTime, tmp_path: Path) -> None:
    limiter = shared(time, tmp_path / "state", 99)

    async def run() -> float:
        await limiter.admit()
        began = time.monotonic
        await limiter.charge()
        assert time.monotonic == began
        await limiter.admit()
        return time.monotonic - began

    # 2 requests at 0.99 * 99 / 300 a second: one for the token that was not in the bucket.
    assert asyncio.run(run()) == pytest.approx(2 / (0.99 * 99 / 300))


@pytest.mark.parametrize("requests", [None, 1000])
def test_a_refusal_makes_everybody_pause_and_is_never_shortened(
    time: FakeTime, tmp_path: Path, requests: int | None
) -> None:
    one, other = (shared(time, tmp_path / "state", requests) for _ in range(2))

    async def run() -> float:
        await one.admit()
        began = time.monotonic
        await one.pause(100.0)
        await other.pause(10.0)
        await other.admit()
        return time.monotonic - began

    assert 100.0 <= asyncio.run(run()) < 101.0


def test_a_pause_prolonged_meanwhile_is_waited_out(time: FakeTime, tmp_path: Path) -> None:
    one, other = (shared(time, tmp_path / "state", None) for _ in range(2))

    async def run() -> float:
        began = time.monotonic
        await one.pause(10.0)
        waiting = asyncio.create_task(one.admit())
        await asyncio.sleep(0)
        await other.pause(50.0)
        await waiting
        return time.monotonic - began

    assert asyncio.run(run()) == pytest.approx(60.0)


def test_a_request_that_is_not_ready_any_more_counts_nothing(time: FakeTime, tmp_path: Path) -> None:
    """Its token may have ended while it waited."""
    limiter = shared(time, tmp_path / "state", 1000)
    token_ends_at = time.monotonic + 270.0

    async def run() -> tuple[bool, float]:
        await limiter.pause(290.0)
        admitted = await limiter.admit(lambda: time.monotonic < token_ends_at)
        return admitted, (await limiter.look()).level

    admitted, level = asyncio.run(run())
    assert not admitted
    assert level > 0


def test_no_pause_is_longer_than_five_minutes() -> None:
    state, _ = Budget(None).refuse(None, FakeTime().moment(), 86_400.0)
    assert state.pause_s == 300.0


def test_refusals_slow_down_once_in_a_pause_and_the_pace_comes_back() -> None:
    time, budget = FakeTime(), Budget(1000)
    state: State | None = None
    for _ in range(16):  # what was on its way together is refused together
        state, _ = budget.refuse(state, time.moment(), 5.0)
    assert state is not None
    assert state.pace == pytest.approx(0.7)
    for _ in range(20):
        time.pass_by(6.0)
        state, _ = budget.refuse(state, time.moment(), 5.0)
    assert 0.1 <= state.pace < 0.2
    time.pass_by(900.0)
    assert budget.advance(state, time.moment()).pace == 1.0


def test_a_shared_credential_is_not_hammered(time: FakeTime, tmp_path: Path) -> None:
    """The setting says twice what SMA allows: the pace settles, and refusals stay rare."""
    limiter = shared(time, tmp_path / "state", 1000)
    level, seen_at, outcomes = 0.0, time.monotonic, []

    async def run() -> None:
        nonlocal level, seen_at
        end = time.monotonic + 3000.0
        while time.monotonic < end:
            await limiter.admit()
            level, seen_at = min(500.0, level + (time.monotonic - seen_at) * 500 / 300), time.monotonic
            outcomes.append(level >= 1)
            if level >= 1:
                level -= 1
            else:
                await limiter.pause(5.0)

    asyncio.run(run())
    assert outcomes.count(False) < 0.05 * len(outcomes)
    assert outcomes.count(True) > 0.7 * 5000


@pytest.mark.parametrize("jump_s", [-86_400.0, 86_400.0])
def test_a_jump_of_the_wall_clock_changes_nothing(time: FakeTime, tmp_path: Path, jump_s: float) -> None:
    limiter = shared(time, tmp_path / "state", 1000)
    before = send_for(limiter, time, 60.0)
    time.wall += jump_s
    after = send_for(limiter, time, 60.0)
    assert abs(len(after) - len(before)) <= 1


@pytest.mark.parametrize(("down_s", "ready"), [(0.5, False), (600.0, True), (-3600.0, False)])
def test_after_a_restart_the_wall_clock_says_how_long_it_took(down_s: float, ready: bool) -> None:
    time, budget = FakeTime(), Budget(300)
    state, wait_s = budget.take(None, time.moment())
    assert wait_s > 1.0
    time.restart(down_s)
    _, wait_s = budget.take(state, time.moment())
    assert (wait_s == 0.0) is ready


def test_a_monotonic_clock_that_stands_back_gives_nothing_away() -> None:
    earlier, later = Moment(b"boot", 50.0, 1000.0), Moment(b"boot", 20.0, 5000.0)
    assert later.measure_since(earlier) == 0.0
