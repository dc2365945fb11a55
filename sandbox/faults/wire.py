"""Access to the connection below a request, so that it can be reset or cut in the middle of an answer."""

import asyncio
import socket
import struct
from typing import Any, cast

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sandbox.joined_writes import JoinedWrites

EXTENSION = "sandbox.connection"
_NO_LINGER = struct.pack("ii", 1, 0)


class ConnectedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which tells the application about the connection's transport, and knows a shorter way.

    An application may have an `express` (see `services.express`) that answers the plainest questions at once.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """See uvicorn's own."""
        super().__init__(*args, **kwargs)
        # An application that is wrapped in another one has no short way.
        self._express: Any = getattr(getattr(self.app, "state", None), "express", None)
        self._answered = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Send each answer in one piece."""
        super().connection_made(JoinedWrites(transport))  # type: ignore[arg-type]

    def on_message_begin(self) -> None:
        """Add the transport to the request's scope."""
        super().on_message_begin()
        cast("dict[str, object]", self.scope.setdefault("extensions", {}))[EXTENSION] = self.transport
        self._answered = False

    def on_headers_complete(self) -> None:
        """Answer at once, or have the application do it."""
        answer = self._express.answer(self.url, self.headers) if self._is_plain() else None
        if answer is None:
            super().on_headers_complete()
            return
        self._answered = True
        self.transport.writelines(answer)
        self.on_response_complete()

    def on_message_complete(self) -> None:
        """Tell the application that the request has ended, if it knows of it."""
        if not self._answered:
            super().on_message_complete()

    def _is_plain(self) -> bool:
        """Whether this is a GET on a connection that stays open, with nothing left to be sent before its answer."""
        return (
            self._express is not None
            and self.parser.get_method() == b"GET"
            and self.parser.get_http_version() == "1.1"
            and self.parser.should_keep_alive()
            and not self.parser.should_upgrade()
            and not self.expect_100_continue
            and not self.flow.write_paused
            and (self.cycle is None or self.cycle.response_complete)
        )


def reset(scope: Scope) -> None:
    """Reset the connection (RST, not an orderly end); without a real connection ConnectionResetError is raised."""
    transport: asyncio.Transport | None = scope.get("extensions", {}).get(EXTENSION)
    if transport is None:
        raise ConnectionResetError("The sandbox reset this connection on purpose.")
    connection: Any = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()


def close_connection(scope: Scope) -> None:
    """End the connection after what was sent so far; without a real connection ConnectionResetError is raised."""
    transport: asyncio.Transport | None = scope.get("extensions", {}).get(EXTENSION)
    if transport is None:
        raise ConnectionResetError("The sandbox closed this connection on purpose.")
    transport.close()
