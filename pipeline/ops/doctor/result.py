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
class Diagnosis:
    """One line of the doctor's."""

    check: str
    level: Level
    text: str


def pass_check(check: str, text: str) -> Diagnosis:
    """Nothing to do."""
    return Diagnosis(check, Level.OK, text)


def warn(check: str, text: str) -> Diagnosis:
    """A run goes on with it, but somebody should look."""
    return Diagnosis(check, Level.WARN, text)


def fail(check: str, text: str) -> Diagnosis:
    """A run would fail, or its figures would be wrong."""
    return Diagnosis(check, Level.FAIL, text)


def skip(check: str, text: str) -> Diagnosis:
    """Not tried."""
    return Diagnosis(check, Level.SKIP, text)
