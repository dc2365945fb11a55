"""The GridControl API (`{gridcontrol}/v1/…`): schedules of commands that limit what a plant feeds in.

Unproven: every JSON body (SMA documents paths and the command `FeedInLimit` only), GET and DELETE of schedules, and 202
as the answer. A limit is visible in the plant's power.
"""

import uuid
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.fleet.plant_model import Device, Plant, Role
from sandbox.http_answers import (
    ApiError,
    build_json_answer,
    build_not_found,
    read_flag,
    read_json_object,
    read_query,
)
from sandbox.series.held_limits import PowerLimit
from sandbox.series.simulated_source import SimulatedSource
from sandbox.services.command_kinds import judge_commands
from sandbox.services.gateway import read_access
from sandbox.services.lookup import find_resource
from sandbox.services.plant_schedules import Schedule, read_command_names, read_schedule
from sandbox.world import World

_BASE = "/gridcontrol/v1"
# So many schedules of a plant that still hold; and of so many that are over the newest are listed.
MAX_SCHEDULES = 1000
MAX_IDS = 1000
_Found = tuple[Plant, Device | None]


class GridControlService:
    """Schedules, and whether a plant can follow them."""

    def __init__(self, world: World) -> None:
        """Steer the plants of `world`."""
        self._world = world
        self._schedules: dict[int, OrderedDict[str, Schedule]] = {}
        self._past: dict[int, list[PowerLimit]] = {}
        self._received: Counter[tuple[int, str]] = Counter()

    def routes(self) -> list[Route]:
        """The service's routes."""
        return [
            Route(f"{_BASE}/plants/eligibilityCheck", self.check_eligibility, methods=["POST"]),
            Route(f"{_BASE}/plants/{{plant_id}}/schedules", self.create_schedule, methods=["POST"]),
            Route(f"{_BASE}/plants/{{plant_id}}/schedules", self.show_schedules, methods=["GET"]),
            Route("/_truth/gridcontrol/plants/{plant_id}", self.show_received),
            Route(
                f"{_BASE}/plants/{{plant_id}}/schedules/{{schedule_id}}",
                self.delete_schedule,
                methods=["DELETE"],
            ),
        ]

    async def check_eligibility(self, request: Request) -> Response:
        """Of each plant, device or meter and each command asked: supported, or why not.

        What the token may not see is left out, and what has moved to ennexOS answers by its new id.
        """
        body = await read_json_object(request)
        finders: dict[str, tuple[str, Callable[[str], _Found | None]]] = {
            "plants": ("plantId", self._find_plant),
            "devices": ("deviceId", self._find_device),
            "meters": ("meterId", self._find_meter),
        }
        asked = {kind: _read_ids(body, f"{name}s") for kind, (name, _) in finders.items()}
        if all(ids is None for ids in asked.values()):
            raise ApiError(400, "Give plantIds, deviceIds or meterIds: lists of ids")
        names = read_command_names(body.get("commands"))
        access = read_access(request)
        answer: dict[str, list[dict[str, Any]]] = {}
        for kind, (name, find) in finders.items():
            ids = asked[kind]
            if ids is None:
                continue
            found = ((item, find(item.lower())) for item in ids)
            answer[kind] = [
                {**_name_resource(name, item, *it), "commands": judge_commands(*it, names)}
                for item, it in found
                if it is not None and self._world.may_see(access, it[0])
            ]
        return build_json_answer(answer)

    async def create_schedule(self, request: Request) -> Response:
        """Accept a schedule, which supersedes older ones of the same command.

        Commands that the plant can't follow are a 400 unless `skipEligibilityCheck` is set. One whose key (mRID) the
        plant has already is answered by the schedule that is there (200), or is a 409 where it asks something else.
        """
        source = self._find_controlled(request)
        plant, now = source.plant, self._world.clock.now()
        self._received[plant.index, "schedules"] += 1
        body = await read_json_object(request)
        values = read_query(request)
        skip = "skipeligibilitycheck" in values and (
            values["skipeligibilitycheck"] == "" or read_flag(values, "skipEligibilityCheck")
        )
        schedule = read_schedule(body, str(uuid.uuid4()), now)
        names = dict.fromkeys(item["command"] for item in body["commands"])
        refused = next((it for it in judge_commands(plant, None, names) if not it["supported"]), None)
        if refused is not None and not skip:
            raise ApiError(400, f"Command {refused['command']} is not supported: {refused['reason']}")
        older = self._schedules.setdefault(plant.index, OrderedDict())
        if (known := _find_known(schedule, older.values())) is not None:
            self._received[plant.index, "repeated"] += 1
            return build_json_answer(known.describe(plant, now))
        self._forget_oldest(plant, older, now)
        for item in older.values():
            schedule.supersede(item, now)
        older[schedule.schedule_id] = schedule
        self._apply(source)
        return build_json_answer(schedule.describe(plant, now), 202)

    async def show_schedules(self, request: Request) -> Response:
        """The plant's schedules, also those that are over, in the order in which they came."""
        plant, now = self._find_controlled(request).plant, self._world.clock.now()
        mine = self._schedules.get(plant.index, OrderedDict()).values()
        return build_json_answer({"schedules": [item.describe(plant, now) for item in mine]})

    async def delete_schedule(self, request: Request) -> Response:
        """Cancel a schedule at once, fallback included; what it has limited until now stays in the plant's power."""
        source = self._find_controlled(request)
        self._received[source.plant.index, "cancellations"] += 1
        mine, now = self._schedules.get(source.plant.index, OrderedDict()), self._world.clock.now()
        schedule = mine.get(request.path_params["schedule_id"])
        if schedule is None:
            raise build_not_found()
        if schedule.is_over(now):
            raise ApiError(409, "This schedule is over: there is nothing to cancel")
        schedule.cancel(now)
        self._apply(source)
        return Response(status_code=204)

    async def show_received(self, request: Request) -> Response:
        """How many schedules and cancellations came for a plant, and how many of the schedules repeated a key."""
        found = self._find_plant(request.path_params["plant_id"].lower())
        if found is None:
            raise build_not_found()
        names = ("schedules", "repeated", "cancellations")
        return build_json_answer({name: self._received[found[0].index, name] for name in names})

    def _find_controlled(self, request: Request) -> SimulatedSource:
        found = find_resource(self._world, request)
        if not found.visible or not isinstance(found.source, SimulatedSource):
            raise build_not_found()
        return found.source

    def _find_plant(self, key: str) -> _Found | None:
        source = self._world.source(self._world.moved.get(key, key))
        return None if source is None else (source.plant, None)

    def _find_device(self, key: str) -> _Found | None:
        found = self._world.device(self._world.moved.get(key, key))
        return None if found is None else (found[0].plant, found[1])

    def _find_meter(self, key: str) -> _Found | None:
        """A meter by its serial number, or by its id as a device."""
        found = self._find_device(key)
        if found is not None:
            return found if found[1] is not None and found[1].role is Role.METER else None
        return next((item for item in self._list_meters() if item[1] and item[1].serial == key), None)

    def _list_meters(self) -> Iterator[_Found]:
        plants = (source.plant for source in self._world.sources())
        return ((plant, device) for plant in plants for device in plant.with_role(Role.METER))

    def _forget_oldest(self, plant: Plant, schedules: OrderedDict[str, Schedule], now: float) -> None:
        """Make room for one more; 409 where too many still hold. What one has limited stays in the plant's power."""
        if len(schedules) < MAX_SCHEDULES:
            return
        over = next((key for key, item in schedules.items() if item.is_over(now)), None)
        if over is None:
            raise ApiError(409, "Too many schedules: delete some first")
        ended = schedules.pop(over).list_limits(plant.array.ac_rated_w)
        self._past.setdefault(plant.index, []).extend(ended)

    def _apply(self, source: SimulatedSource) -> None:
        index, rated_w = source.plant.index, source.plant.array.ac_rated_w
        mine = (
            limit
            for item in self._schedules.get(index, OrderedDict()).values()
            for limit in item.list_limits(rated_w)
        )
        source.limit([*self._past.get(index, ()), *mine])
        self._world.version += 1


def _find_known(schedule: Schedule, others: Iterable[Schedule]) -> Schedule | None:
    """The schedule that holds the commands of this one by their keys; 409 where a key is of another command."""
    keys = schedule.find_keys()
    for item in others:
        same = item.find_keys()
        if shared := keys.keys() & same.keys():
            if any(keys[key] != same[key] for key in shared):
                raise ApiError(409, "This mRID is that of another command")
            return item
    return None


def _read_ids(body: dict[str, Any], name: str) -> list[str] | None:
    ids = body.get(name)
    if ids is None:
        return None
    if not isinstance(ids, list) or len(ids) > MAX_IDS or not all(isinstance(item, str) for item in ids):
        raise ApiError(400, f"{name} must be a list of at most {MAX_IDS} ids")
    return ids


def _name_resource(name: str, asked: str, plant: Plant, device: Device | None) -> dict[str, str]:
    """The ids of what was asked about: the newest ones of plants and devices, and a meter's as it was given."""
    if device is None:
        return {"plantId": plant.plant_id}
    return {name: asked if name == "meterId" else device.device_id, "plantId": plant.plant_id}
