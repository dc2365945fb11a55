"""How much one run may add to a month's bill, and how much it has added."""

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Final

# The tag of a run in Dagster that says how much PU it may add to the month's bill, in the price list's currency, where
# the settings have no limit.
MAX_EUR: Final = "sunledger/max_eur"


@dataclass(slots=True)
class Allowance:
    """`max_eur` is None where nobody has named an amount; `added_eur` grows with the PU that are let through."""

    max_eur: Decimal | None = None
    added_eur: Decimal = Decimal(0)

    @property
    def left_eur(self) -> Decimal | None:
        """How much more may be added; None where nobody has named an amount."""
        return None if self.max_eur is None else self.max_eur - self.added_eur

    def spend(self, eur: Decimal) -> None:
        """Count PU that are let through."""
        self.added_eur += eur


def parse_limit(text: str) -> Decimal:
    """An amount of money of 0 or more. Raises ValueError."""
    try:
        found = Decimal(text)
    except InvalidOperation:
        raise ValueError(text) from None
    if not found.is_finite() or found < 0:
        raise ValueError(text)
    return found
