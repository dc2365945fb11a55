"""SMA's invoice as a CSV file, however a spreadsheet wrote it: separators, decimal comma, headings, byte order mark.

What could be read in two ways is refused, naming line and column, and never guessed.
"""

import codecs
import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import polars as pl

from pipeline.billing.prices import CENTS
from pipeline.errors import UsageError
from schemas.base import CAPACITY_CLASSES

SEPARATORS = ";,\t|"
# Invoices have a letterhead: so many lines may come before the headings.
LETTERHEAD = 30

# What a heading may be, the surest first: lower case, without signs and what is in brackets.
HEADINGS: Mapping[str, tuple[str, ...]] = {
    "plant": (
        "plant id", "plantid", "system id", "systemid", "anlagen id", "anlagenid", "anlagennummer",
        "plant", "system", "anlage", "id",
    ),
    "month": (
        "month", "billing month", "period", "service period", "monat", "abrechnungsmonat", "leistungsmonat",
        "zeitraum", "leistungszeitraum",
    ),
    "class": ("capacity class", "class", "ac class", "leistungsklasse", "klasse"),
    "amount": (
        "fee eur", "fee", "amount eur", "amount", "net amount", "net amount eur", "price eur", "price",
        "betrag eur", "betrag", "nettobetrag", "betrag netto", "preis", "gebühr", "entgelt",
    ),
    "currency": ("currency", "währung"),
}  # fmt: skip
NEEDED = ("plant", "month", "amount")
TOTALS = {"total", "sum", "total net", "net total", "summe", "gesamt", "gesamtbetrag", "summe netto"}
# Every beginning of a month's name that has three letters or more.
MONTHS = {
    name[:letters]: number
    for number, names in enumerate(
        (
            "january januar jänner",
            "february februar feber",
            "march märz mrz",
            "april",
            "may mai",
            "june juni",
            "july juli",
            "august",
            "september sept",
            "october oktober",
            "november",
            "december dezember",
        ),
        1,
    )
    for name in names.split()
    for letters in range(3, len(name) + 1)
}

_ID = r"^(\d+|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$"
_EXCEL_NUMBER = r"^\d([.,]\d+)?e\+\d+$"


@dataclass(frozen=True, slots=True)
class InvoiceFile:
    """An invoice that was read.

    `lines` has line (of the file), plant_id, month, capacity_class (null: not given) and amount_eur. `total` is the
    invoice's own sum, if it has one. `ignored` are lines with neither a plant nor a month, such as taxes.
    """

    lines: pl.DataFrame
    total: Decimal | None
    ignored: tuple[int, ...]


def read_invoice(path: Path, currency: str = "EUR") -> InvoiceFile:
    """Read an invoice. Raises UsageError naming line and column, also for another currency."""
    text = _text(path)
    names, cells = _table(path, text)
    frame = _Columns(path, names, cells)
    return frame.read(currency)


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as fault:
        raise UsageError(f"The invoice {path} can't be read: {fault.strerror}.") from None
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        # Excel's plain CSV on Western Windows. Nothing that is compared has a sign outside ASCII.
        return data.decode("cp1252", errors="replace")


