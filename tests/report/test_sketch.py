"""The small pictures of a day: what they show of the fleet, and that they stay small whatever its size."""

import datetime as dt
from xml.etree import ElementTree

import polars as pl
import pytest

from pipeline.report import sketch

DAY = dt.date(2025, 6, 10)
MIDNIGHT = dt.datetime(2025, 6, 9, 22, tzinfo=dt.UTC)
UTC = pl.Datetime("us", "UTC")


def intervals(plant: str, minutes: int, watts: list[float | None], first: int = 0) -> pl.DataFrame:
    starts = [MIDNIGHT + dt.timedelta(minutes=first + minutes * i) for i in range(len(watts))]
    return pl.DataFrame(
        {
            "plant_id": [plant] * len(watts),
            "interval_start": pl.Series(starts, dtype=UTC),
            "interval_end": pl.Series([start + dt.timedelta(minutes=minutes) for start in starts], dtype=UTC),
            "pv_generation_w": pl.Series(watts, dtype=pl.Float64),
            "total_consumption_w": pl.Series([None] * len(watts), dtype=pl.Float64),
        }
    )


BOUNDS = pl.DataFrame({"plant_id": ["5min", "hour"], "day_start": pl.Series([MIDNIGHT] * 2, dtype=UTC)})


def test_powers_add_up_whatever_the_length_of_their_intervals() -> None:
    rows = pl.concat(
        [intervals("5min", 5, [1000, 2000, 3000, 500, 500, 500]), intervals("hour", 60, [4000], 0)]
    )
    found = sketch.sum_power_by_clock(rows, BOUNDS)
    assert found["quarter"].to_list() == [0, 1, 2, 3]
    assert found["pv_generation_w"].to_list() == pytest.approx([6.0, 4.5, 4.0, 4.0])
    assert found["total_consumption_w"].to_list() == [None] * 4


def test_the_powers_of_parts_of_a_fleet_are_those_of_the_whole() -> None:
    parts = [intervals("5min", 5, [1000, 2000, 3000]), intervals("hour", 60, [4000], 0)]
    added = sketch.add_powers(sketch.sum_power_by_clock(part, BOUNDS) for part in parts)
    assert added.equals(sketch.sum_power_by_clock(pl.concat(parts), BOUNDS))
    assert added["total_consumption_w"].to_list() == [None] * 4


def shapes(svg: str, name: str) -> list[ElementTree.Element]:
    return ElementTree.fromstring(svg).findall(f".//{{http://www.w3.org/2000/svg}}{name}")  # noqa: S314 - our own


def test_a_gap_breaks_the_line_of_the_day() -> None:
    power = sketch.sum_power_by_clock(
        pl.concat([intervals("5min", 15, [1000, 2000]), intervals("5min", 15, [None, 500], 60)]), BOUNDS
    )
    line = shapes(sketch.draw_day_picture(power, DAY), "path")[0].get("d") or ""
    assert (line.count("M"), line.count("L")) == (2, 1)


def fleet(count: int, status: str = "complete") -> pl.DataFrame:
    return pl.DataFrame(
        {
            "plant_id": [str(i) for i in range(count)],
            "status": [status] * count,
            "pv_generation_kwh": [float(i % 7) for i in range(count)],
            "peak_power_kw": [1.0] * count,
        }
    )


def test_a_missing_plant_is_red_and_counted() -> None:
    daily = pl.concat(
        [fleet(3), fleet(1, "missing").with_columns(pv_generation_kwh=pl.lit(None, pl.Float64))]
    )
    svg = sketch.draw_fleet_picture(daily, DAY)
    assert [bar.get("fill") for bar in shapes(svg, "rect")][1:].count(sketch.STATUSES["missing"]) == 1
    words = [text.text for text in shapes(svg, "text")]
    assert "3 complete" in words
    assert "1 missing" in words


def test_the_picture_of_a_thousand_plants_is_small_and_hides_no_missing_one() -> None:
    svg = sketch.draw_fleet_picture(pl.concat([fleet(999), fleet(1, "missing")]), DAY)
    assert len(shapes(svg, "rect")) == 1 + sketch.BARS
    assert sketch.STATUSES["missing"] in [bar.get("fill") for bar in shapes(svg, "rect")]
    assert len(sketch.embed_in_markdown(svg, "x")) < 20_000


def test_a_fleet_without_a_figure_is_drawn_all_the_same() -> None:
    nothing = fleet(2, "missing").with_columns(pv_generation_kwh=pl.lit(None, pl.Float64))
    assert len(shapes(sketch.draw_fleet_picture(nothing, DAY), "rect")) == 3
