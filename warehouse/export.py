"""Writes rows of a query to a CSV, Parquet or XLSX file. The file exists completely or not at all.

CSV and Parquet stream out of DuckDB, XLSX cell by cell into a file of its own, so memory does not grow with the result.
What a spreadsheet would run or spoil is kept from it: text that begins like a formula is text, a time in UTC says so,
and a number of more digits than a spreadsheet holds is text.
"""

import datetime as dt
import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, TypeAlias

import duckdb
import xlsxwriter
from xlsxwriter.exceptions import XlsxWriterException
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from pipeline.common.atomic_files import replace_file
from pipeline.common.errors import UsageError
from schemas import TABLES, storage
from warehouse.ddl import quote_identifier, quote_text
from warehouse.folder import resolve_place
from warehouse.own_tables import SCHEMA
from warehouse.publish import build_query_error
from warehouse.views import load_curated_views

FORMATS = ("csv", "parquet", "xlsx")
# The characters that spreadsheets interpret as the beginning of a formula.
# Some also take their wide forms for them.
FORMULA_SIGNS = "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"
FORMULA = rf"^[{re.escape(FORMULA_SIGNS)}]"
# Types whose values are no text of others.
SAFE_KINDS = re.compile(
    r"(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|FLOAT|DOUBLE|DECIMAL.*|BOOLEAN|DATE|TIME.*|UUID|INTERVAL)(\[\d*\])*"
)
# Excel's own limits.
XLSX_ROWS, XLSX_COLUMNS, XLSX_TEXT = 1_048_576, 16_384, 32_767
# A spreadsheet's number is a double: beyond so many digits it would change silently.
EXACT_DIGITS = 15
FIRST_DAY = dt.date(1900, 3, 1)
ROWS_AT_ONCE = 10_000
DATE, TIME, UTC = "yyyy-mm-dd", "yyyy-mm-dd hh:mm:ss", 'yyyy-mm-dd hh:mm:ss "UTC"'
WIDEST = 40

Connection: TypeAlias = duckdb.DuckDBPyConnection
Grant: TypeAlias = Callable[[Path], None]
Write: TypeAlias = Callable[[int, int, Any], int]


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
    connection: Connection, query: str, path: Path, form: str | None = None, grant: Grant | None = None
) -> ExportedFile:
    """Write the rows of one SELECT to `path`, which is replaced whole.

    `grant` is called with the file that is written, before the query is looked at: a connection that is restricted
    needs the right to it. Raises UsageError for text that is not a query, a place that is not a file, a format that
    is not
    known, and more rows than XLSX takes.
    """
    form = choose_format(path, form)
    path = resolve_place(path)
    files = connection.execute("SELECT path FROM duckdb_databases() WHERE path IS NOT NULL").fetchall()
    if path in {Path(file).resolve() for (file,) in files}:
        raise UsageError(f"{path} is the warehouse itself: name another file.")
    query = _check_select(connection, query)
    try:
        with replace_file(path) as file:
            if grant is not None:
                grant(file)
            shape = [(str(c[0]), str(c[1])) for c in connection.execute(f"DESCRIBE {query}").fetchall()]
            writer = {"csv": _write_csv, "parquet": _write_parquet, "xlsx": _write_xlsx}[form]
            rows = writer(connection, query, shape, file)
            size = file.stat().st_size
    except XlsxWriterException as fault:
        raise _build_write_error(fault, path) from fault
    except duckdb.Error as fault:
        failed = build_query_error(fault)
        if isinstance(fault, duckdb.IOException) and isinstance(failed, UsageError):
            raise _build_write_error(fault, path) from fault
        raise failed from None
    return ExportedFile(path, rows, size)


def _build_write_error(fault: Exception, path: Path) -> OSError:
    return OSError(None, str(fault).partition("\n")[0], str(path))


