"""What limits prevented, by day and month, from quarter hours, rows and irradiation in the lake; calls no API."""

import datetime as dt
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import polars as pl

from pipeline.common.finding import Finding
from pipeline.common.local_time import ONE_DAY, UTC_US
from pipeline.common.text import pluralize
from pipeline.run.check import CheckMoment, checks
from pipeline.run.context import RunContext
from pipeline.run.fleet_membership import select_own_days
from pipeline.run.plants import add_day_bounds, drop_months_without, find_excluded_plants
from pipeline.run.step import StepResult
from pipeline.run.supplied_irradiation import read_supplied_irradiation
from pipeline.run.supplied_limits import SETTING, read_supplied_limits
from pipeline.run.table_step import Stage, writes
from pipeline.tables.month_close import read_closed_months
from pipeline.transform import curtailed_energy, lost_energy
from pipeline.transform.energy import HOURS_PER_US
from pipeline.transform.hourly import sum_by_quarter
from pipeline.transform.plant_moves import find_successors, join_rows, take_new_ids
from pipeline.transform.sun.position import find_daylight
from schemas import (
    CurtailmentDaily,
    CurtailmentMonthly,
    EnergyBalanceIntervals,
    EnergyDaily,
    KpiDaily,
    KpiMonthly,
    Plants,
    QuarterHours,
    SensorIntervals,
    Table,
    polars_schema,
)
from schemas.curtailment import NEIGHBOURS, SENSOR, SPITZ, SPITZ_LIGHT, SUPPLIED

# Plants no farther away than this see the same sky in the mean of a quarter hour, more or less.
NEIGHBOURHOOD_KM = 20.0
KM_PER_DEGREE = 111.2
# The name under which stored days record what they were made from.
MADE_FROM = "limits"
_SOURCES: tuple[type[Table], ...] = (QuarterHours, EnergyBalanceIntervals, SensorIntervals, KpiDaily)
_DAY = ["plant_id", "local_date"]
_LIGHT = pl.Schema({"plant_id": pl.String(), "quarter_start": UTC_US, "g": pl.Float64()})
_QUARTERS = (
    "plant_id",
    "local_date",
    "quarter_start",
    "pv_generation_kwh",
    "pv_generation_covered_h",
    "grid_feed_in_kwh",
)
_SENSED = (
    "plant_id",
    "device_id",
    "local_date",
    "interval_start",
    "interval_end",
    "external_insolation_w_per_m2",
)
_LOST = ("lost_kwh", "lost_low_kwh", "lost_high_kwh", "lost_by_grid_operator_kwh")
_HOURS = ("limited_h", "binding_h", "above_limit_h", "unjudged_h")


@dataclass(frozen=True, slots=True)
class LimitedMonthFacts:
    """A month with limits: its limits and plants by newest ids, and the stored days that it is made from."""

    month: dt.date
    limits: pl.DataFrame
    plants: pl.DataFrame
    moved: pl.DataFrame
    dates: tuple[dt.date, ...]

    @property
    def own(self) -> tuple[dt.date, ...]:
        """The dates of the month itself: those before it are there to compare with."""
        return tuple(day for day in self.dates if day >= self.month)

    @property
    def limited(self) -> pl.DataFrame:
        """The plants that have a limit in the month."""
        return self.plants.join(self.limits, on="plant_id", how="semi")

    def list_ids(self, plants: pl.DataFrame) -> list[str]:
        """All ids, also former ones, under which rows of these plants are stored."""
        former = self.moved.filter(pl.col("successor").is_in(plants["plant_id"].implode()))["plant_id"]
        return [*plants["plant_id"], *former]


