"""The client against a scripted server: what is tried again, what is not, and what the user reads."""

import asyncio
import base64
import gzip
import json
import logging
import socket
import threading
from collections.abc import Callable

import pytest
from pydantic import SecretStr

from pipeline.common.errors import (
    ConfigurationError,
    CredentialsError,
    NotYetAvailable,
    PermanentError,
    SmaError,
    TransientError,
)
from pipeline.common.settings import load_settings
from pipeline.sma.auth.login_store import LoginStore
from pipeline.sma.client import SmaClient
from pipeline.sma.http.attempt import Limits
from pipeline.sma.http.transport import Timeouts, find_proxy
from pipeline.sma.requests import Answer, Request
from tests.ports import find_free_port

PLANTS = "/monitoring/v1/plants"
DEVICES = "/monitoring/v1/plants/13/devices/lean"
# Longer than any machine takes: only what never answers is given up, and tests of that are hasty.
PATIENT = Limits(timeouts=Timeouts(connect=120.0, read=120.0, pool=120.0, whole_try=240.0))
HASTY = Limits(timeouts=Timeouts(connect=120.0, read=0.15, pool=120.0, whole_try=240.0))


def ask(settings, time, request=None, limits=PATIENT, times=1):
    """Send a request through a client of its own; with `times`, one after the other."""

    async def run() -> Answer:
        async with SmaClient(settings, clock=time.clock, limits=limits) as client:
            for _ in range(times - 1):
                await client.send(request or Request.plants())
            return await client.send(request or Request.plants())

    return asyncio.run(run())


def fails(settings, time, kind, request=None, limits=PATIENT) -> SmaError:
    with pytest.raises(kind) as caught:
        ask(settings, time, request, limits)
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(".")
    # No link of the chain may carry the library's own fault, which quotes headers.
    assert caught.value.__cause__ is None
    return caught.value


def test_an_answer_comes_as_received(server, settings, time) -> None:
    body = b'{"plants": [ {"plantId":"13"} ]}\n'
    server.on(PLANTS).reply(200, body)
    answer = ask(settings, time)
    assert (answer.body, answer.status, answer.attempts) == (body, 200, 1)
    assert answer.target == "/v1/plants?WithStatus=true&WithInstallation=true&WithLocation=true"
    assert answer.fetched_at == time.clock.now()
    token, data = server.seen
    assert (token.method, token.body) == ("POST", "grant_type=client_credentials")
    assert token.headers["authorization"].startswith("Basic ")
    assert data.headers["authorization"] == "Bearer tok-9b1c"
    assert (data.method, data.target) == ("GET", f"/monitoring{answer.target}")


def test_compressed_bodies_are_unpacked(server, settings, time) -> None:
    server.on(PLANTS).reply(200, gzip.compress(b"[1]"), headers={"Content-Encoding": "gzip"})
    assert ask(settings, time).body == b"[1]"
    assert "gzip" in server.seen[-1].headers["accept-encoding"]


def test_a_strange_id_reaches_the_server_as_one_segment(server, settings, time) -> None:
    server.on("/monitoring/v1/plants/a%2F..%2Fb%20%3F/devices/lean").reply(200, b"[]")
    assert ask(settings, time, Request.devices("a/../b ?")).body == b"[]"


def test_connection_and_token_are_reused(server, settings, time) -> None:
    server.on(PLANTS).reply()
    ask(settings, time, times=5)
    assert (server.connections, server.count("/oauth2/token"), server.count(PLANTS)) == (1, 1, 5)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_transient_status_is_tried_again(status, server, settings, time) -> None:
    server.on(PLANTS).reply(status, "<html>busy</html>").reply(200, b"[]")
    answer = ask(settings, time)
    assert (answer.body, answer.attempts) == (b"[]", 2)
    assert time.sleeps == [5.0 if status == 429 else 0.5]
    assert answer.elapsed_ms == 1000.0 * time.sleeps[0]


