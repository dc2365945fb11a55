"""The description agrees with what is served, and nothing that one may ask makes the server fail."""

import itertools
import re

import pytest
from starlette.routing import Route

from sandbox.app import build_app
from sandbox.options import Options
from sandbox.world import World
from tests.sandbox.served_sandbox import Serve, Served

UNDESCRIBED = {"/oauth2/auth", "/oauth2/auth/login", "/oauth2/auth/decide", "/openapi.json", "/docs", "/"}
NASTY = ["0", "%00", "..%2F..", "%F0%9F%8C%9E", "a" * 3000, "%27%20OR%201=1", "5000000", "9000011", "%25%25"]


def shape(path: str) -> str:
    return re.sub(r"{[^}]+}", "{}", path)


def test_every_route_is_described_and_every_description_is_served(sandbox: Served) -> None:
    described = {
        (method.upper(), shape(path))
        for path, methods in sandbox.get("/openapi.json")["paths"].items()
        for method in methods
    }
    served = {
        (method, shape(route.path))
        for route in build_app(World(Options(plants=0))).routes
        if isinstance(route, Route) and route.path not in UNDESCRIBED
        for method in (route.methods or set()) - {"HEAD"}
    }
    assert described == served


def test_the_page_for_people_lists_them(sandbox: Served) -> None:
    text = sandbox.http.get("/docs").text
    assert "/monitoring/v1/plants/{plantId}/devices/lean" in text
    assert sandbox.http.get("/").text == text


@pytest.mark.parametrize("value", NASTY)
def test_nothing_that_is_asked_makes_the_server_fail(serve: Serve, sandbox: Served, value: str) -> None:
    document = sandbox.get("/openapi.json")
    for path, methods in document["paths"].items():
        target = re.sub(r"{[^}]+}", value, path)
        for method, described in methods.items():
            if path.startswith("/_control") and method != "get":
                continue
            names = [item["name"] for item in described["parameters"] if item["in"] == "query"]
            query = "&".join(f"{name}={value}" for name in names)
            for body in (
                b"",
                b'{"commands": [{}], "plantIds": [null], "loginHint": "' + value.encode() + b'"}',
            ):
                answer = sandbox.http.request(method, f"{target}?{query}", content=body)
                assert answer.status_code < 500, (method, target, answer.text[:200])


def test_all_documented_schema_references_exist(sandbox: Served) -> None:
    document = sandbox.get("/openapi.json")
    text = sandbox.http.get("/openapi.json").text
    used = set(re.findall(r"#/components/schemas/(\w+)", text))
    assert used <= set(document["components"]["schemas"])
    assert len(list(itertools.chain.from_iterable(document["paths"].values()))) >= 30
