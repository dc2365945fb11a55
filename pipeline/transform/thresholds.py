"""The thresholds of the quality rules, as they come with sunledger."""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

SHIPPED = "quality.toml"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """One number for each rule's limit. `quality.toml` gives the values with their units and reasons."""

    beyond_rated_times: float
    beyond_fleet_times: float
    beyond_sun_times: float
    beyond_sun_times_neighbours: float
    peak_per_ac_power: float
    least_site_w: float
    unknown_site_w: float
    connection_w: float
    beyond_balance_times: float
    beyond_size_times: float
    beyond_series_times: float
    code_times_most: float
    standby_w: float
    standby_share_of_rated: float
    future_min: float
    night_w: float
    night_share_of_rated: float
    night_sun_deg: float
    night_share_of_day: float
    frozen_min: float
    frozen_rows: float
    frozen_above_share: float
    frozen_below_share: float
    frozen_fall_per_h: float
    identity_w: float
    identity_share: float
    inverters_kwh: float
    inverters_share: float
    no_generation_sun_deg: float
    no_generation_min: float
    no_generation_share: float
    reconcile_kwh: float
    reconcile_share: float
    reconcile_share_hours: float


@cache
def load_thresholds() -> Thresholds:
    """The thresholds that come with sunledger."""
    return Thresholds(**tomllib.loads(files("pipeline.transform").joinpath(SHIPPED).read_text()))
