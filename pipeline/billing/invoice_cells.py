"""The cells of an invoice, however a spreadsheet shows them: months, amounts, classes of AC power.

Each expression is null where its text is none, or might be two; each `why_no_...` says why, and what to write.
"""

import datetime as dt
import re

import polars as pl

from schemas.base import CAPACITY_CLASSES

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
# The first year that may be written with two digits. Spreadsheets show a day of October as Oct-05 or Oct-31 as well.
FIRST_SHORT_YEAR = "20"

# Before any month that SMA can have billed; Python knows no year 0, which polars does.
FIRST_YEAR = 2000

# How a currency is written, by its code.
CURRENCIES = {"EUR": "€|eur", "USD": r"us\$|usd", "CHF": "chf", "GBP": "£|gbp"}

_DATE = r"\d{4}-\d{1,2}-\d{1,2}|\d{1,2}[./]\d{1,2}[./]\d{4}"
_PERIOD = rf"^(?<first>{_DATE})\s*(?:-|–|—|/|to|bis)\s*(?<last>{_DATE})$"
_MIDNIGHT = r"[t ]00:00(:00(\.0+)?)?z?$"
# The last day of a month is never also a month's number, so a whole month can be read in one way only.
_OF_A_PERIOD = ("%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y")


def parse_month(latest: dt.date) -> pl.Expr:
    """First of the month, none after `latest`: from 2026-10, 10/2026, Okt 2026, a date, or a period of one month."""
    found = _parse_any_month()
    return pl.when(found <= latest).then(found)


def explain_month(text: str, latest: dt.date) -> str:
    """What is wrong with the text of a month."""
    later = pl.select(pl.lit(text).alias("month")).select(_parse_any_month()).item()
    if later is not None:
        return f"is {later:%Y-%m}, but months after {latest:%Y-%m} can't be billed yet; correct it"
    if len(re.findall(_DATE, text)) > 1:
        return (
            "is not one whole month from its first to its last day; write one line for each month, for instance "
            "2026-10"
        )
    name = re.match(r"^([^\W\d]+)[\s.-]*\d\d$", text)
    if name and name[1].lower() in MONTHS:
        return "may be a day or a year; write the month as 2026-10"
    return "is not a month; write it as 2026-10"


def _parse_any_month() -> pl.Expr:
    text = pl.col("month").str.to_lowercase()
    found = pl.coalesce(_parse_numbers(text), _parse_date(text), _parse_name(text), _parse_period(text))
    return pl.when(found.dt.year() >= FIRST_YEAR).then(found)


def _build_first_day(year: pl.Expr, number: pl.Expr) -> pl.Expr:
    return pl.concat_str(year, pl.lit("-"), number, pl.lit("-1")).str.to_date("%Y-%m-%d", strict=False)


def _parse_numbers(text: pl.Expr) -> pl.Expr:
    orders = (r"^(?<y>\d{4})[-/](?<m>\d{1,2})$", r"^(?<m>\d{1,2})[./-](?<y>\d{4})$")
    groups = [text.str.extract_groups(order).struct for order in orders]
    return pl.coalesce(*(_build_first_day(g.field("y"), g.field("m")) for g in groups))


def _parse_date(text: pl.Expr) -> pl.Expr:
    day = text.str.replace(_MIDNIGHT, "").str.extract(r"^(\d{4}-\d{1,2}-\d{1,2}|\d{1,2}\.\d{1,2}\.\d{4})$")
    dates = (day.str.to_date(form, strict=False) for form in ("%Y-%m-%d", "%d.%m.%Y"))
    return pl.coalesce(*dates).dt.month_start()


def _parse_name(text: pl.Expr) -> pl.Expr:
    named = text.str.extract_groups(r"^(?<m>[a-zä]+)[\s.-]*(?<y>\d{2}|\d{4})$").struct
    number = named.field("m").replace_strict(MONTHS, default=None, return_dtype=pl.Int64)
    digits = named.field("y")
    short = digits.str.len_chars() == len(FIRST_SHORT_YEAR)
    year = pl.when(~short).then(digits).when(digits >= FIRST_SHORT_YEAR).then(pl.lit("20") + digits)
    return _build_first_day(year, number.cast(pl.String))


