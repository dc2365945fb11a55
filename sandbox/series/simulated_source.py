"""Measurements of a simulated plant."""

from collections.abc import Iterable, Sequence
from datetime import date
from itertools import groupby

import numpy as np

from sandbox.days import Seconds, find_day_bounds, find_local_date, list_dates
from sandbox.fleet.plant_model import Device, Plant, Role
from sandbox.physics.flows import Flows
from sandbox.physics.solar_position import CELL_S
from sandbox.random_streams import Topic, open_day_stream
from sandbox.series import fields as sma_fields
from sandbox.series import set_names
from sandbox.series.balance import build_balance_rows, build_sheets, compute_row_means, take_row_ends
from sandbox.series.flow_cache import CHARGER, FlowCache, collect_energies
from sandbox.series.held_limits import PowerLimit
from sandbox.series.table import EMPTY, Columns, RowSheet, RowTable

# The quantity of `exact_kwh` that limits prevented: what the PV would have given without them, less what it gave.
CURTAILED = "curtailedGeneration"


class SimulatedSource:
    """The source of one simulated plant; cheap to make, all heavy state is in the shared cache."""

    def __init__(self, plant: Plant, cache: FlowCache) -> None:
        """Serve `plant` from `cache`, as one of its fleet."""
        self.plant = plant
        self._cache = cache
        cache.join(plant)

    def limit(self, limits: Iterable[PowerLimit]) -> None:
        """Replace the plant's limits."""
        self._cache.limit(self.plant, limits)

    def sets(self, device: Device | None) -> tuple[str, ...]:
        """See `Source.sets`."""
        if device is not None:
            # Without a meter nobody knows the load.
            unknown = device.role is Role.PLANT and not self.plant.metered
            return () if unknown else sma_fields.SETS_OF_ROLE[device.role]
        return (
            (set_names.ENERGY_BALANCE, set_names.GRID_SETTINGS)
            if self.plant.metered
            else (set_names.ENERGY_BALANCE,)
        )

    def span(self) -> tuple[date, date | None]:
        """See `Source.span`."""
        return find_local_date(self.plant.started_at.timestamp(), self.plant.zone), None

    def note_request(self, day: date | None) -> None:
        """See `Source.asked`."""
        self._cache.note_request(self.plant, day)

    def day(self, device: Device | None, set_type: str, day: date) -> RowTable:
        """See `Source.day`."""
        if set_type not in self.sets(device) or not self._is_active(device, day):
            return EMPTY
        flows = self._cache.day(self.plant, day)
        if device is None:
            return self._build_plant_day(set_type, flows)
        return self._build_device_day(device, set_type, flows, day)

    def take_neighbours(self, day: date) -> list[RowSheet]:
        """See `Source.neighbours`."""
        if not self._is_active(None, day):
            return []
        rows = self._cache.take_neighbours(self.plant, day)
        if rows is None:
            return []
        plants, flows = rows
        return list(build_sheets(plants, flows))

    def daily_energy(self, device: Device | None, set_type: str, days: Sequence[date]) -> Columns:
        """See `Source.daily_energy`."""
        if set_type not in self.sets(device):
            return {}
        wanted = self._list_quantities(device, set_type)
        blocks: list[Columns] = []
        for (year, month), same in groupby(days, key=lambda day: (day.year, day.month)):
            some = list(same)
            energies = self._cache.month(self.plant, year, month)
            at = [day.day - 1 for day in some]
            there = np.array([self._is_active(device, day) for day in some])
            blocks.append(
                {to: np.where(there, energies[of][at] * part, np.nan) for to, (of, part) in wanted.items()}
            )
        return {name: np.concatenate([block[name] for block in blocks]) for name in wanted} if blocks else {}

    def exact_kwh(self, device: Device | None, quantity: str, start: float, end: float) -> float | None:
        """See `Source.exact_kwh`: straight from the five-minute cells, before any rounding or grouping into rows."""
        if quantity == CURTAILED:
            return self._sum_curtailed(device, start, end)
        wanted = {
            name: item
            for set_type in self.sets(device)
            if set_type != set_names.GRID_SETTINGS
            for name, item in self._list_quantities(device, set_type).items()
        }
        if quantity not in wanted:
            return None
        of, part = wanted[quantity]
        return self._sum_energy(device, of, start, end) * part

    def _sum_curtailed(self, device: Device | None, start: float, end: float) -> float | None:
        if device is not None and not device.share:
            return None
        part = 1.0 if device is None else device.share
        free = self._sum_energy(device, "pvGeneration", start, end, unlimited=True)
        return (free - self._sum_energy(device, "pvGeneration", start, end)) * part

    def _sum_energy(
        self, device: Device | None, quantity: str, start: float, end: float, *, unlimited: bool = False
    ) -> float:
        """kWh of the plant's quantity on the days on which the device was there."""
        days = [
            day
            for day in list_dates(
                find_local_date(start, self.plant.zone), find_local_date(end, self.plant.zone)
            )
            if self._is_active(device, day)
        ]
        total = 0.0
        for flows in self._cache.chunks(self.plant, days, unlimited=unlimited):
            watts = collect_energies(self.plant, flows)[quantity]
            covered = np.minimum(flows.ends, end) - np.maximum(flows.ends - CELL_S, start)
            total += float((watts * np.maximum(covered, 0.0)).sum())
        return total / 3.6e6

    def _is_active(self, device: Device | None, day: date) -> bool:
        start, _ = find_day_bounds(day, self.plant.zone)
        if start < self.plant.started_at.timestamp():
            return False
        if device is None:
            return True
        return start >= device.installed_at and (
            device.deactivated_at is None or start < device.deactivated_at
        )

    def _list_quantities(self, device: Device | None, set_type: str) -> dict[str, tuple[str, float]]:
        """SMA's field -> (the plant's quantity, the device's part of it)."""
        if device is None:
            if set_type == set_names.GRID_SETTINGS:
                return {}
            return {name: (name, 1.0) for name in sma_fields.list_balance_fields(self.plant)}
        load = CHARGER if device.role is Role.CHARGER else "totalConsumption"
        table: dict[str, dict[str, tuple[str, float]]] = {
            set_names.PV: {"pvGeneration": ("pvGeneration", device.share)},
            set_names.BATTERY: {name: (name, 1.0) for name in ("batteryCharging", "batteryDischarging")},
            set_names.CONSUMPTION: {"consumption": (load, 1.0)},
            set_names.IN_OUT: {name: (name, 1.0) for name in ("gridFeedIn", "gridConsumption")},
            set_names.ENERGY_MIX: {"totalConsumption": (load, 1.0)},
        }
        return table.get(set_type, {})

    def _build_plant_day(self, set_type: str, flows: Flows) -> RowTable:
        if set_type == set_names.GRID_SETTINGS:
            return self._build_grid_settings(flows)
        power, other = build_balance_rows(self.plant, flows)
        step = self.plant.step_s
        return _build_table(take_row_ends(flows.ends, step), power, other, step)

    def _build_grid_settings(self, flows: Flows) -> RowTable:
        """The active power limit in % of the rating, every 15 minutes whatever the plant's own step is."""
        ends = take_row_ends(flows.ends, 900)
        limit = np.full(len(ends), 100.0)
        for held in self._cache.limits(self.plant):
            inside = (ends - 900 >= held.start) & (ends <= held.end)
            percent = 100.0 * held.watts / self.plant.array.ac_rated_w
            limit = np.where(inside, np.minimum(limit, percent), limit)
        return RowTable(ends, other={"activePowerLimitation": limit})

    def _build_device_day(self, device: Device, set_type: str, flows: Flows, day: date) -> RowTable:
        step = self.plant.step_s
        power = {
            name: compute_row_means(watts, step)
            for name, watts in sma_fields.build_device_power(device, set_type, flows).items()
        }
        table = _build_table(
            take_row_ends(flows.ends, step),
            power,
            self._build_other_fields(device, set_type, flows, day),
            step,
        )
        if device.role is Role.INVERTER:
            return table.where(
                compute_row_means(flows.pv, step) > 0
            )  # an inverter sleeps at night and reports nothing
        return table

    def _build_other_fields(self, device: Device, set_type: str, flows: Flows, day: date) -> Columns:
        """The fields of a device's set that are no energy."""
        step = self.plant.step_s
        if set_type == set_names.BATTERY:
            net = compute_row_means(flows.charging - flows.discharging, step)
            stored, ambient = take_row_ends(flows.stored_wh, step), compute_row_means(flows.ambient_c, step)
            return sma_fields.build_battery_fields(self.plant, stored, net, ambient)
        if set_type == set_names.ENERGY_MIX:
            rows = sma_fields.build_plant_power(self.plant, flows).items()
            return sma_fields.compute_mix({name: compute_row_means(watts, step) for name, watts in rows})
        if set_type == set_names.SENSOR:
            named = {
                "externalInsolation": flows.insolation,
                "ambientTemperature": flows.ambient_c,
                "moduleTemperature": flows.module_c,
                "windSpeed": flows.wind,
            }
            return {name: compute_row_means(values, step) for name, values in named.items()}
        if set_type in (set_names.POWER_AC, set_names.POWER_DC, set_names.ENERGY_DC):
            return self._build_electrical_fields(device, set_type, flows, day)
        return {}

    def _build_electrical_fields(self, device: Device, set_type: str, flows: Flows, day: date) -> Columns:
        """PowerAc, PowerDc or EnergyDc of an inverter."""
        step = self.plant.step_s
        dc = compute_row_means(flows.dc, step) * device.share
        if set_type == set_names.ENERGY_DC:
            return {"dcEnergyInput": dc[:, None] * np.array(sma_fields.STRINGS) * step / 3600}
        noise = open_day_stream(self._cache.seed, Topic.ELECTRICAL, self.plant.index, day).standard_normal(
            (5, len(dc))
        )
        if set_type == set_names.POWER_DC:
            return sma_fields.build_dc_fields(dc, noise)
        return sma_fields.build_ac_fields(self.plant, compute_row_means(flows.pv, step) * device.share, noise)


def _build_table(ends: Seconds, power: Columns, other: Columns, step_s: int) -> RowTable:
    return RowTable(ends, power, {name: watts * (step_s / 3600) for name, watts in power.items()}, other)
