"""The colours of pages and pictures, in light and in dark, and their fonts.

A picture is drawn in the light colours, so that every viewer shows it right; its own style sheet exchanges
them where the reader prefers dark. That needs every role to have a light colour of its own.
"""

from dataclasses import dataclass

FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'DejaVu Sans', Arial, sans-serif"


@dataclass(frozen=True, slots=True)
class Colour:
    """One role's colour on light paper and on dark."""

    light: str
    dark: str


PAPER = Colour("#fffefb", "#1a2127")
INK = Colour("#1f2a30", "#e6ebed")
MUTED = Colour("#5c6970", "#9daab2")
RULE = Colour("#dde1df", "#323d45")
# On either ground at least three times as bright or dark: bars and the rings around what has the focus are seen.
SUN = Colour("#c97b17", "#e9a63c")
LOAD = Colour("#2c6a93", "#74b4dc")
SUN_PALE = Colour("#f7dfb4", "#4f3f22")
GAP = Colour("#efeee9", "#2b2d2e")
GAP_LINE = Colour("#98a3a8", "#66747d")
NIGHT = Colour("#e0e8ee", "#22313c")
# Power from little to much; dark paper turns the order of lightness round, not of meaning.
HEAT = (
    Colour("#fbebc6", "#40351f"),
    Colour("#f8d48e", "#5e4a22"),
    Colour("#f3ba5a", "#826224"),
    Colour("#e99c33", "#a87b27"),
    Colour("#d67c20", "#cc962f"),
    Colour("#b85d19", "#e6b247"),
    Colour("#8f4217", "#f4cd74"),
    Colour("#632c15", "#fde8b3"),
)

ROLES = (PAPER, INK, MUTED, RULE, SUN, LOAD, SUN_PALE, GAP, GAP_LINE, NIGHT, *HEAT)
