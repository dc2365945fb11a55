"""The pictures of a report's page. Where nothing was measured a sentence says so, and no empty axes are drawn."""

import numpy as np
import polars as pl

from pipeline.common.text import pluralize
from pipeline.report.charts import draw_profile_picture, draw_year_picture
from pipeline.report.figures import format_month, format_number
from pipeline.report.month import MonthFigures
from pipeline.report.picture import draw_month
from pipeline.report.sheet import Plot, embed_drawing


def draw_plots(
    name: str, month: MonthFigures, days: pl.DataFrame, profile: pl.DataFrame, clock: str
) -> list[Plot]:
    """The month, the profile of its hours, and the year up to its end, of a plant or of a fleet.

    `days` has local_date and pv_generation_kwh of the year, a row a day; `profile` is of `charts.draw_profile_picture`.
    """
    return [
        _draw_days(name, month, clock),
        _draw_profile(name, month, profile),
        _draw_year(name, month, days),
    ]


def _draw_days(name: str, month: MonthFigures, clock: str) -> Plot:
    measured = month.kwh is not None or bool(np.isfinite(month.power_kw).any())
    read = f"{format_number(month.n_held)} of {pluralize(month.n_days, 'day')} read, none with a value"
    why = read if month.n_held else "none of its days was read"
    return Plot(
        "days",
        "Energy by day, power by hour",
        "A hatched bar is an incomplete day, labelled with its coverage of PV in percent. In the heat map below, each "
        "tile is an hour.",
        embed_drawing(draw_month(month, name=name, clock=clock)) if measured else None,
        f"There is no PV energy of {format_month(month.first)}: {why}.",
    )


def _draw_profile(name: str, month: MonthFigures, profile: pl.DataFrame) -> Plot:
    measured = profile["pv_kw"].count() or profile["load_kw"].count()
    return Plot(
        "profile",
        "Load and production",
        "Mean of each hour of the day in this month, over the time that has values.",
        embed_drawing(draw_profile_picture(profile, name=name, month=month.first)) if measured else None,
        f"There is no power of {format_month(month.first)}, because nothing was measured.",
    )


def _draw_year(name: str, month: MonthFigures, days: pl.DataFrame) -> Plot:
    kwh = days.select("local_date", kwh="pv_generation_kwh")
    return Plot(
        "year",
        "The year so far",
        "Each tile is a day. A cross marks a day without a value, a pale tile a day that was not fetched.",
        embed_drawing(draw_year_picture(kwh, name=name, month=month.first)) if kwh["kwh"].count() else None,
        f"There is no PV energy of {month.first.year} up to {format_month(month.first)}.",
    )
