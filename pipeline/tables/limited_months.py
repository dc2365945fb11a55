"""The months in which a limit holds, and what is stored of them: rows, quarter hours and irradiation; calls no API."""

import datetime as dt
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import polars as pl

from pipeline.common.calendar_months import find_month_end
from pipeline.common.local_time import ONE_DAY, UTC_US, build_days_frame
from pipeline.run.context import RunContext
from pipeline.run.plants import find_excluded_plants
from pipeline.run.supplied_files.supplied_irradiation import read_supplied_irradiation
from pipeline.run.supplied_files.supplied_limits import FOREVER, LIMITS, read_supplied_limits
from pipeline.transform.energy import HOURS_PER_US
from pipeline.transform.hourly import sum_by_quarter
from pipeline.transform.limited_power import curtailed_energy
from pipeline.transform.limited_power.grid_states import list_grid_limits
from pipeline.transform.lists.plant_moves import find_successors, join_rows, take_new_ids
from pipeline.transform.performance import theoretical_power
from pipeline.transform.plant_power import (
    POWER_COLUMNS,
    POWERS,
    find_rated_w,
    join_powers,
    list_former_powers,
    take_powers_of_day,
)
from schemas import (
    EnergyBalanceIntervals,
    GridCommands,
    GridSchedules,
    KpiDaily,
    Plants,
    QuarterHours,
    SensorIntervals,
    Table,
)
from schemas.curtailment import MANUAL, NEIGHBOURS, SENSOR, SPITZ, SPITZ_LIGHT, SUPPLIED

# How the estimates are made. It counts as a source of each month, so no month keeps figures of an older method.
METHOD = "like quarter hours of days with the same powers"
# Plants no farther away than this see the same sky in the mean of a quarter hour, more or less.
NEIGHBOURHOOD_KM = 20.0
# More of them make the estimate no better, and a town of a thousand plants would make a million pairs.
MOST_NEIGHBOURS = 12
KM_PER_DEGREE = 111.2
_SOURCES: tuple[type[Table], ...] = (QuarterHours, EnergyBalanceIntervals, SensorIntervals, KpiDaily)
_DAY = ["plant_id", "local_date"]
_LIGHT = pl.Schema(
    {"plant_id": pl.String(), "quarter_start": UTC_US, "series": pl.String(), "g": pl.Float64()}
)
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


@dataclass(frozen=True, slots=True)
class LightSeries:
    """Irradiation by plant and quarter hour (plant_id, quarter_start, series, g), with its method and source.

    With `by_time` the light may be that of another plane, as a satellite's and a neighbour's are: then it is compared
    at the same time of the day.
    """

    light: pl.DataFrame
    method: str
    reference: str
    by_time: bool = False


def list_limited_months(runtime: RunContext) -> list[LimitedMonthFacts]:
    """The months of stored days in which a limit holds, each with the days before it that it compares with."""
    supplied = pl.concat([read_supplied_limits(runtime.settings), _read_grid_limits(runtime)])
    if not supplied.height:
        return []
    plants = runtime.lake.read_whole(Plants)
    moved = find_successors(plants)
    facts = plants.select("plant_id", "timezone", "latitude", "longitude", *POWER_COLUMNS)
    limits = (
        _split_at_changes(take_new_ids(supplied, moved), plants)
        .with_columns(
            limit_w=pl.coalesce(pl.col("limit_kw") * 1000, pl.col("limit_percent") / 100 * find_rated_w())
        )
        .select("plant_id", "limit_start", "limit_end", "kind", "asked_by", "method", "limit_w")
        .sort("plant_id", "limit_start", "kind", "asked_by")
    )
    stored = sorted(
        dt.date.fromisoformat(part["local_date"]) for part in runtime.lake.list_parts(QuarterHours)
    )
    months = []
    for month in sorted({day.replace(day=1) for day in stored}):
        last = find_month_end(month)
        begin, end = (
            dt.datetime.combine(day, dt.time(), dt.UTC) for day in (month - ONE_DAY, last + 2 * ONE_DAY)
        )
        # Days before the month are compared with: their limits count too.
        near = limits.filter(
            pl.col("limit_start") < end, pl.col("limit_end") > begin - theoretical_power.REACH
        )
        within = near.filter(pl.col("limit_end") > begin)
        if within.height:
            dates = tuple(day for day in stored if month - theoretical_power.REACH <= day <= last)
            months.append(LimitedMonthFacts(month, near, facts, moved, dates))
    return months


