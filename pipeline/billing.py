"""What SMA charges: the price list, and the fee of one system in one month (a PU). Money is decimal, never float."""

import datetime as dt
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from importlib.resources import files
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigurationError

CENT = Decimal("0.01")
MONTHS = 12
CLASSES = ("1-19", "20-99", "100-499", "500-999", "1000+")


@dataclass(frozen=True, slots=True)
class Price:
    """Prices that hold from a day on: base fee by class of AC power, and an amount for each kW."""

    valid_from: dt.date
    currency: str
    source: str
    base: Mapping[str, Decimal]
    per_kw_ac: Decimal

    def fee(self, capacity_kw: float | None, capacity_class: str | None) -> Decimal | None:
        """The fee of one PU, to the cent; None for a system without capacity, which is unpriced and not free."""
        if capacity_kw is None or capacity_class is None:
            return None
        exact = self.base[capacity_class] + self.per_kw_ac * Decimal(str(capacity_kw))
        return exact.quantize(CENT, ROUND_HALF_UP)


@dataclass(frozen=True, slots=True)
class PriceList:
    """All prices, oldest first."""

    prices: tuple[Price, ...]

    def on(self, day: dt.date) -> Price:
        """The price that holds on a day. Raises ConfigurationError before the first one."""
        valid = [price for price in self.prices if price.valid_from <= day]
        if not valid:
            raise ConfigurationError(
                f"The price list has no price for {day}: add one with an earlier valid_from."
            )
        return valid[-1]


def load_prices(path: Path | None) -> PriceList:
    """The price list of a file, or the published one. Raises ConfigurationError naming the file and what is wrong."""
    name = str(path or "prices.toml")
    try:
        text = path.read_text() if path else files("pipeline").joinpath("prices.toml").read_text()
        entries = tomllib.loads(text).get("prices", [])
        prices = sorted((_price(entry) for entry in entries), key=lambda price: price.valid_from)
    except OSError as fault:
        raise ConfigurationError(
            f"The price list {name} can't be read: {fault.strerror}. Set SUNLEDGER_PRICES."
        ) from None
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError, InvalidOperation) as fault:
        raise ConfigurationError(
            f"The price list {name} is wrong ({type(fault).__name__}: {fault}): compare it with the published one."
        ) from None
    if not prices:
        raise ConfigurationError(
            f"The price list {name} has no [[prices]]: compare it with the published one."
        )
    return PriceList(tuple(prices))


def _price(entry: Mapping[str, Any]) -> Price:
    period = {"month": 1, "year": MONTHS}[entry["base_period"]]
    base = {name: Decimal(str(entry["base"][name])) / period for name in CLASSES}
    if not isinstance(entry["valid_from"], dt.date):
        raise ValueError(f"valid_from {entry['valid_from']!r} is not a date")  # noqa: TRY004 - one kind for the caller
    return Price(
        entry["valid_from"],
        str(entry["currency"]),
        str(entry.get("source", "")),
        base,
        Decimal(str(entry["per_kw_ac"])),
    )
