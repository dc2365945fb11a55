"""Which days are due at a moment: pure decisions on days, zones, backends and what is stored. Starts nothing.

A day is a label that plants of all zones share, but it begins, ends and closes for each plant by its own clock. A day
is closed when its last plant's midnight is past by the delay of that plant's backend: from then on SMA has all of it.
"""

import datetime as dt
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import polars as pl

from pipeline.common.errors import UsageError
from pipeline.common.local_time import ONE_DAY, find_local_day

# How long after its end a day may still grow: Classic portals process for up to two hours, less for plants with the
# Professional package; ennexOS answers with all that was uploaded, every five minutes.
DELAY: Mapping[str, dt.timedelta] = {"classic": dt.timedelta(hours=2), "ennexos": dt.timedelta(minutes=10)}
PROFESSIONAL_DELAY = dt.timedelta(minutes=15)
HOUR = dt.timedelta(hours=1)
# The first zone in which a day begins, and the last one in which it ends.
FIRST_ZONE, LAST_ZONE = "Pacific/Kiritimati", "Etc/GMT+12"
# After a longer pause a person should say which days are wanted, since they cost money.
LONGEST_PAUSE_DAYS = 31
# How long a day that is not complete waits for each further try. After the last one it is left to the daily window and
# to people.
WAITS = (HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR)


@dataclass(frozen=True, slots=True, order=True)
class Group:
    """Plants of one backend in one time zone: their days begin, end and close together."""

    backend: str
    timezone: str

    def find_begin(self, day: dt.date) -> dt.datetime:
        """The instant at which the day begins here."""
        return find_local_day(day, self.timezone).start

    def find_close(self, day: dt.date) -> dt.datetime:
        """The instant from which SMA has all of the day."""
        return find_local_day(day, self.timezone).end + DELAY[self.backend]

    def find_today(self, now: dt.datetime) -> dt.date:
        """The calendar day of this zone at an instant."""
        return now.astimezone(ZoneInfo(self.timezone)).date()


@dataclass(frozen=True, slots=True)
class Attempt:
    """A run that was to complete the days from first to last, and when it was started."""

    first: dt.date
    last: dt.date
    at: dt.datetime


def build_groups(plants: pl.DataFrame) -> frozenset[Group]:
    """The groups of plants (rows with backend and timezone)."""
    pairs = plants.select("backend", "timezone").unique().rows()
    return frozenset(Group(backend, timezone) for backend, timezone in pairs)


def find_newest_day(now: dt.datetime) -> dt.date:
    """The newest calendar day that has begun somewhere on earth."""
    return now.astimezone(ZoneInfo(FIRST_ZONE)).date()


def is_closed_everywhere(day: dt.date, now: dt.datetime) -> bool:
    """Whether the day is closed in every zone and for every backend: the clock changes nothing of it any more."""
    return find_local_day(day, LAST_ZONE).end + max(DELAY.values()) <= now


def check_days(first: dt.date, last: dt.date, earliest: dt.date, now: dt.datetime) -> None:
    """Raise UsageError for a range that can't be meant, in a warehouse that begins with `earliest`."""
    newest = find_newest_day(now)
    if first > last:
        raise UsageError(f"--from {first} is after --to {last}: swap them.")
    if first < earliest:
        raise UsageError(
            f"{first} is before the warehouse's first day, {earliest}: set SUNLEDGER_FIRST_DAY to an earlier day."
        )
    if last > newest:
        raise UsageError(f"{last} is in the future: choose {newest} or an earlier day as the last one.")


def find_live_days(now: dt.datetime, of: Collection[Group]) -> list[dt.date]:
    """The days that may have news for these groups, when one looks every hour; sorted.

    A day has news from its beginning until the first look after it is closed, which reads its last rows.
    """
    days = {
        day
        for group in of
        for day in _list_days_around(group.find_today(now))
        if group.find_begin(day) < now and group.find_close(day) > now - HOUR
    }
    return sorted(days)


def find_last_closed_day(now: dt.datetime, of: Collection[Group]) -> dt.date:
    """The newest day that is closed for all groups. Raises ValueError without any group."""
    if not of:
        raise ValueError("without plants no day ever closes")
    return min(
        max(day for day in _list_days_around(group.find_today(now)) if group.find_close(day) <= now)
        for group in of
    )


def find_sliding_window(now: dt.datetime, of: Collection[Group], days: int) -> tuple[dt.date, dt.date]:
    """First and last of the newest `days` closed days: what SMA may have corrected since."""
    last = find_last_closed_day(now, of)
    return last - (days - 1) * ONE_DAY, last


def catch_up_window(
    now: dt.datetime, of: Collection[Group], days: int, stored: Iterable[dt.date]
) -> tuple[dt.date, dt.date]:
    """First and last of the closed days that must be whole.

    That is the sliding window, and of the last month all since the first day that is stored: what is absent after it
    was missed.
    """
    first, last = find_sliding_window(now, of, days)
    earliest = last - (LONGEST_PAUSE_DAYS - 1) * ONE_DAY
    return min([first, *(day for day in stored if earliest <= day)]), last


def find_days_to_retry(
    now: dt.datetime, days: Iterable[dt.date], attempts: Collection[Attempt]
) -> list[dt.date]:
    """The days of `days` that may be tried now: each waits longer from try to try, and the tries have an end.

    A try in the future counts for nothing: this machine's clock was ahead then, and SMA's answer was not stored.
    """
    return [day for day in sorted(days) if _may_try(now, day, attempts)]


def list_days(first: dt.date, last: dt.date) -> list[dt.date]:
    """All days from first to last."""
    return [first + i * ONE_DAY for i in range((last - first).days + 1)]


def join_days(days: Iterable[dt.date], longest: int) -> list[tuple[dt.date, dt.date]]:
    """The days as ranges without holes, of at most `longest` days each."""
    found: list[tuple[dt.date, dt.date]] = []
    for day in sorted(set(days)):
        if found and day - found[-1][1] == ONE_DAY and (day - found[-1][0]).days < longest:
            found[-1] = (found[-1][0], day)
        else:
            found.append((day, day))
    return found


def bound_days(days: Iterable[dt.date], longest: int) -> list[tuple[dt.date, dt.date]]:
    """As few ranges as possible, of at most `longest` days each, in which all the days are, and maybe others too."""
    found: list[tuple[dt.date, dt.date]] = []
    for day in sorted(set(days)):
        if found and (day - found[-1][0]).days < longest:
            found[-1] = (found[-1][0], day)
        else:
            found.append((day, day))
    return found


def is_overtaken(scheduled: dt.datetime, now: dt.datetime, every: dt.timedelta) -> bool:
    """Whether the next tick is past too, and will do what this one would."""
    return now - scheduled >= every


def _may_try(now: dt.datetime, day: dt.date, attempts: Collection[Attempt]) -> bool:
    tries = [at for at in _count_tries(day, attempts) if at <= now]
    if not tries:
        return True
    return len(tries) <= len(WAITS) and now >= tries[-1] + WAITS[len(tries) - 1]


def _count_tries(day: dt.date, attempts: Collection[Attempt]) -> list[dt.datetime]:
    return sorted(attempt.at for attempt in attempts if attempt.first <= day <= attempt.last)


def _list_days_around(today: dt.date) -> Iterator[dt.date]:
    """Days near a group's today: the day before yesterday is closed for certain, since no delay is that long."""
    return (today + offset * ONE_DAY for offset in (-2, -1, 0))
