"""Calls of the Live API: a quota a month by the booked plan, and turns that the processes of this home share.

Every call is counted in `$SUNLEDGER_HOME/live/calls.json` before it is sent, so a kill loses none of them. Calls of
homes that share the lake are in the table api_requests, from which a session's start takes those that are missing here.
"""

import datetime as dt
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import polars as pl

from pipeline.billing.prices import PriceList, load_prices
from pipeline.billing.units import OF_LIVE
from pipeline.common.calendar_months import find_next_month
from pipeline.common.errors import ConfigurationError, SunledgerError
from pipeline.common.files.atomic_files import write_file
from pipeline.common.files.lock_waits import LockWait, hold_awaited_lock
from pipeline.common.local_time import ONE_DAY
from pipeline.common.text import pluralize
from pipeline.run.context import RunContext
from pipeline.sma.budget.file_store import Moment
from pipeline.sma.unproven_live import PAUSE_S, SECONDS_BETWEEN_CALLS, SESSION_S
from schemas import ApiRequests

LIVE_FOLDER = "live"
LOCK_PATIENCE_S = 60.0
_PRIVATE = 0o600


@dataclass(frozen=True, slots=True)
class LivePlan:
    """The booked plan in one month: `quota` calls for `eur`; `used` were made. `next_month` is its end (UTC)."""

    month: dt.date
    next_month: dt.datetime
    quota: int
    eur: Decimal
    currency: str
    source: str
    used: int

    @property
    def left(self) -> int:
        """Calls that may still be made in the month."""
        return max(0, self.quota - self.used)

    def forecast(self, now: dt.datetime) -> int:
        """Calls by the month's end at the pace of the month so far, of which at least a day is counted."""
        begin = dt.datetime.combine(self.month, dt.time(), self.next_month.tzinfo)
        elapsed = max(now - begin, ONE_DAY)
        return max(self.used, round(self.used * ((self.next_month - begin) / elapsed)))

    def describe(self, plants: int, now: dt.datetime) -> str:
        """What a session of so many plants takes out of the plan, and how the month will end."""
        used, ends = f"{self.used:,}", f"{self.forecast(now):,}"
        text = (
            f"A session of {pluralize(plants, 'plant')} makes up to {count_session_calls(plants):,} calls in "
            f"{SESSION_S / 60:.0f} minutes. The Live plan of {self.quota:,} calls costs {self.eur} {self.currency} a "
            f"month ({self.source}); {used} of them are used in {self.month:%Y-%m}, and {ends} will be at this pace."
        )
        if self.left < count_session_calls(plants):
            return f"{text} Only {self.left:,} are left, so the session ends when they are used up."
        if self.forecast(now) > self.quota:
            return f"{text} That is more than the plan allows: make fewer calls, or book a larger plan."
        return text

    def describe_exhaustion(self) -> str:
        """Why no more calls are made, and when they are again."""
        return (
            f"All {self.quota:,} calls of the Live plan for {self.month:%Y-%m} are used up. The next month begins on "
            f"{self.next_month:%Y-%m-%d %H:%M} UTC: wait until then, or book a larger plan and name it as live_plan in "
            "the price list."
        )


@dataclass(frozen=True, slots=True)
class LiveTurns:
    """Which plants may be called now, and which not: seconds to wait, `over` with their session, or no calls left."""

    admitted: tuple[str, ...] = ()
    waits: dict[str, float] = field(default_factory=dict)
    over: tuple[str, ...] = ()
    exhausted: tuple[str, ...] = ()