def _split_at_changes(limits: pl.DataFrame, plants: pl.DataFrame) -> pl.DataFrame:
    """Limits of stored plants with ac_power_kw, of which each holds under one power of its plant.

    A share of the power is another limit after the plant's own midnight from which on it has another power.
    """
    former = list_former_powers(plants, ["plant_id"], POWERS).join(
        plants.select("plant_id", "timezone"), on="plant_id"
    )
    periods = pl.concat(
        [
            _find_day_ends(former).select("plant_id", "ac_power_kw", end="day_end"),
            plants.select("plant_id", "ac_power_kw", end=pl.lit(FOREVER, UTC_US)),
        ]
    ).sort("plant_id", "end")
    begins = pl.col("end").shift(1).over("plant_id")
    # A power that was not listed then is the present one, as `join_powers` has it.
    power = pl.col("ac_power_kw").fill_null(pl.col("ac_power_kw").last().over("plant_id"))
    within = limits.join(periods.with_columns(power, begin=begins), on="plant_id").with_columns(
        limit_start=pl.max_horizontal("limit_start", "begin"), limit_end=pl.min_horizontal("limit_end", "end")
    )
    return within.filter(pl.col("limit_start") < pl.col("limit_end"))


def _find_day_ends(former: pl.DataFrame) -> pl.DataFrame:
    """The rows with day_end (UTC), when the day of `until` ends in their timezone."""
    ends = [
        build_days_frame(day, former["timezone"]).select("timezone", "day_end", until=pl.lit(day))
        for day in former["until"].unique()
    ]
    none = pl.DataFrame(schema={"timezone": pl.String(), "day_end": UTC_US, "until": pl.Date()})
    return former.join(pl.concat([none, *ends]), on=["timezone", "until"])


def _read_grid_limits(runtime: RunContext) -> pl.DataFrame:
    """What commands of the GridControl API limited, in the form of the user's file (LIMITS).

    Who asked is not always said: then it was not the grid operator, whose limits alone are paid for.
    """
    commands = runtime.lake.scan(GridCommands).join(
        runtime.lake.scan(GridSchedules).select("plant_id", "schedule_id", "asked_by"),
        on=["plant_id", "schedule_id"],
        how="left",
    )
    limits = list_grid_limits(commands.collect(), MANUAL)
    return (
        limits.rename({"limit_pct": "limit_percent"})
        .with_columns(pl.col("limit_end").fill_null(pl.lit(FOREVER, UTC_US)), method=pl.lit(None, pl.String))
        .select(LIMITS.names())
    )


def name_month_sources(runtime: RunContext, found: LimitedMonthFacts) -> str:
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
        METHOD,
        *files,
        seen,
        found.limits.write_csv(),
        plants.write_csv(),
        found.moved.sort("plant_id").write_csv(),
    )
    excluded = find_excluded_plants(runtime).sort("plant_id").write_csv()
    return hashlib.sha256("\n".join((*texts, excluded)).encode()).hexdigest()


def read_limited_rows(runtime: RunContext, found: LimitedMonthFacts, segments: pl.DataFrame) -> pl.DataFrame:
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


def read_quarter_hours(runtime: RunContext, found: LimitedMonthFacts, plants: pl.DataFrame) -> pl.DataFrame:
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


def find_without_meter(runtime: RunContext, quarters: pl.DataFrame) -> list[str]:
    """The plants of these quarter hours for which no stored day has a feed-in.

    Days without it alone don't tell: the meter of a plant that has one may have been down.
    """
    fed_in = pl.col("grid_feed_in_kwh").is_not_null()
    silent = quarters.group_by("plant_id").agg(fed_in.any()).filter(~pl.col("grid_feed_in_kwh"))["plant_id"]
    if silent.is_empty():
        return []
    metered = (
        runtime.lake.scan(QuarterHours)
        .filter(pl.col("plant_id").is_in(silent.implode()), fed_in)
        .select(pl.col("plant_id").unique())
        .collect()["plant_id"]
    )
    return sorted({*silent} - {*metered})


