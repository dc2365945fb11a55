"""The GridControl API (`{gridcontrol}/v1/…`): schedules of commands that limit what a plant feeds in.

Unproven: every JSON body below (SMA documents paths and the command `FeedInLimit` only), GET and DELETE of schedules,
and 202 as the answer. Known from SMA's pages: tasks are asynchronous, a schedule belongs to a plant, each command has a
start and a duration, and a fallback command applies when the schedule ends. A limit is visible in the plant's power.
"""

import math
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.fleet.plant_model import Plant
from sandbox.series.flow_cache import FeedInLimit
from sandbox.series.simulated_source import SimulatedSource
from sandbox.services.gateway import read_access
from sandbox.services.http_answers import (
    ApiError,
    build_json_answer,
    build_not_found,
    read_flag,
    read_json_object,
    read_query,
)
from sandbox.services.lookup import find_resource
from sandbox.world import World

_BASE = "/gridcontrol/v1"
FEED_IN_LIMIT = "FeedInLimit"
COMMANDS = (FEED_IN_LIMIT, "ActivePowerLimit", "ReactivePower", "Connect")
MAX_COMMANDS = 288
MAX_SCHEDULES = 1000
MAX_DURATION_S = 366 * 86400


@dataclass(frozen=True, slots=True)
class Schedule:
    """A plant's commands and fallback, as they were sent, and the limits that they mean."""

    schedule_id: str
    plant_index: int
    commands: list[dict[str, Any]]
    fallback: object
    limits: tuple[FeedInLimit, ...]


class GridControlService:
    """Schedules, and whether a plant can follow them."""

    def __init__(self, world: World) -> None:
        """Steer the plants of `world`."""
        self._world = world
        self._schedules: dict[str, Schedule] = {}
        self._ended: dict[int, list[FeedInLimit]] = {}

    def routes(self) -> list[Route]:
        """The service's routes."""
        return [
            Route(f"{_BASE}/plants/eligibilityCheck", self.check, methods=["POST"]),
            Route(f"{_BASE}/plants/{{plant_id}}/schedules", self.create, methods=["POST"]),
            Route(f"{_BASE}/plants/{{plant_id}}/schedules", self.show, methods=["GET"]),
            Route(f"{_BASE}/plants/{{plant_id}}/schedules/{{schedule_id}}", self.delete, methods=["DELETE"]),
        ]

    async def check(self, request: Request) -> Response:
        """Per plant and command: supported, or why not. Plants that the token may not see are left out."""
        body = await read_json_object(request)
        ids = body.get("plantIds")
        if not isinstance(ids, list) or not all(isinstance(item, str) for item in ids):
            raise ApiError(400, "plantIds must be a list of plant ids")
        access = read_access(request)
        sources = [source for item in ids if (source := self._world.source(item.lower())) is not None]
        plants = [source.plant for source in sources if self._world.may_see(access, source.plant)]
        return build_json_answer(
            {
                "plants": [
                    {"plantId": plant.plant_id, "commands": _judge_eligibility(plant)} for plant in plants
                ]
            }
        )

    async def create(self, request: Request) -> Response:
        """Accept a schedule; commands that the plant cannot follow are a 400 unless `skipEligibilityCheck` is set."""
        source = self._find_controlled(request)
        body = await read_json_object(request)
        values = read_query(request)
        skip = "skipeligibilitycheck" in values and (
            values["skipeligibilitycheck"] == "" or read_flag(values, "skipEligibilityCheck")
        )
        commands = _read_commands(body, self._world.clock.now())
        refused = {
            item["command"]: item["reason"]
            for item in _judge_eligibility(source.plant)
            if not item["supported"]
        }
        bad = next((item["command"] for item in commands if item["command"] in refused), None)
        if bad is not None and not skip:
            raise ApiError(400, f"Command {bad} is not supported: {refused[bad]}")
        if len(self._schedules) >= MAX_SCHEDULES:
            raise ApiError(409, "Too many schedules: delete some first")
        fallback = body.get("fallback")
        schedule = Schedule(
            str(uuid.uuid4()), source.plant.index, commands, fallback, _read_limits(commands, fallback)
        )
        self._schedules[schedule.schedule_id] = schedule
        self._apply(source)
        return build_json_answer(_describe_schedule(schedule, source.plant), 202)

    async def show(self, request: Request) -> Response:
        """The plant's schedules."""
        plant = self._find_controlled(request).plant
        mine = (item for item in self._schedules.values() if item.plant_index == plant.index)
        return build_json_answer({"schedules": [_describe_schedule(item, plant) for item in mine]})

    async def delete(self, request: Request) -> Response:
        """End a schedule at once, fallback included; what it has limited until now stays in the plant's power."""
        source = self._find_controlled(request)
        schedule = self._schedules.get(request.path_params["schedule_id"])
        if schedule is None or schedule.plant_index != source.plant.index:
            raise build_not_found()
        del self._schedules[schedule.schedule_id]
        now = self._world.clock.now()
        begun = [replace(limit, end=min(limit.end, now)) for limit in schedule.limits if limit.start < now]
        self._ended.setdefault(source.plant.index, []).extend(begun)
        self._apply(source)
        return Response(status_code=204)

    def _find_controlled(self, request: Request) -> SimulatedSource:
        found = find_resource(self._world, request)
        if not found.visible or not isinstance(found.source, SimulatedSource):
            raise build_not_found()
        return found.source

    def _apply(self, source: SimulatedSource) -> None:
        plant = source.plant.index
        mine = (item.limits for item in self._schedules.values() if item.plant_index == plant)
        source.limit(chain(self._ended.get(plant, ()), *mine))
        self._world.version += 1


