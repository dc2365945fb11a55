"""A scripted SMA for whole-pipeline tests: it answers from a dictionary, counts what it was asked, and can fail."""

import datetime as dt
import json
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any

from pipeline.common.errors import SmaError, TransientError
from pipeline.sma.client import Admit, pass_all
from pipeline.sma.requests import Answer, Failure, Request

NOW = dt.datetime(2021, 10, 20, 12, tzinfo=dt.UTC)
ZONE = "Australia/Brisbane"


def has_nothing_special(_: Request) -> bytes | SmaError | None:
    """The usual answer to all."""
    return None


class ScriptedSma:
    """Two plants, 11 and 12, with an inverter each; watts by plant and day, 1000 unless told otherwise."""

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.watts: dict[tuple[str, str], float | None] = {}
        self.broken: set[str] = set()
        self.lists: list[str] = ["11", "12"]
        self.started = "2020-01-01T00:00:00"
        self.answered_at = NOW
        self.devices: dict[str, list[dict[str, Any]]] = {}
        # Says something else than usual: a body, or an error; None where nothing is special.
        self.special: Callable[[Request], bytes | SmaError | None] = has_nothing_special

    def fetch(
        self, requests: Iterable[Request], *, urgent: bool = False, admit: Admit = pass_all
    ) -> Iterator[Answer | Failure]:
        del urgent  # each request is answered when somebody takes the answer
        for request in requests:
            admit()
            self.asked.append(request)
            special = self.special(request)
            if request.plant_id in self.broken:
                special = TransientError("GET /v1/x answered 503 six times: try again later.", status=503)
            if isinstance(special, SmaError):
                yield Failure(request, special, 6)
            else:
                body = special if special is not None else self.say(request)
                yield Answer(request, request.target, 200, self.answered_at, 5.0, 1, body)

    def close(self) -> None:
        """Nothing to close."""

    def say(self, request: Request) -> bytes:
        """The usual answer."""
        if request.endpoint in {"plants", "devices", "sets", "logs"}:
            return compact(self._body(request))
        days = [compact_rows(day, self._watts(request, day)) for day in days_of(request)]
        envelope = compact(self._envelope(request)).removesuffix(b"}")
        return envelope + b',"set":[' + b",".join(filter(None, days)) + b"]}"

    def _body(self, request: Request) -> dict[str, Any]:
        if request.endpoint == "plants":
            return {
                "plants": [
                    {
                        "plantId": plant,
                        "name": f"Plant {plant}",
                        "timezone": ZONE,
                        "installation": {"acNominalPower": 5000.0, "startUpUtc": self.started},
                        "location": {"address": {"latitude": -37.8, "longitude": 145.0}},
                    }
                    for plant in self.lists
                ]
            }
        if request.endpoint == "devices":
            one = {"deviceId": f"{request.plant_id}1", "name": "Inverter", "isActive": True}
            return {"devices": self.devices.get(request.plant_id, [one])}
        if request.endpoint == "sets":
            return {"sets": ["EnergyAndPowerPv"] if request.device_id else ["EnergyBalance"]}
        if request.endpoint == "logs":
            return {"logs": []}
        measured = [row for day in days_of(request) for row in rows(day, self._watts(request, day))]
        return {**self._envelope(request), "set": measured}

    def _envelope(self, request: Request) -> dict[str, Any]:
        """What is around the rows. It holds the plant, as SMA's does; its time zone is no row."""
        plant = {"plantId": request.plant_id, "name": "x", "timezone": ZONE}
        return {"plant": plant, "resolution": "FiveMinutes"}

    def _watts(self, request: Request, day: str) -> float | None:
        return self.watts.get((request.plant_id, day), 1000.0)


def days_of(request: Request) -> list[str]:
    """The days that a request for measurements is for: a week begins with its date."""
    first = dt.date.fromisoformat(request.date)
    return [str(first + dt.timedelta(days=i)) for i in range(7 if request.period == "Week" else 1)]


def compact(content: object) -> bytes:
    """JSON as SMA writes it."""
    return json.dumps(content, separators=(",", ":")).encode()


def rows(day: str, watts: float | None) -> list[dict[str, Any]]:
    """288 rows of one power; none for None."""
    if watts is None:
        return []
    midnight = dt.datetime.fromisoformat(day)
    ends = (midnight + dt.timedelta(minutes=5 * (i + 1)) for i in range(288))
    return [{"time": end.isoformat(), "pvGeneration": watts} for end in ends]


@lru_cache(maxsize=256)
def compact_rows(day: str, watts: float | None) -> bytes:
    """The same as they stand in an answer, without the brackets: tests ask for few days and powers, and often."""
    return compact(rows(day, watts))[1:-1]
