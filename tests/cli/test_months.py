"""Closing, opening and reconciling a month as a user types it, on a small lake: exit codes, words, published rows."""

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import duckdb
import polars as pl
import pytest
from typer.testing import CliRunner, Result

from pipeline.cli.commands import app
from pipeline.common.errors import SunledgerError, UsageError
from pipeline.common.settings import Settings
from pipeline.extract.fetch import SetFetch
from pipeline.extract.vendor_energies import fetch_energy_months
from pipeline.run.context import RunContext
from pipeline.run.measurement_sets import BALANCE
from pipeline.run.notices import Notices
from pipeline.sma.requests import Request
from pipeline.tables.energy_tables import write_energy_daily, write_energy_monthly
from pipeline.tables.hourly_tables import write_energy_hourly, write_profile_monthly, write_quarter_energies
from pipeline.tables.interval_tables import write_intervals
from pipeline.tables.kpi_tables import write_kpi_daily, write_kpi_monthly
from pipeline.tables.month_close import NotClosableError, judge_closed_months
from schemas import Adjustments, EnergyDaily, Plants, RawEnergyBalance
from tests.scripted import NOW, ScriptedSma, compact, rows
from tests.whole_days import run
from warehouse.published_file.publish import publish

New = Callable[..., RunContext]
# Two days of the month: the plants began on the first of them.
FIRST, LAST = dt.date(2021, 9, 29), dt.date(2021, 9, 30)
MONTH = "2021-09"
PLANT, QUIET = "11", "12"


