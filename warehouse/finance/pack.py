"""Writes a month for finance into a folder: a workbook, or a file for each sheet, and a README that explains them."""

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

import duckdb
import polars as pl

from pipeline.common.errors import UsageError
from pipeline.common.text import format_covered
from warehouse.finance.labels import TERMS, BilingualText, Language, format_count
from warehouse.finance.sheets import CHECKED, SHEETS, PackSheet, Selection, name_values, write_query
from warehouse.finance.summary import Figure, Summary, build_summary
from warehouse.finance.words import SHEET_NAMES
from warehouse.finance.workbook import SheetRows, write_workbook
from warehouse.month_queries.published_units import explain_empty_month, list_former_ids, list_months
from warehouse.quoting import quote_identifier
from warehouse.results.csv_file import STANDARD, CsvStyle
from warehouse.results.export import FORMATS, ExportedFile, export_query
from warehouse.results.folder import replace_folder

README = "README.md"
_WORKBOOK = "sunledger-{month:%Y-%m}.xlsx"
_UNITS = BilingualText(
    "Energy is in kWh, power in kW, and money in the currency of the row. An empty cell means unknown, not zero.",
    "Energie ist in kWh, Leistung in kW und Geld in der Währung der Zeile. Eine leere Zelle heißt unbekannt, nicht "
    "null.",
)
_ORIGIN = BilingualText(
    "This pack was made from the warehouse that sunledger {version} published on {published} UTC. It does not contain "
    "later changes.",
    "Dieses Paket stammt aus dem Warehouse, das sunledger {version} am {published} UTC veröffentlicht hat. Spätere "
    "Änderungen sind nicht enthalten.",
)
_MEANING = BilingualText(
    "docs/data-dictionary.md explains every table, and docs/billing.md what counts as a PU.",
    "docs/data-dictionary.md erklärt alle Tabellen und docs/billing.md, was als PU zählt (beide englisch).",
)
_TABLE = BilingualText("| sheet | rows | content |", "| Blatt | Zeilen | Inhalt |")
_SHEET_MEANINGS = {
    "summary": BilingualText("The month in figures.", "Der Monat in Zahlen."),
    "glossary": BilingualText("What each heading means.", "Was jede Überschrift bedeutet."),
}
_TERM, _EXPLAINED = BilingualText("Term", "Begriff"), BilingualText("Meaning", "Bedeutung")
_FIGURE_COLUMNS = (
    BilingualText("Figure", "Angabe"),
    BilingualText("Value", "Wert"),
    BilingualText("Unit", "Einheit"),
    BilingualText("Remark", "Anmerkung"),
)
_VARIOUS = BilingualText("see currency", "siehe Währung")


@dataclass(frozen=True, slots=True)
class PackChoice:
    """How a pack is written: format, language, form of CSV files, the plants (None: all), and SMA's invoice compared.

    `checked` has the rows of the invoice check with plant_name and currency; None where no invoice was given.
    """

    form: str = "xlsx"
    language: Language = "en"
    csv: CsvStyle = STANDARD
    plants: Collection[str] | None = None
    checked: pl.DataFrame | None = None


def write_pack(
    connection: duckdb.DuckDBPyConnection, month: dt.date, folder: Path, choice: PackChoice
) -> list[ExportedFile]:
    """Write the month's files and a README into `folder`, which is there whole or as it was.

    Raises UsageError for a month without energy, PU and an invoice of its quarter, for a folder that holds
    something else, and for a file that was published before there were groups.
    """
    folder = folder.absolute()
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file, and a pack is a folder of files: choose another --folder.")
    _refuse(connection, month, folder)
    plants = choice.plants
    if plants is not None:
        plants = [*plants, *list_former_ids(connection, plants)]
    selection = Selection(month, plants)
    if choice.checked is not None:
        connection.register(CHECKED, choice.checked.to_arrow())
    try:
        summary = build_summary(connection, selection, choice.language, checked=choice.checked is not None)
        sheets = [
            _read_sheet(connection, sheet, selection, choice)
            for sheet in SHEETS
            if sheet.table != CHECKED or choice.checked is not None
        ]
        glossary = _build_glossary(sheets, choice.language)
        with replace_folder(folder) as new:
            if choice.form == "xlsx":
                path = new / _WORKBOOK.format(month=month)
                write_workbook(connection, path, summary, sheets, glossary, choice.language)
                done = [ExportedFile(path, sum(one.count for one in sheets), path.stat().st_size)]
            else:
                done = _write_files(connection, new, summary, sheets, glossary, choice)
            (new / README).write_text(
                _write_readme(summary, sheets, len(glossary) - 1, choice.language), "utf-8"
            )
    finally:
        if choice.checked is not None:
            connection.unregister(CHECKED)
    return [replace(one, path=folder / one.path.name) for one in done]


