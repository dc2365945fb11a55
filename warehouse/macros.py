"""Functions of the published file: local time without the names of DuckDB's own functions, and a day of detail.

They are stored in the file, so that every reader has them. They need DuckDB's ICU, which all its drivers carry: no
extension is loaded from anywhere.
"""

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
    """The same rows of v_power, read from the file of the day in the macro's parameter `day`.

    Whoever asks the view has DuckDB look at the path of every day's file first, which takes longer than to read one.
    """
    # One text is read many times faster than a list of as many. Without a file of the day, any file has the columns.
    of_day = (
        f"list_filter(string_split({literal(_BETWEEN.join(files))}, {literal(_BETWEEN)}), "
        "file -> contains(file, '/local_date=' || CAST(day AS DATE) || '/'))"
    )
    source = read_files(EnergyBalanceIntervals, f"coalesce(nullif({of_day}, []), [{literal(files[0])}])")
    # The name of the detail means that file alone in the view's query.
    detail = storage(EnergyBalanceIntervals).table
    power = next(view.query for view in curated_views() if view.name == "v_power")
    return macro._replace(query=macro.query.replace(" v_power ", f" (WITH {detail} AS {source} {power}) "))


# No path holds two slashes in a row.
_BETWEEN = "//"
