"""The vendor's lists to tables: odd entries are set aside or left empty, and what was seen is remembered."""

import datetime as dt
import json
from typing import Any

import polars as pl
import pytest

from pipeline.common.local_time import is_timezone
from pipeline.transform.answer_text import DETAIL_CHARACTERS
from pipeline.transform.lists.inventory import (
    build_devices,
    build_measurement_sets,
    build_plants,
    build_sub_plants,
    classify_capacity,
    list_plant_ids,
)
from pipeline.transform.lists.list_faults import (
    DEVICE_FIELDS,
    PLANT_FIELDS,
    find_odd_facts,
    find_unknown_fields,
)
from pipeline.transform.lists.remembered_lists import remember, remember_devices, remember_plants
from schemas import Devices, MeasurementSets, Plants, SubPlants, Table, polars_schema
from warehouse.frames import sort, validate

TODAY = dt.date(2025, 7, 9)
GUID = "1a2b3c4d-0000-4fff-8abc-0123456789AB"
Entry = dict[str, Any]


def answers(*contents: object, plant: str = "", device: str = "") -> pl.DataFrame:
    rows = [(plant, device, json.dumps(content).encode()) for content in contents]
    return pl.DataFrame(
        rows, schema={"plant_id": pl.String, "device_id": pl.String, "body": pl.Binary}, orient="row"
    )


def listed(*entries: Entry) -> tuple[pl.DataFrame, pl.DataFrame]:
    frame, aside = build_plants(answers({"plants": list(entries)}), TODAY)
    return checked(Plants, frame), aside


def checked(model: type[Table], frame: pl.DataFrame) -> pl.DataFrame:
    """The frame, which the table would take as it is."""
    validate(model, frame, {})
    assert sort(model, frame, {}).equals(frame)
    return frame


def plant(plant_id: object = "13", **others: object) -> Entry:
    return {"plantId": plant_id, "name": "Roof", "timezone": "Europe/Berlin"} | others


def only(*entries: Entry) -> Entry:
    (row,) = listed(*entries)[0].rows(named=True)
    return row


def installed(**facts: object) -> Entry:
    return only(plant(installation=facts))


# ---- what can't be read ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", ["NaN", "1e999", "-Infinity", '"much"'])
def test_a_number_that_is_none_costs_only_itself(number: str) -> None:
    text = json.dumps(
        {"plants": [plant("1", installation={"peakPower": 7e7, "acNominalPower": 5e3}), plant("2")]}
    )
    sent = answers({}).with_columns(body=pl.lit(text.replace("70000000.0", number).encode()))
    frame, aside = build_plants(sent, TODAY)
    assert checked(Plants, frame).select("plant_id", "peak_power_kw", "ac_power_kw").rows() == [
        ("1", None, 5.0), ("2", None, None)
    ]  # fmt: skip
    assert aside.height == 0
    found = find_odd_facts(sent).select("plant_id", "field", "detail", "reason", "kept").rows()
    assert [each[:2] + each[3:] for each in found] == [("1", "installation.peakPower", "not_a_number", False)]
    assert find_unknown_fields(sent, "plants", PLANT_FIELDS) == []


@pytest.mark.parametrize("name", [r"\ud83d", r"\udc00 roof", r"\ud83d\u0041", "\x07", "Stra\udcdfe"])
def test_a_name_with_a_broken_character_costs_only_itself(name: str) -> None:
    text = json.dumps({"plants": [plant("1", name="NAME \U0001f600"), plant("2")]}).replace("NAME", name)
    body = text.encode("utf-8", "surrogateescape")
    frame, _ = build_plants(answers({}).with_columns(body=pl.lit(body)), TODAY)
    first, second = checked(Plants, frame)["name"].to_list()
    assert first.endswith(" \U0001f600")
    assert second == "Roof"
    found = find_odd_facts(answers({}).with_columns(body=pl.lit(body)))
    assert found["plant_id"].to_list() == (["1"] if "\ufffd" in first else [])
    assert set(found["reason"]) <= {"broken_text"}


def test_facts_of_devices_are_looked_at_too() -> None:
    text = '{"devices":[{"deviceId":"7","name":"a\\ud83d","generatorPower":NaN,"productId":9097},{"deviceId":"8"}]}'
    sent = answers({}, plant="1").with_columns(body=pl.lit(text.encode()))
    assert checked(Devices, build_devices(sent, TODAY))["device_id"].to_list() == ["7", "8"]
    assert find_odd_facts(sent, of_devices=True).select("device_id", "field").rows() == [
        ("7", "generatorPower"), ("7", "name")
    ]  # fmt: skip


