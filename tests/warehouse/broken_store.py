"""A server that speaks as much S3 as one fault needs: `python -m tests.warehouse.broken_store KIND` prints its port.

It is a process of its own, since delta-rs holds the interpreter while it waits for an answer. It either gives one
answer to everything, or keeps objects as S3 does but for one fault.
"""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

ANSWERS = {
    "refused": (403, "InvalidAccessKeyId"),
    "no-bucket": (404, "NoSuchBucket"),
    "region": (400, "AuthorizationHeaderMalformed"),
    "busy": (503, "SlowDown"),
}
# Each keeps objects, and does one thing wrong.
KEEPING = ("ignores-condition", "no-condition", "lists-late", "no-delete", "keeps-deleted", "sound")
OBJECTS: dict[str, bytes] = {}


class Broken(BaseHTTPRequestHandler):
    """One answer to everything."""

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, code = ANSWERS[sys.argv[1]]
        self._refuse(status, code)

    def _refuse(self, status: int, code: str) -> None:
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


class Keeping(Broken):
    """Puts, gets, lists and deletes objects, but for one fault."""

    @property
    def _key(self) -> str:
        return unquote(urlsplit(self.path).path).lstrip("/").partition("/")[2]

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        conditional = self.headers.get("If-None-Match") == "*"
        if conditional and sys.argv[1] == "no-condition":
            self._refuse(501, "NotImplemented")
        elif conditional and sys.argv[1] != "ignores-condition" and self._key in OBJECTS:
            self._refuse(412, "PreconditionFailed")
        else:
            OBJECTS[self._key] = content
            self._send(200)

    def do_GET(self) -> None:
        asked = parse_qs(urlsplit(self.path).query)
        if "list-type" in asked:
            self._list(asked.get("prefix", [""])[0])
        elif self._key in OBJECTS:
            self._send(200, OBJECTS[self._key])
        else:
            self._refuse(404, "NoSuchKey")

    do_HEAD = do_GET  # noqa: N815 - the name of the base class

    def _list(self, prefix: str) -> None:
        found = {} if sys.argv[1] == "lists-late" else OBJECTS
        keys = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(found[key])}</Size>"
            "<LastModified>2026-11-29T00:00:00.000Z</LastModified></Contents>"
            for key in sorted(found)
            if key.startswith(prefix)
        )
        self._send(
            200, f"<ListBucketResult><IsTruncated>false</IsTruncated>{keys}</ListBucketResult>".encode()
        )

    def do_DELETE(self) -> None:
        if sys.argv[1] == "no-delete":
            self._refuse(403, "AccessDenied")
            return
        if sys.argv[1] != "keeps-deleted":
            OBJECTS.pop(self._key, None)
        self._send(204)

    def do_POST(self) -> None:
        """Delete several objects at once."""
        asked = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        keys = [one.partition("</Key>")[0] for one in asked.split("<Key>")[1:]]
        answers = [f"<Deleted><Key>{key}</Key></Deleted>" for key in keys]
        if sys.argv[1] == "no-delete":
            answers = [
                f"<Error><Key>{key}</Key><Code>AccessDenied</Code><Message>no</Message></Error>"
                for key in keys
            ]
        elif sys.argv[1] != "keeps-deleted":
            for key in keys:
                OBJECTS.pop(key, None)
        self._send(200, f"<DeleteResult>{''.join(answers)}</DeleteResult>".encode())


if __name__ == "__main__":
    handler = Keeping if sys.argv[1] in KEEPING else Broken
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()
