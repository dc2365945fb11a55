"""What every request to a data service passes first: the token, and the credential's request budget."""

import math
from datetime import timedelta
from email.utils import format_datetime, formatdate
from functools import lru_cache

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox.http_answers import ApiError, build_error_answer
from sandbox.options import RetryAfter
from sandbox.sandbox_clock import SandboxClock
from sandbox.tokens import Access
from sandbox.world import World

BUCKET_S = 300
# A public client reads rows below v2 and all else below v1, so both answer alike; SMA's pages know v1 only.
_LATER_VERSION = "/monitoring/v2/"
DATA_ROOTS = ("/monitoring/", "/live/", "/gridcontrol/")


class TokenBucket:
    """A bucket per credential: `size` requests, refilled evenly over five minutes. Off while `size` is None."""

    def __init__(self, clock: SandboxClock, size: int | None, retry_after: RetryAfter) -> None:
        """`retry_after`: whether a 429 says when to come back, and in which form."""
        self._clock = clock
        self.size = size
        self.retry_after = retry_after
        self.refused = 0
        self._levels: dict[str, tuple[float, float]] = {}

    def change(self, size: int | None, retry_after: RetryAfter) -> None:
        """Set another budget; every bucket is full again."""
        self.size, self.retry_after = size, retry_after
        self._levels.clear()

    def take(self, credential: str) -> ApiError | None:
        """Take one request from the credential's bucket; the refusal if it is empty."""
        if self.size is None:
            return None
        now = self._clock.now()
        level, seen_at = self._levels.get(credential, (float(self.size), now))
        rate = self.size / BUCKET_S
        level = min(self.size, level + max(now - seen_at, 0.0) * rate)
        if level >= 1:
            self._levels[credential] = (level - 1, now)
            return None
        self._levels[credential] = (level, now)
        self.refused += 1
        return ApiError(429, "Too Many Requests", headers=self._list_headers(math.ceil((1 - level) / rate)))

    def _list_headers(self, seconds: int) -> dict[str, str]:
        if self.retry_after == "none":
            return {}
        if self.retry_after == "seconds":
            return {"Retry-After": str(seconds)}
        at = self._clock.utc() + timedelta(seconds=seconds)
        return {"Retry-After": format_datetime(at, usegmt=True)}


@lru_cache(maxsize=4)
def format_http_date(second: int) -> bytes:
    """A second since 1970 as the header Date has it."""
    return formatdate(second, usegmt=True).encode()


class DateMiddleware:
    """ASGI middleware: every answer's Date shows the sandbox's clock."""

    def __init__(self, app: ASGIApp, clock: SandboxClock) -> None:
        """Date what `app` answers."""
        self._app = app
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and put the Date on the answer."""

        async def dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                date = format_http_date(int(self._clock.now()))
                message["headers"] = [*message.get("headers", ()), (b"date", date)]
            await send(message)

        await self._app(scope, receive, dated)


class Gateway:
    """ASGI middleware: 401 without a valid token, 429 beyond the budget; a trailing slash is forgiven."""

    def __init__(self, app: ASGIApp, world: World, bucket: TokenBucket) -> None:
        """Guard `app`."""
        self._app = app
        self._world = world
        self._bucket = bucket

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]
        if len(path) > 1 and path.endswith("/"):
            path = scope["path"] = path.rstrip("/") or "/"
        if path.startswith(_LATER_VERSION):
            path = scope["path"] = path.replace("/v2/", "/v1/", 1)
        if path.startswith(DATA_ROOTS) or path.startswith("/oauth2/v2/bc-authorize"):
            refusal = self._build_refusal(scope, counted=path.startswith(DATA_ROOTS))
            if refusal is not None:
                await build_error_answer(refusal)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _build_refusal(self, scope: Scope, *, counted: bool) -> ApiError | None:
        header = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        scheme, _, token = header.partition(b" ")
        access = (
            self._world.tokens.access(token.decode("latin-1").strip())
            if scheme.lower() == b"bearer"
            else None
        )
        if access is None:
            return ApiError(401, "Unauthorized", headers={"WWW-Authenticate": "Bearer"})
        scope.setdefault("state", {})["access"] = access
        return self._bucket.take(access.client.client_id) if counted else None


def read_access(request: Request) -> Access:
    """The token's meaning, as the gateway found it."""
    access: Access = request.scope["state"]["access"]
    return access
