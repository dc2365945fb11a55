"""Requests per CPU second of the client beside plain httpx, at 8, 32 and 64 at once, on the same server.

Run it at the repository's root: `python -m bench.transport`. The server is a process of its own on loopback and answers
every plant's day with the same 87 kB, so that only the client's cost is counted (user and system time of this
process). Each client sends two requests before the count begins: a burst on a cold pool costs plain httpx two to
three times as much again, and a long run pays that once. Rounds alternate between the two and the best of each
counts, the one least disturbed by others.
"""

import argparse
import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import httpx
import uvicorn

from pipeline.common.settings import Settings, load_settings
from pipeline.sma.client import SmaClient
from pipeline.sma.requests import Answer, Request

AT_ONCE = (8, 32, 64)
DAY = "2021-10-01"
WARM_UP = 2
TOKEN = b'{"access_token":"bench","expires_in":3600}'
PLANT_DAY = b'{"set":[' + b'{"time":"2021-10-01T06:55:00","pvGeneration":4.0},' * 1750 + b"{}]}"

Message = MutableMapping[str, Any]


async def app(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """A token for a POST, a plant's day for everything else."""
    if scope["type"] != "http":
        return
    while scope["method"] == "POST" and (await receive()).get("more_body"):
        pass
    body = TOKEN if scope["method"] == "POST" else PLANT_DAY
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def serve() -> None:
    """Listen on a port chosen by the system, print it, serve until stdin closes."""
    config = uvicorn.Config(app, lifespan="off", log_level="error", access_log=False)
    server = uvicorn.Server(config)

    async def run() -> None:
        running = asyncio.create_task(server.serve(sockets=[listener]))
        await asyncio.to_thread(sys.stdin.read)
        server.should_exit = True
        await running

    with config.bind_socket() as listener:
        print(listener.getsockname()[1], flush=True)
        asyncio.run(run())


@contextmanager
def running_server() -> Iterator[str]:
    """The server's URL. The process ends with the block, or with this process."""
    command = [sys.executable, "-m", "bench.transport", "--serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.communicate()


def requests(count: int) -> Iterator[Request]:
    """`count` plant-days, made lazily."""
    return (Request.measured(str(number), "", "EnergyBalance", "Day", DAY) for number in range(count))


async def ours(settings: Settings, count: int) -> float:
    """CPU seconds of our client's stream: order, retries and token included."""
    async with SmaClient(settings) as client:

        async def fetch(number: int) -> int:
            size = 0
            async for result in client.stream(requests(number)):
                assert isinstance(result, Answer)
                size += len(result.body)
            return size

        return await cpu_seconds(fetch, count)


async def plain_httpx(settings: Settings, count: int) -> float:
    """CPU seconds of httpx alone, with as many workers as connections: no order, no retries, no token."""
    at_once = settings.sma_max_connections
    limits = httpx.Limits(max_connections=at_once, max_keepalive_connections=at_once)
    async with httpx.AsyncClient(limits=limits, headers={"Authorization": "Bearer bench"}) as client:

        async def work(waiting: Iterator[Request]) -> int:
            size = 0
            for request in waiting:
                response = await client.get(f"{settings.sma_monitoring_url}{request.target}")
                size += len(response.content)
            return size

        async def fetch(number: int) -> int:
            waiting = requests(number)
            return sum(await asyncio.gather(*(work(waiting) for _ in range(at_once))))

        return await cpu_seconds(fetch, count)


async def cpu_seconds(fetch: Callable[[int], Awaitable[int]], count: int) -> float:
    """CPU seconds of this process for `count` requests after a warm-up; checks that every byte has come."""
    await fetch(WARM_UP)
    started = time.process_time()
    size = await fetch(count)
    spent = time.process_time() - started
    assert size == count * len(PLANT_DAY), f"{size} bytes came instead of {count * len(PLANT_DAY)}"
    return spent


def settings_for(url: str, at_once: int) -> Settings:
    """Settings that point at the bench's server."""
    return load_settings(
        env_file=None,
        sma_client_id="bench",
        sma_client_secret="bench",  # noqa: S106 - the bench's own server takes anything
        sma_auth_url=url,
        sma_monitoring_url=url,
        sma_max_connections=at_once,
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--requests", type=int, default=600, help="requests a round (default 600)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, the best counts (default 3)")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve()
        return
    print(
        f"answers of {len(PLANT_DAY):,} bytes, {options.requests} requests a round, best of {options.rounds}"
    )
    print(f"{'at once':>7}  {'sunledger':>16}  {'plain httpx':>16}  {'ratio':>5}")
    with running_server() as url:
        for at_once in AT_ONCE:
            settings = settings_for(url, at_once)
            spent: dict[str, list[float]] = {"ours": [], "httpx": []}
            for _ in range(options.rounds):
                spent["ours"].append(asyncio.run(ours(settings, options.requests)))
                spent["httpx"].append(asyncio.run(plain_httpx(settings, options.requests)))
            rate, plain = (options.requests / min(seconds) for seconds in spent.values())
            print(f"{at_once:7}  {rate:9,.0f} /CPU s  {plain:9,.0f} /CPU s  {rate / plain:5.1f}")


if __name__ == "__main__":
    main()
