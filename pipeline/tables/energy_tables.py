"""Energy by day and month from the stored intervals: energy_daily, device_energy_daily, energy_monthly."""

import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from pipeline.common.errors import SunledgerError
from pipeline.common.local_time import UTC_US, find_local_day
from pipeline.common.release import find_release
from pipeline.run.context import RunContext
from pipeline.run.fleet_lists.unanswered_lists import find_inverters_of_unknown_sets
from pipeline.run.fleet_lists.unlisted_devices import select_unlisted
from pipeline.run.measurement_sets import BALANCE, PV, SetSource, choose_sets, find_plants_with_set
from pipeline.run.plants import add_day_bounds, drop_months_without, find_excluded_plants
from pipeline.run.step_result import StepResult, build_result
from pipeline.run.supplied_files.fleet_membership import select_days_of_months
from pipeline.run.supplied_files.supplied_thresholds import read_thresholds
from pipeline.run.table_step import Stage, writes
from pipeline.tables.day_contradictions import check_inverters, check_plants
from pipeline.tables.device_swaps import find_absent_devices
from pipeline.tables.incomplete_days import list_plants_with_balance
from pipeline.tables.month_close import adjust, read_closed_months
from pipeline.tables.restatement_tables import drop_unmade, note_figures
from pipeline.transform.coverage import BOUNDS, BY_DAY
from pipeline.transform.daily import DECISIVE, list_day_columns, summarize_day, summarize_months
from pipeline.transform.lists.plant_moves import find_successors, join_asked, join_rows
from pipeline.transform.sun.position import find_daylight
from schemas import (
    Adjustments,
    CoverageDaily,
    DeviceEnergyDaily,
    Devices,
    EnergyBalanceIntervals,
    EnergyDaily,
    EnergyMonthly,
    MeasurementSets,
    Plants,
    PvIntervals,
    Quarantine,
    RawPv,
    Restatements,
    Table,
    polars_schema,
    storage,
)
from schemas.quantities import ENERGY_BALANCE
from warehouse.lake import Lake, Part, WriteResult

# The set that a device has if it is a meter at the grid.
METER_SET = "EnergyAndPowerInOut"
# The types of devices, as SMA's lists name them, in small letters, that generate nothing: what one of them measures of
# PV is energy of an inverter, measured a second time.
MEASURING_TYPES = ("energy meter", "monitoring and control", "sensor technology", "remote socket")


@writes(
    EnergyDaily,
    reads=(EnergyBalanceIntervals, RawPv, Plants),
    stage=Stage.DAYS,
    beside=(CoverageDaily, Restatements, Quarantine),
)
def write_energy_daily(runtime: RunContext, day: dt.date) -> StepResult:
    """Energy and coverage of every plant whose data of the day was requested.

    Raises SunledgerError for a day that was never fetched though plants were in operation: nothing is not energy.
    """
    report = _write_daily(runtime, BALANCE, EnergyDaily, ["plant_id"], day)
    if (
        not report.rows
        and BALANCE in choose_sets(runtime.settings)
        and list_plants_with_balance(runtime, day).height
    ):
        raise SunledgerError(
            f"{day} was never fetched: materialize raw_energy_balance of that day first, or run 'sunledger backfill "
            f"--from {day} --to {day}'."
        )
    report.facts["plants_without_generation"] = check_plants(runtime, BALANCE, day)
    return report


@writes(DeviceEnergyDaily, reads=(PvIntervals, Plants, EnergyDaily), stage=Stage.DAYS, beside=(Quarantine,))
def write_device_energy_daily(runtime: RunContext, day: dt.date) -> StepResult:
    """Energy and coverage of every inverter whose data of the day was requested, compared with the plants' own."""
    report = _write_daily(runtime, PV, DeviceEnergyDaily, ["plant_id", "device_id"], day)
    against, idle = check_inverters(runtime, PV, day)
    report.facts |= {"plants_that_inverters_contradict": against, "inverters_without_generation": idle}
    return report


