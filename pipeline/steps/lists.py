"""Plants, devices and measurement sets from the newest answers in the raw lake; calls no API."""

import datetime as dt

import polars as pl

from pipeline import master
from pipeline.errors import SunledgerError
from pipeline.runtime import Missing, Runtime

# How long after its end a day may still grow: Classic portals process for up to two hours.
from pipeline.steps.base import (
    Report,
    quarantine,
    report_of,
)
from pipeline.transform import quarantined
from schemas import (
    Devices,
    MeasurementSets,
    Plants,
    RawAnswers,
    RawDevices,
    RawMeasurementSets,
    RawPlants,
    storage,
)


def write_plants(runtime: Runtime) -> Report:
    """Plants of the newest list, and those seen before."""
    today, answers = newest(runtime, RawPlants)
    listed, aside = master.plants(answers, today)
    stored = runtime.lake.scan(Plants).collect()
    if not listed.height and not stored.height:
        raise SunledgerError(
            "SMA answered with an empty list of plants. Most likely no plant owner has consented yet: ask the owner to "
            "accept the consent request in the Sunny Portal, then run it again."
        )
    for plant, zone in aside.select("plant_id", "detail").rows():
        reason = f"unknown time zone {zone!r}"
        runtime.missing.append(Missing(str(today), "plants", plant, reason))
    quarantine(runtime, Plants, today, quarantined(aside, "row", Plants, today))
    written = runtime.lake.replace(Plants, {}, [master.remember(stored, listed, ["plant_id"])])
    return report_of(written, listed=listed.height, no_longer_listed=written.rows - listed.height)


def write_devices(runtime: Runtime) -> Report:
    """Devices of the newest lists, and those seen before."""
    today, answers = newest(runtime, RawDevices)
    stored = runtime.lake.scan(Devices).collect()
    frame = master.remember(stored, master.devices(answers, today), ["plant_id", "device_id"])
    return report_of(runtime.lake.replace(Devices, {}, [frame]))


def write_measurement_sets(runtime: Runtime) -> Report:
    """Sets by the newest answers; a plant that was not asked or not answered keeps what was known."""
    _, answers = newest(runtime, RawMeasurementSets)
    stored = runtime.lake.scan(MeasurementSets).collect()
    kept = stored.join(answers, on="plant_id", how="anti")
    frame = pl.concat([master.measurement_sets(answers), kept]).sort(*storage(MeasurementSets).key)
    return report_of(runtime.lake.replace(MeasurementSets, {}, [frame], empty=True))


def newest(runtime: Runtime, model: type[RawAnswers]) -> tuple[dt.date, pl.DataFrame]:
    """The newest part of a list's raw table and the day it was asked for."""
    parts = runtime.lake.parts(model)
    if not parts:
        raise SunledgerError(f"Nothing is stored in {storage(model).table} yet: fetch it first.")
    day = dt.date.fromisoformat(parts[-1]["local_date"])
    frames = runtime.lake.batches(model, parts[-1], columns=["plant_id", "device_id", "body"])
    return day, pl.concat(frames)
