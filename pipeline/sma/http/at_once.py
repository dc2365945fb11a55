"""Requests that are sent at once, each with a result of its own."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from pipeline.common.errors import SmaError

Asked = TypeVar("Asked")
Answered = TypeVar("Answered")


async def collect_results(
    requests: Sequence[Asked], most: int, send: Callable[[Asked], Awaitable[Answered]]
) -> list[Answered | SmaError]:
    """What `send` gives for each request, or its SmaError, in the order of the requests; at most `most` at once."""
    slots = asyncio.Semaphore(most)

    async def ask(request: Asked) -> Answered | SmaError:
        async with slots:
            try:
                return await send(request)
            except SmaError as error:
                return error

    return await asyncio.gather(*map(ask, requests))
