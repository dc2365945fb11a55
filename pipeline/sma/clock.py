"""Provides time, sleep and random numbers as one value, so that tests need not wait and there is no global state."""

import asyncio
import datetime as dt
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

# A person notices a shorter wait as slowness, and a line about each would hide the rest.
ANNOUNCED_FROM_S = 5.0


class Announcer(Protocol):
    """Learns why a request waits, as a clause, and for how many seconds, before the wait begins."""

    def __call__(self, why: str, seconds: float, *, always: bool = False) -> None:
        """`always` says that the wait is worth a line however short it is."""


def _read_utc_clock() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def announce_nothing(why: str, seconds: float, *, always: bool = False) -> None:
    """Ignore the announcement."""


@dataclass(frozen=True, slots=True)
class Clock:
    """`monotonic` in seconds, `now` in UTC, `sleep` in seconds, `chance` uniform in [0, 1).

    `announce` gets the reason, as a clause, and the length of each wait before it begins.
    """

    monotonic: Callable[[], float] = time.monotonic
    now: Callable[[], dt.datetime] = _read_utc_clock
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    chance: Callable[[], float] = random.random
    announce: Announcer = announce_nothing

    async def wait(self, seconds: float, why: str, *, always: bool = False) -> None:
        """Sleep, and announce it before; `always` also where it is short."""
        self.announce(why, seconds, always=always)
        await self.sleep(seconds)


class WaitAnnouncer:
    """Makes a sentence of each wait that is worth one, for `say`: a long one, or one after a refusal for the rate.

    Requests that are on their way together wait together: what ends with an announced wait is not announced again.
    """

    def __init__(self, say: Callable[[str], None], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._monotonic = monotonic
        self._until = float("-inf")

    def __call__(self, why: str, seconds: float, *, always: bool = False) -> None:
        """Announce a wait of `seconds` that begins now; `always` also where it is short."""
        until = self._monotonic() + seconds
        if (seconds < ANNOUNCED_FROM_S and not always) or until < self._until + ANNOUNCED_FROM_S:
            return
        self._until = until
        self._say(f"{why}: waiting for {_format_length(seconds)}.")


def _format_length(seconds: float) -> str:
    if seconds < ANNOUNCED_FROM_S:
        return f"{seconds:.1f} s"
    # Waits of two minutes and more are given in minutes.
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} minutes"  # noqa: PLR2004
