"""From an id in a path to the plant or device behind it, as this token may see it."""

import re
from dataclasses import dataclass

from starlette.requests import Request

from sandbox.fleet.plant_model import Device
from sandbox.http_answers import ApiError, build_not_found
from sandbox.series.table import Source
from sandbox.services.gateway import read_access
from sandbox.world import World


@dataclass(frozen=True, slots=True)
class FoundResource:
    """A plant, or a device with its plant. `visible` is false without the owner's consent."""

    source: Source
    device: Device | None
    visible: bool


def find_resource(world: World, request: Request) -> FoundResource:
    """The plant (`plant_id` in the path) or device (`device_id`); 404 if unknown, 308 if it moved to ennexOS."""
    device_id = request.path_params.get("device_id")
    key: str = device_id if device_id is not None else request.path_params["plant_id"]
    key = key.lower()
    known = world.device(key) if device_id is not None else None
    source, device = known if known is not None else (world.source(key) if device_id is None else None, None)
    if source is None:
        raise _find_redirect(world, request, key) or build_not_found()
    return FoundResource(source, device, world.check_access(read_access(request), source.plant))


def _find_redirect(world: World, request: Request, key: str) -> ApiError | None:
    """308 with the new address, query kept, and an empty body."""
    new = world.moved.get(key)
    if new is None:
        return None
    raw_path: bytes = request.scope["raw_path"]
    location = re.sub(re.escape(key), new, raw_path.decode("latin-1"), count=1, flags=re.IGNORECASE)
    if request.url.query:
        location += f"?{request.url.query}"
    return ApiError(308, "", headers={"Location": location})
