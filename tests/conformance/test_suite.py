"""The published suite: its files are what the generator writes, and every oracle and the pipeline agree on them."""

import datetime as dt
import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeAlias

import polars as pl
import pytest

from pipeline.transform.daily import summarize_months
from schemas.quantities import ENERGY_BALANCE
from tests.conformance import check, files
from tests.conformance.draw import RESOLUTIONS, TOPICS, Case, Topic, cases
from tests.conformance.expected import record

MAX_ERROR = 1e-9
# What rdtools says nothing of: a gap beyond the limit lies over the end of its 24 hours.
WITHOUT_RDTOOLS = 85
# Each topic has as many places or fewer, and each of its days takes milliseconds of exact arithmetic.
FIRST_DAYS = 26
Interval: TypeAlias = tuple[int, int, str, int]
Day = dict[str, Any]


@pytest.fixture(scope="module")
def days() -> list[Day]:
    return list(files.days())


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_the_files_begin_as_the_generator_writes_them(topic: Topic) -> None:
    """What is drawn and reckoned for a day does not hang on its place in the file."""
    written = files.read(topic).splitlines()
    assert len(written) == topic.days
    for line, drawn in zip(written, files.write_lines(topic), strict=False):
        assert line == drawn, "Run python -m tests.conformance.generate"
        if json.loads(line)["id"].endswith(f"-{FIRST_DAYS:03}"):
            break


@pytest.mark.long
@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_the_files_are_what_the_generator_writes(topic: Topic) -> None:
    assert files.read(topic) == files.text_of(topic), "Run python -m tests.conformance.generate"


def test_the_oracle_says_of_the_worked_days_what_was_reckoned_by_hand(days: list[Day]) -> None:
    worked = [day for day in days if day["id"].startswith("worked")]
    assert len(worked) == 8
    for day in worked:
        plant = day["plant"]
        case = Case(
            name=day["id"],
            zone=plant["timezone"],
            day=dt.date.fromisoformat(day["local_date"]),
            resolution=plant["resolution"],
            basis=plant["time_basis"],
            merged_hour=plant["merged_hour"],
            rated_w=plant["rated_w"],
            answers=day["answers"],
        )
        assert record(case) == {key: value for key, value in day.items() if key != "about"}


def test_the_suite_holds_what_breaks_converters(days: list[Day]) -> None:
    assert len(days) >= 2000
    assert len({day["id"] for day in days}) == len(days)
    facts = [day["plant"] for day in days]
    assert {fact["resolution"] for fact in facts} == set(RESOLUTIONS)
    assert {(fact["time_basis"], fact["merged_hour"]) for fact in facts} == {
        ("plant_local", "gap"), ("plant_local", "mean"), ("utc", "gap")
    }  # fmt: skip
    hours = Counter(_seconds(day) / 3600 for day in days)
    assert min(hours[length] for length in (23, 23.5, 24, 24.5, 25)) >= 20
    assert sum(day["local_date"] == "2024-02-29" for day in days) >= 40
    assert _spans(days) >= {0.5, 1.0, 2.0, 3.0}


def _seconds(day: Day) -> float:
    start, end = (dt.datetime.fromisoformat(day["expected"][key]) for key in ("day_start", "day_end"))
    return (end - start).total_seconds()


def _spans(days: list[Day]) -> set[float]:
    """How many declared resolutions the intervals last."""
    return {
        (end - start) / RESOLUTIONS[day["plant"]["resolution"]]
        for day in days
        for start, end, *_ in day["expected"]["intervals"]
    }


def test_the_pipeline_and_rdtools_reproduce_every_day(days: list[Day]) -> None:
    rows, daily = check.pipeline_rows(days)
    wanted = check.expected(days)
    assert check.pipeline(daily).worst_error(wanted) < MAX_ERROR
    expected = {day["id"]: day["expected"] for day in days}
    resolution = {day["id"]: RESOLUTIONS[day["plant"]["resolution"]] for day in days}
    for plant, mine in _group_intervals(rows, expected):
        right = expected.pop(plant)["intervals"]
        assert [row[:3] for row in mine] == [tuple(each[:3]) for each in right], plant
        beyond = [end - start - resolution[plant] for start, end, *_ in right]
        assert [row[3] for row in mine] == [max(0, seconds) for seconds in beyond], plant
    assert not expected
    theirs, ours = check.rdtools(), check.without_rows_behind_gaps(rows)
    assert len(wanted.kwh) - len(theirs) == WITHOUT_RDTOOLS
    assert check.worst_error({key: ours[key] for key in theirs}, theirs) < MAX_ERROR


