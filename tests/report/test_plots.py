"""The pictures of a page: the year up to the month, and a sentence where there is nothing to draw."""

import re
from collections.abc import Callable
from datetime import date

import numpy as np
import polars as pl
import pytest

from pipeline.report.charts import draw_year_picture
from pipeline.report.figures import MONTHS
from pipeline.report.month import HOURS, build_month_from_grid
from pipeline.report.plots import draw_plots

Rows = Callable[..., pl.DataFrame]

OCTOBER = date(2021, 10, 1)
NOTHING = {"pv_kw": pl.Series([], dtype=pl.Float64), "load_kw": pl.Series([], dtype=pl.Float64)}
PROFILE = {"pv_kw": [1.0], "load_kw": pl.Series([None], dtype=pl.Float64)}


def texts(svg: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


@pytest.mark.parametrize("month", [1, 2, 10, 12])
def test_the_year_is_drawn_up_to_the_month(day_rows: Rows, month: int) -> None:
    first = date(2021, month, 1)
    days = pl.concat([day_rows({1: 5.0}, month=first), day_rows({1: 99.0}, month=date(2022, 1, 1))])
    svg = draw_year_picture(days.select("local_date", kwh="pv_generation_kwh"), name="Roof", month=first)
    names = [name[:3] for name in MONTHS]
    assert [text for text in texts(svg) if text in names] == names[:month]
    assert f"PV energy of each day of 2021 up to {MONTHS[month - 1]} 2021</title>" in svg
    assert "1 day with a value, most on 2021-" in svg


@pytest.mark.parametrize(
    ("kwh", "sentence"),
    [
        ({}, "There is no PV energy of October 2021: none of its days was read."),
        (
            {1: None, 2: None},
            "There is no PV energy of October 2021: 2 of 31 days read, none with a value.",
        ),
    ],
)
def test_where_nothing_was_measured_a_sentence_says_so(
    day_rows: Rows, kwh: dict[int, float | None], sentence: str
) -> None:
    days = day_rows(kwh, {day: {"status": "missing", "coverage": 0.0} for day in kwh})
    month = build_month_from_grid(days, np.full((HOURS, 31), np.nan), month=OCTOBER)
    profile = pl.DataFrame({"hour": pl.Series([], dtype=pl.Int64)} | NOTHING)
    found = draw_plots("Roof", month, days, profile, "clock")
    assert [plot.svg for plot in found] == [None] * 3
    assert [plot.empty for plot in found] == [
        sentence,
        "There is no power of October 2021, because nothing was measured.",
        "There is no PV energy of 2021 up to October 2021.",
    ]


def test_what_was_measured_is_drawn(day_rows: Rows) -> None:
    days = day_rows({1: 5.0})
    month = build_month_from_grid(days, np.full((HOURS, 31), np.nan), month=OCTOBER)
    profile = pl.DataFrame({"hour": [12]} | PROFILE)
    found = draw_plots("Roof", month, days, profile, "clock")
    assert all("<svg" in (plot.svg or "") for plot in found)
