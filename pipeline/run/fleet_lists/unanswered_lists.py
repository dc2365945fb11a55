"""Plants and inverters whose list of measurement sets was asked for and never answered: nobody knows what they have."""

from collections.abc import Collection

import polars as pl

from pipeline.run.fleet_lists.stored_lists import list_answered_days
from pipeline.run.step import REQUEST_FAILED
from schemas import Devices, MeasurementSets, Quarantine, RawMeasurementSets, storage
from warehouse.lake import Lake

_OWNER = ["plant_id", "device_id"]


def find_plants_of_unknown_sets(lake: Lake, plants: Collection[str]) -> frozenset[str]:
    """Those of these plants that may have EnergyBalance for all that is known.

    A plant whose list nobody asked for is not among them, nor one that answered that it has no set.
    """
    of_plants = lake.read_whole(MeasurementSets).filter(pl.col("device_id").is_null())
    unknown = sorted(set(plants) - set(of_plants["plant_id"]))
    owners = pl.DataFrame({"plant_id": unknown}, {"plant_id": pl.String}).with_columns(device_id=pl.lit(""))
    return frozenset(_select_unanswered(lake, owners)["plant_id"])


def find_inverters_of_unknown_sets(lake: Lake) -> pl.DataFrame:
    """plant_id and device_id of the inverters that may have PV for all that is known.

    SMA lists charging stations as inverters too, but of no power. A device that is inactive without an end date is not
    among them: nobody knows until when it had any.
    """
    power = pl.max_horizontal("generator_power_w", "generator_power_dc_w")
    over = ~pl.col("is_active").fill_null(value=True) & pl.col("deactivated_at").is_null()
    inverters = lake.read_whole(Devices).filter(
        pl.col("type").str.to_lowercase() == "solar inverters", power > 0, ~over
    )
    known = lake.read_whole(MeasurementSets).filter(pl.col("device_id").is_not_null())
    return _select_unanswered(lake, inverters.select(_OWNER).join(known, on=_OWNER, how="anti"))


def _select_unanswered(lake: Lake, owners: pl.DataFrame) -> pl.DataFrame:
    """The owners of lists that failed and never came; `device_id` is empty for the list of a plant."""
    if not owners.height:
        return owners
    failed = lake.scan(Quarantine).filter(
        pl.col("source") == storage(RawMeasurementSets).table,
        pl.col("reason") == REQUEST_FAILED,
        pl.col("plant_id").is_in(owners["plant_id"].unique().implode()),
    )
    of_failed = failed.select("plant_id", pl.col("device_id").fill_null("")).collect()
    found = owners.join(of_failed, on=_OWNER, how="semi")
    for day in list_answered_days(lake, RawMeasurementSets) if found.height else []:
        for batch in lake.read_batches(RawMeasurementSets, {"local_date": day}, columns=_OWNER):
            found = found.join(batch, on=_OWNER, how="anti")
    return found
