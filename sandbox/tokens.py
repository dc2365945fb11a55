"""Tokens as SMA issues them: 300 s access tokens, rotating refresh tokens, sessions of at most 30 days."""

import secrets
import uuid
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from sandbox.sandbox_clock import SandboxClock

ACCESS_S = 300
REFRESH_S = 2 * 86400
# What answers say in `refresh_expires_in` (recorded); the FAQ's two days are what really holds.
REPORTED_REFRESH_S = 1800
SESSION_S = 30 * 86400
CODE_S = 60
MAX_SESSIONS = 20_000

Flow = Literal["custom", "code"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Client:
    """An application's credentials; SMA sets up each client for one flow, never both."""

    client_id: str
    secret: str = field(repr=False)
    flow: Flow


@dataclass(frozen=True, slots=True)
class Access:
    """What a valid access token stands for: a client, and in the code flow the user."""

    client: Client
    user: str | None
    expires_at: float
    session_id: str


@dataclass(slots=True)
class _Session:
    client: Client
    user: str | None
    offline: bool
    started_at: float
    used_at: float
    session_id: str
    generation: int
    refresh_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Code:
    client: Client
    user: str
    redirect_uri: str
    offline: bool
    expires_at: float


class TokenError(Exception):
    """A refused token request: HTTP status and OAuth error code."""

    def __init__(self, status: int, error: str, description: str) -> None:
        """`description` is shown to the caller."""
        super().__init__(description)
        self.status, self.error, self.description = status, error, description


class TokenStore:
    """All tokens and sessions; bounded, so that a million logins need no more memory than a few."""

    def __init__(self, clock: SandboxClock) -> None:
        """Tokens live and die by `clock`."""
        self._clock = clock
        self._access: OrderedDict[str, Access] = OrderedDict()
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        self._codes: OrderedDict[str, _Code] = OrderedDict()

    def access(self, token: str) -> Access | None:
        """What this access token stands for; None if it is unknown, revoked or too old."""
        found = self._access.get(token)
        return found if found is not None and found.expires_at > self._clock.now() else None

    def start(self, client: Client, user: str | None, *, offline: bool) -> dict[str, Any]:
        """Open a session and answer with its first tokens."""
        now = self._clock.now()
        session = _Session(client, user, offline, now, now, str(uuid.uuid4()), 0, secrets.token_urlsafe(24))
        _put(self._sessions, session.session_id, session)
        return self._tokens(session)

    def refresh(self, client: Client, token: str) -> dict[str, Any]:
        """Trade a refresh token for new tokens; the old one is worthless from now on."""
        session_id, _, rest = token.partition(".")
        session = self._sessions.get(session_id)
        if session is None or session.client != client:
            raise TokenError(400, "invalid_grant", "Invalid refresh token")
        if rest != f"{session.generation}.{session.refresh_key}":
            raise TokenError(401, "invalid_grant", "Stale token")
        now = self._clock.now()
        too_old = now - session.used_at >= REFRESH_S or now - session.started_at >= SESSION_S
        if too_old and not session.offline:
            del self._sessions[session_id]
            raise TokenError(400, "invalid_grant", "Token is not active")
        session.used_at = now
        session.generation += 1
        session.refresh_key = secrets.token_urlsafe(24)
        return self._tokens(session)

    def end(self, client: Client, token: str) -> None:
        """Log out: end the session of the client's refresh token with its access tokens; TokenError without one."""
        session_id, _, rest = token.partition(".")
        session = self._sessions.get(session_id)
        if (
            session is None
            or session.client != client
            or rest != f"{session.generation}.{session.refresh_key}"
        ):
            raise TokenError(400, "invalid_grant", "Invalid refresh token")
        del self._sessions[session_id]
        self._drop(lambda access: access.session_id == session_id)

    def end_logins(self, users: Collection[str] | None = None) -> int:
        """End all sessions of these users (or of all) in the code flow; returns how many there were."""
        ended = {
            session.session_id
            for session in self._sessions.values()
            if session.user is not None and (users is None or session.user in users)
        }
        for session_id in ended:
            del self._sessions[session_id]
        self._drop(lambda access: access.session_id in ended)
        return len(ended)

    def expire_access_tokens(self) -> int:
        """Make every access token invalid at once (sessions stay); returns how many there were."""
        count = len(self._access)
        self._access.clear()
        return count

    def new_code(self, client: Client, user: str, redirect_uri: str, *, offline: bool) -> str:
        """A one-time code of the code flow, valid for a minute."""
        code = secrets.token_urlsafe(24)
        _put(self._codes, code, _Code(client, user, redirect_uri, offline, self._clock.now() + CODE_S))
        return code

    def redeem(self, client: Client, code: str, redirect_uri: str) -> dict[str, Any]:
        """Trade a code for tokens; it works once, for the client and the address it was made for."""
        held = self._codes.pop(code, None)
        if held is None or held.client != client or held.expires_at <= self._clock.now():
            raise TokenError(400, "invalid_grant", "Code not valid")
        if held.redirect_uri != redirect_uri:
            raise TokenError(400, "invalid_grant", "Incorrect redirect_uri")
        return self.start(client, held.user, offline=held.offline)

    def _tokens(self, session: _Session) -> dict[str, Any]:
        now = self._clock.now()
        self._forget_expired(now)
        token = secrets.token_urlsafe(32)
        _put(self._access, token, Access(session.client, session.user, now + ACCESS_S, session.session_id))
        return {
            "access_token": token,
            "expires_in": ACCESS_S,
            "refresh_expires_in": 0 if session.offline else REPORTED_REFRESH_S,
            "refresh_token": f"{session.session_id}.{session.generation}.{session.refresh_key}",
            "token_type": "Bearer",
            "not-before-policy": 1626710983,
            "session_state": session.session_id,
            "scope": "profile monitoringApi:read email" + (" offline_access" if session.offline else ""),
        }

    def _forget_expired(self, now: float) -> None:
        """Drop dead tokens from the front: they expire in the order in which they were made."""
        while self._access and next(iter(self._access.values())).expires_at <= now:
            self._access.popitem(last=False)

    def _drop(self, doomed: Callable[[Access], bool]) -> None:
        for token in [token for token, access in self._access.items() if doomed(access)]:
            del self._access[token]


def _put(kept: "OrderedDict[str, T]", key: str, value: T) -> None:
    kept[key] = value
    if len(kept) > MAX_SESSIONS:
        kept.popitem(last=False)
