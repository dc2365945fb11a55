"""The thresholds of the quality rules: those that come with sunledger, and a user's own in their place."""

import math
import tomllib
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from pipeline.common.errors import ConfigurationError

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


def load_thresholds(path: Path | None = None) -> Thresholds:
    """The shipped thresholds, with those of the file in their place.

    Raises ConfigurationError naming the file, the threshold and what is wrong.
    """
    return Thresholds(**_read_shipped() | ({} if path is None else _read_own(path)))


@cache
def _read_shipped() -> dict[str, float]:
    return tomllib.loads(files("pipeline.transform").joinpath(SHIPPED).read_text())


def _read_own(path: Path) -> dict[str, float]:
    if path.exists() and not path.is_file():
        raise ConfigurationError(
            f"The thresholds in {path} are a folder or a pipe: set SUNLEDGER_QUALITY to a readable file."
        )
    try:
        found = tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as fault:
        raise ConfigurationError(
            f"The thresholds in {path} can't be read ({fault.strerror}): set SUNLEDGER_QUALITY to a readable file."
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
        raise ConfigurationError(
            f"The file of thresholds {path} is not TOML ({fault}): write lines such as night_w = 20."
        ) from None
    return {name: _check_value(name, value, path) for name, value in found.items()}


def _check_value(name: str, value: Any, path: Path) -> float:
    known = [field.name for field in fields(Thresholds)]
    if name not in known:
        raise ConfigurationError(
            f"{path}: the threshold {name!r} does not exist: choose from {', '.join(known)}."
        )
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value < 0:
        raise ConfigurationError(
            f"{path}: {name} = {value!r} is not a valid threshold: write a number of 0 or more."
        )
    return float(value)
