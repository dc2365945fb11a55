"""SMA's invoice compared with our count, line by line."""

import datetime as dt
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipeline.billing.invoice_comparison import compare_invoice, find_quarters
from pipeline.billing.invoice_file import InvoiceFile, read_invoice
from pipeline.cli.bills.invoice_check import check_file
from pipeline.cli.run_options import parse_month_option
from pipeline.common.errors import UsageError
from pipeline.run.context import RunContext
from schemas import Plants, polars_schema
from tests.billing.record import NO_MOVES, at, request, store, unit, units

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLE = DOCS / "example-invoice.csv"
GUID = "62c3cffe-41ac-4f92-8899-06610ee07b05"
OCTOBER = dt.date(2026, 10, 1)
NOW = dt.date(2027, 2, 1)
NO_VAIN = pl.DataFrame(schema={"plant_id": pl.String, "month": pl.Date, "n_requests": pl.Int64})


def read(folder: Path, text: str) -> InvoiceFile:
    file = folder / "invoice.csv"
    file.write_text("plant,month,class,fee\n" + text)
    return read_invoice(file, "EUR", NOW)


def compared(
    text: str,
    folder: Path,
    *ours: dict[str, object],
    moves: pl.DataFrame = NO_MOVES,
    record: tuple[dt.date, dt.date] | None = None,
) -> pl.DataFrame:
    return compare_invoice(read(folder, text).lines, units(*ours), NO_VAIN, moves, record)


def differences(*args: Any, **options: Any) -> list[object]:
    return compared(*args, **options).select("plant_id", "kind").rows()


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
    assert differences("1,2026-10,,12.45\n", tmp_path, unit("1", "2026-10", None)) == [("1", "no price")]
    assert differences("1,2026-10,1-19,12.45\n", tmp_path, unit("1", "2026-10", None)) == [("1", "no price")]


def test_ids_are_compared_without_case_and_across_a_move(tmp_path: Path) -> None:
    upper = unit(GUID.upper(), "2026-10", "16.50")
    assert differences(f"{GUID},2026-10,,16.50\n", tmp_path, upper) == [(GUID.upper(), "agreed")]
    moves = pl.DataFrame({"plant_id": ["7"], "old_id": [GUID.upper()], "moved_on": [OCTOBER]})
    moved = differences(f"{GUID},2026-10,,16.50\n", tmp_path, unit("7", "2026-10", "16.50"), moves=moves)
    assert moved == [("7", "agreed")]
    # The move was later, and SMA's invoice still later.
    early = differences("7,2026-10,,16.50\n", tmp_path, unit(GUID.upper(), "2026-10", "16.50"), moves=moves)
    assert early == [(GUID.upper(), "agreed")]
    # So was the next one: the PU is of the first id, and the invoice names the last one.
    next_move = pl.DataFrame({"plant_id": ["8"], "old_id": ["7"], "moved_on": [OCTOBER]})
    ours, both = unit(GUID.upper(), "2026-10", "16.50"), pl.concat([moves, next_move])
    assert differences("8,2026-10,,16.50\n", tmp_path, ours, moves=both) == [(GUID.upper(), "agreed")]


def rows_of(text: str, folder: Path, *ours: dict[str, object]) -> list[tuple[object, ...]]:
    found = compared(text, folder, *ours)
    return found.select(
        "kind", "line", "theirs_class", pl.col("difference_eur").cast(pl.String), "note"
    ).rows()


CHARGE, CREDIT = "1,2026-10,20-99,16.50\n", "1,2026-10,20-99,-16.50\n"


def test_what_is_charged_and_credited_is_not_charged(tmp_path: Path) -> None:
    note = "charged and credited in lines 2, 3"
    assert rows_of(CHARGE + CREDIT, tmp_path) == [("agreed", 2, "20-99", "0.00", note)]
    since = "1 request since 2026-10-02 00:00 UTC"
    assert rows_of(CREDIT + CHARGE, tmp_path, unit("1", "2026-10", "16.50")) == [
        ("ours only", 2, "20-99", "-16.50", f"{note}; {since}")
    ]


