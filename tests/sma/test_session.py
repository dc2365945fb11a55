"""The synchronous session: one thread, one client, bounded, and gone when closed."""

import threading
from collections.abc import Iterator
from functools import partial

import pytest

from pipeline.common.errors import ConfigurationError, SunledgerError, TransientError
from pipeline.common.settings import load_settings
from pipeline.sma.blocking_client import SmaSession
from pipeline.sma.client import SmaClient
from pipeline.sma.requests import Answer, Failure, Request

SESSION_THREAD = "sma-session"


@pytest.fixture
def session(settings, time) -> Iterator[SmaSession]:
    with SmaSession(settings, partial(SmaClient, clock=time.clock)) as running:
        yield running
    assert SESSION_THREAD not in {thread.name for thread in threading.enumerate()}


def devices(server, count: int, **how: object) -> list[Request]:
    for number in range(count):
        server.on(f"/monitoring/v1/plants/{number}/devices/lean").reply(200, str(number), **how)
    return [Request.devices(str(number)) for number in range(count)]


def test_answers_come_in_order(server, session) -> None:
    requests = devices(server, 50)
    results = list(session.fetch(iter(requests)))
    assert [result.request for result in results] == requests
    assert [result.body for result in results if isinstance(result, Answer)] == [
        str(number).encode() for number in range(50)
    ]


def test_connections_and_token_last_for_the_session(server, session) -> None:
    requests = devices(server, 20)
    for _ in range(3):
        assert len(list(session.fetch(requests))) == 20
    session.send(requests[0])
    assert server.count("/oauth2/token") == 1
    assert server.connections <= 4


def test_nothing_connects_before_the_first_use(server, settings) -> None:
    with SmaSession(settings) as session:
        assert (session.requests_sent, session.bytes_received, session.retries) == (0, 0, 0)
    assert server.connections == 0


def test_counters(server, session) -> None:
    server.on("/monitoring/v1/plants").reply(503, b"").reply(200, b"12345")
    before = len(server.scripts["/oauth2/token"].steps[0].body)
    session.send(Request.plants())
    assert (session.requests_sent, session.retries) == (3, 1)
    assert session.bytes_received == before + 5


def test_errors_reach_the_caller(server, session) -> None:
    server.on("/monitoring/v1/plants").reply(503)
    with pytest.raises(TransientError, match="503 Service Unavailable"):
        session.send(Request.plants())
    (failure,) = session.fetch([Request.plants()])
    assert isinstance(failure, Failure)
    assert failure.attempts == 6


def test_leaving_early_cancels_what_is_in_flight(server, session) -> None:
    requests = devices(server, 3)
    for number in range(3, 200):
        server.on(f"/monitoring/v1/plants/{number}/devices/lean").reply(silent=True)
        requests.append(Request.devices(str(number)))
    results = session.fetch(requests)
    assert [next(results).request for _ in range(3)] == requests[:3]
    results.close()
    assert session.requests_sent <= 1 + 3 + 4
    assert session.send(requests[0]).body == b"0"  # the session lives on


def test_requests_are_sent_before_somebody_takes_their_results(server, session) -> None:
    requests = devices(server, 10)
    results = session.fetch(requests)
    while session.requests_sent < 1 + 10:
        threading.Event().wait(0.005)
    assert [result.request for result in results] == requests
    # Nobody takes the results of these, and closing the session ends them.
    session.fetch(requests)


def test_a_fault_of_the_iterable_reaches_the_caller(server, session) -> None:
    def broken() -> Iterator[Request]:
        yield from devices(server, 2)
        raise ZeroDivisionError("bug")

    with pytest.raises(ZeroDivisionError, match="bug"):
        list(session.fetch(broken()))


def test_several_threads_may_share_a_session(server, session) -> None:
    requests = devices(server, 30)
    counts: list[int] = []
    threads = [
        threading.Thread(target=lambda: counts.append(len(list(session.fetch(requests))))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [30, 30, 30]
    assert server.count("/oauth2/token") == 1


def test_a_closed_session_says_so(server, session) -> None:
    requests = devices(server, 50)
    session.send(requests[0])
    running = session.fetch(requests)
    next(running)
    session.close()
    session.close()
    with pytest.raises(SunledgerError, match="is closed"):
        session.send(requests[0])
    with pytest.raises(SunledgerError, match="is closed"):
        list(running)


def test_closing_ends_a_wait_of_another_thread(server, session) -> None:
    server.on("/monitoring/v1/plants").reply(silent=True)
    faults: list[BaseException] = []

    def wait() -> None:
        try:
            session.send(Request.plants())
        except SunledgerError as fault:
            faults.append(fault)

    waiting = threading.Thread(target=wait)
    waiting.start()
    while server.count("/monitoring/v1/plants") == 0:
        threading.Event().wait(0.005)
    session.close()
    waiting.join(10)
    assert [str(fault).split(":")[0] for fault in faults] == ["The session with SMA is closed"]


def test_missing_credentials_reach_the_caller(server) -> None:
    settings = load_settings(env_file=None, sma_auth_url=server.url, sma_monitoring_url=server.url)
    with SmaSession(settings) as session, pytest.raises(ConfigurationError, match="SMA_CLIENT_ID"):
        list(session.fetch([Request.plants()]))
