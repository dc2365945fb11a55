"""The tables billing_units and invoices, from the lake and through Dagster."""

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from polars.testing import assert_frame_equal

from assets.runs import record_runs
from pipeline.extract.fetch import fetch_plants
from pipeline.run.context import RunContext
from pipeline.sma.requests import Request
from pipeline.tables.billing_tables import judge_price_list, write_billing_units, write_invoices
from pipeline.tables.inventory_tables import write_plants
from schemas import BillingUnits, Invoices
from tests.billing.record import at, request, store
from tests.scripted import ScriptedSma
from tests.whole_days import refresh
from warehouse.published_file.open_published import connect

New = Callable[..., RunContext]


def list_with(kilowatts: float, plant: str = "11") -> Callable[[Request], bytes | None]:
    """SMA's list with one plant of another capacity: nominal 0, so the calculated one counts."""
    body = (
        f'{{"plants": [{{"plantId": "{plant}", "timezone": "Europe/Berlin", "installation": '
        f'{{"acNominalPower": 0.0, "calcAcNominalPower": {kilowatts * 1000}}}}}]}}'
    ).encode()
    return lambda asked: body if asked.endpoint == "plants" else None


def list_on(runtime: RunContext, sma: ScriptedSma, day: str, kilowatts: float, plant: str = "11") -> None:
    runtime.now = lambda: at(day)
    sma.special = list_with(kilowatts, plant)  # type: ignore[assignment]
    fetch_plants(runtime)
    write_plants(runtime)


def stored(runtime: RunContext) -> dict[str, Any]:
    """fee, class and capacity of the units by month."""
    rows = runtime.lake.scan(BillingUnits).collect().iter_rows(named=True)
    return {f"{r['month']:%Y-%m}": (r["fee_eur"], r["capacity_class"], r["capacity_kw"]) for r in rows}


@pytest.mark.long
def test_a_plant_that_leaves_the_list_and_comes_back_was_billed_as_it_was_listed_then(
    new_runtime: New, sma: ScriptedSma
) -> None:
    """The last list of September lacks it, as where the list of one of several credentials failed on that day."""
    runtime = new_runtime()
    list_on(runtime, sma, "2021-09-08", 50.0)
    list_on(runtime, sma, "2021-09-10", 15.0)
    list_on(runtime, sma, "2021-09-30", 1200.0, "12")
    store(runtime, request("2021-09-10"))
    list_on(runtime, sma, "2021-10-19", 90.0)
    write_billing_units(runtime)
    assert stored(runtime) == {"2021-09": (Decimal("13.35"), "1-19", 15.0)}


def test_a_month_that_is_over_keeps_the_capacity_it_was_billed_with(
    new_runtime: New, sma: ScriptedSma
) -> None:
    runtime = new_runtime()
    list_on(runtime, sma, "2021-09-30", 15.0)
    store(runtime, request("2021-09-10"), request("2021-10-10"))
    list_on(runtime, sma, "2021-10-19", 90.0)
    report = write_billing_units(runtime)
    expected = {
        "2021-09": (Decimal("13.35"), "1-19", 15.0),
        "2021-10": (Decimal("20.10"), "20-99", 90.0),
    }
    assert stored(runtime) == expected
    assert report.facts["closed_months_changed"] == []
    list_on(runtime, sma, "2021-11-02", 1200.0)
    report = write_billing_units(runtime)
    assert (stored(runtime), report.changed) == (expected, False)


def test_a_month_that_is_over_and_changes_is_told(new_runtime: New, sma: ScriptedSma) -> None:
    runtime = new_runtime()
    list_on(runtime, sma, "2021-10-19", 50.0)
    store(runtime, request("2021-09-10"), request("2021-10-10"))
    write_billing_units(runtime)
    store(runtime, request("2021-09-11", plant_id="12"))
    report = write_billing_units(runtime)
    assert report.facts["closed_months_changed"] == ["2021-09: 1 PU, 16.50 EUR before, 2 PU, 16.50 EUR now"]
    assert report.facts["unpriced"] == 1


