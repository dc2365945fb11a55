"""One odd record - a character, a number, a whole answer - costs nothing but itself, and it is reported."""

import datetime as dt
import json
from collections.abc import Callable

import polars as pl
import pytest

from pipeline.extract.fetch import SetFetch, fetch_devices, fetch_logs, fetch_measurement_sets
from pipeline.run.context import RunContext
from pipeline.run.measurement_sets import BALANCE, PV
from pipeline.sma.requests import Request
from pipeline.tables.log_tables import write_logs
from schemas import EnergyBalanceIntervals, Logs, Plants, Quarantine, RawEnergyBalance
from tests.e2e.test_days import MONDAY, TUESDAY, build, energy, fetch, refresh, run, run_noticed
from tests.noticed import noticed
from tests.scripted import ScriptedSma, compact

New = Callable[..., RunContext]
WEEK = [MONDAY + dt.timedelta(days=i) for i in range(7)]
HALF = b"\\ud83d"


def bodies(sma: ScriptedSma, change: Callable[[Request, bytes], bytes]) -> None:
    """Have every answer changed on its way."""
    sma.special = lambda request: change(request, compact(sma._body(request)))


def aside(runtime: RunContext) -> pl.DataFrame:
    """What was set aside or told, but for what a constant power by night and day always is."""
    of_every_day = ["night", "out_of_step", "frozen"]
    return runtime.lake.scan(Quarantine).filter(~pl.col("reason").is_in(of_every_day)).collect()


def test_half_a_character_in_one_plant_s_name_costs_only_that(new_runtime: New, sma: ScriptedSma) -> None:
    """It stands in the list, and in the envelope of every answer of that plant."""
    bodies(
        sma,
        lambda _, body: body.replace(b'"Plant 11"', b'"' + HALF + b'"').replace(b'"x"', b'"' + HALF + b'"'),
    )
    runtime = new_runtime()
    notices = noticed([refresh(runtime), fetch(runtime, *WEEK), *(build(runtime, day) for day in WEEK)])
    names = dict(runtime.lake.scan(Plants).select("plant_id", "name").collect().rows())
    assert names == {"11": "\ufffd", "12": "Plant 12"}
    assert list(energy(runtime).values()) == pytest.approx([24.0] * 14)
    assert notices.missing == []
    assert notices.odd_facts == 1
    assert aside(runtime).select("source", "plant_id", "field", "reason", "kept").rows() == [
        ("plants", "11", "name", "broken_text", True)
    ]


@pytest.mark.parametrize("number", [b"NaN", b"1e999", b"-Infinity"])
def test_a_number_that_is_none_in_one_plant_s_facts_costs_only_that(
    new_runtime: New, sma: ScriptedSma, number: bytes
) -> None:
    def change(request: Request, body: bytes) -> bytes:
        return body.replace(b"5000.0", number, 1) if request.endpoint == "plants" else body

    bodies(sma, change)
    runtime = run(new_runtime(), MONDAY)
    assert runtime.lake.scan(Plants).collect()["ac_power_kw"].to_list() == [None, 5.0]
    assert list(energy(runtime).values()) == pytest.approx([24.0] * 2)
    assert aside(runtime).select("plant_id", "field", "reason").rows() == [
        ("11", "installation.acNominalPower", "not_a_number")
    ]


def test_a_number_that_is_none_in_a_row_costs_only_that_value(new_runtime: New, sma: ScriptedSma) -> None:
    def change(request: Request, body: bytes) -> bytes:
        is_balance = request.set_type == "EnergyBalance" and request.plant_id == "11"
        return body.replace(b":1000.0", b":1e999", 1) if is_balance else body

    bodies(sma, change)
    runtime = run(new_runtime(), MONDAY)
    rows = runtime.lake.scan(EnergyBalanceIntervals).filter(plant_id="11").collect()
    assert (rows.height, rows["pv_generation_w"].null_count()) == (288, 1)
    assert aside(runtime)["reason"].to_list() == ["not_a_number"]


