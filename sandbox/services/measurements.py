"""Measurement sets and their rows: the endpoints that carry nearly all of the traffic."""

from collections import OrderedDict
from datetime import date

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from sandbox.fleet.plant_model import Device, Plant
from sandbox.http_answers import (
    JSON,
    build_bad_value,
    build_json_answer,
    build_not_found,
    parse_date,
    read_flag,
    read_query,
)
from sandbox.series import set_names
from sandbox.series.periods import Periods, Rows
from sandbox.series.render import write_lists, write_object, write_rows
from sandbox.series.table import Source
from sandbox.services.describe import describe_device_briefly, describe_plant_briefly
from sandbox.services.lookup import FoundResource, find_resource
from sandbox.world import World

_BASE = "/monitoring/v1"
KEPT_BYTES = 64 << 20


class BodyCache:
    """Answers that can no longer change, bounded by their bytes."""

    def __init__(self, limit: int = KEPT_BYTES) -> None:
        """Keep at most `limit` bytes of bodies."""
        self._limit = limit
        self._size = 0
        self._kept: OrderedDict[tuple[object, ...], bytes] = OrderedDict()

    def get(self, key: tuple[object, ...]) -> bytes | None:
        """The kept body, or None."""
        body = self._kept.get(key)
        if body is not None:
            self._kept.move_to_end(key)
        return body

    def put(self, key: tuple[object, ...], body: bytes) -> None:
        """Keep a body, and drop the ones that were not asked for longest."""
        self._size += len(body) - len(self._kept.pop(key, b""))
        self._kept[key] = body
        while self._size > self._limit:
            self._size -= len(self._kept.popitem(last=False)[1])


class MeasurementService:
    """`…/measurements/sets` and `…/measurements/sets/{setType}/{period}` of plants and devices."""

    def __init__(self, world: World) -> None:
        """Serve the measurements of `world`."""
        self._world = world
        self._periods = Periods(world.options.rules, world.clock)
        self._bodies = BodyCache()

    def routes(self) -> list[Route]:
        """The hot routes; they come first in the router."""
        rows = "measurements/sets/{set_type}/{period}"
        return [
            Route(f"{_BASE}/plants/{{plant_id}}/{rows}", self, methods=["GET"]),
            Route(f"{_BASE}/devices/{{device_id}}/{rows}", self, methods=["GET"]),
            Route(f"{_BASE}/plants/{{plant_id}}/measurements/sets", self.list_sets),
            Route(f"{_BASE}/devices/{{device_id}}/measurements/sets", self.list_sets),
        ]

    async def list_sets(self, request: Request) -> Response:
        """Which sets a plant or device has; an empty list is normal."""
        found = find_resource(self._world, request)
        names = list(found.source.sets(found.device)) if found.visible else []
        return build_json_answer({**_build_envelope(found.source, found.device), "sets": names})

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """The rows of one set and period; plain ASGI, for what Starlette does around it takes as long as the answer."""
        body = self.build_rows(Request(scope))
        length = str(len(body)).encode()
        headers = [(b"content-length", length), (b"content-type", JSON.encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def build_rows(self, request: Request) -> bytes:
        """The body with the rows of one set and period."""
        found = find_resource(self._world, request)
        set_type = _set_type(request.path_params["set_type"])
        period = request.path_params["period"].lower()
        if period not in set_names.PERIODS:
            raise build_bad_value("period", f"The value '{period[:100]}' is not valid.")
        values = read_query(request)
        when = _read_date(period, values.get("date"))
        total, energy = read_flag(values, "WithTotal"), read_flag(values, "ReturnEnergyValues")
        return self._build_body(found, set_type, period, when, total=total, energy=energy)

    def day(self, found: FoundResource, set_type: str, day: date) -> bytes:
        """The body with the rows of one day."""
        return self._build_body(found, set_type, "day", day, total=False, energy=False)

    def _answer_ahead(self, found: FoundResource, day: date) -> None:
        """Write the day's balance of the plants that are likely to be asked next: together they cost far less."""
        for plants, labels, columns in self._periods.take_neighbours(found.source, day):
            resolution = set_names.name_resolution(plants[0].step_s)
            for plant, text in zip(plants, write_lists(labels, columns), strict=True):
                key = self._build_key(plant, None, (set_names.ENERGY_BALANCE, "day", day, False, False, True))
                head = _build_head(
                    {"plant": describe_plant_briefly(plant)}, set_names.ENERGY_BALANCE, resolution
                )
                self._bodies.put(key, b"".join((head, text, b"}")))

    def _build_key(
        self, plant: Plant, device: Device | None, question: tuple[object, ...]
    ) -> tuple[object, ...]:
        return (plant.plant_id, device.device_id if device else None, *question, self._world.version)

    def _build_body(
        self,
        found: FoundResource,
        set_type: str,
        period: str,
        when: date | None,
        *,
        total: bool,
        energy: bool,
    ) -> bytes:
        source, device = found.source, found.device
        question = (set_type, period, when, total, energy, found.visible)
        key = self._build_key(source.plant, device, question)
        source.note_request(when)
        body = self._bodies.get(key)
        if body is None and when and question == (set_names.ENERGY_BALANCE, "day", when, False, False, True):
            self._answer_ahead(found, when)
            body = self._bodies.get(key)
        if body is None:
            rows = self._periods.rows(source, device, set_type, period, when, energy=energy)
            body = _build_body(source, device, set_type, rows, total=total, visible=found.visible)
            if rows.complete:
                self._bodies.put(key, body)
        return body


def _build_body(
    source: Source, device: Device | None, set_type: str, rows: Rows, *, total: bool, visible: bool
) -> bytes:
    """The envelope around the rows; without consent the same envelope around nothing."""
    head = _build_head(_build_envelope(source, device), set_type, rows.resolution)
    parts = [head, write_rows(rows.labels, rows.columns) if visible else b"[]"]
    if total and visible and len(rows.labels):
        parts += [b',"total":', write_object(rows.total())]
    return b"".join([*parts, b"}"])


def _build_head(envelope: dict[str, object], set_type: str, resolution: str) -> bytes:
    """The answer's beginning, up to its list."""
    return orjson.dumps({**envelope, "setType": set_type, "resolution": resolution})[:-1] + b',"set":'


def _build_envelope(source: Source, device: Device | None) -> dict[str, object]:
    envelope: dict[str, object] = {"plant": describe_plant_briefly(source.plant)}
    if device is not None:
        envelope["device"] = describe_device_briefly(device, source.plant)
    return envelope


def _set_type(text: str) -> str:
    """The set's proper name; 404 for a name that SMA does not know."""
    name = set_names.BY_LOWER_NAME.get(text.lower())
    if name is None:
        raise build_not_found()
    return name


def _read_date(period: str, text: str | None) -> date | None:
    """The `Date` of a period: a day, a month or a year; none for Recent and Total."""
    if period in ("recent", "total"):
        return None
    if text is None:
        raise build_bad_value("Date", "The Date field is required.")
    length = {"year": 4, "month": 7}.get(period, 10)
    if len(text) in (length, 10):
        return parse_date((text + "-01-01"[: 10 - len(text)]) if len(text) < 10 else text, "Date")  # noqa: PLR2004
    raise build_bad_value("Date", f"The value '{text[:100]}' is not valid for Date.")