def _refuse(connection: duckdb.DuckDBPyConnection, month: dt.date, folder: Path) -> None:
    if folder.exists() and not all(map(_is_ours, folder.iterdir())):
        raise UsageError(f"The folder {folder} holds files that no pack has: choose another --folder.")
    if not connection.execute(
        "SELECT 1 FROM duckdb_tables() WHERE table_name = 'plant_attributes'"
    ).fetchall():
        raise UsageError("This file was published before there were groups: run 'sunledger publish' first.")
    quarter = "SELECT count(*) FROM invoices WHERE year = ? AND quarter = ?"
    ((invoiced,),) = connection.execute(quarter, [month.year, (month.month + 2) // 3]).fetchall()
    # The last month of a quarter may have no data of its own, but it has the quarter's invoice.
    if not invoiced and month not in list_months(connection):
        raise explain_empty_month(connection, month)


def _is_ours(path: Path) -> bool:
    """Whether a file is one of a pack of any month and version."""
    names = {*SHEET_NAMES, *(sheet.name for sheet in SHEETS)}
    ending = path.suffix.removeprefix(".")
    workbook = path.suffix == ".xlsx" and path.name.startswith("sunledger-")
    return path.name == README or workbook or (path.stem in names and ending in FORMATS)


def _read_sheet(
    connection: duckdb.DuckDBPyConnection, sheet: PackSheet, selection: Selection, choice: PackChoice
) -> SheetRows:
    raw = write_query(connection, sheet, selection)
    kinds = [str(column[1]) for column in connection.execute(f"DESCRIBE {raw}").fetchall()]
    currencies = _list_currencies(connection, sheet, raw)
    headings = [
        TERMS[name]
        .heading.choose(choice.language)
        .format(currency=_name_currency(currencies, choice.language))
        for name in sheet.columns
    ]
    # Amounts of two currencies have no sum.
    sums = [name for name in sheet.sums if not (name.endswith("_eur") and len(currencies) > 1)]
    asked = ["count(*)", *(f"sum({name})" for name in sums)]
    asked += [f"least(sum({above}) / nullif(sum({below}), 0), 1)" for _, above, below in sheet.shares]
    asked += [f"count({name})" for name in sums]
    values = connection.execute(f"SELECT {', '.join(asked)} FROM ({raw})").fetchall()[0]  # noqa: S608 - our own names
    names = [*sums, *(name for name, _, _ in sheet.shares)]
    held = dict(zip(sums, values[1 + len(names) :], strict=True))
    foot: Mapping[str, float | Decimal] = {
        name: value for name, value in zip(names, values[1:], strict=False) if value is not None
    }
    shown = raw if choice.form == "parquet" else name_values(raw, sheet.columns, choice.language)
    return SheetRows(sheet, shown, values[0], headings, kinds, foot, held)


def _list_currencies(connection: duckdb.DuckDBPyConnection, sheet: PackSheet, query: str) -> list[str]:
    if "currency" not in sheet.columns and sheet.table != CHECKED:
        return []
    rows = CHECKED if sheet.table == CHECKED else f"({query})"
    found = f"SELECT DISTINCT currency FROM {rows} WHERE currency IS NOT NULL ORDER BY ALL"  # noqa: S608 - our own words
    return [str(currency) for (currency,) in connection.execute(found).fetchall()]


def _name_currency(currencies: Sequence[str], language: Language) -> str:
    return _VARIOUS.choose(language) if len(currencies) > 1 else next(iter(currencies), "EUR")


def _build_glossary(sheets: Sequence[SheetRows], language: Language) -> list[tuple[str, str]]:
    """The headings of all sheets with their meanings, each once, below a heading of their own."""
    found = {
        heading: TERMS[name].meaning.choose(language)
        for one in sheets
        for name, heading in zip(one.sheet.columns, one.headings, strict=True)
    }
    return [
        (_TERM.choose(language), _EXPLAINED.choose(language)),
        *sorted(found.items(), key=lambda one: one[0].lower()),
    ]


def _write_files(
    connection: duckdb.DuckDBPyConnection,
    folder: Path,
    summary: Summary,
    sheets: Sequence[SheetRows],
    glossary: Sequence[tuple[str, str]],
    choice: PackChoice,
) -> list[ExportedFile]:
    """A file for each sheet. CSV is for people and has headings in words; Parquet keeps the names of columns."""
    figures = [(one.label, _write_value(one, choice.csv), one.unit, one.remark) for one in summary.figures]
    columns = [label.choose(choice.language) for label in _FIGURE_COLUMNS]
    texts = {
        "summary": pl.DataFrame(
            [(notice, "", "", "") for notice in summary.notices] + figures, schema=columns, orient="row"
        ),
        "glossary": pl.DataFrame(list(glossary[1:]), schema=list(glossary[0]), orient="row"),
    }
    done = []
    for name, frame in texts.items():
        connection.register("_texts", frame.to_arrow())
        try:
            done.append(_export(connection, "FROM _texts", folder / f"{name}.{choice.form}", choice))
        finally:
            connection.unregister("_texts")
    for one in sheets:
        query = one.query
        if choice.form == "csv":
            named = ", ".join(
                f"{quote_identifier(name)} AS {quote_identifier(heading)}"
                for name, heading in zip(one.sheet.columns, one.headings, strict=True)
            )
            query = f"SELECT {named} FROM ({query})"  # noqa: S608 - names are quoted
        done.append(_export(connection, query, folder / f"{one.sheet.name}.{choice.form}", choice))
    return [done[0], *done[2:], done[1]]


def _export(
    connection: duckdb.DuckDBPyConnection, query: str, path: Path, choice: PackChoice
) -> ExportedFile:
    return export_query(connection, query, path, choice.form, csv=choice.csv)


def _write_value(figure: Figure, style: CsvStyle) -> str | None:
    """A figure as text, since a column of a file has one type."""
    value = figure.value
    if isinstance(value, dt.datetime):
        return value.strftime(style.time or "%Y-%m-%d %H:%M:%S")
    if isinstance(value, float):
        text = format_covered(value, 3).removesuffix("%") if figure.unit == "%" else f"{value:.3f}"
        return text.replace(".", style.decimal)
    if isinstance(value, Decimal):
        return str(value).replace(".", style.decimal)
    return None if value is None else str(value)


def _write_readme(summary: Summary, sheets: Sequence[SheetRows], n_terms: int, language: Language) -> str:
    rows = [
        ("summary", len(summary.figures), _SHEET_MEANINGS["summary"]),
        *((one.sheet.name, one.count, one.sheet.meaning) for one in sheets),
        ("glossary", n_terms, _SHEET_MEANINGS["glossary"]),
    ]
    table = [
        f"| {SHEET_NAMES[name].choose(language)} ({name}) | {format_count(count, language)} | "
        f"{meaning.choose(language)} |"
        for name, count, meaning in rows
    ]
    figures = [_write_figure(one, language) for one in summary.figures if one.value is not None or one.remark]
    return "\n".join(
        [
            f"# {summary.title}",
            "",
            *(f"**{notice}**\n" for notice in summary.notices),
            _ORIGIN.choose(language).format(version=summary.version, published=summary.published),
            "",
            *figures,
            "",
            _TABLE.choose(language),
            "|---|---|---|",
            *table,
            "",
            _UNITS.choose(language),
            _MEANING.choose(language),
            "",
        ]
    )


def _write_figure(figure: Figure, language: Language) -> str:
    """A figure as a line, with the separators of the language."""
    value = figure.value
    if isinstance(value, dt.datetime):
        text = f"{value:%Y-%m-%d %H:%M}"
    elif isinstance(value, float | Decimal):
        text = format_covered(float(value)) if figure.unit == "%" else f"{value:,.2f} {figure.unit}"
    elif isinstance(value, int):
        text = f"{value:,}"
    else:
        text = value or ""
    if language == "de" and isinstance(value, float | Decimal | int):
        text = text.translate(str.maketrans(",.", ".,"))
    remark = " ".join(figure.remark.split()).rstrip(".")
    told = f"{text.strip()} ({remark})" if text and remark else text.strip() or remark
    return f"* {figure.label}: {told}"
