"""The picture of a plant's month: energy by day with its coverage, and power by hour of the day."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from html import escape

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator, MultipleLocator

from pipeline.common.text import pluralize
from pipeline.report.figures import (
    LARGE,
    clean_name,
    cut,
    format_energy,
    format_month,
    format_percent,
    shorten,
)
from pipeline.report.heat import (
    LABEL_SIZE,
    LEFT,
    POINTS_AN_INCH,
    SCALE_WIDTH,
    WIDTH,
    WIDTH_IN,
    choose_steps,
    draw_scale,
    draw_tiles,
    format_tick,
    label_axis,
    label_ticks,
    spread_colours,
)
from pipeline.report.month import HOURS, MonthFigures, build_month
from pipeline.report.palette import (
    FONTS,
    GAP,
    GAP_LINE,
    INK,
    MUTED,
    NIGHT,
    PAPER,
    RULE,
    SUN,
    SUN_PALE,
    Colour,
)
from pipeline.report.svg import draw_png, draw_svg

# Narrow, so that its letters can be read where a phone or half a page is all the room there is.
SIZE_IN = (WIDTH_IN, 6.75)

# Left, bottom, width and height of each axis, as shares of the figure's width and height.
_BARS = (LEFT, 0.505, WIDTH, 0.295)
_HEAT = (LEFT, 0.125, WIDTH, 0.315)
_SCALE = (LEFT, 0.04, SCALE_WIDTH, 0.023)

# Distances in points: from the axis to the label below its days, and from the axis to the title above its legend.
_BELOW, _ABOVE_LEGEND = 13, 19

_NAME_LETTERS = 36

# Below this share of the month's highest hour a cell is drawn as "no power": inverters idle at a few watts.
_IDLE = 0.002

_BAR_WIDTH = 0.76
# A hair over a day, so that neighbouring bands have no seam.
_BAND_WIDTH = 1.02


@dataclass(frozen=True, slots=True)
class _Look:
    """How the bar of a kind of day is drawn, and what the legend calls it."""

    label: str
    face: Colour
    edge: Colour
    hatch: str = ""


_LOOKS = {
    "complete": _Look("complete", SUN, SUN),
    "partial": _Look("partial", SUN_PALE, SUN, "////"),
    "provisional": _Look("may still change", SUN_PALE, SUN, "\\\\\\\\"),
    "missing": _Look("no value", GAP, GAP_LINE, "xxxx"),
    "unread": _Look("not read", GAP, GAP),
}


def draw_month_picture(
    days: pl.DataFrame, intervals: pl.DataFrame, *, plant_name: str, timezone: str, month: date
) -> str:
    """The picture of one plant's month as SVG text, the same bytes for the same input.

    `days` are the plant's rows of energy_daily and `intervals` its rows of energy_balance_intervals, whose times are
    drawn by the clocks of `timezone` (IANA). Above: kWh of each day; days that aren't complete are hatched and carry
    their coverage in percent. Below: mean power by hour and day. The element stands alone as a file and fits into an
    HTML page, in light and in dark. Rows of more than one plant raise ValueError.
    """
    found = build_month(days, intervals, timezone=timezone, month=month)
    return draw_month(found, name=plant_name, clock=f"clock of {timezone}")


def draw_month(found: MonthFigures, *, name: str, clock: str) -> str:
    """The same of figures that are there already; `clock` says by whose time of day the hours are."""
    name = clean_name(name)

    def draw(figure: Figure) -> None:
        _draw_days(figure.add_axes(_BARS), found)
        _draw_hours(figure, found)

    return draw_svg(
        draw,
        size=SIZE_IN,
        title=f"{name}: PV energy in {format_month(found.first)}",
        description=_describe_month(found),
        heading=_draw_heading(found, name, clock),
    )


def draw_month_png(found: MonthFigures) -> bytes:
    """The same picture, without its heading, as PNG on light paper: for places that show no SVG."""

    def draw(figure: Figure) -> None:
        _draw_days(figure.add_axes(_BARS), found)
        _draw_hours(figure, found)

    return draw_png(draw, size=SIZE_IN)


def _describe_month(month: MonthFigures) -> str:
    """The picture in words, for those who don't see it."""
    best = month.days.filter(pl.col("kwh") == pl.col("kwh").max()).head(1)
    peak = f", most on day {best['day'][0]} with {format_energy(best['kwh'][0])}" if best.height else ""
    return (
        f"Bars: energy of each day, {format_energy(month.kwh)} in all{peak}; {month.n_held} of "
        f"{pluralize(month.n_days, 'day')} read, {month.n_missing} of them without a measured value, coverage "
        f"{format_percent(month.coverage)}. Below: heat map of mean power by hour of the day and day of the month."
    )


def _draw_heading(month: MonthFigures, name: str, clock: str) -> str:
    """The name, and below it the month and how whole it is on the left, the total on the right."""
    left = LEFT * SIZE_IN[0] * POINTS_AN_INCH
    right = (LEFT + WIDTH) * SIZE_IN[0] * POINTS_AN_INCH
    days = f"{month.n_held - month.n_missing} of {pluralize(month.n_days, 'day')} measured"
    large, small = "600 16px", "10.5px"
    # Letters differ in width: what is still too wide after the cut ends at the edge of its own box.
    return (
        f'\n<svg x="{left:g}" y="0" width="{right - left:g}" height="31" overflow="hidden">'
        f"{_draw_text(0, 24, 'start', large, INK, shorten(name, _NAME_LETTERS))}</svg>"
        f"\n{_draw_text(left, 41, 'start', small, MUTED, f'{format_month(month.first)} · {clock}')}"
        f"\n{_draw_text(left, 57, 'start', small, MUTED, f'{days} · coverage {format_percent(month.coverage)}')}"
        f"\n{_draw_text(right, 58, 'end', large, INK, format_energy(month.kwh))}"
    )


