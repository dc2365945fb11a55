"""A small SMA over HTTP for whole programs: a test decides the plants and their power, also between two runs."""

import datetime as dt
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

from tests.programs import ONE_SET

STEP = dt.timedelta(minutes=5)
DAY = dt.timedelta(days=1)
# Power in W of a plant over the five minutes that end at the instant (UTC); None: no row.
Power = Callable[[str, dt.datetime], float | None]


def steady(_: str, __: dt.datetime) -> float | None:
    """1 kW at any time, as of a plant with a meter."""
    return 1000.0


@dataclass
class SmallSma:
    """Plants as the list of plants gives them, and their power; `asked` has the path of each request.

    With the basis `utc` a day of the API is one of UTC, else one of the plant's clock (`clocks`, else its `timezone`).
    """

    plants: list[dict[str, Any]]
    power: Power = steady
    basis: str = "plant_local"
    clocks: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    url: str = ""

    @property
    def settings(self) -> dict[str, str]:
        """What a program must be told to find it."""
        return {
            "SMA_CLIENT_ID": "someone",
            "SMA_CLIENT_SECRET": "hush-hush",
            "SMA_AUTH_URL": self.url,
            "SMA_CONSENT_URL": self.url,
            "SMA_MONITORING_URL": self.url,
            "SMA_TIME_BASIS": self.basis,
            "SMA_REQUESTS_PER_5_MIN": "3000",
        } | ONE_SET

    def answer(self, path: str) -> tuple[int, Any]:
        """Status and content for a path with its query."""
        place = urlsplit(path)
        words, query = place.path.strip("/").split("/"), parse_qs(place.query)
        match words:
            case ["oauth2", _]:
                token = {"access_token": "a", "refresh_token": "r", "token_type": "Bearer"}
                return 200, token | {"expires_in": 300, "refresh_expires_in": 1800}
            case ["v1", "plants"]:
                return 200, {"plants": self.plants}
            case ["v1", "plants", plant, "devices", "lean"]:
                return 200, {"devices": [{"deviceId": f"{plant}1", "name": "Inverter", "isActive": True}]}
            case ["v1", kind, _, "measurements", "sets"]:
                return 200, {"sets": ["EnergyBalance"] if kind == "plants" else []}
            case ["v1", "plants", plant, "measurements", "sets", _, period]:
                return 200, self._measured(plant, period, query["Date"][0])
        return 404, {"message": "Not Found", "code": "404"}

    def _measured(self, plant: str, period: str, date: str) -> dict[str, Any]:
        (facts,) = [one for one in self.plants if one["plantId"] == plant]
        clock = ZoneInfo("UTC" if self.basis == "utc" else self.clocks.get(plant, facts["timezone"]))
        envelope = {"plant": {"plantId": plant, "name": "x", "timezone": facts["timezone"]}}
        if period == "Month":
            first = dt.date.fromisoformat(f"{date}-01")
            days = [first + i * DAY for i in range(31) if (first + i * DAY).month == first.month]
            wh = {day: sum(row["pvGeneration"] for row in self._rows(plant, day, clock)) / 12 for day in days}
            rows = [{"time": f"{day}T00:00:00", "pvGeneration": value} for day, value in wh.items()]
            return envelope | {"resolution": "OneDay", "set": rows}
        first = dt.date.fromisoformat(date)
        span = [first + i * DAY for i in range(7 if period == "Week" else 1)]
        rows = [row for day in span for row in self._rows(plant, day, clock)]
        return envelope | {"resolution": "FiveMinutes", "set": rows}

    def _rows(self, plant: str, day: dt.date, clock: ZoneInfo) -> Iterator[dict[str, Any]]:
        end = dt.datetime.combine(day, dt.time(), clock).astimezone(dt.UTC)
        last = dt.datetime.combine(day + DAY, dt.time(), clock).astimezone(dt.UTC)
        while (end := end + STEP) <= last:
            watts = self.power(plant, end)
            if watts is not None:
                yield {"time": f"{end.astimezone(clock):%Y-%m-%dT%H:%M:%S}", "pvGeneration": watts}


@contextmanager
def serving(sma: SmallSma) -> Iterator[SmallSma]:
    """The same, served on a free port of loopback until the context ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            sma.asked.append(self.path)
            self._say()

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self._say()

        def _say(self) -> None:
            status, content = sma.answer(self.path)
            body = json.dumps(content, separators=(",", ":")).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        sma.url = f"http://127.0.0.1:{server.server_port}"
        yield sma
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def listed(plant: str, timezone: str, latitude: float = 52.5, longitude: float = 13.4) -> dict[str, Any]:
    """A plant as SMA's list gives it."""
    return {
        "plantId": plant,
        "name": f"Plant {plant}",
        "timezone": timezone,
        "installation": {"peakPower": 6000.0, "acNominalPower": 5000.0, "startUpUtc": "2020-01-01T00:00:00"},
        "location": {"address": {"latitude": latitude, "longitude": longitude}},
    }
