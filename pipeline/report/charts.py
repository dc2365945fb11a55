"""The other pictures of a report: load and production by hour of the day, and the days of a year as a heat map."""

from calendar import monthrange
from datetime import date
from functools import partial
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, MultipleLocator

from pipeline.common.calendar_months import find_month_end
from pipeline.common.text import pluralize
from pipeline.report.figures import LARGE, MONTHS, clean_name, format_energy, format_month
from pipeline.report.heat import (
    LABEL_SIZE,
    LEFT,
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
from pipeline.report.month import HOURS
from pipeline.report.palette import GAP, GAP_LINE, LOAD, MUTED, NIGHT, PAPER, RULE, SUN, SUN_PALE
from pipeline.report.svg import draw_svg

Values: TypeAlias = npt.NDArray[np.float64]

_PROFILE_IN = 2.7
_DAYS = 31
# Of the picture of a year: the height of a month, and what is above and below all of them, in inches.
_ROW_IN, _ABOVE_IN, _BELOW_IN, _SCALE_IN = 0.2, 0.36, 0.62, 0.16


def draw_profile_picture(profile: pl.DataFrame, *, name: str, month: date) -> str:
    """Mean power by hour of the local clock as SVG text: PV as an area, consumption as a line.

    `profile` has a row an hour: hour, pv_kw, load_kw; null where nothing was measured.
    """
    hours = pl.DataFrame({"hour": range(HOURS)}, schema={"hour": pl.Int64})
    # The mean of an hour is drawn through the whole of it.
    drawn = hours.join(profile, on="hour", how="left", maintain_order="left").fill_null(np.nan)
    pv, load = drawn["pv_kw"].to_numpy(), drawn["load_kw"].to_numpy()
    top = float(np.nanmax(np.concatenate([pv, load, [0.0]])))
    scale, unit = (1000, "MW") if top >= LARGE else (1, "kW")
    return draw_svg(
        partial(_draw_profile, pv / scale, load / scale, top / scale, unit),
        size=(WIDTH_IN, _PROFILE_IN),
        title=f"{clean_name(name)}: load and production by hour in {format_month(month)}",
        description=_describe_profile(drawn, scale, unit),
    )


def _draw_profile(pv: Values, load: Values, top: float, unit: str, figure: Figure) -> None:
    """Draw PV and consumption of each hour, both up to `top`, in this unit."""
    edges = np.arange(HOURS + 1)
    axes = figure.add_axes((LEFT, 0.13, WIDTH, 0.73))
    axes.set_title(f"Mean power by hour of the day, {unit}", loc="left", fontsize=9.5, pad=6)
    axes.set_facecolor(PAPER.light)
    axes.set_axisbelow(True)
    axes.stairs(pv, edges, fill=True, color=SUN_PALE.light, label="_area")
    axes.stairs(pv, edges, baseline=None, color=SUN.light, linewidth=1.8, label="PV generation")
    if np.isfinite(load).any():
        axes.stairs(
            load,
            edges,
            baseline=None,
            color=LOAD.light,
            linewidth=1.8,
            linestyle=(0, (5, 2)),
            label="consumption",
        )
    axes.set_xlim(0, HOURS)
    axes.set_ylim(0, (top or 1.0) * 1.12)
    axes.xaxis.set_major_locator(MultipleLocator(3))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda hour, _: f"{hour:02.0f}:00"))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(format_tick))
    axes.grid(visible=True, axis="y", color=RULE.light, linewidth=0.7)
    label_ticks(axes)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(GAP_LINE.light)
    axes.legend(
        loc="lower right",
        bbox_to_anchor=(1.0, 1.005),
        ncols=2,
        frameon=False,
        fontsize=LABEL_SIZE,
        labelcolor=MUTED.light,
        borderpad=0,
    )


def _describe_profile(drawn: pl.DataFrame, scale: int, unit: str) -> str:
    """The profile in words, for those who don't see it."""
    found = []
    for column, what in (("pv_kw", "PV generation"), ("load_kw", "Consumption")):
        known = drawn.filter(pl.col(column).is_not_nan())
        if known.height:
            best = known.sort(column, "hour", descending=[True, False]).row(0, named=True)
            found.append(f"{what} is highest from {best['hour']:02}:00: {best[column] / scale:,.3g} {unit}.")
        else:
            found.append(f"{what} was not measured.")
    return " ".join(found)


