"""Names, logs and fields of others reach a terminal as text, and files as they are."""

import csv
from contextlib import suppress
from io import StringIO
from pathlib import Path

import pytest
import typer
from rich.text import Text

from pipeline.cli.console import HarmlessConsole, complain, list_item, say, show_table
from pipeline.cli.outcome_notices import tell_missing, tell_unknown
from pipeline.run.notices import MissingItem, Notices
from schemas import Plants
from tests.programs import sunledger
from tests.small_lake import NOW, make_frame
from warehouse.lake import Lake
from warehouse.published_file.publish import publish

CLEARS_THE_SCREEN = "Dach\x1b[2J\x1b]0;owned\x07"
TURNS_AROUND = "Haus\u202e 0.001"
HOSTILE = f"{CLEARS_THE_SCREEN} {TURNS_AROUND} \x9b31m"
OBEYED = "\x1b\x07\x9b\u202e"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home whose only plant has a name that a terminal would obey."""
    home = tmp_path / "home"
    lake = Lake(str(home / "lake"), home / "tmp")
    row = {"plant_id": "a", "name": HOSTILE, "timezone": "Europe/Berlin"}
    lake.replace(Plants, {}, [make_frame(Plants, [row])])
    publish(lake, home / "sunledger.duckdb", now=NOW, version="1")
    return tmp_path


@pytest.mark.long
@pytest.mark.parametrize("form", ["table", "csv"])
def test_sql_shows_names_and_headings_as_text(home: Path, form: str) -> None:
    query = f'SELECT name AS "{CLEARS_THE_SCREEN}" FROM plants'
    told = sunledger(home, "sql", "--format", form, query)
    assert told.returncode == 0
    assert not set(OBEYED) & set(told.stdout)
    assert told.stdout.count(r"Dach\x1b[2J\x1b]0;owned") == 2
    assert r"Haus\u202e 0.001" in told.stdout


def test_sql_repeats_a_query_that_failed_as_text(home: Path) -> None:
    told = sunledger(home, "sql", f'SELECT "{HOSTILE}"')
    assert told.returncode == 2
    assert not set(OBEYED) & set(told.stderr)


@pytest.mark.long
def test_a_file_of_the_rows_has_them_as_they_are(home: Path) -> None:
    assert sunledger(home, "sql", "SELECT name FROM plants", "--output", "names.csv").returncode == 0
    assert HOSTILE in (home / "names.csv").read_text()


def test_notices_of_a_run_show_fields_and_reasons_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    missing = MissingItem("2021-10-01", "plants", "a", f"{HOSTILE}\nError: forged")
    notices = Notices.of([missing], unknown_fields={"raw_pv": {HOSTILE, "a\nError: forged"}})
    tell_unknown(notices)
    with pytest.raises(typer.Exit):
        tell_missing(notices)
    shown = capsys.readouterr()
    assert not set(OBEYED) & set(shown.out + shown.err)
    assert "\nError" not in shown.out + shown.err


def test_lines_tables_and_errors_are_text(capsys: pytest.CaptureFixture[str]) -> None:
    say(HOSTILE)
    complain(HOSTILE)
    show_table(HOSTILE, [(HOSTILE, False)], [[HOSTILE]])
    shown = capsys.readouterr()
    assert not set(OBEYED) & set(shown.out + shown.err)


def test_a_terminal_gets_our_own_colours_and_no_other_codes() -> None:
    terminal = StringIO()
    HarmlessConsole(file=terminal, force_terminal=True, color_system="standard").print(
        Text("Error: ", style="bold red").append(Text(HOSTILE, style="default"))
    )
    shown = terminal.getvalue()
    assert "\x1b[1;31m" in shown
    for code in ("\x1b[2J", "\x1b]0;", "\x9b", "\u202e"):
        assert code not in shown


LONG = HOSTILE + "x" * 10**6


def test_a_name_of_a_megabyte_is_one_readable_line(capsys: pytest.CaptureFixture[str]) -> None:
    missing = MissingItem("2021-10-01", "plants", "a", f"the name {LONG} is too long: correct it")
    for print_line in (
        lambda: say(f"{LONG}\n{LONG} Do this."),
        lambda: complain(f"{LONG} Do this."),
        lambda: list_item(LONG),
        lambda: tell_unknown(Notices.of(unknown_fields={"raw_pv": {LONG, "y" * 10**6}})),
        lambda: show_table("", [("name", False)], [[LONG]]),
        lambda: tell_missing(Notices.of([missing])),
    ):
        with suppress(typer.Exit):
            print_line()
        shown = capsys.readouterr()
        assert 0 < len(shown.out + shown.err) < 10_000
        assert not set(OBEYED) & set(shown.out + shown.err)


def test_a_spreadsheet_that_opens_printed_rows_runs_none_of_them(home: Path) -> None:
    query = "SELECT '=HYPERLINK(\"http://x\")' AS \"@a\", '+1', '-x', chr(9) || '=1', chr(10) || '=1', 'plain', -1.5"
    told = sunledger(home, "sql", "--format", "csv", query)
    heading, row = csv.reader(StringIO(told.stdout))
    assert heading[0] == "'@a"
    assert row == ['\'=HYPERLINK("http://x")', "'+1", "'-x", "'\t=1", "'\n=1", "plain", "-1.5"]
