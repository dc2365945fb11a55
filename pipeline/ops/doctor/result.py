"""What a check found: a name, how bad it is, and a sentence that holds the cure."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How a check ended. Only FAIL makes the whole fail; SKIP was not tried, since something before it failed."""

    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"
    SKIP = "-"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's."""

    check: str
    level: Level
    text: str


def pass_check(check: str, text: str) -> Finding:
    """Nothing to do."""
    return Finding(check, Level.OK, text)


def warn(check: str, text: str) -> Finding:
    """A run goes on with it, but somebody should look."""
    return Finding(check, Level.WARN, text)


def fail(check: str, text: str) -> Finding:
    """A run would fail, or its figures would be wrong."""
    return Finding(check, Level.FAIL, text)


def skip(check: str, text: str) -> Finding:
    """Not tried."""
    return Finding(check, Level.SKIP, text)
