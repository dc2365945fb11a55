"""System groups and sections of the sandbox's plants: what names them, and that all names agree."""

from sandbox.fleet.simulated_fleet import build_fleet
from sandbox.services.describe import describe_device, describe_plant
from tests.sandbox.served_sandbox import Served

FLEET = build_fleet(12, 7)


def test_plants_devices_and_sections_name_each_other() -> None:
    told = [describe_plant(plant, status=False, installation=False, location=False) for plant in FLEET]
    groups = [plant.get("plantGroupId") for plant in told]
    assert groups == ["group-1", None] * 3 + ["group-2", None] * 3
    with_sections = 0
    for plant, said in zip(FLEET, told, strict=True):
        sections = {section["subPlantId"] for section in said.get("subPlants", [])}
        named = {describe_device(one, plant, with_zone=False).get("subPlantId") for one in plant.devices} - {
            None
        }
        assert named == sections
        assert len(sections) != 1
        with_sections += bool(sections)
    # Some plants have sections and some, of all sizes, have none.
    assert 0 < with_sections < len(FLEET)


def test_logs_name_the_section_of_their_device(sandbox: Served) -> None:
    plant = next(one for one in FLEET if one.sections)
    logs = sandbox.get(f"/monitoring/v1/plants/{plant.plant_id}/logs", From="2022-01-01", To="2022-12-31")[
        "logs"
    ]
    path = f"/monitoring/v1/plants/{plant.plant_id}/devices/lean"
    devices = sandbox.get(path, WithDeactivatedDevices="true")["devices"]
    section_of = {device["deviceId"]: device.get("subPlantId") for device in devices}
    assert logs
    assert all(entry["subPlantId"] == section_of[entry["deviceId"]] for entry in logs)
