"""A month for finance in one folder, out of the published file."""

import datetime as dt
import re
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, TypeAlias
from xml.etree import ElementTree

import duckdb
import polars as pl
import pytest

from pipeline.billing.invoice_comparison import KINDS
from pipeline.common.errors import UsageError
from pipeline.report.reasons import CAUSES
from pipeline.tables.restatement_tables import QUANTITIES
from schemas.report_tables import STATUSES
from schemas.usage import DECISIONS, PRICINGS
from warehouse.finance import pack
from warehouse.finance.labels import TERMS, BilingualText, format_count
from warehouse.finance.pack import PackChoice, write_pack
from warehouse.finance.sheets import CHECKED, ENERGIES, SHEETS
from warehouse.finance.words import MONTHS, SHEET_NAMES, VALUES
from warehouse.month_queries.month_completeness import read_plant_days
from warehouse.month_queries.published_units import list_members
from warehouse.published_file.open_published import connect
from warehouse.published_file.publish import PublishedFile
from warehouse.results.csv_file import CSV_STYLES

OCTOBER = dt.date(2021, 10, 1)
NAMES = [sheet.name for sheet in SHEETS if sheet.table != CHECKED]
FILES = {"README.md", "summary.csv", "glossary.csv", *(f"{name}.csv" for name in NAMES)}
CSV = PackChoice("csv")
HOSTILE = """O'Brien"; DROP TABLE plants; --"""
Connection: TypeAlias = duckdb.DuckDBPyConnection
MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


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


class Book:
    """The cells of a workbook: by sheet a list of rows, each with value and formula by column letter."""

    def __init__(self, path: Path) -> None:
        self._book = zipfile.ZipFile(path)
        workbook = ElementTree.fromstring(self._book.read("xl/workbook.xml"))  # noqa: S314 - our own file
        self.names = [found.get("name", "") for found in workbook.iter(f"{MAIN}sheet")]

    def root(self, name: str) -> ElementTree.Element:
        number = self.names.index(name) + 1
        return ElementTree.fromstring(self._book.read(f"xl/worksheets/sheet{number}.xml"))  # noqa: S314

    def rows(self, name: str) -> list[dict[str, tuple[str, str]]]:
        found = []
        for row in self.root(name).iter(f"{MAIN}row"):
            cells = {}
            for cell in row:
                formula = cell.findtext(f"{MAIN}f", "")
                value = cell.findtext(f"{MAIN}v") or "".join(
                    part.text or "" for part in cell.iter(f"{MAIN}t")
                )
                cells[re.sub(r"\d", "", cell.get("r", ""))] = (value, formula)
            found.append(cells)
        return found

    def form(self, name: str, place: str) -> str:
        """The number format of a cell."""
        styles = ElementTree.fromstring(self._book.read("xl/styles.xml"))  # noqa: S314
        forms = {one.get("numFmtId"): one.get("formatCode", "") for one in styles.iter(f"{MAIN}numFmt")}
        (style,) = (
            int(cell.get("s", "0")) for cell in self.root(name).iter(f"{MAIN}c") if cell.get("r") == place
        )
        used = styles.findall(f"{MAIN}cellXfs/{MAIN}xf")[style].get("numFmtId")
        return forms.get(used, "")

    def columns(self, name: str) -> dict[str, str]:
        """The letter of each heading."""
        return {value: letter for letter, (value, _) in self.rows(name)[0].items()}


