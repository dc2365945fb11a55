"""What commands load: a person waits for it at every start, and each process keeps it in memory."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.programs import environment

# After each piece of code, in one process; as a list of words, so that what a command prints is not in the way.
REPORT = "sys.stderr.write('\\nLOADED ' + ' '.join(sys.modules) + '\\nEND\\n')\n"
PIECE = "try:\n exec({!r})\nexcept SystemExit:\n pass\n"
HEAVY = {
    "polars",
    "duckdb",
    "pyarrow",
    "numpy",
    "pandas",
    "pandera",
    "dagster",
    "httpx",
    "aiohttp",
    "matplotlib",
}


def list_loaded(folder: Path, *pieces: str) -> list[set[str]]:
    """The modules that are loaded after each of these pieces of code, one after another in a process of their own."""
    code = "import sys\n" + "".join(PIECE.format(piece) + REPORT for piece in pieces)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        check=True,
    )
    found = [part.partition("\nEND\n")[0].split() for part in done.stderr.split("\nLOADED ")[1:]]
    assert len(found) == len(pieces)
    return [set(modules) for modules in found]


def command(*words: str) -> str:
    """Code that runs the program with these words."""
    return f"sys.argv = ['sunledger', *{words!r}]; from pipeline.cli import main; main()"


@pytest.mark.long
def test_help_and_a_wrong_word_load_no_library_of_tables_or_the_wire(tmp_path: Path) -> None:
    words = [("--help",), ("sql", "--help"), ("backfill", "--help"), ("backfil",)]
    assert [modules & HEAVY for modules in list_loaded(tmp_path, *(command(*each) for each in words))] == [
        set()
    ] * len(words)


def test_a_query_of_the_published_file_loads_duckdb_and_no_other_library_of_tables(tmp_path: Path) -> None:
    (modules,) = list_loaded(tmp_path, command("sql", "SELECT 1"))
    assert "duckdb" in modules
    assert not modules & {"schemas", "xlsxwriter", *(HEAVY - {"duckdb"})}


@pytest.fixture(scope="module")
def loaded_in_turn(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """What is loaded when a backfill begins, when it records something, and with the largest command beside it."""
    watch = (
        "from pipeline.common.garbage import hold_collection; hold_collection(); import gc; searched = []; "
        "gc.callbacks.append(lambda *_: searched.append(1))"
    )
    pieces = {
        "watch": watch,
        "backfill": "import assets.run_control.spared_runs, pipeline.cli.completeness_summary",
        "runs": "import assets.runs",
        "demo": "import pipeline.cli.demos.demo; assert not searched",
    }
    return dict(zip(pieces, list_loaded(tmp_path_factory.mktemp("turn"), *pieces.values()), strict=True))


@pytest.mark.long
def test_a_backfill_loads_dagster_only_where_it_records_something(
    loaded_in_turn: dict[str, set[str]],
) -> None:
    assert "polars" in loaded_in_turn["backfill"]
    assert not loaded_in_turn["backfill"] & {"dagster", "sqlalchemy", "pandas", "matplotlib"}


def test_runs_load_neither_pandas_nor_what_draws(loaded_in_turn: dict[str, set[str]]) -> None:
    assert "pandera.polars" in loaded_in_turn["runs"]
    assert not loaded_in_turn["runs"] & {"pandas", "matplotlib"}


def test_nothing_is_searched_for_garbage_while_the_largest_command_loads(
    loaded_in_turn: dict[str, set[str]],
) -> None:
    """It would end with an error."""
    assert {"dagster", "matplotlib"} <= loaded_in_turn["demo"]


@pytest.mark.long
def test_a_publication_gives_duckdb_its_rows_without_pandas_which_can_be_loaded_later(tmp_path: Path) -> None:
    """Pandas is hidden from pandera and Arrow alone, which then work as before."""
    code = (
        "import schemas, pandas, pyarrow; assert pandas.DataFrame({'a': [1]}).shape == (1, 1); "
        "assert pyarrow.table({'a': [1]}).to_pandas().shape == (1, 1)"
    )
    published, after = list_loaded(tmp_path, command("publish"), code)
    assert "duckdb" in published
    assert "pandas" not in published
    assert "pandas" in after
