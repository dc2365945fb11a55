"""The plan of a backfill before one request is sent."""

import datetime as dt
import json
from collections.abc import Callable
from decimal import Decimal

import pytest

from pipeline.billing import load_prices
from pipeline.common.errors import SunledgerError, UsageError
from pipeline.extract.backfill_estimate import TYPICAL_BYTES, plan_backfill, refuse_beyond
from pipeline.extract.fetch import fetch_plants
from pipeline.run.context import RunContext
from pipeline.tables.inventory_tables import write_plants
from tests.billing.record import request, store
from tests.scripted import ScriptedSma
from tests.whole_days import fetch, refresh

New = Callable[..., RunContext]
FIRST, LAST = dt.date(2021, 10, 4), dt.date(2021, 10, 10)
PRICES = load_prices(None)


def test_the_plan_is_what_the_backfill_then_asks(new_runtime: New, sma: ScriptedSma) -> None:
    runtime = new_runtime()
    refresh(runtime)
    sma.asked.clear()
    found = plan_backfill(runtime, FIRST, LAST, PRICES)
    assert sma.asked == []
    refresh(runtime)
    fetch(runtime, *(FIRST + dt.timedelta(days=i) for i in range((LAST - FIRST).days + 1)))
    assert found.total_requests == len(sma.asked)
    assert (found.days, found.plants, found.minutes) == (7, 2, None)
    (cost,) = found.classes
    assert (cost.capacity_class, cost.pu, cost.eur) == ("1-19", 2, Decimal("24.90"))


def test_what_is_on_the_bill_already_is_not_new(new_runtime: New) -> None:
    runtime = new_runtime()
    refresh(runtime)
    store(
        runtime,
        request("2021-10-20"),
        request("2021-09-19", plant_id="12"),
        request("2021-10-20", plant_id="12", status=429),
        request("2021-10-20", plant_id=""),
    )
    found = plan_backfill(runtime, FIRST, LAST, PRICES)
    assert found.new_eur == Decimal("12.45")
    (cost,) = found.classes
    assert (cost.pu, cost.new_pu) == (2, 1)


@pytest.mark.long
def test_a_set_of_unknown_size_counts_as_other_sets_do(
    new_runtime: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = new_runtime()
    refresh(runtime)
    named = plan_backfill(runtime, FIRST, LAST, PRICES)
    monkeypatch.delitem(TYPICAL_BYTES, "raw_energy_balance")
    found = plan_backfill(runtime, FIRST, LAST, PRICES)
    assert found.total_requests == named.total_requests
    assert 0 < found.bytes < named.bytes


def test_minutes_follow_the_budget(new_runtime: New) -> None:
    runtime = new_runtime()
    refresh(runtime)
    runtime.settings = runtime.settings.model_copy(update={"sma_requests_per_5_min": 10})
    found = plan_backfill(runtime, FIRST, LAST, PRICES)
    # The limiter spends 99 % of the rate.
    assert found.minutes == pytest.approx(found.total_requests / 2 / 0.99)
    assert found.next_month_eur == 0


def test_a_backfill_that_ends_in_the_next_month_may_cost_that_month_too(new_runtime: New) -> None:
    runtime = new_runtime()
    runtime.now = lambda: dt.datetime(2021, 10, 31, 23, 30, tzinfo=dt.UTC)
    refresh(runtime)
    runtime.settings = runtime.settings.model_copy(update={"sma_requests_per_5_min": 1})
    found = plan_backfill(runtime, FIRST, LAST, PRICES)
    assert (found.month, found.next_month_eur) == (dt.date(2021, 10, 1), Decimal("24.90"))
    assert found.new_eur == Decimal("49.80")
    with pytest.raises(UsageError, match=r"adds up to 49.80 EUR"):
        refuse_beyond(found, None, Decimal("24.90"))


def test_a_plan_beyond_the_limits_is_refused(new_runtime: New) -> None:
    runtime = new_runtime()
    refresh(runtime)
    found = plan_backfill(runtime, FIRST, LAST, PRICES)
    refuse_beyond(found, found.total_requests, Decimal("24.90"))
    with pytest.raises(UsageError, match=r"more than --max-requests 3.*No request was sent"):
        refuse_beyond(found, 3, None)
    with pytest.raises(
        UsageError, match=r"adds up to 24.90 EUR.*more than --max-eur 24.89.*No request was sent"
    ):
        refuse_beyond(found, None, Decimal("24.89"))


def test_without_known_plants_nothing_can_be_planned(new_runtime: New) -> None:
    with pytest.raises(SunledgerError, match="sunledger plan"):
        plan_backfill(new_runtime(), FIRST, LAST, PRICES)


@pytest.mark.long
def test_the_list_of_plants_is_enough_for_pu_and_amounts(new_runtime: New, sma: ScriptedSma) -> None:
    runtime = new_runtime()
    fetch_plants(runtime)
    write_plants(runtime)
    found = plan_backfill(runtime, FIRST, LAST, PRICES)
    assert [asked.endpoint for asked in sma.asked] == ["plants"]
    assert (found.new_eur, found.never_asked) == (Decimal("24.90"), 2)
    # One week of each plant's EnergyBalance and log; of devices nothing is known.
    assert dict(found.requests) == {"lists": 5, "raw_energy_balance": 2, "raw_pv": 0, "raw_logs": 2}
    with pytest.raises(UsageError, match=r"devices of 2 plants are not known.*sunledger refresh"):
        refuse_beyond(found, 1000, None)
    refresh(runtime)
    assert plan_backfill(runtime, FIRST, LAST, PRICES).never_asked == 0


def test_a_plant_without_capacity_is_unpriced_and_no_limit_is_trusted(
    new_runtime: New, sma: ScriptedSma
) -> None:
    body = json.dumps({"plants": [{"plantId": "11", "timezone": "Europe/Berlin"}]}).encode()
    sma.special = lambda asked: body if asked.endpoint == "plants" else None
    runtime = new_runtime()
    refresh(runtime)
    found = plan_backfill(runtime, FIRST, LAST, PRICES)
    assert (found.unpriced, found.classes, found.new_eur) == (("11",), (), 0)
    with pytest.raises(
        UsageError, match=r"The price of 1 plant without AC power in SMA's list is unknown .the first: 11"
    ):
        refuse_beyond(found, None, Decimal(100))


def test_comparing_with_smas_own_figures_is_counted_apart(new_runtime: New) -> None:
    runtime = new_runtime()
    refresh(runtime)
    before = plan_backfill(runtime, FIRST, LAST, PRICES)
    # October and 2021 are not over yet.
    assert before.reconciling == {"months": 0}
    runtime.settings = runtime.settings.model_copy(update={"energy_years": "on"})
    august, new_year = dt.date(2021, 8, 30), dt.date(2020, 12, 31)
    assert plan_backfill(runtime, august, LAST, PRICES).reconciling == {"months": 4, "years": 0}
    found = plan_backfill(runtime, new_year, new_year, PRICES)
    assert found.reconciling == {"months": 2, "years": 2}
    # They are no part of the backfill, so no limit of it is about them.
    refuse_beyond(found, found.total_requests, None)
