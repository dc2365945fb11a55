"""SMA's invoice as a file: read however a spreadsheet wrote it, and what could be read in two ways is refused."""

import datetime as dt
import os
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.billing import invoice_file
from pipeline.billing.invoice_cells import parse_amount
from pipeline.billing.invoice_file import InvoiceFile, read_invoice
from pipeline.common import slow_stores
from pipeline.common.errors import UsageError
from pipeline.common.slow_stores import announce_slow_stores

EXAMPLE = Path(__file__).parents[2] / "docs" / "example-invoice.csv"
GUID = "62c3cffe-41ac-4f92-8899-06610ee07b05"
OCTOBER = dt.date(2026, 10, 1)
NOW = dt.date(2027, 2, 1)


def read(folder: Path, text: str, encoding: str = "utf-8") -> InvoiceFile:
    file = folder / "invoice.csv"
    file.write_bytes(text.encode(encoding))
    return read_invoice(file, "EUR", NOW)


def lines(folder: Path, text: str, encoding: str = "utf-8") -> list[tuple[object, ...]]:
    return read(folder, text, encoding).lines.rows()


ONE = [(2, "5000000", OCTOBER, "20-99", Decimal("16.50"))]


@pytest.mark.parametrize(
    "text",
    [
        "plant_id,month,capacity_class,fee_eur\n5000000,2026-10,20-99,16.50\n",
        "plant_id;month;capacity_class;fee_eur\n5000000;2026-10;20-99;16,5\n",
        "Plant ID\tMonth\tClass\tAmount (EUR)\r\n5000000\t10/2026\t20-99 kWac\t€ 16.50\r\n",
        'Fee,Capacity Class,Billing month,System-ID\n"16,50",20–99,2026-10-31,5000000\n',
        "ANLAGEN-ID|MONAT|LEISTUNGSKLASSE|BETRAG\n5000000|31.10.2026|20 bis 99|16,50 €\n",
        "Anlage;Zeitraum;Klasse;Nettobetrag\n'5000000;Okt 26;20-99;16,5000\n\n",
        'id;period;class;price\n="5000000";2026/10;20-99;16.50\n',
        "id;period;class;price\n 5000000 ;October 2026; 20 - 99 ;+16.50 EUR\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_one_line_in_many_forms(tmp_path: Path, text: str, encoding: str) -> None:
    assert lines(tmp_path, text, encoding) == ONE


def test_excel_s_own_csv_is_read(tmp_path: Path) -> None:
    text = "Anlage;Monat;Währung;Gebühr\n5000000;Mär 2026;EUR;16,50\n"
    assert lines(tmp_path, text, "cp1252") == [(2, "5000000", dt.date(2026, 3, 1), None, Decimal("16.50"))]


@pytest.mark.parametrize(
    "month",
    [
        "Oct 2026",
        "Okt. 2026",
        "October 2026",
        "Oktober 26",
        "okt-26",
        "2026-10-31",
        "01.10.2026",
        "2026-10-01 00:00:00",
        "2026-10-01T00:00:00Z",
        "01.10.2026 - 31.10.2026",
        "1.10.2026–31.10.2026",
        "01.10.2026 bis 31.10.2026",
        "01.10.-31.10.2026",
        "2026-10-01 - 2026-10-31",
        "2026-10-01/2026-10-31",
        "10/01/2026 to 10/31/2026",
        "01/10/2026 - 31/10/2026",
    ],
)
def test_months(tmp_path: Path, month: str) -> None:
    assert dt.date(2026, 10, 1) in lines(tmp_path, f"plant;month;fee\n1;{month};1\n")[0]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1.234,56", "1234.56"),
        ("1,234.56", "1234.56"),
        ("1'234.50", "1234.50"),
        ("1 234,5", "1234.50"),
        ("1.234.567", "1234567.00"),
        ("17", "17.00"),
        ("-16.50", "-16.50"),
        ("12.4500", "12.45"),
        ("0,120", "0.12"),
        ("1.234,5600", "1234.56"),
        ("16,50-", "-16.50"),
        ("(16.50 €)", "-16.50"),
        ("\u221216,50", "-16.50"),
        ("1’234.50", "1234.50"),
    ],
)
def test_amounts(tmp_path: Path, text: str, value: str) -> None:
    assert lines(tmp_path, f"plant;month;fee\n1;2026-10;{text}\n")[0][4] == Decimal(value)