def test_a_month_is_packed_with_a_readme(db: Connection, tmp_path: Path) -> None:
    folder = tmp_path / "pack"
    done = write_pack(db, OCTOBER, folder, CSV)
    assert {path.name for path in folder.iterdir()} == FILES
    rows = {one.path.stem: one.rows for one in done}
    assert {name: rows[name] for name in NAMES} == {
        "energy-monthly": 2,
        "energy-year": 2,
        "energy-daily": 4,
        "completeness": 2,
        "adjustments": 0,
        "restatements": 0,
        "billing-units": 0,
        "invoices": 0,
        "days-to-check": 3,
        "set-aside": 2,
    }
    monthly = pl.read_csv(folder / "energy-monthly.csv")
    assert monthly["Plant"].to_list() == ["Alpha", HOSTILE]
    assert monthly["PV generation (kWh)"].to_list() == [50, 4]
    readme = (folder / "README.md").read_text()
    assert "# October 2021" in readme
    assert "that sunledger 1.2.3 published on 2021-10-03 04:05 UTC" in readme
    assert "* PV generation: 54.00 kWh" in readme
    assert "* PU of the month: PU and fees are unknown, because there is no record of requests\n" in readme
    assert all(f"({name}) |" in readme for name in NAMES)


@pytest.mark.parametrize(
    ("first", "units", "said"),
    [
        (dt.date(2021, 9, 30), [], "0 (There are no PU, because no request named a system in this month)\n"),
        (
            dt.date(2021, 11, 1),
            [],
            "* PU of the month: PU and fees are unknown, because the record of requests begins on 2021-11-01\n",
        ),
        (
            dt.date(2021, 10, 9),
            [],
            "(There are no PU, because no request named a system in this month. The record of requests begins on ",
        ),
        (
            dt.date(2021, 9, 30),
            ["2.50", None],
            "* PU of the month: 2\n* Fees of the PU: 2.50 EUR (1 of the PU have no price, so the sum is too low",
        ),
        (dt.date(2021, 9, 30), [None], "* Fees of the PU: 1 of the PU have no price"),
        (dt.date(2021, 10, 31), ["2.50"], "begins on 2021-10-09; earlier requests are unknown)"),
    ],
)
@pytest.mark.usefixtures("without_sheets")
def test_no_word_of_pu_goes_beyond_the_record(
    changed: Connection, tmp_path: Path, first: dt.date, units: list[str | None], said: str
) -> None:
    changed.execute(
        "INSERT INTO api_requests BY NAME SELECT '1' AS request_id, ?::TIMESTAMPTZ AS asked_at, ? AS asked_date, "
        "'' AS plant_id, '' AS device_id, '/v1/plants' AS endpoint, '' AS set_type, '' AS period, "
        "'' AS request_date, 0 AS bytes, 0 AS elapsed_ms",
        [f"{first} 12:00:00+00", first],
    )
    for number, fee in enumerate(units):
        changed.execute(
            "INSERT INTO billing_units BY NAME SELECT $id AS plant_id, $month AS month, 1 AS n_requests, "
            "0 AS n_device_requests, TIMESTAMPTZ '2021-10-09 00:00:00+00' AS first_request, "
            "first_request AS last_request, $fee::DECIMAL(18, 2) AS fee_eur, 'EUR' AS currency, "
            "'priced' AS pricing, 'list 7' AS price_source",
            {"id": str(number), "month": OCTOBER, "fee": fee},
        )
    write_pack(changed, OCTOBER, tmp_path / "pack", PackChoice())
    assert said in (tmp_path / "pack" / "README.md").read_text()