@writes(EnergyMonthly, reads=(EnergyDaily,), stage=Stage.MONTHS, every="month", beside=(Adjustments,))
def write_energy_monthly(runtime: RunContext) -> StepResult:
    """Months from all stored days, those of plants that moved under their newest id."""
    rejoined = _rejoin(runtime)
    start = pl.struct("start_up", "timezone").map_elements(_convert_to_local_date, return_dtype=pl.Date)
    starts = runtime.lake.read_whole(Plants).select("plant_id", start.alias("start_date"))
    quantities = [f.column for f in ENERGY_BALANCE.powers]
    closed = read_closed_months(runtime)
    excluded = find_excluded_plants(runtime)
    days = select_days_of_months(runtime.lake.scan(EnergyDaily), excluded, closed["month"].unique())
    # No data is expected for days after the plant was excluded.
    starts = starts.join(excluded, on="plant_id", how="left").rename({"excluded_from": "end_date"})
    months = summarize_months(days, starts, quantities)
    report = StepResult(rows=months.height)
    drop_months_without(runtime, EnergyMonthly, {*months["month"], *closed["month"]})
    for frame in months.filter(~pl.col("month").is_in(closed["month"].implode())).partition_by(
        "month", maintain_order=True
    ):
        part = {"month": frame["month"][0]}
        columns = polars_schema(EnergyMonthly).names()
        written = runtime.lake.replace(EnergyMonthly, part, [frame.select(columns)])
        report.changed |= written.changed
    report.facts["months"] = months["month"].n_unique()
    report.facts["days_joined_after_a_move"] = rejoined
    report.facts["closed_months_changed"] = adjust(runtime, closed, months)
    return report


def _rejoin(runtime: RunContext) -> int:
    """Rebuild the days that still hold a plant by an id that it had before it moved; return their number."""
    moved = find_successors(runtime.lake.read_whole(Plants))
    old = pl.col("plant_id").is_in(moved["plant_id"].to_list())
    days = 0
    for model, write in ((EnergyDaily, write_energy_daily), (DeviceEnergyDaily, write_device_energy_daily)):
        held = runtime.lake.scan(model).filter(old) if moved.height else runtime.lake.scan(model).clear()
        for day in held.select(pl.col("local_date").unique().sort()).collect()["local_date"]:
            write(runtime, day)
            days += 1
    return days


def _write_daily(
    runtime: RunContext, source: SetSource, model: type[Table], keys: list[str], day: dt.date
) -> StepResult:
    part = {"local_date": day}
    quantities = [f.column for f in source.set.powers]
    limits = read_thresholds(runtime.settings.quality)
    moved = find_successors(runtime.lake.read_whole(Plants))
    rows = runtime.lake.read_batches(source.intervals, part, columns=[*keys, *list_day_columns(quantities)])
    frames = join_rows(rows, moved, keys)
    asked = _list_asked(runtime, source, moved, keys, day)
    days, named = summarize_day(frames, asked, keys=keys, quantities=quantities, limits=limits)
    silent = days.filter(pl.col("n_rows") == 0).select(keys)
    absent = silent.join(asked.filter("replaced"), on=keys, how="semi")
    if source.of_devices:
        absent = pl.concat([absent, find_absent_devices(runtime, source, silent, day)])
    frame, named = (
        found.join(absent, on=keys, how="anti", maintain_order="left").with_columns(local_date=pl.lit(day))
        for found in (days, named)
    )
    frame = frame.join(asked.select(*keys, "timezone"), on=keys, how="left", maintain_order="left")
    frame = frame.select(polars_schema(model).names())
    if model is EnergyDaily:
        runtime.lake.replace(CoverageDaily, part, [named.select(polars_schema(CoverageDaily).names())])
        written = _replace_figures(runtime, day, frame, moved)
    else:
        frame = _drop_meters(runtime.lake, frame)
        written = runtime.lake.replace(model, part, [frame])
    counts = dict(frame["status"].value_counts().rows())
    return build_result(
        written,
        pv_generation_kwh=float(frame["pv_generation_kwh"].sum()),
        coverage=_measure_coverage(frame),
        **{
            status: int(counts.get(status, 0)) for status in ("complete", "partial", "missing", "provisional")
        },
    )


