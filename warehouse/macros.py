"""Functions of the published file: local time without the names of DuckDB's own functions.

They are stored in the file, so that every reader has them. They need DuckDB's ICU, which all its drivers carry: no
extension is loaded from anywhere.
"""

from typing import NamedTuple

from warehouse.ddl import literal


class Macro(NamedTuple):
    """A macro: name, parameters, what it gives, and its SQL."""

    name: str
    parameters: tuple[str, ...]
    comment: str
    query: str

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
)


def create(macro: Macro) -> list[str]:
    """CREATE MACRO and its comment."""
    return [
        f"CREATE MACRO {macro.signature} AS {macro.query}",
        f"COMMENT ON MACRO {macro.name} IS {literal(macro.comment)}",
    ]
