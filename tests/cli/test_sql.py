"""Queries on the terminal: they read the published file and what was granted, and change and make nothing."""

from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest

from pipeline.cli.query_commands import run_sql
from pipeline.cli.sql import save_rows, show_rows
from pipeline.common.errors import UsageError
from pipeline.common.settings import Settings
from warehouse.published_file import open_published, published_object
from warehouse.published_file.open_published import NotPublishedError
from warehouse.published_file.read_only import check_query_text, check_readable_files, restrict
from warehouse.results.export import export_query


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A lake's file in a folder whose name needs quoting, a file with a view on it, and files of others."""
    lake = tmp_path / "o'lake" / "local_date=2021-10-01"
    lake.mkdir(parents=True)
    (tmp_path / "mine.csv").write_text("plant,factor\na,2\n")
    (tmp_path / "mine.json").write_text("{}")
    (tmp_path / "mine.txt").write_text("a text")
    (tmp_path / "secret.txt").write_text("hush-hush")
    quoted = str(lake / "part-1.parquet").replace("'", "''")
    with duckdb.connect(str(tmp_path / "file.duckdb")) as writer:
        writer.execute("CREATE TABLE yields AS SELECT * FROM (VALUES ('a', 1.5), ('b', NULL)) t(plant, kwh)")
        writer.execute(f"COPY yields TO '{quoted}'")
        writer.execute(f"CREATE VIEW detail AS FROM read_parquet(['{quoted}'], hive_partitioning = true)")
    return tmp_path


