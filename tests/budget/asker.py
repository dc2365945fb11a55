"""A process that asks as fast as its budget lets it: url, home, requests in a window, window_s, seconds to work, Redis.

Prints `ready`, begins with the next line of its input, and prints at the end the number of answers and of refusals.
"""

import asyncio
import json
import sys
import time
from functools import partial
from pathlib import Path

from pydantic import SecretStr

from pipeline.run.request_log import RequestLog
from pipeline.sma.budget.file_store import FileStore, Moment, Store
from pipeline.sma.budget.redis_store import RedisStore
from pipeline.sma.budget.shared_budget import Budget, SharedBudget
from pipeline.sma.client import SmaClient
from pipeline.sma.clock import Clock
from pipeline.sma.http.attempt_log import LoggedTry
from pipeline.sma.requests import Answer, Request
from tests.budget.conftest import settings_for


def shared_store(home: Path, redis: str, clock: Clock) -> Store:
    """The state in the Redis, or without one in a file that the processes of this home share."""
    if redis:
        return RedisStore(SecretStr(redis), "shared", clock.sleep)
    path = home / "shared.state"
    return FileStore(path, lambda: Moment.of(clock.monotonic(), clock.now().timestamp()), clock.sleep)


async def main(
    url: str, home: Path, requests: int | None, window_s: float, work_s: float, redis: str
) -> None:
    """Ask for the list of plants again and again."""
    settings = settings_for(url, home, sma_max_connections=4)
    clock = Clock()
    log = RequestLog(home / "requests")
    refused = 0

    def record(one: LoggedTry) -> None:
        nonlocal refused
        refused += one.status == 429
        log.add(one)

    limiter = SharedBudget(Budget(requests, window_s), shared_store(home, redis, clock), clock)
    make = partial(SmaClient, settings, clock=clock, limiter=limiter, record=record)
    answers = 0
    print("ready", flush=True)  # noqa: T201 - the parent waits for it
    sys.stdin.readline()
    end = time.monotonic() + work_s
    async with make() as client:
        results = client.stream(iter(lambda: Request.plants() if time.monotonic() < end else None, None))
        async for result in results:
            answers += isinstance(result, Answer)
    log.close()
    print(json.dumps({"answers": answers, "refused": refused}))  # noqa: T201 - the result


if __name__ == "__main__":
    where, folder, size, window, seconds, shared = sys.argv[1:7]
    asyncio.run(main(where, Path(folder), json.loads(size), float(window), float(seconds), shared))