def draw_year_picture(days: pl.DataFrame, *, name: str, month: date) -> str:
    """A tile for each day of the year up to the month's end by its PV energy, a row a month, as SVG text.

    `days` has a row a day: local_date, kwh (null: nothing measured). A day that is not in it stays pale.
    """
    year, n_months = month.year, month.month
    found = days.filter(pl.col("local_date").is_between(date(year, 1, 1), find_month_end(month)))
    grid, read = _lay_out(found, n_months)
    top = float(np.nanmax(grid)) if np.isfinite(grid).any() else 0.0
    # The labels of the scale stand close together.
    scale, unit = (1000, "MWh") if top >= LARGE / 10 else (1, "kWh")
    height = _ABOVE_IN + n_months * _ROW_IN + _BELOW_IN
    title = f"PV energy of each day of {year}, {unit}"
    calendar = np.arange(_DAYS) < np.array([[monthrange(year, number + 1)[1]] for number in range(n_months)])

    def draw(figure: Figure) -> None:
        axes = figure.add_axes((LEFT, _BELOW_IN / height, WIDTH, n_months * _ROW_IN / height))
        _label_year(axes, title, n_months)
        steps = choose_steps(top / scale)
        colours = spread_colours(len(steps) - 1)
        levels = np.digitize(grid / scale, steps[1:-1]) + 1
        levels[grid <= 0] = 0
        levels[np.isnan(grid)] = -1
        draw_tiles(axes, calendar & np.isnan(grid), GAP)
        for level, colour in enumerate((NIGHT, *colours)):
            draw_tiles(axes, levels == level, colour)
        for row, day in np.argwhere(read & np.isnan(grid)):
            axes.plot(day + 1, row + 0.5, marker="x", markersize=4, color=GAP_LINE.light, linewidth=0)
        scale_axes = figure.add_axes((LEFT, _SCALE_IN * 1.4 / height, SCALE_WIDTH, _SCALE_IN / height))
        draw_scale(scale_axes, steps, colours, none="not read", zero="nothing", ground=GAP)

    read_days = pluralize(found["kwh"].count(), "day")
    best = found.filter(pl.col("kwh") == pl.col("kwh").max()).head(1)
    most = f", most on {best['local_date'][0]} with {format_energy(best['kwh'][0])}" if best.height else ""
    return draw_svg(
        draw,
        size=(WIDTH_IN, height),
        title=f"{clean_name(name)}: PV energy of each day of {year} up to {format_month(month)}",
        description=f"Heat map: {read_days} with a value{most}. A cross: no value. Pale: not read.",
    )


def _lay_out(days: pl.DataFrame, n_months: int) -> tuple[Values, npt.NDArray[np.bool_]]:
    """kWh by month and day, NaN where there is none, and which days there are; from rows of local_date and kwh."""
    grid = np.full((n_months, _DAYS), np.nan)
    read = np.zeros((n_months, _DAYS), dtype=bool)
    months, numbers = (
        (part.cast(pl.Int64) - 1).to_numpy()
        for part in (days["local_date"].dt.month(), days["local_date"].dt.day())
    )
    read[months, numbers] = True
    grid[months, numbers] = days["kwh"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    return grid, read


def _label_year(axes: Axes, title: str, n_months: int) -> None:
    """Prepare axes of which a row is a month and a column a day."""
    axes.set_title(title, loc="left", fontsize=9.5, pad=6)
    axes.set_facecolor(PAPER.light)
    axes.set_xlim(0.4, _DAYS + 0.6)
    axes.set_ylim(n_months, 0)
    label_axis(axes, "x", {day: str(day) for day in range(1, _DAYS + 1)})
    label_axis(axes, "y", {number + 0.5: MONTHS[number][:3] for number in range(n_months)})
    for spine in axes.spines.values():
        spine.set_visible(False)