def test_nothing_is_told_of_lists_that_can_be_read() -> None:
    assert find_odd_facts(answers({"plants": [plant(installation={"peakPower": 0.0})]})).height == 0


# ---- plants ----------------------------------------------------------------------------------------------------------


def test_a_whole_plant() -> None:
    address = {"country": "Germany", "longitude": 9.5, "latitude": 51.3, "city": "Kassel"}
    installation = {
        "peakPower": 9900.0,
        "acNominalPower": 8000.0,
        "calcAcNominalPower": 7000.0,
        "co2SavingsFactor": 380.0,
        "startUpUtc": "2019-05-14T22:30:00",
        "orientation": {},
    }
    row = only(
        plant(
            installation=installation,
            location={"address": address},
            status="Ok",
            description=None,
            plantGroupId="g-7",
        )
    )
    assert row == {
        "plant_id": "13",
        "name": "Roof",
        "backend": "ennexos",
        "timezone": "Europe/Berlin",
        "previous_timezone": None,
        "latitude": 51.3,
        "longitude": 9.5,
        "country": "Germany",
        "peak_power_kw": 9.9,
        "ac_power_kw": 8.0,
        "former_ac_power_kw": None,
        "former_peak_power_kw": None,
        "power_reduced_on": None,
        "former_powers": None,
        "capacity_class": "1-19",
        "co2_factor_g_per_kwh": 380.0,
        "start_up": dt.datetime(2019, 5, 14, 22, 30, tzinfo=dt.UTC),
        "migrated_from": None,
        "first_seen": TODAY,
        "last_seen": TODAY,
        "excluded_from": None,
        "plant_group_id": "g-7",
    }


def test_the_little_that_the_vendors_sandbox_tells_is_enough() -> None:
    row = only(plant())
    known = {name for name, value in row.items() if value is not None}
    assert known == {"plant_id", "name", "backend", "timezone", "first_seen", "last_seen"}


@pytest.mark.parametrize(
    ("facts", "kilowatts"),
    [
        ({"acNominalPower": 5000.0, "calcAcNominalPower": 6000.0}, 5.0),
        ({"acNominalPower": 0.0, "calcAcNominalPower": 6000.0}, 6.0),
        ({"calcAcNominalPower": 6000}, 6.0),
        ({"acNominalPower": -1, "calcAcNominalPower": 6000}, 6.0),
        ({"acNominalPower": float("nan"), "calcAcNominalPower": 6000}, 6.0),
        ({"acNominalPower": "5500", "calcAcNominalPower": 6000}, 5.5),
        ({"acNominalPower": 0, "calcAcNominalPower": 0.0}, None),
        ({"acNominalPower": 1e300}, None),
        ({}, None),
    ],
)
def test_ac_power_is_the_nominal_one_else_the_calculated_one(facts: Entry, kilowatts: float | None) -> None:
    row = installed(**facts)
    assert row["ac_power_kw"] == kilowatts
    assert (row["capacity_class"] is None) == (kilowatts is None)


@pytest.mark.parametrize(
    ("peak", "kilowatts"), [(9900, 9.9), (0.0, None), (-5, None), (1e300, None), ("x", None)]
)
def test_a_peak_power_of_zero_is_not_known(peak: object, kilowatts: float | None) -> None:
    assert installed(peakPower=peak)["peak_power_kw"] == kilowatts


@pytest.mark.parametrize(("factor", "kept"), [(0, 0.0), (380, 380.0), (-1, None), (float("nan"), None)])
def test_a_co2_factor_is_no_less_than_nothing(factor: float, kept: float | None) -> None:
    assert installed(co2SavingsFactor=factor)["co2_factor_g_per_kwh"] == kept


@pytest.mark.parametrize(
    ("kilowatts", "name"),
    [
        (0.4, "1-19"), (0.001, "1-19"), (1.0, "1-19"), (19.0, "1-19"), (19.5, "1-19"), (19.9, "1-19"), (19.999, "1-19"),
        (20.0, "20-99"), (99.5, "20-99"), (99.9, "20-99"), (99.999, "20-99"), (100.0, "100-499"), (499.9, "100-499"),
        (499.999, "100-499"), (500.0, "500-999"), (999.9, "500-999"), (999.999, "500-999"), (1000.0, "1000+"),
        (1e6, "1000+"), (None, None), (0.0, None),
        # A computed sum of inverters that misses the border by less than a watt has reached it.
        (3 * 33.3333333, "100-499"), (19.99999999, "20-99"),
    ],
)  # fmt: skip
def test_classes_of_capacity_at_their_borders(kilowatts: float | None, name: str | None) -> None:
    frame = pl.DataFrame({"kw": [kilowatts]}, schema={"kw": pl.Float64})
    assert frame.select(classify_capacity(pl.col("kw"))).item() == name


