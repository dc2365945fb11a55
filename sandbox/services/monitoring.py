"""Plants and devices of the Monitoring API (`{monitoring}/v1/…`)."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.services.describe import brief_plant, device_json, full_plant, plant_status
from sandbox.services.gateway import access_of
from sandbox.services.http_answers import flag, json_answer, not_found, query
from sandbox.services.lookup import Found, find
from sandbox.world import World

_BASE = "/monitoring/v1"


class MonitoringService:
    """Lists, single plants and devices, and their status."""

    def __init__(self, world: World) -> None:
        """Serve the plants of `world`."""
        self._world = world

    def routes(self) -> list[Route]:
        """The service's routes."""
        return [
            Route(f"{_BASE}/plants", self.plants),
            Route(f"{_BASE}/plants/{{plant_id}}", self.plant),
            Route(f"{_BASE}/plants/{{plant_id}}/status", self.status),
            Route(f"{_BASE}/plants/{{plant_id}}/devices", self.devices),
            Route(f"{_BASE}/plants/{{plant_id}}/devices/lean", self.lean_devices),
            Route(f"{_BASE}/devices/{{device_id}}", self.device),
            Route(f"{_BASE}/devices/{{device_id}}/status", self.status),
        ]

    async def plants(self, request: Request) -> Response:
        """All plants that the token may see; `Filter` keeps names that contain it."""
        values = query(request)
        parts = _parts(values)
        wanted = values.get("filter", "").lower()
        plants = [plant for plant in self._world.plants(access_of(request)) if wanted in plant.name.lower()]
        return json_answer({"plants": [full_plant(plant, **parts) for plant in plants]})

    async def plant(self, request: Request) -> Response:
        """One plant, without an envelope and with all its parts."""
        found = _visible(find(self._world, request))
        return json_answer(full_plant(found.source.plant, status=False, installation=True, location=True))

    async def devices(self, request: Request) -> Response:
        """The devices with their plant and time zone."""
        found = find(self._world, request)
        return json_answer(
            {"plant": brief_plant(found.source.plant), "devices": _devices(found, request, zone=True)}
        )

    async def lean_devices(self, request: Request) -> Response:
        """The devices alone."""
        return json_answer({"devices": _devices(find(self._world, request), request, zone=False)})

    async def device(self, request: Request) -> Response:
        """One device with its plant. What `details` holds is not known in full: firmware is the part recorded."""
        found = _visible(find(self._world, request))
        device, plant = found.device, found.source.plant
        if device is None:
            raise not_found()
        return json_answer(
            {
                "plant": brief_plant(plant),
                "device": device_json(device, plant, with_zone=True),
                "details": {"firmwareVersion": "3.10.18.R"},
            }
        )

    async def status(self, request: Request) -> Response:
        """The state of a plant or device."""
        found = _visible(find(self._world, request))
        plant, device = found.source.plant, found.device
        if device is None:
            return json_answer({"plant": brief_plant(plant), "status": plant_status(plant)})
        state = "Ok" if device.deactivated_at is None else "Unknown"
        return json_answer(
            {
                "plant": brief_plant(plant),
                "device": device_json(device, plant, with_zone=True),
                "status": state,
            }
        )


def _parts(values: dict[str, str]) -> dict[str, bool]:
    return {part: flag(values, f"With{part.title()}") for part in ("status", "installation", "location")}


def _visible(found: Found) -> Found:
    """A single object that the token may not see does not exist for it (what SMA answers here is not known)."""
    if not found.visible:
        raise not_found()
    return found


def _devices(found: Found, request: Request, *, zone: bool) -> list[dict[str, object]]:
    deactivated = flag(query(request), "WithDeactivatedDevices")
    if not found.visible:
        return []
    plant = found.source.plant
    shown = [device for device in plant.devices if deactivated or device.deactivated_at is None]
    return [device_json(device, plant, with_zone=zone) for device in shown]
