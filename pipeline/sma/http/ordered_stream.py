"""Many requests at once, answers in the order of the requests, memory bounded in number and in bytes."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator

from pipeline.sma.http.shared_window import URGENT, SharedWindow
from pipeline.sma.requests import Answer, Failure, Request

Result = Answer | Failure

# Answers that wait for an earlier, slower one, or for who takes them: more of them keep the connections busy while a
# day is written, fewer save memory.
BACKLOG_PER_WORKER = 16
MAX_BACKLOG_BYTES = 16 * 1024 * 1024


class OrderedStream:
    """Workers pull requests lazily; `take()` hands out their results in the order of the requests.

    The backlog is what is in flight, what is ready, and the batch last handed out. No new request begins
    while it numbers `BACKLOG_PER_WORKER * window.size`, or while its bodies and those of the window's earlier streams
    hold `max_backlog_bytes`; bodies then in flight add at most `window.size` more. The requests of an `urgent` stream
    go before those of all others. Belongs to one event loop and one taker; must be closed.
    """

    def __init__(
        self,
        requests: Iterable[Request],
        fetch: Callable[[Request], Awaitable[Result]],
        window: SharedWindow,
        max_backlog_bytes: int = MAX_BACKLOG_BYTES,
        *,
        urgent: bool = False,
    ) -> None:
        self._requests: Iterator[Request] = iter(requests)
        self._fetch = fetch
        self._window = window
        self._rank = URGENT if urgent else window.open_rank()
        self._max_slots = window.size * BACKLOG_PER_WORKER
        self._max_bytes = max_backlog_bytes
        self._slots: deque[asyncio.Future[Result]] = deque()
        self._backlog_bytes = 0
        self._handed_out = 0
        self._handed_out_bytes = 0
        self._exhausted = False
        self._awaited = False
        self._pulled = asyncio.Event()
        self._workers: list[asyncio.Task[None]] = []

    def begin(self) -> None:
        """Send the first requests, before somebody takes their results."""
        if not self._workers and not self._exhausted:
            self._workers = [asyncio.create_task(self._work()) for _ in range(self._window.size)]

    async def take(self) -> list[Result]:
        """The next results, at least one, as many as are ready in order; an empty list at the end.

        The results of the call before no longer count as backlog. An error that is not of SMA's (a bug in the
        iterable, say) is raised at its place in the order.
        """
        self.begin()
        self._note_bytes(-self._handed_out_bytes)
        self._handed_out = self._handed_out_bytes = 0
        self._awaited = True
        self._window.room.set()
        try:
            while not self._slots:
                if self._exhausted:
                    return []
                self._pulled.clear()
                await self._pulled.wait()
            await asyncio.wait((self._slots[0],))
        finally:
            self._awaited = False
        ready: list[Result] = []
        while self._slots and self._slots[0].done():
            if self._slots[0].exception() is not None and ready:
                break
            result = self._slots.popleft().result()
            self._handed_out += 1
            self._handed_out_bytes += _measure_size(result)
            ready.append(result)
        return ready

    async def aclose(self) -> None:
        """Cancel what is in flight and wait until it is gone. A caller that waits for a result gets none."""
        self._end()
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        self._workers.clear()
        while self._slots:
            slot = self._slots.popleft()
            if slot.done() and not slot.cancelled():
                slot.exception()  # marks it as seen: nobody is left to take it
            slot.cancel()
        self._note_bytes(-self._backlog_bytes)

    async def _work(self) -> None:
        while not self._exhausted:
            if self._is_full():
                self._window.room.clear()
                await self._window.room.wait()
                continue
            await self._window.enter(self._rank)
            try:
                # Others may have taken the room while this one waited for its turn.
                while not self._exhausted and not self._is_full():
                    await self._send_next()
                    if self._window.is_wanted_before(self._rank):
                        break
            finally:
                self._window.leave()

    async def _send_next(self) -> None:
        slot: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        try:
            request = next(self._requests)
        except StopIteration:
            self._end()
            return
        except Exception as fault:  # the iterable's own fault goes to the taker, in its place
            slot.set_exception(fault)
            self._slots.append(slot)
            self._end()
            return
        self._slots.append(slot)
        self._pulled.set()
        try:
            result = await self._fetch(request)
        except Exception as fault:  # a bug goes to the taker, in its place
            slot.set_exception(fault)
            self._end()
            return
        self._note_bytes(_measure_size(result))
        slot.set_result(result)

    def _is_full(self) -> bool:
        waiting = len(self._slots) + self._handed_out
        if waiting >= self._max_slots:
            return True
        # A stream that somebody waits for does not wait for streams that wait for it.
        of_others = 0 if self._awaited else self._window.sum_backlogs(self._rank)
        return self._backlog_bytes + of_others >= self._max_bytes

    def _note_bytes(self, change: int) -> None:
        self._backlog_bytes += change
        if self._rank != URGENT:
            self._window.note_backlog(self._rank, self._backlog_bytes)

    def _end(self) -> None:
        """No more requests: let everyone who waits look again."""
        self._exhausted = True
        self._pulled.set()
        self._window.room.set()


def _measure_size(result: Result) -> int:
    return len(result.body) if isinstance(result, Answer) else 0
