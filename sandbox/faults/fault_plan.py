"""Which fault strikes which request: by share, plant, path, date and moment; seeded, and counted."""

import hashlib
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from sandbox.faults.catalogue import KINDS, Kind
from sandbox.random_streams import Topic, open_random_stream
from sandbox.sandbox_clock import SandboxClock

DATA_ROOTS = ("/monitoring/", "/live/", "/gridcontrol/")
MAX_FAULTS = 200
METHODS = ("GET", "POST", "PUT", "DELETE")
# What the query's Date says: a day, a month or a year.
DATE = re.compile(r"\d{4}(-\d{2}){0,2}")


class FaultError(ValueError):
    """A fault that cannot be: the message says why and what would do."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault and its aim. Empty aims match all data requests; `after` matching ones pass first, `times` are struck.

    `since` and `until` are moments on the sandbox's clock (seconds since 1970); `amount` means what the kind says.
    """

    kind: Kind
    share: float = 1.0
    plants: tuple[str, ...] = ()
    dates: tuple[str, ...] = ()
    path: str = ""
    method: str = ""
    after: int = 0
    times: float = math.inf
    since: float = -math.inf
    until: float = math.inf
    amount: float = 0.0

    def matches(self, call: "FaultCall", now: float) -> bool:
        """Whether the request is one that this fault aims at."""
        if not self.since <= now < self.until or (self.method and call.method != self.method):
            return False
        on_path = self.path in call.path if self.path else call.path.startswith(DATA_ROOTS)
        on_plant = not self.plants or self.kind.of_plants or call.plant_id in self.plants
        return on_path and on_plant and (not self.dates or call.date in self.dates)


@dataclass(frozen=True, slots=True)
class FaultCall:
    """What a fault can aim at: `plant_id` is the plant of a plant's or device's call, `date` the query's Date."""

    method: str
    path: str
    query: str
    plant_id: str
    date: str


@dataclass(slots=True)
class Counter:
    """How often a fault's aim was met, and how often it struck."""

    matched: int = 0
    struck: int = 0


class FirstReads:
    """Which questions were asked before: a bounded memory of their digests."""

    def __init__(self, limit: int = 100_000) -> None:
        """Remember the latest `limit` questions."""
        self._limit = limit
        self._seen: dict[bytes, None] = {}

    def is_first(self, question: str) -> bool:
        """True the first time that this question is asked."""
        digest = hashlib.blake2b(question.encode(), digest_size=12).digest()
        if digest in self._seen:
            return False
        self._seen[digest] = None
        if len(self._seen) > self._limit:
            del self._seen[next(iter(self._seen))]
        return True


@dataclass(slots=True)
class FaultPlan:
    """The faults that are switched on, in order, and what was read and spoiled since they were set."""

    seed: int
    clock: SandboxClock
    held: list[tuple[Fault, Counter]] = field(default_factory=list)
    reads: FirstReads = field(default_factory=FirstReads)
    spoiled: int = 0

    def replace(self, faults: Iterable[Fault]) -> None:
        """Switch on exactly these faults, with counters at zero: they play as they did the last time."""
        self.held = [(fault, Counter()) for fault in faults]
        self.reads, self.spoiled = FirstReads(), 0
        if len(self.held) > MAX_FAULTS:
            self.held = self.held[:MAX_FAULTS]
            raise FaultError(f"At most {MAX_FAULTS} faults can be held: the first {MAX_FAULTS} are.")

    def add(self, fault: Fault) -> None:
        """Switch on one more."""
        if len(self.held) >= MAX_FAULTS:
            raise FaultError(f"{MAX_FAULTS} faults are switched on, which is the most: remove some first.")
        self.held.append((fault, Counter()))

    def choose_faults(self, call: FaultCall) -> list[Fault]:
        """The faults that strike this request, counted."""
        now = self.clock.now()
        return [
            fault
            for number, (fault, counter) in enumerate(self.held)
            if self._decide_strike(number, fault, counter, call, now)
        ]

    def describe(self) -> list[dict[str, object]]:
        """The faults with their counters, as JSON can hold them."""
        return [
            {**_describe_fault(fault), "matched": counter.matched, "struck": counter.struck}
            for fault, counter in self.held
        ]

    def _decide_strike(
        self, number: int, fault: Fault, counter: Counter, call: FaultCall, now: float
    ) -> bool:
        if not fault.matches(call, now):
            return False
        counter.matched += 1
        if counter.matched <= fault.after or counter.struck >= fault.times:
            return False
        # Decided by the number of the matching request alone, so the same run meets the same faults again.
        if (
            fault.share < 1
            and open_random_stream(self.seed, Topic.FAULT, number, counter.matched).random() >= fault.share
        ):
            return False
        counter.struck += 1
        return True


