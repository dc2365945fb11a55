"""Hosts that can't be reached, do not answer, or are not who they say: one sentence for each."""

import socket

import pytest

from pipeline.common.errors import PermanentError, TransientError
from pipeline.sma.http.attempt import Limits
from pipeline.sma.http.transport import Timeouts, find_proxy
from tests.ports import find_free_port
from tests.sma.client_calls import HASTY, PLANTS, ask, fails


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


def test_proxies_come_from_the_environment_but_never_for_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "proxy.example:3128")
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "inside.example")
    proxy = find_proxy("https://monitoring.smaapis.de")
    assert proxy is not None
    assert str(proxy.url) == "http://proxy.example:3128"
    assert find_proxy("https://inside.example") is None
    assert find_proxy("http://127.0.0.1:8080") is None
