"""Tables of a large fleet are made of some plants at a time: the same rows as those made of all together."""

import subprocess
import sys
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


# What the rows of so many plants with an inverter and a meter each may take beside what Python and its libraries take.
MOST_MEMORY_MB = 150
METERS = """
from pathlib import Path
from types import SimpleNamespace
import polars as pl
from pipeline.tables.energy_tables import _drop_meters
def drop(plants):
    ids = [str(number) for number in range(plants)]
    rows = pl.DataFrame({"plant_id": ids * 2, "device_id": [f"{kind}{one}" for kind in ("i", "m") for one in ids]})
    kind = pl.col("device_id").str.starts_with("m").replace_strict({True: "Energy meter", False: "Solar Inverters"})
    lake = SimpleNamespace(read_whole=lambda model: rows.with_columns(type=kind))
    return _drop_meters(lake, rows).height
def measure_peak():
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) // 1024
drop(10)
before = measure_peak()
kept = drop(10_000)
print(kept, measure_peak() - before)
"""


@pytest.mark.long
def test_meters_are_left_out_of_a_large_fleet_in_little_memory() -> None:
    """A day of 10,000 plants took 4 GB, because the list of meters was copied for each plant."""
    done = subprocess.run([sys.executable, "-c", METERS], check=True, capture_output=True, text=True)
    kept, taken_mb = map(int, done.stdout.split())
    assert kept == 10_000
    assert taken_mb < MOST_MEMORY_MB
