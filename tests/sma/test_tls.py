"""Certificates are always verified, whatever the environment says, and credentials stay with the host they are for."""

import asyncio
from pathlib import Path

import pytest

from pipeline.common.errors import ConfigurationError, PermanentError, SmaError
from pipeline.common.settings import Settings, load_settings
from pipeline.sma.client import SmaClient
from pipeline.sma.consents.consent_api import ConsentApi
from tests.sma.client_calls import ask
from tests.sma.conftest import TOKEN_PATH, ScriptedServer

SELF_SIGNED = Path(__file__).parent / "data" / "self-signed.pem"
CONSENT = "/oauth2/v2/bc-authorize"


@pytest.fixture
def secure(untrusted_server: ScriptedServer, settings: Settings) -> Settings:
    """Everything at a server whose certificate is for 127.0.0.1 and signed by itself."""
    url = untrusted_server.url
    untrusted_server.on("/monitoring/v1/plants").reply()
    return settings.model_copy(update={"sma_auth_url": url, "sma_monitoring_url": f"{url}/monitoring"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PYTHONHTTPSVERIFY", "0"),
        ("SSL_VERIFY", "false"),
        ("VERIFY_SSL", "0"),
        ("CURL_CA_BUNDLE", ""),
        ("CURL_CA_BUNDLE", str(SELF_SIGNED)),
        ("REQUESTS_CA_BUNDLE", str(SELF_SIGNED)),
        ("NODE_TLS_REJECT_UNAUTHORIZED", "0"),
        ("SSL_CERT_FILE", ""),
        ("SSL_CERT_DIR", "/nowhere"),
        ("SMA_ENVIRONMENT", "sandbox"),
    ],
)
def test_nothing_in_the_environment_switches_verification_off(
    name: str, value: str, secure: Settings, untrusted_server, time, monkeypatch: pytest.MonkeyPatch
) -> None:
    for other in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, value)
    with pytest.raises(PermanentError, match="is not trusted: check SMA_AUTH_URL"):
        ask(secure, time)
    assert untrusted_server.seen == []


def test_an_authority_of_ones_own_is_trusted_for_its_own_names_alone(
    secure: Settings, untrusted_server, time, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(SELF_SIGNED))
    ask(secure, time)
    seen = len(untrusted_server.seen)
    assert seen == 2
    by_name = secure.sma_auth_url.replace("127.0.0.1", "localhost")
    with pytest.raises(PermanentError, match="is not trusted"):
        ask(secure.model_copy(update={"sma_auth_url": by_name}), time)
    assert len(untrusted_server.seen) == seen


@pytest.mark.parametrize("content", [None, "", "no certificate\n", "folder"])
def test_certificates_that_cannot_be_read_stop_everything_with_the_cure(
    content: str | None, settings, server, time, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "certificates.pem"
    if content == "folder":
        file.mkdir()
    elif content is not None:
        file.write_text(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    with pytest.raises(ConfigurationError, match="set it to your organisation's certificates") as caught:
        ask(settings, time)
    assert str(caught.value).startswith(f"SSL_CERT_FILE={file} holds no readable certificates")
    assert server.seen == []


@pytest.mark.parametrize("role", ["auth", "consent", "monitoring"])
def test_no_service_is_reached_without_tls_but_on_this_machine(role: str) -> None:
    with pytest.raises(ConfigurationError, match="would send secrets unencrypted; use https"):
        load_settings(env_file=None, **{f"sma_{role}_url": "http://sma.example.com"})


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("path", [TOKEN_PATH, CONSENT])
def test_no_redirect_takes_credentials_to_another_host(
    path: str, status: int, server, settings: Settings, time
) -> None:
    """The secret goes to the token service alone, an owner's address to the consent service alone."""
    other = ScriptedServer()
    other.start()
    try:
        for method_path in (TOKEN_PATH, CONSENT):
            other.on(method_path).reply()
        server.on(path, afresh=True).reply(status, b"", headers={"Location": f"{other.url}{path}"})

        async def run() -> None:
            asked = settings.model_copy(update={"sma_consent_url": server.url})
            async with SmaClient(asked, clock=time.clock) as client:
                await ConsentApi(asked, client).ask("owner@example.com")

        with pytest.raises(SmaError) as caught:
            asyncio.run(run())
        assert other.seen == []
        assert caught.value.status == status
        assert "owner@example" not in str(caught.value)
    finally:
        other.stop()
