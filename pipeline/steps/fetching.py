"""The steps that call the API: what to ask for, and the answers as received into the raw lake."""

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence

import polars as pl

from pipeline import access, master
from pipeline.due import DELAY
from pipeline.fetch import Fetched, raw_frames
from pipeline.runtime import Missing, Runtime
from pipeline.sma.requests import Answer, Failure, Request
from pipeline.steps.access import owners_of
from pipeline.steps.base import (
    BALANCE,
    EMPTY_NOW,
    NOT_LISTED,
    PV,
    REQUEST_FAILED,
    Report,
    SetSource,
    in_operation,
    listed,
    quarantine,
    report_of,
)
from pipeline.timebase import request_dates
from pipeline.transform import quarantined
from schemas import (
    Devices,
    MeasurementSets,
    Quarantine,
    RawAnswers,
    RawDevices,
    RawLogs,
    RawMeasurementSets,
    RawPlants,
    Table,
    storage,
)
from warehouse.lake import Part


def fetch_plants(runtime: Runtime) -> Report:
    """Ask for the list of plants."""
    return _fetch_list(runtime, RawPlants, [Request.plants()])


def fetch_devices(runtime: Runtime) -> Report:
    """Ask for each plant's devices."""
    return _fetch_list(runtime, RawDevices, _device_requests(runtime))


def fetch_measurement_sets(runtime: Runtime) -> Report:
    """Ask which sets each plant and each of its active devices has."""
    return _fetch_list(runtime, RawMeasurementSets, _sets_requests(runtime))


def fetch_set(runtime: Runtime, source: SetSource, day: dt.date) -> Report:
    """Ask for one set of every plant or device that has it and was in operation on the day."""
    places = _places(runtime, source, day)
    return _fetch_day(runtime, source.raw, day, places, _set_requests(runtime, source, places, day))


def fetch_logs(runtime: Runtime, day: dt.date) -> Report:
    """Ask for every plant's log of the day."""
    places = in_operation(listed(runtime), day, runtime.now())
    return _fetch_day(
        runtime, RawLogs, day, places, [Request.logs(plant, day) for plant in places["plant_id"]]
    )


def count_list_requests(runtime: Runtime) -> int:
    """How many requests a refresh of the lists takes, as far as the lake knows the plants."""
    return 1 + len(_device_requests(runtime)) + len(_sets_requests(runtime))


def count_day_requests(runtime: Runtime, day: dt.date) -> dict[str, int]:
    """How many requests a day takes, by raw table; asks nobody."""
    counts = {
        storage(source.raw).table: len(_set_requests(runtime, source, _places(runtime, source, day), day))
        for source in (BALANCE, PV)
    }
    return counts | {storage(RawLogs).table: in_operation(listed(runtime), day, runtime.now()).height}


def _device_requests(runtime: Runtime) -> list[Request]:
    return [Request.devices(plant) for plant in listed(runtime)["plant_id"]]


def _sets_requests(runtime: Runtime) -> list[Request]:
    """Of every plant and active device, and once of each deactivated one: its past can still be asked for."""
    plants = listed(runtime)
    known = runtime.lake.scan(MeasurementSets).filter(pl.col("device_id").is_not_null()).collect()
    devices = runtime.lake.scan(Devices).collect().join(plants, on="plant_id", how="semi")
    active = pl.col("is_active").fill_null(value=True)
    wanted = pl.concat(
        [
            devices.filter(active),
            devices.filter(~active).join(known, on=["plant_id", "device_id"], how="anti"),
        ]
    )
    requests = [Request.plant_sets(plant) for plant in plants["plant_id"]]
    requests += [Request.device_sets(*ids) for ids in wanted.select("plant_id", "device_id").rows()]
    return sorted(requests)


def _set_requests(runtime: Runtime, source: SetSource, places: pl.DataFrame, day: dt.date) -> list[Request]:
    basis, name = runtime.settings.sma_time_basis, source.set.name
    return [
        Request.device_day(row["plant_id"], row["device_id"], name, date)
        if source.of_devices
        else Request.plant_day(row["plant_id"], name, date)
        for row in places.iter_rows(named=True)
        for date in request_dates(day, row["timezone"], basis)
    ]


def _places(runtime: Runtime, source: SetSource, day: dt.date) -> pl.DataFrame:
    """The plants or devices to ask for: listed, in operation on the day, and known to have the set; sorted."""
    plants = in_operation(listed(runtime), day, runtime.now())
    sets = runtime.lake.scan(MeasurementSets).filter(pl.col("set_type") == source.set.name)
    owner = pl.col("device_id").is_not_null() if source.of_devices else pl.col("device_id").is_null()
    having = sets.filter(owner).collect().join(plants, on="plant_id").sort("plant_id", "device_id")
    ended = runtime.lake.scan(Devices).filter(pl.col("deactivated_at").dt.date() < day).collect()
    return having.join(ended, on=["plant_id", "device_id"], how="anti", maintain_order="left")


