"""The user's own thresholds of the quality rules, from the file that SUNLEDGER_QUALITY names."""

import math
import tomllib
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from pipeline.common.errors import ConfigurationError
from pipeline.common.files.toml_text import parse_toml
from pipeline.transform.thresholds import Thresholds, load_thresholds


def read_thresholds(path: Path | None) -> Thresholds:
    """The thresholds of sunledger, with those of the file in their place.

    Raises ConfigurationError naming the file, the threshold and what is wrong.
    """
    shipped = load_thresholds()
    return shipped if path is None else replace(shipped, **_read_own(path))


def _read_own(path: Path) -> dict[str, float]:
    if path.exists() and not path.is_file():
        raise ConfigurationError(
            f"The thresholds in {path} are a folder or a pipe: set SUNLEDGER_QUALITY to a readable file."
        )
    try:
        found = parse_toml(path.read_text("utf-8-sig"))
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
