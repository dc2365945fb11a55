"""The steps that call the API: what to ask for, and the answers as received into the raw lake."""

import datetime as dt
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

import polars as pl

from pipeline.billing import spending
from pipeline.extract import request_plan
from pipeline.extract.consents import owners_of
from pipeline.extract.missing_answers import Wanted, wanted_device_logs, wanted_logs, wanted_set
from pipeline.extract.raw_rows import LONG_AGO, Fetched, raw_frame, raw_frames
from pipeline.extract.request_plan import Asked
from pipeline.extract.split_by_day import Dated, Spreading
from pipeline.run.context import Missing, Runtime
from pipeline.run.plants import excluded_plants, listed_ids, owned
from pipeline.run.sets import SetSource, odd_sets, other, other_sets
from pipeline.run.step import EMPTY_NOW, NOT_LISTED, REQUEST_FAILED, Report, quarantine, raw_part, report_of
from pipeline.sma.consents import access_problems
from pipeline.sma.requests import Answer, Failure, Request, plant_of
from pipeline.transform import inventory
from pipeline.transform.intervals import quarantined
from schemas import (
    Devices,
    MeasurementSets,
    Plants,
    RawAnswers,
    RawDevices,
    RawMeasurementSets,
    RawOtherSets,
    RawPlants,
    Table,
    storage,
)

# A plant that left the list is asked for its new id for so long, in case SMA could not answer at first.
ASKED_AFTER_LEAVING = dt.timedelta(days=7)


def fetch_plants(runtime: Runtime) -> Report:
    """Ask for the list of plants: always, since it is one request and tells of lost access.

    Plants that it lacks are asked for by themselves: SMA leads to the new id of a plant that moved.
    """
    report = _fetch_list(runtime, RawPlants, [Request.plants()])
    report.facts["moved"] = _fetch_moves(runtime)
    return report


def fetch_devices(runtime: Runtime) -> Report:
    """Ask for each plant's devices, once a day."""
    return _fetch_list(runtime, RawDevices, device_requests(runtime))


def fetch_measurement_sets(runtime: Runtime) -> Report:
    """Ask which sets each plant and each of its active devices has, once a day."""
    return _fetch_list(runtime, RawMeasurementSets, sets_requests(runtime))


def fetch_set(
    runtime: Runtime, source: SetSource, days: Iterable[dt.date]
) -> Iterator[tuple[dt.date, Report]]:
    """Ask for what the days lack of one set, of every plant or device that has it; each day as it is stored.

    Days of one calendar week are asked for together. Weeks that are finished stay when a later one fails.
    """
    for week in request_plan.weeks(days):
        yield from fetch_days(runtime, wanted_set(runtime, source, week))


def fetch_other_sets(runtime: Runtime, days: Iterable[dt.date]) -> Iterator[tuple[dt.date, Report]]:
    """Ask for what the days lack of every chosen set that has no table of its own; each day as it is stored."""
    for week in request_plan.weeks(days):
        _tell_odd_sets(runtime, week[0])
        reports = {day: Report(facts={"requests": 0, "sets": []}) for day in week}
        for name in other_sets(runtime):
            for day, report in fetch_days(runtime, wanted_set(runtime, other(name), week)):
                reports[day].rows += report.rows
                reports[day].changed |= report.changed
                reports[day].facts["requests"] += report.facts["requests"]
                reports[day].facts["sets"].append(name)
        yield from reports.items()


def fetch_logs(runtime: Runtime, days: Iterable[dt.date]) -> Iterator[tuple[dt.date, Report]]:
    """Ask for what the days lack of every plant's log; each day as it is stored."""
    for week in request_plan.weeks(days):
        yield from fetch_days(runtime, wanted_logs(runtime, week))


def fetch_device_logs(runtime: Runtime, days: Iterable[dt.date]) -> Iterator[tuple[dt.date, Report]]:
    """Ask for what the days lack of every device's own log; each day as it is stored."""
    for week in request_plan.weeks(days):
        yield from fetch_days(runtime, wanted_device_logs(runtime, week))


