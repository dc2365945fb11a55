"""Days of which the record of requests was lost: PU of their months are a lower bound from then on, and said to be.

A home that is restored from a backup may lack all requests that were made after it.
"""

import datetime as dt
from collections.abc import Collection, Iterable
from pathlib import Path

import orjson

from pipeline.common.errors import SunledgerError
from pipeline.common.local_time import ONE_DAY
from pipeline.sma.auth.secret_files import read_private, write_private

FILE = "repair/lost-requests.json"
# If there are more days than this, only the first and the last one are named.
MOST_NAMED = 5


def add_lost_days(home: Path, days: Iterable[dt.date]) -> None:
    """Keep these UTC days too, for good. Raises SunledgerError where they can't be written."""
    known = read_lost_days(home)
    if new := {*days} - known:
        (home / FILE).parent.mkdir(parents=True, exist_ok=True)
        write_private(home / FILE, orjson.dumps(sorted(known | new)))


def read_lost_days(home: Path) -> frozenset[dt.date]:
    """The UTC days of which requests were lost. Raises SunledgerError for a file that is none of ours."""
    content = read_private(home / FILE)
    if content is None:
        return frozenset()
    try:
        return frozenset(dt.date.fromisoformat(day) for day in orjson.loads(content))
    except (orjson.JSONDecodeError, TypeError, ValueError):
        raise SunledgerError(
            f"{home / FILE} does not hold a list of days: put it back from a backup, or delete it. Without it nothing "
            "says of which months the record of requests is incomplete; compare them with SMA's invoices."
        ) from None


def find_incomplete_months(home: Path) -> frozenset[dt.date]:
    """First days of the months that those days may be charged in: the zone that decides need not be UTC."""
    days = read_lost_days(home)
    return frozenset(near.replace(day=1) for day in days for near in (day - ONE_DAY, day, day + ONE_DAY))


def explain_lower_bound(home: Path, months: Collection[dt.date] | None = None) -> str:
    """A sentence where PU of these months (None: of any) are a lower bound; empty where all requests are known."""
    incomplete = find_incomplete_months(home)
    found = sorted(incomplete if months is None else incomplete & set(months))
    if not found:
        return ""
    lost = sorted(read_lost_days(home))
    days = ", ".join(map(str, lost)) if len(lost) <= MOST_NAMED else f"{lost[0]} to {lost[-1]}"
    named = ", ".join(f"{month:%Y-%m}" for month in found)
    return (
        f"The record of requests is incomplete (requests of {days} are lost, or were made after the backup that this "
        f"home was restored from), so PU and fees of {named} are a lower bound: SMA may charge more. Compare them with "
        "SMA's invoice ('sunledger billing check')."
    )