@writes(
    CurtailmentDaily,
    reads=(QuarterHours, EnergyBalanceIntervals, SensorIntervals, EnergyDaily, KpiDaily, Plants),
    stage=Stage.MONTHS,
    every="month",
)
def write_curtailment_daily(runtime: RunContext) -> StepResult:
    """The days of each month with limits whose sources have changed since they were made; closed ones stay."""
    report = StepResult(facts={"months_made": 0})
    months = _list_months(runtime)
    closed = {*read_closed_months(runtime)["month"]}
    kept = [month for month in closed if runtime.lake.take_snapshot(CurtailmentDaily, {"month": month}).files]
    drop_months_without(runtime, CurtailmentDaily, {*(found.month for found in months), *kept})
    for found in months:
        part = {"month": found.month}
        made_from = _name_sources(runtime, found)
        if found.month in kept or runtime.lake.read_facts(CurtailmentDaily, part).get(MADE_FROM) == made_from:
            continue
        rows = select_own_days(_build_days(runtime, found).lazy(), find_excluded_plants(runtime)).collect()
        written = runtime.lake.replace(
            CurtailmentDaily,
            part,
            [rows.select(polars_schema(CurtailmentDaily).names())],
            empty=True,
            facts={MADE_FROM: made_from},
        )
        report.rows += written.rows
        report.changed |= written.changed
        report.facts["months_made"] += 1
    return report


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
    description="Plants follow the limits of SUNLEDGER_CURTAILMENT_LIMITS, and SMA lists each plant that it names.",
)
def judge_limits(runtime: RunContext) -> Finding:
    """Whether power was above a limit anywhere, and whether the file names plants that SMA has never listed."""
    plants = runtime.lake.scan(Plants).select("plant_id", "migrated_from").collect()
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


def _list_months(runtime: RunContext) -> list[LimitedMonthFacts]:
    """The months of stored days in which a limit holds, each with the days before it that it compares with."""
    supplied = read_supplied_limits(runtime.settings)
    if not supplied.height:
        return []
    plants = runtime.lake.scan(Plants).collect()
    moved = find_successors(plants)
    facts = plants.select(
        "plant_id", "timezone", "latitude", "longitude", rated_w=pl.col("ac_power_kw") * 1000
    )
    facts = facts.with_columns(pl.when(pl.col("rated_w") > 0).then("rated_w"))
    limits = (
        take_new_ids(supplied, moved)
        .join(facts.select("plant_id", "rated_w"), on="plant_id")
        .with_columns(
            limit_w=pl.coalesce(pl.col("limit_kw") * 1000, pl.col("limit_percent") / 100 * pl.col("rated_w"))
        )
        .select("plant_id", "limit_start", "limit_end", "kind", "asked_by", "method", "limit_w")
        .sort("plant_id", "limit_start", "kind", "asked_by")
    )
    stored = sorted(
        dt.date.fromisoformat(part["local_date"]) for part in runtime.lake.list_parts(QuarterHours)
    )
    months = []
    for month in sorted({day.replace(day=1) for day in stored}):
        last = (month + 31 * ONE_DAY).replace(day=1) - ONE_DAY
        begin, end = (
            dt.datetime.combine(day, dt.time(), dt.UTC) for day in (month - ONE_DAY, last + 2 * ONE_DAY)
        )
        # Days before the month are compared with: their limits count too.
        near = limits.filter(pl.col("limit_start") < end, pl.col("limit_end") > begin - lost_energy.REACH)
        within = near.filter(pl.col("limit_end") > begin)
        if within.height:
            dates = tuple(day for day in stored if month - lost_energy.REACH <= day <= last)
            months.append(LimitedMonthFacts(month, near, facts, moved, dates))
    return months


def _name_sources(runtime: RunContext, found: LimitedMonthFacts) -> str:
    """A digest of everything that the month's days are made from."""
    wanted = {f"local_date={day}" for day in found.dates}
    files = (
        file
        for model in _SOURCES
        for file in runtime.lake.take_snapshot(model).files
        if f"local_date={file.rpartition('local_date=')[2][:10]}" in wanted
    )
    path = runtime.settings.irradiation
    seen = f"{path} {path.stat().st_mtime_ns}" if path is not None else ""
    plants = found.plants.sort("plant_id")
    texts = (
        *files,
        seen,
        found.limits.write_csv(),
        plants.write_csv(),
        found.moved.sort("plant_id").write_csv(),
    )
    excluded = find_excluded_plants(runtime).sort("plant_id").write_csv()
    return hashlib.sha256("\n".join((*texts, excluded)).encode()).hexdigest()


