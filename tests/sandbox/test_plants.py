"""Plants and devices: both portals, every flag, and SMA's tolerance for spelling."""

import re

import httpx
import pytest

from sandbox.fleet.plant_model import Role
from sandbox.fleet.simulated_fleet import build_fleet
from tests.sandbox.served_sandbox import Serve, Served

PLANTS = "/monitoring/v1/plants"
GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def test_recordings_and_twelve_plants_of_both_portals(sandbox: Served) -> None:
    plants = sandbox.get(PLANTS)["plants"]
    ids = [plant["plantId"] for plant in plants]
    assert ids[:2] == ["900001", "900002"]
    assert all(isinstance(item, str) and (item.isdigit() or GUID.fullmatch(item)) for item in ids)
    assert sum(item.isdigit() for item in ids[2:]) == 6
    assert {plant["timezone"] for plant in plants[2:]} == {"Europe/Berlin", "America/New_York", "Asia/Tokyo"}


def test_the_bare_list_gives_id_name_and_zone_only(sandbox: Served) -> None:
    plants = sandbox.get(PLANTS)["plants"]
    assert set(plants[0]) == {"plantId", "name", "timezone"}


def test_parts_come_when_asked_for_in_any_spelling(sandbox: Served) -> None:
    plant = sandbox.get(f"{PLANTS}/", withinstallation="TRUE", WITHLOCATION="true", WithStatus="true")[
        "plants"
    ][2]
    assert set(plant["installation"]) == {
        "peakPower", "acNominalPower", "calcAcNominalPower", "dcPowerInputMax", "co2SavingsFactor", "startUpUtc",
        "orientation",
    }  # fmt: skip
    assert plant["location"]["address"]["country"] == "DE"
    assert plant["status"] == "Ok"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", plant["installation"]["startUpUtc"])


def test_filter_keeps_names_that_contain_it(sandbox: Served) -> None:
    assert len(sandbox.get(PLANTS, Filter="recorded")["plants"]) == 2


def test_one_plant_comes_flat(sandbox: Served) -> None:
    plant = sandbox.get(f"{PLANTS}/900001")
    assert (plant["name"], plant["timezone"]) == ("Recorded: SB 4000TL-21, Melbourne", "Australia/Brisbane")
    assert plant["installation"]["acNominalPower"] == 4000.0
    assert plant["installation"]["startUpUtc"] == "2019-09-30T14:00:00"


def test_devices_and_lean_devices(sandbox: Served) -> None:
    plant_id = sandbox.get(PLANTS)["plants"][2]["plantId"]
    full = sandbox.get(f"{PLANTS}/{plant_id}/devices")
    lean = sandbox.get(f"{PLANTS}/{plant_id}/devices/lean/")
    assert full["plant"]["plantId"] == plant_id
    assert all("timezone" in device for device in full["devices"])
    assert set(lean) == {"devices"}
    assert all("timezone" not in device for device in lean["devices"])
    assert [device["deviceId"] for device in lean["devices"]] == [
        device["deviceId"] for device in full["devices"]
    ]
    charger = next(device for device in lean["devices"] if device["productId"] == 9431)
    assert charger["type"] == "Solar Inverters"
    assert "generatorPower" not in charger
    sensor = next(device for device in lean["devices"] if device["type"] == "Sensor technology")
    assert "serial" not in sensor


def test_deactivated_devices_come_on_request_only(sandbox: Served) -> None:
    plant = next(source.plant for source in sandbox.world.sources() if source.plant.index == 2)
    path = f"{PLANTS}/{plant.plant_id}/devices/lean"
    active, everything = (
        sandbox.get(path)["devices"],
        sandbox.get(path, WithDeactivatedDevices="true")["devices"],
    )
    gone = [device for device in everything if device not in active]
    assert [device["isActive"] for device in gone] == [False]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT00:00:00", gone[0]["deactivatedAt"])


def test_a_swapped_inverter_hands_over_at_midnight_and_the_plant_keeps_its_energy(sandbox: Served) -> None:
    source = next(source for source in sandbox.world.sources() if source.plant.index == 2)
    old, new = source.plant.with_role(Role.INVERTER)[:2]
    assert old.deactivated_at == new.installed_at
    day = sandbox.get(f"{PLANTS}/{source.plant.plant_id}/devices/lean", WithDeactivatedDevices="true")[
        "devices"
    ]
    when = next(device["deactivatedAt"] for device in day if device["deviceId"] == old.device_id)[:10]
    assert sandbox.device_rows(old.device_id, "EnergyAndPowerPv", Date=when) == []
    assert sandbox.device_rows(new.device_id, "EnergyAndPowerPv", Date=when) != []
    month = {"Date": when[:7]}
    parts = [
        sandbox.device_rows(d.device_id, "EnergyAndPowerPv", "Month", **month)
        for d in source.plant.with_role(Role.INVERTER)
    ]
    whole = sandbox.rows(source.plant.plant_id, "Month", **month)
    total = sum(row["pvGeneration"] for part in parts for row in part)
    assert total == pytest.approx(sum(row["pvGeneration"] for row in whole), abs=0.2)


def test_capacity_zero_where_only_the_calculated_power_is_known(sandbox: Served) -> None:
    plants = sandbox.get(PLANTS, WithInstallation="true")["plants"]
    zero = [plant["installation"] for plant in plants if plant["installation"]["acNominalPower"] == 0.0]
    assert zero
    assert all(item["peakPower"] == 0.0 and item["calcAcNominalPower"] > 0 for item in zero)


