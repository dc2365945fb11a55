"""Writes rows of a query to a CSV file by RFC 4180, in the form that a spreadsheet of some country opens.

What a spreadsheet would run is kept from it: text and headings that begin like a formula get the prefix of a text.
"""

import codecs
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb

from warehouse.quoting import quote_identifier, quote_text

# The characters that spreadsheets interpret as the beginning of a formula.
# Some also take their wide forms for them.
FORMULA_SIGNS: Final = "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"
FORMULA: Final = rf"^[{re.escape(FORMULA_SIGNS)}]"
# A text that is a negative number is no formula, and a prefix would keep it out of every sum.
NEGATIVE_NUMBER: Final = r"-[0-9]+([.,][0-9]+)?"
# Types whose values are never texts of other people.
SAFE_KINDS: Final = re.compile(
    r"(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|FLOAT|DOUBLE|DECIMAL.*|BOOLEAN|DATE|TIME.*|UUID|INTERVAL)(\[\d*\])*"
)
_MOMENT = "TIMESTAMP WITH TIME ZONE"
_FRACTIONS = ("DOUBLE", "FLOAT", "DECIMAL")


@dataclass(frozen=True, slots=True)
class CsvStyle:
    """How a CSV file is written: separator, decimal sign, end of line, and the mark by which Excel knows UTF-8.

    `day` and `time` are forms of strftime, and `booleans` what false and true are called; None for DuckDB's own forms.
    A spreadsheet takes a time with an offset for text, so with such a form a moment is in UTC, and its heading says so.
    """

    separator: str = ","
    decimal: str = "."
    line_end: str = "\\n"
    marked: bool = False
    day: str | None = None
    time: str | None = None
    booleans: tuple[str, str] | None = None


STANDARD: Final = CsvStyle()
# The names are the values of SUNLEDGER_CSV. Excel reads a file by the separators of the country that Windows is set to.
CSV_STYLES: Final = {
    "standard": STANDARD,
    "excel": CsvStyle(line_end="\\r\\n", marked=True, time="%Y-%m-%d %H:%M:%S"),
    "excel-de": CsvStyle(
        separator=";",
        decimal=",",
        line_end="\\r\\n",
        marked=True,
        day="%d.%m.%Y",
        time="%d.%m.%Y %H:%M:%S",
        booleans=("FALSCH", "WAHR"),
    ),
}


def write_csv(
    connection: duckdb.DuckDBPyConnection,
    query: str,
    shape: Sequence[tuple[str, str]],
    file: Path,
    style: CsvStyle = STANDARD,
) -> int:
    """Write the rows of the query, whose columns and types `shape` names, and return their number."""
    columns = ", ".join(_write_column(name, kind, style) for name, kind in shape)
    options = (
        f"FORMAT csv, HEADER, DELIMITER {quote_text(style.separator)}, NEW_LINE {quote_text(style.line_end)}"
    )
    statement = f"COPY (SELECT {columns} FROM ({query})) TO {quote_text(str(file))} ({options})"  # noqa: S608 - names are quoted
    rows = int(connection.execute(statement).fetchall()[0][0])
    if style.marked:
        _mark_encoding(file)
    return rows


def guard_cell(value: Any) -> Any:
    """A value for a CSV that a spreadsheet may open, text like a formula with the prefix that marks it as text."""
    if (
        not isinstance(value, str)
        or value[:1] not in {*FORMULA_SIGNS}
        or re.fullmatch(NEGATIVE_NUMBER, value)
    ):
        return value
    return f"'{value}"


def _write_column(name: str, kind: str, style: CsvStyle) -> str:
    """A column for a CSV that a spreadsheet may open: text like a formula gets the prefix that marks it as text."""
    column, heading = quote_identifier(name), quote_identifier(guard_cell(name))
    if style.time and kind == _MOMENT:
        named = name if "UTC" in name else f"{name} (UTC)"
        in_utc = _write_time(f"timezone('UTC', {column})", style)
        return f"{in_utc} AS {quote_identifier(guard_cell(named))}"
    if (shown := _write_by_style(column, kind, style)) is not None:
        return f"{shown} AS {heading}"
    if SAFE_KINDS.fullmatch(kind):
        return f"{column} AS {heading}"
    if kind != "VARCHAR":
        column = f"CAST({column} AS VARCHAR)"
    formula = (
        f"regexp_matches({column}, {quote_text(FORMULA)}) AND "
        f"NOT regexp_full_match({column}, {quote_text(NEGATIVE_NUMBER)})"
    )
    return f"CASE WHEN {formula} THEN '''' || {column} ELSE {column} END AS {heading}"


def _write_by_style(column: str, kind: str, style: CsvStyle) -> str | None:
    """SQL of the text of a value that a spreadsheet of that country reads otherwise; None for DuckDB's own form."""
    if style.decimal != "." and kind.startswith(_FRACTIONS) and not kind.endswith("]"):
        return f"replace(CAST({column} AS VARCHAR), '.', {quote_text(style.decimal)})"
    if style.booleans and kind == "BOOLEAN":
        no, yes = map(quote_text, style.booleans)
        return f"CASE {column} WHEN true THEN {yes} WHEN false THEN {no} END"
    if style.day and kind == "DATE":
        return f"strftime({column}, {quote_text(style.day)})"
    if style.time and kind.startswith("TIMESTAMP") and kind != _MOMENT and not kind.endswith("]"):
        return _write_time(column, style)
    return None


def _write_time(time: str, style: CsvStyle) -> str:
    """SQL of a time's text. Spreadsheets know thousandths of a second, which are left out where there are none."""
    time, form = f"CAST({time} AS TIMESTAMP)", style.time or ""
    plain, exact = (f"strftime({time}, {quote_text(one)})" for one in (form, f"{form}{style.decimal}%g"))
    return f"CASE WHEN millisecond({time}) % 1000 = 0 THEN {plain} ELSE {exact} END"


def _mark_encoding(file: Path) -> None:
    """Put the byte order mark in front. DuckDB would write it within the quotes of a first heading that needs them."""
    marked = file.with_name(f"{file.name}.marked")
    try:
        with file.open("rb") as bare, marked.open("wb") as target:
            target.write(codecs.BOM_UTF8)
            shutil.copyfileobj(bare, target, 2**20)
        marked.chmod(file.stat().st_mode & 0o777)
        marked.replace(file)
    finally:
        marked.unlink(missing_ok=True)
