"""Says that a store or server does not answer while a program waits for it: their clients wait and ask again silently.

Whoever calls a store does so within `watch_store`, whoever calls another server within `watch_server`, and whoever
waits for a lock there within `watch_lock`. A thread looks at the calls that are not over; it ends when there was none
for a while.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

# Far longer than an answer takes, and shorter than a person's patience.
SILENT_FOR_S = 4.0
LOOK_EVERY_S = 0.5
# Of a store that is slow all the time, a line for each of a thousand calls would hide the rest.
QUIET_FOR_S = 60.0
# The thread ends after so many looks at nothing.
IDLE_LOOKS = 20


@dataclass(slots=True)
class _Call:
    # The parts of one sentence: which place is waited for, what it does, and when the waiting ends.
    place: str
    state: str
    end: str
    # The sentence that is said when the waiting is over.
    over: str
    # A call that moves many bytes is not a silent one.
    due: float
    begun: float = field(default_factory=time.monotonic)
    told: bool = False


class StoreWatch:
    """The calls of stores and servers that this process waits for, and who is informed of those that take long."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: dict[int, _Call] = {}
        self._thread: threading.Thread | None = None
        self._tell: Callable[[str], None] | None = None
        # By place: until when nothing more is said, and how long each slow call took, since somebody listens.
        self._quiet_until: dict[str, float] = {}
        self._slow_s: dict[str, list[float]] = {}

    def replace_listener(self, tell: Callable[[str], None] | None) -> Callable[[str], None] | None:
        """Announce slow calls by `tell` from now on (None: not at all), and return what announced them before."""
        before, self._tell = self._tell, tell
        self._quiet_until, self._slow_s = {}, {}
        return before

    @contextmanager
    def attend(self, call: _Call) -> Iterator[None]:
        """Attend the call until the block ends. An answer at last is announced too."""
        with self._lock:
            self._calls[id(call)] = call
            if self._tell and not (self._thread and self._thread.is_alive()):
                self._thread = threading.Thread(target=self._look, name="slow stores", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                del self._calls[id(call)]
        now = time.monotonic()
        if now > call.due:
            self._slow_s.setdefault(call.place, []).append(now - call.begun)
        if call.told and self._tell:
            self._tell(
                f"The {call.place} {call.over} after {now - call.begun:.0f} s.{self._sum_up(call.place)}"
            )

    def _sum_up(self, place: str) -> str:
        """What has been waited for at a place that is slow all the time."""
        slow = self._slow_s.get(place, [])
        if len(slow) < 2:  # noqa: PLR2004 - one is said already
            return ""
        return f" It was waited for {len(slow):,} times, {sum(slow):.0f} s in all: this goes on, but slowly."

    def _look(self) -> None:
        idle = 0
        while idle < IDLE_LOOKS:
            time.sleep(LOOK_EVERY_S)
            with self._lock:
                calls = list(self._calls.values())
                due = [call for call in calls if time.monotonic() > call.due]
            idle = 0 if calls else idle + 1
            # One sentence for all that wait for the same store.
            spoken = {call.place for call in due if call.told}
            for call in due:
                is_quiet = time.monotonic() < self._quiet_until.get(call.place, 0.0)
                if not (call.told or is_quiet or call.place in spoken) and self._tell:
                    self._quiet_until[call.place] = time.monotonic() + QUIET_FOR_S
                    self._tell(
                        f"Waiting for the {call.place}, which {call.state} for "
                        f"{time.monotonic() - call.begun:.0f} s: {call.end}."
                    )
                    spoken.add(call.place)
                    call.told = True


WATCH = StoreWatch()


@contextmanager
def announce_slow_stores(tell: Callable[[str], None]) -> Iterator[None]:
    """Within the block, tell that one of stores that do not answer."""
    before = WATCH.replace_listener(tell)
    try:
        yield
    finally:
        WATCH.replace_listener(before)


@contextmanager
def watch_store(address: str, longest_s: float, *, moving_s: float = 0.0) -> Iterator[None]:
    """A call of the store with this address, which gives up after `longest_s`; bytes move for `moving_s` seconds."""
    parts = urlsplit(address)
    end = f"each answer is waited for {longest_s:.0f} s at most"
    place = f"object store of {parts.scheme}://{parts.netloc}"
    with _attend(place, end, moving_s=moving_s):
        yield


@contextmanager
def watch_server(place: str, end: str) -> Iterator[None]:
    """A call of that server; `end` is a clause that says when the waiting for it ends."""
    with _attend(place, end):
        yield


@contextmanager
def watch_lock(place: str, end: str) -> Iterator[None]:
    """A wait for the lock of that name, which another process holds; `end` says when the waiting for it ends."""
    with _attend(place, end, "another process has held", "is free"):
        yield


def _attend(
    place: str, end: str, state: str = "has not answered", over: str = "answers", moving_s: float = 0.0
) -> AbstractContextManager[None]:
    return WATCH.attend(_Call(place, state, end, over, time.monotonic() + SILENT_FOR_S + moving_s))