def read_light_series(
    runtime: RunContext, found: LimitedMonthFacts, quarters: pl.DataFrame
) -> list[LightSeries]:
    """Irradiation of the plants with limits, from each of its sources."""
    ids = found.list_ids(found.limited)
    sensed = (
        runtime.lake.scan(SensorIntervals)
        .filter(pl.col("local_date").is_in(list(found.dates)), pl.col("plant_id").is_in(ids))
        .select(_SENSED)
        .drop_nulls()
        .collect()
    )
    # If a plant has several sensors, the one with the most values on the day counts, as for the plant's figures.
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
        LightSeries(_sum_light(of_sensor), SPITZ, SENSOR),
        LightSeries(_sum_light(supplied), SPITZ_LIGHT, SUPPLIED, by_time=True),
        LightSeries(_read_neighbours(runtime, found, quarters), SPITZ_LIGHT, NEIGHBOURS, by_time=True),
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
    covered = quarters.filter(pl.col("light_covered_h") >= theoretical_power.COVERED_H)
    return covered.select(
        "plant_id",
        "quarter_start",
        series=pl.lit(""),
        g=pl.col("light_kwh") / pl.col("light_covered_h") * 1000,
    )


def _read_neighbours(runtime: RunContext, found: LimitedMonthFacts, quarters: pl.DataFrame) -> pl.DataFrame:
    """The power of each neighbour without a limit on the day, as a share of its rated power: a series of its own."""
    pairs = _find_neighbours(found)
    if not pairs.height:
        return pl.DataFrame(schema=_LIGHT)
    plants = found.plants.join(pairs, left_on="plant_id", right_on="neighbour_id", how="semi")
    # Power under a limit does not measure the sky: days with a limit are left out, whether it binds or not.
    limited = quarters.filter("measured").select(_DAY).unique()
    power = (
        read_quarter_hours(runtime, found, plants)
        .join(limited, on=_DAY, how="anti")
        .pipe(join_powers, plants)
        .filter(pl.col("pv_generation_covered_h") >= theoretical_power.COVERED_H)
        .select(
            "quarter_start",
            series="plant_id",
            g=pl.col("pv_generation_kwh") / pl.col("pv_generation_covered_h") * 1000 / find_rated_w(),
        )
    )
    wanted = quarters.filter((pl.col("binding_h") > 0) | pl.col("spare")).select("plant_id", "quarter_start")
    return (
        wanted.join(pairs.rename({"neighbour_id": "series"}), on="plant_id")
        .join(power.drop_nulls("g"), on=["series", "quarter_start"])
        .select(_LIGHT.names())
    )


def _find_neighbours(found: LimitedMonthFacts) -> pl.DataFrame:
    """plant_id and neighbour_id of the plants with limits and of the nearest plants around each of them.

    Plants without limits come first: those with some serve on the days on which they have none.
    """
    rated = take_powers_of_day(found.plants, found.month).filter(find_rated_w().is_not_null())
    placed = rated.drop_nulls(["latitude", "longitude"])
    near = placed.select(
        neighbour_id="plant_id",
        north="latitude",
        east="longitude",
        limited=pl.col("plant_id").is_in(found.limits["plant_id"].implode()),
    )
    here = placed.join(found.limits, on="plant_id", how="semi").select("plant_id", "latitude", "longitude")
    reach = NEIGHBOURHOOD_KM / KM_PER_DEGREE
    north = pl.col("north") - pl.col("latitude")
    east = (pl.col("east") - pl.col("longitude")) * pl.col("latitude").radians().cos()
    return (
        here.join_where(
            near, pl.col("north") >= pl.col("latitude") - reach, pl.col("north") <= pl.col("latitude") + reach
        )
        .with_columns(away=north**2 + east**2)
        .filter(pl.col("away") <= reach**2, pl.col("plant_id") != pl.col("neighbour_id"))
        .sort("plant_id", "limited", "away", "neighbour_id")
        .group_by("plant_id", maintain_order=True)
        .head(MOST_NEIGHBOURS)
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