def count_session_calls(plants: int) -> int:
    """The most calls that a session makes: one for eligibility, then one in ten seconds, of each plant."""
    return plants * (1 + int(SESSION_S // SECONDS_BETWEEN_CALLS))


class LiveBook:
    """Calls by month and the last call of each plant, in a file that the processes of a home share."""

    def __init__(self, home: Path, moment: Callable[[], Moment], tell: Callable[[str], None]) -> None:
        self._file = home / LIVE_FOLDER / "calls.json"
        self._moment = moment
        self._tell = tell

    def raise_count(self, month: dt.date, count: int) -> int:
        """Count at least so many calls in the month. Returns how many are counted then."""
        with self._open() as content:
            months = content["months"]
            months[f"{month:%Y-%m}"] = found = max(count, months.get(f"{month:%Y-%m}", 0))
            return int(found)

    def has_agreed(self, plan: LivePlan) -> bool:
        """Whether somebody accepted the price of this plan in its month."""
        with self._open() as content:
            return bool(content["agreed"].get(f"{plan.month:%Y-%m}") == plan.quota)

    def agree(self, plan: LivePlan) -> None:
        """Keep that somebody accepted it."""
        with self._open() as content:
            content["agreed"][f"{plan.month:%Y-%m}"] = plan.quota

    def reserve_calls(self, plan: LivePlan, plants: Collection[str], own_since: Moment) -> LiveTurns:
        """Count a call of each plant whose turn it is. `own_since` is when the session of this process began.

        A plant whose session was ended by its length waits until it has been left alone; one whose session another
        process began ends with it.
        """
        now, month = self._moment(), f"{plan.month:%Y-%m}"
        admitted, over, exhausted = [], [], []
        waits: dict[str, float] = {}
        with self._open() as content:
            counts, entries = content["months"], content["plants"]
            for plant in plants:
                entry = entries.get(plant)
                idle = _measure_idle(entry, now) if entry else PAUSE_S
                in_session = idle < PAUSE_S
                ended = in_session and now.measure_since(_load(entry["began"])) >= SESSION_S
                needed = PAUSE_S if ended else SECONDS_BETWEEN_CALLS
                if counts.get(month, 0) >= plan.quota:
                    exhausted.append(plant)
                elif ended and _load(entry["last"]).measure_since(own_since) > 0:
                    over.append(plant)
                elif idle < needed:
                    waits[plant] = needed - idle
                else:
                    began = entry["began"] if in_session else _dump(now)
                    entries[plant] = {"last": _dump(now), "began": began, "pending": True}
                    counts[month] = counts.get(month, 0) + 1
                    admitted.append(plant)
        return LiveTurns(tuple(admitted), waits, tuple(over), tuple(exhausted))

    def note_answers(self, plants: Collection[str]) -> None:
        """Begin the ten seconds of these plants again: a call that was slow may have reached SMA only now."""
        now = _dump(self._moment())
        with self._open() as content:
            for plant in plants:
                content["plants"][plant] |= {"last": now, "pending": False}

    @contextmanager
    def _open(self) -> Iterator[dict[str, Any]]:
        """The content, alone; what the block makes of it is written at its end. Raises SunledgerError."""
        wait = LockWait(
            self._file.with_suffix(".lock"), "A live call waits for the count", LOCK_PATIENCE_S, self._tell
        )
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with hold_awaited_lock(wait, _PRIVATE):
                before = self._file.read_bytes() if self._file.exists() else b""
                content = self._parse(before)
                yield content
                after = orjson.dumps(content)
                if after != before:
                    write_file(self._file, after, _PRIVATE)
        except OSError as fault:
            raise SunledgerError(
                f"The count of live calls in {self._file} can't be stored ({fault.strerror}), and no call is made "
                "without it: make the folder writable, free some space, or set SUNLEDGER_HOME to another one."
            ) from fault

    def _parse(self, text: bytes) -> dict[str, Any]:
        try:
            content = orjson.loads(text or b"{}")
            months = {str(k): int(v) for k, v in content.get("months", {}).items()}
            agreed = {str(k): int(v) for k, v in content.get("agreed", {}).items()}
            plants = content.get("plants", {})
            for entry in plants.values():
                _load(entry["last"]), _load(entry["began"]), entry["pending"]
        except (ValueError, TypeError, KeyError, AttributeError):
            raise SunledgerError(
                f"{self._file} does not hold the count of live calls: delete it. The calls of the month are then "
                "counted by the table api_requests."
            ) from None
        return {"months": months, "agreed": agreed, "plants": plants}


def read_live_plan(runtime: RunContext, book: LiveBook) -> LivePlan:
    """The plan of the current month with the calls that were made.

    Raises ConfigurationError where the Live API is switched off, or the price list names no plan.
    """
    if runtime.settings.live != "on":
        raise ConfigurationError(
            "SUNLEDGER_LIVE is off, so no call of the Live API is made. Its requests and answers were never compared "
            "with the real service: read docs/live.md, then set SUNLEDGER_LIVE=on. For constant monitoring use "
            "'sunledger backfill'."
        )
    prices = load_prices(runtime.settings.prices)
    month = prices.invoicing.find_month(runtime.now())
    price = prices.require_price(month)
    if price.live_plan is None:
        plans = ", ".join(f"{calls} for {amount}" for calls, amount in sorted(price.live.items()))
        raise ConfigurationError(
            f"The price list names no booked Live plan for {month:%Y-%m}, so no call is made: book a plan with SMA, "
            f"and name it as live_plan in the file of SUNLEDGER_PRICES (calls and {price.currency} a month: "
            f"{plans or 'none are listed'})."
        )
    runtime.store_requests()
    used = book.raise_count(month, count_live_calls(runtime, prices, month))
    zone = ZoneInfo(prices.invoicing.month_timezone)
    following = find_next_month(month)
    begins = dt.datetime.combine(following, dt.time(), zone).astimezone(dt.UTC)
    return LivePlan(month, begins, price.live_plan, price.live_eur, price.currency, price.source, used)


def count_live_calls(runtime: RunContext, prices: PriceList, month: dt.date) -> int:
    """Calls of the month that are stored, whatever SMA answered."""
    zone = ZoneInfo(prices.invoicing.month_timezone)
    begin = dt.datetime.combine(month, dt.time(), zone)
    stored = runtime.lake.scan(ApiRequests).filter(
        pl.col("asked_date") >= month - ONE_DAY, OF_LIVE, pl.col("asked_at") >= begin.astimezone(dt.UTC)
    )
    return int(stored.select(pl.len()).collect().item())


def _measure_idle(entry: dict[str, Any], now: Moment) -> float:
    """Seconds for which the plant of the entry was left alone.

    A call that has no answer yet may reach SMA only now: within a minute, after which that of a killed process is one
    of the past, the least time is counted that this leaves.
    """
    idle = now.measure_since(_load(entry["last"]))
    if entry["pending"] and idle < PAUSE_S:
        return max(0.0, idle - (PAUSE_S - SECONDS_BETWEEN_CALLS))
    return idle


def _dump(moment: Moment) -> list[str | float]:
    return [moment.boot.hex(), moment.monotonic, moment.wall]


def _load(stored: Any) -> Moment:
    boot, monotonic, wall = stored
    return Moment(bytes.fromhex(boot), float(monotonic), float(wall))