@pytest.mark.parametrize(
    ("plant_id", "backend"),
    [
        ("13", "ennexos"),
        (13, "ennexos"),
        (GUID, "classic"),
        (GUID.lower(), "classic"),
        (GUID[:-1], "ennexos"),
        (f"x{GUID}", "ennexos"),
        (GUID.replace("-", ""), "ennexos"),
    ],
)
def test_the_form_of_the_id_tells_the_portal(plant_id: object, backend: str) -> None:
    row = only(plant(plant_id))
    assert (row["plant_id"], row["backend"]) == (str(plant_id), backend)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("2019-05-14T10:00:00", "2019-05-14T10:00:00+00:00"),
        ("2019-05-14T10:00:00Z", "2019-05-14T10:00:00+00:00"),
        ("2019-05-14T10:00:00.1234567", "2019-05-14T10:00:00.123456+00:00"),
        ("2019-05-14T10:00:00+02:00", None),
        ("2019-05-14", None),
        ("14.05.2019", None),
        ("0001-01-01T00:00:00", None),
        ("9999-12-31T23:59:59", None),
        ("", None),
        (None, None),
        (20190514, None),
    ],
)
def test_odd_starts_of_operation_are_not_known(text: object, read: str | None) -> None:
    start = installed(startUpUtc=text)["start_up"]
    assert start == (dt.datetime.fromisoformat(read) if read else None)


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ({"latitude": -90, "longitude": 180}, (-90.0, 180.0)),
        ({"latitude": 90.1, "longitude": 9.0}, (None, 9.0)),
        ({"latitude": 50.0, "longitude": -180.5}, (50.0, None)),
        ({"latitude": "51.3", "longitude": "abc"}, (51.3, None)),
        ({"latitude": float("nan")}, (None, None)),
        ({}, (None, None)),
        (None, (None, None)),
        ("Kassel", (None, None)),
    ],
)
def test_places_that_are_not_on_earth_are_not_known(address: object, place: tuple[float | None, ...]) -> None:
    row = only(plant(location={"address": address}))
    assert (row["latitude"], row["longitude"]) == place


def test_a_plant_without_a_name_is_called_by_its_id() -> None:
    nameless = {"plantId": "7", "timezone": "UTC"}
    assert only(nameless)["name"] == "7"
    assert only(nameless | {"name": None})["name"] == "7"


@pytest.mark.parametrize(
    "zone", [None, "", "Mars/Base", "Europe", "../etc/passwd", "W. Europe Standard Time", "x" * 999, "a\0b"]
)
def test_a_plant_without_a_known_zone_is_set_aside(zone: str | None) -> None:
    frame, aside = listed(plant("1"), plant("2", timezone=zone), {"plantId": "3"})
    assert frame["plant_id"].to_list() == ["1"]
    assert aside.rows() == [
        ("2", "unknown_timezone", zone and zone[:DETAIL_CHARACTERS]), ("3", "unknown_timezone", None)
    ]  # fmt: skip
    assert not is_timezone(zone)


def test_of_doubles_the_first_stays() -> None:
    frame, aside = listed(plant("2", name="A"), plant("1"), plant("2", name="B"))
    assert frame.select("plant_id", "name").rows() == [("1", "Roof"), ("2", "A")]
    assert aside.height == 0


def test_entries_without_an_id_are_no_plants() -> None:
    frame, aside = listed(plant(""), plant(None), {"name": "x"}, plant("5"))
    assert (frame["plant_id"].to_list(), aside.height) == (["5"], 0)
    odd = answers({"plants": [None, 5, "x", [], plant("6")]})
    assert build_plants(odd, TODAY)[0]["plant_id"].to_list() == ["6"]


@pytest.mark.parametrize("content", [{"plants": []}, {}, {"plants": None}, {"plants": "x"}])
def test_an_empty_list_has_no_plants(content: Entry) -> None:
    frame, aside = build_plants(answers(content), TODAY)
    assert (frame.height, aside.height, frame.schema) == (0, 0, polars_schema(Plants))