def test_another_zone_moves_requests_and_leaves_no_month_behind(
    new_runtime: New, sma: ScriptedSma, tmp_path: Path
) -> None:
    runtime = new_runtime()
    list_on(runtime, sma, "2021-10-19", 50.0)
    store(runtime, request("2021-09-30T23:00:00"))
    write_billing_units(runtime)
    assert list(stored(runtime)) == ["2021-09"]
    published = Path("pipeline/billing/prices.toml").resolve().read_text()
    own = tmp_path / "prices.toml"
    own.write_text(published.replace('"UTC"', '"Europe/Berlin"'))
    runtime.settings = runtime.settings.model_copy(update={"prices": own})
    write_billing_units(runtime)
    assert list(stored(runtime)) == ["2021-10"]


def test_the_same_requests_commit_nothing(new_runtime: New) -> None:
    runtime = new_runtime()
    refresh(runtime)
    store(runtime, request("2021-10-10"))
    for step in (write_billing_units, write_invoices):
        assert step(runtime).changed
        assert not step(runtime).changed


def test_publishing_counts_what_was_asked_and_shows_it(new_runtime: New) -> None:
    with new_runtime() as runtime, record_runs(runtime) as runs:
        runs.refresh_lists()
        store(runtime, request("2021-10-10"), request("2021-10-11", plant_id="12", device_id="121"))
        runs.publish()
        with connect(runtime.settings.warehouse) as db:
            units = db.execute("SELECT plant_id, month, fee_eur, n_device_requests FROM billing_units")
            october = dt.date(2021, 10, 1)
            assert units.fetchall() == [
                ("11", october, Decimal("12.45"), 0),
                ("12", october, Decimal("12.45"), 1),
            ]
            found = db.execute("SELECT year, quarter, fees_eur, invoiced_eur, is_closed FROM invoices")
            assert found.fetchall() == [(2021, 4, Decimal("24.90"), Decimal("24.90"), False)]


def test_without_requests_both_tables_are_empty(new_runtime: New) -> None:
    runtime = new_runtime()
    assert write_billing_units(runtime).rows == 0
    assert write_invoices(runtime).rows == 0
    assert runtime.lake.scan(Invoices).collect().height == 0


def test_a_price_list_that_cannot_be_read_costs_no_energy_and_no_known_fee(
    new_runtime: New, sma: ScriptedSma, tmp_path: Path
) -> None:
    runtime = new_runtime()
    list_on(runtime, sma, "2021-10-19", 50.0)
    store(runtime, request("2021-10-10"))
    write_billing_units(runtime)
    write_invoices(runtime)
    known, invoiced = (runtime.lake.scan(model).collect() for model in (BillingUnits, Invoices))
    store(runtime, request("2021-10-11"), request("2021-10-11", plant_id="12"))
    runtime.settings = runtime.settings.model_copy(update={"prices": tmp_path / "nowhere.toml"})
    with record_runs(runtime) as runs:
        runs.publish()
    (lacking,) = runs.notices.missing
    assert lacking.table == "billing_units"
    assert "nowhere.toml can't be read" in lacking.reason
    assert "Energy is published" in lacking.reason
    with connect(runtime.settings.warehouse) as db:
        units = db.execute("SELECT plant_id, n_requests, fee_eur, pricing FROM billing_units ORDER BY ALL")
        fee = known["fee_eur"].item()
        assert units.fetchall() == [("11", 2, fee, "priced"), ("12", 1, None, "no_price_list")]
        assert_frame_equal(db.sql("FROM invoices").pl(), invoiced)
    found = judge_price_list(runtime)
    assert (found.passed, found.severe) == (False, True)


def test_a_mended_price_list_prices_what_waited(new_runtime: New, tmp_path: Path) -> None:
    runtime = new_runtime()
    refresh(runtime)
    store(runtime, request("2021-10-10"))
    mended = runtime.settings
    runtime.settings = mended.model_copy(update={"prices": tmp_path / "nowhere.toml"})
    assert not write_billing_units(runtime).facts["price_list_is_read"]
    runtime.settings = mended
    assert judge_price_list(runtime).passed
    assert write_billing_units(runtime).facts["price_list_is_read"]
    assert runtime.lake.scan(BillingUnits).collect()["pricing"].to_list() == ["priced"]
