"""Tokens of a scripted token service: when they are renewed, what is refused, and what is never shown."""

import asyncio
import base64
import json
import threading

import pytest
from pydantic import SecretStr

from pipeline.common.errors import ConfigurationError, CredentialsError, PermanentError, SmaError
from pipeline.common.settings import load_settings
from pipeline.sma.auth.login_store import LoginStore
from pipeline.sma.client import SmaClient
from pipeline.sma.requests import Answer, Request
from tests.sma.client_calls import PLANTS, ask, fails


def test_a_refused_token_is_renewed_once(server, settings, time) -> None:
    server.on(PLANTS).reply(401).reply(200, b"[]")
    answer = ask(settings, time)
    assert (answer.attempts, server.count("/oauth2/token"), time.sleeps) == (2, 2, [])


def test_a_token_refused_again_is_an_error(server, settings, time) -> None:
    server.on(PLANTS).reply(401, json.dumps({"message": "Unauthorized", "code": "401"}))
    error = fails(settings, time, PermanentError)
    assert "401 Unauthorized (Unauthorized)" in str(error)
    assert (server.count(PLANTS), server.count("/oauth2/token")) == (2, 2)


def fetch_devices(settings, time, plants: str) -> list[bool]:
    """Whether each request was answered, one after the other."""

    async def run() -> list[bool]:
        async with SmaClient(settings, clock=time.clock) as client:
            return [isinstance(await client.fetch(Request.devices(plant)), Answer) for plant in plants]

    return asyncio.run(run())


def test_a_plant_that_refuses_each_token_costs_few_renewals(server, settings, time) -> None:
    refusing, other = "/monitoring/v1/plants/1/devices/lean", "/monitoring/v1/plants/2/devices/lean"
    server.on(refusing).reply(401)
    server.on(other).reply(200, b"[]").reply(401).reply(200, b"[]")
    assert fetch_devices(settings, time, "12112") == [False, True, False, False, True]
    # The other plant's token ended early, and was renewed all the same.
    assert (server.count(refusing), server.count(other), server.count("/oauth2/token")) == (4, 3, 3)
    # Where nothing else is asked for, renewals become rarer.
    assert not any(fetch_devices(settings, time, "1" * 100))
    assert server.count("/oauth2/token") == 3 + 7


def test_a_token_that_ends_early_is_renewed_after_any_refusals(server, settings, time) -> None:
    tokens = server.on("/oauth2/token", afresh=True)
    for name in ("a", "b", "c", "d"):
        tokens.reply(200, f'{{"access_token":"{name}","expires_in":300}}')
    server.dead_tokens = {"a", "b", "c"}
    for plant in "12":
        server.on(f"/monitoring/v1/plants/{plant}/devices/lean").reply(200, b"[]")
    # Both plants have refused a token that had just been issued when the third one ends early.
    assert fetch_devices(settings, time, "121212") == [False, False, False, True, True, True]


def test_the_life_of_a_token_may_be_told_as_text(server, settings, time) -> None:
    server.on("/oauth2/token", afresh=True).reply(200, '{"access_token":"t","expires_in":"60"}')

    async def run() -> None:
        async with SmaClient(settings, clock=time.clock) as client:
            for _ in range(3):
                await client.tokens.get()
                time.seconds += 20

    asyncio.run(run())
    assert server.count("/oauth2/token") == 2


@pytest.mark.parametrize(("after_s", "renewals"), [(0.0, 1), (269.0, 1), (270.0, 2), (400.0, 2)])
def test_a_token_is_renewed_before_its_end(after_s, renewals, server, settings, time) -> None:
    server.on(PLANTS).reply()

    async def run() -> None:
        async with SmaClient(settings, clock=time.clock) as client:
            await client.send(Request.plants())
            time.seconds += after_s
            await client.send(Request.plants())

    asyncio.run(run())
    assert server.count("/oauth2/token") == renewals


def test_however_many_wait_one_renewal_is_made(server, settings, time) -> None:
    server.on("/oauth2/token", afresh=True).reply(503).reply(200, '{"access_token":"t"}', pause_s=0.05)
    server.on(PLANTS).reply()

    async def run() -> None:
        async with SmaClient(settings, clock=time.clock) as client:
            await asyncio.gather(*(client.send(Request.plants()) for _ in range(20)))

    asyncio.run(run())
    assert (server.count("/oauth2/token"), server.count(PLANTS)) == (2, 20)


def test_many_refused_at_once_renew_once(server, settings, time) -> None:
    server.on("/oauth2/token", afresh=True).reply(200, '{"access_token":"t1"}').reply(
        200, '{"access_token":"t2"}'
    )
    server.on(PLANTS).reply()
    server.dead_tokens = {"t1"}

    async def run() -> None:
        async with SmaClient(settings, clock=time.clock) as client:
            await asyncio.gather(*(client.send(Request.plants()) for _ in range(4)))

    asyncio.run(run())
    assert server.count("/oauth2/token") == 2