@pytest.fixture
def connection(folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The file that is open to read, as the published one is, with three files granted."""
    with duckdb.connect(str(folder / "file.duckdb"), read_only=True) as reader:
        restrict(reader, [folder / name for name in ("mine.csv", "mine.json", "mine.txt")])
        yield reader


def everything(folder: Path) -> dict[Path, bytes | None]:
    return {path: path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


# What writes, what reads elsewhere, and what would open the way to it. Files of the lake and the granted one may be
# read, which DuckDB does not tell from written.
ATTACKS = [
    "COPY yields TO '{folder}/new.csv'",
    "COPY (FROM yields) TO '{folder}/new.parquet'",
    "COPY yields TO '{folder}/mine.csv' (USE_TMP_FILE false)",
    "COPY yields TO '{lake}/part-1.parquet' (USE_TMP_FILE false)",
    "COPY yields TO '{lake}/part-2.parquet'",
    "FROM yields; COPY yields TO '{folder}/new.csv'",
    "PREPARE p AS COPY yields TO '{lake}/part-1.parquet' (USE_TMP_FILE false); EXECUTE p",
    "PREPARE p AS COPY yields TO '{folder}/new.csv'; EXECUTE p",
    "EXPLAIN ANALYZE COPY yields TO '{lake}/part-1.parquet' (USE_TMP_FILE false)",
    "EXPLAIN ANALYZE COPY yields TO '{folder}/new.csv'",
    "EXPLAIN /* FROM yields */ ANALYZE COPY yields TO '{folder}/mine.csv' (USE_TMP_FILE false)",
    "EXPLAIN (ANALYZE) COPY yields TO '{folder}/mine.csv' (USE_TMP_FILE false)",
    "EXPORT DATABASE '{folder}/new'",
    "COPY FROM DATABASE file TO other",
    "ATTACH '{folder}/new.duckdb'",
    "ATTACH '{folder}/mine.csv' AS mine",
    "SET profiling_output = '{folder}/new.json'",
    "PRAGMA profiling_output = '{folder}/new.json'",
    "PRAGMA enable_profiling = 'json'",
    "SET log_query_path = '{folder}/new.log'",
    "CALL enable_logging(storage = 'file', storage_config = {{'path': '{folder}/new'}})",
    "FROM read_text('/etc/hostname')",
    "FROM read_text('{folder}/secret.txt')",
    "FROM read_blob('{folder}/secret.txt')",
    "FROM read_csv('{folder}/*')",
    "FROM glob('{folder}/*')",
    "FROM read_text('{folder}/nothing/../secret.txt')",
    "FROM sniff_csv('{folder}/secret.txt')",
    "CREATE TEMP TABLE mine AS FROM read_text('{folder}/secret.txt')",
    "INSTALL httpfs",
    "LOAD httpfs",
    "LOAD '{folder}/new.duckdb_extension'",
    "IMPORT DATABASE '{folder}'",
    "SET enable_external_access = true",
    "SET lock_configuration = false",
    "RESET lock_configuration",
    "SET allowed_paths = ['{folder}/secret.txt']",
    "SET allowed_directories = ['/']",
    "SET allowed_configs = ['allowed_directories']",
    "SET temp_directory = '{folder}/new'",
    "FROM enable_logging(storage = 'file', storage_path = 'mine.csv'); FROM yields",
    "FROM enable_logging(storage = 'file', storage_path = '{lake}/part-1.parquet'); FROM yields",
    'FROM system.main."Enable_Logging" /* ( */ ()',
    "FROM enable_profiling(format = 'json', save_location = '{folder}/mine.json'); FROM yields",
    "CREATE TEMP MACRO log() AS TABLE FROM enable_profiling(save_location = '{folder}/mine.txt'); FROM log()",
    "FROM query('FROM enable_' || 'logging()')",
    "FROM \"query\" /* /* */ */ ('FROM enable_' || 'logging()')",
    "FROM query\N{ZERO WIDTH SPACE}('FROM enable_' || 'logging()')",
    "FROM query--\n('FROM enable_' || 'logging()')",
    "FROM\N{NO-BREAK SPACE}query('FROM enable_' || 'logging()')",
    "FROM json_execute_serialized_sql(json_serialize_sql('FROM disable_' || 'logging()'))",
    "PRAGMA json_execute_serialized_sql('{{}}')",
    "FROM pandas_scan(NULL)",
    "SELECT '\udcff'",
    "DELETE FROM yields",
    "CREATE TABLE mine AS FROM yields",
    "FROM folder",
]


@pytest.mark.parametrize("query", ATTACKS)
def test_a_query_writes_nothing_and_reads_nothing_else(
    connection: duckdb.DuckDBPyConnection,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    query: str,
) -> None:
    before = everything(folder)
    # The engine takes a name alone for that of a granted file of this folder.
    monkeypatch.chdir(folder)
    lake = str(folder / "o'lake" / "local_date=2021-10-01").replace("'", "''")
    with pytest.raises(UsageError):
        show_rows(connection, query.format(folder=folder, lake=lake), "csv")
    assert "hush-hush" not in capsys.readouterr().out
    assert everything(folder) == before


# Functions of DuckDB that yield rows, beside those that describe it or read files. What is new among them may do more
# than read, and is then to be refused.
ROW_FUNCTIONS = {
    *(
        "checkpoint",
        "force_checkpoint",
        "generate_series",
        "glob",
        "icu_calendar_names",
        "json_each",
        "json_tree",
    ),
    *(
        "pg_timezone_names",
        "query_table",
        "range",
        "repeat",
        "repeat_row",
        "seq_scan",
        "sniff_csv",
        "summary",
    ),
    *("test_all_types", "test_vector_types", "unnest", "which_secret"),
}


def test_each_function_of_duckdb_that_does_more_than_read_is_refused() -> None:
    with duckdb.connect() as engine:
        named = engine.execute("SELECT function_name FROM duckdb_functions() WHERE function_type = 'table'")
        names = {str(name) for (name,) in named.fetchall()}
    acting = {name for name in names if not name.startswith(("duckdb_", "pragma_", "read_", "parquet_"))}
    for name in acting - ROW_FUNCTIONS:
        with pytest.raises(UsageError, match=f"none with the function {name}, which does more than read"):
            check_query_text(f"FROM {name}()")
    for name in ROW_FUNCTIONS:
        check_query_text(f"FROM {name}()")


def test_what_makes_files_is_told_with_the_way_to_make_one(connection: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(
        UsageError,
        match=r"not statements of the type COPY: write a SELECT, and save its rows with --output FILE",
    ):
        show_rows(connection, "COPY yields TO 'new.csv'", "csv")


def test_a_file_that_was_not_granted_is_told_with_the_way_to_grant_it(
    connection: duckdb.DuckDBPyConnection, folder: Path
) -> None:
    with pytest.raises(UsageError, match=r"the files that --file names: .*secret\.txt") as told:
        show_rows(connection, f"FROM read_text('{folder}/secret.txt')", "csv")
    assert "\n" not in str(told.value)
    with pytest.raises(UsageError, match="is not a file"):
        check_readable_files([folder])


@pytest.mark.parametrize("place", ["{folder}/mine.csv", "mine.csv", "./mine.csv"])
def test_a_granted_file_is_read(
    connection: duckdb.DuckDBPyConnection,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    place: str,
) -> None:
    monkeypatch.chdir(folder)
    query = f"SELECT kwh * factor AS kwh FROM yields JOIN '{place.format(folder=folder)}' USING (plant)"
    show_rows(connection, query, "csv")
    assert capsys.readouterr().out.splitlines() == ["kwh", "3.0"]


def test_an_export_writes_its_file_and_reads_what_was_granted(folder: Path) -> None:
    output = folder / "out.csv"
    with duckdb.connect(str(folder / "file.duckdb"), read_only=True) as reader:
        query = f"SELECT plant, factor FROM detail JOIN '{folder}/mine.csv' USING (plant)"
        save_rows(reader, query, output, None, [folder / "mine.csv"])
    assert output.read_text().splitlines() == ["plant,factor", "a,2"]


def test_an_export_reads_nothing_else(folder: Path) -> None:
    before = everything(folder)
    with duckdb.connect(str(folder / "file.duckdb"), read_only=True) as reader:
        query = f"FROM read_text('{folder}/secret.txt')"
        with pytest.raises(UsageError, match=r"secret\.txt"):
            save_rows(reader, query, folder / "stolen.csv", None)
    assert everything(folder) == before


@pytest.mark.parametrize(
    "query",
    [
        "FROM yields ORDER BY plant",
        "PIVOT yields ON plant USING sum(kwh)",
        "SHOW TABLES",
        "SET threads = 1; DESCRIBE yields",
        "SET TimeZone = 'Europe/Berlin'; SET memory_limit = '1GB'; FROM detail",
        "SUMMARIZE detail",
        "PRAGMA table_info('yields')",
        "EXPLAIN FROM yields",
        "EXPLAIN ANALYZE FROM detail",
        "EXPLAIN (FORMAT json) FROM yields",
        "EXPLAIN (SELECT 1)",
        "CREATE TEMP TABLE mine AS FROM yields; INSERT INTO mine VALUES ('c', 3); FROM mine",
        "SET VARIABLE plant = 'a'; FROM yields WHERE plant = getvariable('plant')",
        "VALUES (1)",
        "WITH query AS (FROM yields) SELECT plant AS enable FROM query",
        "-- This query\n-- (like each query (of plants)) has no enable_logging.\nFROM yields",
        "WITH query AS (FROM yields) SELECT 'a query (of plants)' FROM query, (SELECT 1) -- all",
    ],
)
def test_what_reads_is_answered(
    connection: duckdb.DuckDBPyConnection, capsys: pytest.CaptureFixture[str], query: str
) -> None:
    show_rows(connection, query, "csv")
    assert len(capsys.readouterr().out.splitlines()) > 1


def test_several_queries_are_answered_in_turn(
    connection: duckdb.DuckDBPyConnection, capsys: pytest.CaptureFixture[str]
) -> None:
    show_rows(connection, "SELECT 1 AS a; SET threads = 1; SELECT 2 AS b", "csv")
    assert capsys.readouterr().out.splitlines() == ["a", "1", "b", "2"]


@pytest.mark.parametrize("query", ["", " ; ", "-- nothing"])
def test_no_query_is_told(connection: duckdb.DuckDBPyConnection, query: str) -> None:
    with pytest.raises(UsageError, match="The query is empty: write one, for instance SHOW TABLES"):
        show_rows(connection, query, "table")


@pytest.mark.parametrize("name", ["\udcff.csv", "\udcff.parquet", "\udcff.xlsx"])
def test_an_export_to_a_name_that_is_no_text_is_refused(folder: Path, name: str) -> None:
    with (
        duckdb.connect(str(folder / "file.duckdb"), read_only=True) as reader,
        pytest.raises(UsageError, match="has a name that is not UTF-8 text: choose another file"),
    ):
        export_query(reader, "FROM yields", folder / name)


def test_an_export_runs_no_function_that_does_more_than_read(folder: Path) -> None:
    with (
        duckdb.connect(str(folder / "file.duckdb"), read_only=True) as reader,
        pytest.raises(UsageError, match="function enable_profiling, which does more than read"),
    ):
        save_rows(reader, "FROM enable_profiling()", folder / "out.csv", None)


def test_files_that_are_gone_are_told_with_the_cure(tmp_path: Path) -> None:
    parquet = tmp_path / "x.parquet"
    with duckdb.connect(str(tmp_path / "file.duckdb")) as db:
        db.execute(f"COPY (SELECT 1 AS a) TO '{parquet}'")
        db.execute(f"CREATE VIEW detail AS FROM read_parquet(['{parquet}'])")
        parquet.unlink()
        restrict(db, [tmp_path / "out.csv"])
        for ask in (
            lambda: show_rows(db, "FROM detail", "csv"),
            lambda: export_query(db, "FROM detail", tmp_path / "out.csv"),
        ):
            with pytest.raises(
                NotPublishedError, match=r"have moved or are missing: run 'sunledger publish'"
            ):
                ask()
    assert not (tmp_path / "out.csv").exists()


def test_null_is_empty(connection: duckdb.DuckDBPyConnection, capsys: pytest.CaptureFixture[str]) -> None:
    show_rows(connection, "FROM yields ORDER BY plant", "csv")
    assert capsys.readouterr().out.splitlines() == ["plant,kwh", "a,1.5", "b,"]


def test_where_an_object_is_published_this_machines_copy_of_it_is_fetched_first(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fetched: list[str | None] = []

    def fetch(settings: Settings, _tell: Callable[[str], None]) -> Path:
        fetched.append(settings.published_object)
        return folder / "file.duckdb"

    monkeypatch.setenv("SUNLEDGER_PUBLISH_TARGET", "s3://bucket/sunledger.duckdb")
    monkeypatch.setenv("SUNLEDGER_LAKE", "s3://bucket/lake")
    monkeypatch.setattr(published_object, "fetch_published", fetch)
    monkeypatch.setattr(open_published, "connect", lambda file: duckdb.connect(str(file), read_only=True))
    monkeypatch.setattr(open_published, "has_days", lambda _: True)
    run_sql("SELECT plant FROM yields ORDER BY plant", "csv")
    assert fetched == ["s3://bucket/sunledger.duckdb"]
    assert capsys.readouterr().out.split() == ["plant", "a", "b"]


def test_what_is_not_whole_is_not_printed_as_one(
    connection: duckdb.DuckDBPyConnection, capsys: pytest.CaptureFixture[str]
) -> None:
    shares = "(VALUES (0.9996::DOUBLE), (1 - 1e-13), (0.12345), (1.9996), ('NaN')) AS t(share)"
    show_rows(connection, f"FROM {shares}", "table")
    assert capsys.readouterr().out.split()[2:] == ["0.999", "1.000", "0.123", "2.000", "nan"]
