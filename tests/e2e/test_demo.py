"""The demo as a stranger runs it: real recordings through HTTP and Dagster, judged by the inverter's own meter."""

import datetime as dt
import os
import re
import subprocess
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree

import duckdb
import polars as pl
import pytest

from pipeline.cli.bills.invoice_check import check_file
from pipeline.cli.demos.demo import MELBOURNE, NETHERLANDS
from pipeline.cli.sql import save_rows
from pipeline.run.measurement_sets import BALANCE
from pipeline.tables.interval_tables import read_intervals_with_basis
from schemas import TABLES, Table, storage
from tests.e2e.conftest import NAMES, ROOT, put_foreign_packages
from tests.programs import PATIENCE_S
from warehouse.lake import Lake
from warehouse.published_file.open_published import connect
from warehouse.questions import load_questions
from warehouse.questions.__main__ import FILE, write_answers

pytestmark = pytest.mark.long

RECORDINGS = ROOT / "sandbox" / "recordings"
OCTOBER = [dt.date(2021, 10, day) for day in range(1, 32)]
KEYED = [model for model in TABLES if storage(model).key and storage(model).published != "no"]
MONTH_KWH = 503.986
TOLERANCE_KWH = 0.01


@pytest.fixture(scope="module")
def demo(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The demo's folder and what it printed. It needs nothing but the wheel, and touches nothing beside its folder."""
    place = put_foreign_packages(tmp_path_factory.mktemp("demo") / "own")
    home = place / "demo"
    settings = {k: v for k, v in os.environ.items() if not k.startswith(("SMA_", "SUNLEDGER_"))}
    done = subprocess.run(
        [installed, "demo"],
        cwd=place,
        env={**settings, "SMA_TIME_BASIS": "utc", "SUNLEDGER_LAKE": str(home / "elsewhere")},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"{MONTH_KWH}" in done.stdout
    assert not (home / "elsewhere").exists()
    assert {path.name for path in place.iterdir()} == {*NAMES, "demo"}
    return home, done.stdout


@pytest.fixture(scope="module")
def warehouse(demo: tuple[Path, str]) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(str(demo[0] / "sunledger.duckdb"), read_only=True) as connection:
        connection.execute("SET TimeZone='UTC'")
        yield connection


def meter(name: str, timezone: str) -> dict[dt.date, float]:
    """kWh by plant-local day, by the recorder's counter: its last value of the day less that of the day before."""
    recording = pl.read_parquet(RECORDINGS / name).sort("interval_end_utc")
    local = pl.col("interval_end_utc").dt.convert_time_zone(timezone) - pl.duration(microseconds=1)
    ends = recording.group_by(local.dt.date().alias("day"), maintain_order=True).agg(
        pl.col("energy_counter_kwh").first().alias("first"), pl.col("energy_counter_kwh").last().alias("last")
    )
    found, before = {}, None
    for day, first, last in ends.rows():
        # Where the day before was not recorded, the counter began to turn after the first row, which is at night.
        begin = before[1] if before and before[0] == day - dt.timedelta(days=1) else first
        found[day] = last - begin
        before = (day, last)
    return found


def test_the_month_is_what_the_meter_counted(warehouse: duckdb.DuckDBPyConnection) -> None:
    (row,) = warehouse.execute(
        "SELECT pv_generation_kwh, coverage, status, n_days FROM energy_monthly WHERE plant_id = ?",
        [MELBOURNE],
    ).fetchall()
    assert row[0] == pytest.approx(MONTH_KWH, abs=TOLERANCE_KWH)
    assert row[1:] == (1.0, "complete", 31)


def test_every_day_is_what_the_meter_counted(warehouse: duckdb.DuckDBPyConnection) -> None:
    days = dict(
        warehouse.execute(
            "SELECT local_date, pv_generation_kwh FROM energy_daily WHERE plant_id = ?", [MELBOURNE]
        ).fetchall()
    )
    counted = meter("sb4000tl_melbourne.parquet", "Australia/Brisbane")
    assert sorted(days) == OCTOBER
    for day in OCTOBER:
        assert days[day] == pytest.approx(counted[day], abs=TOLERANCE_KWH), day


def test_the_dutch_days_agree_where_they_are_whole(warehouse: duckdb.DuckDBPyConnection) -> None:
    days = dict(
        warehouse.execute(
            "SELECT local_date, pv_generation_kwh FROM energy_daily WHERE plant_id = ? AND status = 'complete'",
            [NETHERLANDS],
        ).fetchall()
    )
    counted = meter("stp6000_netherlands.parquet", "Europe/Amsterdam")
    whole = [dt.date(2025, 7, day) for day in range(10, 14)]
    assert set(whole) <= set(days)
    for day in whole:
        assert days[day] == pytest.approx(counted[day], abs=TOLERANCE_KWH), day


def test_the_other_time_basis_gives_another_answer(demo: tuple[Path, str]) -> None:
    home, printed = demo
    lake = Lake(str(home / "lake"), home / "tmp")
    read = {
        basis: read_intervals_with_basis(lake, BALANCE, MELBOURNE, OCTOBER, basis)["pv_generation_kwh"].sum()
        for basis in ("plant_local", "utc")
    }
    assert read["plant_local"] == pytest.approx(MONTH_KWH, abs=TOLERANCE_KWH)
    assert abs(read["utc"] - MONTH_KWH) > 1
    assert "verdict by the position of the sun: plant_local" in printed


def test_all_fourteen_plants_are_there_with_their_days(warehouse: duckdb.DuckDBPyConnection) -> None:
    plants = warehouse.execute(
        "SELECT count(*), count(DISTINCT backend), count(DISTINCT timezone) FROM plants"
    )
    assert plants.fetchall() == [(14, 2, 5)]
    days = warehouse.execute(
        "SELECT count(DISTINCT local_date), count(*) FROM energy_daily WHERE local_date < DATE '2022-01-01'"
    ).fetchall()
    # The Dutch recording begins in 2025: before that it has no days, and none are missing.
    assert days == [(31, 13 * 31)]
    assert warehouse.execute("SELECT count(*) FROM quarantine").fetchall() == [(0,)]


def test_what_was_asked_for_has_its_price(warehouse: duckdb.DuckDBPyConnection) -> None:
    systems = "SELECT count(DISTINCT plant_id), min(fee_eur) > 0, max(fee_eur) FROM billing_units"
    assert warehouse.execute(systems).fetchall() == [(14, True, Decimal("28.50"))]
    fifty = warehouse.execute("SELECT DISTINCT fee_eur FROM billing_units WHERE capacity_kw = 50").fetchall()
    assert fifty == [(Decimal("16.50"),)]
    sums = "SELECT sum(fee_eur) = (SELECT sum(fees_eur) FROM invoices) FROM billing_units"
    assert warehouse.execute(sums).fetchall() == [(True,)]


def test_the_page_and_the_picture_are_whole(demo: tuple[Path, str]) -> None:
    home, printed = demo
    ElementTree.parse(home / "melbourne-2021-10.svg")  # noqa: S314 - our own file
    page = (home / "index.html").read_text()
    assert "503.986" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
    for word in (
        "page",
        "picture",
        "warehouse",
        "lake",
        "sunledger ui",
        "sunledger sql",
        "READ_ONLY",
        "doctor",
    ):
        assert word in printed


def test_plant_figures_follow_from_the_published_energies(warehouse: duckdb.DuckDBPyConnection) -> None:
    figures = """
        SELECT k.final_yield_kwh_per_kw, k.performance_ratio_clear_sky, k.irradiation_source,
            k.self_supply_rate_reason, k.performance_ratio_reason
        FROM kpi_monthly AS k WHERE plant_id = ?
    """
    (row,) = warehouse.execute(figures, [MELBOURNE]).fetchall()
    assert row[0] == pytest.approx(MONTH_KWH / 4, abs=TOLERANCE_KWH)
    assert 0.4 < row[1] < 0.8
    assert row[2:] == ("clear_sky", "nothing_measured", "irradiation_not_measured")
    sums = """
        SELECT count(*) FROM kpi_monthly AS m JOIN (
            SELECT plant_id, date_trunc('month', local_date) AS month, sum(pv_generation_kwh) AS kwh
            FROM kpi_daily GROUP BY ALL
        ) AS d USING (plant_id, month) JOIN energy_monthly AS e USING (plant_id, month)
        WHERE abs(m.pv_generation_kwh - d.kwh) < 1e-9 AND m.pv_generation_kwh = e.pv_generation_kwh
    """
    assert warehouse.execute(sums).fetchall() == [(14,)]


def test_the_forty_questions_have_the_answers_that_are_documented(
    warehouse: duckdb.DuckDBPyConnection,
) -> None:
    assert write_answers(warehouse) == FILE.read_text(), (
        "Run 'python -m warehouse.questions demo' after 'make demo'."
    )


def test_a_day_by_utc_is_another_one_than_the_plant_s_own(warehouse: duckdb.DuckDBPyConnection) -> None:
    """Question 24 beside both sums of the recording itself."""
    (question,) = (each for each in load_questions() if each.number == 24)
    found = {day: (local, utc) for day, local, utc in warehouse.execute(question.query).fetchall()}
    rows = pl.read_parquet(RECORDINGS / "sb4000tl_melbourne.parquet").select(
        # The value is the mean of the five minutes before its time.
        middle=pl.col("interval_end_utc") - pl.duration(minutes=2, seconds=30),
        kwh=pl.col("mean_power_w") / 12_000,
    )
    assert len(found) == 5
    for day, figures in found.items():
        by_clock = [
            rows.filter((pl.col("middle") + pl.duration(hours=hours)).dt.date() == day)["kwh"].sum()
            for hours in (10, 0)
        ]
        assert figures == (pytest.approx(by_clock[0], abs=1e-3), pytest.approx(by_clock[1], abs=1e-3))
        assert figures[0] != figures[1]


@pytest.mark.parametrize("model", KEYED, ids=lambda model: storage(model).table)
def test_no_two_rows_share_a_key(warehouse: duckdb.DuckDBPyConnection, model: type[Table]) -> None:
    key = ", ".join(storage(model).key)
    twice = f"SELECT {key} FROM {storage(model).table} GROUP BY {key} HAVING count(*) > 1"
    assert warehouse.execute(twice).fetchall() == []


def test_an_invoice_with_faults_is_compared(
    demo: tuple[Path, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """As docs/billing.md tells newcomers to try it."""
    for name in [name for name in os.environ if name.startswith(("SMA_", "SUNLEDGER_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SUNLEDGER_HOME", str(demo[0]))
    monkeypatch.chdir(tmp_path)
    invoice = tmp_path / "invoice.csv"
    with connect(demo[0] / "sunledger.duckdb") as connection:
        save_rows(connection, (ROOT / "docs" / "example-invoice.sql").read_text(), invoice, None)
    assert check_file(invoice, None, None, None) == 3
    printed = capsys.readouterr().out
    counts = dict(re.findall(r"^ +(agreed|ours only|theirs only|other \w+) +(\d+) ", printed, re.MULTILINE))
    assert int(counts.pop("agreed")) >= 11
    assert counts == {"ours only": "1", "theirs only": "1", "other class": "1", "other price": "1"}
