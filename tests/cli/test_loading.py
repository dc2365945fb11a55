"""What commands load: a person waits for it at every start, and each process keeps it in memory."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.programs import environment

# As a list of words, so that what a command prints is not in the way.
REPORT = (
    "import sys\ntry:\n {}\nexcept SystemExit:\n pass\nsys.stderr.write('\\nLOADED ' + ' '.join(sys.modules))"
)
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


def loaded(folder: Path, code: str) -> set[str]:
    """The modules that this code loads, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", REPORT.format(code)],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stderr.rpartition("LOADED ")[2].split())


def command(*words: str) -> str:
    """Code that runs the program with these words."""
    return f"sys.argv = ['sunledger', *{words!r}]; from pipeline.cli import main; main()"


@pytest.mark.parametrize("words", [("--help",), ("sql", "--help"), ("backfill", "--help"), ("backfil",)])
def test_help_and_a_wrong_word_load_no_library_of_tables_or_the_wire(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    assert not loaded(tmp_path, command(*words)) & HEAVY


def test_a_query_of_the_published_file_loads_duckdb_and_no_other_library_of_tables(tmp_path: Path) -> None:
    modules = loaded(tmp_path, command("sql", "SELECT 1"))
    assert "duckdb" in modules
    assert not modules & {"schemas", "xlsxwriter", *(HEAVY - {"duckdb"})}


def test_runs_load_neither_pandas_nor_what_draws(tmp_path: Path) -> None:
    modules = loaded(tmp_path, "import assets.runs")
    assert "pandera.polars" in modules
    assert not modules & {"pandas", "matplotlib"}


def test_a_backfill_loads_dagster_only_where_it_records_something(tmp_path: Path) -> None:
    modules = loaded(tmp_path, "import assets.spared_runs, pipeline.cli.completeness_summary")
    assert "polars" in modules
    assert not modules & {"dagster", "sqlalchemy", "pandas", "matplotlib"}


def test_nothing_is_searched_for_garbage_while_the_largest_command_loads(tmp_path: Path) -> None:
    code = (
        "from pipeline.common.garbage import hold_collection; hold_collection(); import gc; searched = []; "
        "gc.callbacks.append(lambda *_: searched.append(1)); import pipeline.cli.demo; assert not searched"
    )
    assert {"dagster", "matplotlib"} <= loaded(tmp_path, code)


def test_a_publication_gives_duckdb_its_rows_without_pandas(tmp_path: Path) -> None:
    modules = loaded(tmp_path, command("publish"))
    assert "duckdb" in modules
    assert "pandas" not in modules


def test_pandas_can_be_loaded_after_the_tables(tmp_path: Path) -> None:
    """It is hidden from pandera and Arrow alone, which then work as before."""
    code = (
        "import schemas, pandas, pyarrow; assert pandas.DataFrame({'a': [1]}).shape == (1, 1); "
        "assert pyarrow.table({'a': [1]}).to_pandas().shape == (1, 1)"
    )
    assert "pandas" in loaded(tmp_path, code)