@pytest.mark.long
def test_a_workbook_has_frozen_headings_in_words_and_sums_with_their_values(
    workbook: Path, db: Connection
) -> None:
    ((energy,),) = db.execute("SELECT sum(pv_generation_kwh) FROM energy_daily").fetchall()
    assert {path.name for path in workbook.parent.iterdir()} == {"README.md", "sunledger-2021-10.xlsx"}
    book = Book(workbook)
    assert book.names == [label.en for name, label in SHEET_NAMES.items() if name != "invoice-check"]
    for name in book.names:
        pane = next(book.root(name).iter(f"{MAIN}pane"))
        assert pane.get("state") == "frozen", name
    headings = book.columns("Energy by day")
    foot, held = book.rows("Energy by day")[-2:]
    letter = headings["PV generation (kWh)"]
    assert foot["A"][0] == "Sum (rows: 4)"
    assert foot[letter] == (f"{energy}", f"SUM({letter}2:{letter}5)")
    assert (held["A"][0], held[letter]) == ("Rows with a value", ("3", f"COUNT({letter}2:{letter}5)"))
    # What nobody measured has no sum, which a reader would take for zero.
    assert foot[headings["Grid feed-in (kWh)"]] == ("", "")
    fees, letters = book.rows("PU and price")[-2], book.columns("PU and price")
    assert fees[letters["Fee (EUR)"]][0] == "32.75"
    whole, letters = book.rows("Completeness")[-1], book.columns("Completeness")
    assert float(whole[letters["Coverage of the month"]][0]) == 60 / 96
    summary = {row["A"][0]: row.get("B", ("", ""))[0] for row in book.rows("Summary") if "A" in row}
    assert float(summary["PV generation"]) == energy
    assert (summary["PU of the month"], summary["Fees of the PU"]) == ("3", "32.75")
    groups = [row[book.columns("Energy")["Group"]] for row in book.rows("Energy")[1:3]]
    # A group of the user's that looks like a formula is text.
    assert groups == [("North", ""), ("=South", "")]


@pytest.mark.long
def test_a_group_has_its_plants_alone_and_the_account_its_invoices(
    billed: Connection, tmp_path: Path
) -> None:
    write_pack(billed, OCTOBER, tmp_path / "pack", PackChoice("csv", plants=["a"]))
    read = {name: pl.read_csv(tmp_path / "pack" / f"{name}.csv") for name in NAMES}
    for name, frame in read.items():
        assert set(frame["Plant id"] if "Plant id" in frame.columns else []) <= {"a"}, name
    assert read["billing-units"]["Fee (EUR)"].to_list() == [12.5]
    assert read["energy-monthly"]["Group"].to_list() == ["North"]


@pytest.mark.long
def test_a_german_pack_for_a_german_excel(billed: Connection, tmp_path: Path) -> None:
    write_pack(
        billed,
        OCTOBER,
        tmp_path / "csv",
        PackChoice("csv", language="de", csv=CSV_STYLES["excel-de"]),
    )
    (done,) = write_pack(billed, OCTOBER, tmp_path / "xlsx", PackChoice(language="de"))
    data = (tmp_path / "csv" / "billing-units.csv").read_bytes()
    assert data.startswith(b"\xef\xbb\xbfAnlage;Anlagen-ID;Gruppe;")
    assert data.endswith(b"\r\n")
    first = data.decode("utf-8-sig").splitlines()[1].split(";")
    assert first[:3] == ["Alpha", "a", "North"]
    assert "12,50" in first
    assert "bepreist" in first
    assert "'=South" in data.decode()
    book = Book(done.path)
    assert book.names[:2] == ["Übersicht", "Energie"]
    assert book.rows("Übersicht")[0]["A"][0] == "Oktober 2021"
    assert "lückenhaft" in {value for row in book.rows("Zu prüfende Tage") for value, _ in row.values()}
    assert "* PV-Erzeugung: 54,00 kWh" in (tmp_path / "xlsx" / "README.md").read_text("utf-8")


@pytest.mark.long
def test_a_sum_says_how_many_plants_it_holds(billed: Connection, tmp_path: Path) -> None:
    billed.execute(
        "UPDATE energy_monthly SET battery_charging_kwh = 7, pv_generation_kwh = 9 WHERE plant_id = 'a'"
    )
    billed.execute("UPDATE energy_monthly SET battery_charging_kwh = NULL WHERE plant_id = 'b'")
    (done,) = write_pack(billed, OCTOBER, tmp_path / "pack", PackChoice(language="de"))
    write_pack(billed, OCTOBER, tmp_path / "csv", PackChoice("csv"))
    readme = (tmp_path / "pack" / "README.md").read_text("utf-8")
    held = "Summe von 1 der 2 Anlagen; die übrigen haben keinen Wert dafür"
    assert f"* Batterieladung: 7,00 kWh ({held})\n" in readme
    assert "* PV-Erzeugung: 13,00 kWh\n" in readme
    summary = pl.read_csv(tmp_path / "csv" / "summary.csv").filter(pl.col("Figure") == "Battery charging")
    assert summary["Remark"].to_list() == ["Sum of 1 of 2 plants; the others have no value of it."]
    book = Book(done.path)
    letters, (*_, foot, below) = book.columns("Energie"), book.rows("Energie")
    assert (foot["A"][0], below["A"][0]) == ("Summe (Zeilen: 2)", "Zeilen mit Wert")
    charged, pv = letters["Batterieladung (kWh)"], letters["PV-Erzeugung (kWh)"]
    assert below[charged] == ("1", f"COUNT({charged}2:{charged}3)")
    assert below[pv] == ("2", f"COUNT({pv}2:{pv}3)")
    # Where every row has every value nothing is said.
    assert book.rows("Vollständigkeit")[-1]["A"][0] == "Summe (Zeilen: 2)"


