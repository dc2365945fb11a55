"""The code flow's login: the authorize address, the answer on a loopback port, and the tokens for its code.

The user signs in at SMA's page in a browser. SMA sends the browser back to 127.0.0.1 with a one-time code; the
`state` of the request must come back with it. PKCE (RFC 7636, S256) is always sent: SMA's server is a Keycloak, which
checks it, and by OAuth a server ignores what it does not know. `pkce=False` is for a proxy that drops half of it.
"""

import asyncio
import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlencode, urlsplit

from pipeline.common.errors import SunledgerError, UsageError
from pipeline.common.settings import Settings
from pipeline.sma.auth.login_store import Login, LoginStore, digest_secret
from pipeline.sma.auth.loopback_listener import Listener
from pipeline.sma.auth.token_endpoint import TokenEndpoint
from pipeline.sma.clock import Clock
from pipeline.sma.http.attempt import Limits, Wire
from pipeline.sma.http.error_messages import Call, Reply, format_status
from pipeline.sma.http.redact import redact_text
from pipeline.sma.http.retry import is_transient

AUTHORIZE_PATH = "/oauth2/auth"
OFFLINE = "offline_access"
# Time for a person to find a password; SMA's own page gives up after some ten minutes too.
WAIT_S = 600.0
# The page of an unknown client or redirect address, and a wrong host. Anything else may be a page for people.
_REFUSED = frozenset({400, 401, 404})


class LoginFailedError(SunledgerError):
    """The login did not end with a token; the stored login is unchanged."""


@dataclass(frozen=True, slots=True)
class LoginOptions:
    """How to log in. `port` 0 lets the system choose; SMA must know the redirect address that follows from it."""

    port: int = 0
    offline: bool = True
    pkce: bool = True
    wait_s: float = WAIT_S


@dataclass(frozen=True, slots=True)
class _Attempt:
    """The secrets of one login."""

    state: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48), repr=False)

    @property
    def challenge(self) -> str:
        hashed = hashlib.sha256(self.verifier.encode()).digest()
        return base64.urlsafe_b64encode(hashed).decode().rstrip("=")


async def log_in(
    settings: Settings, options: LoginOptions, show: Callable[[str], None], clock: Clock | None = None
) -> Login:
    """Log a user in and store the login. `show` gets the address that the user must open.

    Raises UsageError for the wrong flow or a taken port, LoginFailedError, CredentialsError or another SmaError.
    """
    _require_code_flow(settings)
    settings.require_credentials()
    store, attempt = LoginStore.of(settings), _Attempt()
    wire = Wire(settings, Limits(), clock or Clock())
    try:
        async with Listener(options.port) as listener:
            address = authorize_address(settings, listener.redirect, attempt, options)
            await _look(settings, wire, address)
            show(address)
            answer = await _await_answer(listener, options)
            code = _take_code(answer, attempt.state)
            form = {"grant_type": "authorization_code", "code": code, "redirect_uri": listener.redirect}
            if options.pkce:
                form["code_verifier"] = attempt.verifier
            return await _exchange_code(settings, store, wire, form)
    finally:
        await wire.aclose()


async def log_out(settings: Settings, *, local_only: bool = False, clock: Clock | None = None) -> bool:
    """End the session at SMA, delete the login, and return whether there was one.

    `local_only` sends no request to SMA. Raises SmaError when SMA cannot be asked; then the login is still stored.
    """
    _require_code_flow(settings)
    store = LoginStore.of(settings)
    wire = Wire(settings, Limits(), clock or Clock())
    try:
        async with store.lock(wire.clock):
            login = store.read()
            seed = settings.sma_refresh_token.get_secret_value()
            fresh_seed = bool(seed) and digest_secret(seed) != login.seed
            token = seed if fresh_seed else login.refresh_token
            if token and not local_only:
                settings.require_credentials()
                await TokenEndpoint(settings, wire).log_out(token)
            # The digest of the seed stays, so that it does not log in again by itself.
            store.write(Login(seed=digest_secret(seed) if seed else ""))
        return bool(token)
    finally:
        await wire.aclose()


