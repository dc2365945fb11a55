"""A battery that charges from surplus and serves the house, and is back at its reserve by local midnight.

Charging follows a perfect forecast, as SMA's "forecast-based charging" aims to: never store more than the rest of the
day can use. So a day needs no memory of the day before, and energy is conserved exactly within the day.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sandbox.fleet.plant_model import Battery

Floats = NDArray[np.float64]

_BLOCK = 12


def run_batteries(
    batteries: Sequence[Battery], surplus_w: Floats, deficit_w: Floats, hours: float
) -> tuple[Floats, Floats, Floats]:
    """Charging W, discharging W and stored Wh at each cell's end, from what houses can spare and what they lack.

    One battery a row, arrays of the shape (rows, cells). Charging c and discharging d (at the terminals) change the
    store by c·η·h and -d/η·h.
    """
    power_w = np.array([battery.power_w for battery in batteries])[:, None]
    capacity_wh = np.array([battery.capacity_wh for battery in batteries])[:, None]
    efficiency = np.array([battery.efficiency for battery in batteries])[:, None]
    into = np.minimum(surplus_w, power_w) * efficiency * hours
    out = np.minimum(deficit_w, power_w) / efficiency * hours
    ahead = np.cumsum(out[:, ::-1], axis=-1)[:, ::-1]
    usable = np.zeros_like(ahead)
    usable[:, :-1] = np.minimum(ahead[:, 1:], capacity_wh)
    stored = walk_within(into - out, usable)
    change = np.diff(stored, axis=-1, prepend=0.0)
    charging = np.maximum(change, 0.0) / (efficiency * hours)
    discharging = np.maximum(-change, 0.0) * efficiency / hours
    return charging, discharging, stored


def walk_within(steps: Floats, upper: Floats) -> Floats:
    """The walk s[i] = clip(s[i-1] + steps[i], 0, upper[i]) from s = 0; arrays of the shape (rows, cells).

    Clamped shifts x -> clip(x + shift, low, high) are closed under composition. So all blocks of cells are walked
    through at once, then the walk goes from block to block: both take far fewer turns than there are cells.
    """
    rows, cells = steps.shape
    blocks = -(-cells // _BLOCK)
    bound, shift = _cut_into_blocks(upper, blocks, np.inf), _cut_into_blocks(steps, blocks, 0.0)
    low, high = np.zeros_like(shift), np.empty_like(shift)
    high[0] = bound[0]
    for cell in range(1, _BLOCK):
        low[cell] = np.minimum(np.maximum(low[cell - 1] + shift[cell], 0.0), bound[cell])
        high[cell] = np.minimum(np.maximum(high[cell - 1] + shift[cell], 0.0), bound[cell])
        shift[cell] += shift[cell - 1]
    begin = np.zeros((rows, blocks))
    for block in range(1, blocks):
        end = np.maximum(begin[:, block - 1] + shift[-1, :, block - 1], low[-1, :, block - 1])
        np.minimum(end, high[-1, :, block - 1], out=begin[:, block])
    walk = np.minimum(np.maximum(begin + shift, low), high)
    result: Floats = walk.transpose(1, 2, 0).reshape(rows, -1)[:, :cells]
    return result


def _cut_into_blocks(values: Floats, blocks: int, beyond: float) -> Floats:
    """(rows, cells) as (cells of a block, rows, blocks); what lies behind the last cell is `beyond`."""
    rows, cells = values.shape
    whole = np.full((rows, blocks * _BLOCK), beyond)
    whole[:, :cells] = values
    return np.ascontiguousarray(whole.reshape(rows, blocks, _BLOCK).transpose(2, 0, 1))
