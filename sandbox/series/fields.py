"""Which SMA fields a simulated plant or device has, computed from the power flows.

`*_power` functions give W of every cell (days, cells); `*_other` functions give the fields that are no energy.
"""

import dataclasses
from functools import lru_cache

import numpy as np

from sandbox.fleet.plant_model import Device, Plant, Role
from sandbox.physics.flows import Flows
from sandbox.series import set_names
from sandbox.series.table import Columns, Floats

SETS_OF_ROLE: dict[Role, tuple[str, ...]] = {
    Role.INVERTER: (set_names.PV, set_names.POWER_AC, set_names.POWER_DC, set_names.ENERGY_DC),
    Role.BATTERY: (set_names.BATTERY,),
    Role.METER: (set_names.IN_OUT, set_names.CONSUMPTION),
    Role.CHARGER: (set_names.CONSUMPTION, set_names.ENERGY_MIX),
    Role.PLANT: (set_names.CONSUMPTION, set_names.ENERGY_MIX),
    Role.SENSOR: (set_names.SENSOR,),
    Role.GATEWAY: (),
    Role.SOCKET: (),
}


def list_balance_fields(plant: Plant) -> tuple[str, ...]:
    """The energy fields of the plant's EnergyBalance, in the order of writing."""
    return _list_balance_names(plant.metered, plant.battery is not None, plant.diesel_w > 0)


@lru_cache(maxsize=8)
def _list_balance_names(metered: bool, battery: bool, diesel: bool) -> tuple[str, ...]:
    if not metered:  # then only the generation is known
        return ("pvGeneration", "totalGeneration")
    nothing = np.zeros(1)
    names = build_balance_power(Flows(*(nothing for _ in dataclasses.fields(Flows))))  # type: ignore[arg-type]
    return tuple(
        name
        for name in names
        if (battery or not name.startswith("battery")) and (diesel or name != "dieselGeneration")
    )


def build_plant_power(plant: Plant, flows: Flows) -> Columns:
    """The power of the plant's EnergyBalance."""
    power = build_balance_power(flows)
    return {name: power[name] for name in list_balance_fields(plant)}


def build_balance_power(flows: Flows) -> Columns:
    """The power of an EnergyBalance with everything that a plant may have."""
    return {
        "pvGeneration": flows.pv,
        "directConsumption": flows.direct,
        "totalConsumption": flows.load,
        "batteryCharging": flows.charging,
        "batteryDischarging": flows.discharging,
        "dieselGeneration": flows.diesel,
        "gridFeedIn": flows.feed_in,
        "gridConsumption": flows.from_grid,
        "totalGeneration": flows.pv + flows.diesel,
        "selfConsumption": flows.direct + flows.charging,
        "selfSupply": flows.direct + flows.discharging,
    }


def build_device_power(device: Device, set_type: str, flows: Flows) -> Columns:
    """The energy-and-power fields of a device's set; empty for sets that have none."""
    load = flows.charger if device.role is Role.CHARGER else flows.load
    table: dict[str, Columns] = {
        set_names.PV: {"pvGeneration": flows.pv * device.share},
        set_names.BATTERY: {"batteryCharging": flows.charging, "batteryDischarging": flows.discharging},
        set_names.CONSUMPTION: {"consumption": load},
        set_names.IN_OUT: {"gridFeedIn": flows.feed_in, "gridConsumption": flows.from_grid},
        set_names.ENERGY_MIX: {"totalConsumption": load},
    }
    return table.get(set_type, {}) if set_type in SETS_OF_ROLE[device.role] else {}


def compute_rates(power: Columns) -> Columns:
    """Autarky and self-consumption rates (0..1) of rows that hold the energy balance; absent where undefined."""
    if "selfSupply" not in power:
        return {}
    return {
        "autarkyRate": _divide_shares(power["selfSupply"], power["totalConsumption"]),
        "selfConsumptionRate": _divide_shares(power["selfConsumption"], power["totalGeneration"]),
    }


