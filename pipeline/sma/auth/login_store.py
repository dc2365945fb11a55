"""The login of the code flow: one document for each client and authorization server, on disk or in PostgreSQL.

It holds the newest refresh token and the access token that came with it. Both are worth the same to a thief who can
read the file, and a shared access token saves every short-lived process a token request. SMA rotates refresh
tokens, so whoever trades one in holds `lock()` from reading the old one until the new one is stored.
"""

import datetime as dt
import hashlib
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Self

import orjson

from pipeline.common.local_time import parse_moment
from pipeline.common.settings import Settings
from pipeline.sma.auth.private_documents import PrivateDocument, open_document
from pipeline.sma.auth.secret_files import (
    SecretFileError,
)
from pipeline.sma.auth.token_endpoint import Grant
from pipeline.sma.clock import Clock

# Enough of a SHA-256 to tell clients and tokens apart.
DIGEST_CHARS = 20
# SMA's FAQ: used every 2 days, a session lasts 30 days at most.
SESSION_DAYS = 30


@dataclass(frozen=True, slots=True)
class Login:
    """What is stored. Times are UTC; an empty token means none.

    `logged_in_at` is unknown for a login that came from SMA_REFRESH_TOKEN. `offline` says that the refresh token never
    expires (`refresh_expires_in` 0). `seed` is the digest of the
    SMA_REFRESH_TOKEN that this login came from or has replaced: that one must not be used again. `secret` is the digest
    of the SMA_CLIENT_SECRET by which SMA gave the access token: another secret may not rely on it.
    """

    refresh_token: str = field(default="", repr=False)
    access_token: str = field(default="", repr=False)
    access_until: dt.datetime | None = None
    logged_in_at: dt.datetime | None = None
    renewed_at: dt.datetime | None = None
    offline: bool = False
    seed: str = ""
    secret: str = ""

    def renew(self, grant: Grant, now: dt.datetime, secret: str) -> Self:
        """This login after a token answer to a request with this client secret.

        An answer without a refresh token leaves the old one in force.
        """
        return replace(
            self,
            refresh_token=grant.refresh_token or self.refresh_token,
            access_token=grant.access_token,
            access_until=now + dt.timedelta(seconds=grant.life_s),
            renewed_at=now,
            offline=grant.refresh_never_expires,
            secret=digest_secret(secret),
        )


class LoginStore:
    """The stored login of one client. Nothing is written before the first `lock()`."""

    def __init__(self, document: PrivateDocument) -> None:
        self._document = document

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The store of the settings' client."""
        name = digest_secret(f"{settings.sma_client_id}\0{settings.sma_auth_url}")
        return cls(open_document(settings, f"login-{name}.json"))

    @property
    def place(self) -> str:
        """Where the login is, for people: a file whose folder is made when it is missing, or a row of PostgreSQL."""
        return self._document.place

    def lock(self, clock: Clock) -> AbstractAsyncContextManager[None]:
        """The right to trade in the refresh token, held by one process at a time."""
        return self._document.lock_async(clock)

    def read(self) -> Login:
        """The stored login, or an empty one where there is none. Raises SecretFileError for a file of another kind."""
        content = self._document.read()
        if content is None:
            return Login()
        try:
            return _decode_login(orjson.loads(content))
        except (orjson.JSONDecodeError, OverflowError, TypeError, ValueError, KeyError):
            raise SecretFileError(
                f"{self.place} does not hold a login of sunledger: delete it and run 'sunledger login'."
            ) from None

    def write(self, login: Login) -> None:
        """Replace what is stored. Call it while `lock` is held."""
        self._document.write(_encode_login(login))

    @contextmanager
    def reserve_room(self) -> Iterator["LoginRoom"]:
        """Space on the disk for the next login, taken before the old token is traded in."""
        with self._document.reserve_room() as put:
            yield LoginRoom(put)


class LoginRoom:
    """Space for one login."""

    def __init__(self, put: Callable[[bytes], None]) -> None:
        self._put = put

    def put(self, login: Login) -> None:
        """Store the login durably."""
        self._put(_encode_login(login))


def digest_secret(text: str) -> str:
    """A name for a secret or a client that reveals nothing about it."""
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_CHARS]


def _encode_login(login: Login) -> bytes:
    return orjson.dumps({name: getattr(login, name) for name in Login.__dataclass_fields__})


def _decode_login(stored: dict[str, Any]) -> Login:
    return Login(
        refresh_token=str(stored["refresh_token"]),
        access_token=str(stored["access_token"]),
        access_until=_parse_time(stored["access_until"]),
        logged_in_at=_parse_time(stored["logged_in_at"]),
        renewed_at=_parse_time(stored["renewed_at"]),
        offline=stored["offline"] is True,
        seed=str(stored["seed"]),
        # Earlier versions did not store it.
        secret=str(stored.get("secret", "")),
    )


def _parse_time(text: str | None) -> dt.datetime | None:
    return None if text is None else parse_moment(text)