def _draw_text(x: float, y: float, anchor: str, font: str, colour: Colour, text: str) -> str:
    """One line of SVG text."""
    style = f"font: {font} {FONTS}; fill: {colour.light}"
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" style="{style}">{escape(text)}</text>'


def _draw_days(axes: Axes, month: MonthFigures) -> None:
    """A bar for each measured day, a band over the whole height for each day without a value."""
    top = float(month.days["kwh"].fill_null(0).max() or 0) or 1.0  # type: ignore[arg-type]
    scale, unit = (1000, "MWh") if top >= LARGE else (1, "kWh")
    lacking = _select_incomplete(month.days)
    labels = "; above a bar: % covered" if lacking.height else ""
    _draw_frame(axes, month, title=f"PV energy by day, {unit}{labels}", pad=_ABOVE_LEGEND)
    axes.set_ylim(0, top / scale * 1.14)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(format_tick))
    axes.grid(visible=True, axis="y", color=RULE.light, linewidth=0.7)
    looks = month.days["look"].unique(maintain_order=True).to_list()
    for look in looks:
        _draw_look(axes, month.days.filter(look=look), _LOOKS[look], scale)
    _label_coverage(axes, lacking, scale, lift=top / scale * 0.015)
    _draw_legend(axes, [look for name, look in _LOOKS.items() if name in looks])


def _draw_look(axes: Axes, days: pl.DataFrame, look: _Look, scale: int) -> None:
    band = look.face is GAP
    axes.bar(
        days["day"].to_numpy(),
        1.0 if band else days["kwh"].to_numpy() / scale,
        width=_BAND_WIDTH if band else _BAR_WIDTH,
        transform=axes.get_xaxis_transform() if band else axes.transData,
        color=look.face.light,
        edgecolor=look.edge.light,
        linewidth=0.8,
        hatch=look.hatch,
        zorder=1.5 if band else 2,
    )


def _select_incomplete(days: pl.DataFrame) -> pl.DataFrame:
    """The days with a bar that aren't complete."""
    return days.filter(
        pl.col("look").is_in(["partial", "provisional"]) & (pl.col("coverage") < 1),
        pl.col("kwh").is_not_null(),
    )


def _label_coverage(axes: Axes, lacking: pl.DataFrame, scale: int, lift: float) -> None:
    """The coverage in percent over each bar whose day isn't complete."""
    for day, kwh, coverage in lacking.select("day", "kwh", "coverage").iter_rows():
        text = str(cut(coverage, 100))
        axes.text(day, kwh / scale + lift, text, ha="center", va="bottom", fontsize=7.5, color=MUTED.light)


def _draw_legend(axes: Axes, looks: Sequence[_Look]) -> None:
    handles = [
        Patch(
            facecolor=look.face.light,
            edgecolor=look.edge.light,
            hatch=look.hatch,
            linewidth=0.8,
            label=look.label,
        )
        for look in looks
    ]
    axes.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(0.0, 1.005),
        ncols=len(handles),
        frameon=False,
        fontsize=LABEL_SIZE,
        labelcolor=MUTED.light,
        handlelength=1.4,
        columnspacing=1.3,
        borderpad=0,
        borderaxespad=0.0,
    )


def _draw_hours(figure: Figure, month: MonthFigures) -> None:
    """A tile for each hour with a value, and the scale of its colours."""
    axes = figure.add_axes(_HEAT)
    power = month.power_kw
    measured = power[np.isfinite(power)]
    top = float(measured.max()) if measured.size else 0.0
    scale, unit = (1000, "MW") if top >= LARGE else (1, "kW")
    _draw_frame(axes, month, title=f"Mean PV power by hour of the day, {unit}")
    axes.set_ylim(HOURS, 0)
    axes.yaxis.set_major_locator(MultipleLocator(6))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda hour, _: f"{hour:02.0f}:00"))
    axes.set_xlabel("Day of the month", fontsize=LABEL_SIZE, color=MUTED.light, loc="right", labelpad=_BELOW)
    _draw_bands(axes, month)
    steps = choose_steps(top / scale)
    levels = np.digitize(power / scale, steps[1:-1]) + 1
    levels[power <= top * _IDLE] = 0
    levels[np.isnan(power)] = -1
    colours = spread_colours(len(steps) - 1)
    for level, colour in enumerate((NIGHT, *colours)):
        draw_tiles(axes, levels == level, colour)
    draw_scale(figure.add_axes(_SCALE), steps, colours)


def _draw_bands(axes: Axes, month: MonthFigures) -> None:
    """The same bands as above on the days without a value."""
    for look in ("missing", "unread"):
        days = month.days.filter(look=look)
        if not np.isfinite(month.power_kw[:, days["day"].to_numpy() - 1]).any():
            _draw_look(axes, days, _LOOKS[look], 1)


def _draw_frame(axes: Axes, month: MonthFigures, title: str, pad: float = 6) -> None:
    """What both charts share: a column for each day, quiet lines, and a title on the left."""
    axes.set_title(title, loc="left", fontsize=9.5, color=INK.light, pad=pad)
    axes.set_facecolor(PAPER.light)
    axes.set_axisbelow(True)
    axes.set_xlim(0.4, month.n_days + 0.6)
    label_ticks(axes)
    label_axis(axes, "x", {day: str(day) for day in month.days["day"]})
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(GAP_LINE.light)
        spine.set_linewidth(0.8)
