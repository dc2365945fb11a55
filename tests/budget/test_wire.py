"""No request leaves without the budget and the record knowing of it."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from pipeline.common.errors import PermanentError
from pipeline.common.settings import load_settings
from pipeline.sma.budget.shared_budget import Budget, SharedBudget
from pipeline.sma.client import SmaClient
from pipeline.sma.http.attempt_log import LoggedTry
from pipeline.sma.requests import Answer, Request
from tests.budget.conftest import FakeTime
from tests.sma.conftest import TOKEN_PATH, ScriptedServer

PLANTS = "/monitoring/v1/plants"
FULL = Budget(1000)


def client(
    server: ScriptedServer, home: Path, time: FakeTime, tries: list[LoggedTry], max_answer_bytes: int = 10_000
) -> SmaClient:
    settings = load_settings(
        env_file=None,
        home=home,
        sma_client_id="client",
        sma_client_secret="a-secret",
        sma_auth_url=server.url,
        sma_monitoring_url=f"{server.url}/monitoring",
        sma_max_answer_bytes=max_answer_bytes,
        sma_requests_per_5_min=FULL.requests,
    )
    return SmaClient(settings, clock=time.clock, record=tries.append)


def test_a_kept_connection_that_drops_is_no_hidden_second_request(
    server: ScriptedServer, tmp_path: Path, time: FakeTime
) -> None:
    """aiohttp would send the GET again by itself, and call it one."""
    server.on(PLANTS).reply(200).reply(hang_up=True).reply(200)
    tries: list[LoggedTry] = []

    async def run() -> list[Answer]:
        async with client(server, tmp_path, time, tries) as asking:
            return [await asking.send(Request.plants()) for _ in range(2)]

    answers = asyncio.run(run())
    assert [answer.attempts for answer in answers] == [1, 2]
    assert server.count(PLANTS) == 3
    data = [one for one in tries if one.endpoint == "plants"]
    assert [(one.attempt, one.status) for one in data] == [(1, 200), (1, None), (2, 200)]
    assert data[1].error == "SMA closed the connection too early"


def test_nothing_is_taken_out_of_the_budget_while_a_token_is_awaited(
    server: ScriptedServer, tmp_path: Path, time: FakeTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else all requests that waited would go together when the token comes."""
    server.on(PLANTS).reply(200)

    async def run() -> None:
        async with client(server, tmp_path, time, []) as asking:
            grant, may_answer, asked = asking.tokens._endpoint.grant, asyncio.Event(), asyncio.Event()

            async def slow_grant(*of: Any, **how: Any) -> Any:
                asked.set()
                await may_answer.wait()
                return await grant(*of, **how)

            monkeypatch.setattr(asking.tokens._endpoint, "grant", slow_grant)
            assert isinstance(asking.limiter, SharedBudget)
            sending = [asyncio.create_task(asking.send(Request.plants())) for _ in range(16)]
            await asked.wait()
            await asking.limiter.look()  # the bucket begins to fill
            time.pass_by(60)
            for _ in range(100):
                await asyncio.sleep(0)
            assert (await asking.limiter.look()).level == FULL.capacity
            may_answer.set()
            await asyncio.gather(*sending)

    asyncio.run(run())
    assert server.count(PLANTS) == 16


def test_a_request_is_sent_where_it_waits_longer_than_a_token_lives(
    server: ScriptedServer, tmp_path: Path, time: FakeTime
) -> None:
    server.on(TOKEN_PATH, afresh=True).reply(200, '{"access_token":"a-token","expires_in":0.001}')
    server.on(PLANTS).reply(200)

    async def run() -> Answer:
        async with client(server, tmp_path, time, []) as asking:
            return await asking.send(Request.plants())

    assert asyncio.run(run()).attempts == 1


def test_each_kind_of_end_is_recorded(server: ScriptedServer, tmp_path: Path, time: FakeTime) -> None:
    server.on(PLANTS).reply(429).reply(401).reply(503).reply(200, b"x" * 100)
    tries: list[LoggedTry] = []

    async def run() -> None:
        async with client(server, tmp_path, time, tries, max_answer_bytes=50) as asking:
            with pytest.raises(PermanentError):
                await asking.send(Request.plants())

    asyncio.run(run())
    assert [(one.endpoint, one.attempt, one.status) for one in tries] == [
        ("token", None, 200),
        ("plants", 1, 429),
        ("plants", 2, 401),
        ("token", None, 200),
        ("plants", 3, 503),
        ("plants", 4, 200),
    ]
    assert [one.error for one in tries] == [None] * 5 + ["the answer was larger than the limit"]
    assert tries[-1].size == 100


def test_a_request_that_is_given_up_is_recorded(
    server: ScriptedServer, tmp_path: Path, time: FakeTime
) -> None:
    """SMA may have counted it."""
    server.on(PLANTS).reply(silent=True)
    tries: list[LoggedTry] = []

    async def run() -> None:
        async with client(server, tmp_path, time, tries) as asking:
            waiting = asyncio.create_task(asking.send(Request.plants()))
            while not server.count(PLANTS):
                await asyncio.sleep(0.01)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)

    asyncio.run(run())
    assert [(one.endpoint, one.status, one.error) for one in tries] == [
        ("token", 200, None),
        ("plants", None, "the run ended before SMA answered"),
    ]


def test_the_state_is_named_without_client_or_host(
    server: ScriptedServer, tmp_path: Path, time: FakeTime
) -> None:
    server.on(PLANTS).reply(200)

    async def run() -> None:
        async with client(server, tmp_path, time, []) as asking:
            await asking.send(Request.plants())

    asyncio.run(run())
    (file,) = (tmp_path / "budget").iterdir()
    assert file.suffix == ".state"
    assert len(file.stem) == 16
    assert file.stat().st_size < 100