@pytest.mark.parametrize(
    ("odd", "read"), [(HALF, "\ufffd"), (b"\t", " "), (b"\n", " "), (b"\r", " "), (b"\x1b", " ")]
)
def test_an_odd_character_in_a_log_s_text_costs_only_that(
    new_runtime: New, sma: ScriptedSma, odd: bytes, read: str
) -> None:
    entries = [
        {"timestamp": f"{day}T10:00:00", "message": "MARK", "messageTagId": 7, "level": "Info"}
        for day in WEEK[:2]
    ]

    def change(request: Request, body: bytes) -> bytes:
        logs = (
            compact({"logs": entries}).replace(b"MARK", b"hot " + odd) if request.plant_id == "11" else body
        )
        return logs if request.endpoint == "logs" else body

    bodies(sma, change)
    runtime = new_runtime()
    notices = noticed([refresh(runtime), *fetch_logs(runtime, WEEK)])
    for day in WEEK:
        notices.add(noticed([write_logs(runtime, day)]))
    assert runtime.lake.scan(Logs).collect()["message"].to_list() == [f"hot {read}"] * 2
    assert notices.missing == []


@pytest.mark.parametrize("odd", [b"\t", b"\n", b"\r\n"])
def test_an_end_of_a_line_within_a_plant_s_name_costs_only_that(
    new_runtime: New, sma: ScriptedSma, odd: bytes
) -> None:
    """No JSON may have one, and some writers let it through."""
    bodies(
        sma,
        lambda _, body: body.replace(b'"Plant 11"', b'"a' + odd + b'b"').replace(b'"x"', b'"a' + odd + b'b"'),
    )
    runtime = run(new_runtime(), MONDAY)
    (name,) = runtime.lake.scan(Plants).filter(plant_id="11").collect()["name"]
    assert name.split() == ["a", "b"]
    assert list(energy(runtime).values()) == pytest.approx([24.0] * 2)


def test_a_number_that_is_none_says_nothing_about_the_values_beside_it(
    new_runtime: New, sma: ScriptedSma
) -> None:
    def change(request: Request, body: bytes) -> bytes:
        if request.set_type != "EnergyBalance":
            return body
        return body.replace(b'"pvGeneration":1000.0', b'"pvGeneration":NaN,"gridFeedIn":900.0', 1)

    bodies(sma, change)
    runtime = run(new_runtime("11"), MONDAY)
    rows = runtime.lake.scan(EnergyBalanceIntervals).filter(plant_id="11").sort("interval_end").collect()
    assert rows.select("pv_generation_w", "grid_feed_in_w").row(0) == (None, 900.0)
    assert aside(runtime).filter(plant_id="11")["reason"].to_list() == ["not_a_number"]


@pytest.mark.parametrize(
    "named",
    [
        {"plant": {"plantId": "12"}},
        {"plant": {"plantId": "11"}, "device": {"deviceId": "121"}},
        {"plant": {"name": "x" * 5000, "plantId": "12"}},
    ],
)
@pytest.mark.parametrize("last", [False, True], ids=["before the rows", "after the rows"])
def test_an_answer_that_names_another_plant_or_device_is_not_stored(
    new_runtime: New, sma: ScriptedSma, named: dict[str, object], last: bool
) -> None:
    source = PV if "device" in named else BALANCE

    def change(request: Request, body: bytes) -> bytes:
        if (request.plant_id, request.set_type) != ("11", source.set.name):
            return body
        rows = {k: v for k, v in json.loads(body).items() if k != "plant"}
        return json.dumps({**rows, **named} if last else {**named, **rows}).encode()

    bodies(sma, change)
    runtime = new_runtime()
    notices = refresh(runtime)
    (_, _), *_ = reports = list(SetFetch(source)(runtime, [MONDAY, TUESDAY]))
    notices.add(noticed(reports))
    stored = runtime.lake.scan(source.raw).collect()
    assert set(stored["plant_id"]) == {"12"}
    assert {item.plant_id for item in notices.missing} == {"11"}
    assert all("which was not requested" in item.reason for item in notices.missing)
    assert set(aside(runtime)["plant_id"]) == {"11"}


