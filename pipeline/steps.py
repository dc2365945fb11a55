"""The steps of the pipeline, one per table, without Dagster: what to ask, what to make of it, where it goes.

Each step does one day (or the whole of a list), reports what it did, and is safe to run again: equal data commits
nothing. Steps meet only in the lake. Nothing after the raw steps calls the API.
"""

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from pipeline import logs as log_entries
from pipeline import master
from pipeline.daily import summarize_day, summarize_months
from pipeline.errors import SunledgerError, UsageError
from pipeline.fetch import Fetched, raw_frames
from pipeline.runtime import Missing, Runtime
from pipeline.sma.requests import Answer, Failure, Request
from pipeline.sun import daylight
from pipeline.timebase import ONE_DAY, TimeBasis, local_day, request_dates
from pipeline.transform import Account, SetTransform, quarantined
from schemas import (
    DeviceEnergyDaily,
    Devices,
    EnergyBalanceIntervals,
    EnergyDaily,
    EnergyMonthly,
    Logs,
    MeasurementSets,
    Plants,
    PvIntervals,
    Quarantine,
    RawAnswers,
    RawDevices,
    RawEnergyBalance,
    RawLogs,
    RawMeasurementSets,
    RawPlants,
    RawPv,
    Table,
    polars_schema,
    storage,
)
from schemas.quantities import ENERGY_AND_POWER_PV, ENERGY_BALANCE, MeasurementSet
from warehouse.lake import Lake, Written

# How long after its end a day may still grow: Classic portals process for up to two hours.
DELAY = {"classic": dt.timedelta(hours=2), "ennexos": dt.timedelta(minutes=10)}
REQUEST_FAILED = "request_failed"
EMPTY_NOW = "empty_now"


@dataclass(slots=True)
class Report:
    """What a step did with one part."""

    rows: int = 0
    changed: bool = False
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SetSource:
    """A measurement set's way through the tables."""

    set: MeasurementSet
    raw: type[RawAnswers]
    intervals: type[Table]
    of_devices: bool


BALANCE = SetSource(ENERGY_BALANCE, RawEnergyBalance, EnergyBalanceIntervals, of_devices=False)
PV = SetSource(ENERGY_AND_POWER_PV, RawPv, PvIntervals, of_devices=True)


# ---- lists -----------------------------------------------------------------------------------------------------------


def fetch_plants(runtime: Runtime) -> Report:
    """Ask for the list of plants."""
    return _fetch_list(runtime, RawPlants, [Request.plants()])


def fetch_devices(runtime: Runtime) -> Report:
    """Ask for each plant's devices."""
    return _fetch_list(
        runtime, RawDevices, [Request.devices(plant) for plant in _listed(runtime)["plant_id"]]
    )


def fetch_measurement_sets(runtime: Runtime) -> Report:
    """Ask which sets each plant and each of its active devices has."""
    active = runtime.lake.scan(Devices).filter(pl.col("is_active").fill_null(value=True)).collect()
    wanted = active.join(_listed(runtime), on="plant_id", how="semi").select("plant_id", "device_id").rows()
    requests = [Request.plant_sets(plant) for plant in _listed(runtime)["plant_id"]]
    requests += [Request.device_sets(plant, device) for plant, device in wanted]
    return _fetch_list(runtime, RawMeasurementSets, sorted(requests))


def write_plants(runtime: Runtime) -> Report:
    """Plants of the newest list, and those seen before."""
    today, answers = _newest(runtime, RawPlants)
    listed, aside = master.plants(answers, today)
    stored = runtime.lake.scan(Plants).collect()
    if not listed.height and not stored.height:
        raise SunledgerError(
            "SMA answered with an empty list of plants. Most likely no plant owner has consented yet: ask the owner to "
            "accept the consent request in the Sunny Portal, then run it again."
        )
    for plant, zone in aside.select("plant_id", "detail").rows():
        reason = f"unknown time zone {zone!r}"
        runtime.missing.append(Missing(str(today), "plants", plant, reason))
    _quarantine(runtime, Plants, today, quarantined(aside, "row", Plants, today))
    written = runtime.lake.replace(Plants, {}, [master.remember(stored, listed, ["plant_id"])])
    return _report(written, listed=listed.height, no_longer_listed=written.rows - listed.height)


