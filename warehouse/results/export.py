"""Writes rows of a query to a CSV, Parquet or XLSX file. The file exists completely or not at all.

CSV and Parquet stream out of DuckDB, XLSX cell by cell into a file of its own, so memory does not grow with the result.
What a spreadsheet would run or spoil is kept from it: text that begins like a formula is text, a time in UTC says so,
and a number of more digits than a spreadsheet holds is text.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

import duckdb
import xlsxwriter
from xlsxwriter.exceptions import XlsxWriterException

from pipeline.common.errors import UsageError
from pipeline.common.files.atomic_files import replace_file
from schemas import TABLES, storage
from warehouse.published_file.open_published import build_query_error
from warehouse.published_file.own_tables import SCHEMA
from warehouse.published_file.read_only import check_query_text
from warehouse.quoting import quote_identifier, quote_text
from warehouse.results.csv_file import STANDARD, CsvStyle, write_csv
from warehouse.results.folder import resolve_place
from warehouse.results.xlsx_cells import (
    XLSX_COLUMNS,
    XLSX_ROWS,
    XLSX_TEXT,
    ZipSink,
    choose_cell_writer,
    choose_number_format,
    write_rows_of,
)
from warehouse.views import load_curated_views

FORMATS = ("csv", "parquet", "xlsx")
WIDEST = 40

Connection: TypeAlias = duckdb.DuckDBPyConnection
Grant: TypeAlias = Callable[[Path], None]
WriteRows: TypeAlias = Callable[[Connection, str, Sequence[tuple[str, str]], Path], int]


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """A file that was written."""

    path: Path
    rows: int
    bytes: int


def choose_format(path: Path, form: str | None = None) -> str:
    """The format by its name, or by the file's. Raises UsageError."""
    found = form or path.suffix.removeprefix(".").lower()
    if found not in FORMATS:
        raise UsageError(f"{path} has no known ending: end the name with .csv, .parquet or .xlsx.")
    return found


def export_query(
    connection: Connection,
    query: str,
    path: Path,
    form: str | None = None,
    grant: Grant | None = None,
    csv: CsvStyle = STANDARD,
) -> ExportedFile:
    """Write the rows of one SELECT to `path`, which is replaced whole.

    `grant` is called with the file that is written, before the query is looked at: a connection that is restricted
    needs the right to it. Raises UsageError for text that is not a query, a place that is not a file, a format that
    is not known, and more rows than XLSX takes.
    """
    form = choose_format(path, form)
    path = resolve_place(path)
    _check_name(path)
    files = connection.execute("SELECT path FROM duckdb_databases() WHERE path IS NOT NULL").fetchall()
    if path in {Path(file).resolve() for (file,) in files}:
        raise UsageError(f"{path} is the warehouse itself: name another file.")
    query = _check_select(connection, query)
    try:
        with replace_file(path) as file:
            if grant is not None:
                grant(file)
            shape = [(str(c[0]), str(c[1])) for c in connection.execute(f"DESCRIBE {query}").fetchall()]
            writers: dict[str, WriteRows] = {
                "csv": partial(write_csv, style=csv),
                "parquet": _write_parquet,
                "xlsx": _write_xlsx,
            }
            rows = writers[form](connection, query, shape, file)
            size = file.stat().st_size
    except XlsxWriterException as fault:
        raise _build_write_error(fault, path) from fault
    except duckdb.Error as fault:
        failed = build_query_error(fault)
        if isinstance(fault, duckdb.IOException) and isinstance(failed, UsageError):
            raise _build_write_error(fault, path) from fault
        raise failed from None
    return ExportedFile(path, rows, size)


def _check_name(path: Path) -> None:
    """Raise UsageError for a path that DuckDB can't write."""
    try:
        str(path).encode()
    except UnicodeEncodeError as fault:
        raise UsageError(
            f"{path} has a name that is not UTF-8 text: choose another file or folder."
        ) from fault


def _build_write_error(fault: Exception, path: Path) -> OSError:
    return OSError(None, str(fault).partition("\n")[0], str(path))


def export_table(
    connection: Connection, table: str, path: Path, form: str | None = None, csv: CsvStyle = STANDARD
) -> ExportedFile:
    """Write a published table or view in the order of its key, or else of its rows, with plant names beside ids.

    Raises UsageError, also for a name that is none.
    """
    names = [str(name) for (name,) in connection.execute("SELECT name FROM (SHOW TABLES)").fetchall()]
    own = connection.execute(
        "SELECT table_name FROM duckdb_tables() WHERE schema_name = ? ORDER BY ALL", [SCHEMA]
    )
    places = {name: quote_identifier(name) for name in names}
    places |= {
        f"{SCHEMA}.{name}": f"{quote_identifier(SCHEMA)}.{quote_identifier(name)}"
        for (name,) in own.fetchall()
    }
    if table not in places:
        raise UsageError(f"The table {table!r} does not exist: choose from {', '.join(places)}.")
    with _keep_order(connection):
        query = f"FROM ({_name_plants(connection, places[table])}){_write_order(connection, table)}"
        return export_query(connection, query, path, form, csv=csv)


