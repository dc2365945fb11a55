"""The energy balance of plants, from cells to rows: a value a row along the last axis."""

from collections.abc import Iterator, Sequence
from dataclasses import fields
from itertools import groupby
from typing import TypeVar

import numpy as np

from sandbox.days import Seconds
from sandbox.fleet.plant_model import Plant
from sandbox.physics.flows import Flows
from sandbox.physics.solar_position import CELL_S
from sandbox.series import fields as sma_fields
from sandbox.series.table import Columns, Floats, RowSheet

_FLOWS = tuple(item.name for item in fields(Flows))
_Values = TypeVar("_Values", Floats, Seconds)


def build_balance_rows(plant: Plant, flows: Flows) -> tuple[Columns, Columns]:
    """Power in W and the other fields of a plant's EnergyBalance."""
    step = plant.step_s
    power = {
        name: compute_row_means(watts, step)
        for name, watts in sma_fields.build_plant_power(plant, flows).items()
    }
    other = sma_fields.compute_rates(power)
    if plant.battery is not None:
        other["batteryStateOfCharge"] = (
            100.0 * take_row_ends(flows.stored_wh, step) / plant.battery.capacity_wh
        )
    return power, other


def build_sheets(plants: Sequence[Plant], flows: Flows) -> Iterator[RowSheet]:
    """The balance of one day of many plants, neighbours of one step together; the flows have a row for each."""
    first = 0
    for step, same in groupby(plants, key=lambda plant: plant.step_s):
        some = list(same)
        theirs = Flows(*(getattr(flows, name)[first : first + len(some)] for name in _FLOWS))
        first += len(some)
        yield RowSheet(some, take_row_ends(theirs.ends, step), _columns(some, theirs, step))


def _columns(plants: list[Plant], flows: Flows, step_s: int) -> Columns:
    """The balance of plants of one step; NaN in the fields that a plant does not have."""
    names = [sma_fields.list_balance_fields(plant) for plant in plants]
    power = {}
    for name, watts in sma_fields.build_balance_power(flows).items():
        known = np.array([name in some for some in names])
        if known.any():
            rows = compute_row_means(watts, step_s)
            power[name] = rows if known.all() else np.where(known[:, None], rows, np.nan)
    columns = power | sma_fields.compute_rates(power)
    capacity = np.array([plant.battery.capacity_wh if plant.battery else np.nan for plant in plants])
    if not np.isnan(capacity).all():
        stored = take_row_ends(flows.stored_wh, step_s)
        columns["batteryStateOfCharge"] = 100.0 * stored / capacity[:, None]
    return columns


def classify_plant(plant: Plant) -> tuple[int, bool, bool, bool, float]:
    """What decides how many rows a plant's balance has, which fields, and how long their numbers are."""
    return (
        plant.step_s,
        plant.metered,
        plant.battery is not None,
        plant.diesel_w > 0,
        plant.array.ac_rated_w,
    )


def compute_row_means(cells: Floats, step_s: int) -> Floats:
    """Mean of each row's cells."""
    each = step_s // CELL_S
    if each == 1:
        return cells
    # Cell by cell in all rows at once: numpy's own mean takes three times as long for so few cells a row.
    total = cells[..., ::each].copy()
    for cell in range(1, each):
        total += cells[..., cell::each]
    total /= each
    return total


def take_row_ends(cells: _Values, step_s: int) -> _Values:
    """Value at each row's end."""
    return cells[..., step_s // CELL_S - 1 :: step_s // CELL_S]
