"""A matplotlib figure as the text of an SVG: the same bytes each time, text as text, right in light and dark."""

import io
import re
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from html import escape
from threading import Lock
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.typing import RcKeyType

from pipeline.report.palette import FONTS, INK, MUTED, PAPER, ROLES

# Our own settings on top of matplotlib's defaults, so that no file of the user's changes a picture.
_SETTINGS: dict[RcKeyType, Any] = {
    "svg.hashsalt": "sunledger",
    "svg.fonttype": "none",
    "font.family": ["DejaVu Sans"],
    "font.size": 9.0,
    "hatch.linewidth": 0.8,
    "text.color": INK.light,
    "text.parse_math": False,
    "xtick.color": MUTED.light,
    "ytick.color": MUTED.light,
}
# matplotlib's settings belong to the whole process.
_SETTINGS_IN_USE = Lock()

_NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}
_OPENING = re.compile(r"<svg\b[^>]*>")
# Hundredths of a point: finer than any printer, and half the size.
_FRACTION = re.compile(r"(\d\.\d{2})\d+")
_ID = re.compile(r' id="([^"]*)"')
_REFERENCE = re.compile(r'url\(#([^)]*)\)|xlink:href="#([^"]*)"')
_COMMENT = re.compile(r"<!--.*?-->\s*", re.DOTALL)
_MEASURED_FONT = re.compile(r"'DejaVu Sans'[^;\"]*")
_STYLE = re.compile(r"<style type=\"text/css\">.*?</style>", re.DOTALL)


def draw_svg(
    draw: Callable[[Figure], None],
    *,
    size: tuple[float, float],
    title: str,
    description: str,
    heading: str = "",
) -> str:
    """What `draw` puts on a figure of `size` inches, as one `<svg>` element: a file, or a part of an HTML page.

    `title` and `description` are plain text for readers who don't see the picture. `heading` is SVG that goes on top
    of the drawing as it is: text that matplotlib must not lay out, because its font lacks the letters of some names.
    """
    drawing = _COMMENT.sub("", _draw(draw, size))
    drawing = _STYLE.sub(lambda _: _build_style(), drawing, count=1)
    drawing = _FRACTION.sub(r"\1", drawing)
    drawing = _MEASURED_FONT.sub(lambda _: FONTS, drawing)
    opening = _OPENING.search(drawing)
    if opening is None:
        raise ValueError("matplotlib wrote no <svg> element.")
    # Several pictures may share a page.
    name = f"picture-{sha256(f'{title}|{description}'.encode()).hexdigest()[:12]}"
    label = (
        f'<title id="{name}-title">{escape(title)}</title>\n'
        f'<desc id="{name}-desc">{escape(description)}</desc>'
    )
    attributes = f' class="picture" role="img" aria-labelledby="{name}-title" aria-describedby="{name}-desc">'
    body = _replace_ids(drawing[opening.end() :].rstrip().removesuffix("</svg>"), name)
    return f"{opening[0][:-1]}{attributes}\n{label}{body}{heading}\n</svg>\n"


def _replace_ids(body: str, name: str) -> str:
    """The drawing with ids of its own: matplotlib gives every figure the same ones, and most are of no use."""
    used = {first or second for first, second in _REFERENCE.findall(body)}
    body = _ID.sub(lambda found: f' id="{name}-{found[1]}"' if found[1] in used else "", body)
    return body.replace("url(#", f"url(#{name}-").replace('xlink:href="#', f'xlink:href="#{name}-')


def draw_png(draw: Callable[[Figure], None], *, size: tuple[float, float]) -> bytes:
    """What `draw` puts on a figure of `size` inches as a PNG."""
    return _save(draw, size, "png", {"Software": None})


def _draw(draw: Callable[[Figure], None], size: tuple[float, float]) -> str:
    return _save(draw, size, "svg", _NO_METADATA).decode()


def _save(
    draw: Callable[[Figure], None], size: tuple[float, float], form: str, metadata: dict[str, None]
) -> bytes:
    target = io.BytesIO()
    with _SETTINGS_IN_USE, mpl.rc_context(_build_settings()):
        figure = Figure(figsize=size, facecolor=PAPER.light, edgecolor="none")
        draw(figure)
        figure.savefig(target, format=form, metadata=metadata)
    return target.getvalue()


@cache
def _build_settings() -> dict[RcKeyType, Any]:
    # Setting the backend, even to what it is, would load pyplot.
    return {key: value for key, value in mpl.rcParamsDefault.items() if key != "backend"} | _SETTINGS


@cache
def _build_style() -> str:
    """Style rules for this drawing alone; what matplotlib writes here would reach the whole page."""
    # Shapes carry their colours in a style, the ground of a hatching as an attribute.
    dark = "\n".join(
        f'svg.picture [style*="{paint}: {role.light}"], svg.picture [{paint}="{role.light}"] '
        f"{{ {paint}: {role.dark} !important }}"
        for role in ROLES
        for paint in ("fill", "stroke")
    )
    return (
        "<style>\nsvg.picture * { stroke-linejoin: round; stroke-linecap: butt }\n"
        f"@media screen and (prefers-color-scheme: dark) {{\n{dark}\n}}\n</style>"
    )