def test_the_figures_of_rdtools_come_from_the_files_that_are_here() -> None:
    """What rdtools was asked, by which script and in which versions: its answer can only be another if these are."""
    here = Path(__file__).parent
    root = here.parents[1]
    said = [line.split("  ") for line in (here / "rdtools.sha256").read_text().splitlines()]
    others = {"rdtools.csv", "rdtools_oracle.py", "worked.json", "requirements-oracle.lock.txt"}
    suite = {file.name for file in (here / "suite").iterdir()}
    assert {Path(name).name for _, name in said} == others | suite
    for digest, name in said:
        found = hashlib.sha256((root / name).read_bytes()).hexdigest()
        assert found == digest, f"{name} has changed: run make conformance, then write rdtools.csv again"


def _group_intervals(rows: pl.DataFrame, expected: dict[str, Day]) -> Iterator[tuple[str, list[Interval]]]:
    """Of each plant the seconds of its day at which intervals begin and end, their basis, and what they bridge."""
    starts = pl.DataFrame(
        {
            "plant_id": list(expected),
            "day_start": [dt.datetime.fromisoformat(day["day_start"]) for day in expected.values()],
        },
        schema_overrides={"day_start": rows.schema["interval_start"]},
    )
    since = [
        (pl.col(name) - pl.col("day_start")).dt.total_seconds() for name in ("interval_start", "interval_end")
    ]
    found = rows.join(starts, on="plant_id", how="left", maintain_order="left")
    shown = found.select("plant_id", *since, "interval_basis", "bridged_s").rows()
    for plant, its in groupby(shown, key=itemgetter(0)):
        yield plant, [row[1:] for row in its]


@pytest.mark.long
def test_a_window_query_reproduces_every_day(days: list[Day]) -> None:
    assert check.sql(days).worst_error(check.expected(days)) < MAX_ERROR


def test_a_constant_kilowatt_is_the_length_of_the_day(days: list[Day]) -> None:
    constant = [day for day in days if day["id"].startswith("constant")]
    for day in constant:
        assert Fraction(day["expected"]["kwh"]["pv_generation"]["exact"]) == Fraction(_seconds(day)) / 3600
    assert {_seconds(day) / 3600 for day in constant} == {23.0, 24.0, 25.0}


@pytest.mark.parametrize("wrong", [1.0 + 2e-9, 1.0 - 2e-9, 0.0, math.nan])
def test_a_wrong_energy_is_noticed(wrong: float) -> None:
    assert not check.worst_error({"a": Fraction(1), "b": Fraction(0)}, {"a": wrong, "b": 0.0}) < MAX_ERROR
    assert not check.worst_error({"a": Fraction(1)}, {}) < MAX_ERROR
    assert check.worst_error({"a": Fraction(1, 3), "b": Fraction(0)}, {"a": 1 / 3, "b": 0.0}) < MAX_ERROR


def test_the_days_of_a_month_add_up_to_the_month_in_any_order() -> None:
    zones = ("Europe/Berlin", "America/Havana", "Asia/Kathmandu")
    dates = [str(dt.date(2025, 10, 1) + dt.timedelta(days=number)) for number in range(31)]
    topics = [
        Topic(f"month in {zone}", 31, tuple((zone, date) for date in dates), gaps=0.1, uneven=0.3)
        for zone in zones
    ]
    drawn = {topic.name: [record(case) for case in cases(topic)] for topic in topics}
    _, daily = check.pipeline_rows([day for days in drawn.values() for day in days])
    # Three plants of a month each.
    daily = daily.with_columns(plant_id=pl.col("plant_id").str.replace(r"-\d+$", ""))
    starts = pl.DataFrame({"plant_id": list(drawn)}).with_columns(start_date=pl.lit(None, pl.Date))
    quantities = [f.column for f in ENERGY_BALANCE.powers]
    months = [
        summarize_months(daily.sample(fraction=1, shuffle=True, seed=seed), starts, quantities).sort(
            "plant_id"
        )
        for seed in range(6)
    ]
    assert all(other.equals(months[0]) for other in months)
    assert set(months[0]["plant_id"]) == set(drawn)
    for month in months[0].rows(named=True):
        plant, days = month["plant_id"], daily.filter(plant_id=month["plant_id"])
        assert month["n_days"] == 31, plant
        # To the last bit: the nearest number to the exact sum of the days.
        assert month["pv_generation_kwh"] == math.fsum(days["pv_generation_kwh"]), plant
        assert month["covered_h"] == math.fsum(days["covered_h"]), plant
        exact = sum(Fraction(day["expected"]["kwh"]["pv_generation"]["exact"]) for day in drawn[plant])
        found = {"month": month["pv_generation_kwh"]}
        assert check.worst_error({"month": Fraction(exact)}, found) < MAX_ERROR, plant
