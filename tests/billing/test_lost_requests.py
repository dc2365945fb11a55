"""A lost record of requests never makes a smaller bill: what was counted stays, and what is not known is said."""

import datetime as dt
from collections.abc import Callable

import pytest

from pipeline.billing import load_prices
from pipeline.billing.bill import build_bill
from pipeline.billing.lost_requests import (
    FILE,
    add_lost_days,
    explain_lower_bound,
    find_incomplete_months,
    read_lost_days,
)
from pipeline.cli.bills.yearly_bill import show_bill
from pipeline.common.errors import SunledgerError
from pipeline.run.context import RunContext
from pipeline.tables.billing_tables import write_billing_units
from schemas import ApiRequests, BillingUnits
from tests.billing.record import at, request, store
from tests.billing.test_tables import list_on
from tests.scripted import ScriptedSma

New = Callable[..., RunContext]
OCTOBER = dt.date(2021, 10, 1)


def test_pu_that_were_counted_stay_and_the_bill_says_that_there_may_be_more(
    new_runtime: New, sma: ScriptedSma, capsys: pytest.CaptureFixture[str]
) -> None:
    runtime, prices = new_runtime(), load_prices(None)
    list_on(runtime, sma, "2021-10-19", 50.0)
    store(runtime, request("2021-10-10"), request("2021-10-10", plant_id="12"), request("2021-09-10"))
    write_billing_units(runtime)
    before = runtime.lake.scan(BillingUnits).collect()
    lost = dt.date(2021, 10, 10)
    runtime.lake.replace(ApiRequests, {"asked_date": lost}, [], empty=True)
    add_lost_days(runtime.settings.home, [lost])
    store(runtime, request("2021-10-11", plant_id="13"))
    runtime.now = lambda: at("2021-11-19")
    write_billing_units(runtime)
    after = runtime.lake.scan(BillingUnits).collect()
    assert set(before.select("plant_id", "month").rows()) < set(after.select("plant_id", "month").rows())
    assert after.filter(month=OCTOBER)["plant_id"].sort().to_list() == ["11", "12", "13"]
    bill = build_bill(runtime, prices, 2021, forecast=False)
    show_bill(bill, prices, forecast=False)
    said = capsys.readouterr().out
    assert "(requests of 2021-10-10 are lost, or were made after the backup" in said
    assert "so PU and fees of 2021-10 are a lower bound" in said


def test_only_months_of_lost_days_are_incomplete(new_runtime: New) -> None:
    home = new_runtime().settings.home
    assert explain_lower_bound(home) == ""
    add_lost_days(home, [dt.date(2021, 10, 10)])
    add_lost_days(home, [dt.date(2021, 12, 1)])
    assert read_lost_days(home) == {dt.date(2021, 10, 10), dt.date(2021, 12, 1)}
    # The zone of the invoices decides whether the first of December in UTC is November.
    assert find_incomplete_months(home) == {OCTOBER, dt.date(2021, 11, 1), dt.date(2021, 12, 1)}
    assert explain_lower_bound(home, [dt.date(2021, 9, 1)]) == ""


def test_a_damaged_list_of_lost_days_is_said_and_not_taken_for_none(new_runtime: New) -> None:
    home = new_runtime().settings.home
    add_lost_days(home, [dt.date(2021, 10, 10)])
    (home / FILE).write_bytes(b'["2021-')
    with pytest.raises(SunledgerError, match="put it back from a backup"):
        explain_lower_bound(home)
