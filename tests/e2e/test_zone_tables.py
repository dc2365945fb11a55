"""One source of time zones: the locked package, whatever tables the machine or its user has."""

import subprocess
import sys
from pathlib import Path

import pytest
import tzdata

from schemas import EnergyDaily
from tests.programs import environment, sunledger
from tests.small_sma import SmallSma, listed, serving
from warehouse.lake import Lake

MEXICO = "America/Mexico_City"
# Mexico gave up summer time in October 2022, and Chicago's clocks still change: on this day, for one.
DAY = "2024-03-10"


@pytest.fixture
def old_tables(tmp_path: Path) -> Path:
    """A folder of zones in which Mexico's clocks still change."""
    folder = tmp_path / "zoneinfo"
    known = Path(tzdata.__file__).parent / "zoneinfo"
    (folder / "America").mkdir(parents=True)
    (folder / MEXICO).write_bytes((known / "America" / "Chicago").read_bytes())
    return folder


@pytest.mark.long
def test_a_day_without_a_change_of_clocks_has_24_hours_on_a_machine_with_an_old_table(
    tmp_path: Path, old_tables: Path
) -> None:
    with serving(SmallSma([listed("11", MEXICO, 19.4, -99.1)])) as sma:
        days = ["--from", DAY, "--to", DAY]
        result = sunledger(tmp_path, "backfill", *days, PYTHONTZPATH=str(old_tables), **sma.settings)
    assert result.returncode == 0, result.stdout + result.stderr
    lake = Lake(str(tmp_path / "home" / "lake"), tmp_path / "tmp")
    rows = lake.scan(EnergyDaily).select("status", "expected_h", "pv_generation_kwh").collect().rows()
    assert rows == [("complete", pytest.approx(11.9, abs=0.2), pytest.approx(24.0))], rows


@pytest.mark.long
@pytest.mark.parametrize(
    "module",
    [
        "pipeline.cli",
        "assets.definitions",
        "pipeline.common.day_availability",
        "assets.asset_checks",
        "warehouse.published_file.publish",
        "sandbox.days",
    ],
)
def test_whichever_module_comes_first_the_zones_are_the_packages(
    tmp_path: Path, old_tables: Path, module: str
) -> None:
    """Also for zones that something else looked at before."""
    program = (
        "import zoneinfo, datetime as dt\n"
        f"zoneinfo.ZoneInfo('{MEXICO}')\n"
        f"import {module}\n"
        f"summer = dt.datetime(2024, 7, 1, tzinfo=zoneinfo.ZoneInfo('{MEXICO}'))\n"
        "print(summer.utcoffset(), zoneinfo.TZPATH)"
    )
    command = [sys.executable, "-c", program]
    said = subprocess.run(
        command,
        env=environment(tmp_path, PYTHONTZPATH=str(old_tables)),
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert said.strip() == "-1 day, 18:00:00 ()"


def test_no_module_of_the_product_reads_a_zone_by_another_table() -> None:
    """Polars and DuckDB have tables of their own: times of plants' clocks go through one module."""
    root = Path(__file__).parents[2]
    found = {
        f"{path.relative_to(root)}: {word}"
        for room in ("pipeline", "assets", "warehouse", "schemas")
        for path in sorted((root / room).rglob("*.py"))
        for word in ("convert_time_zone(", "replace_time_zone(timezone", "replace_time_zone(zone")
        if word in path.read_text()
    }
    # The first compares the tables, the second turns moments of any zone into UTC, for which no table is read.
    assert found == {
        "pipeline/ops/doctor/time_zones.py: convert_time_zone(",
        "warehouse/published_file/own_tables.py: convert_time_zone(",
    }
