"""Columns that interval tables of several measurement sets have in common: voltage, current, a share in percent."""

from typing import Any

from schemas.base import Table, value
from schemas.quantities import Field, MeasurementSet, SetSource
from schemas.raw import RawAnswers

# Plausible bounds: no plant works beyond them, so a value beyond them is a fault. Sensors may read slightly below zero.
AC_V, DC_V, CURRENT_A = 2_000.0, 2_000.0, 10_000.0
OUTDOOR_C, DEVICE_C = (-60.0, 80.0), (-60.0, 150.0)


def voltage(meaning: str, most: float, api: str = "") -> Any:
    """A column for a voltage in V, from 0 to `most`."""
    return value(f"{meaning}: voltage.", "V", 0, most, api=api)


def current(meaning: str) -> Any:
    """A column for a current in A, of either sign."""
    return value(f"{meaning}: current.", "A", -CURRENT_A, CURRENT_A)


def percent(meaning: str, api: str = "") -> Any:
    """A column for a share in %, from 0 to 100."""
    return value(meaning, "%", 0, 100, api=api)


def build_device_set(
    name: str, held: tuple[Field, ...], raw: type[RawAnswers], intervals: type[Table]
) -> SetSource:
    """The source of a measurement set that devices have."""
    return SetSource(MeasurementSet(name, held), raw, intervals, of_devices=True)
