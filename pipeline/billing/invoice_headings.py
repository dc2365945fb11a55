"""Which column of an invoice is what, by its heading in English or German; of several amounts the one without tax."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pipeline.billing.invoice_cells import CURRENCIES

# The headings that a column may have, the surest first, in lower case, without signs and without what is in brackets.
HEADINGS: Mapping[str, tuple[str, ...]] = {
    "plant": (
        "plant id", "plantid", "system id", "systemid", "anlagen id", "anlagenid", "anlagennummer", "anlagen nr",
        "anlagennr", "system no", "plant", "system", "anlage", "id",
    ),
    "month": (
        "month", "billing month", "period", "service period", "monat", "abrechnungsmonat", "leistungsmonat",
        "zeitraum", "leistungszeitraum", "abrechnungszeitraum", "billing period", "service month",
    ),
    "class": ("capacity class", "class", "ac class", "leistungsklasse", "klasse"),
    "currency": ("currency", "währung"),
}  # fmt: skip
# The same for amounts, without their words for tax and currency; "" is a heading of nothing but those.
AMOUNTS = (
    "fee", "amount", "betrag", "entgelt", "gebühr", "line total", "total price", "gesamtpreis", "price", "preis", "",
    "total amount", "gesamtbetrag", "total", "sum", "summe", "gesamt",
)  # fmt: skip
# What may be the price of one unit, beside what may be that of all of them.
PRICES = ("price", "preis")
SUMS = ("total amount", "gesamtbetrag", "total", "sum", "summe", "gesamt")
AMOUNT = "amount"
NEEDED = ("plant", "month", AMOUNT)

_TAX = r"( \d+)?( (vat|tax|mwst|ust|mehrwertsteuer|umsatzsteuer))?( \d+)?"
_NET = re.compile(rf"netto|\b(net|excl|excluding|exkl|ohne|zzgl|without)\b{_TAX}")
_GROSS = re.compile(rf"brutto|\b(gross|incl|including|inkl|einschl|mit|with)\b{_TAX}")
_CURRENCY = re.compile(rf"\b(in )?({'|'.join(CURRENCIES).lower()}|euro|us)\b")


class InvoiceColumn(NamedTuple):
    """A column that may hold the amount: without tax (0), not said (1) or with it (2), its place in AMOUNTS, and where.

    The smallest is the surest.
    """

    tax: int
    name: int
    place: int

    @property
    def with_tax(self) -> bool:
        """Whether its heading says that tax is in the amounts."""
        return self.tax == 2  # noqa: PLR2004 - see above

    def may_be_of_one(self, other: "InvoiceColumn") -> bool:
        """Whether this may be the price of one of several, and the other what they cost together."""
        return self.tax == other.tax and AMOUNTS[self.name] in PRICES and AMOUNTS[other.name] in SUMS


def assign_roles(cells: Sequence[str]) -> dict[str, int]:
    """Which column has which role. The surest heading of a role wins."""
    plain = [_split_words(re.sub(r"[(\[].*?[)\]]", "", cell)) for cell in cells]
    found = {
        role: plain.index(name)
        for role, names in HEADINGS.items()
        for name in reversed(names)
        if name in plain
    }
    if columns := find_amounts(cells):
        found[AMOUNT] = columns[0].place
    return found


def find_amounts(cells: Sequence[str]) -> list[InvoiceColumn]:
    """The columns that may hold the amount, the surest first."""
    columns = (_rate_amount(cell, place) for place, cell in enumerate(cells))
    return sorted(column for column in columns if column is not None)


def _rate_amount(cell: str, place: int) -> InvoiceColumn | None:
    words = _split_words(_CURRENCY.sub(" ", _split_words(cell)))
    net, gross = _NET.search(words), _GROSS.search(words)
    name = _split_words(_GROSS.sub(" ", _NET.sub(" ", words)))
    said = bool(net) != bool(gross)
    if name not in AMOUNTS or (not name and words not in {"net", "netto", "gross", "brutto"}):
        return None
    return InvoiceColumn((0 if net else 2) if said else 1, AMOUNTS.index(name), place)


def _split_words(text: str) -> str:
    return re.sub(r"[^0-9a-zäöü]+", " ", text.lower()).strip()