@pytest.mark.usefixtures("without_sheets")
def test_what_lacks_a_minute_is_not_written_as_all(changed: Connection, tmp_path: Path) -> None:
    changed.execute("UPDATE energy_daily SET covered_h = 23.9999999, expected_h = 24")
    write_pack(changed, OCTOBER, tmp_path / "pack", CSV)
    assert "* Coverage of the month: 99.9% (" in (tmp_path / "pack" / "README.md").read_text("utf-8")
    assert "\nCoverage of the month,99.999,%," in (tmp_path / "pack" / "summary.csv").read_text("utf-8")


@pytest.mark.usefixtures("without_sheets")
def test_a_silent_plant_is_none_with_energy(changed: Connection, tmp_path: Path) -> None:
    nothing = ", ".join(f"{name} = NULL" for name in ENERGIES)
    changed.execute(f"UPDATE energy_monthly SET {nothing} WHERE plant_id = 'b'")
    write_pack(changed, OCTOBER, tmp_path / "pack", CSV)
    readme = (tmp_path / "pack" / "README.md").read_text("utf-8")
    assert "* Plants: 2\n* Plants with energy: 1\n" in readme


@pytest.mark.long
def test_text_of_others_stays_in_its_row_and_the_price_list_s_remark_is_german(
    billed: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    billed.execute(
        "UPDATE plants SET name = ' Roof\r\n| Hall' || chr(8232) || chr(0) || '2' WHERE plant_id = 'a'"
    )
    billed.execute("UPDATE plant_attributes SET plant_group = 'No' || chr(10) || 'rth' WHERE plant_id = 'a'")
    source = "published figures, check against your contract"
    billed.execute("UPDATE billing_units SET price_source = ? WHERE plant_id = 'a'", [source])
    billed.execute("UPDATE billing_units SET price_source = 'mine + yours' WHERE plant_id = 'b'")
    write_pack(billed, OCTOBER, tmp_path / "pack", PackChoice("csv", language="de"))
    monkeypatch.setattr(pack, "SHEETS", ())
    (done,) = write_pack(billed, OCTOBER, tmp_path / "xlsx", PackChoice(language="de", plants=["a"]))
    for name in NAMES:
        lines = (tmp_path / "pack" / f"{name}.csv").read_text("utf-8").split("\n")
        assert {line.count("Roof | Hall 2") for line in lines} <= {0, 1}, name
        assert len(lines) == pl.read_csv(tmp_path / "pack" / f"{name}.csv").height + 2, name
    units = pl.read_csv(tmp_path / "pack" / "billing-units.csv").sort("Anlagen-ID")
    assert units["Gruppe"].to_list()[0] == "No rth"
    said = "veröffentlichte Preise, prüfen Sie sie anhand Ihres Vertrags"
    assert units["Quelle des Preises"].to_list() == [said, "mine + yours", "list 7"]
    assert f"12,50 EUR ({said})" in (done.path.parent / "README.md").read_text("utf-8")


@pytest.mark.long
def test_days_that_were_never_fetched_make_the_month_incomplete(changed: Connection, tmp_path: Path) -> None:
    changed.execute("DELETE FROM energy_daily WHERE plant_id = 'b'")
    changed.execute("DELETE FROM energy_daily WHERE local_date = '2021-10-02'")
    changed.execute("UPDATE _meta SET published_at = '2021-11-05 00:00:00+00'")
    (done,) = write_pack(changed, OCTOBER, tmp_path / "pack", PackChoice())
    book = Book(done.path)
    assert book.rows("Summary")[1]["A"][0].startswith(
        "The month is NOT COMPLETE: 1 of 31 plant-days are complete, 30 were not fetched, 0 have gaps"
    )
    row, letters = book.rows("Completeness")[1], book.columns("Completeness")
    shown = {heading: row[letter][0] for heading, letter in letters.items() if letter in row}
    assert shown["Days not fetched"] == "30"
    # Each day that is not there has as many hours as those that are there.
    assert float(shown["Expected time of the month (h)"]) == 31 * 24
    assert float(shown["Coverage of the month"]) == pytest.approx(1 / 31)
    assert shown["Status"] == "partial"
    energy, letters = book.rows("Energy")[1], book.columns("Energy")
    assert energy[letters["Status"]][0] == "partial"


def test_a_plant_that_moved_today_is_due_by_its_new_id_alone(changed: Connection) -> None:
    changed.execute("DELETE FROM energy_daily WHERE plant_id = 'b'")
    changed.execute("INSERT INTO measurement_sets VALUES ('b', NULL, 'EnergyBalance')")
    changed.execute("UPDATE _meta SET published_at = '2021-11-05 00:00:00+00'")
    days = {plant: read_plant_days(changed, OCTOBER, [plant]).height for plant in ("a", "b")}
    assert days == {"a": 31, "b": 31}
    changed.execute("UPDATE plants SET migrated_from = 'b' WHERE plant_id = 'a'")
    days = {plant: read_plant_days(changed, OCTOBER, [plant]).height for plant in ("a", "b")}
    assert days == {"a": 31, "b": 0}


def test_a_plant_that_left_the_list_amid_the_month_lacks_the_days_that_follow(changed: Connection) -> None:
    changed.execute("UPDATE plants SET last_seen = last_seen - 1 WHERE plant_id = 'b'")
    changed.execute("UPDATE _meta SET published_at = '2021-11-05 00:00:00+00'")
    reasons = read_plant_days(changed, OCTOBER, ["b"])["reason"].to_list()
    assert (len(reasons), reasons.count("not_fetched")) == (31, 29)
    # Of another month it has no day.
    changed.execute("UPDATE _meta SET published_at = '2021-12-05 00:00:00+00'")
    changed.execute(
        "INSERT INTO measurement_sets VALUES ('a', NULL, 'EnergyBalance'), ('b', NULL, 'EnergyBalance')"
    )
    assert read_plant_days(changed, dt.date(2021, 11, 1), ["b"]).is_empty()
    assert read_plant_days(changed, dt.date(2021, 11, 1), ["a"]).height == 30


@pytest.mark.long
def test_days_of_excluded_plants_are_in_no_sheet(changed: Connection, tmp_path: Path) -> None:
    changed.execute("UPDATE plants SET excluded_from = '2021-10-02' WHERE plant_id = 'a'")
    changed.execute(
        "INSERT INTO restatements BY NAME SELECT 'a' AS plant_id, unnest([DATE '2021-10-01', DATE '2021-10-02']) AS "
        "local_date, 'pv_generation' AS quantity, 1 AS difference_kwh, 'complete' AS status_before, 'first_answer' AS "
        "cause, false AS closed, published_at AS noted_at, '' AS replaces FROM _meta"
    )
    write_pack(changed, OCTOBER, tmp_path / "pack", CSV)
    for name in ("energy-daily", "set-aside", "restatements"):
        frame = pl.read_csv(tmp_path / "pack" / f"{name}.csv", infer_schema=False)
        assert not frame.filter(pl.col("Plant id") == "a", pl.col("Day") >= "2021-10-02").height, name
    assert "* Restated figures: 1\n" in (tmp_path / "pack" / "README.md").read_text("utf-8")
    whole = pl.read_csv(tmp_path / "pack" / "completeness.csv")
    assert whole.filter(pl.col("Plant id") == "a")["Stored days"].to_list() == [1]


@pytest.mark.long
def test_a_plant_that_moved_is_in_its_group_with_what_has_its_former_id(
    billed: Connection, tmp_path: Path
) -> None:
    """The month was closed before the plant moved, twice since then, and its PU counts under the id of then."""
    billed.execute("UPDATE plants SET migrated_from = 'between' WHERE plant_id = 'a'")
    billed.execute(
        "INSERT INTO plants SELECT * REPLACE ('between' AS plant_id, 'gone' AS migrated_from, 'Old' AS name) "
        "FROM plants WHERE plant_id = 'a'"
    )
    billed.execute("DELETE FROM billing_units WHERE plant_id = 'a'")
    billed.execute("UPDATE energy_monthly SET closed_at = '2021-11-02 00:00:00+00'")
    billed.execute("UPDATE energy_monthly SET plant_id = 'gone' WHERE plant_id = 'a'")
    members = list_members(billed, OCTOBER, ["North"])
    assert members == ["a"]
    write_pack(billed, OCTOBER, tmp_path / "pack", PackChoice("csv", plants=members))
    found = {
        name: pl.read_csv(tmp_path / "pack" / f"{name}.csv") for name in ("energy-monthly", "billing-units")
    }
    for frame in found.values():
        assert frame.select("Plant", "Plant id", "Group").rows() == [("Alpha", "gone", "North")]
    assert found["energy-monthly"].select("Status", "PV generation (kWh)").rows() == [("complete", 50.0)]
    assert found["billing-units"]["Fee (EUR)"].to_list() == [20.25]


@pytest.mark.long
def test_an_invoice_that_was_checked_has_a_sheet(billed: Connection, tmp_path: Path) -> None:
    checked = pl.DataFrame(
        {
            "month": [OCTOBER, OCTOBER],
            "plant_id": ["a", "z"],
            "plant_name": ["Alpha", None],
            "kind": ["agreed", "theirs only"],
            "ours_class": ["1-19", None],
            "theirs_class": ["1-19", "1-19"],
            "ours_eur": [12.5, None],
            "theirs_eur": [12.5, 99.0],
            "difference_eur": [0.0, 99.0],
            "line": [2, 3],
            "note": [None, "no request in this month"],
            "currency": ["USD", "USD"],
        }
    )
    (done,) = write_pack(billed, OCTOBER, tmp_path / "pack", PackChoice(checked=checked))
    book = Book(done.path)
    letters, foot = book.columns("Invoice check"), book.rows("Invoice check")[-1]
    assert foot[letters["SMA's minus ours (USD)"]][0] == "99.0"
    summary = {row["A"][0]: row.get("B", ("", ""))[0] for row in book.rows("Summary") if "A" in row}
    assert (summary["Invoice lines that differ"], summary["SMA's minus our amount"]) == ("1", "99")


@pytest.mark.usefixtures("without_sheets")
def test_a_credit_in_the_summary_is_a_number_for_a_spreadsheet(billed: Connection, tmp_path: Path) -> None:
    checked = pl.DataFrame(
        {"month": [OCTOBER], "plant_id": ["a"], "plant_name": ["Alpha"], "kind": ["ours only"]}
    )
    amounts = {"ours_eur": 104.28, "theirs_eur": None, "difference_eur": -104.28}
    checked = checked.with_columns(
        **{name: pl.lit(None, pl.String) for name in ("ours_class", "theirs_class", "note")},
        **{name: pl.lit(value, pl.Decimal(18, 2)) for name, value in amounts.items()},
        line=pl.lit(None, pl.Int64),
        currency=pl.lit("EUR"),
    )
    choice = PackChoice("csv", csv=CSV_STYLES["excel-de"], checked=checked)
    write_pack(billed, OCTOBER, tmp_path / "pack", choice)
    assert "SMA's minus our amount;-104,28;EUR;" in (tmp_path / "pack" / "summary.csv").read_text("utf-8-sig")


def test_the_longest_month_fits_its_column(workbook: Path) -> None:
    first = next(Book(workbook).root("Energy of the year").iter(f"{MAIN}col"))
    longest = max(len(label.choose(language)) for label in MONTHS for language in ("en", "de"))
    assert (first.get("min"), float(first.get("width", "0")) >= longest + len(" 2026") + 2) == ("1", True)


def show(share: float, form: str) -> str:
    """What a spreadsheet shows of a share: by the first section whose condition holds, else by the last one."""
    for section in form.split(";"):
        below = re.match(r"\[<([\d.]+)\]", section)
        if below is None or share < float(below[1]):
            return f"{share:.1%}" if section.endswith("0.0%") else section.partition('"')[2].removesuffix('"')
    raise AssertionError(form)


def test_only_a_whole_month_is_shown_as_covered_to_100_percent(workbook: Path) -> None:
    book = Book(workbook)
    forms = {
        book.form(name, f"{letter}{row}")
        for name in ("Energy", "Energy of the year", "Energy by day", "Completeness")
        for heading, letter in book.columns(name).items()
        for row in (2, len(book.rows(name)))
        if heading.startswith("Coverage") and letter in book.rows(name)[row - 1]
    }
    forms |= {
        book.form("Summary", f"B{number}")
        for number, cells in enumerate(book.rows("Summary"), 1)
        if cells.get("C", ("", ""))[0] == "%"
    }
    (form,) = forms - {"", "General"}
    shares = (0.5, 0.9994, 0.9996, 1 - 1e-8, 1 - 1e-13, 1.0)
    assert [show(share, form) for share in shares] == ["50.0%", "99.9%", "<100%", "<100%", "100.0%", "100.0%"]


def test_an_id_of_a_device_fits_its_column(workbook: Path) -> None:
    book = Book(workbook)
    place = ord(book.columns("Set aside")["Device id"]) - ord("A") + 1
    widths = {
        number: float(column.get("width", "0"))
        for column in book.root("Set aside").iter(f"{MAIN}col")
        for number in range(int(column.get("min", "0")), int(column.get("max", "0")) + 1)
    }
    assert widths[place] > len("8d1390bf-f55c-4a7e-9a53-0d1c2b3a4f5e")


def test_counts_in_sentences_have_the_separator_of_the_language() -> None:
    assert (format_count(1234567, "en"), format_count(1234567, "de")) == ("1,234,567", "1.234.567")


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", "sums of energy are those of the closed month"),
        ("de", "Energiesummen sind die des abgeschlossenen"),
    ],
)
@pytest.mark.usefixtures("without_sheets")
def test_a_closed_month_whose_days_changed_says_which_energy_is_where(
    changed: Connection, tmp_path: Path, language: Literal["en", "de"], words: str
) -> None:
    changed.execute(
        "INSERT INTO adjustments BY NAME SELECT 'a' AS plant_id, DATE '2021-10-01' AS month, "
        "'pv_generation' AS quantity, 10.0 AS closed_kwh, 8.0 AS now_kwh, -2.0 AS difference_kwh, "
        "TIMESTAMPTZ '2021-11-20 08:00:00+00' AS closed_at, closed_at AS noted_at"
    )
    write_pack(changed, OCTOBER, tmp_path / "pack", PackChoice("csv", language=language))
    assert words in (tmp_path / "pack" / "README.md").read_text()