@pytest.mark.parametrize(
    "how",
    [
        {"hang_up": True},
        {"cut_at": 10},
        {"raw": b"\x00\x01 no HTTP at all\r\n\r\n"},
        {"raw": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"},
        {"headers": {"Content-Encoding": "gzip"}},
    ],
    ids=["hang-up", "cut", "no-http", "cut-chunk", "damaged-gzip"],
)
def test_a_transport_fault_is_tried_again(how, server, settings, time) -> None:
    server.on(PLANTS).reply(200, b'{"plants":[1,2,3]}', **how).reply(200, b"[]")
    assert ask(settings, time).body == b"[]"
    assert server.count(PLANTS) == 2


@pytest.mark.parametrize(
    ("header", "waited"), [("7", 7.5), ("Wed, 01 Jan 2025 00:00:20 GMT", 20.5), ("3600", 300.0), ("x", 5.0)]
)
def test_retry_after_is_honoured_up_to_five_minutes(header, waited, server, settings, time) -> None:
    headers = {"Retry-After": header, "Date": "Wed, 01 Jan 2025 00:00:00 GMT"}
    server.on(PLANTS).reply(429, headers=headers).reply(200, b"[]")
    ask(settings, time)
    assert time.sleeps == [waited]


def test_tries_are_bounded_and_the_error_says_so(server, settings, time) -> None:
    server.on(PLANTS).reply(504, "<html><h1>Gateway Time-out</h1></html>")
    error = fails(settings, time, TransientError)
    assert str(error) == (
        "GET /v1/plants answered 504 Gateway Timeout, the last of 6 tries: SMA's service has a fault; "
        "run it again later."
    )
    assert (error.method, error.path, error.status, error.transient) == ("GET", "/v1/plants", 504, True)
    assert server.count(PLANTS) == 6


def test_what_waits_is_admitted_again_before_each_try(server, settings, time) -> None:
    """A month may end while a request waits: then another try would make a PU that nobody has agreed to."""
    server.on(DEVICES).reply(503)
    waits: list[int] = []

    def admit() -> None:
        waits.append(len(time.sleeps))
        if len(waits) == 3:
            raise ValueError("not any more")

    async def run() -> None:
        async with SmaClient(settings, clock=time.clock, limits=PATIENT) as client:
            await client.fetch(Request.devices("13"), admit)

    with pytest.raises(ValueError, match="not any more"):
        asyncio.run(run())
    assert waits == [0, 1, 2]
    assert server.count(DEVICES) == 2


def test_rate_refusals_are_bounded_too(server, settings, time) -> None:
    server.on(PLANTS).reply(429, json.dumps({"message": "Too many requests", "code": "429"}))
    error = fails(settings, time, TransientError)
    assert "429 Too Many Requests (Too many requests), the last of 8 tries" in str(error)
    assert "SMA_REQUESTS_PER_5_MIN" in str(error)
    assert sum(time.sleeps) > 300


@pytest.mark.parametrize(
    ("status", "cure"), [(400, "check the id"), (403, "consent"), (404, "list of plants")]
)
def test_a_permanent_status_fails_at_once_with_the_vendors_words(
    status, cure, server, settings, time
) -> None:
    said = "No\x00 such\r\nplant for jane@example.com " + "x" * 500
    server.on(DEVICES).reply(status, json.dumps({"message": said, "code": str(status)}))
    error = fails(settings, time, PermanentError, Request.devices("13"))
    assert str(error).startswith(f"GET /v1/plants/13/devices/lean answered {status} ")
    assert "(No such plant for [e-mail] xxx" in str(error)
    assert cure in str(error)
    assert len(str(error)) < 450
    assert (error.status, error.transient, time.sleeps) == (status, False, [])
    assert server.count(DEVICES) == 1


def test_model_binding_faults_are_readable(server, settings, time) -> None:
    body = {"title": "One or more validation errors", "errors": {"Date": ["The value 'x' is not valid."]}}
    server.on(PLANTS).reply(400, json.dumps(body))
    assert "The value 'x' is not valid." in str(fails(settings, time, PermanentError))


def test_a_body_beyond_the_limit_names_the_limit(server, settings, time) -> None:
    server.on(PLANTS).reply(200, b"x" * 2001)
    narrow = settings.model_copy(update={"sma_max_answer_bytes": 2000})
    error = str(fails(narrow, time, PermanentError))
    assert "more than the 2,000 bytes allowed" in error
    assert "raise SMA_MAX_ANSWER_BYTES" in error
    assert server.count(PLANTS) == 1
    server.on(PLANTS, afresh=True).reply(200, b"x" * 2000)
    assert len(ask(narrow, time).body) == 2000


def test_reading_stops_at_the_limit(server, settings, time) -> None:
    server.on(PLANTS).reply(200, b"x" * 5_000_000)
    narrow = settings.model_copy(update={"sma_max_answer_bytes": 1000})

    async def run() -> int:
        async with SmaClient(narrow, clock=time.clock) as client:
            await client.fetch(Request.plants())
            return client.counters.bytes_received

    assert asyncio.run(run()) < 500_000


def test_a_small_answer_that_unpacks_to_a_huge_one_is_stopped(server, settings, time) -> None:
    server.on(PLANTS).reply(200, gzip.compress(b"0" * 30_000_000), headers={"Content-Encoding": "gzip"})
    fails(settings.model_copy(update={"sma_max_answer_bytes": 1_000_000}), time, PermanentError)


@pytest.mark.parametrize("status", [202, 204, 425])
def test_what_is_not_there_yet_is_told_so_and_not_waited_for(status, server, settings, time) -> None:
    server.on(PLANTS).reply(status, b"")
    error = fails(settings, time, NotYetAvailable)
    assert (error.method, error.path, error.status, error.transient) == ("GET", "/v1/plants", status, True)
    assert "run it again later" in str(error)
    assert (server.count(PLANTS), time.sleeps) == (1, [])


def test_a_moved_plant_is_followed_on_the_same_base(server, settings, time) -> None:
    request = Request.measured("13", "", "EnergyBalance", "Day", "2025-07-01")
    old, new = f"/monitoring{request.path}", f"/monitoring{request.path}".replace("13", "99")
    server.on(old).reply(308, b"", headers={"Location": f"{new}?Date=2025-07-01"})
    server.on(new).reply(200, b"[]")
    answer = ask(settings, time, request)
    assert answer.target == request.target.replace("/13/", "/99/")
    assert answer.request == request
    assert server.seen[-1].headers["authorization"] == "Bearer tok-9b1c"


@pytest.mark.parametrize(
    "location",
    [
        "http://evil.example/monitoring/v1/plants",
        "//evil.example/monitoring/v1/plants",
        "http://127.0.0.1:9/monitoring/v1/plants",
        "/elsewhere",
        "/monitoring/v1/../../elsewhere",
        "/monitoring/v1/%2e%2e/%2E%2E/elsewhere",
        "http://[",
        "",
    ],
)
@pytest.mark.parametrize("status", [308, 307])
def test_credentials_never_leave_the_base(status, location, server, settings, time) -> None:
    server.on(PLANTS).reply(status, b"", headers={"Location": location})
    server.on("/elsewhere").reply()
    error = fails(settings, time, PermanentError)
    assert "redirects to no address of SMA's Monitoring API at SMA_MONITORING_URL" in str(error)
    assert [seen.target.split("?")[0] for seen in server.seen] == ["/oauth2/token", PLANTS]


def test_redirects_end(server, settings, time) -> None:
    server.on(PLANTS).reply(308, b"", headers={"Location": PLANTS})
    error = fails(settings, time, PermanentError)
    assert "redirects after 3 other redirects" in str(error)
    assert server.count(PLANTS) == 4


def test_other_redirects_are_errors(server, settings, time) -> None:
    server.on(PLANTS).reply(302, b"", headers={"Location": "/monitoring/v1/login"})
    assert fails(settings, time, PermanentError).status == 302


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


def test_an_unreachable_host_is_one_sentence(settings, time) -> None:
    port = find_free_port()
    lost = settings.model_copy(update={"sma_auth_url": f"http://127.0.0.1:{port}"})
    error = fails(lost, time, TransientError)
    assert str(error) == (
        f"POST /oauth2/token got no answer, 6 tries: 127.0.0.1:{port} refused the connection; "
        "check the network and SMA_AUTH_URL, then run it again."
    )
    assert error.status is None


def test_an_unknown_host_name_is_told_apart(settings, time, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    lost = settings.model_copy(update={"sma_auth_url": "https://sma.example"})
    assert "the host name sma.example does not exist" in str(fails(lost, time, TransientError))


def test_a_server_without_tls_is_told_apart(server, settings, time) -> None:
    secure = settings.model_copy(update={"sma_auth_url": server.url.replace("http:", "https:")})
    assert "the TLS connection" in str(fails(secure, time, TransientError))


def test_an_untrusted_certificate_is_refused_at_once(untrusted_server, settings, time) -> None:
    lost = settings.model_copy(update={"sma_auth_url": untrusted_server.url})
    error = fails(lost, time, PermanentError)
    assert "is not trusted: check SMA_AUTH_URL, or set SSL_CERT_FILE to" in str(error)
    assert (untrusted_server.seen, time.sleeps) == ([], [])


def test_silence_is_a_time_out(server, settings, time) -> None:
    server.on(PLANTS).reply(silent=True)
    error = fails(settings, time, TransientError, limits=HASTY)
    assert "did not answer in time; check the network" in str(error)


def test_silence_is_tried_again(server, settings, time) -> None:
    server.on(PLANTS).reply(silent=True).reply(200, b"[]")
    assert ask(settings, time, limits=HASTY).body == b"[]"
    # A slow machine may be taken for a silent one.
    assert server.count(PLANTS) >= 2


def test_an_answer_that_trickles_for_ever_ends(server, settings, time) -> None:
    server.on(PLANTS).reply(200, pause_s=0.5)
    limits = Limits(timeouts=Timeouts(whole_try=0.05))
    assert "did not answer in time" in str(fails(settings, time, TransientError, limits=limits))


def test_a_limiter_is_asked_before_every_single_try(server, settings, time) -> None:
    class Recorder:
        admitted = charged = 0
        refusals: list[float] = []  # noqa: RUF012 - lives for one test

        async def admit(self, is_ready: Callable[[], bool]) -> bool:
            self.admitted += 1
            return is_ready()

        async def charge(self) -> None:
            self.charged += 1

        async def pause(self, wait_s: float) -> None:
            self.refusals.append(wait_s)

        async def aclose(self) -> None:
            self.closed = True

    limiter = Recorder()
    server.on(PLANTS).reply(429).reply(401).reply(503).reply(200)

    async def run() -> None:
        async with SmaClient(settings, clock=time.clock, limiter=limiter) as client:
            await client.send(Request.plants())

    asyncio.run(run())
    assert (limiter.admitted, limiter.refusals) == (4, [5.0])
    # A token must not wait for the budget: the first one, and the one after the 401.
    assert (limiter.charged, limiter.closed) == (2, True)


def test_an_impossible_id_is_a_failure_of_its_request_alone(settings, time) -> None:
    assert "can't be a plant" in str(fails(settings, time, PermanentError, Request.devices("..")))


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


def test_nothing_printed_or_logged_holds_a_secret(server, settings, time, secrets, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    server.on(PLANTS).reply(503).reply(401).reply(200, b"[]")
    server.on(DEVICES).reply(404, json.dumps({"message": f"Bearer {secrets[1]} may not"}))
    shown: list[str] = []

    async def run() -> None:
        async with SmaClient(settings, clock=time.clock) as client:
            answer = await client.send(Request.plants())
            failure = await client.fetch(Request.devices("13"))
            parts = (client, client.wire, client.tokens, client.counters, settings, answer, failure)
            shown.extend(repr(part) for part in parts)
            shown.extend(repr(value) for part in parts[:3] for value in vars(part).values())
            shown.append(str(failure.error))

    asyncio.run(run())
    text = "\n".join([*shown, caplog.text])
    assert "GET /v1/plants/13/devices/lean" in text
    assert not [secret for secret in secrets if secret in text]


def test_proxies_come_from_the_environment_but_never_for_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "proxy.example:3128")
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "inside.example")
    proxy = find_proxy("https://monitoring.smaapis.de")
    assert proxy is not None
    assert str(proxy.url) == "http://proxy.example:3128"
    assert find_proxy("https://inside.example") is None
    assert find_proxy("http://127.0.0.1:8080") is None
