"""What a report says of PU and fees: every PU of the month, and no word about months that the record does not know."""

import datetime as dt
import shutil
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import TypeAlias

import duckdb
import pytest

from pipeline.common.errors import UsageError
from pipeline.report.sheet_tables import name_file
from pipeline.report.write_report import write_report
from tests.report.fleet import OCTOBER
from tests.report.test_page import Page

pytestmark = pytest.mark.usefixtures("undrawn")

Connection: TypeAlias = duckdb.DuckDBPyConnection
NOT_KNOWN = "PU of the month not known"


@pytest.fixture(scope="module")
def copied(published: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    file = shutil.copy(published, tmp_path_factory.mktemp("copied") / "sunledger.duckdb")
    with duckdb.connect(str(file)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


@pytest.fixture
def db(copied: Connection) -> Iterator[Connection]:
    """A copy of the published file, of which nothing is kept that a test changes in it."""
    copied.execute("BEGIN")
    yield copied
    copied.execute("ROLLBACK")


def put_units(db: Connection, *units: tuple[str, str | None], month: dt.date = OCTOBER) -> None:
    """PU of the month into the file: the system, and its fee in EUR or none."""
    for system, fee in units:
        db.execute(
            "INSERT INTO billing_units BY NAME SELECT $id AS plant_id, $month AS month, 4e0 AS capacity_kw, "
            "CASE WHEN $fee IS NOT NULL THEN '1-19' END AS capacity_class, 10 AS n_requests, "
            "0 AS n_device_requests, $month + INTERVAL 12 HOUR AS first_request, "
            "$month + INTERVAL 13 HOUR AS last_request, $fee::DECIMAL(18, 2) AS fee_eur, 'EUR' AS currency, "
            "CASE WHEN $fee IS NULL THEN 'no_capacity' ELSE 'priced' END AS pricing",
            {"id": system, "month": month, "fee": fee},
        )


def pages(db: Connection, folder: Path, *only: str, month: dt.date = OCTOBER) -> dict[str, Page]:
    """The report's pages by the names of their files."""
    write_report(db, month, folder, only)
    return {path.name: Page(path.read_text()) for path in folder.iterdir()}


def table(page: Page, *first: str) -> list[list[str]]:
    """The rows below the heading that begins with these words, of the one table that has it."""
    (found,) = [rows[1:] for rows in page.tables if rows[0][: len(first)] == list(first)]
    return found


def test_every_pu_of_the_month_is_listed_and_counted(db: Connection, tmp_path: Path) -> None:
    put_units(db, ("1", "2.50"), ("2", "3.00"), ("gone", "4.25"), ('"><script>', None))
    fleet = pages(db, tmp_path / "out")["index.html"]
    ((count, fees),) = db.execute(
        "SELECT count(*), sum(fee_eur) FROM billing_units WHERE month = ?", [OCTOBER]
    ).fetchall()
    assert (count, fees) == (4, Decimal("9.75"))
    assert table(fleet, "Class", "PU")[-1] == ["All", "4", "40", "9.75 EUR, 1 unpriced"]
    assert "PU of the month 4 1 unpriced" in fleet.text
    assert "Fees of the month 9.75 EUR" in fleet.text
    assert table(fleet, "System") == [
        ['"><script>', "not known", "10", "2021-10-01 12:00", "unpriced: no capacity"],
        ["gone", "1-19 kW", "10", "2021-10-01 12:00", "4.25 EUR"],
        ["All", "", "20", "", "4.25 EUR, 1 unpriced"],
    ]


def test_classes_come_smallest_first_and_what_has_no_price_last(db: Connection, tmp_path: Path) -> None:
    put_units(db, ("a", None), ("b", "1.00"), ("c", "1.00"), ("d", "1.00"))
    for system, name in (("b", "100-499"), ("c", "20-99")):
        db.execute("UPDATE billing_units SET capacity_class = ? WHERE plant_id = ?", [name, system])
    fleet = pages(db, tmp_path / "out")["index.html"]
    classes = [row[0] for row in table(fleet, "Class", "PU")]
    assert classes == ["1-19 kW", "20-99 kW", "100-499 kW", "not known", "All"]


def test_pu_without_a_price_are_not_free(db: Connection, tmp_path: Path) -> None:
    put_units(db, ("1", None))
    assert "Fees of the month unpriced" in pages(db, tmp_path / "out")["index.html"].text


@pytest.mark.usefixtures("drawn")
def test_a_month_with_nothing_but_pu_of_strangers_is_reported(db: Connection, tmp_path: Path) -> None:
    put_units(db, ("gone", "4.25"), month=dt.date(2021, 12, 1))
    found = pages(db, tmp_path / "out", month=dt.date(2021, 12, 1))
    assert set(found) == {"index.html"}
    assert table(found["index.html"], "Class", "PU")[-1] == ["All", "1", "10", "4.25 EUR"]
    assert table(found["index.html"], "System")[0][0] == "gone"
    assert "There is no PV energy of December 2021: none of its days was read." in found["index.html"].text
    with pytest.raises(UsageError, match="neither energy nor PU of 2021-12"):
        pages(db, tmp_path / "out", "1", month=dt.date(2021, 12, 1))


def test_a_report_of_some_plants_has_the_pu_of_these_alone(db: Connection, tmp_path: Path) -> None:
    put_units(db, ("1", "2.50"), ("2", "3.00"), ("gone", "4.25"))
    fleet = pages(db, tmp_path / "out", "2")["index.html"]
    assert table(fleet, "Class", "PU")[-1] == ["All", "1", "10", "3.00 EUR"]
    assert "gone" not in fleet.text


def move(db: Connection, old: str, new: str) -> None:
    """The plant gets a new id: reports know it by that, and what was closed or asked before keeps the old one."""
    db.execute(
        "INSERT INTO plants SELECT * REPLACE ($new AS plant_id, $old AS migrated_from) FROM plants "
        "WHERE plant_id = $old",
        {"old": old, "new": new},
    )
    db.execute("UPDATE energy_daily SET plant_id = ? WHERE plant_id = ?", [new, old])


@pytest.mark.usefixtures("drawn")
def test_a_plant_that_moved_is_one_plant_with_the_pu_of_both_ids(db: Connection, tmp_path: Path) -> None:
    move(db, "1", "1-new")
    put_units(db, ("1", "2.50"), ("1-new", "2.00"))
    found = pages(db, tmp_path / "out")
    assert name_file("1") not in found
    ranking = table(found["index.html"], "Plant", "Rank")
    assert [row[1:6] + row[-1:] for row in ranking if "1-new" in row[0]] == [
        ["2", "4.0", "20.0", "100 %", "complete", "4.50 EUR"]
    ]
    assert len(ranking) == 3
    assert table(found["index.html"], "Class", "PU")[-1] == ["All", "2", "20", "4.50 EUR"]
    plant = found[name_file("1-new")]
    assert table(plant, "System") == [
        ["1", "1-19 kW", "10", "2021-10-01 12:00", "2.50 EUR"],
        ["1-new", "1-19 kW", "10", "2021-10-01 12:00", "2.00 EUR"],
        ["All", "", "20", "", "4.50 EUR"],
    ]
    assert "Earlier id 1, before the plant moved" in plant.text
    # Its hours are still stored by the id that they were read by.
    assert "PV generation is highest from" in plant.text


def test_a_plant_that_moved_may_be_named_by_either_id(db: Connection, tmp_path: Path) -> None:
    move(db, "1", "1-new")
    for number, plant in enumerate(("1", "1-new")):
        assert set(pages(db, tmp_path / str(number), plant)) == {"index.html", name_file("1-new")}


@pytest.mark.parametrize(
    ("begins", "sentences"),
    [
        (None, [NOT_KNOWN, "There is no record of requests", "SMA's invoices of 2021 are unknown"]),
        (
            "2022-02-03",
            [
                f"{NOT_KNOWN} before 2022-02-03",
                "Fees of the month not known before 2022-02-03",
                "The record of requests begins on 2022-02-03, so the requests of this month and their cost are unknown",
                "SMA's invoices of 2021 are unknown, because the record of requests begins on 2022-02-03.",
            ],
        ),
        (
            "2021-10-20",
            [
                "PU of the month 0 since 2021-10-20",
                "Fees of the month 0.00 EUR since 2021-10-20",
                "earlier requests of this month are unknown",
            ],
        ),
        (
            "2021-10-01",
            ["PU of the month 0 Fees of the month 0.00 EUR Limited", "SMA charges nothing for it"],
        ),
    ],
)
def test_before_the_record_begins_nothing_is_known(
    db: Connection, tmp_path: Path, begins: str | None, sentences: list[str]
) -> None:
    db.execute("UPDATE api_requests SET asked_at = ?::TIMESTAMPTZ", [f"{begins or OCTOBER} 12:00:00+00"])
    if not begins:
        db.execute("DELETE FROM api_requests")
    found = pages(db, tmp_path / "out")
    for sentence in sentences:
        assert sentence in found["index.html"].text
    unknown = NOT_KNOWN in sentences[0]
    assert [row[-1] for row in table(found["index.html"], "Plant", "Rank")] == [
        "not known" if unknown else "no PU"
    ] * 3
    assert f"PU fee of the month {'not known' if unknown else 'no PU'}" in found[name_file("2")].text
    assert ("0.00" in found["index.html"].text) is not unknown


def test_a_pu_says_that_its_month_is_known(db: Connection, tmp_path: Path) -> None:
    """Requests may be deleted after some time; the PU that were counted from them stay."""
    db.execute("UPDATE api_requests SET asked_at = TIMESTAMPTZ '2022-02-03 12:00:00+00'")
    put_units(db, ("1", "2.50"))
    fleet = pages(db, tmp_path / "out")["index.html"]
    assert "Fees of the month 2.50 EUR" in fleet.text
    assert "not known" not in fleet.text
