"""One odd record - a character, a number, a whole answer - costs nothing but itself, and it is reported.

A fleet has each odd record at a plant of its own, all on the same days: so none may cost another plant anything.
"""

import json
from collections.abc import Callable, Collection
from functools import cache

import polars as pl
import pytest

from pipeline.run.context import RunContext
from pipeline.run.notices import Notices
from pipeline.sma.requests import Request
from pipeline.transform.answer_text import MOST_KEYS, MOST_ROWS
from schemas import (
    EnergyBalanceIntervals,
    EnergyDaily,
    Logs,
    Plants,
    Quarantine,
    RawEnergyBalance,
    RawPv,
    Table,
)
from tests.noticed import noticed
from tests.scripted import ScriptedSma, compact
from tests.scripted_home import Stage, make_settings, take_stage
from tests.whole_days import MONDAY, TUESDAY, build, energy, fetch, refresh, run_noticed

New = Callable[..., RunContext]
DAYS = (MONDAY, TUESDAY)
HALF = b"\\ud83d"
USUAL = "10"
# What is odd, by the plant that has it.
BROKEN_NAMES = {"11": HALF}
NAMES_OF_LINES = {"12": b"\t", "13": b"\n", "14": b"\r\n"}
NO_NUMBERS = {"15": b"NaN", "16": b"1e999", "17": b"-Infinity"}
LOG_TEXTS = {
    "21": (HALF, "\ufffd"), "22": (b"\t", " "), "23": (b"\n", " "), "24": (b"\r", " "), "25": (b"\x1b", " "),
}  # fmt: skip
ODD_VALUE, ODD_BESIDE, MANY_KEYS = "31", "32", "33"
TWICE_NAMED = "34"
DOUBLED = {TWICE_NAMED: ("plantId", 1.0), "35": ("acNominalPower", 5000.0)}
OTHERS: dict[str, dict[str, object]] = {
    "41": {"plant": {"plantId": USUAL}},
    "42": {"plant": {"plantId": "42"}, "device": {"deviceId": "101"}},
    "43": {"plant": {"name": "x" * 5000, "plantId": USUAL}},
}
# The same after the rows.
OTHERS_LAST = {str(int(plant) + 3): named for plant, named in OTHERS.items()}
OTHERS_LAST["45"] = {"plant": {"plantId": "45"}, "device": {"deviceId": "101"}}
OTHER_LISTS = {"51": "envelope", "52": "entry"}
DEEP = {"53": "devices", "54": "logs"}
HUGE = {"61": "fields of its own", "62": "rows", "63": "a long array"}
STORED_HUGE = "64"
FLEET = [
    USUAL, *BROKEN_NAMES, *NAMES_OF_LINES, *NO_NUMBERS, *LOG_TEXTS, ODD_VALUE, ODD_BESIDE, MANY_KEYS, *DOUBLED,
    *OTHERS, *OTHERS_LAST, *OTHER_LISTS, *DEEP, *HUGE, STORED_HUGE,
]  # fmt: skip
MODELS: list[type[Table]] = [
    EnergyBalanceIntervals, EnergyDaily, Logs, Plants, Quarantine, RawEnergyBalance, RawPv,
]  # fmt: skip


def bodies(sma: ScriptedSma, change: Callable[[Request, bytes], bytes]) -> None:
    """Have every answer changed on its way."""
    sma.special = lambda request: change(request, sma.say(request))


def aside(runtime: RunContext) -> pl.DataFrame:
    return leave_usual(runtime.lake.scan(Quarantine).collect())


def leave_usual(found: pl.DataFrame) -> pl.DataFrame:
    """What was set aside or told, but for what a constant power by night and day always is."""
    return found.filter(~pl.col("reason").is_in(["night", "out_of_step", "frozen"]))


def aside_of(stage: Stage, plant: str, *columns: str) -> list[tuple[object, ...]]:
    return leave_usual(stage.rows(Quarantine, plant)).select(columns).rows()


