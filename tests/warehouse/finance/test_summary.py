"""The sentences and figures of a month's README and summary."""

import datetime as dt
from pathlib import Path
from typing import Literal

import polars as pl
import pytest

from pipeline.billing.invoice_comparison import KINDS
from pipeline.report.reasons import CAUSES
from pipeline.tables.restatement_tables import QUANTITIES
from schemas.report_tables import STATUSES
from schemas.usage import DECISIONS, PRICINGS
from tests.warehouse.finance.packs import CSV, OCTOBER, Connection
from warehouse.finance.labels import TERMS, BilingualText, format_count
from warehouse.finance.pack import PackChoice, write_pack
from warehouse.finance.sheets import ENERGIES, SHEETS
from warehouse.finance.words import MONTHS, SHEET_NAMES, VALUES
from warehouse.results.csv_file import CSV_STYLES


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


def test_counts_in_sentences_have_the_separator_of_the_language() -> None:
    assert (format_count(1234567, "en"), format_count(1234567, "de")) == ("1,234,567", "1.234.567")


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
