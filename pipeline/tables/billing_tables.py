"""Makes PU and invoices from the record of requests, SMA's lists and the price list. Makes no API calls."""

import polars as pl

from pipeline import billing
from pipeline.billing import PriceList
from pipeline.billing.invoices import build_invoices
from pipeline.billing.requested_units import count_units, find_current_month
from pipeline.billing.units import take_known_fees
from pipeline.common.errors import ConfigurationError
from pipeline.common.finding import Finding
from pipeline.run.check import CheckMoment, checks
from pipeline.run.context import RunContext
from pipeline.run.notices import MissingItem, Notices
from pipeline.run.step_result import StepResult, build_result
from pipeline.run.table_step import Stage, writes
from schemas import RAW, BillingUnits, Invoices, Plants, RawPlants, polars_schema, storage

_LEFT = (
    "Energy is published; existing PU and invoices keep their fees, and new PU have no fee until the price list is "
    "corrected."
)


@writes(
    BillingUnits,
    reads=(Plants, *(model for model in RAW if model is not RawPlants)),
    stage=Stage.MONEY,
    every="month",
)
def write_billing_units(runtime: RunContext) -> StepResult:
    """PU of every month, this run's requests included. A month that is over and changes is reported.

    A price list that can't be read costs nobody the energy: fees that were known before stay, PU that have none say
    why, and the run is done in part.
    """
    notices = runtime.store_requests().build_notices(runtime.find_today())
    prices, lacking = _load_prices(runtime)
    report = _write_units(runtime, prices or PriceList(()))
    report.facts["price_list_is_read"] = prices is not None
    notices.add(lacking)
    report.notices.add(notices)
    return report


@writes(Invoices, reads=(BillingUnits,), stage=Stage.MONEY, every="year")
def write_invoices(runtime: RunContext) -> StepResult:
    """Invoices by quarter up to now, from all PU. They stay unchanged while the price list can't be read."""
    prices, lacking = _load_prices(runtime)
    if prices is None:
        stored = runtime.lake.scan(Invoices).select(pl.len()).collect().item()
        return StepResult(rows=stored, facts={"price_list_is_read": False}, notices=lacking)
    units = runtime.lake.scan(BillingUnits).collect()
    found = build_invoices(units, prices, find_current_month(runtime, prices))
    return build_result(
        runtime.lake.replace(Invoices, {}, [found], empty=True),
        invoiced_eur=str(found["invoiced_eur"].sum()),
        unpriced=int(found["n_unpriced"].sum()),
        price_list_is_read=True,
    )


@checks(
    "price_list",
    asset="billing_units",
    after=CheckMoment.PUBLISHING,
    description="The price list can be read. Without it, energy is published but new PU have no fee.",
)
def judge_price_list(runtime: RunContext) -> Finding:
    """Whether the price list can be read, without which no new PU has its fee."""
    try:
        billing.load_prices(runtime.settings.prices)
    except ConfigurationError as fault:
        return Finding(passed=False, text=f"{fault} {_LEFT}", severe=True)
    return Finding(passed=True, text="The price list can be read.")


def _load_prices(runtime: RunContext) -> tuple[PriceList | None, Notices]:
    """The price list, or None where it can't be read, which is then reported as missing."""
    found = judge_price_list(runtime)
    if found.passed:
        return billing.load_prices(runtime.settings.prices), Notices()
    return None, Notices.of(
        [MissingItem(str(runtime.find_today()), storage(BillingUnits).table, "", found.text)]
    )


def _write_units(runtime: RunContext, prices: PriceList) -> StepResult:
    stored = runtime.lake.scan(BillingUnits).collect()
    found = count_units(runtime, prices)
    if not prices.prices:
        found = take_known_fees(found, stored)
    now = find_current_month(runtime, prices)
    report = StepResult(rows=found.height)
    columns = polars_schema(BillingUnits).names()
    restated = []
    for month in sorted({*found["month"], *stored["month"]}):
        rows, before = (frame.filter(pl.col("month") == month).select(columns) for frame in (found, stored))
        written = runtime.lake.replace(BillingUnits, {"month": month}, [rows], empty=True)
        report.changed |= written.changed
        if written.changed and month < now and before.height:
            restated.append(f"{month:%Y-%m}: {_sum(before)} before, {_sum(rows)} now")
    report.facts = {
        "months": found["month"].n_unique(),
        "unpriced": int(found["fee_eur"].is_null().sum()),
        "closed_months_changed": restated,
    }
    return report


def _sum(units: pl.DataFrame) -> str:
    currency = units["currency"].drop_nulls().to_list()
    return f"{units.height} PU, {units['fee_eur'].sum()} {currency[0] if currency else ''}".strip()
