"""What the stored requests and SMA's lists say about PU: units, capacities and moved systems, read from the lake."""

import datetime as dt

import polars as pl

from pipeline.billing import PriceList
from pipeline.billing.lost_requests import find_incomplete_months
from pipeline.billing.units import build_billing_units, move_to_new_ids
from pipeline.run.context import RunContext
from pipeline.transform import inventory
from schemas import ApiRequests, BillingUnits, Plants, RawPlants
from warehouse.lake import Lake


def count_units(runtime: RunContext, prices: PriceList) -> pl.DataFrame:
    """Rows of billing_units by all requests that are stored at this moment.

    Of months whose record of requests has lost some, PU that were counted before stay. Raises SunledgerError.
    """
    lake = runtime.lake
    moves = read_moves(lake)
    found = build_billing_units(lake.scan(ApiRequests), read_capacities(lake), moves, prices)
    incomplete = find_incomplete_months(runtime.settings.home)
    if not incomplete:
        return found
    counted = lake.scan(BillingUnits).filter(pl.col("month").is_in(sorted(incomplete))).collect()
    lost = move_to_new_ids(counted, moves).join(found, on=["plant_id", "month"], how="anti")
    return pl.concat([found, lost.unique(["plant_id", "month"]).select(found.columns)]).sort(
        "plant_id", "month"
    )


def read_capacities(lake: Lake) -> pl.DataFrame:
    """What SMA listed as AC capacity and when: plant_id, listed_on, capacity_kw; several rows a plant.

    The last stored list of every month, and each plant as it was listed last.
    """
    last: dict[str, str] = {part["local_date"][:7]: part["local_date"] for part in lake.list_parts(RawPlants)}
    columns = ["plant_id", "device_id", "body"]
    lists = [
        inventory.build_plants(
            pl.concat(lake.read_batches(RawPlants, {"local_date": day}, columns=columns)), day
        )[0]
        for day in map(dt.date.fromisoformat, last.values())
    ]
    frames = [*lists, lake.scan(Plants).collect()]
    return pl.concat([f.select("plant_id", listed_on="last_seen", capacity_kw="ac_power_kw") for f in frames])


def read_moves(lake: Lake) -> pl.DataFrame:
    """Systems that got a new id: old_id, plant_id, and moved_on, the day on which the new one was listed first."""
    moved = pl.col("migrated_from").is_not_null()
    found = lake.scan(Plants).filter(moved).collect()
    return found.select("plant_id", old_id="migrated_from", moved_on="first_seen").unique("old_id")


def find_current_month(runtime: RunContext, prices: PriceList) -> dt.date:
    """First day of the month in which a request of now would be charged."""
    return prices.invoicing.find_month(runtime.now())
