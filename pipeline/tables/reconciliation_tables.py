"""Compares SMA's own energies with measured ones by day, month and year. Makes no API calls."""

import datetime as dt

import polars as pl

from pipeline.common.calendar_months import find_month_end
from pipeline.common.finding import Finding
from pipeline.common.text import pluralize
from pipeline.run.check import CheckMoment, checks
from pipeline.run.context import RunContext
from pipeline.run.measurement_sets import BALANCE
from pipeline.run.plants import find_excluded_plants
from pipeline.run.step_result import StepResult
from pipeline.run.supplied_files.fleet_membership import select_days_of_months
from pipeline.run.supplied_files.supplied_thresholds import read_thresholds
from pipeline.run.table_step import Stage, writes
from pipeline.tables.restatement_tables import QUANTITIES
from pipeline.transform import reconciliation, restatements
from pipeline.transform.daily import sum_exactly
from pipeline.transform.lists.plant_moves import find_successors, take_new_ids
from schemas import (
    DcEnergyIntervals,
    EnergyDaily,
    EnergyMonthly,
    EnergyValueIntervals,
    Plants,
    RawAnswers,
    RawEnergyMonths,
    RawEnergyYears,
    Reconciliation,
    ReconciliationYearly,
    polars_schema,
    storage,
)
from schemas.quantities import ENERGY_BALANCE

API_NAMES = {field.api: field.column for field in ENERGY_BALANCE.powers}
# The reasons for differences that a person should examine.
NEEDS_A_LOOK = ("unexplained", "spike", "hole_carried_over")


@writes(
    Reconciliation,
    reads=(RawEnergyMonths, EnergyDaily, EnergyMonthly, EnergyValueIntervals, DcEnergyIntervals, Plants),
    stage=Stage.VENDOR,
    every="month",
)
def write_reconciliation(runtime: RunContext, only: dt.date | None = None) -> StepResult:
    """Measured energies beside SMA's own, of every month, or of `only` one, that SMA's are stored of; calls no API."""
    report = StepResult()
    differing = 0
    stored = [dt.date.fromisoformat(part["local_date"]) for part in runtime.lake.list_parts(RawEnergyMonths)]
    for month in [month for month in stored if only in {None, month}]:
        found = _reconcile_month(runtime, month)
        written = runtime.lake.replace(Reconciliation, {"month": month}, [found], empty=True)
        report.rows += written.rows
        report.changed |= written.changed
        differing += int((~found["agrees"]).sum())
    report.facts = {"differences_beyond_tolerance": differing}
    return report


@writes(
    ReconciliationYearly,
    reads=(RawEnergyYears, EnergyMonthly, Reconciliation, Plants),
    stage=Stage.VENDOR,
    every="year",
)
def write_reconciliation_yearly(runtime: RunContext) -> StepResult:
    """Measured months beside SMA's own, of every year that SMA's are stored of; calls no API."""
    report = StepResult()
    differing = 0
    for part in runtime.lake.list_parts(RawEnergyYears):
        year = dt.date.fromisoformat(part["local_date"])
        found = _reconcile_year(runtime, year)
        written = runtime.lake.replace(ReconciliationYearly, {"year": year}, [found], empty=True)
        report.rows += written.rows
        report.changed |= written.changed
        differing += int((~found["agrees"]).sum())
    report.facts = {"differences_beyond_tolerance": differing}
    return report


@checks(
    "reconciles",
    asset="reconciliation",
    after=CheckMoment.VENDOR,
    description="Energies differ from SMA's own at most by the tolerance, or because of a known data gap.",
)
def judge_reconciliation(runtime: RunContext) -> Finding:
    """The finding on the newest reconciled month: whether known facts about the days explain the differences."""
    parts = runtime.lake.list_parts(Reconciliation)
    if not parts:
        return Finding(passed=True, text="No month has been reconciled yet.")
    month = dt.date.fromisoformat(parts[-1]["month"])
    rows = pl.concat(runtime.lake.read_batches(Reconciliation, {"month": month}))
    days = rows.filter(pl.col("period") == reconciliation.DAY)
    counts = {reason: int(count) for reason, count in days["reason"].value_counts().sort("reason").rows()}
    odd = days.filter(pl.any_horizontal(pl.col("reason", "energy_values_reason").is_in(NEEDS_A_LOOK)))
    if not odd.height:
        return Finding(
            passed=True,
            text=f"{month:%Y-%m}: {days.height} figures, all differences explained.",
            facts=counts,
        )
    plants = pluralize(odd["plant_id"].n_unique(), "plant")
    return Finding(
        passed=False,
        text=f"{month:%Y-%m}: {odd.height} of {days.height} figures of {plants} differ from SMA's own by "
        "more than data gaps and rounding explain: look at the table reconciliation. No figure was corrected.",
        facts=counts,
    )


def _reconcile_month(runtime: RunContext, month: dt.date) -> pl.DataFrame:
    within = pl.col("local_date").is_between(month, find_month_end(month))
    moved = find_successors(runtime.lake.read_whole(Plants))
    vendor = _read_vendor_energies(
        runtime, RawEnergyMonths, month, find_month_end(month), moved, "1d"
    ).filter(within)
    days = runtime.lake.scan(EnergyDaily).filter(within, pl.col("status") != restatements.PROVISIONAL)
    # The days of energy_monthly, beside whose figures these stand.
    is_closed = pl.col("month") == month, pl.col("closed_at").is_not_null()
    closed = runtime.lake.scan(EnergyMonthly).filter(*is_closed).select("month").unique().collect()["month"]
    daily = select_days_of_months(days, find_excluded_plants(runtime), closed).collect()
    # Data that was not fetched can't be compared.
    there = daily.select("plant_id", "local_date")
    vendor = vendor.join(there, on=["plant_id", "local_date"], how="semi")
    measured = reconciliation.unpivot_measured(daily, QUANTITIES, ["local_date"])
    measured = measured.join(vendor, on="plant_id", how="semi")
    limits, policy = read_thresholds(runtime.settings.quality), runtime.settings.gap_policy
    values = _read_energy_values(runtime, within, moved)
    found = reconciliation.reconcile_days(measured, vendor, values, limits, policy).with_columns(
        month=pl.lit(month)
    )
    return found.select(polars_schema(Reconciliation).names()).sort(storage(Reconciliation).key)


