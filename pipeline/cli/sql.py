"""Rows of a query on the terminal."""

import csv
import sys
from pathlib import Path

import duckdb

from pipeline.cli.console import complain, out, say, show_table
from pipeline.errors import UsageError
from pipeline.words import plural
from warehouse.export import export

MOST_ROWS = 1000
PRINTED = ("table", "csv")
# What DuckDB does beside a file that it opened to read.
WRITES = (
    duckdb.StatementType.COPY,
    duckdb.StatementType.COPY_DATABASE,
    duckdb.StatementType.EXPORT,
    duckdb.StatementType.ATTACH,
)
NUMBERS = ("INTEGER", "BIGINT", "DOUBLE", "HUGEINT", "DECIMAL", "FLOAT", "UBIGINT", "SMALLINT", "TINYINT")


def show(connection: duckdb.DuckDBPyConnection, query: str, form: str) -> None:
    """Run the query and print its rows. Raises UsageError, with DuckDB's own words where it fails there."""
    if form not in PRINTED:
        raise UsageError(f"--format {form} is a file: say where with --output FILE.")
    try:
        if any(statement.type in WRITES for statement in connection.extract_statements(query)):
            raise UsageError(
                "COPY, EXPORT and ATTACH make files, and this command only reads: "
                "give the SELECT alone, and --output FILE for a file of its rows."
            )
        result = connection.execute(query)
        columns = result.description or []
        if form == "csv":
            writer = csv.writer(sys.stdout)
            writer.writerow([column[0] for column in columns])
            while rows := result.fetchmany(MOST_ROWS):
                writer.writerows(rows)
            return
        rows = result.fetchmany(MOST_ROWS + 1)
    except duckdb.Error as fault:
        raise UsageError(f"The query failed: {fault}") from None
    headings = [(str(column[0]), str(column[1]).startswith(NUMBERS)) for column in columns]
    show_table("", headings, [[_cell(value) for value in row] for row in rows[:MOST_ROWS]])
    if len(rows) > MOST_ROWS:
        out.print(f"The first {MOST_ROWS} rows. Use --format csv for all of them.")


def save(connection: duckdb.DuckDBPyConnection, query: str, output: Path, form: str | None) -> None:
    """Write all rows of the query to a file. Raises UsageError as `export` does."""
    done = export(connection, query, output, form)
    say(f"Wrote {plural(done.rows, 'row')} to {done.path}.")


def interactive(connection: duckdb.DuckDBPyConnection, form: str) -> None:
    """Read queries from the terminal until its end."""
    out.print("Queries end with ; - leave with Ctrl-D. Begin with: SHOW TABLES;")
    lines: list[str] = []
    while True:
        try:
            lines.append(input("sunledger> " if not lines else "      ...> "))
        except EOFError:
            out.print()
            return
        if lines[-1].rstrip().endswith(";"):
            try:
                show(connection, "\n".join(lines), form)
            except UsageError as error:
                complain(str(error))
            lines = []


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if isinstance(value, float) else str(value)
