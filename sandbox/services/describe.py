"""Plants and devices as SMA writes them."""

from datetime import datetime
from typing import Any

from sandbox.days import load_zone
from sandbox.fleet.plant_model import Device, Plant, Role

Json = dict[str, Any]


def describe_plant_briefly(plant: Plant) -> Json:
    """The three fields that stand in every envelope."""
    return {"plantId": plant.plant_id, "name": plant.name, "timezone": plant.zone}


def describe_device_briefly(device: Device, plant: Plant) -> Json:
    """The three fields of a device that stand in every envelope."""
    return {"deviceId": device.device_id, "name": device.name, "timezone": plant.zone}


def describe_plant(plant: Plant, *, status: bool, installation: bool, location: bool) -> Json:
    """A plant of the list or on its own, with the parts that were asked for."""
    answer = describe_plant_briefly(plant)
    if plant.description is not None:
        answer["description"] = plant.description
    if plant.group_id is not None:
        answer["plantGroupId"] = plant.group_id
    if plant.sections:
        answer["subPlants"] = [_describe_section(plant, section) for section in plant.sections]
    if status:
        answer["status"] = name_plant_status(plant)
    if installation and plant.has_installation:
        answer["installation"] = _describe_installation(plant)
    if location:
        answer["location"] = _describe_location(plant)
    return answer


def name_plant_status(plant: Plant) -> str:
    """The plant's state; one simulated plant in ten has a warning."""
    return "Warning" if plant.index >= 0 and plant.index % 10 == 9 else "Ok"  # noqa: PLR2004 - one plant in ten


def describe_device(device: Device, plant: Plant, *, with_zone: bool) -> Json:
    """A device; keys that do not apply are left out."""
    answer: Json = {
        "deviceId": device.device_id,
        "name": device.name,
        "type": device.type,
        "product": device.product,
        "productId": device.product_id,
        "vendor": "SMA Solar Technology AG",
        "isActive": device.deactivated_at is None,
    }
    if with_zone:
        answer["timezone"] = plant.zone
    if device.section is not None:
        answer["subPlantId"] = plant.section_id(device.section)
    if device.serial is not None:
        answer["serial"] = device.serial
    if device.generator_power_w is not None:
        answer["generatorPower"] = device.generator_power_w
        if device.role is Role.INVERTER:
            answer["generatorPowerDc"] = round(plant.array.peak_w * device.share, 1)
    if device.deactivated_at is not None:
        wall = datetime.fromtimestamp(device.deactivated_at, load_zone(plant.zone))
        answer["deactivatedAt"] = wall.strftime("%Y-%m-%dT%H:%M:%S")
    return answer


def _describe_section(plant: Plant, section: int) -> Json:
    return {
        "subPlantId": plant.section_id(section),
        "name": f"Section {section}",
        "timezone": plant.zone,
        "status": name_plant_status(plant),
    }


def _describe_installation(plant: Plant) -> Json:
    rated = plant.array.ac_rated_w
    return {
        "peakPower": plant.array.peak_w if plant.nominal_power_given else 0.0,
        "acNominalPower": rated if plant.nominal_power_given else 0.0,
        "calcAcNominalPower": rated,
        "dcPowerInputMax": plant.array.peak_w,
        "co2SavingsFactor": 400.0,
        "startUpUtc": plant.started_at.strftime("%Y-%m-%dT%H:%M:%S"),
        "orientation": {"azimuth": plant.array.azimuth_deg, "collectorSlope": plant.array.tilt_deg}
        if plant.index % 3
        else {},
    }


def _describe_location(plant: Plant) -> Json:
    site = plant.site
    address = {
        "country": site.country,
        "federalState": site.state,
        "city": site.city,
        "zipCode": site.zip_code,
        "street": "Sonnenallee" if site.city else "",
        "streetNo": str(plant.index + 1) if site.city else "",
        "longitude": site.longitude,
        "latitude": site.latitude,
    }
    return {"currencyCode3": site.currency, "address": address}