def device_requests(runtime: Runtime) -> list[Request]:
    """Of every plant whose devices were not asked for today."""
    return _not_today(runtime, RawDevices, [Request.devices(plant) for plant in owned(runtime)["plant_id"]])


def sets_requests(runtime: Runtime) -> list[Request]:
    """Of every plant and active device, and once of each deactivated one: its past can still be asked for."""
    plants = owned(runtime)
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
    return _not_today(runtime, RawMeasurementSets, sorted(requests))


def _not_today(runtime: Runtime, model: type[RawAnswers], requests: list[Request]) -> list[Request]:
    """The requests that were not answered today, or all where everything is asked for anew."""
    if runtime.again:
        return requests
    part = {"local_date": runtime.today()}
    answered = {
        ids
        for batch in runtime.lake.batches(model, part, columns=["plant_id", "device_id"])
        for ids in batch.iter_rows()
    }
    return [request for request in requests if (request.plant_id, request.device_id) not in answered]


def _fetch_list(runtime: Runtime, model: type[RawAnswers], requests: Sequence[Request]) -> Report:
    today = runtime.today()
    asked = [Asked(request, {today: None}) for request in requests]
    days = {today: Fetched(runtime.settings.sma_time_basis)}
    ((_, report),) = fetch_days(runtime, Wanted(model, asked, days, {}))
    return report


def fetch_days(runtime: Runtime, wanted: Wanted) -> Iterator[tuple[dt.date, Report]]:
    """Ask, and replace each day's part by what came; all days of the answers are on their way at once."""
    wanted = _affordable(runtime, wanted)
    if not wanted.asked:
        yield from ((day, Report(facts={"requests": 0})) for day in wanted.days)
        return
    model, days = wanted.model, wanted.days
    table, label = (
        storage(model).table,
        " to ".join(str(day) for day in dict.fromkeys((min(days), max(days)))),
    )
    runtime.progress.begin(table, label, len(wanted.asked))
    with ExitStack() as open_parts:
        parts = {
            day: open_parts.enter_context(runtime.lake.replacement(model, raw_part(day, wanted.set_type)))
            for day in days
        }
        dated = _dated(runtime, wanted)
        for day, frame in raw_frames(dated, days, lambda: _still_listed(runtime)):
            parts[day].add(frame)
        for day, fetched in days.items():
            written = parts[day].commit(devices=fetched.series)
            failed, asked_for = _failed(fetched, model, day), _plants_of(wanted.asked, day)
            quarantine(runtime, model, day, failed, plants=asked_for, set_type=wanted.set_type)
            _tell_missing(runtime, table, day, fetched)
            yield (
                day,
                report_of(
                    written,
                    requests=len(wanted.asked),
                    days_asked_together=len(days),
                    answers=fetched.answers,
                    bytes=fetched.bytes,
                    failed=len(fetched.failures),
                    kept_because_empty=len(fetched.kept),
                    no_longer_listed=len(fetched.unlisted),
                    asked_alone=len(fetched.asked_alone),
                ),
            )


def _affordable(runtime: Runtime, wanted: Wanted) -> Wanted:
    """What is wanted of the plants whose PU may be made. Raises CostNotAllowedError if there is none."""
    plants = _billed(wanted)
    if not plants:
        return wanted
    admission = spending.admit(runtime, plants)
    refused = admission.refused
    if refused is None:
        return wanted
    if not admission.plants:
        raise spending.not_allowed(runtime, refused)
    reason = f"not asked for, because of its cost: {spending.why_not(runtime, refused)}"
    left_out = [Missing(f"{refused.month:%Y-%m}", "billing_units", plant, reason) for plant in refused.ids]
    runtime.missing += [one for one in left_out if one not in runtime.missing]
    return replace(wanted, asked=[ask for ask in wanted.asked if ask.request.plant_id in admission.plants])


def _billed(wanted: Wanted) -> set[str]:
    """The plants that the requests make a PU of: the list of plants is nobody's."""
    return {ask.request.plant_id for ask in wanted.asked} - {""}