@pytest.mark.parametrize("place", ["envelope", "entry"])
def test_lists_and_logs_of_another_plant_are_not_stored_either(
    new_runtime: New, sma: ScriptedSma, place: str
) -> None:
    runtime = new_runtime()
    notices = refresh(runtime)

    def change(request: Request, body: bytes) -> bytes:
        if request.endpoint not in {"devices", "sets", "logs"} or request.plant_id != "11":
            return body
        content = json.loads(body)
        if place == "envelope" or request.endpoint == "sets":
            return compact({"plant": {"plantId": "12"}, **content})
        name = {"devices": "deviceId", "logs": "message"}[request.endpoint]
        return compact({request.endpoint: [{name: "1", "plantId": plant} for plant in ("11", "12")]})

    bodies(sma, change)
    for step in (fetch_devices, fetch_measurement_sets):
        notices.add(noticed([step(runtime)]))
    notices.add(noticed(fetch_logs(runtime, [MONDAY])))
    assert {(item.table, item.plant_id) for item in notices.missing} == {
        ("raw_devices", "11"), ("raw_measurement_sets", "11"), ("raw_logs", "11")
    }  # fmt: skip


def many_fields(rows: int, fields: int) -> list[dict[str, object]]:
    return [
        {"time": f"2021-10-04T{row // 12:02}:{row % 12 * 5:02}:00"}
        | {f"f{row}x{n}": 1.0 for n in range(fields)}
        for row in range(1, rows)
    ]


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(many_fields(117, 2000), id="fields of its own"),
        pytest.param([{"time": "2021-10-04T12:00:00"}] * 100_001, id="rows"),
        pytest.param([{"time": "2021-10-04T12:00:00", "a": [[1] * 10] * 60_000}], id="a long array"),
    ],
)
def test_an_answer_beyond_all_bounds_is_set_aside_and_told(
    new_runtime: New, sma: ScriptedSma, rows: list[dict[str, object]]
) -> None:
    if "a" in rows[0]:
        rows = [{"time": "2021-10-04T12:00:00", "a": [{"index": "A", "value": 1, "z": 1}] * 170_000}]
    run(new_runtime(), MONDAY)
    huge = compact({"plant": {"plantId": "11"}, "resolution": "FiveMinutes", "set": rows})
    sma.special = lambda request: (
        huge if (request.plant_id, request.set_type) == ("11", "EnergyBalance") else None
    )
    runtime = new_runtime()
    notices = run_noticed(runtime, MONDAY)
    assert list(energy(runtime).values()) == pytest.approx([24.0] * 2)
    (told,) = notices.missing
    assert (told.plant_id, "more rows, fields or levels than any answer of SMA" in told.reason) == (
        "11",
        True,
    )
    assert aside(runtime).select("plant_id", "reason").rows() == [("11", "request_failed")]


def test_an_answer_beyond_all_bounds_that_is_stored_is_set_aside_when_it_is_read(
    new_runtime: New, sma: ScriptedSma
) -> None:
    runtime = new_runtime()
    notices = run_noticed(runtime, MONDAY)
    stored = runtime.lake.scan(RawEnergyBalance).collect()
    huge = compact({"set": many_fields(117, 2000)})
    body = pl.when(plant_id="11").then(pl.lit(huge)).otherwise("body")
    runtime.lake.replace(RawEnergyBalance, {"local_date": MONDAY}, [stored.with_columns(body=body)])
    notices.add(build(runtime, MONDAY))
    found = aside(runtime).filter(pl.col("scope") == "answer").select("plant_id", "reason")
    assert found.rows() == [("11", "too_large")]
    assert energy(runtime)["12", 4] == pytest.approx(24.0)
    assert notices.unknown_fields == {}


