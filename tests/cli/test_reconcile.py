"""What `sunledger reconcile` says of plants that it could not compare."""

import datetime as dt

import polars as pl
import pytest

from pipeline.cli.reconcile import show_plants_without
from pipeline.run.notices import MissingItem, Notices
from pipeline.sma.requests import Request

MONTH = dt.date(2026, 10, 1)


def test_plants_without_a_figure_of_sma_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    asked = [Request.measured(plant, "", "EnergyBalance", "Month", MONTH) for plant in ("1", "2", "3")]
    failed = Notices.of([MissingItem(str(MONTH), "raw_energy_months", "3", "SMA answered 503.")])
    show_plants_without(asked, pl.DataFrame({"plant_id": ["1", "1"]}), failed)
    told = " ".join("".join(capsys.readouterr()).split())
    assert told == "1 plant can't be compared, because SMA gave no energy of days that are stored here: 2."
    show_plants_without(asked, pl.DataFrame({"plant_id": ["1", "2"]}), failed)
    assert "".join(capsys.readouterr()) == ""
