"""The Live API (`{live}/v1/…`): what the plant does now.

Unproven (second-hand only): the envelope with `status` beside `set` as one object, what `configuration` holds, what a
plant that is not on Classic answers (here 404), and how a session ends (here 429 until the plant was left alone for a
minute). Known from SMA's pages: Classic systems only, at most one call in ten seconds, sessions of about ten minutes.
"""

import math
from dataclasses import dataclass

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.http_answers import ApiError, build_json_answer, build_not_found
from sandbox.series import set_names
from sandbox.series.periods import Periods
from sandbox.series.render import write_rows
from sandbox.series.table import Source
from sandbox.services.describe import describe_plant_briefly, name_plant_status
from sandbox.services.lookup import find_resource
from sandbox.world import World

_BASE = "/live/v1"
SECONDS_BETWEEN_CALLS = 10
SESSION_S = 600
# Calls closer together than this belong to one session.
PAUSE_S = 60


@dataclass(slots=True)
class _Session:
    """When a plant was first and last asked in a row, in seconds since 1970."""

    began_at: float
    called_at: float


class LiveService:
    """One row of the energy balance, as of now."""

    def __init__(self, world: World) -> None:
        """Serve the present of `world`."""
        self._world = world
        self._periods = Periods(world.options.rules, world.clock)
        self._sessions: dict[str, _Session] = {}

    def routes(self) -> list[Route]:
        """The service's routes."""
        return [
            Route(f"{_BASE}/plants/{{plant_id}}/measurements/sets/EnergyBalance", self.show_energy_balance),
            Route(f"{_BASE}/plants/{{plant_id}}/configuration", self.show_configuration),
        ]

    async def show_energy_balance(self, request: Request) -> Response:
        """The newest interval that has ended, without the portal's delay."""
        source = self._find_live_source(request)
        self._count_call(source.plant.plant_id)
        now = self._world.clock.now() + source.plant.delay_s
        rows = self._periods.rows(
            source, None, set_names.ENERGY_BALANCE, "recent", None, energy=False, now=now
        )
        values = write_rows(rows.labels, rows.columns)[1:-1] if len(rows.labels) else b"{}"
        head = {
            "plant": describe_plant_briefly(source.plant),
            "status": name_plant_status(source.plant),
            "setType": "EnergyBalance",
        }
        body = b"".join([orjson.dumps(head)[:-1], b',"set":', values, b"}"])
        return Response(body, media_type="application/json; charset=utf-8")

    async def show_configuration(self, request: Request) -> Response:
        """Which sets can be asked for live."""
        source = self._find_live_source(request)
        return build_json_answer(
            {"plant": describe_plant_briefly(source.plant), "sets": [set_names.ENERGY_BALANCE]}
        )

    def _find_live_source(self, request: Request) -> Source:
        found = find_resource(self._world, request)
        if not found.visible or not found.source.plant.classic:
            raise build_not_found()
        return found.source

    def _count_call(self, plant_id: str) -> None:
        """Count the call; 429 when it comes too soon, or when the session has lasted long enough."""
        now = self._world.clock.now()
        session = self._sessions.get(plant_id)
        if session is None or not 0 <= now - session.called_at < PAUSE_S:
            self._sessions[plant_id] = _Session(now, now)
            return
        ended = now - session.began_at >= SESSION_S
        wait = session.called_at + (PAUSE_S if ended else SECONDS_BETWEEN_CALLS) - now
        if wait > 0:
            raise ApiError(429, "Too Many Requests", headers={"Retry-After": str(math.ceil(wait))})
        session.called_at = now
