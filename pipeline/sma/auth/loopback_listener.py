"""A listener on loopback for the one request that SMA's login page sends back through the browser."""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from types import TracebackType
from typing import Self
from urllib.parse import parse_qsl, urlsplit

from pipeline.common.errors import UsageError

LOOPBACK = "127.0.0.1"
CALLBACK_PATH = "/callback"
# A code and a state are a few hundred characters; a head beyond this is no browser's way back.
MAX_HEAD_BYTES = 16 * 1024
HEAD_WAIT_S = 10.0
PARTS_OF_A_REQUEST_LINE = 3

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>sunledger</title></head>
<body style="font: 1.1rem/1.6 system-ui, sans-serif; max-width: 32rem; margin: 4rem auto; padding: 0 1rem">
<h1>{title}</h1><p>{text}</p></body></html>
"""


class Listener:
    """Listens on 127.0.0.1 while the context is open. Only the browser of this machine can reach it."""

    def __init__(self, port: int) -> None:
        self._wanted = port
        self._server: asyncio.Server | None = None
        self._answer: asyncio.Future[Mapping[str, str]] | None = None
        self.port = 0

    @property
    def redirect(self) -> str:
        """The address that SMA must send the browser to."""
        return f"http://{LOOPBACK}:{self.port}{CALLBACK_PATH}"

    async def __aenter__(self) -> Self:
        """Start to listen. Raises UsageError for a port that cannot be had."""
        self._answer = asyncio.get_running_loop().create_future()
        try:
            self._server = await asyncio.start_server(
                self._serve, LOOPBACK, self._wanted, limit=MAX_HEAD_BYTES
            )
        except OSError as fault:
            raise UsageError(
                f"Port {self._wanted} of {LOOPBACK} can't be used ({fault.strerror}): choose another port with --port."
            ) from None
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def await_answer(self) -> Mapping[str, str]:
        """The parameters of the first request to the callback."""
        if self._answer is None:
            raise RuntimeError("the listener is not open")
        return await self._answer

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), HEAD_WAIT_S)
            status, title, text = self._take(head.decode("latin-1"))
            writer.write(_build_response(status, title, text))
            await writer.drain()
        except (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError):
            pass  # not a request: whoever it was has gone
        finally:
            writer.close()

    def _take(self, head: str) -> tuple[HTTPStatus, str, str]:
        """What to say to a request; the callback's parameters go to who waits for them."""
        lines = head.split("\r\n")
        words = lines[0].split(" ")
        if len(words) != PARTS_OF_A_REQUEST_LINE or words[0] != "GET":
            return (
                HTTPStatus.METHOD_NOT_ALLOWED,
                "Page not found",
                "This address only accepts the answer of SMA's login page.",
            )
        hosts = {line.partition(":")[2].strip().lower() for line in lines if line.lower().startswith("host:")}
        # A foreign page can make a browser come here under a name of its own; ours is an address.
        if hosts != {f"{LOOPBACK}:{self.port}"}:
            return (
                HTTPStatus.BAD_REQUEST,
                "Page not found",
                "This address only accepts the answer of SMA's login page.",
            )
        parts = urlsplit(words[1])
        if parts.path != CALLBACK_PATH:
            return (
                HTTPStatus.NOT_FOUND,
                "Page not found",
                "This address only accepts the answer of SMA's login page.",
            )
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(dict(parse_qsl(parts.query, keep_blank_values=True)))
        return (
            HTTPStatus.OK,
            "Back to the terminal",
            "sunledger continues in the terminal. You can close this page.",
        )


def _build_response(status: HTTPStatus, title: str, text: str) -> bytes:
    body = _PAGE.format(title=title, text=text).encode()
    head = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        "Content-Type: text/html; charset=utf-8",
        f"Content-Length: {len(body)}",
        # The address of this page holds the code: keep it out of caches and of referrers.
        "Cache-Control: no-store",
        "Referrer-Policy: no-referrer",
        "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'",
        "Connection: close",
    ]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body