def _read_vendor_energies(
    runtime: RunContext,
    model: type[RawAnswers],
    first: dt.date,
    last: dt.date,
    moved: pl.DataFrame,
    step: reconciliation.Step,
) -> pl.DataFrame:
    """SMA's energies in the answers of a part, by days or months from first to last, under the newest ids."""
    answers = pl.concat(runtime.lake.read_batches(model, {"local_date": first}, columns=["plant_id", "body"]))
    zones = runtime.lake.read_whole(Plants).select("plant_id", "timezone")
    placed = answers.join(zones, on="plant_id", how="inner", maintain_order="left")
    vendor = take_new_ids(reconciliation.read_vendor_energies(placed, API_NAMES, first, last, step), moved)
    # Where SMA answers for both ids of a plant that moved, the answer for the new id counts.
    key = ["plant_id", "local_date", "quantity"]
    return vendor.sort("moves_since", descending=True).unique(key, keep="last").drop("moves_since")


def _read_energy_values(runtime: RunContext, within: pl.Expr, moved: pl.DataFrame) -> pl.DataFrame:
    """plant_id, local_date, quantity, energy_values_kwh and energy_values_from.

    EnergyDc is taken only where nothing better exists.
    """
    day = ["plant_id", "local_date"]
    names = [f"{name}_kwh" for name in QUANTITIES]
    balance = (
        runtime.lake.scan(EnergyValueIntervals)
        .filter(within)
        .group_by(day)
        .agg(sum_exactly(pl.col(name)) for name in names)
        .collect()
        .unpivot(names, index=day, variable_name="quantity", value_name="energy_values_kwh")
        .drop_nulls()
        .with_columns(
            pl.col("quantity").str.strip_suffix("_kwh"), energy_values_from=pl.lit(BALANCE.set.name)
        )
    )
    dc = (
        runtime.lake.scan(DcEnergyIntervals)
        .filter(within)
        .group_by(day)
        .agg(
            quantity=pl.lit("pv_generation").first(),
            energy_values_kwh=sum_exactly(pl.col("dc_energy_input_kwh")),
            energy_values_from=pl.lit(reconciliation.DC_SET).first(),
        )
        .collect()
        .drop_nulls()
    )
    key = [*day, "quantity"]
    found = pl.concat([balance, dc.join(balance, on=key, how="anti")])
    # A day's energies may be divided between the two ids of a plant.
    return (
        take_new_ids(found, moved)
        .group_by(key)
        .agg(sum_exactly(pl.col("energy_values_kwh")), pl.col("energy_values_from").max())
    )


def _join_moved(rows: pl.LazyFrame, moved: pl.DataFrame, key: list[str]) -> pl.DataFrame:
    """The rows under the plants' newest ids, one for each of `key`: closed months have the id that a plant had then."""
    named = take_new_ids(rows.collect(), moved).sort("moves_since", maintain_order=True)
    return named.unique(["plant_id", *key], keep="first", maintain_order=True).drop("moves_since")


def _reconcile_year(runtime: RunContext, year: dt.date) -> pl.DataFrame:
    within = pl.col("month").is_between(year, year.replace(month=12))
    moved = find_successors(runtime.lake.read_whole(Plants))
    last = year.replace(month=12)
    vendor = _read_vendor_energies(runtime, RawEnergyYears, year, last, moved, "1mo").rename(
        {"local_date": "month"}
    )
    vendor = vendor.filter(within)
    open_month = pl.col("status") == restatements.PROVISIONAL
    months = _join_moved(runtime.lake.scan(EnergyMonthly).filter(within, ~open_month), moved, ["month"])
    # SMA's figure of a month has all of its days, also those on which the plant is not yours.
    left_on = pl.col("excluded_from")
    is_whole = (
        left_on.is_null() | (left_on > pl.col("month").dt.month_end()) | pl.col("closed_at").is_not_null()
    )
    months = months.join(find_excluded_plants(runtime), on="plant_id", how="left").filter(is_whole)
    measured = reconciliation.unpivot_measured(months, QUANTITIES, ["month", "n_days"])
    key = ["plant_id", "month", "quantity"]
    days = runtime.lake.scan(Reconciliation).filter(within, pl.col("period") == reconciliation.MONTH)
    named = days.select(*key, vendor_days_kwh="vendor_kwh")
    of_days = _join_moved(named, moved, ["month", "quantity"])
    # Data that was not fetched can't be compared.
    vendor = vendor.join(months, on=["plant_id", "month"], how="semi")
    measured = measured.join(vendor, on="plant_id", how="semi").join(of_days, on=key, how="left")
    limits, policy = read_thresholds(runtime.settings.quality), runtime.settings.gap_policy
    found = reconciliation.reconcile_year(measured, vendor, limits, policy).with_columns(year=pl.lit(year))
    names = polars_schema(ReconciliationYearly).names()
    return found.select(names).sort(storage(ReconciliationYearly).key)