def _judge_eligibility(plant: Plant) -> list[dict[str, Any]]:
    """FAQ: Classic WebConnect takes all commands; Home Manager and Data Manager take FeedInLimit only."""
    reasons = dict.fromkeys(COMMANDS, "")
    if not plant.classic and plant.index % 2:
        reasons = dict.fromkeys(
            COMMANDS, "The direct selling interface (SPOT) of the Data Manager is not active"
        )
    elif not plant.classic or plant.metered:
        reasons |= dict.fromkeys(COMMANDS[1:], "This plant takes FeedInLimit only")
    return [
        {"command": name, "supported": not reason, **({"reason": reason} if reason else {})}
        for name, reason in reasons.items()
    ]


def _read_commands(body: dict[str, Any], now: float) -> list[dict[str, Any]]:
    commands = body.get("commands")
    if not isinstance(commands, list) or not 1 <= len(commands) <= MAX_COMMANDS:
        raise ApiError(400, f"commands must be a list of 1 to {MAX_COMMANDS} commands")
    for command in commands:
        _check_value(command, "Each command")
        start = _start(command)
        duration = _read_number(command.get("duration"))
        if duration is None or not 0 < duration <= MAX_DURATION_S:
            raise ApiError(400, "duration must be seconds, more than 0 and at most a year")
        if start < now:
            raise ApiError(400, "startTime must not be in the past")
    return commands


def _check_value(command: object, what: str) -> None:
    if not isinstance(command, dict) or command.get("command") not in COMMANDS:
        raise ApiError(400, f"{what} must be an object with a command out of {', '.join(COMMANDS)}")
    value = _read_number(command.get("value"))
    if value is None or value < 0:
        raise ApiError(400, "value must be a number of watts, 0 or more")


def _start(command: dict[str, Any]) -> float:
    try:
        moment = datetime.fromisoformat(command.get("startTime") or "")
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, OverflowError) as error:
        raise ApiError(400, "startTime must be an ISO time such as 2025-06-01T10:00:00Z") from error


def _read_number(value: object) -> float | None:
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if good and isinstance(value, int | float) else None


def _read_limits(commands: list[dict[str, Any]], fallback: object) -> tuple[FeedInLimit, ...]:
    """The feed-in limits of a schedule; the fallback holds from the end of the last command on."""
    spans = [(_start(item), _start(item) + float(item["duration"]), item) for item in commands]
    limits = [
        FeedInLimit(start, end, float(item["value"]))
        for start, end, item in spans
        if item["command"] == FEED_IN_LIMIT
    ]
    if fallback is not None:
        _check_value(fallback, "fallback")
        if isinstance(fallback, dict) and fallback["command"] == FEED_IN_LIMIT:
            limits.append(FeedInLimit(max(end for _, end, _ in spans), math.inf, float(fallback["value"])))
    return tuple(limits)


def _describe_schedule(schedule: Schedule, plant: Plant) -> dict[str, object]:
    return {
        "scheduleId": schedule.schedule_id,
        "plantId": plant.plant_id,
        "status": "Accepted",
        "commands": schedule.commands,
        **({} if schedule.fallback is None else {"fallback": schedule.fallback}),
    }