def _parse_period(text: pl.Expr) -> pl.Expr:
    # 01.10.-31.10.2026: the year stands once.
    text = text.str.replace(
        r"^(\d{1,2}\.\d{1,2}\.)(\s*(?:-|–|—|bis)\s*\d{1,2}\.\d{1,2}\.)(\d{4})$", "${1}${3}${2}${3}"
    )
    period = text.str.extract_groups(_PERIOD).struct
    wholes = []
    for form in _OF_A_PERIOD:
        first, last = (period.field(end).str.to_date(form, strict=False) for end in ("first", "last"))
        wholes.append(pl.when((first.dt.day() == 1) & (last == first.dt.month_end())).then(first))
    return pl.coalesce(*wholes)


def parse_amount() -> pl.Expr:
    """Whole cents with either decimal sign. Null where it is none, or where it might be two: 1.234 or 1,234.

    A minus may stand behind the figure or be a pair of brackets, as accounts have it.
    """
    signs = "|".join(CURRENCIES.values())
    bare = pl.col("amount").str.replace_all(rf"(?i){signs}|[$\s\u00a0\u202f'’]", "")
    bare = bare.str.replace_all(r"[−–]", "-").str.replace(r"^\((.+)\)$|^(.+)-$", "-${1}${2}")
    plain = bare.str.contains(r"^[+-]?(\d+|\d+[.,](\d{1,2}|\d{4,})|0[.,]\d{3})$")
    german = bare.str.contains(r"^[+-]?\d{1,3}(\.\d{3})+,\d+$|^[+-]?\d{1,3}(\.\d{3}){2,}$")
    english = bare.str.contains(r"^[+-]?\d{1,3}(,\d{3})+\.\d+$|^[+-]?\d{1,3}(,\d{3}){2,}$")
    text = (
        pl.when(plain)
        .then(bare.str.replace(",", ".", literal=True))
        .when(german)
        .then(bare.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True))
        .when(english)
        .then(bare.str.replace_all(",", "", literal=True))
    )
    cents = text.str.contains(r"^[+-]?\d{1,15}(\.\d{1,2}0*)?$")
    return pl.when(cents).then(text.str.strip_prefix("+").str.to_decimal(scale=2))


def explain_amount(text: str) -> str:
    """What is wrong with the text of an amount."""
    if re.search(r"(\d[.,]\d{4,}|\b0[.,]\d{3}|\.\d+,\d{3}|,\d+\.\d{3})\D*$", text):
        return "has more than two decimals; write the invoiced amount in whole cents"
    if re.search(r"\d[.,]\d{3}\D*$", text):
        return (
            "is ambiguous (a thousands separator or a decimal sign); write two digits after the decimal sign"
        )
    return "is not an amount; write it as 16.50 or 16,50"


def names_other_currency(text: pl.Expr, currency: str) -> pl.Expr:
    """Whether the text names a currency that is not this one."""
    others = [sign for code, sign in CURRENCIES.items() if code != currency]
    # Other countries' currencies are dollars, too.
    return text.str.to_lowercase().str.contains("|".join([*others, *([r"\$"] if currency == "EUR" else [])]))


def parse_class() -> pl.Expr:
    """One of SMA's classes: also with units, long dashes, or as >= 1.000."""
    text = pl.col("class").str.to_lowercase().str.replace_all(r"kwac|kwp|kw|[\s\u00a0]", "")
    text = text.str.replace_all(r"[–—−]|to|bis", "-").str.replace(
        r"^(?:>=?|≥|ab|from)?1[.,]?000\+?$", "1000+"
    )
    return pl.when(text.is_in(CAPACITY_CLASSES)).then(text)


def explain_class(text: str) -> str:
    """What is wrong with the text of a class."""
    if re.search(r"\bjan|\d[./]\d+[./]\d", text.lower()):
        return "is a date that Excel made of 1-19; format that column as text, or write the class again"
    return f"is not a class of AC power; choose from {', '.join(CAPACITY_CLASSES)}"