def test_plants_of_several_answers_are_one_list() -> None:
    both = answers({"plants": [plant("2")]}, {"plants": [plant("1"), plant("2")]})
    assert build_plants(both, TODAY)[0]["plant_id"].to_list() == ["1", "2"]
    assert sorted(list_plant_ids(both)) == ["1", "2"]


def test_fields_that_no_list_had_before_are_named_with_their_path() -> None:
    news = plant(
        "2", tariff="x", installation={"peakPower": 1.0, "tilt": {"of": [{"roof": 30}]}}, location=None
    )
    both = answers(
        {"plants": [plant("1"), 5, news]}, {"plants": [plant("3", mood=None)]}, {}, {"plants": None}
    )
    told = ["installation.tilt", "installation.tilt.of", "installation.tilt.of.roof", "mood", "tariff"]
    assert find_unknown_fields(both, "plants", PLANT_FIELDS) == told
    assert find_unknown_fields(
        answers({"devices": [{"deviceId": "1", "x": 1}]}), "devices", DEVICE_FIELDS
    ) == ["x"]
    assert find_unknown_fields(answers({"plants": [plant("1")]}), "plants", PLANT_FIELDS) == []


# ---- sections of plants ------------------------------------------------------------------------------------------


def test_sections_of_plants_are_told_where_they_are_sent() -> None:
    section = {
        "subPlantId": "s-1",
        "name": "Roof",
        "description": "x",
        "timezone": "Europe/Berlin",
        "status": "Ok",
    }
    content = {
        "plants": [plant("2", subPlants=[section, {"subPlantId": 5}]), plant("1"), plant("3", subPlants=[])]
    }
    found = checked(SubPlants, build_sub_plants(answers(content), TODAY))
    seen = {"first_seen": TODAY, "last_seen": TODAY}
    blank = dict.fromkeys(("name", "description", "timezone", "status"))
    assert found.to_dicts() == [
        {"plant_id": "2", "sub_plant_id": "5"} | blank | seen,
        {"plant_id": "2", "sub_plant_id": "s-1", "name": "Roof", "description": "x", "timezone": "Europe/Berlin",
         "status": "Ok"} | seen,
    ]  # fmt: skip
    assert find_unknown_fields(answers(content), "plants", PLANT_FIELDS) == []


@pytest.mark.parametrize("odd", ["all", 5, {"subPlantId": "s-1"}, [None, {}, {"subPlantId": ""}, ["s-1"]]])
def test_odd_sections_cost_no_plant(odd: object) -> None:
    content = answers({"plants": [plant("1", subPlants=odd, plantGroupId=""), plant("2")]})
    assert build_sub_plants(content, TODAY).height == 0
    frame, aside = build_plants(content, TODAY)
    assert (frame["plant_id"].to_list(), frame["plant_group_id"].to_list(), aside.height) == (
        ["1", "2"], [None, None], 0,
    )  # fmt: skip


# ---- devices ---------------------------------------------------------------------------------------------------------


def test_a_whole_device_and_a_bare_one() -> None:
    whole = {
        "deviceId": "72",
        "name": "SB",
        "type": "Solar Inverters",
        "product": "SB3.6-1AV-40",
        "productId": 9320,
        "vendor": "SMA",
        "serial": "1901234567",
        "generatorPower": 3600.0,
        "generatorPowerDc": 4000.0,
        "isActive": False,
        "deactivatedAt": "2024-06-01T12:00:00",
        "subPlantId": "s-1",
    }
    bare = {"deviceId": "71"}
    frame = checked(Devices, build_devices(answers({"devices": [whole, bare]}, plant="7"), TODAY))
    first, second = frame.rows(named=True)
    assert {name for name, value in first.items() if value is not None} == {
        "plant_id", "device_id", "first_seen", "last_seen",
    }  # fmt: skip
    assert second == {
        "plant_id": "7",
        "device_id": "72",
        "name": "SB",
        "type": "Solar Inverters",
        "product": "SB3.6-1AV-40",
        "product_id": 9320,
        "vendor": "SMA",
        "serial": "1901234567",
        "generator_power_w": 3600.0,
        "generator_power_dc_w": 4000.0,
        "former_generator_power_w": None,
        "former_generator_power_dc_w": None,
        "power_reduced_on": None,
        "former_powers": None,
        "is_active": False,
        "deactivated_at": dt.datetime.fromisoformat("2024-06-01T12:00:00"),
        "first_seen": TODAY,
        "last_seen": TODAY,
        "sub_plant_id": "s-1",
    }