@cache
def many_fields(rows: int, fields: int) -> list[dict[str, object]]:
    return [
        {"time": f"2021-10-04T{row // 12:02}:{row % 12 * 5:02}:00"}
        | {f"f{row}x{n}": 1.0 for n in range(fields)}
        for row in range(1, rows)
    ]


def spoil_plants(body: bytes) -> bytes:
    """The list of plants, with names, numbers and keys as no JSON has them."""
    for plant, odd in (BROKEN_NAMES | NAMES_OF_LINES).items():
        body = body.replace(b'"Plant ' + plant.encode() + b'"', b'"a' + odd + b'b"')
    for plant, value, odd in (
        *((plant, b"5000.0", odd) for plant, odd in NO_NUMBERS.items()),
        *(
            (plant, f'"{key}":'.encode(), f'"{key}":{value},"{key}":'.encode())
            for plant, (key, value) in DOUBLED.items()
        ),
    ):
        before, mark, after = body.partition(b'{"plantId":"' + plant.encode() + b'"')
        body = before + (mark + after).replace(value, odd, 1)
    return body


def spoil_logs(request: Request, body: bytes) -> bytes:
    if request.plant_id not in LOG_TEXTS:
        return body
    entries = [
        {"timestamp": f"{day}T10:00:00", "message": "MARK", "messageTagId": 7, "level": "Info"}
        for day in DAYS
    ]
    return compact({"logs": entries}).replace(b"MARK", b"hot " + LOG_TEXTS[request.plant_id][0])


def spoil_rows(request: Request, body: bytes) -> bytes:
    plant, balance = request.plant_id, request.set_type == "EnergyBalance"
    if plant in BROKEN_NAMES | NAMES_OF_LINES:
        return body.replace(b'"x"', b'"a' + (BROKEN_NAMES | NAMES_OF_LINES)[plant] + b'b"')
    if plant == ODD_VALUE and balance:
        return body.replace(b":1000.0", b":1e999", 1)
    if plant == ODD_BESIDE and balance:
        return body.replace(b'"pvGeneration":1000.0', b'"pvGeneration":NaN,"gridFeedIn":900.0', 1)
    named = (OTHERS | OTHERS_LAST).get(plant, {})
    if named and balance != ("device" in named):
        rows = {k: v for k, v in json.loads(body).items() if k != "plant"}
        return json.dumps({**rows, **named} if plant in OTHERS_LAST else {**named, **rows}).encode()
    return body


def change_first(request: Request, body: bytes) -> bytes:
    if request.endpoint == "plants":
        return spoil_plants(body)
    if request.endpoint == "logs":
        return spoil_logs(request, body)
    if request.endpoint == "devices" and request.plant_id == MANY_KEYS:
        keys = b",".join(b'"k%d":1' % n for n in range(MOST_KEYS))
        return b'{"devices":[{"deviceId":"%s1",%s}]}' % (MANY_KEYS.encode(), keys)
    return spoil_rows(request, body) if request.endpoint == "measurements" else body


def name_another(request: Request, body: bytes) -> bytes:
    """A list of a plant that names another one, for all of it or among its entries."""
    if OTHER_LISTS[request.plant_id] == "envelope" or request.endpoint == "sets":
        return compact({"plant": {"plantId": USUAL}, **json.loads(body)})
    name = {"devices": "deviceId", "logs": "message"}[request.endpoint]
    return compact({request.endpoint: [{name: "1", "plantId": plant} for plant in (request.plant_id, USUAL)]})


