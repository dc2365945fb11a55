"""Plants whose list of measurement sets was asked for and never answered, so that nobody knows what they have."""

from collections.abc import Collection

import polars as pl

from pipeline.run.fleet_lists.stored_lists import list_answered_days
from pipeline.run.step import REQUEST_FAILED
from schemas import MeasurementSets, Quarantine, RawMeasurementSets, storage
from warehouse.lake import Lake


def find_plants_of_unknown_sets(lake: Lake, plants: Collection[str]) -> frozenset[str]:
    """Those of these plants that may have EnergyBalance for all that is known.

    A plant whose list nobody asked for is not among them, nor one that answered that it has no set.
    """
    of_plants = lake.read_whole(MeasurementSets).filter(pl.col("device_id").is_null())
    unknown = set(plants) - set(of_plants["plant_id"])
    if not unknown:
        return frozenset()
    failed = lake.scan(Quarantine).filter(
        pl.col("source") == storage(RawMeasurementSets).table,
        pl.col("reason") == REQUEST_FAILED,
        pl.col("device_id").fill_null("") == "",
        pl.col("plant_id").is_in(sorted(unknown)),
    )
    unknown = set(failed.select("plant_id").collect()["plant_id"])
    for day in list_answered_days(lake, RawMeasurementSets) if unknown else []:
        for batch in lake.read_batches(
            RawMeasurementSets, {"local_date": day}, columns=["plant_id", "device_id"]
        ):
            unknown -= set(batch.filter(pl.col("device_id") == "")["plant_id"])
    return frozenset(unknown)
