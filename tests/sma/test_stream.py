"""Streams: order, bounds in number and in bytes, laziness, and nothing left behind."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.common.errors import PermanentError
from pipeline.sma.client import SmaClient
from pipeline.sma.clock import Clock
from pipeline.sma.http.ordered_stream import BACKLOG_PER_WORKER, OrderedStream, Result
from pipeline.sma.http.shared_window import SharedWindow
from pipeline.sma.requests import Answer, Failure, Request


def answer(request: Request, size: int, clock) -> Answer:
    return Answer(request, request.target, 200, clock.now(), 1.0, 1, b"x" * size)


class Fetcher:
    """Answers after some turns of the loop, chosen per request; counts what is in flight."""

    def __init__(self, clock, turns: Callable[[int], int], size: int = 1) -> None:
        self.clock = clock
        self.turns = turns
        self.size = size
        self.in_flight = 0
        self.peak = 0
        self.done = 0

    async def __call__(self, request: Request) -> Result:
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        try:
            for _ in range(self.turns(int(request.plant_id))):
                await asyncio.sleep(0)
        finally:
            self.in_flight -= 1
        self.done += 1
        return answer(request, self.size, self.clock)


def numbered(count: int, pulled: list[int] | None = None) -> Iterator[Request]:
    for number in range(count):
        if pulled is not None:
            pulled.append(number)
        yield Request.devices(str(number))


async def drain(stream: OrderedStream) -> list[Result]:
    taken: list[Result] = []
    try:
        while batch := await stream.take():
            taken.extend(batch)
    finally:
        await stream.aclose()
    return taken


@given(st.lists(st.integers(0, 30), max_size=60), st.integers(1, 9), st.integers(1, 12))
def test_order_and_bound_hold_whatever_is_slow(turns: list[int], window: int, max_bytes: int) -> None:
    fetcher = Fetcher(Clock(), lambda number: turns[number])
    stream = OrderedStream(numbered(len(turns)), fetcher, SharedWindow(window), max_bytes)
    taken = asyncio.run(drain(stream))
    assert [int(result.request.plant_id) for result in taken] == list(range(len(turns)))
    assert fetcher.peak <= window
    assert fetcher.in_flight == 0


def test_no_more_is_pulled_than_the_backlog_holds(time) -> None:
    pulled: list[int] = []
    fetcher = Fetcher(time.clock, lambda number: 10_000 if number == 0 else 0)
    stream = OrderedStream(numbered(1000, pulled), fetcher, window=SharedWindow(4))

    async def run() -> None:
        taker = asyncio.create_task(stream.take())
        for _ in range(2000):
            await asyncio.sleep(0)
        assert not taker.done()  # the first is still on its way
        assert len(pulled) == 4 * BACKLOG_PER_WORKER
        taker.cancel()
        await asyncio.gather(taker, return_exceptions=True)
        await stream.aclose()

    asyncio.run(run())


def test_bytes_bound_the_backlog(time) -> None:
    """With bodies of 10 bytes and a bound of 35, at most 4 are complete and 4 more in flight."""
    fetcher = Fetcher(time.clock, lambda number: 10_000 if number == 0 else 1, size=10)
    pulled: list[int] = []
    stream = OrderedStream(numbered(1000, pulled), fetcher, window=SharedWindow(4), max_backlog_bytes=35)

    async def run() -> None:
        taker = asyncio.create_task(stream.take())
        for _ in range(500):
            await asyncio.sleep(0)
        assert 4 <= fetcher.done <= 4 + 3
        assert len(pulled) <= 8
        taker.cancel()
        await asyncio.gather(taker, return_exceptions=True)
        await stream.aclose()

    asyncio.run(run())


def test_a_slow_taker_holds_back_the_fetching(time) -> None:
    fetcher = Fetcher(time.clock, lambda _: 1)
    stream = OrderedStream(numbered(1000), fetcher, window=SharedWindow(2))

    async def run() -> None:
        await stream.take()
        for _ in range(500):
            await asyncio.sleep(0)
        assert fetcher.done <= 2 * BACKLOG_PER_WORKER
        await stream.aclose()

    asyncio.run(run())


def test_a_fault_of_the_iterable_is_raised_in_its_place(time) -> None:
    def broken() -> Iterator[Request]:
        yield from numbered(3)
        raise ZeroDivisionError("bug")

    stream = OrderedStream(broken(), Fetcher(time.clock, lambda _: 3), window=SharedWindow(2))

    async def run() -> list[Result]:
        taken: list[Result] = []
        while len(taken) < 3:
            taken.extend(await stream.take())
        with pytest.raises(ZeroDivisionError, match="bug"):
            await stream.take()
        await stream.aclose()
        return taken

    assert len(asyncio.run(run())) == 3


def test_a_bug_in_fetching_is_not_swallowed(time) -> None:
    async def buggy(request: Request) -> Result:
        await asyncio.sleep(0)
        raise KeyError(request.plant_id)

    async def run() -> None:
        stream = OrderedStream(numbered(5), buggy, window=SharedWindow(2))
        with pytest.raises(KeyError):
            await stream.take()
        await stream.aclose()

    asyncio.run(run())


def test_nothing_asked_nothing_given(settings) -> None:
    async def run() -> list[Result]:
        async with SmaClient(settings) as client:
            return [result async for result in client.stream([])]

    assert asyncio.run(run()) == []


def test_a_failure_stands_among_the_answers(server, settings, time) -> None:
    for number in range(6):
        server.on(f"/monitoring/v1/plants/{number}/devices/lean").reply(404 if number == 3 else 200)

    async def run() -> list[Result]:
        async with SmaClient(settings, clock=time.clock) as client:
            return [result async for result in client.stream(numbered(6))]

    results = asyncio.run(run())
    assert [type(result) for result in results] == [Answer, Answer, Answer, Failure, Answer, Answer]
    failure = results[3]
    assert isinstance(failure, Failure)
    assert isinstance(failure.error, PermanentError)
    assert (failure.attempts, failure.request) == (1, Request.devices("3"))


def test_connections_stay_within_the_setting(server, settings, time) -> None:
    for number in range(40):
        server.on(f"/monitoring/v1/plants/{number}/devices/lean").reply(pause_s=0.002)

    async def run() -> int:
        async with SmaClient(settings, clock=time.clock) as client:
            return len([result async for result in client.stream(numbered(40))])

    assert asyncio.run(run()) == 40
    assert server.peak_in_flight <= 4
    assert server.connections <= 4


@pytest.mark.parametrize("how", ["leave", "cancel"])
def test_leaving_early_leaves_no_task(how, server, settings, time) -> None:
    server.on("/monitoring/v1/plants/0/devices/lean").reply()
    for number in range(1, 100):
        server.on(f"/monitoring/v1/plants/{number}/devices/lean").reply(silent=True)

    async def all_are_connected() -> None:
        # A connection that is given up while it is being made is closed by the system, later than the test ends.
        while server.in_flight < settings.sma_max_connections:
            await asyncio.sleep(0.001)

    async def consume(client: SmaClient) -> None:
        async with aclosing(client.stream(numbered(100))) as results:
            async for _ in results:
                if how == "leave":
                    await all_are_connected()
                    return

    async def run() -> None:
        async with SmaClient(settings, clock=time.clock) as client:
            consumer = asyncio.create_task(consume(client))
            if how == "cancel":
                await all_are_connected()
                consumer.cancel()
            await asyncio.gather(consumer, return_exceptions=True)
            assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(run())


def test_of_several_streams_the_first_one_goes_first_and_urgent_requests_before_it(time) -> None:
    order: list[str] = []

    async def fetch(request: Request) -> Result:
        order.append(request.plant_id)
        await asyncio.sleep(0)
        return answer(request, 1, time.clock)

    def named(name: str) -> Iterator[Request]:
        return (Request.devices(f"{name}{number}") for number in range(4))

    async def run() -> list[list[Result]]:
        window = SharedWindow(1)
        first, second = (OrderedStream(named(name), fetch, window) for name in ("first", "second"))
        urgent = OrderedStream(named("urgent"), fetch, window, urgent=True)
        # The second one is begun first, and all three before anything is answered.
        for stream in (second, first, urgent):
            stream.begin()
        return [await drain(stream) for stream in (first, second, urgent)]

    assert [len(results) for results in asyncio.run(run())] == [4, 4, 4]
    names = [name.rstrip("0123") for name in order[1:]]
    assert names == ["urgent"] * 4 + ["first"] * 4 + ["second"] * 3


def test_a_later_stream_sends_while_the_earlier_one_is_done_or_may_not(time) -> None:
    fetcher = Fetcher(time.clock, lambda _: 1, size=10)

    async def run() -> None:
        window, pulled = SharedWindow(2), list[int]()
        first = OrderedStream(numbered(3), fetcher, window, max_backlog_bytes=35)
        later = OrderedStream(numbered(1000, pulled), fetcher, window, max_backlog_bytes=35)
        first.begin()
        later.begin()
        for _ in range(500):
            await asyncio.sleep(0)
        # Together they hold no more than one of them may.
        assert 4 <= fetcher.done <= 4 + 1
        assert 1 <= len(pulled) <= 2
        # Who waits for the later one gets its results, whatever the earlier one holds.
        taken = [result for _ in range(20) for result in await later.take()]
        assert len(taken) >= 20
        await first.aclose()
        await later.aclose()

    asyncio.run(run())
