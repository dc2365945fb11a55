"""Access tokens: obtained once, shared by all requests, renewed before they end.

In the custom flow a token is kept in memory only. In the code flow it is traded for the stored refresh token, which
rotates, so renewals of all processes on the machine go through the store one after another. No token leaves this
module except as the `Authorization` header of a request.
"""

import asyncio
from dataclasses import dataclass, field

from pipeline.common.errors import ConfigurationError, CredentialsError
from pipeline.common.settings import Settings
from pipeline.sma.auth.login_store import Login, LoginStore, digest_secret
from pipeline.sma.auth.token_endpoint import Grant, TokenEndpoint
from pipeline.sma.http.attempt import Wire

# Renew this long before the end, so that no request arrives with a token that has just died on the way.
MARGIN_S = 30.0
# How long closing waits for a renewal whose answer would be lost with it.
SETTLE_S = 15.0

NO_LOGIN = "No login is stored for this client: run 'sunledger login'."


@dataclass(frozen=True, slots=True)
class _Token:
    value: str = field(repr=False)
    renew_at: float  # on the monotonic clock


class TokenSource:
    """The access token of one set of credentials, for one event loop.

    However many requests wait for a renewal, one is made. Refused credentials are remembered: asking for
    each of ten thousand requests again could lock the client out. Raises ConfigurationError at once when
    credentials are missing, or in the code flow a login.
    """

    def __init__(self, settings: Settings, wire: Wire) -> None:
        settings.require_credentials()
        self._seed = settings.sma_refresh_token
        self._secret = settings.sma_client_secret
        self._store = LoginStore.of(settings) if settings.sma_flow == "code" else None
        if self._store is not None:
            _refresh_token(self._store.read(), self._seed.get_secret_value())
        self._endpoint = TokenEndpoint(settings, wire)
        self._wire = wire
        self._token: _Token | None = None
        self._refused: CredentialsError | None = None
        self._rejected = ""  # its digest
        self._renewal: asyncio.Task[_Token] | None = None
        self._waiting = 0

    def is_usable(self, value: str) -> bool:
        """Whether a token of this source is still the newest one and has life left."""
        token = self._token
        return token is not None and token.value == value and self._wire.clock.monotonic() < token.renew_at

    async def get(self) -> str:
        """A token with life left. Raises CredentialsError, TransientError, PermanentError or SecretFileError."""
        token = self._token
        if token is not None and self.is_usable(token.value):
            return token.value
        if self._refused is not None:
            refused = self._refused
            raise CredentialsError(
                str(refused), method=refused.method, path=refused.path, status=refused.status
            )
        return (await self._share_renewal()).value

    def discard(self, value: str) -> None:
        """Forget a token that SMA has refused, unless a newer one has taken its place."""
        self._rejected = digest_secret(value)
        if self._token is not None and self._token.value == value:
            self._token = None

    async def settle(self) -> None:
        """Before the loop ends: let a renewal finish whose answer holds the only valid refresh token."""
        await self._endpoint.settle(SETTLE_S)

    async def _share_renewal(self) -> _Token:
        """Join the renewal in progress, or begin one. It is cancelled only when no request waits for it."""
        if self._renewal is None or self._renewal.done():
            self._renewal = asyncio.create_task(self._renew())
        renewal = self._renewal
        self._waiting += 1
        try:
            return await asyncio.shield(renewal)
        finally:
            self._waiting -= 1
            rotating = self._store is not None and self._endpoint.busy
            if self._waiting == 0 and not renewal.done() and not rotating:
                renewal.cancel()

    async def _renew(self) -> _Token:
        try:
            if self._store is None:
                token = self._build_token(await self._endpoint.grant({"grant_type": "client_credentials"}))
            else:
                token = await self._read_or_renew(self._store)
        except CredentialsError as error:
            self._refused = error
            raise
        self._token = token
        return token

    async def _read_or_renew(self, store: LoginStore) -> _Token:
        """The stored access token while it lives, else one for the stored refresh token."""
        clock = self._wire.clock
        async with store.lock(clock):
            login = store.read()
            seed = self._seed.get_secret_value()
            refresh_token = _refresh_token(login, seed)
            if refresh_token != login.refresh_token:
                login = Login(refresh_token=seed, seed=digest_secret(seed))
            shared = self._take_shared(login)
            if shared is not None:
                return shared
            with store.reserve_room() as room:
                grant = await self._endpoint.grant(
                    {"grant_type": "refresh_token", "refresh_token": refresh_token},
                    keep=lambda grant: room.put(
                        login.renew(grant, clock.now(), self._secret.get_secret_value())
                    ),
                )
        return self._build_token(grant)

    def _take_shared(self, login: Login) -> _Token | None:
        """The access token that another process has stored, unless it is old, refused, or of another time.

        One that was given for another client secret is not used either: a wrong secret shows at once, by SMA's refusal
        to renew the login, and not minutes later.
        """
        if login.access_until is None or digest_secret(login.access_token) == self._rejected:
            return None
        if login.secret != digest_secret(self._secret.get_secret_value()):
            return None
        left_s = (login.access_until - self._wire.clock.now()).total_seconds()
        whole_s = (login.access_until - (login.renewed_at or login.access_until)).total_seconds()
        # More life left than it ever had: the machine's clock was set back, so nothing is known.
        if not MARGIN_S < left_s <= whole_s:
            return None
        return _Token(login.access_token, self._wire.clock.monotonic() + left_s - MARGIN_S)

    def _build_token(self, grant: Grant) -> _Token:
        return _Token(grant.access_token, grant.asked_at + grant.life_s - min(MARGIN_S, grant.life_s / 2))


def _refresh_token(login: Login, seed: str) -> str:
    """The refresh token to use: the stored one, unless SMA_REFRESH_TOKEN is new. Raises ConfigurationError."""
    if seed and digest_secret(seed) != login.seed:
        return seed
    if not login.refresh_token:
        raise ConfigurationError(NO_LOGIN)
    return login.refresh_token
