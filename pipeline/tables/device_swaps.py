"""Finds devices that were not in operation on a day: deactivated before it, or installed after it as a replacement.

SMA says when a device was deactivated, but not always, and never when a device began.
"""

import datetime as dt
from functools import lru_cache

import polars as pl

from pipeline.run.context import RunContext
from pipeline.run.measurement_sets import SetSource
from schemas import DeviceEnergyDaily, Devices, MeasurementSets, RawAnswers
from warehouse.lake import Lake

KEYS = ["plant_id", "device_id"]
# A time after all rows of a day that still belongs to the day.
END_OF_DAY = dt.time(23, 59, 59)


def find_absent_devices(
    runtime: RunContext, source: SetSource, silent: pl.DataFrame, day: dt.date
) -> pl.DataFrame:
    """The devices of `silent` (plant_id, device_id) of which no row is expected on the day.

    Those are inactive devices without an end date after the last day that they have rows of, and devices that never
    had a row before, on days when a device of the same set and plant was still to be replaced. Any other silent device
    is missing.
    """
    if not silent.height:
        return silent
    having = runtime.lake.scan(MeasurementSets).filter(pl.col("set_type") == source.set.name)
    devices = (
        runtime.lake.scan(Devices)
        .join(having, on=KEYS, how="semi")
        .filter(pl.col("plant_id").is_in(silent["plant_id"].unique().implode()))
        .select(*KEYS, "deactivated_at", undated=_is_undated())
        .collect()
    )
    devices = _add_ends(runtime.lake, source, devices)
    over = pl.col("end").is_null() | (pl.col("end").dt.date() < day)
    retired = silent.join(devices.filter(pl.col("undated"), over), on=KEYS, how="semi")
    rest = silent.join(retired, on=KEYS, how="anti")
    return pl.concat([retired, _find_not_yet_installed(runtime.lake, devices, rest, day)])


def _is_undated() -> pl.Expr:
    return ~pl.col("is_active").fill_null(value=True) & pl.col("deactivated_at").is_null()


def _add_ends(lake: Lake, source: SetSource, devices: pl.DataFrame) -> pl.DataFrame:
    """The devices with `end` (plant-local): their deactivation, or of an inactive one the last day with rows."""
    if not devices["undated"].any():
        return devices.with_columns(end="deactivated_at")
    last = _find_last_days_with_rows(lake, source.raw, lake.take_snapshot(source.raw).version)
    ends = devices.join(last, on=KEYS, how="left", maintain_order="left")
    own = pl.when("undated").then(pl.col("last_day").dt.combine(END_OF_DAY))
    return ends.with_columns(end=pl.coalesce("deactivated_at", own))


@lru_cache(maxsize=4)
def _find_last_days_with_rows(lake: Lake, raw: type[RawAnswers], version: int) -> pl.DataFrame:  # noqa: ARG001 - the key
    """plant_id, device_id and last_day of the inactive devices without an end date that have rows of the set.

    Kept for the version of the raw table: a run makes many days from the same answers.
    """
    undated = lake.scan(Devices).filter(_is_undated()).select(KEYS)
    answers = lake.scan(raw).filter(~pl.col("no_rows")).join(undated, on=KEYS, how="semi")
    return answers.group_by(KEYS).agg(last_day=pl.col("local_date").max()).collect(engine="streaming")


def _find_not_yet_installed(
    lake: Lake, devices: pl.DataFrame, silent: pl.DataFrame, day: dt.date
) -> pl.DataFrame:
    """The silent devices without any row before the day, where another device was replaced on the day or later."""
    replaced = (
        devices.filter(pl.col("end").dt.date() >= day)
        .group_by("plant_id")
        .agg(first_swap=pl.col("end").min())
    )
    own_end = pl.col("end")
    successors = (
        silent.join(devices, on=KEYS, how="left")
        .join(replaced, on="plant_id")
        .filter(own_end.is_null() | (own_end > pl.col("first_swap")))
        .select(KEYS)
    )
    if not successors.height:
        return successors
    reported = (
        lake.scan(DeviceEnergyDaily)
        .filter(
            pl.col("local_date") < day,
            pl.col("n_rows") > 0,
            pl.col("device_id").is_in(successors["device_id"].implode()),
        )
        .select(KEYS)
        .unique()
        .collect()
    )
    return successors.join(reported, on=KEYS, how="anti")
