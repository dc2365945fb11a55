"""The commands of the GridControl API: their names, units and values, and which plant or device takes which.

Unproven: every name but `FeedInLimit`, the units, and the wording of the reasons. Known: each command corresponds to
one of SEP 2.0 (IEEE 2030.5), and the vendor's list of the systems that take them. A name that is neither SMA's nor the
standard's is refused.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sandbox.fleet.plant_model import Device, Plant, Role
from sandbox.series.held_limits import ActsOn


class Unit(StrEnum):
    """What a command's value is."""

    WATTS = "W"
    HUNDREDTHS = "hundredths of a percent"
    SWITCH = "true or false"


@dataclass(frozen=True, slots=True)
class CommandKind:
    """A command: its name in the standard, what its value is, and where it acts."""

    standard_name: str
    unit: Unit
    acts_on: ActsOn


FEED_IN_LIMIT = "FeedInLimit"
_EXPORT = CommandKind("opModExpLimW", Unit.WATTS, ActsOn.FEED_IN)
# By the name in a request: SMA's own, and those of the standard that a PV plant can follow.
COMMANDS = {
    FEED_IN_LIMIT: _EXPORT,
    _EXPORT.standard_name: _EXPORT,
    **{
        kind.standard_name: kind
        for kind in (
            CommandKind("opModGenLimW", Unit.WATTS, ActsOn.GENERATION),
            CommandKind("opModMaxLimW", Unit.HUNDREDTHS, ActsOn.GENERATION),
            CommandKind("opModConnect", Unit.SWITCH, ActsOn.GENERATION),
            CommandKind("opModEnergize", Unit.SWITCH, ActsOn.GENERATION),
        )
    },
}

# All of the rated power, in hundredths of a percent.
WHOLE = 10_000

_STEERED = (Role.INVERTER, Role.GATEWAY, Role.METER, Role.PLANT)


def compute_limit_w(kind: CommandKind, value: float, rated_w: float) -> float | None:
    """The most that the plant may give in W while the command holds; None where it limits nothing."""
    if kind.unit is Unit.SWITCH:
        return None if value else 0.0
    return value / WHOLE * rated_w if kind.unit is Unit.HUNDREDTHS else value


def judge_commands(plant: Plant, device: Device | None, names: Iterable[str]) -> list[dict[str, Any]]:
    """Of each command whether the plant (or device) takes it, or the reason why not."""
    obstacle = "" if device is None else _find_device_obstacle(device)
    judged = [(name, obstacle or _find_plant_obstacle(plant, COMMANDS[name])) for name in names]
    return [
        {"command": name, "supported": not reason, **({"reason": reason} if reason else {})}
        for name, reason in judged
    ]


def _find_device_obstacle(device: Device) -> str:
    if device.role not in _STEERED:
        return f"A device of the type {device.type} takes no command"
    return "" if device.deactivated_at is None else "This device is not active"


def _find_plant_obstacle(plant: Plant, kind: CommandKind) -> str:
    """Why the command is not taken; empty where it is.

    Classic WebConnect plants without self-consumption take all commands, Classic plants with a Home Manager and ennexOS
    plants whose Data Manager has the direct selling interface active take the limit of feed-in.
    """
    if plant.index < 0:
        return "This plant is a recording: nothing follows a command"
    if plant.classic and not plant.metered:
        return ""
    if plant.classic and plant.index % 4 == 2:  # noqa: PLR2004 - one Classic plant in four
        return "This Classic plant has self-consumption and no Home Manager"
    if not plant.classic and plant.index % 2:
        return "The direct selling interface (SPOT) of the Data Manager is not active"
    return "" if kind is _EXPORT else "This plant takes FeedInLimit only"