def export_table(connection: Connection, table: str, path: Path, form: str | None = None) -> ExportedFile:
    """Write a published table or view; a table of ours is in the order of its key.

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
    return export_query(connection, f"FROM {places[table]}{_write_order(connection, table)}", path, form)


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
    try:
        statements = connection.extract_statements(query)
    except duckdb.Error as fault:
        raise build_query_error(fault) from None
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise UsageError("An export needs exactly one SELECT (or FROM ...): remove the other statements.")
    return f"SELECT * FROM ({statements[0].query.strip().rstrip(';')}\n)"  # noqa: S608 - the user's own query


def _write_csv(connection: Connection, query: str, shape: Sequence[tuple[str, str]], file: Path) -> int:
    columns = ", ".join(_guard_text(name, kind) for name, kind in shape)
    guarded = f"SELECT {columns} FROM ({query})"  # noqa: S608 - names are quoted
    return _copy(connection, f"COPY ({guarded}) TO {quote_text(str(file))} (FORMAT csv, HEADER)")


def _guard_text(name: str, kind: str) -> str:
    """A column for a CSV that a spreadsheet may open: text like a formula gets the prefix that marks it as text."""
    column = quote_identifier(name)
    if SAFE_KINDS.fullmatch(kind):
        return f"{column} AS {quote_identifier(guard_cell(name))}"
    if kind != "VARCHAR":
        column = f"CAST({column} AS VARCHAR)"
    formula = f"regexp_matches({column}, {quote_text(FORMULA)})"
    return (
        f"CASE WHEN {formula} THEN '''' || {column} ELSE {column} END AS {quote_identifier(guard_cell(name))}"
    )


def guard_cell(value: Any) -> Any:
    """A value for a CSV that a spreadsheet may open, text like a formula with the prefix that marks it as text."""
    return f"'{value}" if isinstance(value, str) and value[:1] and value[0] in FORMULA_SIGNS else value


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
        xlsxwriter.Workbook(_Sink(handle), {"constant_memory": True, "tmpdir": rows_written}) as book,
    ):
        sheet = book.add_worksheet("data")
        sheet.freeze_panes(1, 0)
        bold = book.add_format({"bold": True})
        shown = {_number_format(kind) for _, kind in shape} - {""}
        formats = {form: book.add_format({"num_format": form}) for form in sorted(shown)}
        writers = [_choose_writer(sheet, kind, formats) for _, kind in shape]
        for column, (name, _) in enumerate(shape):
            sheet.set_column(column, column, min(max(len(name) + 2, 12), WIDEST))
            sheet.write_string(0, column, name, bold)
        if shape:
            sheet.autofilter(0, 0, counted, len(shape) - 1)
        result = connection.execute(query)
        row = 0
        while rows := result.fetchmany(ROWS_AT_ONCE):
            for values in rows:
                row += 1
                for column, (write, value) in enumerate(zip(writers, values, strict=True)):
                    if value is not None and write(row, column, value):
                        raise UsageError(
                            f"Row {row}, column {shape[column][0]!r} has a text of more than {XLSX_TEXT:,} characters, "
                            "which XLSX can't hold: leave the column out, or write CSV or Parquet."
                        )
    return row


class _Sink:
    """A file that fails once: a zip that could not be written tries again as it is thrown away, and nobody listens."""

    def __init__(self, handle: BinaryIO) -> None:
        self._handle: BinaryIO | None = handle

    def write(self, data: bytes) -> int:
        return self._work_once(lambda handle: handle.write(data))

    def seek(self, place: int, whence: int = os.SEEK_SET) -> int:
        return self._work_once(lambda handle: handle.seek(place, whence))

    def tell(self) -> int:
        return self._work_once(lambda handle: handle.tell())

    def flush(self) -> None:
        self._work_once(lambda handle: handle.flush() or 0)

    def _work_once(self, work: Callable[[BinaryIO], int]) -> int:
        handle = self._handle
        if handle is None or handle.closed:
            return 0
        try:
            return work(handle)
        except OSError:
            self._handle = None
            raise


def _choose_writer(sheet: Worksheet, kind: str, formats: Mapping[str, Format]) -> Write:
    """How values of a DuckDB type become cells; each call returns 0 when the cell was written."""
    form = formats.get(_number_format(kind))
    if kind == "BOOLEAN":
        return lambda row, column, value: int(sheet.write_boolean(row, column, value))
    if kind == "DATE" or kind.startswith("TIMESTAMP"):
        return lambda row, column, value: _write_moment(sheet, row, column, value, form)
    if (
        kind.startswith("DECIMAL")
        or kind.endswith("INT")
        or kind in {"INTEGER", "UINTEGER", "DOUBLE", "FLOAT"}
    ):
        return lambda row, column, value: _number(sheet, row, column, value, form)
    return lambda row, column, value: int(sheet.write_string(row, column, str(value)))


def _number_format(kind: str) -> str:
    """How a spreadsheet shows values of a DuckDB type; empty for its usual way."""
    if kind.startswith("DECIMAL"):
        scale = int(kind.rstrip(")").rpartition(",")[2])
        return f"#,##0.{'0' * scale}" if scale else "#,##0"
    if kind.startswith("TIMESTAMP"):
        return UTC if kind.startswith("TIMESTAMP WITH") else TIME
    return DATE if kind == "DATE" else ""


def _write_moment(sheet: Worksheet, row: int, column: int, value: dt.date, form: Format | None) -> int:
    day = value.date() if isinstance(value, dt.datetime) else value
    if day < FIRST_DAY:
        # Spreadsheets have no days before 1900, and a wrong 29 February in it.
        return int(sheet.write_string(row, column, str(value)))
    if isinstance(value, dt.datetime) and value.tzinfo:
        value = value.astimezone(dt.UTC).replace(tzinfo=None)
    return int(sheet.write_datetime(row, column, value, form))


def _number(sheet: Worksheet, row: int, column: int, value: float | Decimal, form: Format | None) -> int:
    exact = math.isfinite(value) and (isinstance(value, float) or _count_digits(value) <= EXACT_DIGITS)
    if not exact:
        return int(sheet.write_string(row, column, str(value)))
    return int(sheet.write_number(row, column, value, form))


def _count_digits(value: int | Decimal) -> int:
    return len(str(value).lstrip("-").replace(".", "").strip("0"))
