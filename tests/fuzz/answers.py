"""Checks of what SMA answers: rows, lists, logs, and the times in them."""

import datetime as dt

import polars as pl

from pipeline.common.local_time import (
    convert_to_wall_clock,
    find_local_day,
    is_timezone,
    list_request_dates,
)
from pipeline.extract.answer_checks import find_fault, find_faults
from pipeline.extract.split_json import Span, cut_logs, cut_rows
from pipeline.sma.requests import Answer, Endpoint, Request
from pipeline.transform import log_entries
from pipeline.transform.decode import Decoder
from pipeline.transform.generic_intervals import OtherTransform
from pipeline.transform.intervals import SetTransform
from pipeline.transform.lists import inventory, list_faults, remembered_lists
from schemas import (
    Devices,
    LogMessages,
    Logs,
    MeasurementSets,
    Plants,
    Quarantine,
)
from schemas.quantities import ENERGY_BALANCE
from tests.fuzz import inputs
from tests.fuzz.properties import (
    BASES,
    RATED_W,
    SETS,
    TODAY,
    ZONES,
    assert_energies_are_of_the_powers,
    assert_fits,
    assert_odd,
    assert_pv_is_within_its_bound,
    choose,
)
from tests.transform.answers import FETCHED, Outcome, places, raw


def check_measurements(data: bytes) -> None:
    """An answer to rows of one of the interval tables, twice in a batch with a good one."""
    source = SETS[choose(data, 1, len(SETS))]
    basis = BASES[choose(data, 2, 2)]
    day = dt.date.fromisoformat(inputs.DAYS[choose(data, 3, len(inputs.DAYS))])
    zone = ZONES[choose(data, 4, len(ZONES))]
    device = "7" if source.of_devices else ""
    good = b'{"resolution":"FiveMinutes","set":[{"time":"%b"}]}' % f"{day}T12:00:00".encode()
    where = places(
        {"1": zone, "2": zone},
        rated_w=RATED_W,
        device=device or None,
        latitude=52.0,
        longitude=13.0,
        peak_w=6_000.0,
    ).with_columns(own_w=pl.lit(None, pl.Float64))
    merged = ("gap", "mean")[choose(data, 5, 2)]
    transform = SetTransform(source.set, source.intervals, basis, merged)  # type: ignore[arg-type]
    frames = [raw([("1", data), ("2", good)], device=device)]
    outcome = Outcome.of(source.intervals, transform.transform_day(frames, where, day))
    rows = outcome.rows
    assert_fits(source.intervals, rows, {"local_date": day})
    assert_fits(Quarantine, outcome.quarantine, {"local_date": day})
    assert_energies_are_of_the_powers(rows, find_local_day(day, zone).hours)
    if source.set is ENERGY_BALANCE and not source.energies:
        assert_pv_is_within_its_bound(rows)


def check_other_sets(data: bytes) -> None:
    """The same for a set that no table knows: every value becomes a row or is told."""
    day = dt.date(2025, 7, 9)
    where = places({"1": "Europe/Berlin"}, device="")
    transform = OtherTransform("Novel", BASES[choose(data, 1, 2)])
    frames = [raw([("1", data)]).with_columns(set_type=pl.lit("Novel"))]
    outcome = Outcome.of(transform.model, transform.transform_day(frames, where, day))
    assert_fits(transform.model, outcome.rows, {"local_date": day})
    assert_fits(Quarantine, outcome.quarantine, {"local_date": day})


def check_split(data: bytes) -> None:
    """A week's answer cut by day: the pieces hold the rows of the whole, each once."""
    days = [dt.date(2025, 7, 7) + dt.timedelta(days=n) for n in range(7)]
    spans = [
        Span(f"{day}T00:00:00".encode(), f"{day + dt.timedelta(days=1)}T00:00:00".encode()) for day in days
    ]
    pieces = cut_rows(data, spans)
    if pieces is None:
        return
    assert len(pieces.bodies) == len(pieces.rows) == len(spans)
    decoder = Decoder(("pvGeneration",))
    whole = decoder.decode(pl.Series([data], dtype=pl.Binary))
    if whole.bad_answers.height:
        return
    read = [decoder.decode(pl.Series([body], dtype=pl.Binary)) for body in pieces.bodies]
    assert not any(part.bad_answers.height for part in read)
    # What is no row at all, such as a number among rows, goes with the row before it.
    assert [part.rows["raw_time"].count() for part in read] == list(pieces.rows)
    assert sum(pieces.rows) + pieces.before + pieces.after <= whole.rows.height
    labels = pl.concat([part.rows["raw_time"] for part in read])
    assert labels.is_in(whole.rows["raw_time"].implode()).all()


