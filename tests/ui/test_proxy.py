"""The page behind deploy/nginx.conf: nobody comes in without the login, and with it everything works, sockets too."""

import json
import re
import shutil
import socket
import ssl
import subprocess
import time
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.control_room import ControlRoom
from tests.ports import find_free_port

ROOT = Path(__file__).parents[2]
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
CERTIFICATE = ROOT / "tests" / "sma" / "data" / "self-signed.pem"
LOGIN = ("ops", "open sesame")
STARTS_WITHIN_S = 20


@dataclass
class Proxy:
    """Where it listens, and what trusts its certificate."""

    port: int
    trust: ssl.SSLContext

    def get(self, path: str, login: tuple[str, str] | None) -> httpx.Response:
        return httpx.get(f"https://127.0.0.1:{self.port}{path}", auth=login, verify=self.trust, timeout=60)

    def socket(self, login: tuple[str, str]) -> ClientConnection:
        word = b64encode(":".join(login).encode()).decode()
        return connect(
            f"wss://127.0.0.1:{self.port}/graphql",
            ssl=self.trust,
            additional_headers={"Authorization": f"Basic {word}"},
            subprotocols=["graphql-ws"],  # type: ignore[list-item]
            open_timeout=60,
        )


@pytest.fixture
def proxy(control_room: ControlRoom, tmp_path: Path) -> Iterator[Proxy]:
    if NGINX is None:
        pytest.skip("nginx is not installed: apt-get install nginx-light")
    port = find_free_port()
    (tmp_path / "users").write_text(f"{LOGIN[0]}:{{PLAIN}}{LOGIN[1]}\n")
    (tmp_path / "nginx.conf").write_text(_configuration(tmp_path, port, control_room.url))
    process = subprocess.Popen(
        [NGINX, "-p", str(tmp_path), "-c", "nginx.conf", "-e", "error.log", "-g", "daemon off;"]
    )
    try:
        _wait(port, process)
        yield Proxy(port, ssl.create_default_context(cafile=CERTIFICATE))
    finally:
        process.terminate()
        process.wait(STARTS_WITHIN_S)


def _configuration(folder: Path, port: int, page: str) -> str:
    """Ours, with this test's places in it: each must be found once."""
    server = (ROOT / "deploy" / "nginx.conf").read_text()
    for ours, its in (
        ("listen 8443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
        ("/etc/ssl/sunledger.pem;", f"{CERTIFICATE};"),
        ("/etc/ssl/sunledger.key;", f"{CERTIFICATE};"),
        ("/etc/nginx/sunledger.users;", f"{folder / 'users'};"),
        ("proxy_pass http://127.0.0.1:3000;", f"proxy_pass {page};"),
    ):
        assert server.count(ours) == 1, ours
        server = server.replace(ours, its)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = " ".join(f"{kind}_temp_path {folder / kind};" for kind in kinds)
    # Its workers must be able to read the folder of the test.
    user = "user root;" if folder.owner() == "root" else ""
    return f"{user} pid {folder / 'pid'}; events {{}} http {{ access_log off; {places}\n{server} }}"


def _wait(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("nginx does not start")


def test_nobody_comes_in_without_the_login(proxy: Proxy) -> None:
    for path in ("/", "/graphql", "/server_info", "/asset-groups"):
        for login in (None, (LOGIN[0], "wrong"), ("", "")):
            assert proxy.get(path, login).status_code == 401
    with pytest.raises(InvalidStatus, match="401"):
        proxy.socket((LOGIN[0], "wrong"))


def test_with_the_login_the_page_and_its_scripts_are_there(proxy: Proxy) -> None:
    page = proxy.get("/", LOGIN)
    assert page.status_code == 200
    script = re.search(r'src="(/_next/[^"]+\.js)"', page.text)
    assert script
    assert proxy.get(script[1], LOGIN).status_code == 200
    assert proxy.get("/server_info", LOGIN).json()["dagster_version"]


def test_progress_comes_through_the_web_socket(proxy: Proxy) -> None:
    with proxy.socket(LOGIN) as channel:
        channel.send(json.dumps({"type": "connection_init", "payload": {}}))
        assert json.loads(channel.recv(60))["type"] == "connection_ack"
        # The same channel that a run's page listens to; of a run that nobody knows it says so at once.
        query = 'subscription { pipelineRunLogs(runId: "none") { __typename } }'
        channel.send(json.dumps({"id": "1", "type": "start", "payload": {"query": query}}))
        answer = json.loads(channel.recv(60))
    assert answer["type"] == "data", answer
    assert answer["payload"]["data"]["pipelineRunLogs"]["__typename"] == "PipelineRunLogsSubscriptionFailure"
