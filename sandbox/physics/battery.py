"""A battery that charges from surplus and serves the house, and is back at its reserve by local midnight.

Charging follows a perfect forecast, as SMA's "forecast-based charging" aims to: never store more than the rest of the
day can use. So a day needs no memory of the day before, and energy is conserved exactly within the day.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sandbox.fleet.plants import Battery

Floats = NDArray[np.float64]


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
    stored = clamped_walk(into - out, usable)
    change = np.diff(stored, axis=-1, prepend=0.0)
    charging = np.maximum(change, 0.0) / (efficiency * hours)
    discharging = np.maximum(-change, 0.0) * efficiency / hours
    return charging, discharging, stored


def clamped_walk(steps: Floats, upper: Floats) -> Floats:
    """The walk s[i] = clip(s[i-1] + steps[i], 0, upper[i]) from s = 0, without a loop over cells.

    Clamped shifts x -> clip(x + a, lo, hi) are closed under composition, so a doubling scan (about nine rounds for a
    day) yields every prefix.
    """
    shift = steps.copy()
    low = np.zeros_like(steps)
    high = upper.copy()
    count = steps.shape[-1]
    width = 1
    while width < count:
        # The earlier map (of the `width` cells before) runs first, then the later one.
        late_shift, late_low, late_high = shift[..., width:], low[..., width:], high[..., width:]
        new_low = np.minimum(np.maximum(low[..., :-width] + late_shift, late_low), late_high)
        new_high = np.minimum(np.maximum(high[..., :-width] + late_shift, late_low), late_high)
        new_shift = shift[..., :-width] + late_shift
        low[..., width:], high[..., width:], shift[..., width:] = new_low, new_high, new_shift
        width *= 2
    return np.minimum(np.maximum(shift, low), high)
