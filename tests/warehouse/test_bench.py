"""The measurement of the questions, at a size at which only its answers count."""

import datetime as dt
from pathlib import Path

import pytest

from bench.fleet import fill
from bench.questions import compare
from bench.tuned import TUNED
from warehouse.lake import Lake
from warehouse.publish import publish
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