def write_devices(runtime: Runtime) -> Report:
    """Devices of the newest lists, and those seen before."""
    today, answers = _newest(runtime, RawDevices)
    stored = runtime.lake.scan(Devices).collect()
    frame = master.remember(stored, master.devices(answers, today), ["plant_id", "device_id"])
    return _report(runtime.lake.replace(Devices, {}, [frame]))


def write_measurement_sets(runtime: Runtime) -> Report:
    """Sets by the newest answers; a plant that was not asked or not answered keeps what was known."""
    _, answers = _newest(runtime, RawMeasurementSets)
    stored = runtime.lake.scan(MeasurementSets).collect()
    kept = stored.join(answers, on="plant_id", how="anti")
    frame = pl.concat([master.measurement_sets(answers), kept]).sort(*storage(MeasurementSets).key)
    return _report(runtime.lake.replace(MeasurementSets, {}, [frame], empty=True))


# ---- days ------------------------------------------------------------------------------------------------------------


def fetch_set(runtime: Runtime, source: SetSource, day: dt.date) -> Report:
    """Ask for one set of every plant or device that has it and was in operation on the day."""
    places = _places(runtime, source, day)
    basis = runtime.settings.sma_time_basis
    name = source.set.name
    requests = []
    for row in places.iter_rows(named=True):
        for date in request_dates(day, row["timezone"], basis):
            if source.of_devices:
                requests.append(Request.device_day(row["plant_id"], row["device_id"], name, date))
            else:
                requests.append(Request.plant_day(row["plant_id"], name, date))
    return _fetch_day(runtime, source.raw, day, places, requests)


def fetch_logs(runtime: Runtime, day: dt.date) -> Report:
    """Ask for every plant's log of the day."""
    places = _in_operation(_listed(runtime), day)
    requests = [Request.logs(plant, day) for plant in places["plant_id"]]
    return _fetch_day(runtime, RawLogs, day, places, requests)


def write_intervals(runtime: Runtime, source: SetSource, day: dt.date) -> Report:
    """Interval rows of the day from the raw lake; calls no API."""
    places = _known_places(runtime.lake, source)
    transform = SetTransform(source.set, source.intervals, runtime.settings.sma_time_basis)
    account = Account()
    frames = transform.day(runtime.lake.batches(source.raw, {"local_date": day}), places, day, account)
    written = runtime.lake.replace(source.intervals, {"local_date": day}, frames)
    _quarantine(runtime, source.intervals, day, account.quarantine())
    return _report(
        written,
        pv_generation_kwh=account.pv_generation_kwh,
        answers=account.answers,
        rows_in=account.rows_in,
        rows_set_aside=account.rows_aside,
        values_set_aside=account.values_aside,
        rows_of_neighbouring_days=account.rows_of_neighbours,
        merged_rows=account.merged_rows,
        unknown_fields=sorted(account.unknown_fields),
    )


def intervals_as_read(
    lake: Lake, source: SetSource, plant_id: str, days: Iterable[dt.date], basis: TimeBasis
) -> pl.DataFrame:
    """A plant's interval rows of some days as another time basis would read the stored answers; calls no API.

    Under `utc` a local day may lie in the answers of its neighbours, as far as they are stored.
    """
    mine = lake.scan(source.raw).filter(pl.col("plant_id") == plant_id).collect()
    places = _known_places(lake, source).filter(pl.col("plant_id") == plant_id)
    transform, account = SetTransform(source.set, source.intervals, basis), Account()
    reach = ONE_DAY if basis == "utc" else dt.timedelta()
    frames = [
        frame
        for day in days
        for frame in transform.day(
            [mine.filter(pl.col("local_date").is_between(day - reach, day + reach))], places, day, account
        )
    ]
    return pl.concat([pl.DataFrame(schema=polars_schema(source.intervals)), *frames])


