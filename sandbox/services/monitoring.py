"""Plants and devices of the Monitoring API (`{monitoring}/v1/…`)."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.http_answers import build_json_answer, build_not_found, read_flag, read_query
from sandbox.services.describe import (
    describe_device,
    describe_plant,
    describe_plant_briefly,
    name_plant_status,
)
from sandbox.services.gateway import read_access
from sandbox.services.lookup import FoundResource, find_resource
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
            Route(f"{_BASE}/plants", self.list_plants),
            Route(f"{_BASE}/plants/{{plant_id}}", self.show_plant),
            Route(f"{_BASE}/plants/{{plant_id}}/status", self.show_status),
            Route(f"{_BASE}/plants/{{plant_id}}/devices", self.list_devices),
            Route(f"{_BASE}/plants/{{plant_id}}/devices/lean", self.list_lean_devices),
            Route(f"{_BASE}/devices/{{device_id}}", self.show_device),
            Route(f"{_BASE}/devices/{{device_id}}/status", self.show_status),
        ]

    async def list_plants(self, request: Request) -> Response:
        """All plants that the token may see; `Filter` keeps names that contain it."""
        values = read_query(request)
        parts = _read_parts(values)
        wanted = values.get("filter", "").lower()
        plants = [plant for plant in self._world.plants(read_access(request)) if wanted in plant.name.lower()]
        return build_json_answer({"plants": [describe_plant(plant, **parts) for plant in plants]})

    async def show_plant(self, request: Request) -> Response:
        """One plant, without an envelope and with all its parts."""
        found = _list_visible(find_resource(self._world, request))
        return build_json_answer(
            describe_plant(found.source.plant, status=False, installation=True, location=True)
        )

    async def list_devices(self, request: Request) -> Response:
        """The devices with their plant and time zone."""
        found = find_resource(self._world, request)
        return build_json_answer(
            {
                "plant": describe_plant_briefly(found.source.plant),
                "devices": _list_devices(found, request, zone=True),
            }
        )

    async def list_lean_devices(self, request: Request) -> Response:
        """The devices alone."""
        return build_json_answer(
            {"devices": _list_devices(find_resource(self._world, request), request, zone=False)}
        )

    async def show_device(self, request: Request) -> Response:
        """One device with its plant. What `details` holds is not known in full: firmware is the part recorded."""
        found = _list_visible(find_resource(self._world, request))
        device, plant = found.device, found.source.plant
        if device is None:
            raise build_not_found()
        return build_json_answer(
            {
                "plant": describe_plant_briefly(plant),
                "device": describe_device(device, plant, with_zone=True),
                "details": {"firmwareVersion": "3.10.18.R"},
            }
        )

    async def show_status(self, request: Request) -> Response:
        """The state of a plant or device."""
        found = _list_visible(find_resource(self._world, request))
        plant, device = found.source.plant, found.device
        if device is None:
            return build_json_answer(
                {"plant": describe_plant_briefly(plant), "status": name_plant_status(plant)}
            )
        state = "Ok" if device.deactivated_at is None else "Unknown"
        return build_json_answer(
            {
                "plant": describe_plant_briefly(plant),
                "device": describe_device(device, plant, with_zone=True),
                "status": state,
            }
        )


def _read_parts(values: dict[str, str]) -> dict[str, bool]:
    return {part: read_flag(values, f"With{part.title()}") for part in ("status", "installation", "location")}


def _list_visible(found: FoundResource) -> FoundResource:
    """A single object that the token may not see does not exist for it (what SMA answers here is not known)."""
    if not found.visible:
        raise build_not_found()
    return found


def _list_devices(found: FoundResource, request: Request, *, zone: bool) -> list[dict[str, object]]:
    deactivated = read_flag(read_query(request), "WithDeactivatedDevices")
    if not found.visible:
        return []
    plant = found.source.plant
    shown = [device for device in plant.devices if deactivated or device.deactivated_at is None]
    return [describe_device(device, plant, with_zone=zone) for device in shown]