def authorize_address(settings: Settings, redirect: str, attempt: _Attempt, options: LoginOptions) -> str:
    """Where the user signs in."""
    query = {
        "client_id": settings.sma_client_id,
        "response_type": "code",
        "redirect_uri": redirect,
        "state": attempt.state,
    }
    if options.offline:
        query["scope"] = OFFLINE
    if options.pkce:
        query |= {"code_challenge": attempt.challenge, "code_challenge_method": "S256"}
    return f"{settings.sma_auth_url}{AUTHORIZE_PATH}?{urlencode(query)}"


def _require_code_flow(settings: Settings) -> None:
    if settings.sma_flow != "code":
        raise UsageError(
            "With SMA_FLOW=custom there is no login, because owners consent by e-mail: use 'sunledger consent "
            "request', or set SMA_FLOW=code if the client belongs to the code flow."
        )


async def _look(settings: Settings, wire: Wire, address: str) -> None:
    """Request the page before a person opens it; it shows a client or redirect address that SMA does not know."""
    call = Call("GET", AUTHORIZE_PATH, urlsplit(settings.sma_auth_url).netloc, "SMA_AUTH_URL")
    tries = 0
    while True:
        tries += 1
        outcome = await wire.try_once(call, wire.build_page_request(address))
        if isinstance(outcome, Reply) and not is_transient(outcome.status):
            break
        await wire.back_off(call, outcome, tries)
    if outcome.status in _REFUSED:
        redirect = parse_qs(urlsplit(address).query)["redirect_uri"][0]
        raise LoginFailedError(
            f"{call.host} refuses the login page ({format_status(outcome.status)}): check SMA_CLIENT_ID, that the "
            f"client is registered for the code flow (a client of the custom flow needs SMA_FLOW=custom), and that "
            f"{redirect} is one of its redirect addresses (choose the port with --port)."
        )


async def _await_answer(listener: Listener, options: LoginOptions) -> Mapping[str, str]:
    try:
        return await asyncio.wait_for(listener.await_answer(), options.wait_s)
    except TimeoutError:
        raise LoginFailedError(
            f"The browser did not return from SMA's login page within {options.wait_s:g} s: run 'sunledger login' "
            f"again. If the page showed an error, {listener.redirect} may not be a redirect address of the client, or "
            "the client may belong to the custom flow. If the browser runs on another machine, forward the port."
        ) from None


def _take_code(answer: Mapping[str, str], state: str) -> str:
    """The code of an answer that belongs to this login. Raises LoginFailedError."""
    if not hmac.compare_digest(answer.get("state", "").encode(), state.encode()):
        raise LoginFailedError(
            "The browser's answer belongs to another login (its state differs), so it was not used: close old login "
            "pages and run 'sunledger login' again."
        )
    if "error" in answer:
        raise LoginFailedError(_explain_denial(answer))
    if not answer.get("code"):
        raise LoginFailedError(
            "The browser returned without a code: check SMA_AUTH_URL, and run 'sunledger login' again."
        )
    return answer["code"]


def _explain_denial(answer: Mapping[str, str]) -> str:
    error = answer["error"]
    said = redact_text("; ".join(answer[key] for key in ("error", "error_description") if answer.get(key)))
    cures = {
        "access_denied": "access was denied on SMA's page: run 'sunledger login' again and allow access",
        "invalid_scope": "the client may not ask for offline access: run 'sunledger login --no-offline'",
        "unauthorized_client": "the client is registered for the custom flow: set SMA_FLOW=custom",
    }
    cure = cures.get(
        error, "run 'sunledger login' again, and if this happens again, ask SMA's developer support"
    )
    return f"SMA refused the login ({said}): {cure}."


async def _exchange_code(settings: Settings, store: LoginStore, wire: Wire, form: dict[str, str]) -> Login:
    """Trade the code for tokens and store them; the lock keeps runs from renewing the old login in the meantime."""
    seed = settings.sma_refresh_token.get_secret_value()
    secret = settings.sma_client_secret.get_secret_value()
    fresh = Login(logged_in_at=wire.clock.now(), seed=digest_secret(seed) if seed else "")

    async with store.lock(wire.clock):
        with store.reserve_room() as room:
            grant = await TokenEndpoint(settings, wire).grant(
                form,
                keep=lambda grant: (
                    room.put(fresh.renew(grant, wire.clock.now(), secret)) if grant.refresh_token else None
                ),
            )
        if grant.refresh_token:
            return store.read()
    raise LoginFailedError(
        "SMA gave no refresh token, so the login would end within minutes: ask SMA's developer support to enable "
        "refresh tokens for this client."
    )
