"""Mail servers that want TLS and a login: they get both, and a server that is not what it says gets neither."""

from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from pipeline.common.settings import Settings
from pipeline.ops.alerts import Concern, build_channels, tell
from tests.ops.alerts.receivers import CERTIFICATE, MailServer, listening

LATE = Concern("late", "Days are missing", "Run a backfill.")
# This machine by a name that does not tell.
ELSEWHERE = "127.0.0.2"
LOGIN = ("ops@example.org", "p@ss:word/1")


@pytest.fixture(params=["starttls", "implicit"])
def server(request: pytest.FixtureRequest) -> Iterator[MailServer]:
    found = MailServer(ELSEWHERE, tls=request.param, login=LOGIN)
    with listening(found):
        yield found


def told(settings: Settings, url: str) -> list[str]:
    """The faults of telling by mail."""
    mail = {
        "alert_smtp": SecretStr(url),
        "alert_mail_from": "a@example.org",
        "alert_mail_to": "b@example.org",
    }
    return tell({}, [LATE], build_channels(settings.model_copy(update=mail)))[1]


def test_mail_goes_over_tls_with_a_login(
    settings: Settings, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    assert told(settings, server.url) == []
    assert "Subject: [sunledger] Days are missing" in server.mails[0]


def test_a_wrong_password_is_told_without_it(
    settings: Settings, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    assert told(settings, server.url.replace("word", "wort")) == [
        "mail: The mail server did not accept the alert (SMTPAuthenticationError): check SUNLEDGER_ALERT_…."
    ]
    assert server.mails == []


def test_a_server_that_nobody_vouches_for_gets_no_password(
    settings: Settings, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    assert told(settings, server.url) == [
        "mail: The mail server did not accept the alert (SSLCertVerificationError): check SUNLEDGER_ALERT_…."
    ]
    assert server.mails == []


def test_a_server_without_tls_elsewhere_gets_no_password(settings: Settings) -> None:
    plain = MailServer(ELSEWHERE, login=LOGIN)
    with listening(plain):
        assert told(settings, plain.url) == [
            "mail: The mail server did not accept the alert (SMTPNotSupportedError): check SUNLEDGER_ALERT_…."
        ]
    assert plain.mails == []
