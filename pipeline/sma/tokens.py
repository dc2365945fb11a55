"""Access tokens: obtained once, shared by all requests, renewed before they end.

A token is kept in memory only. Neither it nor the client secret ever leaves this module except as the
`Authorization` header of a request.
"""

import asyncio
import base64
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from pipeline.errors import ConfigurationError, CredentialsError, PermanentError, SmaError
from pipeline.settings import Settings
from pipeline.sma.problems import Call, Reply, error_fields, status_text
from pipeline.sma.retry import is_transient
from pipeline.sma.text import clean
from pipeline.sma.wire import Wire

TOKEN_PATH = "/oauth2/token"  # noqa: S105 - a path, not a secret
# SMA's tokens live for 300 s; a missing or unreadable expires_in is taken for that.
USUAL_LIFE_S = 300.0
# Renew this long before the end, so that no request arrives with a token that has just died on the way.
MARGIN_S = 30.0

_OK = 200


@dataclass(frozen=True, slots=True)
class _Token:
    value: str = field(repr=False)
    renew_at: float  # on the monotonic clock


class TokenSource:
    """The token of one set of credentials (client_credentials grant), for one event loop.

    However many requests wait for a renewal, one is made. Refused credentials are remembered: asking for
    each of ten thousand requests again could lock the client out.
    """

    def __init__(self, settings: Settings, wire: Wire) -> None:
        if settings.sma_flow != "custom":
            raise ConfigurationError(
                "SMA_FLOW=code is wrong here: this version of sunledger reads data by the custom flow "
                "alone, so set SMA_FLOW=custom and use a client of that flow."
            )
        settings.require_credentials()
        self._client_id = settings.sma_client_id
        self._secret = settings.sma_client_secret
        self._url = f"{settings.sma_auth_url}{TOKEN_PATH}"
        host = urlsplit(settings.sma_auth_url).netloc
        self._call = Call("POST", TOKEN_PATH, host, "SMA_AUTH_URL")
        self._wire = wire
        self._token: _Token | None = None
        self._refused: str | None = None
        self._renewal: asyncio.Task[_Token] | None = None
        self._waiting = 0

    async def get(self) -> str:
        """A token with life left. Raises CredentialsError, TransientError or PermanentError."""
        token = self._token
        if token is not None and self._wire.clock.monotonic() < token.renew_at:
            return token.value
        if self._refused is not None:
            raise self._credentials_error(self._refused)
        return (await self._shared_renewal()).value

    def discard(self, value: str) -> None:
        """Forget a token that SMA has refused, unless a newer one has taken its place."""
        if self._token is not None and self._token.value == value:
            self._token = None

    async def _shared_renewal(self) -> _Token:
        """Join the renewal under way, or begin it. It ends early only when nobody waits for it any more."""
        if self._renewal is None or self._renewal.done():
            self._renewal = asyncio.create_task(self._renew())
        renewal = self._renewal
        self._waiting += 1
        try:
            return await asyncio.shield(renewal)
        finally:
            self._waiting -= 1
            if self._waiting == 0 and not renewal.done():
                renewal.cancel()

    async def _renew(self) -> _Token:
        credentials = f"{self._client_id}:{self._secret.get_secret_value()}".encode()
        authorization = f"Basic {base64.b64encode(credentials).decode()}"
        tries = 0
        while True:
            tries += 1
            # Counted from before the request: the server's clock starts somewhere after that.
            asked_at = self._wire.clock.monotonic()
            request = self._wire.post_form(self._url, authorization, {"grant_type": "client_credentials"})
            outcome = await self._wire.try_once(self._call, request)
            if isinstance(outcome, Reply) and not is_transient(outcome.status):
                self._token = self._read(outcome, asked_at)
                return self._token
            await self._wire.back_off(self._call, outcome, tries)

    def _read(self, reply: Reply, asked_at: float) -> _Token:
        if reply.status in {400, 401}:
            self._refused = self._why(reply)
            raise self._credentials_error(self._refused, reply.status)
        fields = error_fields(reply.body) if reply.status == _OK else {}
        value = fields.get("access_token")
        if not isinstance(value, str) or not value or not value.isascii() or not value.isprintable():
            raise PermanentError(
                f"{self._call} answered {status_text(reply.status)} without a token: check SMA_AUTH_URL, "
                f"{self._call.host} may not be SMA's.",
                method=self._call.method,
                path=self._call.path,
                status=reply.status,
            )
        life_s = _life_s(fields.get("expires_in"))
        return _Token(value, asked_at + life_s - min(MARGIN_S, life_s / 2))

    def _why(self, reply: Reply) -> str:
        """The reason and the cure, from OAuth's error code."""
        fields = error_fields(reply.body)
        cures = {
            "invalid_client": "check SMA_CLIENT_ID and SMA_CLIENT_SECRET, and that SMA_ENVIRONMENT is theirs",
            "unauthorized_client": "the client is registered for the code flow; use one of the custom flow",
        }
        cure = cures.get(str(fields.get("error")), "check SMA_CLIENT_ID, SMA_CLIENT_SECRET and SMA_AUTH_URL")
        parts = [part for key in ("error", "error_description") if isinstance(part := fields.get(key), str)]
        said = clean("; ".join(parts), secrets=(self._secret.get_secret_value(),))
        return f"{self._call.host} refused the credentials{f' ({said})' if said else ''}: {cure}."

    def _credentials_error(self, why: str, status: int = 401) -> SmaError:
        return CredentialsError(why, method=self._call.method, path=self._call.path, status=status)


def _life_s(expires_in: Any) -> float:  # a JSON value
    if isinstance(expires_in, int | float) and not isinstance(expires_in, bool) and expires_in > 0:
        return float(expires_in)
    return USUAL_LIFE_S