def _build_days(runtime: RunContext, found: LimitedMonthFacts) -> pl.DataFrame:
    """Rows of `curtailment_daily` of the month."""
    days = _build_bounds(found.limited, found.dates)
    segments = curtailed_energy.cut_limits(found.limits, days)
    pieces = curtailed_energy.find_binding(_read_rows(runtime, found, segments), segments, days)
    quarters = lost_energy.prepare_quarters(
        _read_quarters(runtime, found, found.limited),
        segments,
        curtailed_energy.sum_binding_quarters(pieces),
        days,
    )
    hours = curtailed_energy.sum_limited_hours(segments, pieces, days).filter(
        pl.col("local_date").is_in(found.own)
    )
    hours = hours.join(quarters, on=_DAY, how="semi")
    of_month = pl.col("local_date").is_in(found.own)
    lit = [
        lost_energy.scale_by_light(quarters, light, method, reference)
        for light, method, reference in _read_lights(runtime, found, quarters)
    ]
    theories = pl.concat(
        [
            lost_energy.THEORY.to_frame(),
            *lit,
            lost_energy.scale_clear_sky_day(quarters),
            lost_energy.hold_last_quarter(quarters, segments),
        ]
    ).filter(of_month)
    chosen = lost_energy.choose_methods(theories, quarters, hours)
    lost = lost_energy.sum_lost(quarters.filter(of_month), chosen, segments, hours)
    return _add_figures(runtime, found, lost)


def _build_bounds(plants: pl.DataFrame, dates: Sequence[dt.date]) -> pl.DataFrame:
    """plant_id, local_date, day_start, day_end, sunrise, sunset (UTC; the day's bounds without a place) and rated_w."""
    frames = []
    for day in dates:
        suns = find_daylight(plants, day).select("plant_id", "sunrise", "sunset")
        frames.append(
            add_day_bounds(plants, day)
            .join(suns, on="plant_id", how="left", maintain_order="left")
            .select(
                "plant_id",
                pl.lit(day).alias("local_date"),
                "day_start",
                "day_end",
                pl.coalesce("sunrise", "day_start").alias("sunrise"),
                pl.coalesce("sunset", "day_end").alias("sunset"),
                "rated_w",
            )
        )
    return pl.concat(frames)


def _read_rows(runtime: RunContext, found: LimitedMonthFacts, segments: pl.DataFrame) -> pl.DataFrame:
    """The interval rows of the days with a limit, by the plants' newest ids."""
    dates = segments["local_date"].unique()
    ids = found.list_ids(found.limited)
    rows = (
        runtime.lake.scan(EnergyBalanceIntervals)
        .filter(pl.col("local_date").is_in(dates.implode()), pl.col("plant_id").is_in(ids))
        .select(curtailed_energy.ROW_COLUMNS)
        .collect()
    )
    return _join_moved([rows], found, ["plant_id", "local_date"], curtailed_energy.ROW_COLUMNS)


def _read_quarters(runtime: RunContext, found: LimitedMonthFacts, plants: pl.DataFrame) -> pl.DataFrame:
    """Quarter hours of these plants; they are stored by the newest ids."""
    return (
        runtime.lake.scan(QuarterHours)
        .filter(
            pl.col("local_date").is_in(list(found.dates)),
            pl.col("plant_id").is_in(plants["plant_id"].implode()),
        )
        .select(_QUARTERS)
        .collect()
    )


def _read_lights(
    runtime: RunContext, found: LimitedMonthFacts, quarters: pl.DataFrame
) -> list[tuple[pl.DataFrame, str, str]]:
    """Irradiation by plant and quarter hour (plant_id, quarter_start, g), with its method and name."""
    ids = found.list_ids(found.limited)
    sensed = (
        runtime.lake.scan(SensorIntervals)
        .filter(pl.col("local_date").is_in(list(found.dates)), pl.col("plant_id").is_in(ids))
        .select(_SENSED)
        .drop_nulls()
        .collect()
    )
    # Of several sensors the one with most values on the day, as for the plant's figures.
    sensed = _join_moved([sensed], found, ["plant_id", "device_id", "local_date"], _SENSED)
    best = (
        sensed.group_by("plant_id", "local_date", "device_id")
        .agg(n=pl.len())
        .sort("plant_id", "local_date", "n", "device_id", descending=[False, False, True, False])
        .unique(_DAY, keep="first", maintain_order=True)
    )
    of_sensor = sensed.join(best, on=["plant_id", "local_date", "device_id"], how="semi").with_columns(
        w_per_m2=pl.col("external_insolation_w_per_m2").clip(0)
    )
    supplied = take_new_ids(read_supplied_irradiation(runtime.settings), found.moved)
    supplied = supplied.join(found.limited, on="plant_id", how="semi")
    return [
        (_sum_light(of_sensor), SPITZ, SENSOR),
        (_sum_light(supplied), SPITZ_LIGHT, SUPPLIED),
        (_read_neighbours(runtime, found, quarters), SPITZ_LIGHT, NEIGHBOURS),
    ]


