"""The published file of the small lake, and copies of it that a test may change."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from tests.warehouse.finance.packs import OCTOBER, Connection
from warehouse.finance import pack
from warehouse.finance.pack import PackChoice, write_pack
from warehouse.published_file.open_published import connect
from warehouse.published_file.publish import PublishedFile


@pytest.fixture(scope="module")
def db(published: PublishedFile) -> Iterator[duckdb.DuckDBPyConnection]:
    with connect(published.path) as connection:
        yield connection


@pytest.fixture(scope="module")
def copied(published: PublishedFile, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    file = shutil.copy(published.path, tmp_path_factory.mktemp("copied") / "sunledger.duckdb")
    # Of so few rows a second thread makes nothing quicker, and is waited for.
    with duckdb.connect(str(file), config={"threads": "1"}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


@pytest.fixture
def changed(copied: Connection) -> Iterator[Connection]:
    """A copy of the published file, of which nothing is kept that a test changes in it."""
    copied.execute("BEGIN")
    yield copied
    copied.execute("ROLLBACK")


def bill(connection: Connection) -> Connection:
    """Add PU of October, one of them of a system that is no plant, and groups."""
    connection.execute(
        "INSERT INTO billing_units BY NAME SELECT unnest(['a', 'b', 'gone']) AS plant_id, $month AS month, "
        "10 AS n_requests, 0 AS n_device_requests, TIMESTAMPTZ '2021-10-01 00:00:00+00' AS first_request, "
        "first_request AS last_request, unnest([12.50, NULL, 20.25])::DECIMAL(18, 2) AS fee_eur, "
        "'EUR' AS currency, unnest(['priced', 'no_capacity', 'priced']) AS pricing, 'list 7' AS price_source",
        {"month": OCTOBER},
    )
    connection.execute(
        "INSERT INTO plant_attributes BY NAME SELECT unnest(['a', 'b']) AS plant_id, "
        "unnest(['North', '=South']) AS plant_group"
    )
    return connection


@pytest.fixture
def billed(changed: Connection) -> Connection:
    return bill(changed)


@pytest.fixture
def without_sheets(monkeypatch: pytest.MonkeyPatch) -> None:
    """The README and the summary are asked of the file, the sheets are not: half a second of CPU."""
    monkeypatch.setattr(pack, "SHEETS", ())


@pytest.fixture(scope="module")
def workbook(copied: Connection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workbook of the billed month, for tests that read it."""
    copied.execute("BEGIN")
    (done,) = write_pack(bill(copied), OCTOBER, tmp_path_factory.mktemp("book") / "pack", PackChoice())
    copied.execute("ROLLBACK")
    return done.path
