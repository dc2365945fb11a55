"""The price list: decimal fees to the cent, and a wrong file is reported by file, entry and key."""

import datetime as dt
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from math import floor
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.billing import PriceList, load_prices
from pipeline.common.errors import ConfigurationError
from pipeline.transform.lists.inventory import classify_capacity

PRICES = load_prices(None)
TODAY = dt.date(2026, 11, 1)
FILE = """
[[prices]]
valid_from = 2026-01-01
currency = "EUR"
base_period = "year"
per_kw_ac = "0.10"
[prices.base]
"1-19" = "12"
"20-99" = "12"
"100-499" = "15"
"500-999" = "25"
"1000+" = "65"
[prices.live]
200_000 = "100"
"""
NEXT = FILE.replace("2026-01-01", "2027-01-01").replace('"0.10"', '"0.20"')


def priced(prices: PriceList, kilowatts: float | None, month: dt.date = TODAY) -> dict[str, object]:
    """The PU of a system of this capacity."""
    unit = pl.DataFrame(
        {"month": [month], "capacity_kw": [kilowatts]}, {"month": pl.Date, "capacity_kw": pl.Float64}
    ).with_columns(capacity_class=classify_capacity(pl.col("capacity_kw")))
    return prices.add_fees(unit).row(0, named=True)


def write(folder: Path, text: str) -> Path:
    file = folder / "prices.toml"
    file.write_text(text)
    return file


def test_the_example_of_the_published_prices() -> None:
    unit = priced(PRICES, 50.0)
    assert unit["fee_eur"] == Decimal("16.50")
    assert (unit["base_eur"], unit["capacity_eur"]) == (Decimal("12.00"), Decimal("4.50"))
    assert (unit["currency"], unit["pricing"]) == ("EUR", "priced")
    assert "check against your contract" in str(unit["price_source"])


@pytest.mark.parametrize(
    ("kilowatts", "name", "fee"),
    [
        (5.0, "1-19", "12.45"),
        (19.99, "1-19", "13.80"),
        (100.0, "100-499", "24.00"),
        (999.9, "500-999", "114.99"),
        (1000.0, "1000+", "155.00"),
    ],
)
def test_fees_by_class(kilowatts: float, name: str, fee: str) -> None:
    unit = priced(PRICES, kilowatts)
    assert (unit["capacity_class"], unit["fee_eur"]) == (name, Decimal(fee))


def test_a_system_without_capacity_is_unpriced_and_not_free() -> None:
    unit = priced(PRICES, None)
    assert unit["pricing"] == "no_capacity"
    assert (unit["fee_eur"], unit["base_eur"], unit["capacity_eur"]) == (None, None, None)


def test_a_month_before_the_first_price_is_unpriced(tmp_path: Path) -> None:
    prices = load_prices(write(tmp_path, FILE))
    unit = priced(prices, 50.0, dt.date(2025, 12, 1))
    assert (unit["pricing"], unit["fee_eur"], unit["currency"]) == ("no_price", None, None)
    with pytest.raises(ConfigurationError, match="no price for 2025-12-01"):
        prices.require_price(dt.date(2025, 12, 1))


def test_prices_are_held_as_they_are_written(tmp_path: Path) -> None:
    price = load_prices(write(tmp_path, FILE)).prices[0]
    assert (price.base["100-499"], price.base_period) == (Decimal(15), "year")
    assert (price.per_kw_ac, price.per_kw_ac_period) == (Decimal("0.10"), "month")


def test_the_price_of_a_month_is_the_one_that_held_then(tmp_path: Path) -> None:
    prices = load_prices(write(tmp_path, NEXT + FILE))
    assert priced(prices, 50.0, dt.date(2026, 12, 1))["fee_eur"] == Decimal("6.00")
    assert priced(prices, 50.0, dt.date(2027, 1, 1))["fee_eur"] == Decimal("11.00")


@given(st.integers(1, 5_000_000))
def test_a_fee_is_rounded_once_and_half_a_cent_up(watts: int) -> None:
    unit = priced(PRICES, watts / 1000)
    base = PRICES.prices[0].base[str(unit["capacity_class"])]
    exact = base + Decimal("0.09") * Decimal(watts) / 1000
    assert unit["fee_eur"] == exact.quantize(Decimal("0.01"), ROUND_HALF_UP)
    assert unit["base_eur"] + unit["capacity_eur"] == unit["fee_eur"]  # type: ignore[operator]


@given(st.integers(100, 30_000))
def test_a_twelfth_of_a_year_is_taken_once(hundredths: int) -> None:
    """At 1.1 kW the year of this list costs 101.10, a month so 8.425: half a cent that must go up."""
    price = replace(
        PRICES.prices[0],
        base={name: Decimal(100) for name in PRICES.prices[0].base},
        base_period="year",
        per_kw_ac=Decimal(1),
        per_kw_ac_period="year",
    )
    capacity = Decimal(hundredths) / 100
    fee = priced(replace(PRICES, prices=(price,)), float(capacity))["fee_eur"]
    cents = Fraction(100 + capacity) * 100 / 12
    assert fee == Decimal(floor(cents + Fraction(1, 2))) / 100