def test_a_month_with_its_quarter_s_invoice_alone_is_packed(changed: Connection, tmp_path: Path) -> None:
    money = ("units_eur", "live_eur", "fees_eur", "carried_in_eur", "invoiced_eur", "carried_out_eur")
    changed.execute(
        "INSERT INTO invoices BY NAME SELECT 2021 AS year, 3 AS quarter, 0 AS n_units, 0 AS n_unpriced, "
        f"{', '.join(f'12.45 AS {name}' for name in money)}, 'carried' AS decision, true AS is_closed, "
        "'EUR' AS currency"
    )
    done = write_pack(changed, dt.date(2021, 9, 1), tmp_path / "pack", CSV)
    assert {one.path.stem: one.rows for one in done}["invoices"] == 1
    readme = (tmp_path / "pack" / "README.md").read_text()
    assert "There is no energy of this month." in readme
    assert "* To be invoiced, quarter 3: 12.45 EUR (of the whole account)\n" in readme
    changed.execute("UPDATE invoices SET is_closed = false")
    write_pack(changed, dt.date(2021, 9, 1), tmp_path / "pack", CSV)
    readme = (tmp_path / "pack" / "README.md").read_text()
    assert "12.45 EUR (of the whole account, by the PU so far: the quarter is not over)\n" in readme