def _table(path: Path, text: str) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The headings, and the lines below them with their numbers. Empty lines are left out."""
    best: tuple[int, str, list[str]] = (0, "", [])
    for separator in SEPARATORS:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        for cells in reader:
            roles = _roles(cells)
            if all(role in roles for role in NEEDED):
                return cells, [(reader.line_num, row) for row in reader if any(c.strip() for c in row)]
            if len(roles) > best[0]:
                best = (len(roles), ", ".join(r for r in NEEDED if r not in roles), cells)
            if reader.line_num > LETTERHEAD:
                break
    found = f"In {', '.join(repr(c) for c in best[2])} there is none for: {best[1]}. " if best[0] else ""
    raise UsageError(
        f"The invoice {path} has no line of headings with plant, month and amount. {found}"
        f"Call the columns plant_id, month, capacity_class and fee_eur: see docs/billing.md."
    )


def _roles(cells: Sequence[str]) -> dict[str, int]:
    """Which column has which role. The surest heading of a role wins."""
    plain = [_plain(cell) for cell in cells]
    return {
        role: plain.index(name)
        for role, names in HEADINGS.items()
        for name in reversed(names)
        if name in plain
    }


def _plain(heading: str) -> str:
    without = re.sub(r"[(\[].*?[)\]]", "", heading.lower())
    return re.sub(r"[^0-9a-zäöü]+", " ", without).strip()


class _Columns:
    """The lines of an invoice as columns of text, and how each is read."""

    def __init__(self, path: Path, names: list[str], rows: list[tuple[int, list[str]]]) -> None:
        self._path, self._names = path, names
        self._roles = _roles(names)
        long = next(((line, row) for line, row in rows if any(c.strip() for c in row[len(names) :])), None)
        if long:
            raise UsageError(
                f"{path} line {long[0]}: {len(long[1])} cells below {len(names)} headings. A decimal comma needs "
                f'another separator than the comma, or quotes: 16,50 as "16,50".'
            )
        padded = [[*row, *[""] * len(names)][: len(names)] for _, row in rows]
        columns = list(zip(*padded, strict=True)) if padded else [()] * len(names)
        texts = {
            role: pl.Series(role, columns[i], pl.String).str.strip_chars(" \t\u00a0'\"")
            for role, i in self._roles.items()
        }
        self._frame = pl.DataFrame(
            {"line": [line for line, _ in rows], **texts}, schema_overrides={"line": pl.Int64}
        )

    def read(self, currency: str) -> InvoiceFile:
        """The invoice. Raises UsageError."""
        plant = pl.col("plant").str.to_lowercase()
        odd = (pl.col("month") == "") & ~plant.str.contains(_ID)
        other, lines = self._frame.filter(odd), self._frame.filter(~odd)
        is_total = plant.str.replace_all(r"[^a-z]+", " ").str.strip_chars().is_in(list(TOTALS))
        totals = other.filter(is_total, pl.col("amount") != "")
        self._check_currency(lines, currency)
        plants = self._parsed(lines, "plant", plant.str.extract(_ID), self._why_no_plant)
        found = lines.select(
            "line",
            plant_id=plants,
            month=self._parsed(lines, "month", _month(), lambda _: "is no month; write it as 2026-10"),
            capacity_class=self._classes(lines),
            amount_eur=self._parsed(lines, "amount", _amount(), _why_no_amount).cast(CENTS),
        )
        if not found.height:
            raise UsageError(f"The invoice {self._path} has headings and no line below them.")
        total = self._parsed(totals, "amount", _amount(), _why_no_amount).cast(CENTS).to_list()
        ignored = other.filter(~is_total)["line"].to_list()
        return InvoiceFile(found, total[0] if total else None, tuple(ignored))

    def _classes(self, lines: pl.DataFrame) -> pl.Series:
        if "class" not in self._roles:
            return pl.Series([None] * lines.height, dtype=pl.String)
        choices = ", ".join(CAPACITY_CLASSES)
        return self._parsed(
            lines, "class", _class(), lambda _: f"is no class of AC power; choose from {choices}", blank=True
        )

    def _check_currency(self, lines: pl.DataFrame, currency: str) -> None:
        if "currency" in self._roles:
            known = pl.when(pl.col("currency").str.to_uppercase().is_in([currency.upper(), ""])).then(1)
            cure = f"is another currency than the price list's, {currency}; amounts can't be compared"
            self._parsed(lines, "currency", known, lambda _: cure, blank=True)

    def _parsed(
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
            shown = f"{text!r} " if text else "it "
            raise UsageError(f"{self._path} line {line}, column {heading!r}: {shown}{reason}.")
        return parsed

    @staticmethod
    def _why_no_plant(text: str) -> str:
        if re.match(_EXCEL_NUMBER, text.lower()):
            return "is what Excel makes of a long id; format that column as text and export again"
        return "is no plant id (digits, or 8-4-4-4-12 hexadecimal digits)"


def _month() -> pl.Expr:
    """First of the month: from 2026-10, 2026-10-31, 10/2026, 10.2026, 31.10.2026, Oct 2026, Okt-26."""
    text = pl.col("month").str.to_lowercase()
    year_first = text.str.extract_groups(r"^(?<y>\d{4})[-/](?<m>\d{1,2})(?:-(?:0?[1-9]|[12]\d|3[01]))?$")
    year_last = text.str.extract_groups(r"^(?:(?:0?[1-9]|[12]\d|3[01])\.)?(?<m>\d{1,2})[./-](?<y>\d{4})$")
    named = text.str.extract_groups(r"^(?<m>[a-zä]+)[\s.-]*(?<y>\d{2}|\d{4})$")
    number = named.struct.field("m").replace_strict(MONTHS, default=None, return_dtype=pl.Int64)
    year = pl.coalesce(*(e.struct.field("y") for e in (year_first, year_last, named))).cast(pl.Int64)
    month = pl.coalesce(*(e.struct.field("m").cast(pl.Int64) for e in (year_first, year_last)), number)
    century = pl.when(year < 100).then(2000).otherwise(0)  # noqa: PLR2004 - two digits of a year
    valid = month.is_between(1, 12)
    return pl.when(valid).then(pl.date(year + century, pl.when(valid).then(month).otherwise(1), 1))


def _amount() -> pl.Expr:
    """A decimal number with either separator. Null where it is none, or where it might be two: 1.234 or 1,234."""
    bare = pl.col("amount").str.replace_all(r"(?i)eur|usd|us\$|[€$\s\u00a0\u202f']", "")
    plain = bare.str.contains(r"^[+-]?(\d+|\d+[.,](\d{1,2}|\d{4,})|0[.,]\d{3})$")
    german = bare.str.contains(r"^[+-]?\d{1,3}(\.\d{3})+,\d+$") | bare.str.contains(
        r"^[+-]?\d{1,3}(\.\d{3}){2,}$"
    )
    english = bare.str.contains(r"^[+-]?\d{1,3}(,\d{3})+\.\d+$") | bare.str.contains(
        r"^[+-]?\d{1,3}(,\d{3}){2,}$"
    )
    text = (
        pl.when(plain)
        .then(bare.str.replace(",", ".", literal=True))
        .when(german)
        .then(bare.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True))
        .when(english)
        .then(bare.str.replace_all(",", "", literal=True))
    )
    exact = text.str.strip_prefix("+").str.to_decimal(scale=10)
    return exact.round(2, mode="half_away_from_zero")


def _why_no_amount(text: str) -> str:
    if re.search(r"\d[.,]\d{3}\D*$", text):
        return "may be a number of thousands or of thousandths; write two digits after the decimal sign"
    return "is no amount; write it as 16.50 or 16,50"


def _class() -> pl.Expr:
    """One of SMA's classes: also with units, long dashes, or as >= 1000."""
    text = pl.col("class").str.to_lowercase().str.replace_all(r"kwac|kwp|kw|[\s\u00a0]", "")
    text = text.str.replace_all(r"[–—−]|to|bis", "-").str.replace(r"^(?:>=|≥|ab|from)?1000\+?$", "1000+")
    return pl.when(text.is_in(CAPACITY_CLASSES)).then(text)
