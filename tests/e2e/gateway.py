"""A gateway before the sandbox's monitoring service that gives one answer of its own for as long as it is told to."""

import http.client
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import urlsplit

# Status, headers and body; a length beyond the body's means that the connection is cut in the middle.
GatewayAnswer = tuple[int, dict[str, str], bytes]
PAGE = b"<html><body>Our portal is being serviced.</body></html>"
LASTING: dict[str, GatewayAnswer] = {
    "503": (503, {}, PAGE),
    "429": (429, {}, b"{}"),
    "429 for 2 s": (429, {"Retry-After": "2"}, b"{}"),
    "429 for ever": (429, {"Retry-After": "99999999999999999999"}, b"{}"),
    "429 until the year 9999": (429, {"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT"}, b"{}"),
    "429 and no time": (429, {"Retry-After": "-1e999"}, b"{}"),
    "a page": (200, {"Content-Type": "text/html"}, PAGE),
    "nothing": (200, {}, b""),
    "cut": (200, {"Content-Length": "5000"}, b'{"plants":[{"plantId":"5000000"'),
}


class Gateway(ThreadingHTTPServer):
    """Passes requests on to `upstream`, or gives the answer that is set, if only where the path holds `where`.

    `asked` counts the requests.
    """

    daemon_threads = True

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = urlsplit(upstream)
        self.answer: GatewayAnswer | None = None
        self.where = ""
        self.asked = 0

    @property
    def url(self) -> str:
        """Where it listens, with the path of the service behind it."""
        return f"http://127.0.0.1:{self.server_address[1]}{self.upstream.path}"


class _Handler(BaseHTTPRequestHandler):
    server: Gateway
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.asked += 1
        own = self.server.answer if self.server.where in self.path else None
        status, headers, body = own or self._pass_on()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        # Who refuses a long answer does not wait for its end.
        with suppress(ConnectionError):
            self.wfile.write(body)
        if int(headers.get("Content-Length", 0)) > len(body):
            # A reset, as of a machine that fell over.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True

    def _pass_on(self) -> GatewayAnswer:
        to = self.server.upstream
        behind = http.client.HTTPConnection(to.hostname or "", to.port)
        behind.request("GET", self.path, headers={"Authorization": self.headers["Authorization"]})
        answer = behind.getresponse()
        body = answer.read()
        behind.close()
        kept = {name: answer.headers[name] for name in ("Location", "Retry-After") if name in answer.headers}
        return answer.status, kept, body

    def log_message(self, *_: object) -> None:
        """Nothing is written."""


@contextmanager
def open_gateway(upstream: str) -> Iterator[Gateway]:
    """The gateway before this service, on a port that the system chooses."""
    with Gateway(upstream) as gateway:
        thread = Thread(target=gateway.serve_forever, daemon=True)
        thread.start()
        try:
            yield gateway
        finally:
            gateway.shutdown()
            thread.join()