def write_logs(runtime: Runtime, day: dt.date) -> Report:
    """Log entries of the day from the raw lake; calls no API."""
    places = runtime.lake.scan(Plants).select("plant_id", "timezone").collect()
    basis = runtime.settings.sma_time_basis
    batches = runtime.lake.batches(RawLogs, {"local_date": day})
    frames = (log_entries.entries(batch, places, day, basis) for batch in batches)
    return _report(runtime.lake.replace(Logs, {"local_date": day}, frames, empty=True))


def write_energy_daily(runtime: Runtime, day: dt.date) -> Report:
    """Energy and coverage of every plant that was asked for on the day."""
    asked = _asked(runtime, BALANCE, day)
    return _write_daily(runtime, BALANCE, EnergyDaily, asked, ["plant_id"], day)


def write_device_energy_daily(runtime: Runtime, day: dt.date) -> Report:
    """Energy and coverage of every inverter that was asked for on the day."""
    asked = _asked(runtime, PV, day)
    return _write_daily(runtime, PV, DeviceEnergyDaily, asked, ["plant_id", "device_id"], day)


def write_energy_monthly(runtime: Runtime) -> Report:
    """Months from all stored days."""
    start = pl.struct("start_up", "timezone").map_elements(_local_date, return_dtype=pl.Date)
    starts = runtime.lake.scan(Plants).collect().select("plant_id", start.alias("start_date"))
    quantities = [f.column for f in ENERGY_BALANCE.powers]
    months = summarize_months(runtime.lake.scan(EnergyDaily), starts, quantities)
    report = Report(rows=months.height)
    for frame in months.partition_by("month", maintain_order=True):
        part = {"month": frame["month"][0]}
        columns = polars_schema(EnergyMonthly).names()
        written = runtime.lake.replace(EnergyMonthly, part, [frame.select(columns)])
        report.changed |= written.changed
    report.facts["months"] = months["month"].n_unique()
    return report


# ---- shared ----------------------------------------------------------------------------------------------------------


def _write_daily(
    runtime: Runtime,
    source: SetSource,
    model: type[Table],
    asked: pl.DataFrame,
    keys: list[str],
    day: dt.date,
) -> Report:
    frames = runtime.lake.batches(source.intervals, {"local_date": day})
    quantities = [f.column for f in source.set.powers]
    summary = summarize_day(frames, asked, keys=keys, quantities=quantities)
    frame = summary.with_columns(local_date=pl.lit(day)).select(polars_schema(model).names())
    written = runtime.lake.replace(model, {"local_date": day}, [frame])
    counts = dict(frame["status"].value_counts().rows())
    return _report(
        written,
        pv_generation_kwh=float(frame["pv_generation_kwh"].sum()),
        **{
            status: int(counts.get(status, 0)) for status in ("complete", "partial", "missing", "provisional")
        },
    )


def _listed(runtime: Runtime) -> pl.DataFrame:
    """Plants of the newest list within the run's limits. Raises UsageError for an id that is not among them."""
    plants = runtime.lake.scan(Plants).collect()
    if not plants.height:
        raise SunledgerError("No plants are known yet: refresh the list of plants first.")
    listed = plants.filter(pl.col("last_seen") == pl.col("last_seen").max())
    unknown = sorted(runtime.only_plants - set(listed["plant_id"]))
    if unknown:
        raise UsageError(
            f"Plant {unknown[0]} is not in SMA's list of {listed.height} plants: take ids from the table plants."
        )
    wanted = sorted(runtime.only_plants)
    return listed.filter(pl.col("plant_id").is_in(wanted)) if wanted else listed


def _in_operation(plants: pl.DataFrame, day: dt.date) -> pl.DataFrame:
    """The plants whose operation had begun by the end of the day."""
    ends = _ends(plants, day)
    begun = pl.col("start_up").is_null() | (pl.col("start_up") < pl.col("day_end"))
    return plants.with_columns(day_end=ends).filter(begun)