def test_every_word_of_the_pack_has_a_german_form() -> None:
    columns = {name for sheet in SHEETS for name in sheet.columns}
    assert columns <= set(TERMS)
    assert {"summary", "glossary", *(sheet.name for sheet in SHEETS)} == set(SHEET_NAMES)
    labels = [
        *(label for term in TERMS.values() for label in term),
        *SHEET_NAMES.values(),
        *MONTHS,
        *(label for words in VALUES.values() for label in words.values()),
        *(label for sheet in SHEETS for label in [sheet.meaning]),
    ]
    assert all(isinstance(label, BilingualText) and label.en.strip() and label.de.strip() for label in labels)
    # Excel takes names of sheets of at most 31 characters, each once.
    for language in ("en", "de"):
        names = [label.choose(language) for label in SHEET_NAMES.values()]
        assert len(set(names)) == len(names)
        assert all(len(name) <= 31 for name in names)
        headings = [term.heading.choose(language) for term in TERMS.values()]
        assert len(set(headings)) == len(headings)
    # Each code that a table can hold has a word.
    assert set(VALUES["status"]) >= set(STATUSES)
    assert set(VALUES["pricing"]) == set(PRICINGS)
    assert set(VALUES["decision"]) == set(DECISIONS)
    assert set(VALUES["kind"]) == set(KINDS)
    assert set(VALUES["cause"]) == set(CAUSES)
    assert set(VALUES["quantity"]) == set(QUANTITIES)


