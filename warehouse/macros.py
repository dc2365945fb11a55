"""Functions of the published file: local time without the names of DuckDB's own functions, and a day of detail.

They are stored in the file, so that every reader has them. They need DuckDB's ICU, which all its drivers carry: no
extension is loaded from anywhere.
"""

import datetime as dt
import re
from collections.abc import Sequence
from typing import NamedTuple

from schemas import EnergyBalanceIntervals, storage
from warehouse.ddl import literal, read_files
from warehouse.views import curated_views


class Macro(NamedTuple):
    """A macro: name, parameters, what it gives, its SQL, and whether it gives rows."""

    name: str
    parameters: tuple[str, ...]
    comment: str
    query: str
    gives_rows: bool = False

    @property
    def signature(self) -> str:
        """The macro as a caller writes it."""
        return f"{self.name}({', '.join(self.parameters)})"


MACROS = (
    Macro(
        "local_time",
        ("moment", "zone"),
        "The wall clock (TIMESTAMP) of a time zone (IANA name) at a moment (TIMESTAMPTZ).",
        "timezone(zone, moment)",
    ),
    Macro(
        "local_day",
        ("moment", "zone"),
        "The calendar day (DATE) of a time zone at a moment. Rows of intervals have theirs in local_date.",
        "CAST(timezone(zone, moment) AS DATE)",
    ),
    Macro(
        "local_month",
        ("moment", "zone"),
        "The first day of the calendar month (DATE) of a time zone at a moment.",
        "CAST(date_trunc('month', timezone(zone, moment)) AS DATE)",
    ),
    Macro(
        "day_start",
        ("day", "zone"),
        "The moment (TIMESTAMPTZ) at which a calendar day begins in a time zone.",
        "timezone(zone, CAST(day AS TIMESTAMP))",
    ),
    Macro(
        "day_hours",
        ("day", "zone"),
        "Length of a calendar day in a time zone in h: 23 and 25 where the clocks change.",
        "epoch(timezone(zone, CAST(day AS TIMESTAMP) + INTERVAL 1 DAY) - timezone(zone, CAST(day AS TIMESTAMP)))"
        " / 3600",
    ),
    Macro(
        "month_of",
        ("day",),
        "The first day of the calendar month (DATE) of a day.",
        "CAST(date_trunc('month', CAST(day AS DATE)) AS DATE)",
    ),
    Macro(
        "power_of_day",
        ("plant", "day"),
        "The rows of v_power of one plant (its id) and one calendar day, as fast in the tenth year as in the first: "
        "FROM power_of_day('5000000', DATE '2021-10-06').",
        "FROM v_power WHERE plant_id = plant AND local_date = CAST(day AS DATE)",
        gives_rows=True,
    ),
)


def create(macro: Macro) -> list[str]:
    """CREATE MACRO and its comment."""
    kind = "TABLE " if macro.gives_rows else ""
    return [
        f"CREATE MACRO {macro.signature} AS {kind}{macro.query}",
        f"COMMENT ON MACRO {kind}{macro.name} IS {literal(macro.comment)}",
    ]


def from_the_days_file(macro: Macro, files: Sequence[str]) -> Macro:
    """The same rows of v_power, read from the file of the day in the macro's parameter `day` alone.

    Whoever asks the view has DuckDB look at the path of every day's file first, which takes longer than to read one.
    Where a day has several files the macro stays as it is.
    """
    of_day = {dt.date.fromisoformat(found[1]): file for file in files if (found := _DAY.search(file))}
    if not of_day or len(of_day) < len(files):
        return macro
    # One text with a place of the same width for each calendar day: found without looking at the others.
    first, last = min(of_day), max(of_day)
    width = max(map(len, files))
    days = (first + dt.timedelta(days=number) for number in range((last - first).days + 1))
    paths = "".join(of_day.get(day, "").ljust(width) for day in days)
    place = f"1 + {width} * greatest(0, CAST(day AS DATE) - DATE {literal(str(first))})"
    path = f"rtrim(substr({literal(paths)}, {place}, {width}))"
    # Without a file of the day, any file has the columns, and no row of it.
    source = read_files(EnergyBalanceIntervals, f"coalesce(nullif({path}, ''), {literal(files[0])})")
    # The name of the detail means that file alone in the view's query.
    detail = storage(EnergyBalanceIntervals).table
    power = next(view.query for view in curated_views() if view.name == "v_power")
    return macro._replace(query=macro.query.replace(" v_power ", f" (WITH {detail} AS {source} {power}) "))


_DAY = re.compile(r"/local_date=(\d{4}-\d{2}-\d{2})/[^/]*$")
