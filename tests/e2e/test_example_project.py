"""The example project of docs/dagster.md: a project of somebody's own that has merged sunledger's graph into it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from sandbox.launch import SandboxAddress
from tests.programs import environment

EXAMPLE = Path(__file__).parents[2] / "docs" / "example-project"
BIN = Path(sys.executable).parent
DAY = "2021-10-01"

pytestmark = pytest.mark.long


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the example, outside of the checkout."""
    return shutil.copytree(EXAMPLE, tmp_path / "portfolio")


def run(project: Path, box: SandboxAddress, program: str, *words: str) -> str:
    """What the program says, started in the project's folder; fails where it does."""
    home = project.parent / "home"
    own = {
        "SUNLEDGER_ASSET_PREFIX": "solar",
        "DAGSTER_HOME": str(home / "dagster"),
        "VIRTUAL_ENV": str(BIN.parent),
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
    }
    done = subprocess.run(
        [BIN / program, *words],
        cwd=project,
        env=environment(project.parent, **box.settings(), **own),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_dagster_s_own_tools_find_the_merged_definitions(project: Path, small_box: SandboxAddress) -> None:
    (project.parent / "home" / "dagster").mkdir(parents=True)
    assert "All definitions loaded successfully." in run(project, small_box, "dg", "check", "defs")
    said = run(project, small_box, "dagster", "definitions", "validate", "-m", "portfolio.definitions")
    assert "Validation successful" in said


def test_a_day_is_made_from_sma_to_the_project_s_own_asset(project: Path, small_box: SandboxAddress) -> None:
    run(project, small_box, "sunledger", "refresh")
    run(project, small_box, "dg", "launch", "--job", "revenue_days", "--partition", DAY)
    home = project.parent / "home"
    with duckdb.connect(str(home / "sunledger.duckdb"), read_only=True) as published:
        energy = dict(
            published.execute(
                f"SELECT plant_id, grid_feed_in_kwh FROM energy_daily WHERE local_date = '{DAY}'"
            ).fetchall()
        )
    revenue = duckdb.read_parquet(str(home / "revenue" / f"{DAY}.parquet"))
    earned = dict(revenue.project("plant_id, eur").fetchall())
    assert earned == pytest.approx(
        {"5000000": energy["5000000"] * 0.0786, "5000022": energy["5000022"] * 0.086}
    )
    assert min(earned.values()) > 0