def _ends(plants: pl.DataFrame, day: dt.date) -> pl.Expr:
    ends = {zone: local_day(day, zone).end for zone in plants["timezone"].unique()}
    return pl.col("timezone").replace_strict(ends, default=None, return_dtype=pl.Datetime("us", "UTC"))


def _known_places(lake: Lake, source: SetSource) -> pl.DataFrame:
    """plant_id, [device_id,] timezone and rated_w of every plant or device ever seen."""
    plants = lake.scan(Plants).collect()
    plant_rated = pl.col("ac_power_kw") * 1000
    if not source.of_devices:
        return plants.select("plant_id", "timezone", rated_w=plant_rated)
    devices = lake.scan(Devices).collect().join(plants, on="plant_id", suffix="_plant")
    rated = pl.when(pl.col("generator_power_w") > 0).then("generator_power_w").otherwise(plant_rated)
    return devices.select("plant_id", "device_id", "timezone", rated_w=rated)


def _places(runtime: Runtime, source: SetSource, day: dt.date) -> pl.DataFrame:
    """The plants or devices to ask for: listed, in operation, and known to have the set; sorted."""
    plants = _in_operation(_listed(runtime), day)
    sets = runtime.lake.scan(MeasurementSets).filter(pl.col("set_type") == source.set.name)
    owner = pl.col("device_id").is_not_null() if source.of_devices else pl.col("device_id").is_null()
    having = sets.filter(owner).collect()
    return having.join(plants, on="plant_id").sort("plant_id", "device_id")


def _asked(runtime: Runtime, source: SetSource, day: dt.date) -> pl.DataFrame:
    """What was asked for on the day, with the bounds of its day and of its daylight, and whether it is final.

    Failed requests were asked too: their plants must show up as missing.
    """
    keys = ["plant_id", "device_id"] if source.of_devices else ["plant_id"]
    raw = runtime.lake.batches(source.raw, {"local_date": day}, columns=["plant_id", "device_id", "final"])
    answered = pl.concat([pl.DataFrame(schema=_ASKED), *raw])
    failed = (
        runtime.lake.scan(Quarantine)
        .filter(pl.col("local_date") == day, pl.col("source") == storage(source.raw).table)
        .select("plant_id", pl.col("device_id").fill_null(""), final=pl.lit(value=True))
        .collect()
    )
    asked = pl.concat([answered, failed]).group_by(keys).agg(pl.col("final").all())
    plants = runtime.lake.scan(Plants).collect()
    placed = asked.join(plants, on="plant_id").with_columns(
        day_start=_starts(plants, day), day_end=_ends(plants, day)
    )
    sun = daylight(plants, day).select("plant_id", "sunrise", "sunset")
    columns = [*keys, "day_start", "day_end", "sunrise", "sunset", "start_up", "final"]
    return placed.join(sun, on="plant_id").select(columns).sort(keys)


_ASKED = {"plant_id": pl.String, "device_id": pl.String, "final": pl.Boolean}


def _starts(plants: pl.DataFrame, day: dt.date) -> pl.Expr:
    starts = {zone: local_day(day, zone).start for zone in plants["timezone"].unique()}
    return pl.col("timezone").replace_strict(starts, default=None, return_dtype=pl.Datetime("us", "UTC"))


def _fetch_list(runtime: Runtime, model: type[RawAnswers], requests: Sequence[Request]) -> Report:
    return _fetch(runtime, model, runtime.today(), requests, {}, with_rows=())


def _fetch_day(
    runtime: Runtime, model: type[RawAnswers], day: dt.date, places: pl.DataFrame, requests: Sequence[Request]
) -> Report:
    delay = pl.col("backend").replace_strict(DELAY, return_dtype=pl.Duration("us"))
    final_after = dict(places.select("plant_id", pl.col("day_end") + delay).rows())
    columns = ["plant_id", "device_id", "request_date", "no_rows"]
    stored = runtime.lake.batches(model, {"local_date": day}, columns=columns)
    with_rows = {
        key
        for batch in stored
        for key in batch.filter(~pl.col("no_rows")).select("plant_id", "device_id", "request_date").rows()
    }
    return _fetch(runtime, model, day, sorted(requests), final_after, with_rows=with_rows)