def change_second(request: Request, body: bytes) -> bytes:
    plant, endpoint = request.plant_id, request.endpoint
    if plant in OTHER_LISTS and endpoint in {"devices", "sets", "logs"}:
        return name_another(request, body)
    if DEEP.get(plant) == endpoint:
        return nest(endpoint)
    if plant in HUGE and request.set_type == "EnergyBalance":
        noon: dict[str, object] = {"time": "2021-10-04T12:00:00"}
        rows: dict[str, Callable[[], list[dict[str, object]]]] = {
            "fields of its own": lambda: many_fields(117, 2000),
            "rows": lambda: [noon] * (MOST_ROWS + 1),
            "a long array": lambda: [{**noon, "a": [{"index": "A", "value": 1, "z": 1}] * (MOST_KEYS // 3)}],
        }
        return compact({"plant": {"plantId": plant}, "resolution": "FiveMinutes", "set": rows[HUGE[plant]]()})
    return body


def nest(endpoint: str) -> bytes:
    """A list of 100,000 levels, which would end the process."""
    return b'{"' + endpoint.encode() + b'":' + b"[" * 100_000 + b"]" * 100_000 + b"}"


def store_huge(runtime: RunContext) -> None:
    """A stored answer beyond all bounds, as of a time when there were none."""
    stored = runtime.lake.scan(RawEnergyBalance).filter(local_date=MONDAY).collect()
    huge = compact({"set": many_fields(117, 2000)})
    body = pl.when(plant_id=STORED_HUGE).then(pl.lit(huge)).otherwise("body")
    runtime.lake.replace(RawEnergyBalance, {"local_date": MONDAY}, [stored.with_columns(body=body)])


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Stage, Stage, Stage, Stage]:
    """Two days of the fleet; the first of them read again; made again from other answers; a list of plants too deep."""
    settings, sma = make_settings(tmp_path_factory.mktemp("odd")), ScriptedSma()
    sma.lists = list(FLEET)

    def begin(runtime: RunContext) -> Notices:
        return noticed([refresh(runtime), fetch(runtime, *DAYS), *(build(runtime, day) for day in DAYS)])

    def go_on(runtime: RunContext) -> Notices:
        return noticed([refresh(runtime), fetch(runtime, MONDAY), build(runtime, MONDAY)])

    def make_again(runtime: RunContext) -> Notices:
        store_huge(runtime)
        return build(runtime, MONDAY)

    bodies(sma, change_first)
    first = take_stage(settings, sma, MODELS, begin)
    bodies(sma, change_second)
    second = take_stage(settings, sma, MODELS, go_on)
    third = take_stage(settings, sma, MODELS, make_again)
    bodies(sma, lambda request, body: nest("plants") if request.endpoint == "plants" else body)
    return first, second, third, take_stage(settings, sma, MODELS, refresh)


@pytest.fixture(scope="module")
def first(stages: tuple[Stage, ...]) -> Stage:
    return stages[0]


@pytest.fixture(scope="module")
def second(stages: tuple[Stage, ...]) -> Stage:
    return stages[1]


def energies(stage: Stage, plant: str) -> list[float | None]:
    return stage.rows(EnergyDaily, plant)["pv_generation_kwh"].to_list()


@pytest.mark.long
def test_all_others_have_their_energy_and_nothing_more_is_told(first: Stage, second: Stage) -> None:
    lacking = {*OTHERS, *OTHERS_LAST, ODD_VALUE, ODD_BESIDE, MANY_KEYS, TWICE_NAMED}
    for plant in set(FLEET) - lacking:
        assert energies(first, plant) == pytest.approx([24.0] * 2), plant
        assert energies(second, plant) == pytest.approx([24.0] * 2), plant
    for stage in (first, second):
        assert aside_of(stage, USUAL, "source", "reason") == []
    assert {item.plant_id for item in first.notices.missing} == {*OTHERS, *OTHERS_LAST, MANY_KEYS}
    # An end of a line is a space to whoever reads it.
    assert first.notices.odd_facts == len({*BROKEN_NAMES, *NO_NUMBERS, *DOUBLED})
    assert first.notices.unknown_fields == {}


@pytest.mark.parametrize("plant", BROKEN_NAMES)
def test_half_a_character_in_one_plant_s_name_costs_only_that(first: Stage, plant: str) -> None:
    """It stands in the list, and in the envelope of every answer of that plant."""
    assert first.rows(Plants, plant)["name"].to_list() == ["a\ufffdb"]
    assert first.rows(Plants, USUAL)["name"].to_list() == [f"Plant {USUAL}"]
    assert energies(first, plant) == pytest.approx([24.0] * 2)
    assert first.missing(plant) == set()
    assert aside_of(first, plant, "source", "field", "reason", "kept") == [
        ("plants", "name", "broken_text", True)
    ]


@pytest.mark.parametrize("plant", NO_NUMBERS)
def test_a_number_that_is_none_in_one_plant_s_facts_costs_only_that(first: Stage, plant: str) -> None:
    assert first.rows(Plants, plant)["ac_power_kw"].to_list() == [None]
    assert first.rows(Plants, USUAL)["ac_power_kw"].to_list() == [5.0]
    assert energies(first, plant) == pytest.approx([24.0] * 2)
    assert aside_of(first, plant, "field", "reason") == [("installation.acNominalPower", "not_a_number")]


def test_a_number_that_is_none_in_a_row_costs_only_that_value(first: Stage) -> None:
    rows = first.rows(EnergyBalanceIntervals, ODD_VALUE, MONDAY)
    assert (rows.height, rows["pv_generation_w"].null_count()) == (288, 1)
    assert aside_of(first, ODD_VALUE, "reason") == [("not_a_number",)]


@pytest.mark.parametrize("plant", LOG_TEXTS)
def test_an_odd_character_in_a_log_s_text_costs_only_that(first: Stage, plant: str) -> None:
    assert first.rows(Logs, plant)["message"].to_list() == [f"hot {LOG_TEXTS[plant][1]}"] * 2
    assert first.missing(plant) == set()


@pytest.mark.parametrize("plant", NAMES_OF_LINES)
def test_an_end_of_a_line_within_a_plant_s_name_costs_only_that(first: Stage, plant: str) -> None:
    """No JSON may have one, and some writers let it through."""
    (name,) = first.rows(Plants, plant)["name"]
    assert name.split() == ["a", "b"]
    assert energies(first, plant) == pytest.approx([24.0] * 2)


def test_a_number_that_is_none_says_nothing_about_the_values_beside_it(first: Stage) -> None:
    rows = first.rows(EnergyBalanceIntervals, ODD_BESIDE, MONDAY).sort("interval_end")
    assert rows.select("pv_generation_w", "grid_feed_in_w").row(0) == (None, 900.0)
    assert aside_of(first, ODD_BESIDE, "reason") == [("not_a_number",)]


@pytest.mark.parametrize("plant", [*OTHERS, *OTHERS_LAST])
def test_an_answer_that_names_another_plant_or_device_is_not_stored(first: Stage, plant: str) -> None:
    raw, other = (RawPv, RawEnergyBalance) if plant in {"42", "45"} else (RawEnergyBalance, RawPv)
    assert first.rows(raw, plant).height == 0
    assert first.rows(other, plant).height == 2
    assert first.rows(raw, USUAL).height == 2
    reasons = [item.reason for item in first.notices.missing if item.plant_id == plant]
    assert reasons
    assert all("which was not requested" in reason for reason in reasons)
    assert aside_of(first, plant, "reason")


@pytest.mark.parametrize("plant", OTHER_LISTS)
def test_lists_and_logs_of_another_plant_are_not_stored_either(second: Stage, plant: str) -> None:
    assert second.missing(plant) == {"raw_devices", "raw_measurement_sets", "raw_logs"}


@pytest.mark.parametrize("plant", HUGE, ids=HUGE.values())
def test_an_answer_beyond_all_bounds_is_set_aside_and_told(second: Stage, plant: str) -> None:
    assert energies(second, plant) == pytest.approx([24.0] * 2)
    (told,) = [item for item in second.notices.missing if item.plant_id == plant]
    assert "more rows, fields or levels than any answer of SMA" in told.reason
    assert told.reason.endswith("run it again later, and if this happens again, tell SMA.")
    assert aside_of(second, plant, "reason") == [("request_failed",)]


def test_an_answer_beyond_all_bounds_that_is_stored_is_set_aside_when_it_is_read(
    stages: tuple[Stage, ...],
) -> None:
    third = stages[2]
    found = leave_usual(third.frames[Quarantine]).filter(
        pl.col("scope") == "answer", pl.col("reason") == "too_large"
    )
    assert found["plant_id"].to_list() == [STORED_HUGE]
    assert energies(third, USUAL) == pytest.approx([24.0] * 2)
    assert third.notices.unknown_fields == {}


@pytest.mark.parametrize("plant", DEEP, ids=DEEP.values())
def test_a_list_that_is_too_deep_is_no_list(second: Stage, plant: str) -> None:
    assert second.missing(plant) == {f"raw_{DEEP[plant]}"}
    assert energies(second, plant) == pytest.approx([24.0] * 2)


def test_a_list_of_plants_that_is_too_deep_is_no_list(stages: tuple[Stage, ...]) -> None:
    (missing,) = [item for item in stages[3].notices.missing if item.table == "raw_plants"]
    assert "more rows, fields or levels" in missing.reason
    assert f"no newer plants than the {len(FLEET)} plants of the list" in missing.reason


ENTRY = {"timestamp": "2021-10-04T10:00:00", "message": "hot", "messageTagId": 7}


# Of which plant a list has odd values; the list of plants has them at the first of them.
SPOILT = {"plants": "11", "devices": "12", "sets": "13", "logs": "14"}


def spoil(endpoints: Collection[str], odd: bytes) -> Callable[[Request, bytes], bytes]:
    """Have one value of each of the lists be the odd one, and one entry beside it; a log has a sound entry too."""
    values = {"plants": b"5000.0", "devices": b'"Inverter"', "sets": b'"EnergyBalance"', "logs": b"7"}

    def change(request: Request, body: bytes) -> bytes:
        endpoint = request.endpoint
        if endpoint == "logs":
            body = compact({"logs": [ENTRY, {**ENTRY, "message": "cold"}]})
        if endpoint not in endpoints or request.plant_id not in {"", SPOILT[endpoint]}:
            return body
        name = endpoint.encode()
        body = body.replace(b'"' + name + b'":[', b'"' + name + b'":[' + odd + b",", 1)
        return b"\xef\xbb\xbf" + (body if endpoint == "sets" else body.replace(values[endpoint], odd, 1))

    return change


@pytest.mark.parametrize(
    "odd",
    [b"0x10", *(pytest.param(odd, marks=pytest.mark.long) for odd in (b"1e999", b'"a\0b"', b'"a\xe2\x82"'))],
)
def test_one_odd_value_in_any_list_costs_only_itself(new_runtime: New, sma: ScriptedSma, odd: bytes) -> None:
    """The first list of plants is that of a new home; then each list has one, and at last none has."""
    sma.lists = list(SPOILT.values())
    told, found = [], []
    for endpoints in (["plants"], ["devices", "sets", "logs"], []):
        bodies(sma, spoil(endpoints, odd))
        runtime = new_runtime()
        notices = run_noticed(runtime, MONDAY)
        told.append(notices.odd_facts)
        found.append(set(aside(runtime)["plant_id"]))
        assert list(energy(runtime).values()) == pytest.approx([24.0] * 4)
        assert notices.missing == []
        assert runtime.lake.scan(Logs).collect().height >= 7
    assert told[0] >= 2
    # A name of any form is a set, and told where it is asked for; an entry of a log may have any tag.
    assert found[1] == ({"12", "13", "14"} if odd == b"0x10" else {"12"})
    assert told[2] == 0


@pytest.mark.parametrize("plant", ["1.0", "35"], ids=["plantId", "acNominalPower"])
def test_a_key_that_a_plant_has_twice_is_told(first: Stage, plant: str) -> None:
    """Of two ids the first one counts."""
    assert first.rows(Plants, USUAL).height == 1
    assert aside_of(first, plant, "reason", "kept") == [("doubled_key", True)]


def test_a_list_of_too_many_keys_is_set_aside(first: Stage) -> None:
    (told,) = [item for item in first.notices.missing if item.plant_id == MANY_KEYS]
    assert told.table == "raw_devices"
    assert "more rows, fields or levels" in told.reason
