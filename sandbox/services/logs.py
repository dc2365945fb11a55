"""Logs of plants and devices: a few plausible events, drawn for each plant and day."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.days import find_day_bounds, list_dates, load_zone
from sandbox.fleet.plant_model import Plant, Role
from sandbox.http_answers import build_bad_value, build_json_answer, parse_date, read_query
from sandbox.random_streams import Topic, open_day_stream
from sandbox.services.describe import describe_plant_briefly
from sandbox.services.lookup import find_resource
from sandbox.world import World

_BASE = "/monitoring/v1"
MAX_DAYS = 366
LEVELS = ("Info", "Warning", "Error")


class _Event(NamedTuple):
    """What may happen, and between which hours of the day: an inverter that sleeps has no faults."""

    event_id: int
    tag: int
    level: str
    message: str
    hours: tuple[int, int]


_EVENTS = (
    _Event(10110, 401, "Info", "Time was synchronised", (0, 23)),
    _Event(10248, 501, "Info", "Firmware update: no new version found", (1, 4)),
    _Event(103, 301, "Warning", "Grid fault: mains voltage outside the permitted range", (10, 15)),
    _Event(7701, 620, "Warning", "Fan speed is low", (11, 16)),
    _Event(3501, 700, "Error", "Insulation fault: check the generator for earth faults", (9, 12)),
    _Event(10340, 410, "Error", "Communication disturbed", (0, 23)),
)

_EVENTS_A_DAY = 0.35


class LogService:
    """`…/logs` of plants and devices."""

    def __init__(self, world: World) -> None:
        """Serve the logs of `world`."""
        self._world = world

    def routes(self) -> list[Route]:
        """The service's routes."""
        return [
            Route(f"{_BASE}/plants/{{plant_id}}/logs", self.list_entries),
            Route(f"{_BASE}/devices/{{device_id}}/logs", self.list_entries),
        ]

    async def list_entries(self, request: Request) -> Response:
        """Events of the local days `From` to `To`, both included."""
        found = find_resource(self._world, request)
        values = read_query(request)
        first, last = _read_day(values, "From"), _read_day(values, "To")
        if last < first:
            raise build_bad_value("To", "To must not be before From.")
        if (last - first).days >= MAX_DAYS:
            raise build_bad_value("To", f"At most {MAX_DAYS} days can be asked for at once.")
        level = _read_level(values.get("level"))
        entries: list[dict[str, object]] = []
        if found.visible and found.source.plant.index >= 0:
            entries = [
                entry
                for entry in self._list_entries(found.source.plant, first, last)
                if (found.device is None or entry["deviceId"] == found.device.device_id)
                and (level is None or entry["level"] == level)
            ]
        return build_json_answer({"plant": describe_plant_briefly(found.source.plant), "logs": entries})

    def _list_entries(self, plant: Plant, first: date, last: date) -> Iterator[dict[str, object]]:
        now = self._world.clock.now() - plant.delay_s
        for day in list_dates(first, last):
            start, end = find_day_bounds(day, plant.zone)
            if start < plant.started_at.timestamp() or start > now:
                continue
            rng = open_day_stream(self._world.options.seed, Topic.LOGS, plant.index, day)
            count = int(rng.poisson(_EVENTS_A_DAY))
            happened: list[tuple[int, int, int]] = []
            for pick, counter in zip(
                rng.integers(len(_EVENTS), size=count), rng.integers(1, 4, count), strict=True
            ):
                first_hour, last_hour = _EVENTS[pick].hours
                moment = start + int(rng.integers(first_hour * 3600, min(last_hour * 3600, end - start)))
                happened.append((moment, int(pick), int(counter)))
            for moment, pick, counter in sorted(happened):
                if moment <= now:
                    yield self._build_entry(plant, moment, _EVENTS[pick], counter)

    def _build_entry(self, plant: Plant, moment: int, event: _Event, counter: int) -> dict[str, object]:
        """One event. Classic plants have no event id: the key is left out."""
        inverter = next(
            device
            for device in plant.with_role(Role.INVERTER)
            if device.deactivated_at is None or moment < device.deactivated_at
        )
        zone = UTC if self._world.options.rules.basis == "utc" else load_zone(plant.zone)
        entry: dict[str, object] = {} if plant.classic else {"logId": event.event_id}
        entry |= {
            "timestamp": datetime.fromtimestamp(moment, zone).strftime("%Y-%m-%dT%H:%M:%S"),
            "messageTagId": event.tag,
            "message": event.message,
            "level": event.level,
            "occurrence": "Solved" if event.level != "Info" else "Ongoing",
            "counter": counter,
            "deviceId": inverter.device_id,
            "plantId": plant.plant_id,
        }
        if inverter.section is not None:
            entry["subPlantId"] = plant.section_id(inverter.section)
        return entry


def _read_day(values: dict[str, str], name: str) -> date:
    text = values.get(name.lower())
    if text is None:
        raise build_bad_value(name, f"The {name} field is required.")
    day = parse_date(text, name)
    if not 2000 <= day.year <= 2099:  # noqa: PLR2004 - no plant has logs beyond this
        raise build_bad_value(name, f"The value '{text}' is not valid for {name}.")
    return day


def _read_level(text: str | None) -> str | None:
    if text is None:
        return None
    named = {level.lower(): level for level in LEVELS}.get(text.lower())
    if named is None:
        raise build_bad_value("Level", f"The value '{text[:100]}' is not valid for Level.")
    return named
