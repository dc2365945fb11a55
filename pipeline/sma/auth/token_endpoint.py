"""SMA's token endpoint: one grant in, tokens out, refusals as sentences. Keeps no token and no state of a login.

docs/decisions/0018-tokens.md says why this is no OAuth library.
"""

import asyncio
import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from pipeline.common.errors import CredentialsError, PermanentError
from pipeline.common.settings import Settings
from pipeline.sma.http.attempt import Wire
from pipeline.sma.http.error_messages import Call, Reply, format_status, read_error_fields
from pipeline.sma.http.redact import redact_text
from pipeline.sma.http.retry import is_transient

TOKEN_PATH = "/oauth2/token"  # noqa: S105 - a path, not a secret
LOGOUT_PATH = "/oauth2/logout"
# SMA's tokens live for 300 s; a missing or unreadable expires_in is taken for that.
USUAL_LIFE_S = 300.0
# No token is relied on for longer. An expires_in that is a date in milliseconds would end after the year 9999.
LONGEST_LIFE_S = 86_400.0

_OK = 200
_REFUSALS = frozenset({400, 401})
_WRONG = "check SMA_CLIENT_ID, SMA_CLIENT_SECRET and SMA_AUTH_URL"
_LOG_IN = (
    "the login has expired (after 30 days, after 2 days without use, when the user revoked it, or because its refresh "
    "token was used before): run 'sunledger login'"
)
_CURES = {
    "invalid_client": "check SMA_CLIENT_ID and SMA_CLIENT_SECRET, and that they belong to SMA_ENVIRONMENT",
    "unauthorized_client": {
        "client_credentials": "the client is registered for the code flow: set SMA_FLOW=code and run "
        "'sunledger login', or use a client of the custom flow",
        "authorization_code": "the client is registered for the custom flow: set SMA_FLOW=custom and ask owners with "
        "'sunledger consent request', or use a client of the code flow",
        "refresh_token": "the client is registered for the custom flow: set SMA_FLOW=custom",
    },
    "invalid_grant": {
        "refresh_token": _LOG_IN,
        "authorization_code": "the code has expired or was used before: run 'sunledger login' again, with --no-pkce "
        "if SMA's message mentions PKCE",
    },
}