def test_a_late_refusal_of_an_old_token_keeps_the_new_one(server, settings, time) -> None:
    server.on("/oauth2/token", afresh=True).reply(200, '{"access_token":"t1"}').reply(
        200, '{"access_token":"t2"}'
    )

    async def run() -> list[str]:
        async with SmaClient(settings, clock=time.clock) as client:
            first = await client.tokens.get()
            client.tokens.discard(first)
            second = await client.tokens.get()
            client.tokens.discard(first)
            return [first, second, await client.tokens.get()]

    assert asyncio.run(run()) == ["t1", "t2", "t2"]
    assert server.count("/oauth2/token") == 2


def test_a_cancelled_waiter_leaves_the_renewal_to_the_others(server, settings, time) -> None:
    left = threading.Event()
    server.on("/oauth2/token", afresh=True).reply(200, '{"access_token":"t"}', after=left)
    server.on(PLANTS).reply()

    async def run() -> int:
        async with SmaClient(settings, clock=time.clock) as client:
            first, second = (asyncio.create_task(client.send(Request.plants())) for _ in range(2))
            while not server.count("/oauth2/token"):
                await asyncio.sleep(0.001)
            first.cancel()
            left.set()
            answer = await second
            assert first.cancelled()
            return answer.status

    assert asyncio.run(run()) == 200
    assert server.count("/oauth2/token") == 1


@pytest.mark.parametrize(
    ("status", "error", "cure"),
    [
        (401, "invalid_client", "check SMA_CLIENT_ID and SMA_CLIENT_SECRET"),
        (401, "unauthorized_client", "use a client of the custom flow"),
        (400, "invalid_request", "SMA_AUTH_URL"),
    ],
)
def test_refused_credentials_say_the_cure_and_are_not_tried_again(
    status, error, cure, server, settings, time, secrets
) -> None:
    said = {"error": error, "error_description": f"bad secret {secrets[0]}"}
    server.on("/oauth2/token", afresh=True).reply(status, json.dumps(said))

    async def run() -> list[BaseException | Answer]:
        async with SmaClient(settings, clock=time.clock) as client:
            first = await asyncio.gather(client.send(Request.plants()), return_exceptions=True)
            return first + await asyncio.gather(client.send(Request.plants()), return_exceptions=True)

    outcomes = asyncio.run(run())
    assert [type(outcome) for outcome in outcomes] == [CredentialsError] * 2
    assert all(cure in str(outcome) and error in str(outcome) for outcome in outcomes)
    assert not any(secret in str(outcome) for outcome in outcomes for secret in secrets)
    assert (server.count("/oauth2/token"), server.count(PLANTS)) == (1, 0)


@pytest.mark.parametrize("status", [400, 500])
def test_no_form_of_the_secret_that_a_token_service_repeats_is_shown(status, server, settings, time) -> None:
    settings = settings.model_copy(update={"sma_client_secret": SecretStr("9f+a/b&1=")})

    def echo(text: str) -> str:
        server.on("/oauth2/token", afresh=True).reply(status, json.dumps({"error": text}))
        return str(fails(settings, time, SmaError))

    encoded = "9f%2Ba%2Fb%261%3D"
    basic = base64.b64encode(f"{settings.sma_client_id}:9f+a/b&1=".encode()).decode()
    for form in ("9f+a/b&1=", encoded, encoded.lower(), basic):
        told = echo(f"can't take {form}")
        assert "can't take [secret]" in told
        assert form not in told


@pytest.mark.parametrize("body", ["<html>login</html>", "[]", "{}", '{"access_token":"a\\r\\nX: y"}'])
def test_an_answer_that_is_no_token(body, server, settings, time) -> None:
    server.on("/oauth2/token", afresh=True).reply(200, body)
    assert "without a token: check SMA_AUTH_URL" in str(fails(settings, time, PermanentError))


def test_a_missing_token_service_is_no_wrong_secret(server, settings, time) -> None:
    server.on("/oauth2/token", afresh=True).reply(404, "nothing here")
    error = fails(settings, time, PermanentError)
    assert not isinstance(error, CredentialsError)
    assert "SMA_AUTH_URL" in str(error)


def test_missing_credentials_fail_before_any_request(server, time) -> None:
    settings = load_settings(env_file=None, sma_auth_url=server.url, sma_monitoring_url=server.url)
    with pytest.raises(ConfigurationError, match="SMA_CLIENT_ID and SMA_CLIENT_SECRET"):
        ask(settings, time)
    assert server.seen == []


@pytest.mark.parametrize("life", ["1796071234000", '"9' + "9" * 400 + '"', "1e300"])
def test_no_life_of_a_token_loses_the_login(life, server, settings, time) -> None:
    tokens = f'{{"access_token":"t","refresh_token":"next","expires_in":{life}}}'
    server.on("/oauth2/token", afresh=True).reply(200, tokens)
    code = settings.model_copy(update={"sma_flow": "code", "sma_refresh_token": SecretStr("first")})
    server.on(PLANTS).reply(200, b"[]")
    assert ask(code, time).body == b"[]"
    # SMA no longer takes the first one.
    assert LoginStore.of(code).read().refresh_token == "next"


def test_the_code_flow_without_a_login_says_so_at_once(settings, tmp_path) -> None:
    code = settings.model_copy(update={"sma_flow": "code", "home": tmp_path})
    with pytest.raises(ConfigurationError, match="run 'sunledger login'"):
        SmaClient(code)
