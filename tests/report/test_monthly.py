"""The report of a month: from a published file to a folder of pages, with every name only a name."""

import datetime as dt
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import duckdb
import polars as pl
import pytest
from typer.testing import CliRunner

from assets.prefix import RUNTIME
from assets.published import build_monthly_report
from pipeline.cli.commands import app
from pipeline.common.errors import UsageError
from pipeline.report.sheet_tables import name_file
from pipeline.report.write_report import choose_month, write_report
from pipeline.run.context import RunContext
from tests.report.fleet import NOW, OCTOBER, SCRIPT, STRANGE_ID
from tests.report.test_page import Page
from warehouse.month_queries.month_rows import select_month_rows
from warehouse.published_file.open_published import connect

Rows = Callable[..., pl.DataFrame]


@pytest.fixture(scope="module")
def db(published: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with connect(published) as connection:
        yield connection


@pytest.fixture(scope="module")
def folder(db: duckdb.DuckDBPyConnection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages of that month."""
    place = tmp_path_factory.mktemp("pages") / "out"
    done = write_report(db, OCTOBER, place)
    assert done.index == place / "index.html"
    assert done.bytes == sum(path.stat().st_size for path in done.index.parent.iterdir())
    return done.index.parent


def page(path: Path) -> Page:
    return Page(path.read_text())


def test_the_fleet_links_to_a_page_of_each_plant(folder: Path) -> None:
    links = {link["href"] for link in page(folder / "index.html").all("a")}
    pages = {path.name for path in folder.iterdir()} - {"index.html"}
    assert links == pages == {name_file(plant) for plant in ("1", "2", STRANGE_ID)}
    for name in pages:
        assert page(folder / name).all("a")[0]["href"] == "index.html"


def test_plants_are_ranked_by_specific_yield_with_coverage_beside_it(folder: Path) -> None:
    ranking = page(folder / "index.html").tables[0][1:]
    assert [row[:6] for row in ranking] == [
        ["Barn & Byre 2", "1", "6.0", "24.0", "50 %", "partial"],
        [f"{SCRIPT} 1", "2", "4.0", "20.0", "100 %", "complete"],
        [f"C {STRANGE_ID}", "–", "–", "–", "0 %", "missing"],
    ]


def test_pages_of_a_month_of_which_days_are_not_stored_say_so(folder: Path) -> None:
    """A coverage is that of the stored days: two of October's."""
    fleet, whole = page(folder / "index.html"), page(folder / name_file("1"))
    assert "Coverage of PV 50 % of the stored days" in fleet.text
    assert [row[6] for row in fleet.tables[0][1:3]] == ["2 of 31", "31 of 31"]
    assert "Coverage of PV 100 % of the stored days" in whole.text
    absent = "29 of the 31 days of the month are not stored."
    assert f"Every stored day is complete, and nothing was set aside. {absent}" in whole.text
    partly = page(folder / name_file("2")).text
    assert f"values that were set aside. {absent}" in partly


def test_pages_show_days_profile_year_quality_and_cost(folder: Path) -> None:
    fleet = page(folder / "index.html").text
    for words in (
        "PV energy by day, kWh",
        "Mean power by hour of the day, kW",
        "PV energy of each day of 2021, kWh",
        "Set aside, by reason",
        "beyond rated power",
        "PU and cost",
        "Invoices of the year",
    ):
        assert words in fleet
    plant = page(folder / name_file("2"))
    assert [row[:3] for row in plant.tables[0][1:]] == [
        ["2021-10-01", "partial", "50 %"],
        ["2021-10-02", "partial", "50 %"],
    ]
    assert "Specific yield, rank 1 of 2" in plant.text


def test_the_last_table_has_the_ids_and_a_silent_plant_is_named(folder: Path) -> None:
    fleet = page(folder / "index.html")
    assert fleet.tables[-1] == [
        ["Plant", "Id", "Time zone"],
        [SCRIPT, "1", "Australia/Brisbane"],
        ["Barn & Byre", "2", "Australia/Brisbane"],
        ["C", STRANGE_ID, "Australia/Brisbane"],
    ]
    assert "Silent all month C; they count in the coverage of the month, but mark no day" in fleet.text
    # 36 of 72 hours: plant 2 lacks half of its days, and the silent one all of them.
    assert "Coverage of PV 50 %" in fleet.text


def test_groups_are_beside_what_is_expected_of_them(folder: Path) -> None:
    found = [table for table in page(folder / "index.html").tables if table[0][0] == "Group"]
    assert found == [
        [
            [
                "Group",
                "Complete plants",
                "PV generation kWh",
                "Specific yield kWh/kW",
                "Expected kWh",
                "Of expected",
                "Compared plants",
            ],
            ["North & Co", "1 of 2", "20.0", "4.0", "40.0", "50 %", "1"],
            ["South", "0 of 1", "24.0", "6.0", "–", "–", "0"],
        ]
    ]


@pytest.mark.usefixtures("undrawn")
def test_plants_of_one_name_are_told_apart(file: Path, tmp_path: Path) -> None:
    with duckdb.connect(str(file)) as writer:
        writer.execute("UPDATE plants SET name = 'Roof' WHERE plant_id IN ('1', '2')")
    with connect(file) as connection:
        done = write_report(connection, OCTOBER, tmp_path / "out")
    assert [row[0] for row in page(done.index).tables[-1][1:]] == ["C", "Roof (1)", "Roof (2)"]


def test_hours_are_of_the_days_on_which_the_plant_is_yours(file: Path) -> None:
    with duckdb.connect(str(file)) as writer:
        writer.execute("UPDATE plants SET excluded_from = '2021-10-02' WHERE plant_id = '1'")
    with connect(file) as connection:
        hours = select_month_rows(connection, OCTOBER).read_hours(["1"])
    assert hours["local_date"].unique().to_list() == [OCTOBER]


def test_figures_that_differ_from_sma_s_own_are_shown(folder: Path) -> None:
    heading = "Measured energies and SMA's own figures"
    fleet, same, other = (page(folder / name) for name in ("index.html", name_file("1"), name_file("2")))
    shown = ["Barn & Byre 2", "pv generation", "24.0", "48.0", "-24.0", "50 %", "gap"]
    for found, agreeing in ((fleet, "1 of 2 figures agree"), (other, "0 of 1 figures agree")):
        assert heading in found.text
        assert agreeing in found.text
        assert [row for table in found.tables for row in table if row[1:] == shown[1:]] == [shown]
    assert "1 of 1 figures agree within their tolerance." in same.text


def test_limited_hours_and_lost_energy_are_shown_where_there_was_a_limit(folder: Path) -> None:
    heading = "Limits and lost energy"
    fleet = page(folder / "index.html")
    shown = [table for table in fleet.tables if "Binding h" in table[0]]
    assert [row[1:] for table in shown for row in table[1:]] == [
        [
            "12.0",
            "7.5",
            "18.2 1 of 2 days without an estimate",
            "16.0",
            "20.0",
            "clear sky day, spitz",
            "71 %",
            "–",
        ],
        ["6.0", "0.0", "0.0", "0.0", "0.0", "–", "–", "–"],
    ]
    assert heading in page(folder / name_file("1")).text
    assert heading not in page(folder / name_file(STRANGE_ID)).text
    # The sums stand at the top of each page, and nothing where there was no limit.
    tops = {"index.html": ("18.0 h, 7.5 binding", "18.2"), name_file("1"): ("12.0 h, 7.5 binding", "18.2")}
    for name, (hours, lost) in tops.items():
        top = page(folder / name).text.partition("Energy by day")[0]
        assert f"Limited {hours}" in top
        assert f"Lost to limits {lost} kWh, an estimate" in top
    assert "Lost to limits" not in page(folder / name_file(STRANGE_ID)).text


def test_fees_have_a_currency_without_a_pu_too(folder: Path) -> None:
    assert "0.00 EUR" in page(folder / "index.html").text


def test_every_name_is_only_a_name_and_the_network_is_asked_for_nothing(folder: Path) -> None:
    assert all(re.fullmatch(r"index\.html|plant-[0-9a-z-]+\.html", path.name) for path in folder.iterdir())
    for path in folder.iterdir():
        html = path.read_text()
        found = Page(html)
        tags = {tag for tag, _ in found.tags}
        assert not tags & {"script", "b", "img", "iframe", "object", "embed"}
        assert not [a for _, a in found.tags if {"src", "srcset", "action"} & set(a)]
        assert "default-src 'none'" in html
        assert "@import" not in html
        assert "https://" not in html
        outside = re.sub(r'xmlns(:\w+)?="[^"]*"', "", html)
        assert "http://" not in outside
        ids = [attributes["id"] for _, attributes in found.tags if "id" in attributes]
        assert len(ids) == len(set(ids))
    assert SCRIPT in page(folder / "index.html").text


@pytest.mark.usefixtures("undrawn")
def test_chosen_plants_are_the_fleet(db: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    done = write_report(db, OCTOBER, tmp_path / "one", ["2"])
    assert done.plants == 1
    assert done.month.kwh == 24.0
    assert {path.name for path in done.index.parent.iterdir()} == {"index.html", "plant-2.html"}


@pytest.mark.long
@pytest.mark.usefixtures("undrawn")
def test_the_plants_of_a_group_are_the_fleet(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUNLEDGER_WAREHOUSE", str(file))
    monkeypatch.chdir(tmp_path)
    month = ["report", "--month", "2021-10"]
    done = CliRunner().invoke(app, [*month, "--group", "sou*", "--output", "south"])
    assert done.exit_code == 0
    assert {path.name for path in (tmp_path / "south").iterdir()} == {"index.html", "plant-2.html"}
    done = CliRunner().invoke(app, [*month, "--group", "South", "--group", "north & co", "--output", "all"])
    assert len(list((tmp_path / "all").iterdir())) == 4
    done = CliRunner().invoke(app, [*month, "--group", "Nort", "--output", "none"])
    assert isinstance(done.exception, UsageError)
    assert "The groups that have: North & Co, South." in str(done.exception)
    assert not (tmp_path / "none").exists()


@pytest.mark.usefixtures("undrawn")
def test_a_report_replaces_a_report_and_nothing_else(db: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    (tmp_path / "plant-old.html").touch()
    write_report(db, OCTOBER, tmp_path, ["2"])
    assert not (tmp_path / "plant-old.html").exists()
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UsageError, match="holds files that no"):
        write_report(db, OCTOBER, tmp_path, ["2"])
    assert (tmp_path / "notes.txt").exists()


def test_the_same_file_gives_the_same_pages(
    db: duckdb.DuckDBPyConnection, folder: Path, tmp_path: Path
) -> None:
    write_report(db, OCTOBER, tmp_path / "again")
    for path in folder.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()


@pytest.mark.parametrize(
    ("month", "only", "sentence"),
    [
        (dt.date(2021, 9, 1), [], "neither energy nor PU of 2021-09; it has those of 2021-10"),
        (OCTOBER, ["77"], "Plant 77 is not in the table plants: choose an id"),
    ],
)
def test_what_is_not_there_is_one_sentence(
    db: duckdb.DuckDBPyConnection, tmp_path: Path, month: dt.date, only: list[str], sentence: str
) -> None:
    with pytest.raises(UsageError, match=sentence):
        write_report(db, month, tmp_path / "none", only)
    assert not (tmp_path / "none").exists()


@pytest.mark.usefixtures("undrawn")
def test_tables_of_other_versions_are_shown_where_they_are(file: Path, tmp_path: Path) -> None:
    with duckdb.connect(str(file)) as writer:
        for table in ("restatements", "kpi_monthly"):
            writer.execute(f"DROP TABLE IF EXISTS {table}")
        writer.execute(
            "CREATE TABLE restatements AS SELECT '1' AS plant_id, DATE '2021-10-02' AS local_date, "
            "'pv_generation' AS quantity, 9e0 AS before_kwh, 1e1 AS after_kwh, 1e0 AS difference_kwh, "
            "'answer_changed+first_answer' AS cause, TIMESTAMPTZ '2021-11-01 00:00:00+00' AS noted_at"
        )
        writer.execute(
            "CREATE TABLE kpi_monthly AS SELECT '2' AS plant_id, DATE '2021-10-01' AS month, 6e0 AS "
            "final_yield_kwh_per_kw, 81e-2 AS performance_ratio, 42e-2 AS performance_ratio_clear_sky, "
            "'supplied' AS irradiation_source, 'SolarSat <3>' AS irradiation_series, NULL AS performance_ratio_reason "
            "UNION ALL SELECT '1', DATE '2021-10-01', 4e0, NULL, 41e-2, 'clear_sky', NULL, 'irradiation_not_measured'"
        )
    with connect(file) as connection:
        done = write_report(connection, OCTOBER, tmp_path / "more", ["1", "2"])
    fleet = page(done.index)
    # By name, and what is missing says why.
    shown = [
        [f"{SCRIPT} 1", "4.0", "– irradiation not measured", "41 %", "clear sky", "–"],
        ["Barn & Byre 2", "6.0", "81 %", "42 %", "supplied", "SolarSat <3>"],
    ]
    assert [table[1:] for table in fleet.tables if table[0][1] == "Final yield kWh/kW"] == [shown]
    assert "answer changed and first answer" in fleet.text
    assert "first answer the plant had no answer for the day before" in fleet.text
    assert "+1.000" in page(done.index.with_name("plant-1.html")).text
    assert "No figure of this month was restated." in page(done.index.with_name("plant-2.html")).text


@pytest.mark.usefixtures("undrawn")
def test_the_command_says_where_the_pages_are(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUNLEDGER_WAREHOUSE", str(file))
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["report", "--month", "2021-10", "--plants", "2"])
    assert done.exit_code == 0
    assert "2021-10 report: 1 plant\n" in done.stderr
    assert len(list((tmp_path / "report-2021-10").iterdir())) == 2


def test_the_asset_shows_the_picture_of_the_month_before(
    file: Path, new_runtime: Callable[..., RunContext]
) -> None:
    runtime = new_runtime()
    runtime.settings.warehouse.parent.mkdir(parents=True, exist_ok=True)
    file.rename(runtime.settings.warehouse)
    result = dg.materialize(
        [build_monthly_report(runtime.settings)],
        resources={RUNTIME: runtime},
        run_config={"ops": {"monthly_report": {"config": {"month": "2021-10"}}}},
    )
    metadata = result.asset_materializations_for_node("monthly_report")[0].metadata
    assert metadata["plants"].value == 3
    assert str(metadata["picture"].value).startswith("![")
    assert "data:image/png;base64,iVBOR" in str(metadata["picture"].value)
    assert (runtime.settings.home / "reports" / "2021-10" / "index.html").exists()


def test_without_a_month_it_is_the_one_before() -> None:
    assert choose_month("", dt.datetime(2026, 1, 2, tzinfo=dt.UTC)) == dt.date(2025, 12, 1)
    assert choose_month("2024-02", NOW) == dt.date(2024, 2, 1)
    for wrong in ("2024-13", "October", "2024"):
        with pytest.raises(UsageError, match="write it as YYYY-MM"):
            choose_month(wrong, NOW)