@pytest.mark.parametrize(
    ("watts", "kept"), [(0, 0.0), (3600, 3600.0), (-1, None), (float("nan"), None), ("x", None)]
)
def test_odd_powers_of_devices_are_not_known(watts: object, kept: float | None) -> None:
    frame = build_devices(
        answers({"devices": [{"deviceId": "1", "generatorPower": watts}]}, plant="7"), TODAY
    )
    assert frame["generator_power_w"].to_list() == [kept]


def test_devices_are_kept_apart_by_plant() -> None:
    twice = {
        "devices": [{"deviceId": "1", "name": "A"}, {"deviceId": "1", "name": "B"}, {"deviceId": ""}, {}]
    }
    both = pl.concat(
        [answers(twice, plant="8"), answers(twice, plant="7"), answers({"devices": []}, plant="9")]
    )
    frame = checked(Devices, build_devices(both, TODAY))
    assert frame.select("plant_id", "device_id", "name").rows() == [("7", "1", "A"), ("8", "1", "A")]


# ---- sets ------------------------------------------------------------------------------------------------------------


def test_sets_of_plants_and_devices() -> None:
    given = pl.concat(
        [
            answers({"sets": ["EnergyBalance", "GridSettings", "EnergyBalance"]}, plant="7"),
            answers({"sets": ["EnergyAndPowerPv", None, ""]}, plant="7", device="71"),
            answers({"sets": []}, {}, {"sets": None}, plant="7", device="72"),
        ]
    )
    frame = checked(MeasurementSets, build_measurement_sets(given))
    assert frame.rows() == [
        ("7", None, "EnergyBalance"), ("7", None, "GridSettings"), ("7", "71", "EnergyAndPowerPv"),
    ]  # fmt: skip


def test_sets_are_known_however_they_are_capitalised() -> None:
    given = pl.concat(
        [
            answers({"sets": ["energybalance", "ENERGYBALANCE", "gridSettings", "myOwnSet"]}, plant="7"),
            answers({"sets": ["energyAndPowerPv"]}, plant="7", device="71"),
        ]
    )
    frame = checked(MeasurementSets, build_measurement_sets(given))
    assert frame.rows() == [
        ("7", None, "EnergyBalance"), ("7", None, "GridSettings"), ("7", None, "myOwnSet"),
        ("7", "71", "EnergyAndPowerPv"),
    ]  # fmt: skip


# ---- memory ----------------------------------------------------------------------------------------------------------


def seen(first: int, last: int, **names: str) -> pl.DataFrame:
    days = {"first_seen": dt.date(2025, 7, first), "last_seen": dt.date(2025, 7, last)}
    rows = [{"plant_id": plant_id, "name": name} | days for plant_id, name in names.items()]
    schema = {"plant_id": pl.String, "name": pl.String, "first_seen": pl.Date, "last_seen": pl.Date}
    return pl.DataFrame(rows, schema=schema)


def test_what_is_listed_again_keeps_its_first_day_and_takes_the_rest_from_today() -> None:
    frame = remember(seen(1, 5, a="old"), seen(9, 9, a="new"), ["plant_id"])
    assert frame.equals(seen(1, 9, a="new"))


def test_what_is_listed_no_more_stays_as_it_was() -> None:
    frame = remember(seen(1, 5, c="gone", a="old"), seen(9, 9, b="new"), ["plant_id"])
    assert frame.equals(pl.concat([seen(1, 5, a="old"), seen(9, 9, b="new"), seen(1, 5, c="gone")]))


def test_a_first_day_never_moves_later_nor_does_a_second_look_change_anything() -> None:
    stored = remember(seen(9, 9).clear(), seen(9, 9, a="x"), ["plant_id"])
    assert remember(stored, seen(9, 9, a="x"), ["plant_id"]).equals(stored)
    earlier = remember(stored, seen(3, 3, a="x"), ["plant_id"])
    assert earlier["first_seen"].to_list() == [dt.date(2025, 7, 3)]


def test_an_empty_list_forgets_nothing() -> None:
    stored = seen(1, 5, a="x", b="y")
    assert remember(stored, stored.clear(), ["plant_id"]).equals(stored)


