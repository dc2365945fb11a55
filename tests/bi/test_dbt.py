"""The example project of docs/example-dbt, built by dbt on a published file; `make dbt` sets up its environment."""

import datetime as dt
import json
import os
import shutil
import subprocess
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from schemas import BillingUnits, EnergyDaily, PlantAttributes, QuarterHours
from tests.small_lake import FIRST, MONTH, NOW, fill, put
from warehouse.lake import Lake
from warehouse.published_file.publish import publish

ROOT = Path(__file__).parents[2]
DBT = ROOT / ".venv-dbt" / "bin" / "dbt"
EXAMPLE = ROOT / "docs" / "example-dbt"
BEFORE = FIRST.replace(year=2020)

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not DBT.exists(), reason="there is no dbt in .venv-dbt: make dbt"),
]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Two plants in a group, a day of the year before, what both cost, and a quarter on each side of UTC's midnight."""
    lake = Lake(str(tmp_path / "lake"), tmp_path / "scratch")
    fill(lake)
    put(lake, PlantAttributes, [{"plant_id": plant, "plant_group": "Roofs"} for plant in "ab"])
    put(lake, EnergyDaily, [{"plant_id": "a", "local_date": BEFORE, "pv_generation_kwh": 24.0}])
    units = [
        {"plant_id": "a", "fee_eur": Decimal("14.25"), "pricing": "priced"},
        {"plant_id": "b", "pricing": "no_capacity"},
    ]
    put(
        lake,
        BillingUnits,
        [
            {"month": month, "n_requests": 1} | unit
            for month in (MONTH, dt.date(2021, 11, 1))
            for unit in units
        ],
    )
    midnight = dt.datetime(2021, 10, 1, tzinfo=dt.UTC)
    starts = [midnight - dt.timedelta(minutes=15), midnight]
    quarters = [{"quarter_start": start, "pv_generation_kwh": 1.0} for start in starts]
    put(lake, QuarterHours, [quarter | {"plant_id": "a", "local_date": FIRST} for quarter in quarters])
    return lake


def run_dbt(project: Path, published: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """dbt in the project's folder, on a machine that is far from UTC."""
    settings = {"SUNLEDGER_WAREHOUSE": str(published), "TZ": "America/Los_Angeles"}
    return subprocess.run(
        [DBT, *words, "--profiles-dir", "."],
        cwd=project,
        env=os.environ | settings,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_example_builds_documents_and_leaves_the_published_file_alone(lake: Lake, tmp_path: Path) -> None:
    project = shutil.copytree(EXAMPLE, tmp_path / "project")
    published = tmp_path / "sunledger.duckdb"
    publish(lake, published, now=NOW, version="1")
    kept = published.read_bytes()
    built = run_dbt(project, published, "build")
    assert built.returncode == 0, built.stdout + built.stderr
    assert "WARN=0 ERROR=0 SKIP=0" in built.stdout
    with duckdb.connect(str(project / "analytics.duckdb"), read_only=True) as connection:
        groups = "SELECT plant_group, n_plants, n_plants_not_complete, pv_generation_kwh FROM energy_by_group_monthly"
        assert connection.execute(groups).fetchall() == [("Roofs", 2, 1, 54.0)]
        costs = (
            "SELECT plant_id, n_units, n_unpriced, fee_eur, eur_per_mwh FROM pu_cost_by_plant ORDER BY ALL"
        )
        assert connection.execute(costs).fetchall() == [
            ("a", 2, 0, Decimal("28.50"), pytest.approx(570.0)),
            ("b", 2, 2, None, None),
        ]
        change = "SELECT month, n_days, pv_generation_change_pct FROM fleet_like_for_like"
        assert connection.execute(change).fetchall() == [(MONTH, 1, 25.0)]
        days = "SELECT day, local_day_kwh, utc_day_kwh FROM utc_and_local_days ORDER BY day"
        assert connection.execute(days).fetchall() == [(dt.date(2021, 9, 30), None, 1.0), (FIRST, 2.0, 1.0)]

    # What must not be done: the next publication would replace it.
    (project / "models" / "wrong.sql").write_text("{{ config(database='sunledger') }} select 1 as one\n")
    refused = run_dbt(project, published, "run", "--select", "wrong")
    assert refused.returncode != 0
    assert "read-only" in refused.stdout
    (project / "models" / "wrong.sql").unlink()
    assert published.read_bytes() == kept

    # The next run reads the next publication.
    more = {"plant_id": "a", "local_date": BEFORE, "pv_generation_kwh": 15.0}
    put(lake, EnergyDaily, [more])
    publish(lake, published, now=NOW, version="2")
    for words in (["run"], ["docs", "generate"]):
        done = run_dbt(project, published, *words)
        assert done.returncode == 0, done.stdout + done.stderr
    with duckdb.connect(str(project / "analytics.duckdb"), read_only=True) as connection:
        assert connection.execute(change).fetchall() == [(MONTH, 1, 100.0)]
    catalog = json.loads((project / "target" / "catalog.json").read_text())
    assert {"energy_by_group_monthly", "pu_cost_by_plant"} <= {
        name.rpartition(".")[2] for name in catalog["nodes"]
    }
