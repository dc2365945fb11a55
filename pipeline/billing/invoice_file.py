"""SMA's invoice as a CSV file, however a spreadsheet wrote it: separators, decimal comma, headings, byte order mark.

What could be read in two ways is refused, naming line and column, and never guessed.
"""

import codecs
import csv
import datetime as dt
import io
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import polars as pl

from pipeline.billing import invoice_cells as cells
from pipeline.billing.invoice_headings import AMOUNT, NEEDED, assign_roles, find_amounts
from pipeline.billing.prices import CENTS
from pipeline.common.errors import UsageError
from pipeline.common.slow_stores import watch_server
from pipeline.common.text import shorten_text

SEPARATORS = ";,\t|"
# Invoices have a letterhead: so many lines may come before the headings.
LETTERHEAD = 30
# A line of more than this is no line of headings, and takes minutes to judge.
MOST_COLUMNS, MOST_HEADER_CHARACTERS = 256, 10_000

TOTALS = (
    "total", "sum", "subtotal", "grand total", "total net", "net total", "net amount", "total amount",
    "summe", "zwischensumme", "gesamtsumme", "gesamt", "gesamtbetrag", "summe netto", "gesamt netto", "nettosumme",
    "nettobetrag", "rechnungsbetrag",
)  # fmt: skip

# What people send instead of a CSV file, by its first bytes.
_OTHER_FILES = {
    b"PK\x03\x04": "an Excel workbook",
    b"\xd0\xcf\x11\xe0": "an Excel workbook",
    b"%PDF": "a PDF",
}
# SMA's ids, and no digits of other alphabets, which \d has too.
_ID = r"^([0-9]{1,64}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$"
# Some million lines; and of a line that is no heading, what a message quotes.
MOST_BYTES, MOST_HEADINGS = 200 * 10**6, 300
# Exports for Excel write an id as '123 or ="123", so that it stays a text.
_AROUND = " \t\u00a0'\"="
_EXCEL_NUMBER = r"^\d([.,]\d+)?e\+\d+$"


@dataclass(frozen=True, slots=True)
class InvoiceFile:
    """An invoice that was read.

    `lines` has line (of the file), plant_id, month, capacity_class (null: not given) and amount_eur. `totals` are the
    invoice's own sums. `ignored` are other lines that name no plant, such as taxes and Live plans, and `ignored_eur`
    their amounts, as far as they have any that can be read.
    """

    lines: pl.DataFrame
    totals: tuple[Decimal, ...]
    ignored: tuple[int, ...]
    ignored_eur: tuple[Decimal, ...]


def read_invoice(path: Path, currency: str, latest: dt.date) -> InvoiceFile:
    """Read an invoice.

    Raises UsageError naming line and column, also for another currency and for a month after `latest`.
    """
    names, rows = _read_table(path, _read_text(path))
    return _Columns(path, names, rows).read(currency, latest)


def _read_text(path: Path) -> str:
    try:
        # It may be a pipe, as <(…) of a shell is.
        with watch_server(f"invoice {path}", "another program has to write it"), path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as fault:
        raise UsageError(
            f"The invoice {path} can't be read ({fault.strerror}): check the path and its permissions."
        ) from None
    if len(data) > MOST_BYTES:
        raise UsageError(
            f"The invoice {path} has more than {MOST_BYTES // 10**6} MB, which no invoice has: name SMA's invoice."
        )
    for begin, kind in _OTHER_FILES.items():
        if data.startswith(begin):
            raise UsageError(f"The invoice {path} is {kind}: save its table as CSV, with a line for each PU.")
    text = _decode(data)
    if "\0" in text[:4]:
        # Each letter of UTF-16 has such a byte beside it.
        raise UsageError(
            f"The invoice {path} is UTF-16 without a byte order mark, or no text: save its table as 'CSV UTF-8'."
        )
    return text


def _decode(data: bytes) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        # Excel's plain CSV on Western Windows. Nothing that is compared has a sign outside ASCII.
        return data.decode("cp1252", errors="replace")


