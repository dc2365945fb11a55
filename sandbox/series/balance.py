"""The energy balance of one plant, or of several plants of one kind at once, from cells to rows."""

from collections.abc import Iterator, Sequence
from dataclasses import fields
from itertools import groupby
from typing import TypeVar

import numpy as np

from sandbox.days import Seconds
from sandbox.fleet.plants import Plant
from sandbox.physics.flows import Flows
from sandbox.physics.sun import CELL_S
from sandbox.series import fields as sma_fields
from sandbox.series.table import Columns, Floats, Sheet

_FLOWS = tuple(item.name for item in fields(Flows))
_Values = TypeVar("_Values", Floats, Seconds)
Kind = tuple[int, bool, bool, bool]


def balance_rows(plant: Plant, flows: Flows, capacity_wh: Floats | float) -> tuple[Columns, Columns]:
    """Power in W and the other fields of EnergyBalance, a value a row along the last axis.

    `plant` tells the step and the equipment; `capacity_wh` is its battery's, or that of each plant of the same kind.
    """
    step = plant.step_s
    power = {name: row_means(watts, step) for name, watts in sma_fields.plant_power(plant, flows).items()}
    other = sma_fields.rates(power)
    if plant.battery is not None:
        other["batteryStateOfCharge"] = 100.0 * at_row_ends(flows.stored_wh, step) / capacity_wh
    return power, other


def sheets(plants: Sequence[Plant], flows: Flows) -> Iterator[Sheet]:
    """The balance of one day of many plants, neighbours of one kind together; the flows have a row for each."""
    first = 0
    for _, same in groupby(plants, key=kind_of):
        some = list(same)
        theirs = Flows(*(getattr(flows, name)[first : first + len(some)] for name in _FLOWS))
        first += len(some)
        capacity = np.array([plant.battery.capacity_wh if plant.battery else 0.0 for plant in some])
        power, other = balance_rows(some[0], theirs, capacity[:, None])
        yield Sheet(some, at_row_ends(theirs.ends, some[0].step_s), {**power, **other})


def kind_of(plant: Plant) -> Kind:
    """What decides which fields a plant's balance has, and how many rows."""
    return plant.step_s, plant.metered, plant.battery is not None, plant.diesel_w > 0


def row_means(cells: Floats, step_s: int) -> Floats:
    """Mean of each row's cells."""
    if step_s == CELL_S:
        return cells
    result: Floats = cells.reshape(*cells.shape[:-1], -1, step_s // CELL_S).mean(axis=-1)
    return result


def at_row_ends(cells: _Values, step_s: int) -> _Values:
    """Value at each row's end."""
    return cells[..., step_s // CELL_S - 1 :: step_s // CELL_S]