def compute_mix(plant_rows: Columns) -> Columns:
    """Where the consumed energy came from, as shares that add up to one."""
    total = plant_rows["totalConsumption"]
    battery = plant_rows.get("batteryDischarging", np.zeros_like(total))
    return {
        "pvConsumptionRate": _divide_shares(plant_rows["directConsumption"], total),
        "batteryConsumptionRate": _divide_shares(battery, total),
        "gridConsumptionRate": _divide_shares(plant_rows["gridConsumption"], total),
    }


def _divide_shares(part: Floats, whole: Floats) -> Floats:
    ratio = np.full_like(whole, np.nan)
    np.divide(part, whole, out=ratio, where=whole > 0)
    return np.minimum(ratio, 1.0)  # rounding must not make a share larger than the whole


def build_ac_fields(plant: Plant, watts: Floats, noise: Floats) -> Columns:
    """PowerAc of an inverter: three balanced phases, voltage that rises with feed-in, a little reactive power."""
    volts = plant.site.phase_v * (1 + 0.004 * noise[0] + 0.015 * watts / plant.array.ac_rated_w)
    reactive = 0.05 * watts
    apparent = np.hypot(watts, reactive)
    fields: Columns = {}
    for number, phase in enumerate("ABC"):
        phase_volts = volts * (1 + 0.002 * noise[1 + number])
        fields[f"voltagePhase{phase}"] = phase_volts
        fields[f"currentPhase{phase}"] = apparent / 3 / phase_volts
        fields[f"activePowerPhase{phase}"] = watts / 3
        fields[f"reactivePowerPhase{phase}"] = reactive / 3
        fields[f"apparentPowerPhase{phase}"] = apparent / 3
    for pair in ("A2B", "B2C", "C2A"):
        fields[f"voltagePhase{pair}"] = volts * np.sqrt(3.0)
    fields |= {
        "activePower": watts,
        "reactivePower": reactive,
        "apparentPower": apparent,
        "gridFrequency": plant.site.grid_hz + 0.012 * noise[4],
        "displacementPowerFactor": np.divide(watts, apparent, out=np.ones_like(watts), where=apparent > 0),
    }
    return fields


# How an inverter's DC power splits over its two inputs A and B.
STRINGS = (0.55, 0.45)


def build_dc_fields(dc_watts: Floats, noise: Floats) -> Columns:
    """PowerDc of an inverter with two inputs: power, voltage near the maximum power point, current.

    Isolation is one number of the whole device, as in every recorded answer.
    """
    split = np.array(STRINGS)
    power = dc_watts[:, None] * split
    volts = 360.0 + 25.0 * np.array([0.0, 1.0]) + 6.0 * noise[0][:, None]
    return {
        "dcPowerInput": power,
        "dcVoltageInput": volts,
        "dcCurrentInput": power / volts,
        "isolationResistance": 3.0e6 + 1.0e5 * noise[1],
    }


def build_battery_fields(plant: Plant, stored_wh: Floats, watts: Floats, ambient_c: Floats) -> Columns:
    """State of a battery with one stack: charge and health in %, voltage, current, temperature."""
    battery = plant.battery
    capacity = battery.capacity_wh if battery else 1.0
    charge = 100.0 * stored_wh / capacity
    health = np.full_like(charge, 97.0)
    volts = 48.0 + 0.05 * charge
    return {
        "batteryStateOfCharge": charge,
        "batteryStateOfHealth": health,
        "batteryStateOfChargeArray": charge[:, None],
        "batteryStateOfHealthArray": health[:, None],
        "batteryVoltage": volts[:, None],
        "batteryCurrent": (watts / volts)[:, None],
        "batteryTemperature": (20.0 + 0.25 * (ambient_c - 10.0))[:, None],
        "currentBatteryChargingSetVoltage": np.full_like(charge, 54.5)[:, None],
    }
