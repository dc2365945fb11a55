"""The short way to a day's rows gives what the long way gives, and is taken only where nothing stands in its way."""

import re
import socket
from typing import BinaryIO
from urllib.parse import urlsplit

import pytest

from sandbox.app import build_app
from sandbox.faults.fault_plan import parse_fault
from sandbox.options import Options
from sandbox.sandbox_clock import SandboxClock
from sandbox.services.express import Express
from sandbox.world import World
from tests.sandbox.served_sandbox import NOW, Serve, Served

# Strikes nobody; but with a fault on, everything goes the long way.
IDLE_FAULT = {"kind": "reset", "path": "/nowhere"}
PLANT, INVERTER, OTHER = "5000000", "5000001", "62c3cffe-41ac-4f92-8899-06610ee07b05"
DAY = "/monitoring/v1/plants/5000000/measurements/sets/EnergyBalance/Day?Date=2023-06-10"


def exchange(served: Served, requests: str, answers: int = 1) -> list[bytes]:
    """What a raw connection gets for what it sends at once; without the Date, which goes on."""
    url = urlsplit(served.url)
    with socket.create_connection((url.hostname, url.port), timeout=120) as connection:
        connection.sendall(requests.replace("TOKEN", served.http.headers["Authorization"]).encode())
        with connection.makefile("rb") as stream:
            return [answer(stream) for _ in range(answers)]


def answer(stream: BinaryIO) -> bytes:
    """The next answer, head and body."""
    head = b"".join(iter(stream.readline, b"\r\n"))
    length = re.search(rb"content-length: (\d+)", head)
    body = stream.read(int(length[1])) if length else b""
    return re.sub(rb"date: [^\r]*", b"", head) + body


def get(path: str, *more: str) -> str:
    """A GET as a client writes it."""
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: localhost", "Authorization: TOKEN", *more, "", ""])


def test_both_ways_give_the_same_bytes(serve: Serve) -> None:
    served = serve(plants=12, owners_without_consent=1)
    device = f"/monitoring/v1/devices/{INVERTER}/measurements/sets/energyandpowerpv/day?date=2023-06-10"
    requests = [
        get(DAY),
        get(device),
        get(DAY.replace(PLANT, OTHER)),  # no consent
        get(DAY.replace("2023", "1999")),
        get(DAY.replace("06-10", "02-30")),
        get(DAY.replace(PLANT, "77")),
        get(DAY.replace("EnergyBalance", "Nothing")),
        get(DAY, "Content-Length: 2") + "{}",
        get(DAY, "Connection: close"),
    ]
    short = [exchange(served, request)[0] for request in requests]
    served.http.post("/_control/faults", json=IDLE_FAULT)
    assert short == [exchange(served, request)[0] for request in requests]
    assert [head[9:12] for head in short] == [*[b"200"] * 4, b"400", b"404", b"404", b"200", b"200"]


def test_requests_sent_at_once_are_answered_in_their_order(serve: Serve) -> None:
    served = serve(plants=12)
    plants = "/monitoring/v1/plants/5000044"
    requests = get(DAY) + get(plants) + get(DAY.replace("06-10", "06-11")) + get(plants) + get(DAY)
    got = b"".join(exchange(served, requests, answers=5))
    found = re.findall(rb'"time":"2023-06-1.T00:05:00"|"plantId":"5000044"', got)
    tenth, eleventh = b'"time":"2023-06-10T00:05:00"', b'"time":"2023-06-11T00:05:00"'
    assert found == [tenth, b'"plantId":"5000044"', eleventh, b'"plantId":"5000044"', tenth]


@pytest.fixture
def world() -> World:
    return World(Options(plants=12), SandboxClock(NOW))


HERE = (b"host", b"127.0.0.1:8400")


def bearer(world: World) -> tuple[bytes, bytes]:
    token = world.tokens.start(next(iter(world.clients.values())), None, offline=False)["access_token"]
    return b"authorization", f"Bearer {token}".encode()


def express(world: World) -> Express:
    way: Express = build_app(world).state.express
    return way


def test_a_plain_question_goes_the_short_way(world: World) -> None:
    got = express(world).answer(DAY.encode(), [HERE, bearer(world)])
    assert got is not None
    assert got[0].startswith(b"HTTP/1.1 200 OK\r\n")
    assert got[1].startswith(b'{"plant":{"plantId":"5000000"')


@pytest.mark.parametrize(
    "path",
    [
        DAY + "&WithTotal=true",
        DAY + "&Date=2023-06-11",
        DAY.replace("/Day", "/Week"),
        DAY.replace(PLANT, PLANT + "/"),
        DAY.replace("v1", "v2"),
        DAY.replace("-10", "-1%30"),
        "/monitoring/v1/plants",
    ],
)
def test_other_questions_go_the_long_way(world: World, path: str) -> None:
    assert express(world).answer(path.encode(), [HERE, bearer(world)]) is None


def test_a_bad_token_goes_the_long_way(world: World) -> None:
    way, good = express(world), bearer(world)
    assert way.answer(DAY.encode(), [HERE]) is None
    assert way.answer(DAY.encode(), [HERE, (b"authorization", b"Basic " + good[1][7:])]) is None
    assert way.answer(DAY.encode(), [HERE, (b"authorization", b"Bearer nonsense"), good]) is None
    world.clock.advance(301)
    assert way.answer(DAY.encode(), [HERE, good]) is None


@pytest.mark.parametrize("hosts", [(), (b"evil.example",), (b"127.0.0.1", b"evil.example")])
def test_a_foreign_name_goes_the_long_way_too(world: World, hosts: tuple[bytes, ...]) -> None:
    headers = [*((b"host", host) for host in hosts), bearer(world)]
    assert express(world).answer(DAY.encode(), headers) is None


def test_faults_and_budgets_go_the_long_way(world: World) -> None:
    options = Options(plants=1, requests_per_5_min=10)
    limited = World(options, SandboxClock(NOW))
    assert express(limited).answer(DAY.encode(), [HERE, bearer(limited)]) is None
    faulty = World(Options(plants=1, faults=("reset,path=/nowhere",)), SandboxClock(NOW))
    assert parse_fault("reset,path=/nowhere").path == IDLE_FAULT["path"]
    assert express(faulty).answer(DAY.encode(), [HERE, bearer(faulty)]) is None
