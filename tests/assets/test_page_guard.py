"""The control room has no login: a page of somebody else, open in the same browser, must not be able to use it."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from assets.page_guard import PageGuard
from tests.ports import find_free_port
from tests.programs import PATIENCE_S, start, wait_until

QUERY = "{__typename}"
# It changes nothing, and is answered all the same: what can be asked for so can be done so.
MUTATION = 'mutation{terminateRun(runId:"none"){__typename}}'
HERE, FOREIGN = "http://127.0.0.1:3000", "https://evil.example"


async def _answered(request: Request) -> PlainTextResponse:
    return PlainTextResponse("answered")


async def _accepted(channel: WebSocket) -> None:
    await channel.accept()
    await channel.close()


GUARDED = Starlette(
    routes=[
        Route("/graphql", _answered, methods=["GET", "POST"]),
        Route("/report_asset_check/x", _answered, methods=["POST"]),
        Route("/{path:path}", _answered),
        WebSocketRoute("/graphql", _accepted),
    ],
    middleware=[Middleware(PageGuard, names=["sun.example.org"])],
)


def status(method: str, path: str, headers: dict[str, str], **more: Any) -> int:
    async def ask() -> int:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(GUARDED), base_url=HERE) as client:
            return (await client.request(method, path, headers=headers, **more)).status_code

    return asyncio.run(ask())


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1:3000", 200),
        ("[::1]:3000", 200),
        ("localhost:3000", 200),
        ("192.0.2.1", 200),
        ("sun.example.org", 200),
        ("SUN.example.org:8443", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example:3000", 421),
        ("sub.sun.example.org", 421),
        ("me@localhost", 421),
        ("", 421),
    ],
)
def test_foreign_names_are_refused(method: str, host: str, expected: int) -> None:
    assert status(method, "/graphql", {"Host": host}) == expected


@pytest.mark.parametrize("path", ["/graphql", "/report_asset_check/x"])
@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, 200),  # no browser
        ({"Origin": HERE}, 200),
        ({"Origin": HERE, "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Origin": FOREIGN}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1.evil.example:3000"}, 403),
        ({"Origin": HERE, "Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
def test_foreign_pages_change_nothing(path: str, headers: dict[str, str], expected: int) -> None:
    assert status("POST", path, headers) == expected


def test_behind_a_proxy_the_page_is_its_own() -> None:
    headers = {"Host": "sun.example.org", "Origin": "https://sun.example.org:8443"}
    assert status("POST", "/graphql", headers) == 200
    assert status("POST", "/graphql", {**headers, "Host": "127.0.0.1:3000"}) == 403


@pytest.mark.parametrize(
    ("query", "headers", "expected"),
    [
        (QUERY, {}, 200),
        (MUTATION, {}, 405),
        (f"query a {{b}} {MUTATION}", {}, 405),
        (QUERY, {"Sec-Fetch-Site": "cross-site"}, 403),
        (MUTATION, {"Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
def test_an_address_alone_changes_nothing(query: str, headers: dict[str, str], expected: int) -> None:
    """An image's address is enough to send a GET, with nothing in it that names the page it is on in older browsers."""
    assert status("GET", "/graphql", headers, params={"query": query}) == expected


def test_no_page_of_another_site_can_frame_it() -> None:
    """Else a click that is meant for that page could launch a run."""

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(GUARDED), base_url=HERE) as client:
            return await client.get("/runs/abc")

    assert asyncio.run(ask()).headers["X-Frame-Options"] == "SAMEORIGIN"


def test_links_from_elsewhere_lead_to_pages() -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert status("GET", "/runs/abc", headers) == 200


def test_without_names_every_own_address_is_served_still() -> None:
    assert status("GET", "/", {"Host": "localhost"}) == 200


def upgrade(port: int, **headers: str) -> int:
    """The status of a web socket's beginning; 101 opens it."""
    lines = {
        "Host": f"127.0.0.1:{port}",
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Protocol": "graphql-ws",
        **headers,
    }
    head = "\r\n".join(
        ["GET /graphql HTTP/1.1", *(f"{name}: {text}" for name, text in lines.items()), "", ""]
    )
    with socket.create_connection(("127.0.0.1", port), timeout=60) as channel:
        channel.sendall(head.encode())
        with channel.makefile("rb") as stream:
            return int(stream.readline().split()[1])


@pytest.mark.long
def test_the_running_control_room_is_guarded(tmp_path: Path) -> None:
    port = find_free_port()
    here = f"http://127.0.0.1:{port}"
    words = ["ui", "--part", "web", "--port", str(port)]
    process = start(tmp_path, *words, SUNLEDGER_UI_HOSTS="sun.example.org, other.example.org")
    client = httpx.Client(base_url=here, trust_env=False, timeout=60)

    def ask(method: str, query: str, **headers: str) -> int:
        # A form can be sent to anywhere, and Dagster reads the address where the body is no JSON.
        return client.request(method, "/graphql", params={"query": query}, headers=headers).status_code

    def answers() -> bool:
        try:
            return ask("POST", QUERY) == 200
        except httpx.HTTPError:
            return False

    try:
        wait_until(answers, process)
        assert client.get("/", headers={"Host": "localhost"}).status_code == 200
        assert ask("GET", QUERY) == 200
        assert ask("POST", MUTATION, Origin=here) == 200
        assert ask("POST", MUTATION, Host="sun.example.org", Origin="https://sun.example.org") == 200
        assert ask("GET", MUTATION) == 405
        assert ask("POST", MUTATION, Origin=FOREIGN) == 403
        assert ask("GET", QUERY, **{"Sec-Fetch-Site": "cross-site"}) == 403
        refused = client.get("/", headers={"Host": "evil.example"})
        assert (refused.status_code, "SUNLEDGER_UI_HOSTS" in refused.text) == (421, True)
        assert upgrade(port) == 101
        assert upgrade(port, Origin=here) == 101
        assert upgrade(port, Origin=FOREIGN) == 403
        assert upgrade(port, Host="evil.example") == 403
    finally:
        client.close()
        process.terminate()
        process.communicate(timeout=PATIENCE_S)
