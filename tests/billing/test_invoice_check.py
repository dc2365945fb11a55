"""SMA's invoice: read however a spreadsheet wrote it, and compared line by line with our count."""

import datetime as dt
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from pipeline.billing.compare import compare, quarters_of
from pipeline.billing.invoice_file import InvoiceFile, read_invoice
from pipeline.cli.invoice import check_file, month
from pipeline.errors import UsageError
from pipeline.runtime import Runtime
from schemas import Plants, polars_schema
from tests.billing.record import NO_MOVES, request, store, unit, units

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLE = DOCS / "example-invoice.csv"
GUID = "62c3cffe-41ac-4f92-8899-06610ee07b05"
OCTOBER = dt.date(2026, 10, 1)
NO_VAIN = pl.DataFrame(schema={"plant_id": pl.String, "month": pl.Date, "n_requests": pl.Int64})


def read(folder: Path, text: str, encoding: str = "utf-8") -> InvoiceFile:
    file = folder / "invoice.csv"
    file.write_bytes(text.encode(encoding))
    return read_invoice(file)


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
    "month", ["Oct 2026", "Okt. 2026", "October 2026", "Oktober 26", "okt-26", "2026-10-31", "01.10.2026"]
)
def test_months(tmp_path: Path, month: str) -> None:
    assert dt.date(2026, 10, 1) in lines(tmp_path, f"plant;month;fee\n1;{month};1\n")[0]


