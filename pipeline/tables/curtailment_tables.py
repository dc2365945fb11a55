"""What limits prevented, by day and month, from quarter hours, rows and irradiation in the lake; calls no API."""

import datetime as dt
from collections.abc import Sequence
from functools import partial

import polars as pl

from pipeline.common.finding import Finding
from pipeline.common.text import pluralize
from pipeline.run.check import CheckMoment, checks
from pipeline.run.context import RunContext
from pipeline.run.plants import add_day_bounds, drop_months_without, find_excluded_plants
from pipeline.run.step_result import StepResult
from pipeline.run.supplied_files.fleet_membership import select_own_days
from pipeline.run.supplied_files.supplied_limits import SETTING, read_supplied_limits
from pipeline.run.table_step import Stage, writes
from pipeline.tables.changed_months import MonthSources, find_kept_months, replace_changed_months
from pipeline.tables.limited_months import (
    LimitedMonthFacts,
    find_without_meter,
    list_limited_months,
    name_month_sources,
    read_light_series,
    read_limited_rows,
    read_quarter_hours,
)
from pipeline.transform.limited_power import curtailed_energy
from pipeline.transform.performance import lost_energy, theoretical_power
from pipeline.transform.plant_power import find_rated_w, take_powers_of_day
from pipeline.transform.sun.position import find_daylight
from schemas import (
    CurtailmentDaily,
    CurtailmentMonthly,
    EnergyBalanceIntervals,
    EnergyDaily,
    GridCommands,
    KpiDaily,
    KpiMonthly,
    Plants,
    QuarterHours,
    SensorIntervals,
    polars_schema,
)

# The name under which stored days record what they were made from.
MADE_FROM = "limits"
_DAY = ["plant_id", "local_date"]
_LOST = ("lost_kwh", "lost_low_kwh", "lost_high_kwh", "lost_by_grid_operator_kwh")
_HOURS = ("limited_h", "binding_h", "above_limit_h", "unjudged_h")


@writes(
    CurtailmentDaily,
    reads=(
        QuarterHours,
        EnergyBalanceIntervals,
        SensorIntervals,
        EnergyDaily,
        KpiDaily,
        Plants,
        GridCommands,
    ),
    stage=Stage.MONTHS,
    every="month",
)
def write_curtailment_daily(runtime: RunContext) -> StepResult:
    """The days of each month with limits whose sources have changed since they were made; closed ones stay."""
    months = list_limited_months(runtime)
    kept = find_kept_months(runtime, CurtailmentDaily)
    drop_months_without(runtime, CurtailmentDaily, {*(found.month for found in months), *kept})
    sources = (
        MonthSources(
            found.month, name_month_sources(runtime, found), partial(_build_own_days, runtime, found)
        )
        for found in months
    )
    return replace_changed_months(runtime, CurtailmentDaily, sources, kept, fact=MADE_FROM)


@writes(CurtailmentMonthly, reads=(CurtailmentDaily, KpiMonthly), stage=Stage.MONTHS, every="month")
def write_curtailment_monthly(runtime: RunContext) -> StepResult:
    """The sums of each month's days with limits, and the performance ratio with and without them."""
    days = runtime.lake.scan(CurtailmentDaily)
    by = ["plant_id", "month"]
    known = pl.col("lost_kwh").count() > 0
    sums = days.group_by(by).agg(
        pl.col(_HOURS).sum(),
        *(pl.when(known).then(pl.col(name).sum()).alias(name) for name in _LOST),
        pl.when(pl.col("pv_generation_kwh").count() > 0).then(pl.col("pv_generation_kwh").sum()),
        n_days_limited=pl.len().cast(pl.Int64),
        n_days_without_estimate=pl.col("lost_kwh").null_count().cast(pl.Int64),
        methods=pl.col("method").drop_nulls().unique().sort().str.join(",").replace("", None),
    )
    figures = runtime.lake.scan(KpiMonthly).select(
        *by, "performance_ratio", "window_generation_kwh", "peak_power_kw", "window_reference_yield_h"
    )
    whole = pl.col("n_days_without_estimate") == 0
    found = sums.join(figures, on=by, how="left").with_columns(_add_lost(whole)).sort(by).collect()
    report = StepResult(rows=found.height, facts={"months": found["month"].n_unique()})
    drop_months_without(runtime, CurtailmentMonthly, {*found["month"]})
    columns = polars_schema(CurtailmentMonthly).names()
    for rows in found.select(columns).partition_by("month", maintain_order=True):
        written = runtime.lake.replace(CurtailmentMonthly, {"month": rows["month"][0]}, [rows])
        report.changed |= written.changed
    return report


