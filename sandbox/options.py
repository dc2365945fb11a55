"""Everything that can be chosen when the sandbox starts."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

LOOPBACK = "127.0.0.1"
DEFAULT_CLIENT_ID = "sandbox-custom"
DEFAULT_CLIENT_SECRET = "sandbox-custom-secret"  # noqa: S105 - a published default of a look-alike, no secret of anyone
DEFAULT_CODE_CLIENT_ID = "sandbox-code"
DEFAULT_CODE_CLIENT_SECRET = "sandbox-code-secret"  # noqa: S105 - as above
OWNER_PASSWORD = "sunshine"  # noqa: S105 - the password of every simulated owner


@dataclass(frozen=True, slots=True)
class TimeRules:
    """How this server tells the time, where SMA's own pages leave it open.

    `basis`: labels in UTC or in the plant's wall clock. `fold`: the repeated autumn hour as two rows of one label, or
    merged into one. `day_of`: with UTC labels, whether Day D is the plant's day or the UTC day. `week_of`: seven days
    from the date, or the date's week from Monday.
    """

    basis: Literal["utc", "plant_local"] = "plant_local"
    fold: Literal["twice", "merged"] = "twice"
    day_of: Literal["local", "utc"] = "local"
    week_of: Literal["date", "monday"] = "date"


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


RetryAfter = Literal["seconds", "date", "none"]


@dataclass(frozen=True, slots=True)
class Options:
    """The sandbox's settings; the defaults make a friendly server with twelve plants and no faults."""

    host: str = LOOPBACK
    port: int = 8400
    plants: int = 12
    seed: int = 7
    rules: TimeRules = field(default_factory=TimeRules)
    replays: tuple[Replay, ...] = ()
    recordings: bool = False
    client_id: str = DEFAULT_CLIENT_ID
    client_secret: str = field(default=DEFAULT_CLIENT_SECRET, repr=False)
    code_client_id: str = DEFAULT_CODE_CLIENT_ID
    code_client_secret: str = field(default=DEFAULT_CODE_CLIENT_SECRET, repr=False)
    owners_without_consent: int = 0
    consent_after_s: float | None = None
    requests_per_5_min: int | None = None
    retry_after: RetryAfter = "seconds"
    faults: tuple[str, ...] = ()
    hostile_names: bool = False
