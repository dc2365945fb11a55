"""Devices that took another one's place: SMA says when the old one ended, and not when the new one began."""

import datetime as dt

import polars as pl

from pipeline.run.context import Runtime
from pipeline.run.sets import SetSource
from schemas import DeviceEnergyDaily, Devices, MeasurementSets

KEYS = ["plant_id", "device_id"]


def not_yet_there(runtime: Runtime, source: SetSource, silent: pl.DataFrame, day: dt.date) -> pl.DataFrame:
    """The devices of `silent` (plant_id, device_id) that may not have been there on the day yet.

    Those are devices that never had a row before, on days when a device of the same set and plant was still to be
    replaced. A silent device of a plant without swaps is missing.
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
    replaced = devices.filter(pl.col("deactivated_at").dt.date() >= day).group_by("plant_id").agg(
        first_swap=pl.col("deactivated_at").min()
    )  # fmt: skip
    own_end = pl.col("deactivated_at")
    successors = (
        silent.join(devices, on=KEYS, how="left")
        .join(replaced, on="plant_id")
        .filter(own_end.is_null() | (own_end > pl.col("first_swap")))
        .select(KEYS)
    )
    if not successors.height:
        return successors
    reported = (
        runtime.lake.scan(DeviceEnergyDaily)
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
