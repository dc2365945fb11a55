"""The client against a scripted server: what is tried again, what is not, and what the user reads."""

import asyncio
import gzip
import json
import logging
from collections.abc import Callable

import pytest

from pipeline.common.errors import NotYetAvailable, PermanentError, TransientError
from pipeline.sma.client import SmaClient
from pipeline.sma.requests import Request
from tests.sma.client_calls import DEVICES, PATIENT, PLANTS, ask, fails


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
