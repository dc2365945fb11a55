"""A server that speaks as much S3 as one fault needs: `python -m tests.warehouse.broken_store KIND` prints its port.

It is a process of its own, since delta-rs holds the interpreter while it waits for an answer. It gives one
answer to everything.
"""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ANSWERS = {
    "refused": (403, "InvalidAccessKeyId"),
    "no-bucket": (404, "NoSuchBucket"),
    "region": (400, "AuthorizationHeaderMalformed"),
    "busy": (503, "SlowDown"),
}


class Broken(BaseHTTPRequestHandler):
    """One answer to everything."""

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, code = ANSWERS[sys.argv[1]]
        self._send(status, f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode())

    def _send(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"1"')
        self.send_header("Last-Modified", "Sun, 29 Nov 2026 00:00:00 GMT")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _answer  # noqa: N815 - the names of the base class

    def log_message(self, format: str, *words: object) -> None:  # noqa: A002 - the name of the base class
        """Says nothing."""


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Broken)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()