@pytest.mark.parametrize("endpoint", ["plants", "devices", "logs"])
def test_a_list_that_is_too_deep_is_no_list(new_runtime: New, sma: ScriptedSma, endpoint: str) -> None:
    """100,000 levels would end the process."""
    runtime = run(new_runtime(), MONDAY)
    deep = b'{"' + endpoint.encode() + b'":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    sma.special = lambda request: deep if request.endpoint == endpoint and request.plant_id != "12" else None
    again = new_runtime()
    if endpoint == "plants":
        (missing,) = noticed([refresh(again)]).missing
        assert "more rows, fields or levels" in missing.reason
        assert "no newer plants than the 2 plants of the list" in missing.reason
    else:
        notices = noticed([refresh(again), *fetch_logs(again, [MONDAY])])
        assert {item.plant_id for item in notices.missing} == {"11"}
    assert energy(runtime)["11", 4] == pytest.approx(24.0)


ENTRY = {"timestamp": "2021-10-04T10:00:00", "message": "hot", "messageTagId": 7}


def spoil(endpoint: str, odd: bytes) -> Callable[[Request, bytes], bytes]:
    """Have one value of each list of plant 11 be the odd one, and one entry beside it; a log has a sound entry too."""
    value = {
        "plants": b"5000.0",
        "devices": b'"Inverter"',
        "sets": b'"EnergyBalance"',
        "logs": b"7",
        "none": b"",
    }[endpoint]

    def change(request: Request, body: bytes) -> bytes:
        if request.endpoint == "logs":
            body = compact({"logs": [ENTRY, {**ENTRY, "message": "cold"}]})
        if request.endpoint != endpoint or request.plant_id == "12":
            return body
        name = endpoint.encode()
        body = body.replace(b'"' + name + b'":[', b'"' + name + b'":[' + odd + b",", 1)
        return b"\xef\xbb\xbf" + (body if endpoint == "sets" else body.replace(value, odd, 1))

    return change


@pytest.mark.parametrize(
    "odd",
    [b"0x10", *(pytest.param(odd, marks=pytest.mark.long) for odd in (b"1e999", b'"a\0b"', b'"a\xe2\x82"'))],
)
def test_one_odd_value_in_any_list_costs_only_itself(new_runtime: New, sma: ScriptedSma, odd: bytes) -> None:
    """The first list is that of a new home, the others are those of a running one."""
    told = {}
    for endpoint in ("plants", "devices", "sets", "logs", "none"):
        bodies(sma, spoil(endpoint, odd))
        runtime = new_runtime()
        notices = run_noticed(runtime, MONDAY)
        told[endpoint] = notices.odd_facts
        assert list(energy(runtime).values()) == pytest.approx([24.0] * 2)
        assert notices.missing == []
        assert runtime.lake.scan(Logs).collect().height >= 3
    assert told["plants"] >= 2
    assert told["devices"] >= 1
    # A name of any form is a set, and told where it is asked for; an entry of a log may have any tag.
    assert (told["sets"] >= 1, told["logs"] >= 1) == (odd == b"0x10",) * 2
    assert told["none"] == 0


@pytest.mark.parametrize("named", ["plantId", "acNominalPower"])
def test_a_key_that_a_plant_has_twice_is_told(new_runtime: New, sma: ScriptedSma, named: str) -> None:
    def change(request: Request, body: bytes) -> bytes:
        key = f'"{named}":'.encode()
        return body.replace(key, key + b"1.0," + key, 1) if request.endpoint == "plants" else body

    bodies(sma, change)
    notices = refresh(runtime := new_runtime())
    assert "12" in runtime.lake.scan(Plants).collect()["plant_id"]
    assert notices.odd_facts == 1
    assert aside(runtime).select("reason", "kept").rows() == [("doubled_key", True)]


def test_a_list_of_too_many_keys_is_set_aside(new_runtime: New, sma: ScriptedSma) -> None:
    keys = compact({"devices": [{"deviceId": "111", **{f"k{n}": 1 for n in range(600_000)}}]})
    sma.special = lambda request: keys if (request.endpoint, request.plant_id) == ("devices", "11") else None
    notices = refresh(new_runtime())
    (told,) = notices.missing
    assert (told.table, told.plant_id) == ("raw_devices", "11")
    assert "more rows, fields or levels" in told.reason
    assert notices.unknown_fields == {}
