"""A sandbox inside the test's own process, on a port chosen by the system, with its world in reach."""

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

from sandbox.app import build_app
from sandbox.options import LOOPBACK, Options
from sandbox.sandbox_clock import SandboxClock
from sandbox.server import Server, build_address, configure_uvicorn, listen
from sandbox.world import World

# What the sandbox's clock shows when a test begins.
NOW = datetime(2024, 6, 15, 12, 0, tzinfo=UTC)
Json = dict[str, Any]


@dataclass(frozen=True)
class Served:
    """A running sandbox: its world, and a client that carries a token of the custom flow."""

    world: World
    url: str
    http: httpx.Client

    def get(self, path: str, **params: str) -> Json:
        """The JSON of a good answer."""
        answer = self.http.get(path, params=params)
        assert answer.status_code == 200, (path, answer.status_code, answer.text[:300])
        body: Json = answer.json()
        return body

    def rows(
        self, plant_id: str, period: str = "Day", set_type: str = "EnergyBalance", **params: str
    ) -> list[Json]:
        """The rows of a plant."""
        return list(
            self.get(f"/monitoring/v1/plants/{plant_id}/measurements/sets/{set_type}/{period}", **params)[
                "set"
            ]
        )

    def device_rows(self, device_id: str, set_type: str, period: str = "Day", **params: str) -> list[Json]:
        """The rows of a device."""
        path = f"/monitoring/v1/devices/{device_id}/measurements/sets/{set_type}/{period}"
        return list(self.get(path, **params)["set"])

    def truth(self, plant_id: str, quantity: str, start: str, end: str) -> float:
        """Exact kWh of a plant."""
        return float(self.get(f"/_truth/plants/{plant_id}/{quantity}", **{"from": start, "to": end})["kwh"])

    def login(self) -> httpx.Response:
        """A fresh token; the client carries it from now on."""
        options = self.world.options
        answer = self.http.post(
            "/oauth2/token",
            data={"grant_type": "client_credentials"},
            auth=(options.client_id, options.client_secret),
        )
        self.http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        return answer


# Starts a server of a test's own, with the options given by name.
Serve = Callable[..., Served]
_NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def client(**more: Any) -> httpx.Client:
    """A client for a sandbox; to read the system's certificates would take longer than most tests."""
    return httpx.Client(timeout=120, trust_env=False, verify=_NO_CERTIFICATES, **more)


@contextmanager
def served(options: Options, now: datetime = NOW) -> Iterator[Served]:
    """Serve `options` for a while."""
    world = World(options, SandboxClock(now))
    app = build_app(world)
    with listen(LOOPBACK, 0) as listener:
        ready = threading.Event()
        server = Server(configure_uvicorn(app), ready.set)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            assert ready.wait(120)
            url = build_address(options, listener).url
            with client(base_url=url) as http:
                it = Served(world, url, http)
                it.login()
                yield it
        finally:
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive()
