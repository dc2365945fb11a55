"""Each command that reads the published file tells what a program did to it; the next publication undoes it."""

from pathlib import Path

import duckdb
import pytest

from tests.cli.test_commands import sunledger

WROTE = "another program wrote to it"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    assert sunledger(tmp_path, "publish").returncode == 0
    return tmp_path


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


def test_a_publication_says_that_it_removed_a_log(home: Path) -> None:
    log = home / "home" / "sunledger.duckdb.wal"
    log.unlink()
    log.write_bytes(b"left by a program that was killed")
    assert "left" in sunledger(home, "sql", "SHOW TABLES").stderr
    assert "opened the file that was published before for writing" in sunledger(home, "publish").stderr
    assert "opened" not in sunledger(home, "publish").stderr
    assert sunledger(home, "sql", "SHOW TABLES").returncode == 0


def test_an_empty_warehouse_is_told_with_the_cure(tmp_path: Path) -> None:
    told = sunledger(tmp_path, "publish")
    assert (told.returncode, told.stderr.count("'sunledger backfill --from")) == (0, 1)
    told = sunledger(tmp_path, "sql", "SELECT count(*) AS n FROM energy_daily", "--format", "csv")
    assert (told.returncode, told.stdout.split()) == (0, ["n", "0"])
    assert "has no day yet: 'sunledger backfill --from" in told.stderr
    assert "'sunledger backfill'" in sunledger(tmp_path, "report", "--month", "2021-10").stderr
