"""A month for finance in one folder, out of the published file."""

import datetime as dt
import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import polars as pl
import pytest

from pipeline.common.errors import UsageError
from warehouse.pack import SHEETS, write_pack
from warehouse.publish import PublishedFile, connect

OCTOBER = dt.date(2021, 10, 1)
FILES = {"README.md", *(f"{sheet.name}.csv" for sheet in SHEETS)}


@pytest.fixture
def db(published: PublishedFile) -> Iterator[duckdb.DuckDBPyConnection]:
    with connect(published.path) as connection:
        yield connection


def test_a_month_is_packed_with_a_readme(db: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    folder = tmp_path / "pack"
    done = write_pack(db, OCTOBER, folder, "csv")
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
    assert "that sunledger 1.2.3 published on 2021-10-03 at 04:05 UTC" in readme
    assert (
        "2 plants, 54.000 kWh of PV energy; 62.5% of the expected time of the days that are stored is covered; 1 of"
        in readme
    )
    assert "* PU and fees are unknown, because there is no record of requests." in readme
    assert all(f"| {name} |" in readme for name in FILES - {"README.md"})


@pytest.mark.parametrize(
    ("first", "units", "said"),
    [
        (dt.date(2021, 9, 30), [], "* There are no PU, because no request named a system in this month.\n"),
        (
            dt.date(2021, 11, 1),
            [],
            "* PU and fees are unknown, because the record of requests begins on 2021-11-01.\n",
        ),
        (
            dt.date(2021, 10, 9),
            [],
            "* There are no PU, because no request named a system in this month. The record of requests begins on ",
        ),
        (dt.date(2021, 9, 30), ["2.50", None], "* 2 PU, 2.50 EUR (list 7); 1 of them are unpriced.\n"),
        (dt.date(2021, 9, 30), [None], "* 1 PU, all unpriced.\n"),
        (
            dt.date(2021, 10, 31),
            ["2.50"],
            "0 of them are unpriced. The record of requests begins on 2021-10-09; earlier requests are",
        ),
    ],
)
def test_no_word_of_pu_goes_beyond_the_record(
    published: PublishedFile, tmp_path: Path, first: dt.date, units: list[str | None], said: str
) -> None:
    file = shutil.copy(published.path, tmp_path / "sunledger.duckdb")
    with duckdb.connect(str(file)) as writer:
        writer.execute(
            "INSERT INTO api_requests BY NAME SELECT '1' AS request_id, ?::TIMESTAMPTZ AS asked_at, ? AS asked_date, "
            "'' AS plant_id, '' AS device_id, '/v1/plants' AS endpoint, '' AS set_type, '' AS period, "
            "'' AS request_date, 0 AS bytes, 0 AS elapsed_ms",
            [f"{first} 12:00:00+00", first],
        )
        for number, fee in enumerate(units):
            writer.execute(
                "INSERT INTO billing_units BY NAME SELECT $id AS plant_id, $month AS month, 1 AS n_requests, "
                "0 AS n_device_requests, TIMESTAMPTZ '2021-10-09 00:00:00+00' AS first_request, "
                "first_request AS last_request, $fee::DECIMAL(18, 2) AS fee_eur, 'EUR' AS currency, "
                "'priced' AS pricing, 'list 7' AS price_source",
                {"id": str(number), "month": OCTOBER, "fee": fee},
            )
    with connect(file) as connection:
        write_pack(connection, OCTOBER, tmp_path / "pack", "csv")
    assert said in (tmp_path / "pack" / "README.md").read_text()


def test_a_month_with_its_quarter_s_invoice_alone_is_packed(published: PublishedFile, tmp_path: Path) -> None:
    file = shutil.copy(published.path, tmp_path / "sunledger.duckdb")
    money = ("units_eur", "live_eur", "fees_eur", "carried_in_eur", "invoiced_eur", "carried_out_eur")
    with duckdb.connect(str(file)) as writer:
        writer.execute(
            "INSERT INTO invoices BY NAME SELECT 2021 AS year, 3 AS quarter, 0 AS n_units, 0 AS n_unpriced, "
            f"{', '.join(f'12.45 AS {name}' for name in money)}, 'carried' AS decision, true AS is_closed, "
            "'EUR' AS currency"
        )
    with connect(file) as connection:
        done = write_pack(connection, dt.date(2021, 9, 1), tmp_path / "pack", "csv")
    assert {one.path.stem: one.rows for one in done}["invoices"] == 1
    assert "0 plants, nothing measured" in (tmp_path / "pack" / "README.md").read_text()


def test_a_second_pack_replaces_the_first_and_leaves_nothing_beside(
    db: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    folder = tmp_path / "pack"
    write_pack(db, OCTOBER, folder, "csv")
    write_pack(db, OCTOBER, folder, "parquet")
    assert {path.suffix for path in folder.iterdir()} == {".md", ".parquet"}
    assert list(tmp_path.iterdir()) == [folder]


def test_a_folder_with_something_else_is_not_touched(db: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds files that no"):
        write_pack(db, OCTOBER, tmp_path, "csv")
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]


def test_a_month_that_the_warehouse_has_not(db: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="neither energy nor PU of 2021-09; it has those of 2021-10"):
        write_pack(db, dt.date(2021, 9, 1), tmp_path / "pack", "csv")
    assert list(tmp_path.iterdir()) == []
