"""The price list: what SMA charges from when on, how it invoices, and the fees of PU. Money is decimal, never float."""

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, cast
from zoneinfo import ZoneInfo

import polars as pl

from pipeline.common.errors import ConfigurationError
from pipeline.common.files.toml_text import parse_toml
from pipeline.common.local_time import is_timezone
from schemas.base import CAPACITY_CLASSES

PUBLISHED = "prices.toml"
MONTHS_A_YEAR = 12
# How often a price is due in a year.
TIMES: Mapping[str, int] = {"month": MONTHS_A_YEAR, "year": 1}
LARGEST = Decimal(1_000_000)

# Twelve months of a PU are exact: a twelfth is taken once, of the sum, or half a cent would be lost on the way.
EXACT = pl.Decimal(38, 10)
CAPACITY = pl.Decimal(38, 6)
CENTS = pl.Decimal(18, 2)

_LIST_KEYS = {"prices", "invoicing"}
_INVOICING_KEYS = {"period", "above", "month_timezone"}
_ENTRY_KEYS = {
    "valid_from",
    "currency",
    "source",
    "base_period",
    "base",
    "per_kw_ac",
    "per_kw_ac_period",
    "live_plan",
    "live",
}


@dataclass(frozen=True, slots=True)
class Price:
    """Prices that hold from a month on, as they are written: `base` by class and `per_kw_ac`, each for a period of PU.

    A PU is one month of it. `live` is of a month, by calls.
    """

    valid_from: dt.date
    currency: str
    source: str
    base: Mapping[str, Decimal]
    base_period: str
    per_kw_ac: Decimal
    per_kw_ac_period: str
    live: Mapping[int, Decimal]
    live_plan: int | None

    @property
    def live_eur(self) -> Decimal:
        """What the booked Live plan costs a month, to the cent; 0 without one."""
        amount = self.live[self.live_plan] if self.live_plan is not None else Decimal(0)
        return amount.quantize(Decimal("0.01"), ROUND_HALF_UP)


@dataclass(frozen=True, slots=True)
class Invoicing:
    """When SMA sends an invoice, and which zone's calendar its months follow."""

    period: Literal["quarter", "year"] = "quarter"
    above: Decimal = Decimal(1000)
    month_timezone: str = "UTC"

    def find_month(self, moment: dt.datetime) -> dt.date:
        """First day of the month in which a request of this moment is charged."""
        return moment.astimezone(ZoneInfo(self.month_timezone)).date().replace(day=1)


@dataclass(frozen=True, slots=True)
class PriceList:
    """All prices, oldest first, in one currency."""

    prices: tuple[Price, ...]
    invoicing: Invoicing = Invoicing()

    @property
    def currency(self) -> str:
        """The currency of every amount."""
        return self.prices[-1].currency

    def find_price(self, month: dt.date) -> Price | None:
        """The price of a month; None before the first one."""
        return next((price for price in reversed(self.prices) if price.valid_from <= month), None)

    def require_price(self, month: dt.date) -> Price:
        """The price of a month. Raises ConfigurationError before the first one."""
        price = self.find_price(month)
        if price is None:
            raise ConfigurationError(
                f"The price list has no price for {month}: add one with an earlier valid_from."
            )
        return price

    def add_fees(self, units: pl.DataFrame) -> pl.DataFrame:
        """PU with their fees.

        `units` has month, capacity_kw and capacity_class; added are base_eur, capacity_eur, fee_eur (to the cent,
        half a cent up), currency, pricing, price_valid_from and price_source as in `billing_units`. The order stays.
        """
        entries = pl.DataFrame(
            [
                (p.valid_from, p.currency, p.source, p.per_kw_ac * TIMES[p.per_kw_ac_period])
                for p in self.prices
            ],
            {
                "price_valid_from": pl.Date,
                "currency": pl.String,
                "price_source": pl.String,
                "per_kw": EXACT,
            },
            orient="row",
        )
        bases = pl.DataFrame(
            [
                (p.valid_from, name, amount * TIMES[p.base_period])
                for p in self.prices
                for name, amount in p.base.items()
            ],
            {"price_valid_from": pl.Date, "capacity_class": pl.String, "base": EXACT},
            orient="row",
        )
        exact = pl.col("base") + pl.col("capacity_kw").cast(CAPACITY) * pl.col("per_kw")
        found = (
            units.with_row_index("_row")
            .sort("month", maintain_order=True)
            .join_asof(
                entries, left_on="month", right_on="price_valid_from", strategy="backward", coalesce=False
            )
            .join(bases, on=["price_valid_from", "capacity_class"], how="left")
            .sort("_row")
        )
        return found.with_columns(
            fee_eur=_round_to_cents(exact / MONTHS_A_YEAR),
            base_eur=pl.when(exact.is_not_null()).then(_round_to_cents(pl.col("base") / MONTHS_A_YEAR)),
            pricing=pl.when(pl.col("price_valid_from").is_null())
            .then(pl.lit("no_price"))
            .when(pl.col("capacity_kw").is_null())
            .then(pl.lit("no_capacity"))
            .otherwise(pl.lit("priced")),
        ).with_columns(capacity_eur=(pl.col("fee_eur") - pl.col("base_eur")).cast(CENTS))


