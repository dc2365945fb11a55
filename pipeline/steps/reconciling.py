"""The vendor's own energies of a month, and what they say of ours."""

import datetime as dt
from functools import partial

import polars as pl

from pipeline import changes, reconcile
from pipeline.asking import Asked
from pipeline.daily import exact_sum
from pipeline.errors import UsageError
from pipeline.fetch import Fetched
from pipeline.findings import Finding
from pipeline.moves import successors, with_new_ids
from pipeline.runtime import Runtime
from pipeline.sma.requests import Request
from pipeline.steps.base import BALANCE, Report, delay, in_operation, listed, settled
from pipeline.steps.changes import QUANTITIES
from pipeline.steps.fetching import fetch_days
from pipeline.steps.wanted import Wanted
from pipeline.thresholds import load_thresholds
from pipeline.timebase import ONE_DAY
from schemas import (
    DcEnergyIntervals,
    EnergyDaily,
    MeasurementSets,
    Plants,
    RawEnergyMonths,
    Reconciliation,
    polars_schema,
    storage,
)
from schemas.quantities import ENERGY_BALANCE

API_NAMES = {field.api: field.column for field in ENERGY_BALANCE.powers}
# Differences that a person should look at.
NEEDS_A_LOOK = ("unexplained", "spike", "hole_carried_over")


def month_requests(runtime: Runtime, month: dt.date) -> list[Request]:
    """One request for each plant with EnergyBalance that was in operation and whose final answer is not stored."""
    return [ask.request for ask in _wanted(runtime, month).asked]


def fetch_energy_months(runtime: Runtime, month: dt.date | None = None) -> Report:
    """Ask for SMA's own energies of a month, one request a plant. Default: the last month that is over."""
    first = last_month(runtime) if month is None else month
    if first >= runtime.today().replace(day=1):
        raise UsageError(f"{first:%Y-%m} is not over: choose a month before this one.")
    ((_, report),) = fetch_days(runtime, _wanted(runtime, first))
    return report


def write_reconciliation(runtime: Runtime) -> Report:
    """Measured energies beside SMA's own, of every month that SMA's are stored of; calls no API."""
    report = Report()
    differing = 0
    for part in runtime.lake.parts(RawEnergyMonths):
        month = dt.date.fromisoformat(part["local_date"])
        found = settled(
            runtime.lake,
            [RawEnergyMonths],
            {"local_date": month},
            partial(_reconciled, runtime, month),
        )
        written = runtime.lake.replace(Reconciliation, {"month": month}, [found], empty=True)
        report.rows += written.rows
        report.changed |= written.changed
        differing += int((~found["agrees"]).sum())
    report.facts = {"differences_beyond_tolerance": differing}
    return report


def last_month(runtime: Runtime) -> dt.date:
    """First day of the last month that is over."""
    return (runtime.today().replace(day=1) - ONE_DAY).replace(day=1)


def reconciles(runtime: Runtime) -> Finding:
    """The judgement of the newest reconciled month: whether what differs is explained by what is known of the days."""
    parts = runtime.lake.parts(Reconciliation)
    if not parts:
        return Finding(passed=True, text="No month has been reconciled yet.")
    month = dt.date.fromisoformat(parts[-1]["month"])
    rows = pl.concat(runtime.lake.batches(Reconciliation, {"month": month}))
    days = rows.filter(pl.col("period") == reconcile.DAY)
    counts = {reason: int(count) for reason, count in days["reason"].value_counts().sort("reason").rows()}
    odd = days.filter(pl.col("reason").is_in(NEEDS_A_LOOK))
    if not odd.height:
        return Finding(
            passed=True,
            text=f"{month:%Y-%m}: {days.height} figures, all differences explained.",
            facts=counts,
        )
    return Finding(
        passed=False,
        text=f"{month:%Y-%m}: {odd.height} of {days.height} figures of {odd['plant_id'].n_unique()} plants differ from "
        "SMA's own by more than gaps and rounding explain. Look at the table reconciliation; nothing was repaired.",
        facts=counts,
    )


def _wanted(runtime: Runtime, month: dt.date) -> Wanted:
    last = (month + 31 * ONE_DAY).replace(day=1) - ONE_DAY
    sets = runtime.lake.scan(MeasurementSets).filter(pl.col("device_id").is_null()).collect()
    having = sets.filter(pl.col("set_type") == BALANCE.set.name)
    plants = in_operation(listed(runtime), last, runtime.now()).join(having, on="plant_id", how="semi")
    plants = plants.with_columns(delay(runtime.settings)).sort("plant_id")
    columns = ["plant_id", "device_id", "request_date", "final", "no_rows"]
    stored = pl.concat(
        [
            pl.DataFrame(schema={name: polars_schema(RawEnergyMonths)[name] for name in columns}),
            *(
                b.select(columns)
                for b in runtime.lake.batches(RawEnergyMonths, {"local_date": month}, columns=columns)
            ),
        ]
    )
    fetched = Fetched(
        runtime.settings.sma_time_basis,
        final_after=dict(plants.select("plant_id", pl.col("day_end") + pl.col("delay")).rows()),
        with_rows=frozenset(
            stored.filter(~pl.col("no_rows")).select("plant_id", "device_id", "request_date").rows()
        ),
    )
    if not runtime.again:
        plants = plants.join(stored.filter("final"), on="plant_id", how="anti", maintain_order="left")
    requests = [Request.plant_month(plant, BALANCE.set.name, month) for plant in plants["plant_id"]]
    zones = dict(plants.select("plant_id", "timezone").rows())
    return Wanted(
        RawEnergyMonths, [Asked(request, {month: None}) for request in requests], {month: fetched}, zones
    )


def _reconciled(runtime: Runtime, month: dt.date) -> pl.DataFrame:
    last = (month + 31 * ONE_DAY).replace(day=1) - ONE_DAY
    within = pl.col("local_date").is_between(month, last)
    moved = successors(runtime.lake.scan(Plants).collect())
    answers = pl.concat(
        runtime.lake.batches(RawEnergyMonths, {"local_date": month}, columns=["plant_id", "body"])
    )
    vendor = with_new_ids(reconcile.vendor_days(answers, API_NAMES), moved).filter(within)
    # Where both ids of a plant that moved answer, the new one's word counts.
    key = ["plant_id", "local_date", "quantity"]
    vendor = vendor.sort("old_id", descending=True).unique(key, keep="last").drop("old_id")
    daily = runtime.lake.scan(EnergyDaily).filter(within, pl.col("status") != changes.PROVISIONAL).collect()
    # What was not fetched can't be compared.
    there = daily.select("plant_id", "local_date")
    vendor = vendor.join(there, on=["plant_id", "local_date"], how="semi")
    measured = reconcile.measured_days(daily, QUANTITIES).join(vendor, on="plant_id", how="semi")
    values = (
        runtime.lake.scan(DcEnergyIntervals)
        .filter(within)
        .group_by("plant_id", "local_date")
        .agg(
            energy_values_kwh=exact_sum(pl.col("dc_energy_input_kwh")),
            quantity=pl.lit("pv_generation").first(),
        )
        .collect()
    )
    limits, policy = load_thresholds(runtime.settings.quality), runtime.settings.gap_policy
    found = reconcile.reconciled(measured, vendor, values, limits, policy).with_columns(month=pl.lit(month))
    return found.select(polars_schema(Reconciliation).names()).sort(storage(Reconciliation).key)