def _read_table(path: Path, text: str) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The headings, and the lines below them with their numbers. Empty lines are left out."""
    best: tuple[int, str, list[str]] = (0, "", [])
    for separator in SEPARATORS:
        source = io.StringIO(text, newline="")
        for line, names in _read_letterhead(source, separator):
            found = assign_roles(names)
            if all(role in found for role in NEEDED):
                return names, list(_read_rows(path, source, separator, line))
            if len(found) > best[0]:
                best = (len(found), ", ".join(r for r in NEEDED if r not in found), names)
    headings = shorten_text(", ".join(repr(c) for c in best[2]), MOST_HEADINGS)
    near = f"In {headings} no column is for: {best[1]}. " if best[0] else ""
    raise UsageError(
        f"The invoice {path} has no header line with plant, month and amount. {near}Name the columns plant_id, month, "
        "capacity_class and fee_eur: see docs/billing.md."
    )


def _read_letterhead(source: io.StringIO, separator: str) -> Iterator[tuple[int, list[str]]]:
    """The first lines, one of which may hold the headings, each with its number."""
    reader = csv.reader(source, delimiter=separator)
    with suppress(csv.Error):
        for names in reader:
            if len(names) <= MOST_COLUMNS and sum(map(len, names)) <= MOST_HEADER_CHARACTERS:
                yield reader.line_num, names
            if reader.line_num > LETTERHEAD:
                return


def _read_rows(
    path: Path, source: io.StringIO, separator: str, above: int
) -> Iterator[tuple[int, list[str]]]:
    """The lines below the headings that hold anything, each with the number of its first line."""
    reader, line = csv.reader(source, delimiter=separator, strict=True), above + 1
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                yield line, row
            line = above + reader.line_num + 1
    except csv.Error as fault:
        if "larger than field limit" in str(fault):
            raise UsageError(
                f"{path} line {line}: a cell has more than {csv.field_size_limit():,} characters: shorten it, or close "
                "the quote that it begins with."
            ) from None
        # Read on, the quote would take in the lines below it, and they would be missing without a word.
        raise UsageError(
            f"{path} line {line}: a cell begins with a quote that is not closed at its end: correct the quotes."
        ) from None


class _Columns:
    """The lines of an invoice as columns of text, and how each is read."""

    def __init__(self, path: Path, names: list[str], rows: list[tuple[int, list[str]]]) -> None:
        self._path, self._names = path, names
        self._roles = assign_roles(names)
        self._refuse_headings()
        long = next(((line, row) for line, row in rows if any(c.strip() for c in row[len(names) :])), None)
        if long:
            raise UsageError(
                f"{path} line {long[0]}: {len(long[1])} cells below {len(names)} headings. A decimal comma needs "
                f'another separator than the comma, or quotes: 16,50 as "16,50".'
            )
        padded = [[*row, *[""] * len(names)][: len(names)] for _, row in rows]
        columns = list(zip(*padded, strict=True)) if padded else [()] * len(names)
        texts = [pl.Series(str(i), column, pl.String) for i, column in enumerate(columns)]
        frame = pl.DataFrame([pl.Series("line", [line for line, _ in rows], pl.Int64), *texts])
        of_role = (pl.col(str(i)).str.strip_chars(_AROUND).alias(role) for role, i in self._roles.items())
        words = pl.col(*(text.name for text in texts)).str.to_lowercase().str.replace_all(r"[^a-z]+", " ")
        has_total = pl.any_horizontal(words.str.strip_chars().is_in(list(TOTALS)))
        has_live = pl.any_horizontal(words.str.contains(r"\blive\b"))
        self._frame = frame.select("line", *of_role, has_total=has_total, of_none=has_total | has_live)

    def read(self, currency: str, latest: dt.date) -> InvoiceFile:
        """The invoice. Raises UsageError."""
        plant = pl.col("plant").str.to_lowercase()
        odd = ~plant.str.contains(_ID) & ((pl.col("month") == "") | pl.col("of_none"))
        other, lines = self._frame.filter(odd), self._frame.filter(~odd)
        totals = other.filter(pl.col("has_total"), pl.col(AMOUNT) != "")
        self._check_currency(lines, currency)
        plants = self._parse_column(lines, "plant", plant.str.extract(_ID), _explain_plant)
        found = lines.select(
            "line",
            plant_id=plants,
            month=self._parse_column(
                lines, "month", cells.parse_month(latest), lambda t: cells.explain_month(t, latest)
            ),
            capacity_class=self._parse_classes(lines),
            amount_eur=self._parse_amounts(lines),
        )
        if not found.height:
            raise UsageError(
                f"The invoice {self._path} has a header but no line below it: save the whole table as CSV."
            )
        ignored = other.join(totals, on="line", how="anti", maintain_order="left")
        amounts_of_them = ignored.select(cells.parse_amount().cast(CENTS)).to_series().drop_nulls()
        return InvoiceFile(
            found, tuple(self._parse_amounts(totals)), tuple(ignored["line"]), tuple(amounts_of_them)
        )

    def _refuse_headings(self) -> None:
        """Refuse amounts that would be compared with the wrong ones of ours. Raises UsageError."""
        first, *others = find_amounts(self._names)
        name = self._names[first.place].strip()
        twins = [other for other in others if other[:2] == first[:2] or first.may_be_of_one(other)]
        if twins:
            second = self._names[twins[0].place].strip()
            raise UsageError(
                f"The invoice {self._path} has two columns of amounts, {name!r} and {second!r}: delete the column that "
                "should not be compared."
            )
        if first.with_tax:
            raise UsageError(
                f"The invoice {self._path} has only amounts with tax ({name!r}), but our prices are without tax: add "
                "the net amounts, or name the column fee_eur if it contains no tax."
            )

    def _parse_amounts(self, lines: pl.DataFrame) -> pl.Series:
        return self._parse_column(lines, AMOUNT, cells.parse_amount(), cells.explain_amount).cast(CENTS)

    def _parse_classes(self, lines: pl.DataFrame) -> pl.Series:
        if "class" not in self._roles:
            return pl.Series([None] * lines.height, dtype=pl.String)
        return self._parse_column(lines, "class", cells.parse_class(), cells.explain_class, blank=True)

    def _check_currency(self, lines: pl.DataFrame, currency: str) -> None:
        why = f"is another currency than the price list's, {currency}; amounts can't be compared"
        if "currency" in self._roles:
            known = pl.when(pl.col("currency").str.to_uppercase().is_in([currency, ""])).then(1)
            self._parse_column(lines, "currency", known, lambda _: why, blank=True)
        other = cells.names_other_currency(pl.col(AMOUNT), currency)
        self._parse_column(lines, AMOUNT, pl.when(~other).then(1), lambda _: why)
        name = self._names[self._roles[AMOUNT]].strip()
        # Our own exports have this heading in every currency.
        if name.lower() != "fee_eur" and pl.select(cells.names_other_currency(pl.lit(name), currency)).item():
            raise UsageError(f"The invoice {self._path}, column {name!r}: {why}.")

    def _parse_column(
        self,
        lines: pl.DataFrame,
        role: str,
        expression: pl.Expr,
        why: Callable[[str], str],
        *,
        blank: bool = False,
    ) -> pl.Series:
        """A column by an expression that is null where the text is wrong. Raises UsageError for the first such."""
        parsed = lines.select(expression.alias(role)).to_series()
        wrong = lines.filter(parsed.is_null() & ((pl.col(role) != "") | (not blank)))
        if wrong.height:
            line, text = wrong.row(0, named=True)["line"], wrong[role][0]
            heading = self._names[self._roles[role]].strip()
            reason = why(text) if text else "is empty"
            shown = f"{shorten_text(text, MOST_HEADINGS)!r} " if text else "it "
            raise UsageError(f"{self._path} line {line}, column {heading!r}: {shown}{reason}.")
        return parsed


def _explain_plant(text: str) -> str:
    if re.match(_EXCEL_NUMBER, text.lower()):
        return "is a number that Excel made of a long id; format that column as text and export it again"
    return "is not a plant id (digits, or 8-4-4-4-12 hexadecimal digits)"