def _name_plants(connection: Connection, place: str) -> str:
    """The query of a table's rows, with plant_name after plant_id where the table has no names itself."""
    columns = [str(name) for name, *_ in connection.execute(f"DESCRIBE FROM {place}").fetchall()]
    if "plant_id" not in columns or "plant_name" in columns or place == quote_identifier("plants"):
        return f"FROM {place}"
    at = columns.index("plant_id") + 1
    mine = [f"found.{quote_identifier(name)}" for name in columns]
    named = ", ".join([*mine[:at], "plants.name AS plant_name", *mine[at:]])
    return f"SELECT {named} FROM {place} AS found LEFT JOIN plants ON plants.plant_id = found.plant_id"  # noqa: S608 - names are quoted


@contextmanager
def _keep_order(connection: Connection) -> Iterator[None]:
    """A join keeps the order of its left rows as long as DuckDB does not swap its sides."""
    connection.execute("SET disabled_optimizers = 'join_order,build_side_probe_side'")
    try:
        yield
    finally:
        connection.execute("RESET disabled_optimizers")


def _write_order(connection: Connection, table: str) -> str:
    """ORDER BY of a table that the file holds rows of, in which a publication puts changed parts behind the others."""
    keys = {
        storage(model).table: storage(model).key for model in TABLES if storage(model).published == "native"
    }
    keys |= {view.name: view.key for view in load_curated_views() if view.kind == "table"}
    key = keys.get(table, ())
    there = connection.execute(f"DESCRIBE {quote_identifier(table)}").fetchall() if key else []
    # A file of another version may lack a column.
    if not key or not set(key) <= {name for name, *_ in there}:
        return ""
    return f" ORDER BY {', '.join(map(quote_identifier, key))}"


def _check_select(connection: Connection, query: str) -> str:
    """The query in brackets, after a check that it is a single query that only reads."""
    check_query_text(query)
    try:
        statements = connection.extract_statements(query)
    except duckdb.Error as fault:
        raise build_query_error(fault) from None
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise UsageError("An export needs exactly one SELECT (or FROM ...): remove the other statements.")
    return f"SELECT * FROM ({statements[0].query.strip().rstrip(';')}\n)"  # noqa: S608 - the user's own query


def _write_parquet(connection: Connection, query: str, shape: Sequence[tuple[str, str]], file: Path) -> int:
    # Parquet has no whole numbers of 128 bits, which the sum of whole numbers has: DuckDB would round them silently.
    exact = [
        f"CAST({quote_identifier(name)} AS DECIMAL(38, 0)) AS {quote_identifier(name)}"
        for name, kind in shape
        if kind in {"HUGEINT", "UHUGEINT"}
    ]
    if exact:
        query = f"SELECT * REPLACE ({', '.join(exact)}) FROM ({query})"  # noqa: S608 - names are quoted
    return _copy(connection, f"COPY ({query}) TO {quote_text(str(file))} (FORMAT parquet, COMPRESSION zstd)")


def _copy(connection: Connection, statement: str) -> int:
    return int(connection.execute(statement).fetchall()[0][0])


def _write_xlsx(connection: Connection, query: str, shape: Sequence[tuple[str, str]], file: Path) -> int:
    counted = connection.execute(f"SELECT count(*) FROM ({query})").fetchall()[0][0]  # noqa: S608
    if counted >= XLSX_ROWS or len(shape) > XLSX_COLUMNS:
        raise UsageError(
            f"{counted:,} rows of {len(shape)} columns are more than an XLSX sheet can hold ({XLSX_ROWS - 1:,} and "
            f"{XLSX_COLUMNS:,}): narrow the query, or write CSV or Parquet."
        )
    with (
        TemporaryDirectory(prefix=f"{file.name}-", dir=file.parent) as rows_written,
        file.open("wb") as handle,
        xlsxwriter.Workbook(ZipSink(handle), {"constant_memory": True, "tmpdir": rows_written}) as book,
    ):
        sheet = book.add_worksheet("data")
        sheet.freeze_panes(1, 0)
        bold = book.add_format({"bold": True})
        shown = {choose_number_format(kind) for _, kind in shape} - {""}
        formats = {form: book.add_format({"num_format": form}) for form in sorted(shown)}
        writers = [
            choose_cell_writer(sheet, kind, formats.get(choose_number_format(kind))) for _, kind in shape
        ]
        for column, (name, _) in enumerate(shape):
            sheet.set_column(column, column, min(max(len(name) + 2, 12), WIDEST))
            sheet.write_string(0, column, name, bold)
        if shape:
            sheet.autofilter(0, 0, counted, len(shape) - 1)
        written = write_rows_of(connection.execute(query), writers)
        if written.cut:
            row, column = written.cut
            raise UsageError(
                f"Row {row}, column {shape[column][0]!r} has a text of more than {XLSX_TEXT:,} characters, which XLSX "
                "can't hold: leave the column out, or write CSV or Parquet."
            )
    return written.rows
