"""How values of DuckDB become cells of an XLSX sheet. What a spreadsheet would spoil is written as text."""

import datetime as dt
import math
import os
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, BinaryIO, Final, NamedTuple, TypeAlias

import duckdb
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

# Excel's own limits.
XLSX_ROWS, XLSX_COLUMNS, XLSX_TEXT = 1_048_576, 16_384, 32_767
# A spreadsheet's number is a double: beyond so many digits it would change silently.
EXACT_DIGITS: Final = 15
FIRST_DAY: Final = dt.date(1900, 3, 1)
DATE, TIME, UTC = "yyyy-mm-dd", "yyyy-mm-dd hh:mm:ss", 'yyyy-mm-dd hh:mm:ss "UTC"'

WriteCell: TypeAlias = Callable[[int, int, Any], int]
ROWS_AT_ONCE: Final = 10_000


class WrittenRows(NamedTuple):
    """How many rows a sheet got, and the row and the column (from 0) of the first text that was cut, if any."""

    rows: int
    cut: tuple[int, int] | None


class ZipSink:
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


def choose_cell_writer(sheet: Worksheet, kind: str, form: Format | None) -> WriteCell:
    """How values of a DuckDB type become cells in that format; each call returns 0 when the cell was written."""
    if kind == "BOOLEAN":
        return lambda row, column, value: int(sheet.write_boolean(row, column, value, form))
    if kind == "DATE" or kind.startswith("TIMESTAMP"):
        return lambda row, column, value: _write_moment(sheet, row, column, value, form)
    if is_number(kind):
        return lambda row, column, value: _write_number(sheet, row, column, value, form)
    return lambda row, column, value: int(sheet.write_string(row, column, str(value), form))


def write_rows_of(result: duckdb.DuckDBPyConnection, writers: Sequence[WriteCell]) -> WrittenRows:
    """Write the rows of a result below the heading of a sheet, each value by the writer of its column."""
    row = 0
    cut: tuple[int, int] | None = None
    while rows := result.fetchmany(ROWS_AT_ONCE):
        for values in rows:
            row += 1
            for column, (write, value) in enumerate(zip(writers, values, strict=True)):
                if value is not None and write(row, column, value) and cut is None:
                    cut = row, column
    return WrittenRows(row, cut)


def is_number(kind: str) -> bool:
    """Whether values of the DuckDB type are numbers."""
    return (
        kind.startswith("DECIMAL")
        or kind.endswith("INT")
        or kind in {"INTEGER", "UINTEGER", "DOUBLE", "FLOAT"}
    ) and not kind.endswith("]")


def choose_number_format(kind: str) -> str:
    """How a spreadsheet shows values of a DuckDB type; empty for its usual way."""
    if kind.startswith("DECIMAL") and not kind.endswith("]"):
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


def _write_number(
    sheet: Worksheet, row: int, column: int, value: float | Decimal, form: Format | None
) -> int:
    exact = math.isfinite(value) and (isinstance(value, float) or _count_digits(value) <= EXACT_DIGITS)
    if not exact:
        return int(sheet.write_string(row, column, str(value)))
    return int(sheet.write_number(row, column, value, form))


def _count_digits(value: int | Decimal) -> int:
    return len(str(value).lstrip("-").replace(".", "").strip("0"))
