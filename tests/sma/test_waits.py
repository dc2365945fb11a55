"""Every wait that a person notices is announced: why, and for how long; once for all requests that wait together."""

import asyncio
import fcntl
import os
import re
import threading
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.sma.auth.secret_files import lock_path_async
from pipeline.sma.client import SmaClient
from pipeline.sma.clock import WaitAnnouncer
from pipeline.sma.http.attempt import Limits
from pipeline.sma.http.transport import Timeouts
from pipeline.sma.requests import Request
from sandbox.launch import run_sandbox
from tests.programs import start

PLANTS = "/monitoring/v1/plants"


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def clock(time, said):
    return replace(time.clock, announce=WaitAnnouncer(said.append, time.clock.monotonic))


def fetch(settings, clock, requests: int = 1, **timeouts: float) -> None:
    async def run() -> None:
        limits = Limits(timeouts=Timeouts(**timeouts))
        async with SmaClient(settings, clock=clock, limits=limits) as client:
            wanted = [Request.plants() for _ in range(requests)]
            async with aclosing(client.stream(wanted)) as answers:
                assert len([answer async for answer in answers]) == requests

    asyncio.run(run())


def test_an_answer_that_does_not_end_is_told(server, settings, clock, said) -> None:
    told = threading.Event()
    server.on(PLANTS).reply(200, b"[]", after=told)

    def announce(why: str, seconds: float, *, always: bool = False) -> None:
        clock.announce(why, seconds, always=always)
        told.set()

    fetch(settings, replace(clock, announce=announce), announced=0.01, whole_try=240.01)
    assert [line.partition(" ")[2] for line in said] == [
        "has not finished an answer after 0.01 s: waiting for 4 minutes."
    ]


def test_silence_is_told_after_the_first_try(server, settings, clock, said) -> None:
    server.on(PLANTS).reply(silent=True).reply(200, b"[]")
    fetch(settings, clock, read=0.3)
    assert [line.partition(" ")[2] for line in said][:1] == ["did not answer in time: waiting for 0.5 s."]


def test_a_refusal_for_the_rate_is_told_with_the_length_of_its_wait(server, settings, clock, said) -> None:
    server.on(PLANTS).reply(429, headers={"Retry-After": "12"}).reply(200, b"[]")
    fetch(settings, clock)
    host = settings.sma_monitoring_url.split("/")[2]
    assert said == [
        f"{host} refuses requests because of their rate (429 Too Many Requests): waiting for 12 s."
    ]


def test_a_refusal_for_the_rate_is_told_however_short_its_wait_is(server, settings, clock, said) -> None:
    server.on(PLANTS).reply(503).reply(429, headers={"Retry-After": "1"}).reply(200, b"[]")
    fetch(settings, clock)
    (line,) = said
    assert re.fullmatch(
        r"\S+ refuses requests because of their rate \(429 Too Many Requests\): waiting for 1\.\d s\.", line
    )


def test_what_waits_together_is_told_once(said) -> None:
    now = [0.0]
    announce = WaitAnnouncer(said.append, lambda: now[0])
    for begun, seconds in [(0.0, 200.0), (0.1, 201.0), (1.0, 150.0), (199.0, 4.0), (200.0, 30.0)]:
        now[0] = begun
        announce("SMA refuses", seconds)
    assert said == ["SMA refuses: waiting for 3 minutes.", "SMA refuses: waiting for 30 s."]


def test_a_fault_is_told_when_its_wait_is_long(server, settings, clock, said) -> None:
    server.on(PLANTS).reply(503).reply(503, headers={"Retry-After": "60"}).reply(200, b"[]")
    fetch(settings, clock)
    # Half a second of waiting is not worth a line.
    assert [line.partition(" ")[2] for line in said] == ["answers 503 Service Unavailable: waiting for 60 s."]


def test_a_spent_budget_is_told(server, settings, clock, said) -> None:
    server.on(PLANTS).reply(200, b"[]")
    slow = settings.model_copy(update={"sma_requests_per_5_min": 10})
    fetch(slow, clock)
    # One request in 30 s: the token's, which does not wait, and then ours.
    assert said == ["The request budget (SMA_REQUESTS_PER_5_MIN) is used up: waiting for 61 s."]


def test_a_lock_of_another_process_is_told(clock, said, tmp_path: Path) -> None:
    path = tmp_path / "login.lock"
    held = os.open(path, os.O_RDWR | os.O_CREAT)
    fcntl.flock(held, fcntl.LOCK_EX)

    async def sleep(seconds: float) -> None:
        await clock.sleep(seconds)
        if clock.monotonic() > 1020:
            os.close(held)

    async def run() -> None:
        async with lock_path_async(path, replace(clock, sleep=sleep), wait_s=100):
            pass

    asyncio.run(run())
    assert said == [
        "Another process is renewing the login, which only one process may do at a time: waiting for 95 s."
    ]


@pytest.mark.long
def test_the_program_says_it(tmp_path: Path) -> None:
    said = r"The request budget \(SMA_REQUESTS_PER_5_MIN\) is used up: waiting for \d+ s\."
    with run_sandbox("--plants", "0") as box:
        process = start(tmp_path, "refresh", **box.settings(), SMA_REQUESTS_PER_5_MIN="50")
        with process:
            assert process.stdout
            try:
                # It says so before it waits, and how the wait ends is no matter of this test.
                assert any(re.search(said, line) for line in process.stdout)
            finally:
                process.kill()
