"""Sections that compare: groups with what is expected of them, and months with the year before; figures by hand."""

import datetime as dt
from typing import Any

import polars as pl

from pipeline.report.comparison import ALL, tabulate_groups, tabulate_like_for_like
from pipeline.report.sheet import SheetTable

JUNE = dt.date(2021, 6, 1)
MAY = dt.date(2021, 5, 1)


def texts(table: SheetTable) -> list[list[str]]:
    return [[cell.text for cell in row] for row in table.rows]


def ranked(*rows: dict[str, Any]) -> pl.DataFrame:
    schema = {
        "plant_group": pl.String,
        "pv_generation_kwh": pl.Float64,
        "peak_power_kw": pl.Float64,
        "specific_yield": pl.Float64,
        "expected_kwh": pl.Float64,
        "status": pl.String,
        "n_days": pl.Int64,
    }
    blank = {"plant_group": "North", "status": "complete", "n_days": 30}
    return pl.DataFrame([blank | row for row in rows], schema=schema)


def test_a_group_is_the_sum_of_its_plants_and_its_share_of_those_that_are_whole() -> None:
    found = tabulate_groups(
        ranked(
            {
                "pv_generation_kwh": 900.0,
                "peak_power_kw": 10.0,
                "specific_yield": 90.0,
                "expected_kwh": 1000.0,
            },
            {
                "pv_generation_kwh": 330.0,
                "peak_power_kw": 3.0,
                "specific_yield": 110.0,
                "expected_kwh": 300.0,
            },
            # Half a month says nothing of a whole month's expectation, and neither does a plant without one.
            {"pv_generation_kwh": 70.0, "peak_power_kw": 2.0, "specific_yield": 35.0, "expected_kwh": 200.0}
            | {"status": "partial"},
            {"pv_generation_kwh": 60.0, "peak_power_kw": 1.0, "specific_yield": 60.0, "expected_kwh": 90.0}
            | {"n_days": 15},
            {"pv_generation_kwh": 40.0},
            {"plant_group": "South", "status": "missing"},
            {"plant_group": None, "pv_generation_kwh": 5000.0},
        ),
        30,
    )
    assert [column.label for column in found.columns][1:] == [
        "Complete",
        "PV generation",
        "Specific yield",
        "Expected",
        "Of expected",
        "Compared",
    ]
    assert texts(found) == [
        # 900 + 330 + 70 + 60 + 40 = 1400; (1400 - 40) / 16 kW = 85; (900 + 330) / (1000 + 300) = 94.6 %.
        ["North", "4 of 5", "1,400.0", "85.0", "1,590.0", "94.6 %", "2"],
        ["South", "0 of 1", "–", "–", "–", "–", "0"],
    ]


def like(
    plant: str, group: str | None, month: dt.date, days: int, kwh: float | None, before: float | None
) -> tuple[Any, ...]:
    return plant, group, month, days, 30, kwh, before


def test_months_are_compared_on_the_days_that_both_years_have() -> None:
    rows = [
        like("a", "North", MAY, 20, 200.0, 160.0),
        like("a", "North", JUNE, 30, 330.0, 300.0),
        like("b", "North", JUNE, 10, 90.0, 120.0),
        like("c", None, JUNE, 5, 50.0, 0.0),
        like("d", "South", JUNE, 5, None, None),
    ]
    schema = [
        "plant_id",
        "plant_group",
        "month",
        "n_days",
        "n_days_held",
        "pv_generation_kwh",
        "pv_generation_before_kwh",
    ]
    found = tabulate_like_for_like(pl.DataFrame(rows, schema=schema, orient="row"), JUNE, groups=True)
    assert texts(found) == [
        [ALL, "May 2021", "200.0", "160.0", "+25.0 %", "20 of 30"],
        # 330 + 90 + 50 = 470 against 300 + 120 + 0 = 420: 11.9 % more.
        [ALL, "Jun 2021", "470.0", "420.0", "+11.9 %", "50 of 120"],
        ["North", "Jun 2021", "420.0", "420.0", "+0.0 %", "40 of 60"],
        ["South", "Jun 2021", "–", "–", "–", "5 of 30"],
    ]
    assert (
        len(tabulate_like_for_like(pl.DataFrame(rows, schema=schema, orient="row"), JUNE, groups=False).rows)
        == 2
    )