def _fetch(
    runtime: Runtime,
    model: type[RawAnswers],
    day: dt.date,
    requests: Sequence[Request],
    final_after: dict[str, dt.datetime],
    with_rows: Iterable[tuple[str, str, str]],
) -> Report:
    table = storage(model).table
    fetched = Fetched()
    if not requests:
        return Report(facts={"requests": 0})
    runtime.progress.begin(table, str(day), len(requests))
    results = _counted(runtime, table, runtime.session.fetch(requests))
    frames = raw_frames(
        results, day, final_after=final_after, with_rows=frozenset(with_rows), fetched=fetched
    )
    # The set of answered plants fills while the frames are drawn, before the commit looks at it.
    written = runtime.lake.replace(model, {"local_date": day}, frames, plants=fetched.plants)
    _quarantine(runtime, model, day, _failed(fetched, model, day), plants=_plants_of(requests))
    for failure in fetched.failures:
        reason = str(failure.error)
        runtime.missing.append(Missing(str(day), table, failure.request.plant_id, reason))
    for plant in fetched.kept:
        reason = "SMA answers without rows where rows are stored; the stored ones were kept"
        runtime.missing.append(Missing(str(day), table, plant, reason))
    return _report(
        written,
        requests=len(requests),
        answers=fetched.answers,
        bytes=fetched.bytes,
        failed=len(fetched.failures),
        kept_because_empty=len(fetched.kept),
    )


def _plants_of(requests: Sequence[Request]) -> set[str]:
    return {request.plant_id for request in requests}


def _counted(runtime: Runtime, step: str, results: Iterable[Answer | Failure]) -> Iterator[Answer | Failure]:
    for result in results:
        runtime.progress.advance(step)
        yield result


def _failed(fetched: Fetched, model: type[Table], day: dt.date) -> pl.DataFrame:
    """Rows of quarantine for requests without a usable answer."""
    rows = [
        (f.request.plant_id, f.request.device_id, REQUEST_FAILED, str(f.error)) for f in fetched.failures
    ] + [(plant, "", EMPTY_NOW, None) for plant in fetched.kept]
    found = pl.DataFrame(
        rows,
        schema=dict.fromkeys(("plant_id", "device_id", "reason", "detail"), pl.String),
        orient="row",
    )
    return quarantined(found, "answer", model, day)


def _quarantine(
    runtime: Runtime, model: type[Table], day: dt.date, rows: pl.DataFrame, plants: set[str] | None = None
) -> None:
    part: dict[str, dt.date | str] = {"local_date": day, "source": storage(model).table}
    runtime.lake.replace(Quarantine, part, [rows], plants=plants, empty=True)


def _newest(runtime: Runtime, model: type[RawAnswers]) -> tuple[dt.date, pl.DataFrame]:
    """The newest part of a list's raw table and the day it was asked for."""
    parts = runtime.lake.parts(model)
    if not parts:
        raise SunledgerError(f"Nothing is stored in {storage(model).table} yet: fetch it first.")
    day = dt.date.fromisoformat(parts[-1]["local_date"])
    frames = runtime.lake.batches(model, parts[-1], columns=["plant_id", "device_id", "body"])
    return day, pl.concat(frames)


def _local_date(start: dict[str, Any]) -> dt.date | None:
    """The plant-local date of a start of operation."""
    moment: dt.datetime | None = start["start_up"]
    if moment is None:
        return None
    day = moment.date()
    if moment >= local_day(day, start["timezone"]).end:
        return day + dt.timedelta(days=1)
    return day - dt.timedelta(days=1) if moment < local_day(day, start["timezone"]).start else day


def _report(written: Written, **facts: Any) -> Report:
    return Report(rows=written.rows, changed=written.changed, facts=facts)