def test_a_plant_listed_among_its_own_devices(sandbox: Served) -> None:
    source = next(source for source in sandbox.world.sources() if source.plant.index == 8)
    devices = sandbox.get(f"{PLANTS}/{source.plant.plant_id}/devices/lean")["devices"]
    assert source.plant.plant_id in [device["deviceId"] for device in devices]
    assert sandbox.get(f"/monitoring/v1/devices/{source.plant.plant_id}/measurements/sets")["sets"]


def test_a_plant_without_meter_among_its_own_devices_knows_no_load(serve: Serve) -> None:
    it = serve(plants=200)
    plant = next(plant for plant in build_fleet(200, 7) if plant.index % 9 == 8 and not plant.metered)
    assert it.get(f"/monitoring/v1/devices/{plant.plant_id}/measurements/sets")["sets"] == []
    for period, when in (("Day", "2023-06-10"), ("Month", "2023-06")):
        assert it.device_rows(plant.plant_id, "EnergyMix", period, Date=when) == []
    window = {"from": "2023-06-10T00:00:00Z", "to": "2023-06-11T00:00:00Z"}
    assert it.http.get(f"/_truth/devices/{plant.plant_id}/consumption", params=window).status_code == 404


def test_a_large_fleet_has_hourly_plants_plants_without_meter_and_without_installation(serve: Serve) -> None:
    fleet = build_fleet(200, 7)
    assert {plant.step_s for plant in fleet} == {300, 900, 3600}
    assert {plant.metered for plant in fleet} == {True, False}
    assert any(not plant.has_installation for plant in fleet)
    assert any(plant.diesel_w for plant in fleet)
    assert len({plant.plant_id for plant in fleet}) == 200
    ids = [device.device_id for plant in fleet for device in plant.devices if device.role is not Role.PLANT]
    assert len(ids) == len(set(ids))


def test_a_plant_does_not_depend_on_the_size_of_the_fleet() -> None:
    assert build_fleet(40, 7)[:15] == build_fleet(15, 7)
    assert build_fleet(3, 7) != build_fleet(3, 8)


def test_device_status_and_details(sandbox: Served) -> None:
    device = sandbox.get("/monitoring/v1/devices/9000011")
    assert device["plant"]["plantId"] == "900001"
    assert device["device"]["type"] == "Solar Inverters"
    assert "details" in device
    assert sandbox.get("/monitoring/v1/devices/9000011/status")["status"] == "Ok"
    assert sandbox.get(f"{PLANTS}/900001/status")["status"] == "Ok"


@pytest.mark.parametrize("path", ["plants/1", "devices/1", "plants/1/devices", "plants/../x", "nothing"])
def test_unknown_is_404_in_smas_form(sandbox: Served, path: str) -> None:
    answer = sandbox.http.get(f"/monitoring/v1/{path}")
    assert (answer.status_code, answer.json()) == (404, {"message": "Not Found", "code": "404"})


def test_a_wrong_method_and_a_wrong_flag_are_told(sandbox: Served) -> None:
    assert sandbox.http.post(PLANTS).status_code == 405
    assert sandbox.http.get(PLANTS, params={"WithStatus": "maybe"}).json()["errors"] == {
        "WithStatus": ["The value 'maybe' is not valid for WithStatus."]
    }


def test_migration_answers_308_with_the_query_kept_and_lists_the_new_id_only(serve: Serve) -> None:
    it = serve(plants=6)
    old = next(source.plant for source in it.world.sources() if source.plant.classic)
    before = it.rows(old.plant_id, Date="2022-06-01")
    moved = it.http.post("/_control/migrations", json={"plantId": old.plant_id}).json()
    path = f"{PLANTS}/{old.plant_id}/measurements/sets/EnergyBalance/Day"
    answer = it.http.get(path, params={"Date": "2022-06-01"})
    assert (answer.status_code, answer.content) == (308, b"")
    assert answer.headers["location"] == f"{path.replace(old.plant_id, moved['to'])}?Date=2022-06-01"
    ids = [plant["plantId"] for plant in it.get(PLANTS)["plants"]]
    assert moved["to"] in ids
    assert old.plant_id not in ids
    followed = httpx.get(
        it.url + answer.headers["location"],
        headers={"Authorization": it.http.headers["Authorization"]},
        trust_env=False,
    )
    assert followed.json()["set"] == before
    device = it.http.get(f"/monitoring/v1/devices/{old.devices[0].device_id}")
    assert device.status_code == 308
    odd = it.http.get(f"{PLANTS}/{old.plant_id.upper()}/measurements/sets/%F0%9F%8C%9E/%0d%0aDay?Date=%0a")
    assert (
        odd.headers["location"] == f"{PLANTS}/{moved['to']}/measurements/sets/%F0%9F%8C%9E/%0d%0aDay?Date=%0a"
    )


def test_hostile_names_arrive_whole(serve: Serve) -> None:
    it = serve(plants=12, hostile_names=True)
    names = [plant["name"] for plant in it.get(PLANTS)["plants"]]
    assert any("\n" in name for name in names)
    assert any(len(name) == 4000 for name in names)
    assert any("../" in name for name in names)
