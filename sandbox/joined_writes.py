"""A connection that sends the head of an answer together with its body: a send costs more than most answers."""

import asyncio
from typing import Any


class JoinedWrites:
    """A transport like the one below it; a first write waits for the second, but not beyond this turn of the loop."""

    def __init__(self, transport: asyncio.Transport) -> None:
        """Write to `transport`."""
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._waiting: bytes | None = None

    def write(self, data: bytes) -> None:
        """Send, at the latest with the next turn of the loop."""
        if self._waiting is None:
            self._waiting = data
            self._loop.call_soon(self._send)
        else:
            first, self._waiting = self._waiting, b""
            self._transport.writelines([first, data] if first else [data])

    def close(self) -> None:
        """Send what waits, and close."""
        self._send()
        self._transport.close()

    def _send(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting and not self._transport.is_closing():
            self._transport.write(waiting)

    def __getattr__(self, name: str) -> Any:
        """Everything else is the transport's own."""
        return getattr(self._transport, name)