def test_a_second_pack_replaces_the_first_and_leaves_nothing_beside(db: Connection, tmp_path: Path) -> None:
    folder = tmp_path / "pack"
    write_pack(db, OCTOBER, folder, CSV)
    write_pack(db, OCTOBER, folder, PackChoice("parquet"))
    assert {path.suffix for path in folder.iterdir()} == {".md", ".parquet"}
    assert pl.read_parquet(folder / "energy-monthly.parquet").columns[:3] == [
        "plant_name",
        "plant_id",
        "plant_group",
    ]
    write_pack(db, OCTOBER, folder, PackChoice())
    assert {path.suffix for path in folder.iterdir()} == {".md", ".xlsx"}
    assert list(tmp_path.iterdir()) == [folder]


def test_a_folder_with_something_else_is_not_touched(db: Connection, tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds files that no"):
        write_pack(db, OCTOBER, tmp_path, CSV)
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]


def test_a_folder_that_is_a_file_is_called_one(db: Connection, tmp_path: Path) -> None:
    (tmp_path / "pack").write_text("mine")
    with pytest.raises(
        UsageError, match="pack is a file, and a pack is a folder of files: choose another --folder"
    ):
        write_pack(db, OCTOBER, tmp_path / "pack", CSV)
    assert (tmp_path / "pack").read_text() == "mine"


def test_a_month_that_the_warehouse_has_not(db: Connection, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="neither energy nor PU of 2021-09; it has those of 2021-10"):
        write_pack(db, dt.date(2021, 9, 1), tmp_path / "pack", CSV)
    assert list(tmp_path.iterdir()) == []
