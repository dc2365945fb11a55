"""What `sunledger reconcile` says of plants that it could not compare."""

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from pipeline.cli.reconcile import run_month, run_year, show_plants_without
from pipeline.common.errors import UsageError
from pipeline.common.settings import load_settings
from pipeline.run.context import RunContext
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


def test_a_month_or_year_that_is_not_over_is_refused_before_anybody_is_asked(tmp_path: Path) -> None:
    # A plan of the requests, of which the question is made, would fail: no plant is stored.
    settings = load_settings(env_file=None, home=tmp_path, sma_client_id="a", sma_client_secret="b")
    runtime = RunContext(settings, now=lambda: dt.datetime(2026, 10, 31, 23, tzinfo=dt.UTC))
    with pytest.raises(UsageError, match="2026-10 is not over"):
        run_month(runtime, MONTH, None, yes=True)
    with pytest.raises(UsageError, match="2026 is not over"):
        run_year(runtime, 2026, None, yes=True)
