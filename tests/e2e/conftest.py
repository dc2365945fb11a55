"""A scripted SMA for whole-pipeline tests: it answers from a dictionary, counts what it was asked, and can fail."""

import datetime as dt
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import TransientError
from pipeline.runtime import Runtime
from pipeline.settings import Settings, load_settings
from pipeline.sma.requests import Answer, Failure, Request

NOW = dt.datetime(2021, 10, 20, 12, tzinfo=dt.UTC)
ZONE = "Australia/Brisbane"


class ScriptedSma:
    """Two plants, 11 and 12, with an inverter each; watts by plant and day, 1000 unless told otherwise."""

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.watts: dict[tuple[str, str], float | None] = {}
        self.broken: set[str] = set()
        self.lists: list[str] = ["11", "12"]

    def fetch(self, requests: Iterable[Request]) -> Iterator[Answer | Failure]:
        for request in requests:
            self.asked.append(request)
            if request.plant_id in self.broken:
                error = TransientError("GET /v1/x answered 503 six times: try again later.", status=503)
                yield Failure(request, error, 6)
            else:
                body = json.dumps(self._body(request)).encode()
                yield Answer(request, request.target, 200, NOW, 5.0, 1, body)

    def close(self) -> None:
        """Nothing to close."""

    def _body(self, request: Request) -> dict[str, Any]:
        if request.endpoint == "plants":
            return {
                "plants": [
                    {
                        "plantId": plant,
                        "name": f"Plant {plant}",
                        "timezone": ZONE,
                        "installation": {"acNominalPower": 5000.0, "startUpUtc": "2020-01-01T00:00:00"},
                        "location": {"address": {"latitude": -37.8, "longitude": 145.0}},
                    }
                    for plant in self.lists
                ]
            }
        if request.endpoint == "devices":
            return {"devices": [{"deviceId": f"{request.plant_id}1", "name": "Inverter", "isActive": True}]}
        if request.endpoint == "sets":
            return {"sets": ["EnergyAndPowerPv"] if request.device_id else ["EnergyBalance"]}
        if request.endpoint == "logs":
            return {"logs": []}
        watts = self.watts.get((request.plant_id, request.date), 1000.0)
        return {"resolution": "FiveMinutes", "set": rows(request.date, watts)}


def rows(day: str, watts: float | None) -> list[dict[str, Any]]:
    """288 rows of one power; none for None."""
    if watts is None:
        return []
    midnight = dt.datetime.fromisoformat(day)
    ends = (midnight + dt.timedelta(minutes=5 * (i + 1)) for i in range(288))
    return [{"time": end.isoformat(), "pvGeneration": watts} for end in ends]


@pytest.fixture
def sma() -> ScriptedSma:
    return ScriptedSma()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(
        env_file=None,
        home=tmp_path / "home",
        lake=str(tmp_path / "home" / "lake"),
        warehouse=tmp_path / "home" / "sunledger.duckdb",
        sma_client_id="client",
        sma_client_secret="the-secret",
        sma_time_basis="plant_local",
        sma_monitoring_url="http://127.0.0.1:9/monitoring",
        sma_auth_url="http://127.0.0.1:9",
    )


@pytest.fixture
def new_runtime(sma: ScriptedSma, settings: Settings) -> Callable[..., Runtime]:
    """A fresh runtime on the same lake, as the next run would have."""

    def build(*plants: str) -> Runtime:
        return Runtime(
            settings,
            only_plants=frozenset(plants),
            now=lambda: NOW,
            make_session=lambda _: sma,  # type: ignore[arg-type,return-value]
        )

    return build
