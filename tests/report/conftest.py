"""A plant's month, made up: a bell of power each day, as rows of the warehouse's tables."""

import shutil
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from pipeline.report import monthly
from schemas import EnergyBalanceIntervals, EnergyDaily, EnergyMonthly, polars_schema
from tests.report.fleet import published_fleet

Rows = Callable[..., pl.DataFrame]

OCTOBER = date(2021, 10, 1)
ZONE = "Australia/Brisbane"


def _frame(schema: pl.Schema, rows: list[dict[str, object]]) -> pl.DataFrame:
    """Rows with the model's columns and types; what a row doesn't say is null."""
    return pl.DataFrame(rows, schema={name: schema[name] for name in schema})


@pytest.fixture(scope="session")
def day_rows() -> Rows:
    """Rows of energy_daily: `day_rows({1: 12.5, 2: None}, {2: {"status": "missing"}})`."""

    def build(
        kwh: dict[int, float | None],
        changes: dict[int, dict[str, object]] | None = None,
        *,
        month: date = OCTOBER,
        plant_id: str = "1",
    ) -> pl.DataFrame:
        rows = [
            {
                "plant_id": plant_id,
                "local_date": month.replace(day=day),
                "pv_generation_kwh": value,
                "covered_h": 12.0,
                "expected_h": 12.0,
                "coverage": 1.0,
                "largest_gap_min": 0.0,
                "n_rows": 144,
                "n_flagged": 0,
                "n_suspect": 0,
                "status": "complete",
            }
            | (changes or {}).get(day, {})
            for day, value in kwh.items()
        ]
        return _frame(polars_schema(EnergyDaily), rows)

    return build


@pytest.fixture(scope="session")
def interval_rows() -> Rows:
    """Rows of energy_balance_intervals: `watts(hour)` through each of the days, in steps of `minutes`."""

    def build(
        days: list[int],
        watts: Callable[[float], float | None] = lambda hour: max(0.0, 3000.0 - 500.0 * abs(hour - 12)),
        *,
        month: date = OCTOBER,
        zone: str = ZONE,
        minutes: int = 15,
    ) -> pl.DataFrame:
        rows = []
        step = timedelta(minutes=minutes)
        for day in days:
            at = datetime.combine(month.replace(day=day), time(), ZoneInfo(zone))
            start, end = (moment.astimezone(ZoneInfo("UTC")) for moment in (at, at + timedelta(days=1)))
            while start < end:
                local = (start + step / 2).astimezone(ZoneInfo(zone))
                power = watts(local.hour + local.minute / 60)
                rows.append(
                    {
                        "plant_id": "1",
                        "local_date": month.replace(day=day),
                        "interval_start": start,
                        "interval_end": start + step,
                        "interval_basis": "previous_row",
                        "flagged": False,
                        "suspect": False,
                        "pv_generation_w": power,
                        "pv_generation_kwh": None if power is None else power * minutes / 60_000,
                    }
                )
                start += step
        return _frame(polars_schema(EnergyBalanceIntervals), rows)

    return build


@pytest.fixture(scope="session")
def month_rows() -> Rows:
    """Rows of energy_monthly with the plant's name, each changed by one of the dictionaries."""

    def build(*changes: dict[str, object]) -> pl.DataFrame:
        rows = [
            {
                "plant_id": str(number),
                "month": OCTOBER,
                "n_days": 31,
                "n_days_missing": 0,
                "pv_generation_kwh": 1234.5678,
                "covered_h": 372.0,
                "expected_h": 372.0,
                "coverage": 1.0,
                "largest_gap_min": 0.0,
                "n_rows": 8928,
                "n_flagged": 0,
                "n_suspect": 0,
                "status": "complete",
                "name": f"Plant {number}",
            }
            | change
            for number, change in enumerate(changes, start=1)
        ]
        schema = pl.Schema({**polars_schema(EnergyMonthly), "name": pl.String()})
        return _frame(schema, rows)

    return build


@pytest.fixture(scope="session")
def published(
    tmp_path_factory: pytest.TempPathFactory, day_rows: Rows, interval_rows: Rows, month_rows: Rows
) -> Path:
    """The published file of `published_fleet`, for tests that only read it."""
    return published_fleet(tmp_path_factory.mktemp("published"), day_rows, interval_rows, month_rows)


@pytest.fixture
def file(published: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copy(published, tmp_path / "sunledger.duckdb")


@pytest.fixture
def undrawn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is drawn: a page's pictures take it half a second of CPU. A test that looks at them takes `drawn` too."""
    if "drawn" not in request.fixturenames:
        monkeypatch.setattr(monthly, "draw_plots", lambda *_: [])


@pytest.fixture
def drawn() -> None:
    """Pictures are drawn."""
