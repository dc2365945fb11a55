"""Time, sleep and chance as one value, so that tests need not wait and a run needs no global state."""

import asyncio
import datetime as dt
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass


def _utc_now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


@dataclass(frozen=True, slots=True)
class Clock:
    """`monotonic` in seconds, `now` in UTC, `sleep` in seconds, `chance` uniform in [0, 1)."""

    monotonic: Callable[[], float] = time.monotonic
    now: Callable[[], dt.datetime] = _utc_now
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    chance: Callable[[], float] = random.random
