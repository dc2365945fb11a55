"""How figures and names are written on a page: English numbers, months by name, names made harmless."""

import re
import unicodedata
from bisect import bisect_right
from datetime import date
from itertools import accumulate
from math import floor

MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)

# From here on figures are easier to read in the next larger unit (kWh in MWh, kW in MW).
LARGE = 10_000

# Characters that XML 1.0 can't hold: control codes, halves of surrogate pairs, and the two non-characters.
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
# Overrides of the writing direction would turn the text around a name as well.
_DIRECTION = re.compile("[\u202a-\u202e\u2066-\u2069]")


def format_number(value: float | None, decimals: int = 0) -> str:
    """A figure with thousands separators; a dash where there is none."""
    if value is None:
        return "–"
    # Adding zero turns -0.0, which would be written with its sign, into 0.0.
    return f"{round(value, decimals) + 0.0:,.{decimals}f}"


def format_percent(share: float | None) -> str:
    """A share from 0 to 1 in percent, cut to one decimal: only what is complete is written as 100 %."""
    if share is None:
        return "–"
    tenths = cut(share, 1000)
    return f"{tenths // 10} %" if tenths % 10 == 0 else f"{tenths / 10:.1f} %"


def cut(share: float, parts: int) -> int:
    """How many whole `parts` of one the share has."""
    # The tiny step keeps 0.57 from becoming 569 of 1000: their product is just below 570.
    return floor(share * parts + 1e-6)


def format_energy(kwh: float | None) -> str:
    """An energy to the watt-hour, or to the kilowatt-hour where it is large."""
    if kwh is None:
        return "no measured energy"
    return f"{format_number(kwh / 1000, 3)} MWh" if kwh >= LARGE else f"{format_number(kwh, 3)} kWh"


def format_share(share: float | None) -> str:
    """A share from 0 to 1 in percent, rounded to a tenth: for parts that ought to be nothing, not all."""
    return "–" if share is None else f"{share * 100:.1f} %"


def format_ratio(share: float | None) -> str:
    """A figure of a plant in percent, as `format_share` rounds it, without an empty decimal; it may exceed 100 %."""
    return format_share(share).replace(".0 %", " %")


def format_minutes(minutes: float | None, *, signed: bool = False) -> str:
    """A length of time in minutes as hours and minutes, 1:05; `signed` adds a plus or minus."""
    if minutes is None:
        return "–"
    whole = round(abs(minutes))
    sign = "" if not whole else "−" if minutes < 0 else "+" if signed else ""
    return f"{sign}{whole // 60:,}:{whole % 60:02}"


def format_month(month: date, *, short: bool = False) -> str:
    """A month as people write it, in English on every machine: October 2021, or Oct 2021."""
    name = MONTHS[month.month - 1]
    return f"{name[:3] if short else name} {month.year}"


def clean_name(name: str) -> str:
    """A name as one line without characters that a page can't hold; not escaped yet."""
    visible = _DIRECTION.sub("", _NOT_XML.sub(" ", name))
    return " ".join(visible.split()) or "(no name)"


def shorten(name: str, width: int) -> str:
    """The name cut to `width` columns, an ellipsis included where something was cut.

    East Asian letters take two columns.
    """
    ends = list(accumulate(map(_count_columns, name)))
    if not ends or ends[-1] <= width:
        return name
    return name[: bisect_right(ends, width - 1)].rstrip() + "…"


def _count_columns(letter: str) -> int:
    if unicodedata.combining(letter):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in {"W", "F"} else 1