def _sum_light(rows: pl.DataFrame) -> pl.DataFrame:
    """The mean irradiance in W/m² of each plant's quarter hours that the rows cover."""
    if not rows.height:
        return pl.DataFrame(schema=_LIGHT)
    hours = (pl.col("interval_end") - pl.col("interval_start")).dt.total_microseconds() * HOURS_PER_US
    energies = rows.select(
        "plant_id", "interval_start", "interval_end", light_kwh=pl.col("w_per_m2") * hours / 1000
    )
    quarters = sum_by_quarter(energies.sort("plant_id", "interval_start"), ["light"])
    covered = quarters.filter(pl.col("light_covered_h") >= lost_energy.COVERED_H)
    return covered.select(
        "plant_id", "quarter_start", g=pl.col("light_kwh") / pl.col("light_covered_h") * 1000
    )


def _read_neighbours(runtime: RunContext, found: LimitedMonthFacts, quarters: pl.DataFrame) -> pl.DataFrame:
    """The mean power of the neighbours without a limit on the day, as a share of their rated power."""
    pairs = _find_neighbours(found)
    if not pairs.height:
        return pl.DataFrame(schema=_LIGHT)
    plants = found.plants.join(pairs, left_on="plant_id", right_on="neighbour_id", how="semi")
    # What a limit changes is no measure of the sky: days with one are left out, whether it binds or not.
    limited = quarters.filter("measured").select(_DAY).unique()
    power = (
        _read_quarters(runtime, found, plants)
        .join(limited, on=_DAY, how="anti")
        .join(plants.select("plant_id", "rated_w"), on="plant_id")
        .filter(pl.col("pv_generation_covered_h") >= lost_energy.COVERED_H)
        .select(
            "quarter_start",
            neighbour_id="plant_id",
            share=pl.col("pv_generation_kwh") / pl.col("pv_generation_covered_h") * 1000 / pl.col("rated_w"),
        )
    )
    return (
        pairs.join(power, on="neighbour_id")
        .group_by("plant_id", "quarter_start")
        .agg(g=pl.col("share").mean())
        .drop_nulls("g")
    )


def _find_neighbours(found: LimitedMonthFacts) -> pl.DataFrame:
    """plant_id and neighbour_id of the plants with limits and of all plants around each of them."""
    placed = found.plants.drop_nulls(["latitude", "longitude", "rated_w"])
    near = placed.select(neighbour_id="plant_id", north="latitude", east="longitude")
    here = placed.join(found.limits, on="plant_id", how="semi").select("plant_id", "latitude", "longitude")
    reach = NEIGHBOURHOOD_KM / KM_PER_DEGREE
    north = pl.col("north") - pl.col("latitude")
    east = (pl.col("east") - pl.col("longitude")) * pl.col("latitude").radians().cos()
    return (
        here.join_where(
            near, pl.col("north") >= pl.col("latitude") - reach, pl.col("north") <= pl.col("latitude") + reach
        )
        .filter((north**2 + east**2) <= reach**2, pl.col("plant_id") != pl.col("neighbour_id"))
        .select("plant_id", "neighbour_id")
    )


def _join_moved(
    frames: Iterable[pl.DataFrame], found: LimitedMonthFacts, keys: list[str], columns: Sequence[str]
) -> pl.DataFrame:
    """Rows with the plants' newest ids: on each day the former id's up to where the new id's begin."""
    parts = [
        joined.select(columns)
        for frame in frames
        for day in (frame.partition_by("local_date") if found.moved.height else [frame])
        for joined in join_rows([day], found.moved, keys)
    ]
    return pl.concat([frame.select(columns).clear() for frame in frames] + parts)


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
    """The performance ratio as it would have been with what was lost."""
    whole = (pl.col("window_generation_kwh") + pl.col("lost_kwh")) / pl.col("peak_power_kw")
    ratio = whole / pl.col("window_reference_yield_h")
    there = known & pl.col("performance_ratio").is_not_null()
    return pl.when(there).then(ratio).alias("performance_ratio_without_curtailment")
