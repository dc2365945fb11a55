"""`/_truth`: the exact energy of a plant, device and quantity, to judge a pipeline by. It needs no token."""

from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.fleet.plant_model import Device
from sandbox.http_answers import (
    ApiError,
    build_bad_value,
    build_json_answer,
    build_not_found,
    read_query,
)
from sandbox.series.table import Source
from sandbox.world import World

MAX_DAYS = 40 * 366


class TruthService:
    """Energy straight from the model or the recording's meter, before any rounding or cutting into rows."""

    def __init__(self, world: World) -> None:
        """Judge by `world`."""
        self._world = world

    def routes(self) -> list[Route]:
        """The service's routes."""
        return [
            Route("/_truth/plants/{plant_id}/{quantity}", self.show_plant_truth),
            Route("/_truth/devices/{device_id}/{quantity}", self.show_device_truth),
        ]

    async def show_plant_truth(self, request: Request) -> Response:
        """kWh of a plant's quantity, named as in EnergyBalance."""
        key = request.path_params["plant_id"].lower()
        source = self._world.source(self._world.moved.get(key, key))
        if source is None:
            raise build_not_found()
        return self._build_answer(request, source, None)

    async def show_device_truth(self, request: Request) -> Response:
        """kWh of a device's quantity."""
        key = request.path_params["device_id"].lower()
        found = self._world.device(self._world.moved.get(key, key))
        if found is None:
            raise build_not_found()
        return self._build_answer(request, *found)

    def _build_answer(self, request: Request, source: Source, device: Device | None) -> Response:
        values = read_query(request)
        start, end = _read_moment(values, "from"), _read_moment(values, "to")
        if end < start or end - start > MAX_DAYS * 86400:
            raise build_bad_value("to", "to must be after from, and at most forty years later.")
        quantity = request.path_params["quantity"]
        kwh = source.exact_kwh(device, quantity, start, end)
        if kwh is None:
            raise ApiError(404, f"There is no exact energy for {quantity[:100]} here.")
        return build_json_answer(
            {
                "plantId": source.plant.plant_id,
                **({"deviceId": device.device_id} if device else {}),
                "quantity": quantity,
                "from": _format_utc(start),
                "to": _format_utc(end),
                "kwh": kwh,
            }
        )


def _read_moment(values: dict[str, str], name: str) -> float:
    """An ISO time with offset, or a naive one in UTC."""
    # A plus sign in a query that nobody quoted arrives as a blank.
    text = values.get(name, "").replace(" ", "+")
    try:
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        if 1990 <= moment.year <= 2100:  # noqa: PLR2004 - beyond this there is no energy to tell
            return moment.timestamp()
    except ValueError:
        pass
    raise build_bad_value(name, f"Give {name} as an ISO time such as 2021-10-01T00:00:00+10:00.")


def _format_utc(instant: float) -> str:
    return datetime.fromtimestamp(instant, UTC).isoformat()
