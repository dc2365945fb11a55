"""How counts are written in messages, and how text of others is made harmless there."""

import re
from collections.abc import Sequence
from math import floor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from decimal import Decimal

# What a terminal obeys instead of showing it, and what turns the direction of the text around it: control characters
# but for the tab and the ends of lines, marks and overrides of direction, invisible characters, halves of a pair.
_OBEYED = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    r"\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]|\r(?!\n)"
)

# The longest line that a person still reads. A name of others may have a million characters.
MOST_CHARACTERS = 4_000
# The longest clause of a library that stands in a sentence of ours, and where one prints a structure of its language.
MOST_OF_LIBRARY = 200
_STRUCTURE = re.compile(r"\b[A-Z]\w+ \{ ")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def pluralize(count: int, noun: str) -> str:
    """A count and its noun: 1 plant, 1,200 plants."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def format_money(amount: "Decimal | float | None") -> str:
    """An amount of money to the cent, without its currency: 1,234.50; a question mark where there is none."""
    return "?" if amount is None else f"{amount:,.2f}"


def format_covered(share: float, decimals: int = 1) -> str:
    """A share that was covered in percent, cut to its decimals: only what is whole is written as 100.0%."""
    parts = 10**decimals
    # The tiny step keeps 0.57 from becoming 569 of 1000: their product is just below 570.
    return f"{floor(share * 100 * parts + 1e-6) / parts:.{decimals}f}%"


def join_first(names: Sequence[str], most: int, between: str = ", ") -> str:
    """The first `most` of the names, and how many more there are: a, b and 3 more."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{between.join(names[:most])}{more}"


def shorten_text(text: str, most: int = MOST_CHARACTERS) -> str:
    """The text without its middle where it is longer than `most` characters: what to do about it stands at its end."""
    if len(text) <= most:
        return text
    head, tail = most * 2 // 3, most // 3
    return f"{text[:head]} … [{len(text) - head - tail:,} characters left out] … {text[-tail:]}"


def escape_controls(text: str) -> str:
    """The text with each character that a terminal would obey written out, as in \\x1b; the rest as it was."""
    return _OBEYED.sub(_escape, text)


def escape_line(text: str) -> str:
    """As `escape_controls`, of bounded length, and with line breaks escaped too.

    So foreign text can't look like a line of ours.
    """
    return escape_controls(shorten_text(text)).replace("\r", "\\r").replace("\n", "\\n")


def join_lines(text: str) -> str:
    """The text as one line, without colours and the arrows of a chain of causes: what libraries say of a fault."""
    return " ".join(_COLOURS.sub("", text).replace("↳", ":").split())


def quote_fault(fault: BaseException) -> str:
    """What a library says of a fault, as a clause: its first line, up to where it prints its own structures."""
    line = escape_line(_STRUCTURE.split(str(fault).partition("\n")[0])[0].strip(" :.-"))
    return shorten_text(line, MOST_OF_LIBRARY) or type(fault).__name__


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")
