"""Each command that reads the published file tells what a program did to it; the next publication undoes it."""

import datetime as dt
import shutil
from pathlib import Path

import duckdb
import pytest

from schemas import EnergyDaily
from tests.programs import sunledger
from tests.small_lake import make_frame
from warehouse.lake import Lake

WROTE = "another program wrote to it"


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a home whose file was published, for copies: no test writes there."""
    folder = tmp_path_factory.mktemp("empty")
    told = sunledger(folder, "publish")
    assert (told.returncode, told.stderr.count("'sunledger backfill --from")) == (0, 1)
    return folder


@pytest.fixture
def home(tmp_path: Path, empty: Path) -> Path:
    shutil.copytree(empty, tmp_path, symlinks=True, dirs_exist_ok=True)
    return tmp_path


@pytest.mark.long
def test_sql_and_verify_tell_and_publish_heals(home: Path) -> None:
    file = home / "home" / "sunledger.duckdb"
    file.with_name(f"{file.name}.wal").unlink()
    with duckdb.connect(str(file)) as theirs:
        theirs.execute("CREATE TABLE mine AS SELECT 999 AS kwh")
    for words in (["sql", "SHOW TABLES"], ["export", "plants", "-o", "x.csv"]):
        told = sunledger(home, *words)
        assert (told.returncode, told.stdout) == (1, "")
        assert WROTE in told.stderr
    told = sunledger(home, "verify")
    assert told.returncode == 1
    assert WROTE in told.stdout
    assert sunledger(home, "publish").returncode == 0
    assert sunledger(home, "verify").returncode == 0
    assert "mine" not in sunledger(home, "sql", "SHOW TABLES").stdout


@pytest.mark.long
def test_a_publication_says_that_it_removed_a_log(home: Path) -> None:
    log = home / "home" / "sunledger.duckdb.wal"
    log.unlink()
    log.write_bytes(b"left by a program that was killed")
    assert "left" in sunledger(home, "sql", "SHOW TABLES").stderr
    assert "opened the previous published file for writing" in sunledger(home, "publish").stderr
    assert "opened" not in sunledger(home, "publish").stderr
    assert sunledger(home, "sql", "SHOW TABLES").returncode == 0


def test_an_empty_warehouse_is_told_with_the_cure(home: Path) -> None:
    told = sunledger(home, "sql", "SELECT count(*) AS n FROM energy_daily", "--format", "csv")
    assert (told.returncode, told.stdout.split()) == (0, ["n", "0"])
    assert "holds no day yet: run 'sunledger backfill --from" in told.stderr
    assert "'sunledger backfill'" in sunledger(home, "report", "--month", "2021-10").stderr


@pytest.mark.long
def test_damage_of_the_lake_is_told_by_verify_and_refused_by_publish(tmp_path: Path) -> None:
    """A bit in the name of a column hides the column's values, and nothing that reads Parquet minds."""
    lake = Lake(str(tmp_path / "home" / "lake"), tmp_path / "scratch")
    day = {"local_date": dt.date(2021, 10, 1)}
    rows = make_frame(EnergyDaily, [{"plant_id": "a", "pv_generation_kwh": 1029.949, **day}])
    lake.replace(EnergyDaily, day, [rows])
    assert sunledger(tmp_path, "publish").returncode == 0
    published = (tmp_path / "home" / "sunledger.duckdb").read_bytes()
    file = Path(lake.take_snapshot(EnergyDaily).files[0])
    content = file.read_bytes()
    # The last one is in the footer that readers go by.
    at = content.rindex(b"pv_generation_kwh")
    file.write_bytes(content[:at] + b"q" + content[at + 1 :])
    told = sunledger(tmp_path, "verify")
    assert told.returncode == 1
    assert "energy_daily 2021-10-01: its file local_date=2021-10-01/part-" in told.stdout
    refused = sunledger(tmp_path, "publish")
    assert refused.returncode != 0
    (line,) = [
        line for line in refused.stderr.splitlines() if "was not published: energy_daily 2021-10-01" in line
    ]
    assert line.endswith("The file that was published before is unchanged. Run 'sunledger repair'.")
    assert (tmp_path / "home" / "sunledger.duckdb").read_bytes() == published
    file.write_bytes(content)
    assert sunledger(tmp_path, "publish").returncode == 0
    assert sunledger(tmp_path, "verify").returncode == 0