def _dated(runtime: Runtime, wanted: Wanted) -> Iterator[Dated]:
    """What comes, by day."""
    table, basis = storage(wanted.model).table, runtime.settings.sma_time_basis
    plants = _billed(wanted)

    def fetch(requests: Iterable[Request]) -> Iterator[Answer | Failure]:
        allowed = spending.within_month(runtime, plants, requests) if plants else requests
        return _counted(runtime, table, runtime.session.fetch(allowed))

    def single(ask: Asked) -> list[Asked]:
        return request_plan.single(ask, wanted.zones[ask.request.plant_id], basis)

    def is_over(answer: Answer, day: dt.date) -> bool:
        return answer.fetched_at >= wanted.days[day].final_after.get(answer.request.plant_id, LONG_AGO)

    def asked_alone(request: Request, day: dt.date) -> None:
        wanted.days[day].asked_alone.add((request.plant_id, request.device_id))

    return Spreading(
        fetch,
        single,
        slack=basis == "utc",
        refused=runtime.weekless,
        is_over=is_over,
        asked_alone=asked_alone,
    ).dated(wanted.asked)


def _fetch_moves(runtime: Runtime) -> int:
    """Keep SMA's answers for plants that left the list lately and have a new id; how many there are."""
    today = runtime.today()
    plants = runtime.lake.scan(Plants).filter(pl.col("last_seen") >= today - ASKED_AFTER_LEAVING).collect()
    known = [*plants["migrated_from"].drop_nulls(), *(listed_ids(runtime) or ())]
    plants = plants.join(excluded_plants(runtime), on="plant_id", how="anti")
    left = plants.filter(~pl.col("plant_id").is_in(known))["plant_id"].to_list()
    # SMA charges the new system, so this may cost as much as any other request.
    left = sorted(spending.admit(runtime, left).plants) if left else []
    results = list(runtime.session.fetch([Request.devices(plant) for plant in left])) if left else []
    moved = [
        r for r in results if isinstance(r, Answer) and plant_of(r.target) not in {None, r.request.plant_id}
    ]
    if moved:
        frame = raw_frame(moved, today, Fetched(runtime.settings.sma_time_basis))
        series = {(answer.request.plant_id, "") for answer in moved}
        runtime.lake.replace(RawPlants, {"local_date": today}, [frame], devices=series)
    return len(moved)


def _tell_missing(runtime: Runtime, table: str, day: dt.date, fetched: Fetched) -> None:
    missing = partial(Missing, str(day), table)
    runtime.missing += [missing(f.request.plant_id, str(f.error)) for f in fetched.failures]
    if fetched.unlisted:
        reason = access_problems.why_gone(runtime.settings.sma_flow, owners_of(runtime.settings))
        text = f"SMA answers without rows; {reason}"
        runtime.missing += [missing(plant, text) for plant in sorted(fetched.unlisted)]
    text = "SMA answers without rows where rows are stored; the stored ones were kept"
    runtime.missing += [missing(plant, text) for plant, _ in fetched.kept]
    kept = {
        *fetched.kept,
        *((plant, device) for plant, device in fetched.silent if plant in fetched.unlisted),
    }
    for plant, device in sorted(fetched.silent - kept):
        whose = f" of device {device}" if device else ""
        text = f"SMA has no rows{whose} of this day, asked for alone too, while it has some of other days of the week"
        runtime.missing.append(missing(plant, text))


def _tell_odd_sets(runtime: Runtime, day: dt.date) -> None:
    for plant, name in odd_sets(runtime):
        reason = f"the set {name!r} can't be asked for: its name is no plain word"
        runtime.missing.append(Missing(str(day), storage(RawOtherSets).table, plant, reason))


def _still_listed(runtime: Runtime) -> set[str]:
    """The plants that SMA lists at this moment. Raises SmaError."""
    (result,) = runtime.session.fetch([Request.plants()])
    if isinstance(result, Failure):
        raise result.error
    return set(
        inventory.plant_ids(pl.DataFrame({"plant_id": [""], "device_id": [""], "body": [result.body]}))
    )


def _plants_of(asked: Collection[Asked], day: dt.date) -> set[str]:
    """The plants that were asked for the day."""
    return {ask.request.plant_id for ask in asked if day in ask.days}


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
