"""Which days of detail a publication copies into the file."""

import datetime as dt
import re
from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.common.setting_values import DETAIL_DAYS
from schemas import CoverageDaily, Table, storage

_DAY = re.compile(r"/local_date=(\d{4}-\d{2}-\d{2})/")
NONE, MONTH, ALL = "none", "month", "all"
# What is copied from an object store, whose files a view in the file can't reach, where the setting says none.
OF_STORE = "7d"


@dataclass(frozen=True, slots=True)
class CopiedDetail:
    """How much detail the file holds: `none`, or as the setting says, and its first day (None: from the beginning)."""

    amount: str
    first_day: dt.date | None

    def first_day_of(self, model: type[Table]) -> dt.date | None:
        """The first day of the table's rows that is copied; None for all.

        Rows of curated views are made of the coverage of all days, which is small.
        """
        return self.first_day if storage(model).published == "view" and model is not CoverageDaily else None


def read_day(file: str) -> dt.date | None:
    """The local day of a file of the lake, by its path; None for a table that has no days."""
    found = _DAY.search(file)
    return dt.date.fromisoformat(found[1]) if found else None


def find_first_day(detail: str, files: Iterable[str]) -> dt.date | None:
    """The first day to copy by the setting `detail`, counted back from the newest day of the files.

    None where all days are copied, or no day is there.
    """
    newest = max(filter(None, map(read_day, files)), default=None)
    if detail in (NONE, ALL) or newest is None:
        return None
    if detail == MONTH:
        return newest.replace(day=1)
    found = DETAIL_DAYS.fullmatch(detail)
    if found is None:
        raise ValueError(f"{detail!r} is not one of none, month, all and a number of days as in 31d.")
    return newest - dt.timedelta(days=int(found[1]) - 1)


def choose_files(files: Iterable[str], first: dt.date | None) -> tuple[str, ...]:
    """The files of the days since `first`; all of them without it."""
    return tuple(file for file in files if first is None or (read_day(file) or first) >= first)


def describe_detail(detail: str, first: dt.date | None) -> str | None:
    """What a file says of the detail that it holds itself; None where it holds none."""
    if detail == ALL:
        return "The file holds the detail of all days, so it can be read anywhere."
    if first is None:
        return None
    return (
        f"The file holds detail since {first} ({detail}, counted back from the newest stored day), so it can be read "
        "anywhere; of earlier days intervals, hours and quarters of an hour have no rows in it."
    )
