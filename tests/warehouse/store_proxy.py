"""A proxy before an object store that counts requests, and loses an answer when told to.

`python -m tests.warehouse.store_proxy ADDRESS [SECONDS]` prints its port; each request waits so many seconds. It is a
process of its own, since delta-rs holds the interpreter while it waits for an answer. `GET /-/counts` tells and forgets
what was asked, and `PUT /-/lose/WORD` has the next PUT with that word in its path done by the store and not answered.
"""

import http.client
import json
import sys
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, local
from urllib.parse import parse_qs, unquote, urlsplit

LOCK, COUNTS, LOSING, KEPT = Lock(), Counter[str](), list[str](), local()
LATENCY_S = float(sys.argv[2]) if sys.argv[2:] else 0.0
HOP = {"connection", "transfer-encoding", "keep-alive"}


class Proxy(BaseHTTPRequestHandler):
    """Hands requests on, one after another of a connection."""

    protocol_version = "HTTP/1.1"

    def _hand_on(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = unquote(urlsplit(self.path).path)
        if path.startswith("/-/"):
            self._send(200, [], self._control(path))
            return
        listing = self.command == "GET" and "list-type" in parse_qs(urlsplit(self.path).query)
        with LOCK:
            COUNTS["LIST" if listing else self.command] += 1
            lost = self.command == "PUT" and bool(LOSING) and LOSING[0] in path
            if lost:
                LOSING.clear()
                COUNTS["LOST"] += 1
        time.sleep(LATENCY_S)
        if not hasattr(KEPT, "store"):
            KEPT.store = http.client.HTTPConnection(urlsplit(sys.argv[1]).netloc)
        KEPT.store.request(self.command, self.path, content, dict(self.headers))
        answer = KEPT.store.getresponse()
        body = answer.read()
        if lost:
            self.close_connection = True
            self.connection.shutdown(2)
            return
        self._send(answer.status, answer.getheaders(), body)

    def _control(self, path: str) -> bytes:
        with LOCK:
            if path == "/-/counts":
                said = json.dumps(COUNTS).encode()
                COUNTS.clear()
                return said
            LOSING[:] = [path.removeprefix("/-/lose/")]
            return b""

    def _send(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in HOP and (self.command == "HEAD" or name.lower() != "content-length"):
                self.send_header(name, value)
        if self.command != "HEAD":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _hand_on  # noqa: N815 - the names of the base class

    def log_message(self, format: str, *words: object) -> None:  # noqa: A002 - the name of the base class
        """Says nothing."""


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    print(server.server_port, flush=True)  # noqa: T201 - tells who started it
    server.serve_forever()