def _replace_figures(
    runtime: RunContext, day: dt.date, frame: pl.DataFrame, moved: pl.DataFrame
) -> WriteResult:
    """Store the plants' day, and record final figures that change as restatements."""
    with runtime.lake.open_replacement(EnergyDaily, {"local_date": day}) as new:
        new.add(frame)
        for change in new.find_changes({"version": find_release()}):
            note_figures(runtime, day, moved, change)
            new.commit_change(change)
    if not new.written.changed:
        drop_unmade(runtime, EnergyDaily, Restatements, day)
    return new.written


def _measure_coverage(daily: pl.DataFrame) -> float:
    """The share of all expected time that is covered by rows; 1 where nothing was expected."""
    covered, expected = (float(daily[name].sum()) for name in ("covered_h", "expected_h"))
    return min(1.0, covered / expected) if expected else 1.0


def _list_asked(
    runtime: RunContext, source: SetSource, moved: pl.DataFrame, keys: list[str], day: dt.date
) -> pl.DataFrame:
    """The plants or devices that were requested, with the bounds of day and daylight, and whether the day is final.

    Failed requests were asked too: their plants must show up as missing, once the day is over.
    """
    raw = runtime.lake.read_batches(
        source.raw, {"local_date": day}, columns=["plant_id", "device_id", "final"]
    )
    answered = pl.concat([pl.DataFrame(schema=_ASKED), *raw])
    part: Part = {"local_date": day, "source": storage(source.raw).table}
    failed = [
        batch.select("plant_id", pl.col("device_id").fill_null(""), final=pl.lit(None, pl.Boolean))
        for batch in runtime.lake.read_batches(Quarantine, part, columns=["plant_id", "device_id"])
    ]
    beside = (
        *_list_inverter_plants(runtime, source, day),
        *_list_unknown_inverters(runtime.lake, source, day),
    )
    asked = pl.concat([answered, *failed, *beside])
    if source.of_devices:
        # A plant that is no longer listed is reported as a whole, without a device.
        asked = asked.filter(pl.col("device_id") != "")
    plants = runtime.lake.read_whole(Plants)
    placed = add_day_bounds(join_asked(asked, moved, keys).join(plants, on="plant_id"), day)
    return (
        placed.join(find_daylight(plants, day).select("plant_id", "sunrise", "sunset"), on="plant_id")
        .join(_find_ends(runtime.lake, keys, day), on=keys, how="left")
        .with_columns(
            pl.col("final") & (pl.lit(runtime.now()) >= pl.col("day_end")),
            expects=_list_expected_quantities(runtime.lake, source, day),
        )
        .select(*keys, *BOUNDS, "final", "expects", "replaced", "timezone")
        .sort(keys)
    )


def _list_inverter_plants(runtime: RunContext, source: SetSource, day: dt.date) -> list[pl.DataFrame]:
    """The plants whose inverters were requested for the day and that have no EnergyBalance.

    They are missing, and not absent: what their inverters deliver stands beside them.
    """
    if source is not BALANCE:
        return []
    without = ~pl.col("plant_id").is_in(find_plants_with_set(runtime.lake, source).implode())
    return [
        batch.filter(without).with_columns(device_id=pl.lit(""))
        for batch in runtime.lake.read_batches(RawPv, {"local_date": day}, columns=list(_ASKED))
    ]


