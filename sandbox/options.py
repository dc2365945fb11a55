"""Everything that can be chosen when the sandbox starts."""

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

LOOPBACK = "127.0.0.1"
# A name as the Host header has it, without a port.
HOST_NAME = re.compile(r"[0-9A-Za-z._-]{1,253}")
DEFAULT_CLIENT_ID = "sandbox-custom"
DEFAULT_CLIENT_SECRET = "sandbox-custom-secret"  # noqa: S105 - a published default of a look-alike, no secret of anyone
DEFAULT_CODE_CLIENT_ID = "sandbox-code"
DEFAULT_CODE_CLIENT_SECRET = "sandbox-code-secret"  # noqa: S105 - as above
OWNER_PASSWORD = "sunshine"  # noqa: S105 - the password of every simulated owner

Basis: TypeAlias = Literal["utc", "plant_local"]
Fold: TypeAlias = Literal["twice", "merged"]
DayOf: TypeAlias = Literal["local", "utc"]
WeekOf: TypeAlias = Literal["date", "monday"]
RetryAfter: TypeAlias = Literal["seconds", "date", "none"]


class OptionError(ValueError):
    """Options that cannot be, or not together: the message says why and what would do."""


@dataclass(frozen=True, slots=True)
class TimeRules:
    """How this server tells the time, where SMA's own pages leave it open.

    `basis`: labels in UTC or in the plant's wall clock. `fold`: the repeated autumn hour as two rows of one label, or
    merged into one. `day_of`: with UTC labels, whether Day D is the plant's day or the UTC day. `week_of`: seven days
    from the date, or the date's week from Monday.
    """

    basis: Basis = "plant_local"
    fold: Fold = "twice"
    day_of: DayOf = "local"
    week_of: WeekOf = "date"

    def __post_init__(self) -> None:
        """Raise OptionError for rules that contradict each other."""
        if self.day_of == "utc" and self.basis != "utc":
            raise OptionError("--day-of utc needs times in UTC: add --time-basis utc.")


@dataclass(frozen=True, slots=True)
class Replay:
    """A recording to serve as a plant."""

    path: Path
    timezone: str = "UTC"
    rated_kw: float = 5.0
    name: str | None = None
    plant_id: str | None = None
    latitude: float = 0.0
    longitude: float = 0.0
    country: str = ""

    def __post_init__(self) -> None:
        """Raise OptionError for an empty text, which is no name and no id."""
        for option, value in (("--name", self.name), ("--plant-id", self.plant_id)):
            if value == "":
                raise OptionError(f"{option} is empty: give a text, or leave the option out.")


@dataclass(frozen=True, slots=True)
class Options:
    """The sandbox's settings; the defaults make a friendly server with twelve plants and no faults."""

    host: str = LOOPBACK
    allowed_hosts: tuple[str, ...] = ()
    port: int = 8400
    plants: int = 12
    seed: int = 7
    rules: TimeRules = field(default_factory=TimeRules)
    replays: tuple[Replay, ...] = ()
    recordings: bool = False
    client_id: str = DEFAULT_CLIENT_ID
    client_secret: str = field(default=DEFAULT_CLIENT_SECRET, repr=False)
    more_clients: int = 0
    code_client_id: str = DEFAULT_CODE_CLIENT_ID
    code_client_secret: str = field(default=DEFAULT_CODE_CLIENT_SECRET, repr=False)
    owners_without_consent: int = 0
    consent_after_s: float | None = None
    requests_per_5_min: int | None = None
    retry_after: RetryAfter = "seconds"
    faults: tuple[str, ...] = ()
    hostile_names: bool = False

    def __post_init__(self) -> None:
        """Raise OptionError for credentials that no client can use, names of no host, and a wait without an end."""
        for option, value in (
            ("--client-id", self.client_id),
            ("--client-secret", self.client_secret),
            ("--code-client-id", self.code_client_id),
            ("--code-client-secret", self.code_client_secret),
        ):
            if not value:
                raise OptionError(f"{option} is empty: give a text, or leave the option out.")
        if self.code_client_id in self.custom_client_ids:
            raise OptionError(
                f"{self.code_client_id!r} is a client of --client-id or --more-clients and of --code-client-id: a "
                "client belongs to one flow, so give them different names."
            )
        for name in self.allowed_hosts:
            if not HOST_NAME.fullmatch(name):
                raise OptionError(
                    f"--allow-host {name[:100]!r} is not the name of a host: give a name without a scheme and a port, "
                    "such as sandbox.example.org."
                )
        if self.consent_after_s is not None and not 0 <= self.consent_after_s < math.inf:
            raise OptionError(
                f"--consent-after {self.consent_after_s} is not a time: give a number of seconds, 0 or more."
            )

    @property
    def custom_client_ids(self) -> tuple[str, ...]:
        """The clients of the custom flow, which all have one secret: NAME, NAME-2, NAME-3 ..."""
        return (self.client_id, *(f"{self.client_id}-{n}" for n in range(2, self.more_clients + 2)))
