"""A published file that leaves its home: it holds detail itself, or says that its detail stayed there."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from schemas import TABLES, CoverageDaily, storage
from tests.home_template import HomeTemplate
from tests.small_lake import FIRST, NOW, SECOND, fill, put
from warehouse.lake import Lake
from warehouse.published_file.open_published import NotPublishedError, build_query_error, connect
from warehouse.published_file.publish import publish

DETAIL = sorted(storage(model).table for model in TABLES if storage(model).published == "view")
READING = ["energy_balance_intervals", "pv_intervals", "energy_hourly", "energy_quarter_hourly", "v_power"]
DETAIL_SOURCES = [*READING, "power_of_day('a', DATE '2021-10-01')"]


def _publish_detail(home: Path) -> None:
    lake = Lake(str(home / "lake"), home / "tmp")
    fill(lake)
    covered = {"plant_id": "a", "quantity": "pv_generation", "coverage": 0.75}
    put(lake, CoverageDaily, [covered | {"local_date": day} for day in (FIRST, SECOND)])
    publish(lake, home / "sunledger.duckdb", now=NOW, version="1.2.3")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> HomeTemplate:
    return HomeTemplate(tmp_path_factory.mktemp("travelling"), _publish_detail)


# Opens each file of a list, asks each query, and prints its rows or the fault.
ASKING = """
import duckdb, json, sys
for file in json.loads(sys.argv[1]):
    with duckdb.connect(file, read_only=True) as connection:
        for query in sys.argv[2:]:
            try:
                print(json.dumps(str(connection.execute(query).fetchall())))
            except duckdb.Error as fault:
                print(json.dumps([str(fault)]))
