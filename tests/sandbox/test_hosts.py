"""Only names that nobody else can give this machine are answered: DNS rebinding ends here."""

import re
import socket
from urllib.parse import urlsplit

import httpx
import pytest

from sandbox.launch import run_sandbox
from tests.sandbox.served_sandbox import Serve, Served
from tests.sandbox.test_express import DAY

SHORT, LONG = DAY, "/_control"


def status(served: Served, path: str, *hosts: str) -> int:
    """What a request with these Host headers gets, by a connection of its own."""
    url = urlsplit(served.url)
    lines = [f"GET {path} HTTP/1.1", *(f"Host: {host}" for host in hosts), "Connection: close"]
    lines += [f"Authorization: {served.http.headers['Authorization']}", "", ""]
    with socket.create_connection((url.hostname, url.port), timeout=120) as connection:
        connection.sendall("\r\n".join(lines).encode())
        with connection.makefile("rb") as stream:
            found = re.match(rb"HTTP/1.1 (\d+)", stream.read())
    assert found
    return int(found[1])


@pytest.mark.parametrize("path", [SHORT, LONG])
@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1:8400",
        "[::1]:8400",
        "[::1]",
        "192.0.2.7:80",
        "localhost:8400",
        "LOCALHOST",
        "localhost.",
    ],
)
def test_addresses_and_localhost_are_answered(sandbox: Served, path: str, host: str) -> None:
    assert status(sandbox, path, host) == 200


@pytest.mark.parametrize("path", [SHORT, LONG, "/oauth2/auth", "/docs"])
@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        (("evil.example",), 421),
        (("evil.example:8400",), 421),
        (("127.0.0.1.evil.example",), 421),
        (("localhost.evil.example",), 421),
        (("0x7f000001.example",), 421),
        (("me@127.0.0.1",), 400),
        (("[::1",), 400),
        (("",), 400),
        ((), 400),
        (("127.0.0.1", "evil.example"), 400),
    ],
)
def test_other_names_are_not(sandbox: Served, path: str, hosts: tuple[str, ...], expected: int) -> None:
    assert status(sandbox, path, *hosts) == expected


def test_a_name_is_answered_where_it_was_allowed(serve: Serve) -> None:
    served = serve(plants=12, allowed_hosts=("Sandbox.internal",))
    hosts = ["sandbox.internal:8400", "SANDBOX.INTERNAL.", "other.internal", "sub.sandbox.internal"]
    for path in (SHORT, LONG):
        assert [status(served, path, host) for host in hosts] == [200, 200, 421, 421]


def test_the_refusal_says_what_to_do(sandbox: Served) -> None:
    refused = sandbox.http.get("/_control", headers={"Host": "sandbox.internal:80"})
    assert refused.json()["code"] == "421"
    assert refused.json()["message"] == (
        "This sandbox does not accept the host name sandbox.internal: use its address or localhost, or start it with "
        "--allow-host sandbox.internal."
    )


@pytest.mark.long
def test_the_command_line_allows_a_name() -> None:
    with run_sandbox("--plants", "0", "--allow-host", "box.internal") as address:
        found = [
            httpx.get(f"{address.url}/_control", headers={"Host": host}, trust_env=False).status_code
            for host in ("box.internal", "evil.example")
        ]
    assert found == [200, 421]
