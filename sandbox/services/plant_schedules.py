"""Schedules of the GridControl API: how a body is read, which command holds when, and what supersedes what.

Unproven: every JSON body. Known from SMA's pages: a schedule belongs to a plant, each of its commands has a start and a
duration, a fallback command applies when the schedule ends, and new schedules overwrite older ones. States are those of
IEEE 2030.5, and `Completed` for what has ended by itself, for which the standard has no state.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sandbox.fleet.plant_model import Plant
from sandbox.http_answers import ApiError
from sandbox.series.held_limits import PowerLimit
from sandbox.services.command_kinds import COMMANDS, WHOLE, CommandKind, Unit, compute_limit_w

MAX_COMMANDS = 288
MAX_DURATION_S = 366 * 86400
MAX_NAME = 100


class State(StrEnum):
    """What has become of a command."""

    SCHEDULED = "Scheduled"
    ACTIVE = "Active"
    CANCELLED = "Cancelled"
    SUPERSEDED = "Superseded"
    COMPLETED = "Completed"


@dataclass(slots=True)
class Command:
    """A command as it was sent, from `start` to `end` (seconds since 1970) unless something ended it before."""

    sent: dict[str, Any]
    kind: CommandKind
    start: float
    end: float
    ended_at: float = math.inf
    ended_by: State = State.COMPLETED

    def stop(self, at: float, why: State) -> None:
        """End the command at a moment, if it would last longer; one that has not begun then never begins."""
        if at < min(self.end, self.ended_at):
            self.ended_at, self.ended_by = at, why

    def read_state(self, now: float) -> State:
        """The state at a moment."""
        if self.ended_at <= max(now, self.start):
            return self.ended_by
        if now >= self.end:
            return State.COMPLETED
        return State.ACTIVE if now >= self.start else State.SCHEDULED

    def describe(self, now: float) -> dict[str, Any]:
        """As it was sent, with its state."""
        return {**self.sent, "state": self.read_state(now)}


@dataclass(slots=True)
class Schedule:
    """A plant's commands and fallback."""

    schedule_id: str
    created_at: float
    commands: list[Command]
    fallback: Command | None = None
    requested_by: str | None = None

    def find_keys(self) -> dict[str, dict[str, Any]]:
        """The commands as they were sent that have a key of their sender (mRID), by it."""
        return {item.sent["mRID"]: item.sent for item in self.commands if "mRID" in item.sent}

    def list_parts(self) -> list[Command]:
        """The commands and the fallback, which is one too."""
        return self.commands if self.fallback is None else [*self.commands, self.fallback]

    def is_over(self, now: float) -> bool:
        """Whether nothing of it holds or will hold."""
        return all(item.read_state(now) not in (State.SCHEDULED, State.ACTIVE) for item in self.list_parts())

    def cancel(self, now: float) -> None:
        """End everything that has not ended."""
        for item in self.list_parts():
            if item.read_state(now) in (State.SCHEDULED, State.ACTIVE):
                item.stop(now, State.CANCELLED)

    def supersede(self, older: "Schedule", now: float) -> None:
        """End the same commands of an older schedule at the moment at which this one begins with them."""
        begins: dict[str, float] = {}
        for item in self.list_parts():
            name = item.kind.standard_name
            begins[name] = min(item.start, begins.get(name, math.inf))
        for item in older.list_parts():
            if item.kind.standard_name in begins:
                item.stop(max(begins[item.kind.standard_name], now), State.SUPERSEDED)

    def list_limits(self, rated_w: float) -> Iterator[PowerLimit]:
        """The limits that its commands mean for a plant, as long as they hold."""
        for item in self.list_parts():
            watts = compute_limit_w(item.kind, item.sent["value"], rated_w)
            end = min(item.end, item.ended_at)
            if watts is not None and end > item.start:
                yield PowerLimit(item.start, end, watts, item.kind.acts_on)

    def describe(self, plant: Plant, now: float) -> dict[str, Any]:
        """The schedule as the API answers it."""
        answer: dict[str, Any] = {
            "scheduleId": self.schedule_id,
            "plantId": plant.plant_id,
            "status": "Accepted",
            "createdAt": datetime.fromtimestamp(self.created_at, UTC).isoformat(timespec="seconds"),
            "commands": [item.describe(now) for item in self.commands],
        }
        if self.requested_by is not None:
            answer["requestedBy"] = self.requested_by
        if self.fallback is not None:
            answer["fallback"] = self.fallback.describe(now)
        return answer


