"""Finds devices that were not in operation on a day: deactivated before it, or installed after it as a replacement.

SMA says when a device was deactivated, but not always, and never when a device began.
"""

import datetime as dt
from functools import lru_cache

import polars as pl

from pipeline.run.context import RunContext
from pipeline.run.fleet_lists.unlisted_devices import find_unlisted_devices
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

    Those are devices that are inactive or no longer listed, without an end date, after the last day that they have rows
    of, and devices that never had a row before, on days when a device of the same set and plant was still to be
    replaced. Any other silent device is missing.
    """
    if not silent.height:
        return silent
    having = runtime.lake.scan(MeasurementSets).filter(pl.col("set_type") == source.set.name)
    devices = (
        runtime.lake.scan(Devices)
        .join(having, on=KEYS, how="semi")
        .filter(pl.col("plant_id").is_in(silent["plant_id"].unique().implode()))
        .select(*KEYS, "deactivated_at")
        .collect()
    )
    undated = _find_undated(runtime.lake).with_columns(undated=True)
    devices = devices.join(undated, on=KEYS, how="left", maintain_order="left").with_columns(
        pl.col("undated").fill_null(value=False)
    )
    devices = _add_ends(runtime.lake, source, devices)
    over = pl.col("end").is_null() | (pl.col("end").dt.date() < day)
    retired = silent.join(devices.filter(pl.col("undated"), over), on=KEYS, how="semi")
    rest = silent.join(retired, on=KEYS, how="anti")
    return pl.concat([retired, _find_not_yet_installed(runtime.lake, devices, rest, day)])


def _find_undated(lake: Lake) -> pl.DataFrame:
    """plant_id and device_id of devices that are over, of which SMA does not say since when."""
    inactive = ~pl.col("is_active").fill_null(value=True) & pl.col("deactivated_at").is_null()
    found = [lake.read_whole(Devices).filter(inactive).select(KEYS), find_unlisted_devices(lake).select(KEYS)]
    return pl.concat(found).unique()


def _add_ends(lake: Lake, source: SetSource, devices: pl.DataFrame) -> pl.DataFrame:
    """The devices with `end` (plant-local): their deactivation, or of an inactive one the last day with rows."""
    if not devices["undated"].any():
        return devices.with_columns(end="deactivated_at")
    versions = tuple(lake.take_snapshot(model).version for model in (source.raw, Devices))
    last = _find_last_days_with_rows(lake, source.raw, versions)
    ends = devices.join(last, on=KEYS, how="left", maintain_order="left")
    own = pl.when("undated").then(pl.col("last_day").dt.combine(END_OF_DAY))
    return ends.with_columns(end=pl.coalesce("deactivated_at", own))


@lru_cache(maxsize=4)
def _find_last_days_with_rows(
    lake: Lake,
    raw: type[RawAnswers],
    versions: tuple[int, ...],  # noqa: ARG001 - the key
) -> pl.DataFrame:
    """plant_id, device_id and last_day of the devices that are over without an end date and have rows of the set.

    Kept for the versions of raw table and devices: a run makes many days from the same answers.
    """
    answers = lake.scan(raw).filter(~pl.col("no_rows")).join(_find_undated(lake).lazy(), on=KEYS, how="semi")
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