@pytest.mark.parametrize(
    ("amount", "value"),
    [
        ("1.234,56", "1234.56"),
        ("1,234.56", "1234.56"),
        ("1'234.50", "1234.50"),
        ("1 234,5", "1234.50"),
        ("1.234.567", "1234567.00"),
        ("0,125", "0.13"),
        ("17", "17.00"),
        ("-16.50", "-16.50"),
        ("12.4536", "12.45"),
    ],
)
def test_amounts(tmp_path: Path, amount: str, value: str) -> None:
    assert lines(tmp_path, f"plant;month;fee\n1;2026-10;{amount}\n")[0][4] == Decimal(value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no line of headings with plant, month and amount"),
        ("plant_id,month\n1,2026-10\n", "In 'plant_id', 'month' there is none for: amount"),
        ("plant,month,fee\n", "headings and no line below"),
        ("plant,month,fee\n1,2026-10,1.234\n", "line 2, column 'fee': '1.234' may be a number of thousands or of"),
        ("plant;month;fee\n1;2026-10;1,234\n", "line 2, column 'fee': '1,234' may be"),
        ("plant,month,fee\n1,2026-10,free\n", "line 2, column 'fee': 'free' is no amount"),
        ("plant,month,fee\n1,2026-10,\n", "line 2, column 'fee': it is empty"),
        ("plant,month,fee\n1,2026-10,1\n\n1,2026-13,1\n", "line 4, column 'month': '2026-13' is no month"),
        ("plant,month,fee\n1,10/11/2026,1\n", "column 'month': '10/11/2026' is no month"),
        ("plant,month,fee\n1,Junk 2026,1\n", "column 'month': 'Junk 2026' is no month"),
        ("plant,month,fee\n1,2026-10-99,1\n", "column 'month': '2026-10-99' is no month"),
        ("plant,month,fee\n1,,1\n", "line 2, column 'month': it is empty"),
        ("Plant ID,month,fee\nPlant A,2026-10,1\n", "line 2, column 'Plant ID': 'Plant A' is no plant id"),
        ('plant;month;fee\n"5,00E+06";2026-10;1\n', "'5,00E.06' is what Excel makes of a long id"),
        ("plant;month;class;fee\n1;2026-10;big;1\n", "column 'class': 'big' is no class .* choose from 1-19, 20-99"),
        ("plant;month;currency;fee\n1;2026-10;USD;1\n", "column 'currency': 'USD' is another currency"),
        ("plant,month,fee\n1,2026-10,16,50\n", "line 2: 4 cells below 3 headings. A decimal comma needs"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_told_by_line_and_column(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        read(tmp_path, text)
    assert "invoice.csv" in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="can't be read: No such file"):
        read_invoice(tmp_path / "nowhere.csv")


def test_the_sum_and_the_taxes_are_no_lines() -> None:
    found = read_invoice(EXAMPLE)
    assert found.total == Decimal("124.29") == found.lines["amount_eur"].sum()
    assert found.ignored == (13,)
    assert found.lines.height == 8


def differences(
    text: str, folder: Path, *ours: dict[str, object], moves: pl.DataFrame = NO_MOVES
) -> list[object]:
    found = compare(read(folder, "plant,month,class,fee\n" + text).lines, units(*ours), NO_VAIN, moves)
    return found.select("plant_id", "kind").rows()


def test_each_kind_of_difference(tmp_path: Path) -> None:
    ours = [unit(plant, "2026-10", "16.50") for plant in ("1", "2", "3", "4")]
    text = "1,2026-10,20-99,16.50\n2,2026-10,1-19,16.50\n3,2026-10,20-99,16.51\n5,2026-10,20-99,16.50\n"
    assert differences(text, tmp_path, *ours) == [
        ("1", "agreed"),
        ("2", "other class"),
        ("3", "other price"),
        ("4", "ours only"),
        ("5", "theirs only"),
    ]


def test_the_same_system_in_another_month_is_another_pu(tmp_path: Path) -> None:
    text = "1,2026-11,20-99,16.50\n"
    assert differences(text, tmp_path, unit("1", "2026-10", "16.50")) == [
        ("1", "ours only"),
        ("1", "theirs only"),
    ]


def test_without_a_class_only_the_price_is_compared(tmp_path: Path) -> None:
    assert differences("1,2026-10,,16.50\n", tmp_path, unit("1", "2026-10", "16.50")) == [("1", "agreed")]


def test_an_unpriced_pu_never_agrees(tmp_path: Path) -> None:
    assert differences("1,2026-10,,12.45\n", tmp_path, unit("1", "2026-10", None)) == [("1", "other price")]
    assert differences("1,2026-10,1-19,12.45\n", tmp_path, unit("1", "2026-10", None)) == [
        ("1", "other class")
    ]


def test_ids_are_compared_without_case_and_across_a_move(tmp_path: Path) -> None:
    upper = unit(GUID.upper(), "2026-10", "16.50")
    assert differences(f"{GUID},2026-10,,16.50\n", tmp_path, upper) == [(GUID.upper(), "agreed")]
    moves = pl.DataFrame({"plant_id": ["7"], "old_id": [GUID.upper()], "moved_on": [OCTOBER]})
    moved = differences(f"{GUID},2026-10,,16.50\n", tmp_path, unit("7", "2026-10", "16.50"), moves=moves)
    assert moved == [("7", "agreed")]


def test_an_invoice_is_for_whole_quarters() -> None:
    months = pl.Series([dt.date(2026, 5, 1), dt.date(2026, 8, 1)])
    assert quarters_of(months) == (dt.date(2026, 4, 1), dt.date(2026, 9, 1))
    december = pl.Series([dt.date(2026, 12, 1)])
    assert quarters_of(december) == (OCTOBER, dt.date(2026, 12, 1))


@pytest.mark.parametrize("text", ["2026", "2026-13", "2026-1", "2026-10-01", "soon"])
def test_a_month_on_the_command_line_is_written_in_one_way(text: str) -> None:
    assert month("--from", "2026-10") == OCTOBER
    with pytest.raises(UsageError, match=f"--from {text} is not a month"):
        month("--from", text)


@pytest.fixture
def home(new_runtime: Callable[..., Runtime], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A home in which the systems of the example were asked for."""
    runtime = new_runtime()
    kilowatts = {
        "5000000": 50.0,
        "5000022": 5.0,
        "5000044": 100.0,
        "5000066": 6.0,
        "5000132": None,
        GUID: 50.0,
    }
    rows = [
        {
            "plant_id": plant,
            "name": f"Plant {plant}",
            "backend": "ennexos",
            "timezone": "Europe/Berlin",
            "ac_power_kw": kw,
            "first_seen": OCTOBER,
            "last_seen": dt.date(2026, 10, 31),
        }
        for plant, kw in kilowatts.items()
    ]
    runtime.lake.replace(Plants, {}, [pl.DataFrame(rows, schema=polars_schema(Plants)).sort("plant_id")])
    asked = [request(f"2026-10-02T03:{i:02}:00", plant_id=plant) for i, plant in enumerate(kilowatts)]
    refused = [request(f"2026-10-02T04:{i:02}:00", plant_id="5000110", status=504) for i in range(3)]
    store(runtime, *asked, *refused, request("2027-01-05", plant_id="5000000"))
    for name in ("SUNLEDGER_LAKE", "SUNLEDGER_WAREHOUSE", "SUNLEDGER_PRICES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SUNLEDGER_HOME", str(runtime.settings.home))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def plain(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines())


def test_the_example_of_the_documentation(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check_file(EXAMPLE, None, None, None) == 3
    printed = plain(capsys.readouterr().out)
    blocks = re.findall(r"```text\n(.*?)```", (DOCS / "billing.md").read_text("utf-8"), re.DOTALL)
    assert printed in [plain(block) for block in blocks]
    for kind in ("agreed", "ours only", "theirs only", "other class", "other price"):
        assert re.search(rf"^\s+{kind} +[1-9]", printed, re.MULTILINE), kind


def test_lines_can_be_written_and_months_chosen(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = home / "own.csv"
    text = "plant_id,month,fee_eur\n" + "".join(
        f"{plant},2026-10,{fee}\n"
        for plant, fee in (
            ("5000000", "16.50"),
            ("5000022", "12.45"),
            ("5000044", "24.00"),
            ("5000066", "12.54"),
        )
    )
    own.write_text(f"{text}{GUID},2026-10,16.50\n")
    # What has no price can't agree with anything, so it is left over.
    assert check_file(own, "2026-10", "2026-10", home / "lines.csv") == 3
    assert "5000132" in capsys.readouterr().out
    written = (home / "lines.csv").read_text().splitlines()
    assert len(written) == 7
    assert sum("agreed" in line for line in written) == 5
    assert check_file(own, "2026-09", "2026-09", None) == 3
    assert "5 lines are of other months than 2026-09 to 2026-09" in capsys.readouterr().out


def test_all_agreed_is_exit_code_0(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = home / "own.csv"
    own.write_text("plant_id,month,class,fee_eur\n5000000,2027-01,20-99,16.50\nTotal,,,16.50\n")
    assert check_file(own, None, None, None) == 0
    assert "agrees with our count of 2027-01 to 2027-03" in capsys.readouterr().err
    own.write_text("plant_id,month,class,fee_eur\n5000000,2027-01,20-99,16.50\nTotal,,,17.50\n")
    assert check_file(own, None, None, None) == 3
    assert "own sum, 17.50, is not the sum of its lines, 16.50" in capsys.readouterr().out


def test_wrong_usage_is_told_before_anything_is_compared(home: Path) -> None:
    own = home / "own.csv"
    own.write_text("plant_id,month,fee_eur\n1,2027-01,1.00\n")
    with pytest.raises(UsageError, match="before they begin"):
        check_file(own, "2026-11", "2026-10", None)
    with pytest.raises(UsageError, match="names no format"):
        check_file(own, None, None, home / "lines.doc")