def read_schedule(body: dict[str, Any], schedule_id: str, now: float) -> Schedule:
    """The schedule of a request's body; raises ApiError for everything that it can't be."""
    sent = body.get("commands")
    if not isinstance(sent, list) or not 1 <= len(sent) <= MAX_COMMANDS:
        raise ApiError(400, f"commands must be a list of 1 to {MAX_COMMANDS} commands")
    commands = [_read_command(item, now) for item in sent]
    asked_by = body.get("requestedBy")
    if asked_by is not None and not (isinstance(asked_by, str) and 0 < len(asked_by) <= MAX_NAME):
        raise ApiError(400, f"requestedBy must be a text of at most {MAX_NAME} characters")
    fallback = None
    if body.get("fallback") is not None:
        kind = _read_kind(body["fallback"], "fallback")
        fallback = Command(body["fallback"], kind, max(item.end for item in commands), math.inf)
    return Schedule(schedule_id, now, commands, fallback, asked_by)


def read_command_names(value: object) -> list[str]:
    """The names of commands, each once; none given means all. Raises ApiError for an unknown one."""
    if value is None:
        return list(COMMANDS)
    if not isinstance(value, list) or not value or not all(isinstance(name, str) for name in value):
        raise ApiError(400, "commands must be a list of names of commands")
    unknown = next((name for name in value if name not in COMMANDS), None)
    if unknown is not None:
        raise _refuse_name(unknown)
    return list(dict.fromkeys(value))


def _read_command(sent: object, now: float) -> Command:
    kind = _read_kind(sent, "Each command")
    assert isinstance(sent, dict)  # noqa: S101 - what _read_kind has checked
    key = sent.get("mRID")
    if key is not None and not (isinstance(key, str) and 0 < len(key) <= MAX_NAME):
        raise ApiError(400, f"mRID must be a text of at most {MAX_NAME} characters")
    start, duration = _read_start(sent.get("startTime")), _read_number(sent.get("duration"))
    if duration is None or not 0 < duration <= MAX_DURATION_S:
        raise ApiError(400, "duration must be seconds, more than 0 and at most a year")
    if start < now:
        raise ApiError(400, "startTime must not be in the past")
    return Command(sent, kind, start, start + duration)


def _read_kind(sent: object, what: str) -> CommandKind:
    name = sent.get("command") if isinstance(sent, dict) else None
    if not isinstance(sent, dict) or not isinstance(name, str):
        raise ApiError(400, f"{what} must be an object with the name of a command")
    if name not in COMMANDS:
        raise _refuse_name(name)
    kind = COMMANDS[name]
    value, number = sent.get("value"), _read_number(sent.get("value"))
    if kind.unit is Unit.SWITCH:
        if not isinstance(value, bool):
            raise ApiError(400, f"value of {name} must be true or false")
    elif number is None or number < 0:
        raise ApiError(400, f"value of {name} must be a number of {kind.unit}, 0 or more")
    elif kind.unit is Unit.HUNDREDTHS and number > WHOLE:
        raise ApiError(400, f"value of {name} must be a number of {kind.unit}, at most {WHOLE}")
    return kind


def _refuse_name(name: str) -> ApiError:
    return ApiError(400, f"Unknown command {name[:MAX_NAME]!r}: the commands are {', '.join(COMMANDS)}")


def _read_start(value: object) -> float:
    try:
        moment = datetime.fromisoformat(value if isinstance(value, str) else "")
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as error:
        raise ApiError(400, "startTime must be an ISO time such as 2025-06-01T10:00:00Z") from error


def _read_number(value: object) -> float | None:
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if good and isinstance(value, int | float) else None
