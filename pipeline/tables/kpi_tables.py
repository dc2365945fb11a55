"""Plant figures by day and month from energy, intervals and sensors in the lake; calls no API."""

import datetime as dt
from functools import lru_cache

import polars as pl

from pipeline.run.context import RunContext
from pipeline.run.plants import add_day_bounds, drop_months_without, find_excluded_plants
from pipeline.run.step_result import StepResult, build_result
from pipeline.run.supplied_files.fleet_membership import select_days_of_months
from pipeline.run.supplied_files.supplied_irradiation import read_supplied_irradiation
from pipeline.run.table_step import Stage, writes
from pipeline.transform.lists.plant_moves import find_successors, join_rows, sort_rows, take_new_ids
from pipeline.transform.performance.kpi_days import ROW_COLUMNS, summarize_day_figures
from pipeline.transform.performance.kpi_months import summarize_month_figures
from pipeline.transform.plant_power import FORMER, POWERS, join_powers, take_powers_of_day
from pipeline.transform.row_groups import split_by_plant
from pipeline.transform.sun.position import find_daylight
from schemas import (
    EnergyBalanceIntervals,
    EnergyDaily,
    EnergyMonthly,
    KpiDaily,
    KpiMonthly,
    Plants,
    SensorIntervals,
    Table,
    polars_schema,
)
from schemas.kpi import IRRADIATION_SOURCES

_SENSOR_COLUMNS = ("plant_id", "device_id", "interval_start", "interval_end", "external_insolation_w_per_m2")
_FACTS = ("plant_id", "peak_power_kw", "ac_power_kw", "co2_factor_g_per_kwh")
_OF_ENERGY = ("plant_id", "status", "coverage", "pv_generation_kwh")


@writes(KpiDaily, reads=(EnergyDaily, EnergyBalanceIntervals, SensorIntervals, Plants), stage=Stage.DAYS)
def write_kpi_daily(runtime: RunContext, day: dt.date) -> StepResult:
    """Figures of every plant that has a row of energy for the day."""
    listed = runtime.lake.read_whole(Plants)
    moved = find_successors(listed)
    energy = _read_rows(runtime, EnergyDaily, day, _OF_ENERGY)
    site = ("plant_id", "timezone", "latitude", "longitude", "start_up", *_FACTS[1:])
    places = take_powers_of_day(listed, day).select(site).join(energy, on="plant_id", how="inner")
    # The suns of all plants, as for the energy of the day.
    suns = find_daylight(listed, day).select("plant_id", "sunrise", "sunset")
    plants = add_day_bounds(places, day).join(suns, on="plant_id", how="left", maintain_order="left")
    frames = runtime.lake.read_batches(EnergyBalanceIntervals, {"local_date": day}, columns=ROW_COLUMNS)
    joined = sort_rows(join_rows(frames, moved, ["plant_id"]), moved)
    rows = (frame.select(ROW_COLUMNS) for frame in joined)
    sensed = runtime.lake.read_batches(SensorIntervals, {"local_date": day}, columns=_SENSOR_COLUMNS)
    sensors = [frame.select(_SENSOR_COLUMNS) for frame in join_rows(sensed, moved, ["plant_id", "device_id"])]
    by_sensor = pl.concat([_build_empty(SensorIntervals, _SENSOR_COLUMNS), *sensors])
    supplied = _read_supplied(runtime, plants, moved)
    none = _build_empty(EnergyBalanceIntervals, ROW_COLUMNS)
    found = [
        summarize_day_figures(
            of_some,
            by_sensor.join(some, on="plant_id", how="semi"),
            some,
            supplied.join(some, on="plant_id", how="semi"),
        )
        for of_some, some in split_by_plant(rows, plants.sort("plant_id"), none)
    ]
    if not found:
        found = [summarize_day_figures(none, by_sensor, plants, supplied)]
    frame = pl.concat(found).with_columns(local_date=pl.lit(day)).select(polars_schema(KpiDaily).names())
    written = runtime.lake.replace(KpiDaily, {"local_date": day}, [frame], empty=True)
    by = dict(frame["irradiation_source"].value_counts().rows())
    return build_result(
        written,
        **{f"irradiation_{source}": int(by.get(source, 0)) for source in IRRADIATION_SOURCES},
    )


