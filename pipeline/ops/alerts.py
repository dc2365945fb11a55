"""Sends each alert once to each channel, and a message when its problem is resolved. Knows nothing of Dagster.

A concern has a name that stays the same while it lasts. Each channel remembers by itself what it has told, so a channel
that failed gets the message again, and the others do not get it twice.
"""

import asyncio
import json
import logging
import smtplib
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from typing import TypeAlias
from urllib.parse import unquote, urlsplit

import httpx

from pipeline.common.errors import SunledgerError
from pipeline.common.settings import Settings
from pipeline.common.text import escape_controls, escape_line

# A mail server or webhook that takes longer is down; the next look tells it again.
TIMEOUT_S = 15.0
SUBMISSION_PORT, TLS_PORT = 587, 465
REFUSED = 300
# What libraries raise for an address that none can be: a port beyond all, a name that is too long.
_WRONG_ADDRESS = (ValueError, OverflowError, ExceptionGroup)
# The alerts that each channel has sent, as name -> title, by the channel's name.
Told: TypeAlias = dict[str, dict[str, str]]


@dataclass(frozen=True, slots=True, order=True)
class Concern:
    """Something that a person should know: its name, one line, and what to do.

    A name that begins with `event:` is something that happened once, so it is never resolved.
    """

    name: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Message:
    """What goes to a channel."""

    title: str
    text: str
    resolved: bool = False


Channel: TypeAlias = Callable[[Message], None]


class AlertFailedError(SunledgerError):
    """A channel did not take a message; its address is not part of the text, because it is a secret."""


def find_news(told: Mapping[str, str], concerns: Iterable[Concern]) -> list[tuple[str, Message]]:
    """The messages that a channel has not got: new concerns, and resolved ones that it knows. In the order of names."""
    now = {concern.name: concern for concern in concerns}
    found = [
        (name, Message(escape_line(now[name].title), escape_controls(now[name].text)))
        for name in sorted(now)
        if name not in told
    ]
    found += [
        (
            name,
            Message(
                f"Resolved: {escape_line(told[name])}",
                "The problem is solved, so there is nothing to do.",
                resolved=True,
            ),
        )
        for name in sorted(told)
        if name not in now and not is_event(name)
    ]
    return found


def is_event(name: str) -> bool:
    """Whether a concern of that name happened once and can't be resolved."""
    return name.startswith("event:")


def tell(told: Told, concerns: Iterable[Concern], channels: Mapping[str, Channel]) -> tuple[Told, list[str]]:
    """Send each channel its new messages. Returns what was sent so far, and why some messages could not be sent."""
    concerns = list(concerns)
    after: Told = {}
    faults = []
    for channel, send in channels.items():
        known = dict(told.get(channel, {}))
        for name, message in find_news(known, concerns):
            try:
                send(message)
            except AlertFailedError as fault:
                faults.append(f"{channel}: {fault}")
                break
            if message.resolved:
                del known[name]
            else:
                known[name] = message.title
        present = {concern.name for concern in concerns}
        after[channel] = {n: title for n, title in known.items() if not is_event(n) or n in present}
    return after, faults