def test_a_credit_corrects_what_was_billed_twice_or_too_high(tmp_path: Path) -> None:
    ours = unit("1", "2026-10", "16.50")
    twice = rows_of(CHARGE + CHARGE + CREDIT, tmp_path, ours)
    assert twice == [("agreed", 2, "20-99", "0.00", "charges less credits of lines 2, 3, 4")]
    wrong = "1,2026-10,100-499,19.50\n1,2026-10,100-499,-19.50\n"
    assert rows_of(wrong + CHARGE, tmp_path, ours) == twice
    (row,) = rows_of(CHARGE + "1,2026-10,20-99,-6.50\n", tmp_path, ours)
    assert row[:4] == ("other price", 2, "20-99", "-6.50")


def test_a_credit_without_its_charge_is_told_as_what_it_is(tmp_path: Path) -> None:
    rows = rows_of(CREDIT, tmp_path, unit("1", "2026-10", "16.50"))
    assert [row[:4] for row in rows] == [
        ("ours only", None, None, "-16.50"),
        ("theirs only", 2, "20-99", "-16.50"),
    ]
    assert rows[1][4] == "a credit for a charge that is not in this file: look at an earlier invoice"


def test_a_charge_under_either_id_of_a_system_is_one_pu(tmp_path: Path) -> None:
    """A system that moved from the classic portal, and is on the invoice under both ids."""
    moves = pl.DataFrame({"plant_id": ["7"], "old_id": [GUID], "moved_on": [OCTOBER]})
    text = f"{GUID},2026-10,20-99,16.50\n7,2026-10,20-99,16.50\n"
    found = compared(text, tmp_path, unit("7", "2026-10", "16.50"), moves=moves)
    assert found.select("kind", "note").rows() == [
        ("agreed", None),
        ("theirs only", "billed twice: see line 2"),
    ]


def test_a_month_that_the_record_does_not_reach_is_told(tmp_path: Path) -> None:
    text = "2,2026-09,,1\n2,2026-10,,1\n2,2026-11,,1\n"
    found = compared(text, tmp_path, unit("1", "2026-10", "16.50"), record=(OCTOBER, OCTOBER))
    assert found.filter(pl.col("kind") == "theirs only")["note"].to_list() == [
        "our record of requests begins in 2026-10",
        "no request in this month",
        "our record of requests ends in 2026-10",
    ]


def quarters(folder: Path, *months: str) -> tuple[str, str]:
    text = "".join(f"1,{month},,{fee or 1}\n" for month, _, fee in (m.partition(":") for m in months))
    begin, end = find_quarters(read(folder, text).lines)
    return f"{begin:%Y-%m}", f"{end:%Y-%m}"


def test_an_invoice_is_for_whole_quarters(tmp_path: Path) -> None:
    assert quarters(tmp_path, "2026-05", "2026-08") == ("2026-04", "2026-09")
    assert quarters(tmp_path, "2026-12") == ("2026-10", "2026-12")


def test_a_line_of_another_year_makes_no_months_wider(tmp_path: Path) -> None:
    assert quarters(tmp_path, "2021-10", "2026-11", "2026-12") == ("2026-10", "2026-12")
    assert quarters(tmp_path, "2025-11", "2026-01") == ("2026-01", "2026-03")


def test_a_credit_of_an_older_month_makes_no_months_wider(tmp_path: Path) -> None:
    assert quarters(tmp_path, "2026-02:-5", "2026-12") == ("2026-10", "2026-12")
    assert quarters(tmp_path, "2026-02:-5") == ("2026-01", "2026-03")


@pytest.mark.parametrize("text", ["2026", "2026-13", "2026-1", "2026-10-01", "soon"])
def test_a_month_on_the_command_line_is_written_in_one_way(text: str) -> None:
    assert parse_month_option("--from", "2026-10") == OCTOBER
    with pytest.raises(UsageError, match=f"--from {text} is not a month"):
        parse_month_option("--from", text)


