"""How many requests of a client are on their way at once, and which of its streams sends the next one."""

import asyncio
from heapq import heappop, heappush
from itertools import count

# The rank of requests that somebody already waits for: they come before all streams.
URGENT = -1


class SharedWindow:
    """Room for `size` requests on their way, shared by the streams of a client: one that was opened before goes first.

    So a later stream sends only while the earlier ones have nothing to send, or may not. Belongs to one event loop.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        # Set when a backlog has become smaller: whoever has waited for that looks again.
        self.room = asyncio.Event()
        self._free = size
        self._numbers = count()
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._backlogs: dict[int, int] = {}

    def open_rank(self) -> int:
        """The rank of one more stream, behind all others."""
        return next(self._numbers)

    async def enter(self, rank: int) -> None:
        """Return when one more request may be sent. Call `leave` when it is done."""
        if self._free:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heappush(self._waiting, (rank, next(self._numbers), turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()
            raise

    def is_wanted_before(self, rank: int) -> bool:
        """Whether a stream of a lower rank waits to send."""
        while self._waiting and self._waiting[0][-1].done():
            heappop(self._waiting)
        return bool(self._waiting) and self._waiting[0][0] < rank

    def leave(self) -> None:
        """Let the next request go."""
        while self._waiting:
            *_, turn = heappop(self._waiting)
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    def note_backlog(self, rank: int, held_bytes: int) -> None:
        """The stream of this rank holds so many bytes that nobody has taken; 0 at its end."""
        self._backlogs[rank] = held_bytes
        if not held_bytes:
            del self._backlogs[rank]

    def sum_backlogs(self, rank: int) -> int:
        """The bytes that the streams of lower ranks hold."""
        return sum(size for other, size in self._backlogs.items() if other < rank)
