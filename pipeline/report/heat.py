"""What charts share: labels, and of heat maps round classes of a quantity, their colours, tiles, the scale below."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import ScaledTranslation
from numpy.typing import NDArray

from pipeline.report.palette import GAP_LINE, HEAT, MUTED, NIGHT, PAPER, Colour

# Width of every picture in inches, and in parts of it where the axes begin, how wide they are, and so is a scale.
WIDTH_IN = 6.5
LEFT, WIDTH, SCALE_WIDTH = 0.085, 0.88, 0.69
TILE = 0.94
POINTS_AN_INCH = 72
LABEL_SIZE = 8.5
# Between an axis and its labels, in points.
_PAD = 3.5
_SWATCHES = 14


def choose_steps(top: float) -> NDArray[np.float64]:
    """Round boundaries of the classes, from 0 to at least `top`; at most as many as there are colours."""
    if top <= 0:
        return np.array([0.0])
    return np.asarray(MaxNLocator(nbins=len(HEAT), steps=[1, 2, 2.5, 5, 10]).tick_values(0, top))


def spread_colours(count: int) -> list[Colour]:
    """`count` colours, over the whole range of the palette."""
    return [HEAT[round(position)] for position in np.linspace(0, len(HEAT) - 1, count)]


def draw_tiles(axes: Axes, where: NDArray[np.bool_], colour: Colour) -> None:
    """One shape of all cells of one colour: a file of 744 shapes is three times as large."""
    hour, day = np.nonzero(where)
    if not hour.size:
        return
    half = TILE / 2
    corners = np.array([(-half, -half), (half, -half), (half, half), (-half, half)])
    centres = np.stack([day + 1.0, hour + 0.5], axis=1)
    tiles = Path.make_compound_path_from_polys(centres[:, None, :] + corners)
    # The limits are set: as a patch it would be measured for them, corner by corner.
    axes.add_artist(PathPatch(tiles, facecolor=colour.light, linewidth=0, zorder=2))


def label_axis(axes: Axes, along: Literal["x", "y"], labels: Mapping[float, str]) -> None:
    """Labels beside an axis where it has the places named: as plain text, since ticks are half of a picture's work."""
    pad = -_PAD / POINTS_AN_INCH
    if along == "x":
        axes.set_xticks([])
        at = axes.get_xaxis_transform() + ScaledTranslation(0, pad, axes.figure.dpi_scale_trans)
    else:
        axes.set_yticks([])
        at = axes.get_yaxis_transform() + ScaledTranslation(pad, 0, axes.figure.dpi_scale_trans)
    for place, label in labels.items():
        x, y, ha, va = (place, 0, "center", "top") if along == "x" else (0, place, "right", "center_baseline")
        axes.text(x, y, label, transform=at, ha=ha, va=va, fontsize=LABEL_SIZE, color=MUTED.light)


def label_ticks(axes: Axes) -> None:
    """Ticks that are labels alone. Called before there are any, because those would be created again."""
    axes.tick_params(length=0, bottom=False, left=False, labelsize=LABEL_SIZE)


def draw_scale(
    axes: Axes,
    steps: NDArray[np.float64],
    colours: Sequence[Colour],
    *,
    none: str = "no row",
    zero: str = "no power",
    ground: Colour = PAPER,
) -> None:
    """The colours in a row, with the figure at each boundary; nothing and no row stand apart."""
    axes.set_axis_off()
    axes.set_xlim(0, _SWATCHES)
    axes.set_ylim(0, 1)

    def swatch(place: float, face: Colour, edge: Colour) -> None:
        box = Rectangle((place, 0), 1, 1, facecolor=face.light, edgecolor=edge.light, linewidth=0.6)
        axes.add_artist(box).set_clip_on(False)

    for place, label, face, edge in ((0.0, none, ground, GAP_LINE), (2.9, zero, NIGHT, NIGHT)):
        swatch(place, face, edge)
        axes.text(place + 1.2, 0.45, label, fontsize=8, color=MUTED.light, va="center")
    first = 6.0
    for position, colour in enumerate(colours):
        swatch(first + position, colour, colour)
    for position, step in enumerate(steps if colours else ()):
        axes.text(
            first + position, -0.4, format_tick(step, 0), fontsize=8, color=MUTED.light, ha="center", va="top"
        )


def format_tick(value: float, _: object) -> str:
    """A number beside a scale, with its thousands apart: 1,250."""
    return f"{value:,.10g}"