@pytest.fixture
def home(new_runtime: Callable[..., RunContext], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
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
    monkeypatch.setattr(
        "pipeline.cli.bills.invoice_check.RunContext", partial(RunContext, now=lambda: at("2027-02-03"))
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def plain(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines())


def test_the_example_of_the_documentation(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check_file(EXAMPLE, None, None, None) == 3
    printed = plain(capsys.readouterr().out)
    blocks = re.findall(r"```text\n(.*?)```", (DOCS / "billing.md").read_text("utf-8"), re.DOTALL)
    assert printed in [plain(block) for block in blocks]
    for kind in ("agreed", "ours only", "theirs only", "other class", "other price", "no price"):
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
    assert (
        "5 lines outside of 2026-09 to 2026-09 were not compared (line 2: 2026-10, line"
        in capsys.readouterr().out
    )


def test_all_agreed_is_exit_code_0(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = home / "own.csv"
    own.write_text("plant_id,month,class,fee_eur\n5000000,2027-01,20-99,16.50\nTotal,,,16.50\n")
    assert check_file(own, None, None, None) == 0
    assert "agrees with our count for 2027-01 to 2027-03" in capsys.readouterr().err
    own.write_text(
        "plant_id,month,class,fee_eur\n5000000,2027-01,20-99,16.50\nTotal,,,19.64\nTotal net,,,16.50\n"
    )
    assert check_file(own, None, None, None) == 0
    own.write_text(
        "plant_id,month,class,fee_eur\n5000000,2027-01,20-99,16.50\nTotal,,,17.50\nTotal net,,,17.00\n"
    )
    assert check_file(own, None, None, None) == 3
    assert "own sums, 17.50 and 17.00, are not the sum of its lines, 16.50" in capsys.readouterr().out
    own.write_text("plant_id,month,class,fee_eur\n5000000,2027-01,20-99,16.50\nTotal,,,17.50\n")
    assert check_file(own, None, None, None) == 3
    assert "own sum, 17.50, is not the sum of its lines, 16.50" in capsys.readouterr().out


def test_a_line_of_a_wrong_month_is_named(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = home / "own.csv"
    lines = "5000000,2027-01,16.50\n"
    own.write_text(f"plant_id,month,fee_eur\n{lines}5000000,2021-10,16.50\n")
    assert check_file(own, None, None, None) == 3
    text = capsys.readouterr().out
    assert (
        "1 line outside of 2027-01 to 2027-03 was not compared (line 3: 2021-10): correct a month that"
        in text
    )
    assert not re.search("ours only +[1-9]", text)
    own.write_text("plant_id,month,fee_eur\n5000000,2026-12,16.50\n5000000,2026-01,16.50\n")
    assert check_file(own, None, None, None) == 3
    text = capsys.readouterr().out
    assert (
        "These quarters were compared because of line 3 (2026-01) and line 2 (2026-12). If one is wrong"
        in text
    )
    assert "our record of requests begins in 2026-10" in text
    assert check_file(own, "2026-12", "2026-12", None) == 3
    assert "These quarters" not in capsys.readouterr().out


def test_wrong_usage_is_told_before_anything_is_compared(home: Path) -> None:
    own = home / "own.csv"
    own.write_text("plant_id,month,fee_eur\n1,2027-01,1.00\n")
    with pytest.raises(UsageError, match="is before the first"):
        check_file(own, "2026-11", "2026-10", None)
    with pytest.raises(UsageError, match="has no known ending"):
        check_file(own, None, None, home / "lines.doc")


@pytest.mark.parametrize(
    ("below", "code"),
    [
        # A Live plan is on the invoice and in its sum; tax is in the second sum.
        ("Live API,2027-01,,100.00\nTotal,,,116.50\n", 0),
        ("Live API,2027-01,,100.00\nTotal net,,,116.50\nVAT 19 %,,,22.14\nTotal,,,138.64\n", 0),
        ("VAT 19 %,,,3.14\nTotal,,,19.64\n", 0),
        ("Live API,2027-01,,100.00\nTotal,,,117.50\n", 3),
    ],
)
def test_lines_without_a_plant_may_be_in_the_invoice_s_sum(home: Path, below: str, code: int) -> None:
    own = home / "own.csv"
    own.write_text(f"plant_id,month,class,fee_eur\n5000000,2027-01,20-99,16.50\n{below}")
    assert check_file(own, None, None, None) == code


def test_a_system_of_theirs_alone_is_no_pu_of_ours_without_a_price(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = home / "own.csv"
    own.write_text(
        "plant_id,month,class,fee_eur\n5000000,2027-01,20-99,16.50\n4711,2027-01,20-99,16.50\n"
        "4711,2027-01,20-99,-16.50\n"
    )
    assert check_file(own, None, None, None) == 0
    assert "PU without a price here" not in capsys.readouterr().out