def read_told(text: str) -> Told:
    """What was sent so far, as JSON; of anything else nothing was sent."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    channels = found.values() if isinstance(found, dict) else [None]
    is_told = all(
        isinstance(told, dict) and all(isinstance(title, str) for title in told.values()) for told in channels
    )
    return found if is_told else {}


def build_channels(settings: Settings) -> dict[str, Channel]:
    """The channels that the settings name."""
    found: dict[str, Channel] = {}
    if smtp := settings.alert_smtp.get_secret_value():
        found["mail"] = lambda message: _send_mail(
            smtp, settings.alert_mail_from, settings.alert_mail_to, message
        )
    if webhook := settings.alert_webhook.get_secret_value():
        found["webhook"] = lambda message: _post_json(
            webhook, {"title": message.title, "text": message.text, "resolved": message.resolved}
        )
    if slack := settings.alert_slack.get_secret_value():
        found["slack"] = lambda message: _post_json(slack, {"text": _format_for_slack(message)})
    return found


def _format_for_slack(message: Message) -> str:
    """Bold title and text; what Slack would take for markup or a mention is escaped as it asks for."""
    title, text = (
        part.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        for part in (message.title, message.text)
    )
    return f"{':white_check_mark:' if message.resolved else ':warning:'} *{title}*\n{text}"


def _post_json(url: str, body: Mapping[str, object]) -> None:
    try:
        status = asyncio.run(_post(url, json.dumps(body)))
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, *_WRONG_ADDRESS) as fault:
        raise AlertFailedError(
            f"The webhook can't be reached ({type(fault).__name__}): check its address and the network."
        ) from None
    if status >= REFUSED:
        raise AlertFailedError(f"The webhook answered {status}: check its address.")


class _HideWebhook(logging.Filter):
    """Takes the address of a webhook, which is a secret, out of the records of httpx."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self._address = str(httpx.URL(address))

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        if self._address in message:
            record.msg, record.args = message.replace(self._address, "[webhook]"), ()
        return True


@contextmanager
def _hide_webhook(address: str) -> Iterator[None]:
    hide, log = _HideWebhook(address), logging.getLogger("httpx")
    log.addFilter(hide)
    try:
        yield
    finally:
        log.removeFilter(hide)


async def _post(url: str, content: str) -> int:
    """The status of the answer, within the time limit: those of httpx are for each piece of it. Reads no body."""
    headers = {"Content-Type": "application/json"}
    with _hide_webhook(url):
        async with (
            asyncio.timeout(TIMEOUT_S),
            httpx.AsyncClient(timeout=TIMEOUT_S) as client,
            client.stream("POST", url, content=content, headers=headers) as answer,
        ):
            return answer.status_code


def _send_mail(url: str, sender: str, receivers: str, message: Message) -> None:
    """Send by the server of the URL, within the time limit: that of a socket is for each piece of an answer."""
    faults: list[Exception] = []

    def send() -> None:
        try:
            _send_by_server(url, sender, receivers, message)
        except Exception as fault:
            faults.append(fault)

    sending = threading.Thread(target=send, name="mail", daemon=True)
    sending.start()
    sending.join(TIMEOUT_S)
    if sending.is_alive():
        faults.append(TimeoutError())
    for fault in faults:
        if not isinstance(fault, (OSError, smtplib.SMTPException, *_WRONG_ADDRESS)):
            raise fault
        raise AlertFailedError(
            f"The mail server did not accept the alert ({type(fault).__name__}): check SUNLEDGER_ALERT_…."
        ) from None


def _send_by_server(url: str, sender: str, receivers: str, message: Message) -> None:
    """By smtps://, or smtp:// with STARTTLS unless the server is on this machine."""
    parts = urlsplit(url)
    mail = EmailMessage()
    mail["Subject"] = f"[sunledger] {message.title}"
    mail["From"], mail["To"] = sender, receivers
    mail.set_content(message.text)
    host = parts.hostname or ""
    local = host in {"localhost", "127.0.0.1", "::1"}
    with _connect(parts.scheme, host, parts.port) as server:
        if parts.scheme == "smtp" and not local:
            server.starttls(context=ssl.create_default_context())
        if parts.username:
            server.login(unquote(parts.username), unquote(parts.password or ""))
        server.send_message(mail)


def _connect(scheme: str, host: str, port: int | None) -> smtplib.SMTP:
    if scheme == "smtps":
        context = ssl.create_default_context()
        return smtplib.SMTP_SSL(host, port or TLS_PORT, timeout=TIMEOUT_S, context=context)
    return smtplib.SMTP(host, port or SUBMISSION_PORT, timeout=TIMEOUT_S)