@dataclass(frozen=True, slots=True)
class Grant:
    """The tokens of one answer. `renew_at` of the access token follows from `asked_at` on the monotonic clock."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    life_s: float
    asked_at: float
    refresh_never_expires: bool


def _keep_nothing(_grant: Grant) -> None:
    pass


class TokenEndpoint:
    """`POST {auth}/oauth2/token` and `/oauth2/logout` for one client. Belongs to one event loop."""

    def __init__(self, settings: Settings, wire: Wire) -> None:
        self._client_id = settings.sma_client_id
        self._secret = settings.sma_client_secret
        self._base = settings.sma_auth_url
        host = urlsplit(settings.sma_auth_url).netloc
        self._basic = self._encode_basic_credentials()
        secrets = (self._secret.get_secret_value(), self._basic)
        self._token_call = Call("POST", TOKEN_PATH, host, "SMA_AUTH_URL", secrets)
        self._logout_call = Call("POST", LOGOUT_PATH, host, "SMA_AUTH_URL", secrets)
        self._wire = wire
        self._calm = asyncio.Event()
        self._calm.set()

    @property
    def busy(self) -> bool:
        """Whether a request is under way whose answer may hold the only valid refresh token."""
        return not self._calm.is_set()

    async def settle(self, wait_s: float) -> None:
        """Wait until no such request is under way, but not forever."""
        if self.busy:
            try:
                await asyncio.wait_for(self._calm.wait(), wait_s)
            except TimeoutError:
                return

    async def grant(self, form: Mapping[str, str], keep: Callable[[Grant], None] = _keep_nothing) -> Grant:
        """Tokens for a grant. `keep` gets them before anything else can happen, to store them.

        Raises CredentialsError for a refusal, PermanentError for an answer that is none of OAuth's, and
        TransientError after the last try.
        """
        call = _add_secrets(self._token_call, form)
        tries = 0
        while True:
            tries += 1
            # Counted from before the request: the server's clock starts somewhere after that.
            asked_at = self._wire.clock.monotonic()
            request = self._wire.post_form(f"{self._base}{TOKEN_PATH}", f"Basic {self._basic}", dict(form))
            self._calm.clear()
            try:
                outcome = await self._wire.try_once(call, request)
                if isinstance(outcome, Reply) and not is_transient(outcome.status):
                    grant = self._read(call, outcome, form["grant_type"], asked_at)
                    keep(grant)
                    return grant
            finally:
                self._calm.set()
            await self._wire.back_off(call, outcome, tries)

    async def log_out(self, refresh_token: str) -> bool:
        """End the session of a refresh token; False when SMA no longer knows it. Raises SmaError."""
        form = {
            "client_id": self._client_id,
            "client_secret": self._secret.get_secret_value(),
            "refresh_token": refresh_token,
        }
        call = _add_secrets(self._logout_call, form)
        tries = 0
        while True:
            tries += 1
            request = self._wire.post_form(f"{self._base}{LOGOUT_PATH}", None, form)
            outcome = await self._wire.try_once(call, request)
            if isinstance(outcome, Reply) and not is_transient(outcome.status):
                break
            await self._wire.back_off(call, outcome, tries)
        if outcome.status in _REFUSALS:
            if read_error_fields(outcome.body).get("error") == "invalid_grant":
                return False
            raise _build_refusal(call, outcome, "")
        if not 200 <= outcome.status < 300:  # noqa: PLR2004 - success by HTTP's own classes
            raise _build_no_oauth_error(call, outcome.status)
        return True

    def _encode_basic_credentials(self) -> str:
        credentials = f"{self._client_id}:{self._secret.get_secret_value()}".encode()
        return base64.b64encode(credentials).decode()

    def _read(self, call: Call, reply: Reply, grant_type: str, asked_at: float) -> Grant:
        if reply.status in _REFUSALS:
            raise _build_refusal(call, reply, grant_type)
        fields = read_error_fields(reply.body) if reply.status == _OK else {}
        access, refresh = fields.get("access_token"), fields.get("refresh_token")
        if not _is_token(access):
            raise _build_no_oauth_error(call, reply.status)
        never = fields.get("refresh_expires_in")
        return Grant(
            access_token=str(access),
            refresh_token=str(refresh) if _is_token(refresh) else "",
            life_s=_read_life_s(fields.get("expires_in")),
            asked_at=asked_at,
            # 0 is "never", not "now"; a missing value says nothing.
            refresh_never_expires=never == 0 and not isinstance(never, bool),
        )


def _add_secrets(call: Call, form: Mapping[str, str]) -> Call:
    """The call with those secrets that this form holds."""
    held = (form[name] for name in ("refresh_token", "code", "code_verifier") if name in form)
    return replace(call, secrets=(*call.secrets, *held))


def _build_refusal(call: Call, reply: Reply, grant_type: str) -> CredentialsError:
    """The reason and the cure, from OAuth's error code."""
    fields = read_error_fields(reply.body)
    cure = _CURES.get(str(fields.get("error")), _WRONG)
    if isinstance(cure, dict):
        cure = cure.get(grant_type, _WRONG)
    parts = [part for key in ("error", "error_description") if isinstance(part := fields.get(key), str)]
    said = redact_text("; ".join(parts), call.secrets)
    return CredentialsError(
        f"{call.host} refused the credentials{f' ({said})' if said else ''}: {cure}.",
        method=call.method,
        path=call.path,
        status=reply.status,
    )


def _build_no_oauth_error(call: Call, status: int) -> PermanentError:
    return PermanentError(
        f"{call} answered {format_status(status)} without a token: check SMA_AUTH_URL, "
        f"{call.host} may not be SMA's."
        if call.path == TOKEN_PATH
        else f"{call} answered {format_status(status)}: check SMA_AUTH_URL, {call.host} may not be SMA's.",
        method=call.method,
        path=call.path,
        status=status,
    )


def _is_token(value: Any) -> bool:  # a JSON value
    return isinstance(value, str) and bool(value) and value.isascii() and value.isprintable()


def _read_life_s(expires_in: Any) -> float:  # a JSON value
    if isinstance(expires_in, str) and expires_in.isascii() and expires_in.isdecimal():
        expires_in = float(expires_in)
    if isinstance(expires_in, int | float) and not isinstance(expires_in, bool) and expires_in > 0:
        return min(float(expires_in), LONGEST_LIFE_S)
    return USUAL_LIFE_S
