"""Prices in decimal money, and the plan of a backfill before one request is sent."""

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from pipeline import steps
from pipeline.billing import load_prices
from pipeline.errors import ConfigurationError, SunledgerError, UsageError
from pipeline.plan import plan, refuse_beyond
from pipeline.runtime import Runtime
from schemas import ApiRequests, polars_schema
from tests.e2e.test_days import refresh
from tests.scripted import NOW, ScriptedSma

New = Callable[..., Runtime]
FIRST, LAST = dt.date(2021, 10, 4), dt.date(2021, 10, 10)
PRICES = load_prices(None)
TODAY = dt.date(2026, 11, 22)
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
"""


def test_the_example_of_the_published_prices() -> None:
    assert PRICES.on(TODAY).fee(50.0, "20-99") == Decimal("16.50")


@pytest.mark.parametrize(
    ("kilowatts", "name", "fee"),
    [
        (5.0, "1-19", "12.45"),
        (100.0, "100-499", "24.00"),
        (999.9, "500-999", "114.99"),
        (1000.0, "1000+", "155.00"),
    ],
)
def test_fees_by_class(kilowatts: float, name: str, fee: str) -> None:
    assert PRICES.on(TODAY).fee(kilowatts, name) == Decimal(fee)


def test_a_system_without_capacity_is_unpriced_and_not_free() -> None:
    assert PRICES.on(TODAY).fee(None, None) is None


def test_a_price_list_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    file.write_text(FILE)
    prices = load_prices(file)
    assert prices.on(TODAY).fee(50.0, "20-99") == Decimal("6.00")
    with pytest.raises(ConfigurationError, match="no price for 2025-12-31"):
        prices.on(dt.date(2025, 12, 31))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", r"has no \[\[prices\]\]"),
        ("prices = 3", "is wrong"),
        ("[[prices]", "is wrong"),
        (FILE.replace('"0.10"', '"cheap"'), "is wrong"),
        (FILE.replace('"year"', '"week"'), "is wrong"),
        (FILE.replace('"1000+" = "65"', ""), "1000"),
        (FILE.replace("2026-01-01", '"soon"'), "'soon' is not a date"),
    ],
)
def test_a_wrong_price_list_is_told(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "prices.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=says):
        load_prices(file)


def test_a_price_list_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="SUNLEDGER_PRICES"):
        load_prices(tmp_path / "nowhere.toml")


def test_the_plan_is_what_the_backfill_then_asks(new_runtime: New, sma: ScriptedSma) -> None:
    runtime = new_runtime()
    refresh(runtime)
    sma.asked.clear()
    found = plan(runtime, FIRST, LAST, PRICES)
    assert sma.asked == []
    refresh(runtime)
    day = FIRST
    while day <= LAST:
        steps.fetch_set(runtime, steps.BALANCE, day)
        steps.fetch_set(runtime, steps.PV, day)
        steps.fetch_logs(runtime, day)
        day += dt.timedelta(days=1)
    assert found.total_requests == len(sma.asked)
    assert (found.days, found.plants, found.minutes) == (7, 2, None)
    (cost,) = found.classes
    assert (cost.capacity_class, cost.pu, cost.eur) == ("1-19", 2, Decimal("24.90"))


def asked_for(plant: str, at: dt.datetime) -> pl.DataFrame:
    """A row of api_requests."""
    row = {
        "request_id": f"{plant}-{at}",
        "asked_at": at,
        "asked_date": at.date(),
        "plant_id": plant,
        **dict.fromkeys(("device_id", "set_type", "period", "request_date"), ""),
        "endpoint": "logs",
        "attempt": 1,
        "status": 200,
        "error": None,
        "bytes": 1,
        "elapsed_ms": 1.0,
    }
    return pl.DataFrame([row], schema=polars_schema(ApiRequests))


def test_what_is_on_the_bill_already_is_not_new(new_runtime: New) -> None:
    runtime = new_runtime()
    refresh(runtime)
    for plant, at in (("11", NOW), ("12", NOW - dt.timedelta(days=31)), ("", NOW)):
        runtime.lake.append(ApiRequests, {"asked_date": at.date()}, asked_for(plant, at))
    found = plan(runtime, FIRST, LAST, PRICES)
    assert found.new_eur == Decimal("12.45")
    (cost,) = found.classes
    assert (cost.pu, cost.new_pu) == (2, 1)


def test_minutes_follow_the_budget(new_runtime: New) -> None:
    runtime = new_runtime()
    refresh(runtime)
    runtime.settings = runtime.settings.model_copy(update={"sma_requests_per_5_min": 10})
    found = plan(runtime, FIRST, LAST, PRICES)
    assert found.minutes == pytest.approx(found.total_requests / 2)


def test_a_plan_beyond_the_limits_is_refused(new_runtime: New) -> None:
    runtime = new_runtime()
    refresh(runtime)
    found = plan(runtime, FIRST, LAST, PRICES)
    refuse_beyond(found, found.total_requests, Decimal("24.90"))
    with pytest.raises(UsageError, match=r"more than --max-requests 3.*Nothing was sent"):
        refuse_beyond(found, 3, None)
    with pytest.raises(UsageError, match=r"adds 24.90 EUR.*more than --max-eur 24.89.*Nothing was sent"):
        refuse_beyond(found, None, Decimal("24.89"))


def test_without_known_plants_nothing_can_be_planned(new_runtime: New) -> None:
    with pytest.raises(SunledgerError, match="sunledger refresh"):
        plan(new_runtime(), FIRST, LAST, PRICES)