def _fetch_list(runtime: Runtime, model: type[RawAnswers], requests: Sequence[Request]) -> Report:
    return _fetch(runtime, model, runtime.today(), requests, {}, with_rows=())


def _fetch_day(
    runtime: Runtime, model: type[RawAnswers], day: dt.date, places: pl.DataFrame, requests: Sequence[Request]
) -> Report:
    delay = pl.col("backend").replace_strict(DELAY, return_dtype=pl.Duration("us"))
    final_after = dict(places.select("plant_id", pl.col("day_end") + delay).rows())
    columns = list(_STORED)
    batches = runtime.lake.batches(model, {"local_date": day}, columns=columns)
    stored = pl.concat([pl.DataFrame(schema=_STORED), *batches])
    with_rows = set(stored.filter(~pl.col("no_rows")).select(_REQUEST).rows())
    if runtime.missing_only:
        requests = _missing(runtime, model, day, stored, requests)
        if not requests:
            return Report(rows=stored.height, facts={"requests": 0})
    return _fetch(runtime, model, day, sorted(requests), final_after, with_rows=with_rows)


def _missing(
    runtime: Runtime, model: type[Table], day: dt.date, stored: pl.DataFrame, requests: Sequence[Request]
) -> list[Request]:
    """The requests whose answer is not stored, may still have grown, or was set aside when it was last asked for."""
    part: Part = {"local_date": day, "source": storage(model).table}
    doubtful = {
        (plant, device or "")
        for batch in runtime.lake.batches(Quarantine, part, columns=["plant_id", "device_id"])
        for plant, device in batch.select("plant_id", "device_id").rows()
    }
    final = set(stored.filter("final").select(_REQUEST).rows())
    return [
        request
        for request in requests
        if (request.plant_id, request.device_id, request.date) not in final
        or (request.plant_id, request.device_id) in doubtful
    ]


_REQUEST = ("plant_id", "device_id", "request_date")
_STORED = {**dict.fromkeys(_REQUEST, pl.String), "final": pl.Boolean, "no_rows": pl.Boolean}


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
        results,
        day,
        final_after=final_after,
        with_rows=frozenset(with_rows),
        fetched=fetched,
        still_listed=lambda: _still_listed(runtime),
    )
    # The set of what was answered fills while the frames are drawn, before the commit looks at it.
    written = runtime.lake.replace(model, {"local_date": day}, frames, devices=fetched.series)
    quarantine(runtime, model, day, _failed(fetched, model, day), plants=_plants_of(requests))
    for failure in fetched.failures:
        reason = str(failure.error)
        runtime.missing.append(Missing(str(day), table, failure.request.plant_id, reason))
    for plant in fetched.unlisted:
        reason = access.why_gone(runtime.settings.sma_flow, owners_of(runtime.settings))
        runtime.missing.append(Missing(str(day), table, plant, f"SMA answers without rows; {reason}"))
    for plant, _ in fetched.kept:
        reason = "SMA answers without rows where rows are stored; the stored ones were kept"
        runtime.missing.append(Missing(str(day), table, plant, reason))
    return report_of(
        written,
        requests=len(requests),
        answers=fetched.answers,
        bytes=fetched.bytes,
        failed=len(fetched.failures),
        kept_because_empty=len(fetched.kept),
        no_longer_listed=len(fetched.unlisted),
    )


def _still_listed(runtime: Runtime) -> set[str]:
    """The plants that SMA lists at this moment. Raises SmaError."""
    (result,) = runtime.session.fetch([Request.plants()])
    if isinstance(result, Failure):
        raise result.error
    return set(master.plant_ids(pl.DataFrame({"plant_id": [""], "device_id": [""], "body": [result.body]})))


def _plants_of(requests: Sequence[Request]) -> set[str]:
    return {request.plant_id for request in requests}


def _counted(runtime: Runtime, step: str, results: Iterable[Answer | Failure]) -> Iterator[Answer | Failure]:
    for result in results:
        runtime.progress.advance(step)
        yield result


def _failed(fetched: Fetched, model: type[Table], day: dt.date) -> pl.DataFrame:
    """Rows of quarantine for requests without a usable answer."""
    rows: list[tuple[str, str, str, str | None]] = [
        (f.request.plant_id, f.request.device_id, REQUEST_FAILED, str(f.error)) for f in fetched.failures
    ]
    rows += [(plant, device, EMPTY_NOW, None) for plant, device in fetched.kept]
    rows += [(plant, "", NOT_LISTED, None) for plant in sorted(fetched.unlisted)]
    found = pl.DataFrame(
        rows,
        schema=dict.fromkeys(("plant_id", "device_id", "reason", "detail"), pl.String),
        orient="row",
    )
    return quarantined(found, "answer", model, day)