@given(st.integers(-(10**10), 10**10))
def test_an_amount_is_the_same_in_every_writing(cents: int) -> None:
    value = Decimal(cents).scaleb(-2)
    english, digits = f"{value:,.2f}", f"{abs(value):.2f}"
    german = english.translate(str.maketrans(",.", ".,"))
    minus = "-" if cents < 0 else ""
    writings = [
        english,
        german,
        f"{german} €",
        german.replace(".", "\u202f"),
        f"EUR {english}",
        f"{value:.2f}00",
    ]
    writings += [f"{digits}{minus}", f"({digits})" if minus else digits, f"{value:.2f}".replace(".", ",")]
    read = pl.DataFrame({"amount": writings}).select(parse_amount()).to_series()
    assert read.to_list() == [value] * len(writings)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no header line with plant, month and amount"),
        ("plant_id,month\n1,2026-10\n", "In 'plant_id', 'month' no column is for: amount"),
        ("plant,month,fee\n", "a header but no line below"),
        ("plant,month,fee\n1,2026-10,1.234\n", "line 2, column 'fee': '1.234' is ambiguous"),
        ("plant;month;fee\n1;2026-10;1,234\n", "line 2, column 'fee': '1,234' is ambiguous"),
        ("plant;month;fee\n1;2026-10;16,5049\n", "'16,5049' has more than two decimals; write the invoiced amount"),
        ("plant;month;fee\n1;2026-10;0,125\n", "'0,125' has more than two decimals"),
        ("plant;month;fee\n1;2026-10;1.234,567\n", "'1.234,567' has more than two decimals"),
        ("plant;month;fee\n1;2026-10;12.450000000001\n", "has more than two decimals"),
        ("plant;month;fee\n1;2026-10;99999999999999999999\n", "is not an amount"),
        ("plant;month;fee\n1;2026-10;$ 16.50\n", "line 2, column 'fee': .* another currency than the price list"),
        ("plant;month;fee in USD\n1;2026-10;16.50\n", "column 'fee in USD': is another currency"),
        ("Anlage;Monat;Preis;Summe\n1;2026-10;8,25;16,50\n", "two columns of amounts, 'Preis' and 'Summe': delete"),
        ("plant;month;Amount CHF\n1;2026-10;16.50\n", "column 'Amount CHF': is another currency"),
        ("plant;month;Amount (GBP)\n1;2026-10;16.50\n", r"column 'Amount \(GBP\)': is another currency"),
        ("plant;month;fee\n1;2026-10;£16.50\n", "line 2, column 'fee': .* another currency than the price list"),
        ("plant;month;Brutto\n1;2026-10;19.64\n", r"only amounts with tax \('Brutto'\), but our prices are without"),
        ("plant;month;fee incl. 19% VAT\n1;2026-10;19.64\n", "has only amounts with tax"),
        ("plant;month;Betrag;Betrag\n1;2026-10;1;2\n", "two columns of amounts, 'Betrag' and 'Betrag'"),
        ('plant;month;fee;name\n1;2026-10;1;a\n2;2026-10;1;"b\n3;2026-10;1;c\n', "line 3: a cell begins with a quote"),
        ("PK\x03\x04", "is an Excel workbook: save its table as CSV"),
        ("%PDF-1.7", "is a PDF"),
        (f'plant;"{"x" * 200_000}', "no header line"),
        ("plant,month,fee\n1,2026-10,free\n", "line 2, column 'fee': 'free' is not an amount"),
        ("plant,month,fee\n1,2026-10,\n", "line 2, column 'fee': it is empty"),
        ("plant,month,fee\n1,2026-10,1\n\n1,2026-13,1\n", "line 4, column 'month': '2026-13' is not a month"),
        ("plant,month,fee\n1,10/11/2026,1\n", "column 'month': '10/11/2026' is not a month"),
        ("plant,month,fee\n1,Junk-26,1\n", "column 'month': 'Junk-26' is not a month"),
        ("plant,month,fee\n1,Junk 2026,1\n", "column 'month': 'Junk 2026' is not a month"),
        ("plant,month,fee\n1,2026-10-99,1\n", "column 'month': '2026-10-99' is not a month"),
        ("plant,month,fee\n1,2026-02-30,1\n", "column 'month': '2026-02-30' is not a month"),
        ("plant,month,fee\n1,01.10.2026 - 31.12.2026,1\n", "is not one whole month .* write one line for each"),
        ("plant,month,fee\n1,02.10.2026-31.10.2026,1\n", "'02.10.2026-31.10.2026' is not one whole month"),
        ("plant,month,fee\n1,2024-02-01 - 2024-02-28,1\n", "is not one whole month"),
        ("plant,month,fee\n1,Oct-31,1\n", "'Oct-31' is 2031-10, but months after 2027-02 can't be billed yet"),
        ("plant,month,fee\n1,2027-03,1\n", "'2027-03' is 2027-03"),
        ("plant,month,fee\n1,Oct-05,1\n", "'Oct-05' may be a day or a year; write the month as 2026-10"),
        ("plant,month,fee\n1,,1\n", "line 2, column 'month': it is empty"),
        ("Plant ID,month,fee\nPlant A,2026-10,1\n", "line 2, column 'Plant ID': 'Plant A' is not a plant id"),
        ("plant,month,fee\n٥٠٠٠٠٠٤,2026-10,1\n", "'٥٠٠٠٠٠٤' is not a plant id"),
        (f"plant,month,fee\n{'5' * 9_999},2026-10,1\n", "characters left out.* is not a plant id"),
        ("plant,month,fee\n1,0000-10,1\n", "column 'month': '0000-10' is not a month"),
        (f"plant,month,fee\n1,2026-10,{'1' * 140_000}\n", "line 2: a cell has more than 131,072 characters"),
        ('plant;month;fee\n"5,00E+06";2026-10;1\n', "'5,00E.06' is a number that Excel made of a long id"),
        ("plant;month;class;fee\n1;2026-10;big;1\n", "column 'class': 'big' is not a class .* choose from 1-19, 20-99"),
        ("plant;month;class;fee\n1;2026-10;19. Jan;1\n", "'19. Jan' is a date that Excel made of 1-19"),
        ("plant;month;class;fee\n1;2026-10;01.01.2019;1\n", "is a date that Excel made of 1-19"),
        ("plant;month;currency;fee\n1;2026-10;USD;1\n", "column 'currency': 'USD' is another currency"),
        ("plant,month,fee\n1,2026-10,16,50\n", "line 2: 4 cells below 3 headings. A decimal comma needs"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_told_by_line_and_column(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        read(tmp_path, text)
    assert "invoice.csv" in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32"])
def test_letters_of_several_bytes_without_a_mark_are_told(tmp_path: Path, encoding: str) -> None:
    with pytest.raises(
        UsageError, match="is UTF-16 without a byte order mark, or no text: save its table as"
    ):
        read(tmp_path, "plant,month,fee\n1,2026-10,1\n", encoding)


@pytest.mark.parametrize(
    "headings",
    [
        "Total;Total net",
        "Brutto;Netto",
        "Betrag (brutto);Betrag (netto)",
        "Amount;Net amount",
        "Betrag inkl. 19 % USt;Betrag",
        "USt-Betrag;Betrag ohne USt (EUR)",
        "Bruttobetrag;Nettobetrag in EUR",
    ],
)
def test_the_amount_without_tax_is_compared(tmp_path: Path, headings: str) -> None:
    text = f"Anlagen-Nr.;Leistungszeitraum;{headings}\n5000000;2026-10;19,64;16,50\n"
    assert lines(tmp_path, text)[0][4] == Decimal("16.50")


def test_a_table_as_finance_sends_it(tmp_path: Path) -> None:
    """Names with separators and line breaks, sums in any column, empty lines of a sheet below, both kinds of ids."""
    text = (
        "sep=;\r\nRechnung;4711;;;\r\n"
        "Name;Anlagen-ID;Leistungszeitraum;Netto;Brutto\r\n"
        '"Hof; ""Süd"",\r\nScheune";5000000;01.10.2026 - 31.10.2026;"1.016,50";1209,64\r\n'
        f"Total;{GUID.upper()};Okt 26;16,50 €;19,64\r\n"
        ";;;;\r\nZwischensumme Oktober;;;;\r\nZwischensumme;;2026-10;1033,00;\r\nzzgl. 19 % USt;;;196,27;\r\n"
        "Gesamtbetrag:;;;1229,27;\r\n;;;;\r\n"
    )
    found = read(tmp_path, text, "cp1252")
    assert found.lines.rows() == [
        (4, "5000000", OCTOBER, None, Decimal("1016.50")),
        (6, GUID, OCTOBER, None, Decimal("16.50")),
    ]
    assert found.totals == (Decimal("1033.00"), Decimal("1229.27"))
    assert found.ignored == (8, 10)


def test_a_live_plan_is_set_aside(tmp_path: Path) -> None:
    text = "plant;month;fee\nLive API, 200.000 calls;2026-10;100\n1;2026-10;16.50\nTotal;;116.50\n"
    found = read(tmp_path, text)
    assert (found.lines["line"].to_list(), found.ignored) == ([3], (2,))


@pytest.mark.parametrize("name", ["1000+", ">= 1000", "> 1.000 kW", "1,000+", "ab 1000 kWac"])
def test_the_largest_class(tmp_path: Path, name: str) -> None:
    assert lines(tmp_path, f"plant;month;class;fee\n1;2026-10;{name};1\n")[0][3] == "1000+"


def test_lines_may_end_in_each_way(tmp_path: Path) -> None:
    for end in ("\n", "\r\n", "\r"):
        text = "plant;month;fee\n1;2026-10;1\n\n2;2026-10;1\n".replace("\n", end)
        assert [row[:2] for row in lines(tmp_path, text)] == [(2, "1"), (4, "2")]


@pytest.mark.parametrize("more", [";" * 256, ";(" * 256, ";" + "(" * 10_000])
def test_a_line_that_is_too_long_is_no_header(tmp_path: Path, more: str) -> None:
    with pytest.raises(UsageError, match="has no header line with plant, month and amount"):
        read(tmp_path, f"plant_id;month;fee_eur{more}\n5000000;2026-10;12.50\n")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"can't be read \(No such file"):
        read_invoice(tmp_path / "nowhere.csv", "EUR", NOW)


def test_a_file_without_an_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device was read until memory ended."""
    monkeypatch.setattr(invoice_file, "MOST_BYTES", 10**6)
    with pytest.raises(UsageError, match="has more than 1 MB, which no invoice has"):
        read_invoice(Path("/dev/zero"), "EUR", NOW)


def test_a_pipe_that_nobody_writes_to_is_announced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slow_stores, "SILENT_FOR_S", 0.1)
    monkeypatch.setattr(slow_stores, "LOOK_EVERY_S", 0.02)
    pipe, told = tmp_path / "pipe", list[str]()
    os.mkfifo(pipe)

    def write(text: str) -> None:
        told.append(text)
        if len(told) == 1:
            pipe.write_text("plant,month,amount\n5000000,2026-06,12.00\n")

    with announce_slow_stores(write):
        assert read_invoice(pipe, "EUR", NOW).lines.height == 1
    assert told[0].startswith(f"Waiting for the invoice {pipe}, which has not answered for ")


def test_headings_of_another_file_are_quoted_in_part(tmp_path: Path) -> None:
    file = tmp_path / "invoice.csv"
    file.write_text(f"plant,{'x' * 5000}\n")
    with pytest.raises(UsageError, match="characters left out") as fault:
        read_invoice(file, "EUR", NOW)
    assert len(str(fault.value)) < 1000


def test_the_sum_and_the_taxes_are_no_lines() -> None:
    found = read_invoice(EXAMPLE, "EUR", NOW)
    assert found.totals == (Decimal("124.29"),) == (found.lines["amount_eur"].sum(),)
    assert found.ignored == (13,)
    assert found.lines.height == 8
