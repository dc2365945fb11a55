"""The workbook of a month: headings, sums, formats and widths, as a spreadsheet shows them."""

import re
from pathlib import Path

import polars as pl
import pytest

from tests.warehouse.finance.packs import MAIN, OCTOBER, Book, Connection
from warehouse.finance.pack import PackChoice, write_pack
from warehouse.finance.words import MONTHS, SHEET_NAMES
from warehouse.results.csv_file import CSV_STYLES


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
