"""Queries on the terminal: they print, and make no file."""

from pathlib import Path

import duckdb
import pytest

from pipeline.cli.sql import show
from pipeline.errors import UsageError


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


def test_null_is_empty(connection: duckdb.DuckDBPyConnection, capsys: pytest.CaptureFixture[str]) -> None:
    show(connection, "FROM yields ORDER BY plant", "csv")
    assert capsys.readouterr().out.splitlines() == ["plant,kwh", "a,1.5", "b,"]
