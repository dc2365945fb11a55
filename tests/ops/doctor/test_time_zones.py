"""What Python, polars and DuckDB know of time zones is compared, and a difference is reported with the cure."""

import datetime as dt
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tzdata

from pipeline.ops.doctor.result import Level
from pipeline.ops.doctor.time_zones import AHEAD, evaluate_zones, find_zone_differences
from tests.programs import environment

ROOT = Path(__file__).parents[3]
# Where the table of polars has no rules: placeholders, no zones of a plant.
NO_PLACES = {"Factory"}


def test_zones_of_which_all_say_the_same_are_well() -> None:
    first = dt.datetime(2015, 1, 1, tzinfo=dt.UTC)
    zones = ["Europe/Berlin", "America/Mexico_City", "Australia/Lord_Howe", "Asia/Tokyo"]
    assert list(find_zone_differences(zones, first, first + 12 * AHEAD)) == []
    (found,) = evaluate_zones(zones, "2026f", [])
    assert (found.level, found.text) == (
        Level.OK,
        "tzdata 2026f; polars and DuckDB agree on 4 time zones",
    )


@pytest.mark.long
def test_an_old_table_is_told_with_a_moment_and_the_cure(tmp_path: Path) -> None:
    """A package `tzdata` of years ago comes first, as an environment that was not set up again has it."""
    known = Path(tzdata.__file__).parent
    zones = shutil.copytree(known, tmp_path / "tzdata") / "zoneinfo" / "America"
    shutil.copy(zones / "Chicago", zones / "Mexico_City")
    program = (
        "import datetime as dt\n"
        "from pipeline.ops.doctor.time_zones import evaluate_zones, find_zone_differences\n"
        "first = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)\n"
        "zones = ['America/Mexico_City']\n"
        "found = list(find_zone_differences(zones, first, dt.datetime(2024, 12, 31, tzinfo=dt.UTC)))\n"
        "for one in evaluate_zones(zones, '2022a', found): print(one.level, one.text)"
    )
    said = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(tmp_path, PYTHONPATH=f"{tmp_path}:{ROOT}"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    moment = "at 2024-03-10 08:00 UTC it is 03:00 in America/Mexico_City, and 02:00 there"
    assert [line[:4] for line in said] == ["warn", "warn"], said
    for line, engine in zip(said, ("DuckDB", "polars"), strict=True):
        assert f"{engine} and Python (tzdata 2022a) have different rules for time zones: {moment}. " in line
        assert "set the environment up again with 'make setup'" in line


def test_a_zone_that_an_engine_does_not_know_is_told() -> None:
    first = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    found = list(find_zone_differences(NO_PLACES, first, first + AHEAD))
    assert [(one.engine, one.shown) for one in found] == [("polars", None)]
    (told,) = evaluate_zones(NO_PLACES, "2026f", found)
    assert "Factory is unknown there" in told.text