def test_the_order_of_the_units_stays() -> None:
    months = [dt.date(2026, 3, 1), dt.date(2026, 1, 1), dt.date(2026, 2, 1)]
    units = pl.DataFrame({"month": months, "capacity_kw": [5.0, 50.0, 500.0]}).with_columns(
        capacity_class=classify_capacity(pl.col("capacity_kw"))
    )
    assert PRICES.add_fees(units)["month"].to_list() == months


def test_live_plans_and_what_is_booked(tmp_path: Path) -> None:
    assert {str(calls): str(eur) for calls, eur in PRICES.prices[0].live.items()} == {
        "200000": "100",
        "500000": "200",
        "1000000": "350",
        "2500000": "750",
        "5000000": "1250",
    }
    assert PRICES.prices[0].live_eur == 0
    booked = FILE.replace("currency", "live_plan = 200_000\ncurrency", 1)
    assert load_prices(write(tmp_path, booked)).prices[0].live_eur == 100
    cents = booked.replace('200_000 = "100"', '200_000 = "33.335"')
    assert load_prices(write(tmp_path, cents)).prices[0].live_eur == Decimal("33.34")


def test_a_file_of_excel_s_kind_is_read(tmp_path: Path) -> None:
    assert load_prices(write(tmp_path, "\ufeff" + FILE)).prices[0].per_kw_ac == Decimal("0.10")


def test_a_currency_is_its_code_in_capitals(tmp_path: Path) -> None:
    prices = load_prices(write(tmp_path, FILE.replace('"EUR"', '" eur "') + NEXT))
    assert [price.currency for price in prices.prices] == ["EUR", "EUR"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", r"has no \[\[prices\]\]"),
        ("prices = 3", r"prices is not a list of entries; write \[\[prices\]\]"),
        ("[[prices]", "not a TOML file.*line 1"),
        (
            NEXT + FILE.replace('"0.10"', '"cheap"'),
            "entry 2, valid_from 2026-01-01, per_kw_ac 'cheap' is not an amount",
        ),
        (FILE.replace('"0.10"', '"-0.10"'), "per_kw_ac '-0.10' is not an amount"),
        (FILE.replace('"0.10"', '"0.10000000001"'), "per_kw_ac '0.10000000001' has more than 10 decimals"),
        (FILE.replace('"0.10"', "true"), "per_kw_ac True is not an amount"),
        (FILE.replace('"0.10"', "nan"), "per_kw_ac .*is not an amount"),
        (FILE.replace('"EUR"', '"US$"'), r"valid_from 2026-01-01, currency 'US\$' is not a currency code of ISO 4217"),
        (FILE.replace('"EUR"', '"Euro"'), "currency 'Euro' is not a currency code"),
        (FILE.replace('"year"', '"week"'), "base_period 'week' is not one of month, year"),
        (FILE.replace('"1000+" = "65"', ""), r'entry 1, valid_from 2026-01-01, base."1000\+" is missing'),
        (FILE.replace('"1000+"', '"1000"'), "base, 1000 is unknown; choose from 1-19,"),
        (FILE.replace("2026-01-01", '"soon"'), "entry 1, valid_from 'soon' is not a date"),
        (FILE.replace("2026-01-01", "2026-01-15"), "valid_from 2026-01-15 is not the first day of a month"),
        (FILE.replace("2026-01-01", "2026-01-01T00:00:00"), "valid_from .* is not a date"),
        (FILE.replace("per_kw_ac", "per_kwac"), "entry 1, per_kwac is unknown"),
        (FILE.replace("currency", "live_plan = 300_000\ncurrency"), "live_plan 300000 is not a plan"),
        (FILE.replace("200_000", "many"), "live.many is not a number of calls"),
        (FILE + FILE, "valid_from 2026-01-01 is in two entries"),
        (FILE + NEXT.replace("EUR", "USD"), "currency differs: EUR and USD"),
        ('invoicing = 3' + FILE, "invoicing 3 is not a table of keys"),
        ('[invoicing]\nperiod = "month"' + FILE, "period 'month' is not one of quarter, year"),
        ('[invoicing]\nmonth_timezone = "CEST"' + FILE, "month_timezone 'CEST' is not a time zone"),
        ('[invoicing]\nabove = "a lot"' + FILE, "above 'a lot' is not an amount"),
    ],
)  # fmt: skip
def test_a_wrong_price_list_is_told(tmp_path: Path, text: str, says: str) -> None:
    file = write(tmp_path, text)
    with pytest.raises(ConfigurationError, match=says) as caught:
        load_prices(file)
    assert str(file) in str(caught.value)


def test_a_price_list_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="SUNLEDGER_PRICES"):
        load_prices(tmp_path / "nowhere.toml")


def test_a_price_list_that_is_no_text(tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match="not a TOML file"):
        load_prices(file)
