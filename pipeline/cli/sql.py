"""`sunledger sql`: the rows of a query, printed or saved."""

import csv
from collections.abc import Sequence
from pathlib import Path

import duckdb

from pipeline.cli.console import HarmlessStream, complain, out, say, show_table
from pipeline.common.errors import SunledgerError, UsageError
from pipeline.common.text import pluralize
from warehouse.published_file.open_published import build_query_error
from warehouse.published_file.read_only import parse_reading_statements, restrict
from warehouse.results.csv_file import STANDARD, CsvStyle, guard_cell

MOST_ROWS = 1000
PRINTED = ("table", "csv")
# A number below 1 is not written as 1.000, as rounding to three decimals would do.
LAST_BELOW_ONE, WHOLE = 0.999, 1 - 1e-9
NUMBERS = ("INTEGER", "BIGINT", "DOUBLE", "HUGEINT", "DECIMAL", "FLOAT", "UBIGINT", "SMALLINT", "TINYINT")


def show_rows(connection: duckdb.DuckDBPyConnection, query: str, form: str) -> None:
    """Run the query, or several, and print their rows.

    Raises UsageError with DuckDB's message if a query fails, and NotPublishedError if files are missing.
    """
    if form not in PRINTED:
        raise UsageError(f"--format {form} can't be printed: name the file to write with --output FILE.")
    try:
        statements = parse_reading_statements(connection, query)
        if not statements:
            raise UsageError("The query is empty: write one, for instance SHOW TABLES.")
        for statement in statements:
            result = connection.execute(statement)
            if statement.expected_result_type == [duckdb.ExpectedResultType.QUERY_RESULT]:
                _print(result, form)
    except duckdb.Error as fault:
        raise build_query_error(fault) from None


def _print(result: duckdb.DuckDBPyConnection, form: str) -> None:
    columns = result.description or []
    if form == "csv":
        writer = csv.writer(HarmlessStream())
        writer.writerow([guard_cell(column[0]) for column in columns])
        while rows := result.fetchmany(MOST_ROWS):
            writer.writerows(map(guard_cell, row) for row in rows)
        return
    rows = result.fetchmany(MOST_ROWS + 1)
    headings = [(str(column[0]), str(column[1]).startswith(NUMBERS)) for column in columns]
    show_table("", headings, [[_format_cell(value) for value in row] for row in rows[:MOST_ROWS]])
    if len(rows) > MOST_ROWS:
        out.print(f"Only the first {MOST_ROWS} rows are shown: use --format csv for all of them.")


def save_rows(
    connection: duckdb.DuckDBPyConnection,
    query: str,
    output: Path,
    form: str | None,
    granted: Sequence[Path] = (),
    csv: CsvStyle = STANDARD,
) -> None:
    """Write all rows of the query, which may read the `granted` files, to a file. Raises UsageError as `export`."""
    from warehouse.results.export import (
        export_query,  # What is printed needs neither models nor spreadsheets.
    )

    done = export_query(
        connection, query, output, form, grant=lambda file: restrict(connection, [*granted, file]), csv=csv
    )
    say(f"Wrote {pluralize(done.rows, 'row')} to {done.path}.")


def run_interactive(connection: duckdb.DuckDBPyConnection, form: str) -> None:
    """Read and run queries from the terminal until Ctrl-D."""
    out.print("End each query with a semicolon, for instance SHOW TABLES; and press Ctrl-D to quit.")
    lines: list[str] = []
    while True:
        try:
            lines.append(input("sunledger> " if not lines else "      ...> "))
        except EOFError:
            out.print()
            return
        if lines[-1].rstrip().endswith(";"):
            try:
                show_rows(connection, "\n".join(lines), form)
            except SunledgerError as error:
                complain(str(error))
            lines = []


def _format_cell(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, float):
        return str(value)
    # A coverage of 0.9996 is no whole one. Sums of hours are floats, so a whole one may be a little less than 1.
    return f"{min(value, LAST_BELOW_ONE) if value < WHOLE else value:.3f}"
