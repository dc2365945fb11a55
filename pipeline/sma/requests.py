"""Requests to the Monitoring API and their results as plain values, without network access.

A `Request` knows its own path and query and can be compared, sorted and hashed. An `Answer` holds the body as
received; decoding it is somebody else's work.
"""

import datetime as dt
from dataclasses import dataclass
from typing import Literal, Self
from urllib.parse import quote, unquote, urlencode, urlsplit

from pipeline.common.errors import SmaError, UsageError

Endpoint = Literal[
    "plants",
    "devices",
    "sets",
    "measurements",
    "logs",
    "live",
    "live_configuration",
    "grid_schedules",
    "grid_eligibility",
    "grid_command",
    "grid_cancellation",
]

Period = Literal["Day", "Week", "Month", "Year"]

# SMA's have 36 characters at most. The client of HTTP takes no longer address than 65,536.
LONGEST_ID = 500
DAY: Period = "Day"
WEEK: Period = "Week"
MONTH: Period = "Month"
YEAR: Period = "Year"

_PLANT_LIST_PARAMS = (("WithStatus", "true"), ("WithInstallation", "true"), ("WithLocation", "true"))
_DEVICE_LIST_PARAMS = (("WithDeactivatedDevices", "true"),)


@dataclass(frozen=True, slots=True, order=True)
class Request:
    """One GET of the Monitoring API. Build it with the constructors below; unused parts stay empty strings.

    `period` is the API's word (`Day`, `Month`, ...), `date` its `Date` parameter (`YYYY-MM-DD` for a day or week,
    `YYYY-MM` for a month, `YYYY` for a year) or, for logs, the day or the days from and to (`YYYY-MM-DD/YYYY-MM-DD`).
    An empty `device_id` means the plant itself. `energies` asks for Wh of each interval in place of mean power.
    `credential` names the one of several whose list of plants is asked for; all else is asked by the plant's.
    """

    endpoint: Endpoint
    plant_id: str = ""
    device_id: str = ""
    set_type: str = ""
    period: str = ""
    date: str = ""
    energies: bool = False
    credential: str = ""

    @classmethod
    def plants(cls, credential: str = "") -> Self:
        """All plants the credential may see, with status, installation and location."""
        return cls("plants", credential=credential)

    @classmethod
    def devices(cls, plant_id: str) -> Self:
        """The plant's devices, including deactivated ones (lean form: no plant, no time zone)."""
        return cls("devices", plant_id)

    @classmethod
    def plant_sets(cls, plant_id: str) -> Self:
        """Which measurement sets the plant itself has."""
        return cls("sets", plant_id)

    @classmethod
    def device_sets(cls, plant_id: str, device_id: str) -> Self:
        """Which measurement sets a device has."""
        return cls("sets", plant_id, device_id)

    @classmethod
    def measured(
        cls,
        plant_id: str,
        device_id: str,
        set_type: str,
        period: Period,
        day: dt.date | str,
    ) -> Self:
        """A set of a plant (empty `device_id`) or device in the highest resolution, for a day or for seven.

        Whether a week begins with its date or is that date's calendar week is not known: ask with a Monday.
        """
        return cls("measurements", plant_id, device_id, set_type, period, _format_day(day))

    @classmethod
    def plant_month(cls, plant_id: str, set_type: str, month: dt.date) -> Self:
        """SMA's own energies of a plant-level set, a row for each day of the month: Wh."""
        return cls("measurements", plant_id, "", set_type, MONTH, f"{month:%Y-%m}")

    @classmethod
    def plant_year(cls, plant_id: str, set_type: str, year: dt.date) -> Self:
        """SMA's own energies of a plant-level set, a row for each month of the year: Wh."""
        return cls("measurements", plant_id, "", set_type, YEAR, f"{year:%Y}")

    @classmethod
    def logs(
        cls, plant_id: str, first: dt.date | str, last: dt.date | str | None = None, *, device_id: str = ""
    ) -> Self:
        """The log entries of a plant, or of a device of it, of one day or of the days from `first` to `last`."""
        begin, end = _format_day(first), _format_day(first if last is None else last)
        return cls("logs", plant_id, device_id, "", "", begin if begin == end else f"{begin}/{end}")

    @property
    def owner_id(self) -> str:
        """Whose answer it is beside the plant: a device's, or a credential's where each has a list; or empty."""
        return self.device_id or self.credential

    @property
    def path(self) -> str:
        """The path after the Monitoring base, ids percent-encoded: `/v1/plants/13/devices/lean`.

        Raises UsageError for an id that cannot be one segment of a path.
        """
        if self.endpoint == "plants":
            return "/v1/plants"
        plant = f"/v1/plants/{quote_segment('plant', self.plant_id)}"
        if self.endpoint == "devices":
            return f"{plant}/devices/lean"
        owner = f"/v1/devices/{quote_segment('device', self.device_id)}" if self.device_id else plant
        if self.endpoint == "logs":
            return f"{owner}/logs"
        if self.endpoint == "sets":
            return f"{owner}/measurements/sets"
        named, period = quote_segment("set", self.set_type), quote_segment("period", self.period)
        return f"{owner}/measurements/sets/{named}/{period}"

    @property
    def params(self) -> tuple[tuple[str, str], ...]:
        """The query, in the order it is sent."""
        if self.endpoint == "plants":
            return _PLANT_LIST_PARAMS
        if self.endpoint == "devices":
            return _DEVICE_LIST_PARAMS
        if self.endpoint == "logs":
            first, _, last = self.date.partition("/")
            return (("From", first), ("To", last or first))
        date = (("Date", self.date),) if self.date else ()
        return (*date, ("ReturnEnergyValues", "true")) if self.energies else date

    @property
    def target(self) -> str:
        """Path and query without the host, as it is sent and stored."""
        query = urlencode(self.params)
        return f"{self.path}?{query}" if query else self.path


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer as received.

    `target` is the path and query that answered (after a redirect: the new one), `fetched_at` the UTC time at
    which the body was complete, `elapsed_ms` the time from the first try to then, waits included, `attempts`
    the number of tries.
    """

    request: Request
    target: str
    status: int
    fetched_at: dt.datetime
    elapsed_ms: float
    attempts: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Failure:
    """A request without a usable answer, with the reason. `attempts` is 0 if it was never sent."""

    request: Request
    error: SmaError
    attempts: int


def find_plant(target: str) -> str | None:
    """The plant in a path and query below the Monitoring base; None where it names none."""
    parts = urlsplit(target).path.split("/")
    return unquote(parts[3]) if parts[:3] == ["", "v1", "plants"] and len(parts) > 3 else None  # noqa: PLR2004


def quote_segment(kind: str, value: str) -> str:
    """Quote a vendor's id as one path segment. Empty and dot segments would address something else."""
    if value in {"", ".", ".."} or len(value) > LONGEST_ID:
        shown = repr(value) if len(value) <= LONGEST_ID else f"A text of {len(value):,} characters"
        raise UsageError(
            f"{shown} can't be a {kind} in a path of SMA's API: check the list that it comes from."
        )
    return quote(value, safe="")


def _format_day(day: dt.date | str) -> str:
    """`YYYY-MM-DD` of a date or of text in that form. Raises UsageError."""
    if isinstance(day, dt.datetime):
        raise UsageError(f"{day.isoformat()} is a moment and not a calendar day: pass its local date.")
    if isinstance(day, dt.date):
        return day.isoformat()
    try:
        parsed = dt.date.fromisoformat(day)
    except ValueError:
        parsed = None
    if parsed is None or parsed.isoformat() != day:
        raise UsageError(f"{day!r} is not a day: write it as YYYY-MM-DD.")
    return day