def load_prices(path: Path | None) -> PriceList:
    """The price list of a file, or the published one.

    Raises ConfigurationError naming the file, and the entry and key that are wrong.
    """
    name = str(path or PUBLISHED)
    if path is not None and path.exists() and not path.is_file():
        raise ConfigurationError(
            f"The price list {name} is a folder or a pipe: set SUNLEDGER_PRICES to a readable file."
        )
    try:
        source = path or files(__package__).joinpath(PUBLISHED)
        text = source.read_text("utf-8-sig")
        found = parse_toml(text, parse_float=Decimal)
    except OSError as fault:
        raise ConfigurationError(
            f"The price list {name} can't be read ({fault.strerror}): set SUNLEDGER_PRICES to a readable file."
        ) from None
    except ValueError as fault:  # TOML's and Unicode's own errors
        raise ConfigurationError(f"The price list {name} is not a TOML file: correct it ({fault}).") from None
    return _Reader(name).read(found)


class _Reader:
    """Turns a TOML document into a price list, or says where it is wrong."""

    def __init__(self, name: str) -> None:
        self._name = name

    def read(self, found: Mapping[str, Any]) -> PriceList:
        self._check_keys("", found, _LIST_KEYS)
        entries = found.get("prices")
        if not entries:
            raise ConfigurationError(
                f"The price list {self._name} has no [[prices]]: compare it with the published one."
            )
        if not isinstance(entries, list):
            raise self._build_error("", "prices", "is not a list of entries; write [[prices]]")
        prices = [self._read_price(f"entry {i}, ", entry) for i, entry in enumerate(entries, 1)]
        prices.sort(key=lambda price: price.valid_from)
        for one, two in pairwise(prices):
            if one.valid_from == two.valid_from:
                raise self._build_error("", "valid_from", f"{one.valid_from} is in two entries")
            if one.currency != two.currency:
                raise self._build_error(
                    "", "currency", f"differs: {one.currency} and {two.currency}; amounts are added up"
                )
        return PriceList(tuple(prices), self._read_invoicing(found.get("invoicing", {})))

    def _read_invoicing(self, table: object) -> Invoicing:
        where, usual = "", Invoicing()
        table = self._read_table(where, "invoicing", table)
        self._check_keys(where, table, _INVOICING_KEYS)
        zone = table.get("month_timezone", usual.month_timezone)
        if not isinstance(zone, str) or not is_timezone(zone):
            raise self._build_error(
                where,
                "month_timezone",
                f"{zone!r} is not a time zone; write an IANA name such as Europe/Berlin",
            )
        period = self._read_choice(where, table, "period", {"quarter", "year"}, usual.period)
        above = self._read_amount(where, "above", table.get("above", usual.above))
        return Invoicing(cast("Literal['quarter', 'year']", period), above, zone)

    def _read_price(self, where: str, entry: object) -> Price:
        table = self._read_table(where, "[[prices]]", entry)
        self._check_keys(where, table, _ENTRY_KEYS)
        valid_from = self._read_month(where, table.get("valid_from"))
        where = f"{where}valid_from {valid_from}, "
        base = self._read_table(where, "base", table.get("base"))
        self._check_keys(f"{where}base, ", base, set(CAPACITY_CLASSES))
        live = self._read_live(where, table.get("live", {}))
        plan = table.get("live_plan")
        if plan is not None and not (isinstance(plan, int) and plan in live):
            raise self._build_error(where, "live_plan", f"{plan!r} is not a plan in [prices.live]")
        return Price(
            valid_from,
            self._read_currency(where, table.get("currency")),
            self._read_text(where, "source", table.get("source", "the price list")),
            {name: self._read_amount(where, f'base."{name}"', base.get(name)) for name in CAPACITY_CLASSES},
            self._read_choice(where, table, "base_period", set(TIMES)),
            self._read_amount(where, "per_kw_ac", table.get("per_kw_ac")),
            self._read_choice(where, table, "per_kw_ac_period", set(TIMES), "month"),
            live,
            plan,
        )

    def _read_live(self, where: str, plans: object) -> dict[int, Decimal]:
        found = {}
        for calls, amount in self._read_table(where, "live", plans).items():
            digits = calls.replace("_", "")
            if not (digits.isascii() and digits.isdecimal()):
                raise self._build_error(
                    where, f"live.{calls}", "is not a number of calls per month; write it as 200000"
                )
            found[int(digits)] = self._read_amount(where, f"live.{calls}", amount)
        return found

    def _read_month(self, where: str, value: object) -> dt.date:
        if not isinstance(value, dt.date) or isinstance(value, dt.datetime):
            raise self._build_error(where, "valid_from", f"{value!r} is not a date; write it as 2026-01-01")
        if value.day != 1:
            raise self._build_error(
                where,
                "valid_from",
                f"{value} is not the first day of a month, but prices change only with a month",
            )
        return value

    def _read_amount(self, where: str, key: str, value: object) -> Decimal:
        """An amount of 0 or more; a missing one is an error, not 0."""
        if value is None:
            raise self._build_error(where, key, "is missing")
        amount = None
        if isinstance(value, str | int | Decimal) and not isinstance(value, bool):
            try:
                amount = Decimal(value)
            except ArithmeticError:
                amount = None
        if amount is None or not amount.is_finite() or not 0 <= amount <= LARGEST:
            raise self._build_error(where, key, f'{value!r} is not an amount; write it as "16.50"')
        if amount != round(amount, EXACT.scale):
            raise self._build_error(
                where, key, f"{value!r} has more than {EXACT.scale} decimals, which would be rounded"
            )
        return amount

    def _read_text(self, where: str, key: str, value: object) -> str:
        if not isinstance(value, str) or not value.strip():
            raise self._build_error(where, key, "is missing" if value is None else f"{value!r} is not a text")
        return value.strip()

    def _read_currency(self, where: str, value: object) -> str:
        code = self._read_text(where, "currency", value).upper()
        if not re.fullmatch(r"[A-Z]{3}", code):
            raise self._build_error(
                where, "currency", f"{value!r} is not a currency code of ISO 4217 such as EUR"
            )
        return code

    def _read_choice(
        self, where: str, table: Mapping[str, Any], key: str, choices: set[str], usual: str | None = None
    ) -> str:
        value = table.get(key, usual)
        if value is None:
            raise self._build_error(where, key, "is missing")
        if not isinstance(value, str) or value not in choices:
            raise self._build_error(where, key, f"{value!r} is not one of {', '.join(sorted(choices))}")
        return value

    def _read_table(self, where: str, key: str, value: object) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            raise self._build_error(
                where, key, "is missing" if value is None else f"{value!r} is not a table of keys"
            )
        return value

    def _check_keys(self, where: str, table: Mapping[str, Any], known: set[str]) -> None:
        unknown = sorted(set(table) - known)
        if unknown:
            raise self._build_error(where, unknown[0], f"is unknown; choose from {', '.join(sorted(known))}")

    def _build_error(self, where: str, key: str, what: str) -> ConfigurationError:
        return ConfigurationError(
            f"The price list {self._name} is wrong: {where}{key} {what}. Compare it with the published one."
        )


def _round_to_cents(amount: pl.Expr) -> pl.Expr:
    """An exact amount to the cent, half a cent up."""
    return amount.round(2, mode="half_away_from_zero").cast(CENTS)