def check_logs(data: bytes) -> None:
    """A log's entries by day, and the rows and messages that are made of them."""
    if _is_refused(data, "logs"):
        return
    spans = [
        Span(b"2025-07-08T00:00:00", b"2025-07-09T00:00:00"),
        Span(b"2025-07-09T00:00:00", b"2025-07-10T00:00:00"),
    ]
    (pieces,) = cut_logs([(data, spans)])
    bodies = [data] if pieces is None else list(pieces.bodies)
    where = pl.DataFrame({"plant_id": ["1"], "timezone": [ZONES[choose(data, 1, len(ZONES))]]})
    day = dt.date(2025, 7, 9)
    frame = pl.concat(raw([("1", body)], device=("", "7")[n % 2]) for n, body in enumerate(bodies))
    rows = log_entries.build_entries(frame, where, day, BASES[choose(data, 2, 2)])
    assert_fits(Logs, rows, {"local_date": day})
    plants = pl.DataFrame({"plant_id": ["1"], "backend": ["ennexos"]})
    assert_fits(LogMessages, log_entries.build_messages(rows.lazy(), plants), {})


def check_plants(data: bytes) -> None:
    """A list of plants: rows, what was set aside, what is odd, what is new."""
    if _is_refused(data, "plants"):
        return
    answers = raw([("", data)]).select("plant_id", "device_id", "body")
    rows, aside = inventory.build_plants(answers, TODAY)
    assert_fits(Plants, rows, {})
    assert not set(rows["plant_id"]) & set(aside["plant_id"])
    assert set(inventory.list_plant_ids(answers)) == set(rows["plant_id"]) | set(aside["plant_id"])
    assert_odd(list_faults.find_odd_facts(answers))
    list_faults.find_unknown_fields(answers, "plants", list_faults.PLANT_FIELDS)
    kept = remembered_lists.remember_plants(rows, rows)
    assert_fits(Plants, kept, {})


def check_devices(data: bytes) -> None:
    """A plant's list of devices."""
    if _is_refused(data, "devices"):
        return
    answers = raw([("1", data)]).select("plant_id", "device_id", "body")
    assert_fits(Devices, inventory.build_devices(answers, TODAY), {})
    assert_odd(list_faults.find_odd_facts(answers, of_devices=True))
    list_faults.find_unknown_fields(answers, "devices", list_faults.DEVICE_FIELDS)


def check_set_lists(data: bytes) -> None:
    """A plant's list of measurement sets."""
    if _is_refused(data, "sets"):
        return
    answers = raw([("1", data)]).select("plant_id", "device_id", "body")
    assert_fits(MeasurementSets, inventory.build_measurement_sets(answers), {})


def _is_refused(data: bytes, endpoint: Endpoint) -> bool:
    """Whether a list is not even stored."""
    return find_fault(_answer(data, Request(endpoint, "1" if endpoint != "plants" else ""))) is not None


def check_acceptance(data: bytes) -> None:
    """Whether an answer of measurements is taken: never one that then can't be decoded."""
    answer = _answer(data, Request.measured("1", "", "EnergyBalance", "Day", dt.date(2025, 7, 9)))
    find_fault(answer)
    refused = find_faults([answer])
    read = Decoder(("pvGeneration",)).decode(pl.Series([data], dtype=pl.Binary))
    if not refused:
        assert not read.bad_answers.height


def _answer(data: bytes, request: Request) -> Answer:
    return Answer(request, request.path, 200, FETCHED, 1.0, 1, data)


def check_timezone(data: bytes) -> None:
    """The name of a zone: none of ours that it is none, or days that follow each other."""
    name = data.decode("utf-8", "replace")
    if not is_timezone(name):
        return
    day = dt.date(1990 + choose(data, 1, 100), 1 + choose(data, 2, 12), 1 + choose(data, 3, 28))
    today, tomorrow = find_local_day(day, name), find_local_day(day + dt.timedelta(days=1), name)
    assert today.end == tomorrow.start
    assert 0 <= today.hours <= 48
    assert day in list_request_dates(day, name, "utc")
    moments = pl.Series([today.start], dtype=pl.Datetime("us", "UTC"))
    shown = pl.select(convert_to_wall_clock(pl.lit(moments), name)).item()
    assert abs(shown - today.start.replace(tzinfo=None)) <= dt.timedelta(hours=26)
