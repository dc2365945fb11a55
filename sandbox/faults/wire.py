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
    """uvicorn's protocol, which also tells the application about the connection's transport."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Send each answer in one piece."""
        super().connection_made(JoinedWrites(transport))  # type: ignore[arg-type]

    def on_message_begin(self) -> None:
        """Add the transport to the request's scope."""
        super().on_message_begin()
        cast("dict[str, object]", self.scope.setdefault("extensions", {}))[EXTENSION] = self.transport


def reset(scope: Scope) -> None:
    """Reset the connection (RST, not an orderly end); without a real connection ConnectionResetError is raised."""
    transport: asyncio.Transport | None = scope.get("extensions", {}).get(EXTENSION)
    if transport is None:
        raise ConnectionResetError("The sandbox reset this connection on purpose.")
    connection: Any = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()


def close(scope: Scope) -> None:
    """End the connection after what was sent so far; without a real connection ConnectionResetError is raised."""
    transport: asyncio.Transport | None = scope.get("extensions", {}).get(EXTENSION)
    if transport is None:
        raise ConnectionResetError("The sandbox closed this connection on purpose.")
    transport.close()