def _list_unknown_inverters(lake: Lake, source: SetSource, day: dt.date) -> list[pl.DataFrame]:
    """The inverters that were not asked for, because their lists of sets never came, beside others that were.

    They are missing: without a row, the others would look like all inverters of the plant.
    """
    inverters = find_inverters_of_unknown_sets(lake) if source is PV else pl.DataFrame()
    if not inverters.height:
        return []
    inverters = inverters.join(_find_gone_devices(lake, day), on=["plant_id", "device_id"], how="anti")
    return [
        inverters.join(batch, on="plant_id", how="semi").with_columns(final=pl.lit(None, pl.Boolean))
        for batch in lake.read_batches(RawPv, {"local_date": day}, columns=["plant_id"])
    ]


def _drop_meters(lake: Lake, rows: pl.DataFrame) -> pl.DataFrame:
    """The rows of device_energy_daily without devices that are no inverters by their type, beside an inverter.

    A device without a type may be one. A meter that is alone tells what inverters make of which SMA knows nothing.
    """
    kind = pl.col("type").str.to_lowercase()
    meters = lake.read_whole(Devices).filter(kind.is_in(MEASURING_TYPES))["device_id"].unique()
    # As a column: within a window the devices of the fleet would be copied for each plant.
    found = rows.with_columns(is_meter=pl.col("device_id").is_in(meters.implode()))
    kept = ~pl.col("is_meter") | pl.col("is_meter").all().over("plant_id")
    return found.filter(kept).drop("is_meter")


def _find_ends(lake: Lake, keys: list[str], day: dt.date) -> pl.DataFrame:
    """`ended` (UTC) of devices that were deactivated on the day or before; no data is expected after it."""
    if "device_id" not in keys:
        return pl.DataFrame(schema={"plant_id": pl.String, "ended": UTC_US})
    gone = lake.read_whole(Devices).filter(pl.col("deactivated_at").dt.date() <= day)
    if not gone.height:
        return pl.DataFrame(schema=dict.fromkeys(keys, pl.String()) | {"ended": UTC_US})
    gone = gone.join(lake.read_whole(Plants).select("plant_id", "timezone"), on="plant_id")
    times = [
        at.replace(tzinfo=ZoneInfo(zone)).astimezone(dt.UTC)
        for at, zone in gone.select("deactivated_at", "timezone").iter_rows()
    ]
    return gone.select(*keys, ended=pl.Series(times, dtype=UTC_US))


def _list_expected_quantities(lake: Lake, source: SetSource, day: dt.date) -> pl.Expr:
    """The quantities of which a plant should have a value: PV, and a meter's quantities where it has a meter then.

    The sets of a meter stay known when it was removed: what SMA has of its days is asked for still.
    """
    if source.of_devices:
        return pl.lit([BY_DAY])
    meters = lake.read_whole(MeasurementSets).filter(pl.col("set_type") == METER_SET)
    meters = meters.join(_find_gone_devices(lake, day), on=["plant_id", "device_id"], how="anti")
    return (
        pl.when(pl.col("plant_id").is_in(meters["plant_id"].unique().implode()))
        .then(pl.lit([*DECISIVE]))
        .otherwise(pl.lit([BY_DAY]))
    )


def _find_gone_devices(lake: Lake, day: dt.date) -> pl.DataFrame:
    """plant_id and device_id of the devices that were removed before the day: by SMA's word, or by its lists."""
    keys = ["plant_id", "device_id"]
    devices = lake.read_whole(Devices)
    ended = devices.filter(pl.col("deactivated_at") <= dt.datetime.combine(day, dt.time()))
    unlisted = select_unlisted(devices).filter(pl.col("last_seen") < day)
    return pl.concat([ended.select(keys), unlisted.select(keys)])


_ASKED = {"plant_id": pl.String, "device_id": pl.String, "final": pl.Boolean}


def _convert_to_local_date(start: dict[str, Any]) -> dt.date | None:
    """The plant-local date on which operation starts."""
    moment: dt.datetime | None = start["start_up"]
    if moment is None:
        return None
    day = moment.date()
    if moment >= find_local_day(day, start["timezone"]).end:
        return day + dt.timedelta(days=1)
    return day - dt.timedelta(days=1) if moment < find_local_day(day, start["timezone"]).start else day
