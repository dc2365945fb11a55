"""SMA's invoice compared with our count, line by line."""

import datetime as dt
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import polars as pl
import pytest

from pipeline.billing.compare import compare, quarters_of
from pipeline.billing.invoice_file import InvoiceFile, read_invoice
from pipeline.cli.invoice import check_file, month
from pipeline.errors import UsageError
from pipeline.runtime import Runtime
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


def differences(
    text: str, folder: Path, *ours: dict[str, object], moves: pl.DataFrame = NO_MOVES
) -> list[object]:
    found = compare(read(folder, text).lines, units(*ours), NO_VAIN, moves)
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
    monkeypatch.setattr("pipeline.cli.invoice.Runtime", partial(Runtime, now=lambda: at("2027-02-03")))
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
