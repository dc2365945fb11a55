"""The measurement of the questions, at a size at which only its answers count."""

import datetime as dt
from pathlib import Path

import pytest

from bench.fleet import fill
from bench.growth import compute_milliseconds, draw_growth
from bench.program import ProgramCost
from bench.questions import compare
from bench.tuned import TUNED
from warehouse.lake import Lake
from warehouse.published_file.publish import publish
from warehouse.questions import load_questions

NOW = dt.datetime(2021, 11, 1, tzinfo=dt.UTC)


def test_each_question_is_answered_alike_by_the_file_and_by_its_tuned_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lake = Lake(str(tmp_path / "lake"), tmp_path / "scratch")
    fill(lake, plants=3, days=2)
    publish(lake, tmp_path / "sunledger.duckdb", now=NOW, version="bench")
    # Raises where two answers differ. How long they take says nothing here.
    compare(tmp_path, tries=1)
    lines = capsys.readouterr().out.splitlines()
    assert [int(line.split()[0]) for line in lines[1:]] == [question.number for question in load_questions()]
    assert list(TUNED) == list(range(1, 21))


def test_a_plant_day_of_a_fleet_is_what_it_costs_more_than_one_plant(tmp_path: Path) -> None:
    alone = {"first day": ProgramCost(4.0, 4.0, 300.0)}
    fleets = {
        11: {"first day": ProgramCost(4.5, 4.0, 300.0)},
        101: {"first day": ProgramCost(8.0, 6.0, 310.0)},
    }
    found = compute_milliseconds(alone, fleets)
    assert found == {"first day": {11: 50.0, 101: 40.0}}
    draw_growth(found, tmp_path / "growth.svg")
    assert "ms of CPU time a plant-day" in (tmp_path / "growth.svg").read_text()