def parse_fault(text: str) -> Fault:
    """A fault from the command line: `NAME[=SHARE][,setting=value…]`, lists with `+`.

    For example `status_503=0.05`, `spike=1,plants=5000000+5000022,times=3`, `stall,path=/devices/,amount=60`.
    """
    head, *rest = text.split(",")
    name, _, share = head.partition("=")
    settings: dict[str, Any] = {"kind": name.strip(), "share": share or 1.0}
    for item in rest:
        key, equals, value = item.partition("=")
        if not equals:
            raise FaultError(f"{item!r} in fault {text!r} has no value: write setting=value.")
        settings[key.strip()] = value.split("+") if key.strip() in ("plants", "dates") else value
    return make_fault(settings)


def make_fault(settings: Mapping[str, Any]) -> Fault:
    """A fault from named settings; raises FaultError with the cure for anything that does not fit."""
    kind = KINDS.get(str(settings.get("kind", "")))
    if kind is None:
        raise FaultError(
            f"The fault {str(settings.get('kind'))[:60]!r} does not exist: choose from {', '.join(KINDS)}."
        )
    unknown = set(settings) - {item for item in Fault.__dataclass_fields__ if item != "kind"} - {"kind"}
    if unknown:
        raise FaultError(f"A fault has no setting {min(unknown)[:60]!r}.")
    fault = Fault(
        kind=kind,
        share=_read_number(settings, "share", 1.0),
        plants=tuple(item.lower() for item in _read_texts(settings, "plants")),
        dates=_read_texts(settings, "dates"),
        path=_read_text(settings, "path"),
        method=_read_text(settings, "method").upper(),
        after=int(_count(settings, "after", 0, least=0)),
        times=_count(settings, "times", math.inf, least=1),
        since=_read_moment(settings, "since", -math.inf),
        until=_read_moment(settings, "until", math.inf),
        amount=_read_number(settings, "amount", kind.amount),
    )
    if fault.method and fault.method not in METHODS:
        raise FaultError(f"The method of {kind.name} must be one of {', '.join(METHODS)}.")
    if wrong := next((date for date in fault.dates if not DATE.fullmatch(date)), None):
        raise FaultError(
            f"{wrong[:60]!r} is not a date of {kind.name}: write it as the query's Date, such as 2025-06-01 or 2025-06."
        )
    if fault.since >= fault.until:
        raise FaultError(f"The fault {kind.name} ends before it begins: since must be earlier than until.")
    if not 0 <= fault.share <= 1:
        raise FaultError(f"The share of {kind.name} must lie between 0 and 1.")
    if fault.amount < 0 or fault.amount > 1e9:  # noqa: PLR2004 - nothing sensible is larger
        raise FaultError(f"The amount of {kind.name} must be from 0 to a thousand million.")
    return fault


def _read_number(settings: Mapping[str, Any], name: str, default: float) -> float:
    value = settings.get(name)
    if value is None:
        return default
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise FaultError(f"{name} of a fault must be a number, not {str(value)[:60]!r}.") from error
    if not math.isfinite(number):
        raise FaultError(f"{name} of a fault must be a finite number.")
    return number


def _count(settings: Mapping[str, Any], name: str, default: float, *, least: int) -> float:
    number = _read_number(settings, name, default)
    if number < least or (math.isfinite(number) and number != int(number)):
        raise FaultError(f"{name} of a fault must be a whole number, {least} or more.")
    return number


def _read_text(settings: Mapping[str, Any], name: str) -> str:
    value = settings.get(name, "")
    if not isinstance(value, str):
        raise FaultError(f"{name} of a fault must be a text.")
    return value


def _read_texts(settings: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = settings.get(name, ())
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise FaultError(f"{name} of a fault must be a list of texts.")
    if not all(value):
        raise FaultError(f"{name} of a fault has an empty text, which no request has: leave it out.")
    return tuple(value)


def _read_moment(settings: Mapping[str, Any], name: str, default: float) -> float:
    value = settings.get(name)
    if value is None:
        return default
    try:
        moment = datetime.fromisoformat(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, OverflowError) as error:
        raise FaultError(f"{name} of a fault must be an ISO time such as 2025-06-01T10:00:00Z.") from error


def _describe_fault(fault: Fault) -> dict[str, object]:
    values = {
        key: value
        for key, value in asdict(fault).items()
        if key != "kind" and value not in ("", ()) and not (isinstance(value, float) and math.isinf(value))
    }
    for key in ("since", "until"):
        if key in values:
            values[key] = datetime.fromtimestamp(values[key], UTC).isoformat()
    return {"kind": fault.kind.name, **values}
