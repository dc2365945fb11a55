"""What time it is by an answer of SMA, and whether this machine's clock is too far from it."""

import datetime as dt
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from functools import lru_cache

from pipeline.common.errors import ClockApartError
from pipeline.common.sma_hosts import is_loopback

# From here on days would be taken as complete while SMA still adds to them, within a few runs.
CLOCK_FAIL_S = 300.0
CLOCK_CURE = "set the clock, for instance with timedatectl set-ntp true"

_LIMIT = dt.timedelta(seconds=CLOCK_FAIL_S)
_YEARS = range(2000, 2200)
# The calendar of prices may be that of any zone: a month begins first where it is UTC+14, and last at UTC-12.
_FIRST_ZONE, _LAST_ZONE = dt.timedelta(hours=14), dt.timedelta(hours=-12)


@lru_cache(maxsize=16)
def read_http_date(text: str) -> dt.datetime | None:
    """The moment of a header such as Date, UTC unless it says another offset; None for a text that is none.

    Answers of one second share their Date, and to read it takes longer than all else that is done with it.
    """
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def read_server_time(headers: Mapping[str, str]) -> dt.datetime | None:
    """The time by an answer's headers, in whole seconds; None where they do not tell it.

    An answer out of a proxy's cache has the Date at which it was made, and says in Age for how long it lay there.
    """
    date = read_http_date(headers.get("date", ""))
    age = headers.get("age", "0").strip()
    if date is None or not (age.isascii() and age.isdecimal()):
        return None
    try:
        return date + dt.timedelta(seconds=int(age))
    except (OverflowError, ValueError):
        return None


def find_sent_time(
    url: str, asked_at: dt.datetime, answered_at: dt.datetime, headers: Mapping[str, str]
) -> dt.datetime:
    """When the request to `url` was sent: SMA's time where its answer says that this machine's clock is apart from it.

    SMA counts PU by its own clock. A server on this machine has this machine's clock, whatever its Date says, and a
    time before 2000 or after 2199 is nobody's.
    """
    date, now = read_http_date(headers.get("date", "")), read_server_time(headers)
    if now is not None and asked_at - now >= _LIMIT:
        there = now
    elif date is not None and date - answered_at >= _LIMIT:
        there = date
    else:
        return asked_at
    return there if there.year in _YEARS and not is_loopback(url) else asked_at


def refuse_odd_clock(
    url: str, asked_at: dt.datetime, answered_at: dt.datetime, headers: Mapping[str, str]
) -> None:
    """Raise ClockApartError where an answer from `url` says that this machine's clock is too far from SMA's.

    It may not be far ahead. A clock that is behind does no harm to figures, but near the turn of a month: SMA would
    count PU in a month of which this machine knows nothing yet. The server dates an answer after it was asked for and
    before it arrives, so neither a slow answer nor a machine that slept meanwhile makes a clock seem wrong. An answer
    that tells no time says nothing. A server on this machine has this machine's clock: another Date of it is one that
    it simulates.
    """
    date = read_http_date(headers.get("date", ""))
    if date is None:
        return
    if date - answered_at >= _LIMIT:
        _refuse_old_month(url, answered_at, date)
    if asked_at - date < _LIMIT:
        return
    now = read_server_time(headers)
    if now is None or asked_at - now < _LIMIT or is_loopback(url):
        return
    ahead = format_skew((asked_at - now).total_seconds())
    raise ClockApartError(
        f"This machine's clock is {ahead} ahead of SMA's, so days would count as complete too early, and nothing of "
        f"SMA's answer is stored: {CLOCK_CURE}, then run it again."
    )


def _refuse_old_month(url: str, here: dt.datetime, there: dt.datetime) -> None:
    """Raise where a month turns in any zone between this machine's time and SMA's, or will within hours."""
    try:
        before, after = here + _LAST_ZONE, there + _FIRST_ZONE
    except OverflowError:
        return
    if (before.year, before.month) == (after.year, after.month) or is_loopback(url):
        return
    behind = format_skew((there - here).total_seconds())
    raise ClockApartError(
        f"This machine's clock is {behind} behind SMA's, and a month begins: requests would make PU there that nobody "
        f"has agreed to, and count for the month before here. Nothing of SMA's answer is stored: {CLOCK_CURE}, then "
        "run it again."
    )


def format_skew(seconds: float) -> str:
    """How far clocks are apart, in words of people."""
    if seconds < 120:  # noqa: PLR2004
        return f"{seconds:.0f} s"
    if seconds < 7200:  # noqa: PLR2004
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:.0f} days"  # noqa: PLR2004
