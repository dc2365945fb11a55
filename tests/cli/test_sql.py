"""Queries on the terminal: they print, and make no file."""

from pathlib import Path

import duckdb
import pytest

from pipeline.cli.sql import save, show
from pipeline.common.errors import UsageError
from warehouse.publish import NotPublishedError


@pytest.fixture
def connection(tmp_path: Path) -> duckdb.DuckDBPyConnection:
    """A file that is open to read, as the published one is."""
    file = tmp_path / "file.duckdb"
    with duckdb.connect(str(file)) as writer:
        writer.execute("CREATE TABLE yields AS SELECT * FROM (VALUES ('a', 1.5), ('b', NULL)) t(plant, kwh)")
    return duckdb.connect(str(file), read_only=True)


@pytest.mark.parametrize(
    "query",
    [
        "COPY yields TO '{folder}/new.csv'",
        "COPY (FROM yields) TO '{folder}/new.parquet'",
        "FROM yields; COPY yields TO '{folder}/new.csv'",
        "EXPORT DATABASE '{folder}/new'",
        "ATTACH '{folder}/new.duckdb'",
    ],
)
def test_a_query_makes_no_file(connection: duckdb.DuckDBPyConnection, tmp_path: Path, query: str) -> None:
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UsageError, match="give the SELECT alone, and --output FILE"):
        show(connection, query.format(folder=tmp_path), "csv")
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    "query",
    [
        "FROM yields ORDER BY plant",
        "PIVOT yields ON plant USING sum(kwh)",
        "SHOW TABLES",
        "SET threads = 1; DESCRIBE yields",
    ],
)
def test_what_reads_is_answered(
    connection: duckdb.DuckDBPyConnection, capsys: pytest.CaptureFixture[str], query: str
) -> None:
    show(connection, query, "csv")
    assert len(capsys.readouterr().out.splitlines()) > 1


def test_several_queries_are_answered_in_turn(
    connection: duckdb.DuckDBPyConnection, capsys: pytest.CaptureFixture[str]
) -> None:
    show(connection, "SELECT 1 AS a; SET threads = 1; SELECT 2 AS b", "csv")
    assert capsys.readouterr().out.splitlines() == ["a", "1", "b", "2"]


@pytest.mark.parametrize("query", ["", " ; ", "-- nothing"])
def test_no_query_is_told(connection: duckdb.DuckDBPyConnection, query: str) -> None:
    with pytest.raises(UsageError, match="There is no query: write one, such as SHOW TABLES"):
        show(connection, query, "table")


def test_files_that_are_gone_are_told_with_the_cure(tmp_path: Path) -> None:
    parquet = tmp_path / "x.parquet"
    with duckdb.connect(str(tmp_path / "file.duckdb")) as db:
        db.execute(f"COPY (SELECT 1 AS a) TO '{parquet}'")
        db.execute(f"CREATE VIEW detail AS FROM read_parquet(['{parquet}'])")
        parquet.unlink()
        for ask in (
            lambda: show(db, "FROM detail", "csv"),
            lambda: save(db, "FROM detail", tmp_path / "out.csv", None),
        ):
            with pytest.raises(NotPublishedError, match=r"not where they were .*run 'sunledger publish'"):
                ask()
    assert not (tmp_path / "out.csv").exists()


def test_null_is_empty(connection: duckdb.DuckDBPyConnection, capsys: pytest.CaptureFixture[str]) -> None:
    show(connection, "FROM yields ORDER BY plant", "csv")
    assert capsys.readouterr().out.splitlines() == ["plant,kwh", "a,1.5", "b,"]