def test_a_plant_that_moved_began_under_its_former_id() -> None:
    """The new portal gives the day of the move, with each list. Of a plant that has not moved the new start counts."""
    stored, _ = listed(
        plant("old", installation={"startUpUtc": "2019-05-01T00:00:00"}),
        plant("9", installation={"startUpUtc": "2019-05-01T00:00:00"}),
    )
    newest, _ = listed(
        plant("7", installation={"startUpUtc": "2025-07-09T00:00:00"}),
        plant("9", installation={"startUpUtc": "2020-06-01T00:00:00"}),
    )
    moved = pl.when(pl.col("plant_id") == "7").then(pl.lit("old")).alias("migrated_from")
    for moves in (moved, pl.lit(None, pl.String).alias("migrated_from")):
        stored = remember_plants(stored, newest.with_columns(moves))
        starts = dict(stored.select("plant_id", pl.col("start_up").dt.year()).iter_rows())
        assert starts == {"old": 2019, "7": 2019, "9": 2020}


def test_the_largest_power_before_a_reduction_stays_known() -> None:
    known = ["ac_power_kw", "peak_power_kw", "former_ac_power_kw", "former_peak_power_kw", "power_reduced_on"]

    def seen(stored: pl.DataFrame, ac: float, peak: float) -> pl.DataFrame:
        frame, _ = listed(plant("1", installation={"acNominalPower": ac * 1000, "peakPower": peak * 1000}))
        return remember_plants(stored, frame)

    first = seen(pl.DataFrame(schema=polars_schema(Plants)), 50, 60)
    assert seen(first, 55, 60).select(known).rows() == [(55.0, 60.0, None, None, None)]
    less = seen(first, 20, 60)
    assert less.select(known).rows() == [(20.0, 60.0, 50.0, 60.0, TODAY)]
    assert seen(less, 20, 60).equals(less)
    assert seen(less, 0, 0).select(known).rows() == [(None, None, 50.0, 60.0, TODAY)]
    assert seen(less, 70, 80).select(known).rows() == [(70.0, 80.0, 50.0, 60.0, TODAY)]


def test_the_largest_power_of_a_device_before_a_reduction_stays_known() -> None:
    powers = ("generator_power_w", "generator_power_dc_w")
    known = [*powers, *(f"former_{name}" for name in powers), "power_reduced_on"]

    def seen(stored: pl.DataFrame, day: int, ac: float | None, peak: float | None) -> pl.DataFrame:
        entry = {"deviceId": "7", "generatorPower": ac, "generatorPowerDc": peak}
        frame = build_devices(answers({"devices": [entry]}, plant="1"), dt.date(2025, 7, day))
        return checked(Devices, remember_devices(stored, frame))

    first = seen(pl.DataFrame(schema=polars_schema(Devices)), 1, 25_000, 30_000)
    assert first.select(known).rows() == [(25_000, 30_000, None, None, None)]
    less = seen(first, 2, 10_000, 30_000)
    assert less.select(known).rows() == [(10_000, 30_000, 25_000, 30_000, dt.date(2025, 7, 2))]
    assert seen(less, 3, 10_000, 30_000).drop("last_seen").equals(less.drop("last_seen"))
    none = seen(less, 4, None, None)
    assert none.select(known).rows() == [(None, None, 25_000, 30_000, dt.date(2025, 7, 4))]
    more = seen(none, 5, 50_000, 60_000)
    assert more.select(known).rows() == [(50_000, 60_000, 25_000, 30_000, dt.date(2025, 7, 4))]
    assert seen(more, 6, 40_000, 60_000).select(known).rows() == [
        (40_000, 60_000, 50_000, 60_000, dt.date(2025, 7, 6))
    ]


def test_the_zone_before_a_correction_stays_known() -> None:
    def seen(stored: pl.DataFrame, zone: str) -> pl.DataFrame:
        frame, _ = listed(plant("1", timezone=zone))
        return remember_plants(stored, frame)

    first = seen(pl.DataFrame(schema=polars_schema(Plants)), "UTC")
    assert first.select("timezone", "previous_timezone").rows() == [("UTC", None)]
    corrected = seen(first, "Europe/Berlin")
    assert corrected.select("timezone", "previous_timezone").rows() == [("Europe/Berlin", "UTC")]
    assert seen(corrected, "Europe/Berlin").equals(corrected)
    again = seen(corrected, "Europe/Madrid")
    assert again.select("timezone", "previous_timezone").rows() == [("Europe/Madrid", "Europe/Berlin")]
