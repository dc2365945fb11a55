"""A month for finance in one folder, out of the published file."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import duckdb
import polars as pl
import pytest

from pipeline.errors import UsageError
from warehouse.pack import SHEETS, pack
from warehouse.publish import Published, connect

OCTOBER = dt.date(2021, 10, 1)
FILES = {"README.md", *(f"{sheet.name}.csv" for sheet in SHEETS)}


@pytest.fixture
def db(published: Published) -> Iterator[duckdb.DuckDBPyConnection]:
    with connect(published.path) as connection:
        yield connection


def test_a_month_is_packed_with_a_readme(db: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    folder = tmp_path / "pack"
    done = pack(db, OCTOBER, folder, "csv")
    assert {path.name for path in folder.iterdir()} == FILES
    assert {one.path.stem: one.rows for one in done} == {
        "energy-monthly": 2,
        "energy-daily": 4,
        "adjustments": 0,
        "restatements": 0,
        "billing-units": 0,
        "invoices": 0,
        "days-to-check": 3,
        "set-aside": 3,
    }
    monthly = pl.read_csv(folder / "energy-monthly.csv")
    assert monthly["plant_name"].to_list() == ["Alpha", """O'Brien"; DROP TABLE plants; --"""]
    readme = (folder / "README.md").read_text()
    assert "# October 2021" in readme
    assert "published on 2021-10-03 at 04:05 UTC by sunledger 1.2.3" in readme
    assert "2 plants, 54.000 kWh of PV energy; 62.5% of the expected time is covered; 1 of them" in readme
    assert "No PU: no system was asked for" in readme
    assert all(f"| {name} |" in readme for name in FILES - {"README.md"})


def test_a_second_pack_replaces_the_first_and_leaves_nothing_beside(
    db: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    folder = tmp_path / "pack"
    pack(db, OCTOBER, folder, "csv")
    pack(db, OCTOBER, folder, "parquet")
    assert {path.suffix for path in folder.iterdir()} == {".md", ".parquet"}
    assert list(tmp_path.iterdir()) == [folder]


def test_a_folder_with_something_else_is_not_touched(db: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds something else"):
        pack(db, OCTOBER, tmp_path, "csv")
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]


def test_a_month_that_the_warehouse_has_not(db: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="neither energy nor PU of 2021-09; it has 2021-10 to 2021-10"):
        pack(db, dt.date(2021, 9, 1), tmp_path / "pack", "csv")
    assert list(tmp_path.iterdir()) == []