@pytest.fixture
def lake(
    new_runtime: New, sma: ScriptedSma, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> RunContext:
    """The days of two plants in a lake that the commands find too."""
    sma.started = "2021-09-28T14:00:00"
    made = run(new_runtime(), FIRST, LAST)
    # The second one first: it takes the name from the other when it is loaded.
    for place in ("pipeline.cli.reconcile.record_runs", "assets.runs.record_runs"):
        monkeypatch.setattr(place, publishing)
    monkeypatch.setenv("SUNLEDGER_HOME", str(settings.home))
    monkeypatch.setenv("SMA_TIME_BASIS", settings.sma_time_basis)
    monkeypatch.chdir(settings.home.parent)
    return made


@dataclass(frozen=True)
class Publishing:
    """Publishes as a run of Dagster's would, at a tenth of its cost."""

    runtime: RunContext
    notices: Notices = field(default_factory=Notices)

    def publish(self) -> list[str]:
        publish(self.runtime.lake, self.runtime.settings.warehouse, now=NOW, version="test")
        return []


@contextmanager
def publishing(runtime: RunContext, **_: Any) -> Iterator[Publishing]:
    yield Publishing(runtime)


def typed(*words: str) -> Result:
    return CliRunner().invoke(app, list(words), catch_exceptions=True)


def published(settings: Settings, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(settings.warehouse), read_only=True) as connection:
        return connection.execute(query).fetchall()


MONTH_SHEET = (
    "SELECT plant_id, round(pv_generation_kwh, 9), closed_at IS NOT NULL, round(pv_generation_adjustment_kwh, 9) "
    f"FROM v_energy_monthly WHERE month = DATE '{MONTH}-01' ORDER BY plant_id"
)


PV_OF_MONTH = f"""
SELECT k.plant_id, round(k.pv_generation_kwh, 9), k.coverage, round(sum(p.pv_generation_kwh), 9)
FROM kpi_monthly AS k JOIN profile_monthly AS p USING (plant_id, month)
WHERE month = DATE '{MONTH}-01' GROUP BY ALL ORDER BY ALL
"""


def add_up(runtime: RunContext, *days: dt.date) -> None:
    """The figures and hours of the days, and what months are made of beside energy."""
    for day in days:
        write_kpi_daily(runtime, day)
        write_quarter_energies(runtime, day)
        write_energy_hourly(runtime, day)
    for step in (write_kpi_monthly, write_profile_monthly):
        step(runtime)


def test_a_month_is_closed_adjusted_and_opened_again(
    lake: RunContext, new_runtime: New, sma: ScriptedSma, settings: Settings
) -> None:
    """Plant figures and the profile of a closed month stay with its energy."""
    add_up(lake, FIRST, LAST)
    assert "No month is closed" in typed("close").stderr
    done = typed("close", MONTH)
    assert (done.exit_code, f"Closed {MONTH} with 2 plants" in done.stderr) == (0, True), done.stderr
    # Values that are suspicious, and nothing else, are told and do not stop the closing.
    told = "4 of 4 plant-days are to be checked, in 2 plants: 4 with suspicious values"
    assert told in " ".join(done.stderr.split())
    assert published(settings, MONTH_SHEET) == [(PLANT, 48.0, True, None), (QUIET, 48.0, True, None)]
    closed = [(PLANT, 48.0, 1.0, 48.0), (QUIET, 48.0, 1.0, 48.0)]
    assert published(settings, PV_OF_MONTH) == closed
    again = typed("close", MONTH)
    assert isinstance(again.exception, NotClosableError)
    assert "closed already" in str(again.exception)

    # A day of it is read again and differs: the closed figure stays, and the difference is reported wherever one looks.
    sma.watts[PLANT, str(LAST)] = 2000.0
    runtime = run(new_runtime(), LAST)
    finding = judge_closed_months(runtime)
    assert (finding.passed, MONTH in finding.text) == (False, True)
    assert finding.facts["pv_adjustment_kwh"] == pytest.approx(24.0)
    report = write_energy_monthly(runtime)
    assert report.facts["closed_months_changed"] == [f"{MONTH}: 1 plant, PV generation +24.000 kWh"]
    add_up(runtime, LAST)
    assert typed("publish").exit_code == 0
    assert published(settings, MONTH_SHEET) == [(PLANT, 48.0, True, 24.0), (QUIET, 48.0, True, None)]
    assert published(settings, PV_OF_MONTH) == closed
    restated = "SELECT plant_id, quantity, closed, cause FROM restatements"
    assert published(settings, restated) == [(PLANT, "pv_generation", True, "answer_changed")]
    listed = typed("close", "--list")
    assert [word in listed.stdout for word in (MONTH, "96.0", "+24.000")] == [True] * 3

    opened = typed("open", MONTH)
    assert (opened.exit_code, f"Opened {MONTH}" in opened.stderr) == (0, True)
    assert published(settings, MONTH_SHEET) == [(PLANT, 72.0, False, None), (QUIET, 48.0, False, None)]
    assert published(settings, PV_OF_MONTH) == [(PLANT, 72.0, 1.0, 72.0), closed[1]]
    assert isinstance(typed("open", MONTH).exception, NotClosableError)


@pytest.mark.long
@pytest.mark.parametrize("command", ["close", "open"])
def test_what_could_not_be_published_at_first_is_published_by_the_same_command_again(
    lake: RunContext, settings: Settings, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    assert typed("publish").exit_code == 0
    if command == "open":
        assert typed("close", MONTH).exit_code == 0
    usual = Publishing.publish

    def fail(_: Publishing) -> list[str]:
        raise SunledgerError("The disk is full.")

    monkeypatch.setattr(Publishing, "publish", fail)
    assert typed(command, MONTH).exit_code == 1
    is_closed = "SELECT DISTINCT closed_at IS NOT NULL FROM energy_monthly"
    assert published(settings, is_closed) == [(command == "open",)]
    monkeypatch.setattr(Publishing, "publish", usual)
    again = typed(command, MONTH)
    assert (again.exit_code, "It was published now" in again.stderr) == (0, True), again.stderr
    assert published(settings, is_closed) == [(command == "close",)]
    assert isinstance(typed(command, MONTH).exception, NotClosableError)
    assert isinstance(typed("open", "2021-08").exception, NotClosableError)


def test_a_month_with_days_that_are_not_final_is_closed_only_anyway(
    lake: RunContext, settings: Settings
) -> None:
    lake.lake.replace(EnergyDaily, {"local_date": FIRST}, [], empty=True)
    refused = typed("close", MONTH)
    assert isinstance(refused.exception, NotClosableError)
    assert f"2 days that are not final: plant {PLANT} {FIRST}: not_fetched" in str(refused.exception)
    done = typed("close", MONTH, "--anyway")
    assert done.exit_code == 0
    # Both plants lack one of two days, which counts as missing like any other.
    said = " ".join(done.stderr.split())
    assert "Values cover 50.0% of the expected time of the month" in said
    assert "and 2 of 2 plants are not complete" in said
    assert published(settings, MONTH_SHEET) == [(PLANT, 24.0, True, None), (QUIET, 24.0, True, None)]
    # The day that was lacking is then a difference like any other.
    write_energy_daily(lake, FIRST)
    write_energy_monthly(lake)
    assert set(lake.lake.scan(Adjustments).collect()["difference_kwh"].round(9)) == {24.0}
    for month, why in (("2021-08", "has no energy"), ("2021-13", "write it as YYYY-MM")):
        assert why in str(typed("close", month).exception)


@pytest.mark.long
def test_an_incomplete_month_says_what_it_lacks_and_is_closed_only_anyway(
    lake: RunContext, new_runtime: New, sma: ScriptedSma, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of four plant-days is silent, on another one the plant has half of what its inverter has."""
    for plant, day, watts in ((PLANT, LAST, None), (QUIET, LAST, 500.0)):
        lake.lake.replace(RawEnergyBalance, {"local_date": day}, [], plants={plant}, empty=True)
        sma.watts[plant, str(day)] = watts

    def special(request: Request) -> bytes | None:
        if request.device_id and request.date == str(LAST):
            return compact({"set": rows(str(LAST), 1000.0), "resolution": "FiveMinutes"})
        return None

    sma.special = special
    run(new_runtime(), LAST)
    sma.special = month_answer
    sma.answered_at = later = dt.datetime(2022, 1, 5, 12, tzinfo=dt.UTC)
    asking = new_runtime(again=False)
    asking.now = lambda: later
    fetch_energy_months(asking, dt.date(2021, 9, 1))

    refused = typed("close", MONTH)
    assert isinstance(refused.exception, NotClosableError)
    expected_h = sum(lake.lake.scan(EnergyDaily).collect()["expected_h"])
    silent_h = expected_h / 4
    said = [
        f"{MONTH} is not complete",
        "4 of 4 plant-days are to be checked, in 2 plants: 1 missing, 3 with suspicious values (v_days_to_check)",
        f"74.9% of the expected time of the month, {silent_h:.1f} h are missing, and 1 of 2 plants is",
        # 24 kWh of the silent day, 12 of the other one.
        "On 2 plant-days inverters have 36.000 kWh more than their plants",
        # SMA has 52.8 and 48 kWh, measured are 24 and 36.
        "pv_generation of 2 plants is 40.800 kWh less than SMA's own figure",
        "close the month with --anyway",
    ]
    assert [text for text in said if text not in str(refused.exception)] == []
    assert published_if_any(settings) == []
    done = typed("close", MONTH, "--anyway")
    assert done.exit_code == 0, done.exception
    shown = " ".join(done.stderr.split())
    assert [text for text in said[1:-1] if text not in shown] == []
    assert published(settings, MONTH_SHEET) == [(PLANT, 24.0, True, None), (QUIET, 36.0, True, None)]


def published_if_any(settings: Settings) -> list[tuple[Any, ...]]:
    return published(settings, MONTH_SHEET) if settings.warehouse.exists() else []


@pytest.mark.long
def test_what_a_plant_that_moved_after_the_closing_changed_stands_beside_its_closed_row(
    lake: RunContext, new_runtime: New, sma: ScriptedSma, settings: Settings
) -> None:
    assert typed("close", MONTH).exit_code == 0
    plants = lake.lake.scan(Plants).collect()
    new = plants.filter(plant_id=PLANT).with_columns(plant_id=pl.lit("99"), migrated_from=pl.lit(PLANT))
    lake.lake.replace(Plants, {}, [pl.concat([plants, new]).sort("plant_id")])
    write_energy_monthly(lake)
    # To move alone changes nothing.
    assert lake.lake.scan(Adjustments).collect().height == 0
    sma.watts[PLANT, str(LAST)] = 500.0
    for _ in SetFetch(BALANCE)(new_runtime(), [LAST]):
        pass
    write_intervals(lake, BALANCE, LAST)
    write_energy_daily(lake, LAST)
    write_energy_monthly(lake)
    assert typed("publish").exit_code == 0
    assert published(settings, MONTH_SHEET) == [(PLANT, 48.0, True, -12.0), (QUIET, 48.0, True, None)]


def month_answer(request: Request) -> bytes | None:
    """SMA's own energies: of one plant a tenth more than was measured, of the other the same."""
    if request.period not in {"Month", "Year"}:
        return None
    wh = 26_400.0 if request.plant_id == PLANT else 24_000.0
    rows = [{"time": f"{day}T00:00:00", "pvGeneration": wh} for day in (FIRST, LAST)]
    if request.period == "Year":
        rows = [{"time": f"{MONTH}-01T00:00:00", "pvGeneration": 2 * wh}]
    return compact({"set": rows, "resolution": "OneDay"})


def test_a_month_and_a_year_are_compared_with_smas_own_figures(
    lake: RunContext, new_runtime: New, sma: ScriptedSma, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = dt.datetime(2022, 1, 5, 12, tzinfo=dt.UTC)
    sma.special = month_answer
    sma.answered_at = later

    def runtime(*_: object, **__: object) -> RunContext:
        found = new_runtime(again=False)
        found.now = lambda: later
        return found

    monkeypatch.setattr("pipeline.cli.fetch_commands.open_runtime", runtime)
    refused = typed("reconcile", "--month", MONTH, "--max-requests", "1")
    assert isinstance(refused.exception, UsageError)
    assert "needs 2 requests, more than --max-requests 1" in str(refused.exception)
    sma.asked.clear()
    done = typed("reconcile", "--month", MONTH)
    assert done.exit_code == 0, done.stderr
    assert [(asked.period, asked.date) for asked in sma.asked] == [("Month", MONTH)] * 2
    assert f"{MONTH} needs 2 requests" in done.stderr
    assert "Compared 4 figures of 2 plants: 2 equal, 2 unexplained" in done.stderr
    shown = [line.split() for line in done.stdout.splitlines() if str(FIRST) in line]
    assert [word for word in shown[0] if word[0].isalnum() or word[0] == "-"] == [
        PLANT, str(FIRST), "pv_generation", "24.000", "26.400", "-2.400", "0.129", "unexplained", "measured"
    ]  # fmt: skip
    assert "needs 0 requests" in typed("reconcile", "--month", MONTH).stderr
    columns = "plant_id, period, reason, would_book"
    assert published(
        settings, f"SELECT {columns} FROM reconciliation WHERE period = 'month' ORDER BY ALL"
    ) == [
        (PLANT, "month", "unexplained", "measured"),
        (QUIET, "month", "none", "measured"),
    ]
    year = typed("reconcile", "--year", "2021")
    assert year.exit_code == 0, year.stderr
    assert "2021 needs 2 requests" in year.stderr
    query = "SELECT plant_id, reason, vendor_days_kwh, vendor_kwh FROM reconciliation_yearly WHERE period = 'month'"
    assert published(settings, f"{query} ORDER BY ALL") == [
        (PLANT, "gap", pytest.approx(52.8), pytest.approx(52.8)), (QUIET, "none", 48.0, 48.0)
    ]  # fmt: skip
    for words in (["reconcile"], ["reconcile", "--month", MONTH, "--year", "2021"]):
        assert "either --month or --year" in str(typed(*words).exception)