@checks(
    "limits_followed",
    asset="curtailment_daily",
    after=CheckMoment.DAYS,
    description="Plants follow the limits of SUNLEDGER_CURTAILMENT_LIMITS and of grid_commands, and SMA lists each "
    "plant that the file names.",
)
def judge_limits(runtime: RunContext) -> Finding:
    """Whether power was above a limit anywhere, and whether the file names plants that SMA has never listed."""
    plants = runtime.lake.read_whole(Plants).select("plant_id", "migrated_from")
    known = [*plants["plant_id"], *plants["migrated_from"].drop_nulls()]
    strange = sorted({*read_supplied_limits(runtime.settings)["plant_id"]} - {*known})
    days = runtime.lake.scan(CurtailmentDaily).select(*_DAY, "above_limit_h", "limited_h").collect()
    above = days.filter(pl.col("above_limit_h") > 0).sort("above_limit_h", descending=True)
    facts = {
        "plant_days_limited": days.height,
        "plant_days_above_limit": above.height,
        "plants_unknown": len(strange),
    }
    said = []
    if strange:
        said.append(
            f"{SETTING} names {pluralize(len(strange), 'plant')} that SMA has never listed, such as {strange[0]}: take "
            "the id from 'sunledger plants'."
        )
    if above.height:
        plant, day, hours = above.select(*_DAY, "above_limit_h").row(0)
        said.append(
            f"Power was above a limit on {pluralize(above.height, 'plant-day')}, for {hours:.1f} h at plant {plant} on "
            f"{day}: check whether the limit reached the plant, and its time zone in the file."
        )
    if not said:
        return Finding(
            passed=True, text=f"{pluralize(days.height, 'plant-day')} followed their limits.", facts=facts
        )
    return Finding(passed=False, text=" ".join(said), facts=facts)


def _build_own_days(runtime: RunContext, found: LimitedMonthFacts) -> list[pl.DataFrame]:
    """Rows of `curtailment_daily` of the month, without days on which a plant is left out."""
    rows = select_own_days(_build_days(runtime, found).lazy(), find_excluded_plants(runtime)).collect()
    return [rows.select(polars_schema(CurtailmentDaily).names())]


def _build_days(runtime: RunContext, found: LimitedMonthFacts) -> pl.DataFrame:
    """Rows of `curtailment_daily` of the month."""
    days = build_bounds(found.limited, found.dates)
    segments = curtailed_energy.cut_limits(found.limits, days)
    stored = read_quarter_hours(runtime, found, found.limited)
    pieces = curtailed_energy.find_binding(
        read_limited_rows(runtime, found, segments), segments, days, find_without_meter(runtime, stored)
    )
    quarters = lost_energy.prepare_quarters(
        stored, segments, curtailed_energy.sum_binding_quarters(pieces), days
    )
    hours = curtailed_energy.sum_limited_hours(segments, pieces, days).filter(
        pl.col("local_date").is_in(found.own)
    )
    hours = hours.join(quarters, on=_DAY, how="semi")
    of_month = pl.col("local_date").is_in(found.own)
    lit = [
        theoretical_power.scale_by_light(
            quarters, series.light, series.method, series.reference, by_time=series.by_time
        )
        for series in read_light_series(runtime, found, quarters)
    ]
    theories = pl.concat(
        [
            theoretical_power.THEORY.to_frame(),
            *lit,
            theoretical_power.scale_clear_sky_day(quarters),
            theoretical_power.hold_last_quarter(quarters, segments),
        ]
    ).filter(of_month)
    chosen = lost_energy.choose_methods(theories, quarters, hours)
    lost = lost_energy.sum_lost(quarters.filter(of_month), chosen, segments, hours)
    return _add_figures(runtime, found, lost)


def build_bounds(plants: pl.DataFrame, dates: Sequence[dt.date]) -> pl.DataFrame:
    """plant_id, local_date, day_start, day_end, sunrise, sunset (UTC; without a place, day bounds), rated_w, peak_w."""
    frames = []
    for day in dates:
        suns = find_daylight(plants, day).select("plant_id", "sunrise", "sunset")
        frames.append(
            add_day_bounds(take_powers_of_day(plants, day), day)
            .join(suns, on="plant_id", how="left", maintain_order="left")
            .select(
                "plant_id",
                pl.lit(day).alias("local_date"),
                "day_start",
                "day_end",
                pl.coalesce("sunrise", "day_start").alias("sunrise"),
                pl.coalesce("sunset", "day_end").alias("sunset"),
                rated_w=find_rated_w(),
                peak_w=pl.col("peak_power_kw") * 1000,
            )
        )
    return pl.concat(frames)


def _add_figures(runtime: RunContext, found: LimitedMonthFacts, lost: pl.DataFrame) -> pl.DataFrame:
    """The days with their energy, and their performance ratio with and without limits."""
    figures = (
        runtime.lake.scan(KpiDaily)
        .filter(pl.col("local_date").is_in(list(found.own)))
        .select(
            *_DAY,
            "pv_generation_kwh",
            "performance_ratio",
            "window_generation_kwh",
            "peak_power_kw",
            "window_reference_yield_h",
        )
        .collect()
    )
    known = pl.col("lost_kwh").is_not_null()
    return (
        lost.join(figures, on=_DAY, how="left")
        .with_columns(_add_lost(known), month=pl.lit(found.month))
        .select(polars_schema(CurtailmentDaily).names())
        .cast(dict(polars_schema(CurtailmentDaily)))  # type: ignore[arg-type]
    )


def _add_lost(known: pl.Expr) -> pl.Expr:
    """The performance ratio as it would have been with what was lost.

    It grows as the energy does, so a month of several powers is related to the same one. Of nothing nothing grows.
    """
    measured, lost = pl.col("window_generation_kwh"), pl.col("lost_kwh")
    of_lost = lost / pl.col("peak_power_kw") / pl.col("window_reference_yield_h")
    ratio = pl.when(measured > 0).then(pl.col("performance_ratio") * (1 + lost / measured)).otherwise(of_lost)
    there = known & pl.col("performance_ratio").is_not_null()
    return pl.when(there).then(ratio).alias("performance_ratio_without_curtailment")
