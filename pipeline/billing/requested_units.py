"""What the stored requests and SMA's lists say about PU: units, capacities and moved systems, read from the lake."""

import datetime as dt

import polars as pl

from pipeline.billing import PriceList
from pipeline.billing.lost_requests import find_incomplete_months
from pipeline.billing.units import build_billing_units, count_asked_systems, move_to_new_ids
from pipeline.common.calendar_months import find_next_month
from pipeline.run.context import RunContext
from pipeline.transform.lists import inventory
from pipeline.transform.lists.plant_moves import list_moves
from schemas import ApiRequests, BillingUnits, Plants, RawPlants
from warehouse.lake import Lake

# A plant that is in none of this many lists was not asked for after them, because plants that leave are forgotten
# earlier.
LISTS_LOOKED_AT = 31


def count_units(runtime: RunContext, prices: PriceList) -> pl.DataFrame:
    """Rows of billing_units by all requests that are stored at this moment.

    Of months whose record of requests has lost some, PU that were counted before stay. Raises SunledgerError.
    """
    lake = runtime.lake
    moves = read_moves(lake)
    asked = count_asked_systems(lake.scan(ApiRequests), moves, prices)
    found = build_billing_units(asked, read_capacities(lake, asked), prices)
    incomplete = find_incomplete_months(runtime.settings.home)
    if not incomplete:
        return found
    counted = lake.scan(BillingUnits).filter(pl.col("month").is_in(sorted(incomplete))).collect()
    lost = move_to_new_ids(counted, moves).join(found, on=["plant_id", "month"], how="anti")
    return pl.concat([found, lost.unique(["plant_id", "month"]).select(found.columns)]).sort(
        "plant_id", "month"
    )


def read_capacities(lake: Lake, units: pl.DataFrame) -> pl.DataFrame:
    """What SMA listed as AC capacity and when: plant_id, listed_on, capacity_kw; several rows a plant.

    The last stored list of every month, and each plant as it was listed last. For those of `units` (plant_id, month)
    whose system that list lacks, the last list before that has it: a plant may leave the list and come back, and the
    list of one of several credentials may have failed on that day.
    """
    days = [dt.date.fromisoformat(part["local_date"]) for part in lake.list_parts(RawPlants)]
    last = {day.replace(day=1): day for day in sorted(days)}
    lists = {day: _read_list(lake, day) for day in last.values()}
    plants = lake.scan(Plants).collect()
    seen = plants.select("plant_id", listed_on="last_seen", capacity_kw="ac_power_kw")
    known = pl.concat([*lists.values(), seen])
    ever = plants.filter(pl.any_horizontal(pl.col("ac_power_kw", "former_ac_power_kw") > 0))["plant_id"]
    lacking = units.filter(pl.col("plant_id").is_in(ever.implode())).join(
        known.select("plant_id", month=pl.col("listed_on").dt.month_start()),
        on=["plant_id", "month"],
        how="anti",
    )
    for (month,), of_month in lacking.group_by("month"):
        assert isinstance(month, dt.date)  # noqa: S101 - for the type checker
        wanted = set(of_month["plant_id"])
        before = sorted((day for day in days if day < find_next_month(month)), reverse=True)
        for day in before[:LISTS_LOOKED_AT]:
            if day not in lists:
                lists[day] = _read_list(lake, day)
            found = lists[day].filter(pl.col("plant_id").is_in(wanted))
            known.vstack(found, in_place=True)
            wanted -= set(found["plant_id"])
            if not wanted:
                break
    return known


def _read_list(lake: Lake, day: dt.date) -> pl.DataFrame:
    columns = ["plant_id", "device_id", "body"]
    answers = pl.concat(lake.read_batches(RawPlants, {"local_date": day}, columns=columns))
    plants, _ = inventory.build_plants(answers, day)
    return plants.select("plant_id", listed_on="last_seen", capacity_kw="ac_power_kw")


def read_moves(lake: Lake) -> pl.DataFrame:
    """Systems that got a new id: old_id, plant_id, and moved_on, the day on which the new one was listed first."""
    found = list_moves(lake.read_whole(Plants))
    return found.select("plant_id", old_id="migrated_from", moved_on="first_seen")


def find_current_month(runtime: RunContext, prices: PriceList) -> dt.date:
    """First day of the month in which a request of now would be charged."""
    return prices.invoicing.find_month(runtime.now())