"""


def _ask(folder: Path, files: list[str], *queries: str) -> list[str | list[str]]:
    """What plain duckdb answers in a process of its own, which starts in `folder`: rows as text, a fault in a list."""
    command = [sys.executable, "-c", ASKING, json.dumps(files), *queries]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.long
def test_the_file_in_its_home_has_its_detail(home: Path) -> None:
    (home / "link.duckdb").symlink_to(home / "sunledger.duckdb")
    opened = ["sunledger.duckdb", "./sunledger.duckdb", "link.duckdb", f"{home}/sunledger.duckdb"]
    told = _ask(home, opened, *(f"SELECT count(*) > 0 FROM {table}" for table in READING))
    asked = [(file, table) for file in opened for table in READING]
    assert dict(zip(asked, told, strict=True)) == dict.fromkeys(asked, "[(True,)]")


def test_an_attached_file_has_its_detail(home: Path) -> None:
    with duckdb.connect() as connection:
        connection.execute(
            f"ATTACH '{str(home).replace(chr(39), chr(39) * 2)}/sunledger.duckdb' AS q (READ_ONLY)"
        )
        assert connection.execute("SELECT count(*) FROM q.energy_balance_intervals").fetchall() == [(3,)]


def test_a_copied_home_never_shows_the_rows_of_the_first_one(home: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(home, other, symlinks=True)
    queries = [f"FROM {table}" for table in DETAIL_SOURCES]
    # What the file holds itself can be read.
    *faults, rows = _ask(other, ["sunledger.duckdb"], *queries, "SELECT count(*) FROM v_energy_daily")
    assert rows == "[(4,)]"
    for table, found in zip(DETAIL_SOURCES, faults, strict=True):
        (fault,) = found
        assert (
            f"The detail of this file is in the home of {home}/sunledger.duckdb, and a copy of it was opened"
            in fault
        ), table
        assert "publish --detail 31d" in fault, table


def test_a_file_without_its_lake_says_so(home: Path, tmp_path: Path) -> None:
    (tmp_path / "laptop").mkdir()
    shutil.move(home / "sunledger.duckdb", tmp_path / "laptop" / "sunledger.duckdb")
    shutil.rmtree(home)
    faults = _ask(tmp_path / "laptop", ["sunledger.duckdb"], *(f"FROM {table}" for table in DETAIL_SOURCES))
    for table, found in zip(DETAIL_SOURCES, faults, strict=True):
        (fault,) = found
        assert "The detail of this copy stays in the home where it was published" in fault, table


def test_our_own_commands_say_what_to_do(home: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(home, other, symlinks=True)
    with connect(other / "sunledger.duckdb") as connection, pytest.raises(duckdb.Error) as failed:
        connection.execute("FROM v_power").fetchall()
    told = build_query_error(failed.value)
    assert isinstance(told, NotPublishedError)
    assert "publish it again so that it holds detail itself: 'sunledger publish --detail 31d'" in str(told)


@pytest.mark.long
@pytest.mark.parametrize(
    ("detail", "days"),
    [("1d", [SECOND]), ("2d", [FIRST, SECOND]), ("month", [FIRST, SECOND]), ("all", [FIRST, SECOND])],
)
def test_a_file_with_detail_is_read_anywhere(
    home: Path, tmp_path: Path, detail: str, days: list[object]
) -> None:
    lake = Lake(str(home / "lake"), home / "tmp")
    with connect(home / "sunledger.duckdb") as connection:
        query = "FROM {} WHERE local_date >= ? ORDER BY ALL"
        since = dict.fromkeys(DETAIL, days[0]) | {"coverage_daily": FIRST}
        before = {
            table: connection.execute(query.format(table), [day]).fetchall() for table, day in since.items()
        }
        curated = {
            table: connection.execute(f"FROM {table} ORDER BY ALL").fetchall()
            for table in ("v_energy_daily", "v_kpi_daily")
        }
    publish(lake, home / "sunledger.duckdb", now=NOW, version="1.2.3", detail=detail)
    file = tmp_path / "sunledger.duckdb"
    shutil.copy(home / "sunledger.duckdb", file)
    shutil.rmtree(home)
    with duckdb.connect(str(file), read_only=True) as connection:
        assert {
            table: connection.execute(f"FROM {table} ORDER BY ALL").fetchall() for table in DETAIL
        } == before
        # Figures that come from detail are those of all days.
        assert {
            table: connection.execute(f"FROM {table} ORDER BY ALL").fetchall() for table in curated
        } == curated
        found = connection.execute("SELECT DISTINCT local_date FROM v_power ORDER BY ALL").fetchall()
        assert found == [(day,) for day in days]
        meta = connection.execute("SELECT detail, detail_first_day FROM _meta").fetchall()
        assert meta == [(detail, None if detail == "all" else days[0])]
        assert connection.execute("SELECT count(*) FROM power_of_day('a', DATE '2021-10-02')").fetchall() == [
            (1,)
        ]


@pytest.mark.long
def test_the_option_and_the_setting_reach_the_file(tmp_path: Path) -> None:
    settings = {"SUNLEDGER_HOME": str(tmp_path / "home"), "SUNLEDGER_DETAIL": "7d"}
    program = [sys.executable, "-c", "from pipeline.cli import main; main()", "publish"]
    fill(Lake(str(tmp_path / "home" / "lake"), tmp_path / "home" / "tmp"))
    runs = (
        ([], "7d", "The file holds detail since 2021-09-26 (7d, counted back from the newest stored day)"),
        (["--detail", "all"], "all", "The file holds the detail of all days"),
        (["--detail", "none"], "none", None),
    )
    for options, detail, said in runs:
        done = subprocess.run(
            [*program, *options], env=os.environ | settings, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert ("The file holds" in done.stderr) is (said is not None)
        assert (said or "") in done.stderr
        with connect(tmp_path / "home" / "sunledger.duckdb") as connection:
            assert connection.execute("SELECT detail FROM _meta").fetchall() == [(detail,)]
    refused = subprocess.run(
        [*program, "--detail", "31"], env=os.environ | settings, capture_output=True, text=True, check=False
    )
    assert refused.returncode != 0
    assert "--detail=31 is not an amount of detail" in refused.stderr