@writes(KpiMonthly, reads=(KpiDaily, EnergyMonthly, Plants), stage=Stage.MONTHS, every="month")
def write_kpi_monthly(runtime: RunContext) -> StepResult:
    """Figures of every month from its days, those of plants that moved under their newest id.

    A closed month keeps those that belong to its closed energy.
    """
    remade = _rejoin(runtime) + _tell_apart(runtime) + _relate_again(runtime)
    plants = runtime.lake.read_whole(Plants)
    energy = runtime.lake.scan(EnergyMonthly).collect()
    closed = energy.filter(pl.col("closed_at").is_not_null())["month"].unique()
    days = select_days_of_months(runtime.lake.scan(KpiDaily), find_excluded_plants(runtime), closed)
    months = summarize_month_figures(days, plants)
    # The sums of energy and their status have a single source, so figures never contradict them.
    known = energy.select("plant_id", "month", "n_days", "n_days_missing", "status", "coverage")
    rows = months.join(known, on=["plant_id", "month"], how="inner", maintain_order="left")
    report = StepResult(rows=rows.height, facts={"months": rows["month"].n_unique(), "days_remade": remade})
    columns = polars_schema(KpiMonthly).names()
    kept = _list_unchanged_closed_months(runtime, energy)
    drop_months_without(runtime, KpiMonthly, {*rows["month"], *kept})
    for frame in (
        rows.select(columns).filter(~pl.col("month").is_in(kept)).partition_by("month", maintain_order=True)
    ):
        written = runtime.lake.replace(KpiMonthly, {"month": frame["month"][0]}, [frame])
        report.changed |= written.changed
    return report


def _read_supplied(runtime: RunContext, plants: pl.DataFrame, moved: pl.DataFrame) -> pl.DataFrame:
    """The user's own irradiation of the plants' day, by the plants' newest ids."""
    rows = read_supplied_irradiation(runtime.settings)
    if not rows.height:
        return rows
    bounds = plants.select("plant_id", "day_start", "day_end")
    within = (pl.col("interval_end") > pl.col("day_start")) & (pl.col("interval_start") < pl.col("day_end"))
    return take_new_ids(rows, moved).join(bounds, on="plant_id").filter(within).select(rows.columns)


def _list_unchanged_closed_months(runtime: RunContext, energy: pl.DataFrame) -> list[dt.date]:
    """The closed months whose stored figures were made from the closed energy."""
    closed = energy.filter(pl.col("closed_at").is_not_null()).select("plant_id", "month", "pv_generation_kwh")
    stored = runtime.lake.scan(KpiMonthly).select("plant_id", "month", kwh="pv_generation_kwh").collect()
    same = pl.col("pv_generation_kwh").eq_missing(pl.col("kwh"))
    both = closed.join(stored, on=["plant_id", "month"], how="inner").with_columns(same=same)
    return both.group_by("month").agg(pl.col("same").all()).filter("same")["month"].to_list()


def _rejoin(runtime: RunContext) -> int:
    """Rebuild the days that still hold a plant by an id that it had before it moved; return their number."""
    moved = find_successors(runtime.lake.read_whole(Plants))
    if not moved.height:
        return 0
    old = runtime.lake.scan(KpiDaily).filter(pl.col("plant_id").is_in(moved["plant_id"].to_list()))
    days = old.select(pl.col("local_date").unique().sort()).collect()["local_date"]
    for day in days:
        write_kpi_daily(runtime, day)
    return len(days)


def _tell_apart(runtime: RunContext) -> int:
    """Rebuild the days that an older version stored with figures of a cloudless sky in the columns of measured ones."""
    mixed = (pl.col("irradiation_source") == "clear_sky") & pl.col("reference_yield_h").is_not_null()
    found = runtime.lake.scan(KpiDaily).filter(mixed).select(pl.col("local_date").unique().sort())
    days = found.collect(engine="streaming")["local_date"]
    for day in days:
        write_kpi_daily(runtime, day)
    return len(days)


def _relate_again(runtime: RunContext) -> int:
    """Rebuild the days that are related to a power that SMA corrected since then, or gave later."""
    listed = runtime.lake.read_whole(Plants).filter(pl.col(FORMER).is_not_null())
    if not listed.height:
        return 0
    stored = runtime.lake.scan(KpiDaily).filter(pl.col("plant_id").is_in(listed["plant_id"].to_list()))
    then = stored.select("plant_id", "local_date", *(pl.col(name).alias(f"{name}_stored") for name in POWERS))
    other = pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"{name}_stored")) for name in POWERS)
    days = join_powers(then.collect(engine="streaming"), listed).filter(other)["local_date"].unique().sort()
    for day in days:
        write_kpi_daily(runtime, day)
    return len(days)


def _read_rows(
    runtime: RunContext, model: type[Table], day: dt.date, columns: tuple[str, ...]
) -> pl.DataFrame:
    stored = runtime.lake.read_batches(model, {"local_date": day}, columns=columns)
    return pl.concat([_build_empty(model, columns), *(batch.select(columns) for batch in stored)])


@lru_cache
def _build_empty(model: type[Table], columns: tuple[str, ...]) -> pl.DataFrame:
    return pl.DataFrame(schema=polars_schema(model)).select(columns)
