"""The sandbox with another window for its bucket, which counts every request before anything else looks at it.

Arguments, as JSON: requests in a window (null: no limit), the window in seconds, whether the bucket begins empty.
"""

import json
import sys
import time
from collections import Counter

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox.app import build_app
from sandbox.options import LOOPBACK, Options
from sandbox.server import listen, serve_app
from sandbox.services import gateway
from sandbox.world import World


class Counting:
    """ASGI: counts by path and status, and keeps the times of requests for data."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._paths: Counter[str] = Counter()
        self._statuses: Counter[int] = Counter()
        self._times: list[float] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/_counts":
            found = {"paths": self._paths, "statuses": self._statuses, "times": self._times}
            await JSONResponse(found)(scope, receive, send)
            return
        is_data = scope["path"].startswith("/monitoring")
        self._paths[scope["path"]] += 1
        if is_data:
            self._times.append(time.monotonic())

        async def count(message: Message) -> None:
            if is_data and message["type"] == "http.response.start":
                self._statuses[message["status"]] += 1
            await send(message)

        await self._app(scope, receive, count)


class EmptyBucket(gateway.TokenBucket):
    """As if another machine had spent everything a moment ago."""

    def take(self, credential: str):  # type: ignore[no-untyped-def]
        self._levels.setdefault(credential, (0.0, self._began))
        return super().take(credential)

    @property
    def _began(self) -> float:
        return BEGAN


def main(requests: int | None, window_s: float, *, empty: bool) -> None:
    """Serve until the test is over."""
    gateway.BUCKET_S = window_s  # type: ignore[assignment]
    if empty:
        from sandbox import app  # noqa: PLC0415 - it looks the bucket up by this name

        app.TokenBucket = EmptyBucket  # type: ignore[misc]
    options = Options(plants=12, requests_per_5_min=requests)
    listener = listen(LOOPBACK, 0)
    address = f"http://{LOOPBACK}:{listener.getsockname()[1]}"

    def ready() -> None:
        sys.stdout.write(f"{address}\n")
        sys.stdout.flush()

    serve_app(Counting(build_app(World(options))), listener, on_ready=ready, until_stdin_closes=True)


BEGAN = time.time()

if __name__ == "__main__":
    wanted, window, is_empty = (json.loads(argument) for argument in sys.argv[1:4])
    main(wanted, window, empty=is_empty)
