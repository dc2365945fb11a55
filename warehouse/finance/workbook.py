"""Writes the pack for finance as one workbook: sheets with headings, number formats, widths and sums at the foot.

A sum is a formula beside its value, so that programs that do not calculate show it too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import duckdb
import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.utility import xl_range, xl_rowcol_to_cell
from xlsxwriter.workbook import Workbook
from xlsxwriter.worksheet import Worksheet

from pipeline.common.errors import UsageError
from warehouse.finance.labels import BilingualText, Language, format_count
from warehouse.finance.sheets import PackSheet
from warehouse.finance.summary import Summary
from warehouse.finance.words import SHEET_NAMES
from warehouse.results.xlsx_cells import XLSX_ROWS, ZipSink, choose_cell_writer, is_number, write_rows_of

NARROWEST, WIDEST, TEXT_WIDTH = 11, 44, 90
_TEXT_WIDTHS: Final = {
    "plant_name": 34,
    "plant_id": 39,
    "device_id": 39,
    "plant_group": 16,
    # September 2026, which too narrow a column would show as ###.
    "month": 17,
    "status": 16,
    "quantity": 20,
    "kind": 16,
    "decision": 30,
    "pricing": 32,
    "source": 28,
    "reason": 26,
    "reasons": 40,
    "cause": 36,
    "price_source": 46,
    "note": 46,
}
# Headings have up to three lines, the last of them being the unit.
HEADING_HEIGHT: Final = 46
WIDEST_FIGURE: Final = 20
# A remark of more characters needs a second line.
REMARK_LINE: Final = 80
_SUM = BilingualText("Sum", "Summe")
_SUM_OF = BilingualText("rows: {count}", "Zeilen: {count}")
_HELD = BilingualText("Rows with a value", "Zeilen mit Wert")
_NOTHING = BilingualText("There is nothing to list.", "Es gibt nichts aufzuführen.")
_SUMMARY_HEADINGS = (
    BilingualText("Figure", "Angabe"),
    BilingualText("Value", "Wert"),
    BilingualText("Unit", "Einheit"),
    BilingualText("Remark", "Anmerkung"),
)
_MONTH_FORMAT: Final = BilingualText("[$-409]mmmm yyyy", "[$-407]mmmm yyyy")
_DAY_FORMAT: Final = BilingualText("yyyy-mm-dd", "dd.mm.yyyy")
_TIME_FORMAT: Final = BilingualText("yyyy-mm-dd hh:mm", "dd.mm.yyyy hh:mm")
# Rounded to a tenth, a coverage that lacks an hour of a year would read 100.0%: only what is whole does. Sums of hours
# are floats, so what is whole may be a little less than 1.
COVERED: Final = '[<0.9995]0.0%;[<0.999999999]"<100%";0.0%'
_ENDINGS: Final = {
    "_kwh": "#,##0.00",
    "_eur": "#,##0.00",
    "_kw": "#,##0.0##",
    "_h": "#,##0.0",
    "_min": "#,##0",
}


@dataclass(frozen=True, slots=True)
class SheetRows:
    """A sheet with the query of its rows as they are shown, its headings and types, and the values at its foot.

    `held` says of how many rows each sum is made: a row without a value is in none.
    """

    sheet: PackSheet
    query: str
    count: int
    headings: Sequence[str]
    kinds: Sequence[str]
    foot: Mapping[str, float | Decimal]
    held: Mapping[str, int]


def write_workbook(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    summary: Summary,
    sheets: Sequence[SheetRows],
    glossary: Sequence[tuple[str, str]],
    language: Language,
) -> None:
    """Write all sheets into one file. Raises UsageError for more rows than a sheet can hold."""
    for one in sheets:
        if one.count >= XLSX_ROWS - 4:
            raise UsageError(
                f"The sheet {one.sheet.name} would have {one.count:,} rows, more than an XLSX sheet can hold: choose "
                "--format csv or parquet, or a --group."
            )
    with (
        TemporaryDirectory(prefix=f"{path.name}-", dir=path.parent) as rows_written,
        path.open("wb") as handle,
        xlsxwriter.Workbook(ZipSink(handle), {"constant_memory": True, "tmpdir": rows_written}) as book,
    ):
        book.set_properties({"title": f"sunledger {summary.title}", "comments": summary.version})
        writer = _BookWriter(book, language)
        writer.write_summary(summary)
        for one in sheets:
            writer.write_rows(connection, one)
        writer.write_glossary(glossary)


class _BookWriter:
    def __init__(self, book: Workbook, language: Language) -> None:
        self._book, self._language = book, language
        self._formats: dict[tuple[tuple[str, Any], ...], Format] = {}

    def write_summary(self, summary: Summary) -> None:
        sheet = self._add_sheet("summary", landscape=False)
        for column, width in enumerate((38, 20, 9, 70)):
            sheet.set_column(column, column, width)
        sheet.write_string(0, 0, summary.title, self._format(bold=True, font_size=16))
        row = 1
        told = self._format(
            bold=True, font_color="#B00020" if summary.warns else "#1B5E20", text_wrap=True, valign="top"
        )
        for notice in summary.notices:
            sheet.set_row(row, 48 if len(notice) > TEXT_WIDTH else 18)
            sheet.merge_range(row, 0, row, 3, "", told)
            sheet.write_string(row, 0, notice, told)
            row += 1
        for column, label in enumerate(_SUMMARY_HEADINGS):
            sheet.write_string(row, column, label.choose(self._language), self._heading(number=column == 1))
        sheet.freeze_panes(row + 1, 0)
        remark = self._format(text_wrap=True, valign="top", align="left", indent=1, font_color="#555555")
        for figure in summary.figures:
            row += 1
            if len(figure.remark) > REMARK_LINE:
                sheet.set_row(row, 30)
            sheet.write_string(row, 0, figure.label, self._format(valign="top", align="left", indent=1))
            if figure.value is not None:
                form, kind = self._describe(figure.value, figure.unit)
                choose_cell_writer(sheet, kind, self._format(num_format=form, valign="top", align="right"))(
                    row, 1, figure.value
                )
            sheet.write_string(row, 2, figure.unit, self._format(valign="top", align="left", indent=1))
            sheet.write_string(row, 3, figure.remark, remark)

    def write_rows(self, connection: duckdb.DuckDBPyConnection, rows: SheetRows) -> None:
        sheet = self._add_sheet(rows.sheet.name)
        columns = rows.sheet.columns
        forms = [self._choose_form(name, kind) for name, kind in zip(columns, rows.kinds, strict=True)]
        sheet.set_row(0, HEADING_HEIGHT)
        widths = [
            self._choose_width(name, kind, heading)
            for name, kind, heading in zip(columns, rows.kinds, rows.headings, strict=True)
        ]
        for column, (heading, width) in enumerate(zip(rows.headings, widths, strict=True)):
            sheet.set_column(column, column, width)
            sheet.write_string(0, column, heading, self._heading(number=is_number(rows.kinds[column])))
        sheet.freeze_panes(1, columns.index("plant_name") + 1 if "plant_name" in columns else 0)
        sheet.repeat_rows(0)
        if not rows.count:
            sheet.write_string(1, 0, _NOTHING.choose(self._language))
            return
        sheet.autofilter(0, 0, rows.count, len(columns) - 1)
        cells = [
            choose_cell_writer(sheet, kind, self._format(num_format=form) if form else self._format(indent=1))
            for kind, form in zip(rows.kinds, forms, strict=True)
        ]
        # A text that is too long for a cell is cut there.
        write_rows_of(connection.execute(rows.query), cells)
        if rows.foot:
            self._write_foot(sheet, rows, forms)

    def write_glossary(self, glossary: Sequence[tuple[str, str]]) -> None:
        sheet = self._add_sheet("glossary", landscape=False)
        sheet.set_column(0, 0, WIDEST)
        sheet.set_column(1, 1, TEXT_WIDTH)
        wrapped = self._format(text_wrap=True, valign="top")
        for row, (term, meaning) in enumerate(glossary):
            sheet.write_string(row, 0, term, self._format(valign="top") if row else self._heading())
            sheet.write_string(row, 1, meaning, wrapped if row else self._heading())
        sheet.freeze_panes(1, 0)

    def _write_foot(self, sheet: Worksheet, rows: SheetRows, forms: Sequence[str]) -> None:
        last, foot = rows.count, rows.count + 1
        columns, shares = (
            rows.sheet.columns,
            {name: (above, below) for name, above, below in rows.sheet.shares},
        )
        for column, name in enumerate(columns):
            bold = self._format(bold=True, top=1, num_format=forms[column] or "General")
            value = rows.foot.get(name)
            if value is None:
                text = ""
                if column == 0:
                    of = _SUM_OF.choose(self._language).format(count=format_count(last, self._language))
                    text = f"{_SUM.choose(self._language)} ({of})"
                sheet.write_string(foot, column, text, self._format(bold=True, top=1))
            elif name in shares:
                above, below = (xl_rowcol_to_cell(foot, columns.index(one)) for one in shares[name])
                sheet.write_formula(foot, column, f"=MIN(1,{above}/{below})", bold, float(value))
            else:
                sheet.write_formula(foot, column, f"=SUM({xl_range(1, column, last, column)})", bold, value)
        if rows.sheet.by_plant and any(count < last for count in rows.held.values()):
            self._write_held(sheet, rows)

    def _write_held(self, sheet: Worksheet, rows: SheetRows) -> None:
        """Below sums that lack values of some rows, of how many rows each one is."""
        below, last = rows.count + 2, rows.count
        sheet.write_string(below, 0, _HELD.choose(self._language), self._format(indent=1))
        number = self._format(num_format="#,##0")
        for name, count in rows.held.items():
            column = rows.sheet.columns.index(name)
            sheet.write_formula(below, column, f"=COUNT({xl_range(1, column, last, column)})", number, count)

    def _add_sheet(self, name: str, *, landscape: bool = True) -> Worksheet:
        sheet = self._book.add_worksheet(SHEET_NAMES[name].choose(self._language))
        if landscape:
            sheet.set_landscape()
        sheet.set_paper(9)
        sheet.fit_to_pages(1, 0)
        sheet.set_footer("&L&A&R&P / &N")
        return sheet

    def _choose_form(self, name: str, kind: str) -> str:
        """The number format of a column by its name's unit; empty for text."""
        if kind == "DATE":
            return (_MONTH_FORMAT if name == "month" else _DAY_FORMAT).choose(self._language)
        if kind.startswith("TIMESTAMP"):
            return _TIME_FORMAT.choose(self._language)
        if not is_number(kind):
            return ""
        if name.startswith("coverage"):
            return COVERED
        if name in {"year", "quarter", "line"}:
            return "0"
        return next((form for ending, form in _ENDINGS.items() if name.endswith(ending)), "#,##0")

    def _describe(self, value: object, unit: str) -> tuple[str, str]:
        """The number format and the type of a value of the summary."""
        if isinstance(value, str):
            return "General", "VARCHAR"
        if isinstance(value, int):
            return "#,##0", "BIGINT"
        if not isinstance(value, float | Decimal):
            return _TIME_FORMAT.choose(self._language), "TIMESTAMP WITH TIME ZONE"
        return {"%": COVERED, "h": "#,##0.0"}.get(unit, "#,##0.00"), "DOUBLE"

    def _choose_width(self, name: str, kind: str, heading: str) -> int:
        if name in _TEXT_WIDTHS:
            return _TEXT_WIDTHS[name]
        # The unit has a line of its own.
        needed = min(len(heading.partition(" (")[0]) + 3, WIDEST_FIGURE)
        return max(needed, 18 if kind.startswith("TIMESTAMP") else NARROWEST, *map(len, heading.split()))

    def _heading(self, *, number: bool = False) -> Format:
        place: dict[str, Any] = {"align": "right"} if number else {"align": "left", "indent": 1}
        return self._format(bold=True, text_wrap=True, valign="top", bottom=1, bg_color="#E8EEF4", **place)

    def _format(self, **looks: Any) -> Format:
        key = tuple(sorted(looks.items()))
        if key not in self._formats:
            self._formats[key] = self._book.add_format(dict(looks))
        return self._formats[key]
