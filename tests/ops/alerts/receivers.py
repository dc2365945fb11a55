"""Receivers on loopback that keep what they are sent: a mail server and a web server, of the standard library."""

import json
import socketserver
import ssl
import sys
import threading
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

PIECE_S = 0.02
CERTIFICATE = Path(__file__).parent / "data" / "mail-server.pem"


class MailServer(socketserver.TCPServer):
    """Takes every mail, as far as SMTP is needed for that; with `tls` and `login` only over TLS and from who logs in.

    `tls` is "starttls" or "implicit". The certificate is for 127.0.0.2: 127.0.0.1 counts as this machine.
    """

    allow_reuse_address = True

    def __init__(self, host: str = "127.0.0.1", tls: str = "", login: tuple[str, str] | None = None) -> None:
        super().__init__((host, 0), _Smtp)
        self.mails: list[str] = []
        self.tls, self.login = tls, login
        # While this is so, an answer goes on and does not end.
        self.trickles = False

    @property
    def url(self) -> str:
        scheme = "smtps" if self.tls == "implicit" else "smtp"
        who = f"{quote(self.login[0], safe='')}:{quote(self.login[1], safe='')}@" if self.login else ""
        return f"{scheme}://{who}{self.server_address[0]}:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that refused the certificate, as some are to do."""
        if not isinstance(sys.exception(), ssl.SSLError):
            super().handle_error(request, client_address)


class _Smtp(socketserver.StreamRequestHandler):
    server: MailServer

    def handle(self) -> None:
        self.safe, self.known = False, self.server.login is None
        if self.server.tls == "implicit":
            self._secure()
        self._say("220 ready")
        while line := self.rfile.readline():
            word, _, rest = line.decode().strip().partition(" ")
            if word.upper() == "QUIT":
                self._say("221 bye")
                return
            getattr(self, f"_{word.lower()}", self._other)(rest)

    def finish(self) -> None:
        super().finish()
        self.connection.close()

    def _ehlo(self, _: str) -> None:
        offers = ["here"]
        if self.server.tls == "starttls" and not self.safe:
            offers.append("STARTTLS")
        if self.server.login and (self.safe or not self.server.tls):
            offers.append("AUTH PLAIN")
        while self.server.trickles:
            self._say("250-more")
            time.sleep(PIECE_S)
        for offer in offers[:-1]:
            self._say(f"250-{offer}")
        self._say(f"250 {offers[-1]}")

    def _starttls(self, _: str) -> None:
        self._say("220 go on")
        self._secure()

    def _auth(self, rest: str) -> None:
        given = tuple(b64decode(rest.partition(" ")[2]).decode().split("\0")[1:])
        self.known = given == self.server.login
        self._say("235 welcome" if self.known else "535 who are you")

    def _mail(self, _: str) -> None:
        allowed = self.known and (self.safe or not self.server.tls)
        self._say("250 ok" if allowed else "530 log in first")

    def _data(self, _: str) -> None:
        self._say("354 go on")
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            lines.append(line.decode())
        self.server.mails.append("".join(lines))
        self._say("250 ok")

    def _other(self, _: str) -> None:
        self._say("250 ok")

    def _secure(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATE)
        self.connection = self.request = context.wrap_socket(self.request, server_side=True)
        self.setup()
        self.safe = True

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


class WebServer(HTTPServer):
    """Keeps bodies by path; answers `status`, but with `trickles` headers that do not end."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Post)
        self.status, self.trickles = 200, False
        self.bodies: list[tuple[str, dict[str, Any]]] = []

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{path}"

    def titles(self, path: str) -> list[str]:
        return [body["title"] for where, body in self.bodies if where == path]


class _Post(BaseHTTPRequestHandler):
    server: WebServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.server.status == 200:
            self.server.bodies.append((self.path, body))
        self.send_response(self.server.status)
        with suppress(OSError):
            while self.server.trickles:
                self.wfile.write(b"X: y\r\n")
                time.sleep(PIECE_S)
            self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it
        """Say nothing."""


@contextmanager
def listening(server: socketserver.TCPServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
