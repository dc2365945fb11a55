"""Tables of a large fleet are made of some plants at a time: the same rows as those made of all together."""

from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from pipeline.report.day_pictures import draw_day_pictures
from pipeline.run.context import RunContext
from pipeline.tables import hourly_tables, interval_tables, kpi_tables
from pipeline.transform import row_groups
from schemas import Plants, ProfileMonthly
from tests.whole_days import MONDAY, TUESDAY, run

New = Callable[..., RunContext]
MADE_OF_PLANTS = (
    (
        hourly_tables,
        "summarize_quarters",
        1,
        lambda runtime: hourly_tables.write_quarter_energies(runtime, MONDAY),
    ),
    (hourly_tables, "summarize_hours", 1, lambda runtime: hourly_tables.write_energy_hourly(runtime, MONDAY)),
    (kpi_tables, "summarize_day_figures", 2, lambda runtime: kpi_tables.write_kpi_daily(runtime, MONDAY)),
    (interval_tables, "judge_time_basis", 1, interval_tables.judge_times),
)


@pytest.mark.parametrize(
    ("module", "name", "place", "write"), MADE_OF_PLANTS, ids=[one[1] for one in MADE_OF_PLANTS]
)
def test_rows_are_the_same_and_of_few_plants_at_a_time(
    new_runtime: New,
    monkeypatch: pytest.MonkeyPatch,
    module: Any,
    name: str,
    place: int,
    write: Callable[[RunContext], Any],
) -> None:
    runtime = run(new_runtime(), MONDAY, TUESDAY)
    hourly_tables.write_quarter_energies(runtime, MONDAY)
    whole = write(runtime)
    made, sizes = getattr(module, name), []

    def make(*given: Any, **options: Any) -> pl.DataFrame:
        sizes.append(given[place].height)
        return made(*given, **options)

    monkeypatch.setattr(module, name, make)
    monkeypatch.setattr(row_groups, "ROWS_AT_ONCE", 1)
    for where in (row_groups, interval_tables):
        monkeypatch.setattr(where, "PLANTS_AT_ONCE", 1)
    again = write(runtime)
    assert len(sizes) > 1
    assert max(sizes) == 1
    assert sum(sizes) <= runtime.lake.scan(Plants).collect().height
    if hasattr(again, "changed"):
        assert not again.changed
        assert again.rows == whole.rows > 0
    else:
        assert again == whole


def test_average_days_are_the_same_and_of_few_plants_at_a_time(
    new_runtime: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = run(new_runtime(), MONDAY, TUESDAY)
    for day in (MONDAY, TUESDAY):
        hourly_tables.write_quarter_energies(runtime, day)
        hourly_tables.write_energy_hourly(runtime, day)
    hourly_tables.write_profile_monthly(runtime)
    whole = runtime.lake.scan(ProfileMonthly).collect()
    month = MONDAY.replace(day=1)
    runtime.lake.replace(ProfileMonthly, {"month": month}, [whole.head(1)])
    monkeypatch.setattr(hourly_tables, "MOST_AT_ONCE", 1)
    hourly_tables.write_profile_monthly(runtime)
    assert runtime.lake.scan(ProfileMonthly).collect().equals(whole)
    assert whole["plant_id"].n_unique() > 1


def test_pictures_are_the_same_however_their_rows_are_read(
    new_runtime: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = run(new_runtime(), MONDAY)
    whole = draw_day_pictures(runtime, MONDAY)
    assert whole.keys() == {"fleet", "power"}
    monkeypatch.setattr("pipeline.report.day_pictures.ROWS_AT_ONCE", 1)
    assert draw_day_pictures(runtime, MONDAY) == whole
