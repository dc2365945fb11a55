"""Owners' consent by e-mail: SMA's `bc-authorize`, one owner at a time. Keeps nothing: the consent book does.

An owner's address is part of these URLs. It must reach no log, message or table: errors name the path with `[owner]`
in its place, and log records of the HTTP libraries are rewritten before anybody sees them.
"""

import datetime as dt
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from pipeline.common.errors import PermanentError, UsageError
from pipeline.common.settings import Settings
from pipeline.sma.client import SmaClient
from pipeline.sma.http.error_messages import (
    Call,
    Reply,
    build_refusal_error,
    format_status,
    read_error_fields,
    read_vendor_message,
)
from pipeline.sma.http.redact import redact_text
from pipeline.sma.http.retry import is_transient
from pipeline.sma.http.server_time import refuse_odd_clock

CONSENT_PATH = "/oauth2/v2/bc-authorize"
# The interval between two looks where SMA names none: half an hour.
USUAL_INTERVAL_S = 1800.0
# An interval that SMA asks for is minutes; a slip there must not end all asking.
LONGEST_INTERVAL_S = 7 * 86_400.0
# A look right after the request sometimes fails: SMA knows it about a second later.
SETTLING_S = 1.0
SETTLING_TRIES = 5

_UNAUTHORIZED, _BAD_REQUEST, _NOT_FOUND = 401, 400, 404
_OWNER_IN_URL = re.compile(rf"({re.escape(CONSENT_PATH)}/)[^\s\"'?]+")
_LOGGERS = ("httpx", "httpcore", "aiohttp.client", "aiohttp.internal", "asyncio")


class ConsentState(StrEnum):
    """How a consent stands. SMA has the first five; `UNKNOWN` is a word that it did not have before."""

    PENDING = "Pending"
    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    EXPIRED = "Expired"
    REVOKED = "Revoked"
    UNKNOWN = "Unknown"

    @classmethod
    def named(cls, text: object) -> "ConsentState":
        """The state of this name, in any case."""
        return {state.lower(): state for state in cls}.get(str(text).strip().lower(), cls.UNKNOWN)


class NotAnOwnerError(PermanentError):
    """The address belongs to no system owner, so SMA sends no e-mail."""


@dataclass(frozen=True, slots=True)
class Consent:
    """SMA's answer about one owner: the state, until when it can be answered, seconds between two looks."""

    state: ConsentState
    expires_at: dt.datetime | None
    interval_s: float


class _HideOwners(logging.Filter):
    """Takes owners' addresses out of log records, whoever writes them."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        if CONSENT_PATH in message:
            record.msg, record.args = _OWNER_IN_URL.sub(r"\1[owner]", message), ()
        return True


_HIDE_OWNERS = _HideOwners()


class ConsentApi:
    """Asks SMA for and about consents, with the token and connections of a client of the custom flow.

    Raises UsageError for the code flow, which has no consents.
    """

    def __init__(self, settings: Settings, client: SmaClient) -> None:
        if settings.sma_flow != "custom":
            raise UsageError(
                "With SMA_FLOW=code there are no consents, because the user who logs in grants access: use 'sunledger "
                "login', or set SMA_FLOW=custom if the client belongs to the custom flow."
            )
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(_HIDE_OWNERS)
        self._client = client
        self._url = f"{settings.sma_consent_url}{CONSENT_PATH}"
        self._host = urlsplit(settings.sma_consent_url).netloc

    async def ask(self, owner: str) -> Consent:
        """Ask the owner by SMA's e-mail; may be repeated, also for plants that came later.

        Raises NotAnOwnerError or another SmaError.
        """
        wire = self._client.wire
        call = Call("POST", CONSENT_PATH, self._host, "SMA_CONSENT_URL")
        reply = await self._exchange(
            call, lambda bearer: wire.post_json(self._url, bearer, {"loginHint": owner})
        )
        if reply.status == _BAD_REQUEST:
            raise _build_no_owner_error(call, reply)
        return _read_consent(call, reply)

    async def look(self, owner: str, *, known: bool) -> Consent | None:
        """How the consent stands; None when SMA knows of no request. Raises SmaError and ClockApartError.

        `known`: we have asked, so an answer that knows nothing is looked at again a second later.
        """
        wire, clock = self._client.wire, self._client.clock
        url = f"{self._url}/{quote(owner, safe='')}"
        call = Call("GET", f"{CONSENT_PATH}/[owner]", self._host, "SMA_CONSENT_URL")
        tries = 0
        while True:
            tries += 1
            asked_at = clock.now()
            reply = await self._exchange(call, lambda bearer: wire.get(url, bearer))
            refuse_odd_clock(url, asked_at, clock.now(), reply.headers)
            if reply.status not in {_NOT_FOUND, _BAD_REQUEST}:
                return _read_consent(call, reply)
            if not known or tries >= SETTLING_TRIES:
                break
            await clock.wait(SETTLING_S, "SMA does not know the request for consent yet")
        return None

    async def _exchange(self, call: Call, build: Callable[[str], httpx.Request]) -> Reply:
        """One answer that asking again will not change; a refused token is renewed once."""
        wire, tokens = self._client.wire, self._client.tokens
        renewed, failures = False, 0
        while True:
            token = await tokens.get()
            outcome = await wire.try_once(call, build(f"Bearer {token}"))
            if isinstance(outcome, Reply):
                if outcome.status == _UNAUTHORIZED and not renewed:
                    renewed = True
                    tokens.discard(token)
                    continue
                if not is_transient(outcome.status):
                    return outcome
            failures += 1
            await wire.back_off(call, outcome, failures)


def normalize_address(text: str) -> str:
    """An owner's address as it is kept: trimmed, in lower case. Raises UsageError for what cannot be one."""
    owner = text.strip().lower()
    name, at, domain = owner.rpartition("@")
    if not (name and at and domain) or not owner.isprintable() or " " in owner:
        raise UsageError(
            "That is not an e-mail address: name an owner by the address of the portal's user, for instance "
            "owner@example.com."
        )
    return owner


def _read_consent(call: Call, reply: Reply) -> Consent:
    if not 200 <= reply.status < 300:  # noqa: PLR2004 - success by HTTP's own classes
        raise build_refusal_error(call, reply)
    fields = read_error_fields(reply.body)
    if "state" not in fields:
        raise PermanentError(
            f"{call} answered {format_status(reply.status)} without a state: check SMA_CONSENT_URL, {call.host} may "
            "not be SMA's.",
            method=call.method,
            path=call.path,
            status=reply.status,
        )
    return Consent(
        ConsentState.named(fields["state"]),
        _parse_moment(fields.get("expirationDate")),
        _read_interval_s(fields.get("interval")),
    )


def _build_no_owner_error(call: Call, reply: Reply) -> NotAnOwnerError:
    said = read_vendor_message(reply.body)
    return NotAnOwnerError(
        f"SMA sends no request for consent to this address{f' ({redact_text(said)})' if said else ''}: name the user "
        "who has the owner's role of the plant (Sunny Portal: flag system-owner in the user management; "
        "ennexOS: role owner).",
        method=call.method,
        path=call.path,
        status=reply.status,
    )


def _parse_moment(text: Any) -> dt.datetime | None:  # a JSON value
    if not isinstance(text, str):
        return None
    try:
        moment = dt.datetime.fromisoformat(text)
        return moment.astimezone(dt.UTC) if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    except (ValueError, OverflowError):
        return None


def _read_interval_s(value: Any) -> float:  # a JSON value
    if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
        return min(float(value), LONGEST_INTERVAL_S)
    return USUAL_INTERVAL_S
