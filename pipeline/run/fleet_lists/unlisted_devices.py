"""Devices that the newest list of their plant lacks, although SMA never said that they were deactivated."""

import datetime as dt
from functools import lru_cache

import polars as pl

from pipeline.run.fleet_lists.stored_lists import OWNER
from schemas import ApiRequests, Devices
from warehouse.lake import Lake

NOT_FOUND = 404
# How long it is remembered that SMA did not find such a device: after that it is requested a second time.
REMEMBERED = dt.timedelta(days=45)


def select_unlisted(devices: pl.DataFrame) -> pl.DataFrame:
    """plant_id, device_id and last_seen of the devices that a newer list of their plant lacks; by rows of `devices`.

    A list without any device is none of a plant: it looks like that where an owner has withdrawn the consent.
    """
    newest = pl.col("last_seen").max().over("plant_id")
    gone = devices.filter(pl.col("deactivated_at").is_null(), pl.col("last_seen") < newest)
    return gone.select(*OWNER, "last_seen")


def find_unlisted_devices(lake: Lake) -> pl.DataFrame:
    """As `select_unlisted`, of the table of devices."""
    return select_unlisted(lake.read_whole(Devices))


def find_removed_devices(lake: Lake, today: dt.date) -> pl.DataFrame:
    """plant_id, device_id and since (a day) of devices that are not asked for on the days from then on.

    Those that moved to another plant are asked for there, whatever the day: SMA answers with that plant for all of
    them. Unlisted ones that SMA did not find either have no data since they were seen last.
    """
    devices = lake.read_whole(Devices)
    unlisted = select_unlisted(devices)
    moved = _select_moved(devices, unlisted)
    unlisted = unlisted.join(moved, on=OWNER, how="anti")
    lost = _find_lost(lake, unlisted, today).rename({"last_seen": "since"})
    return pl.concat([moved.with_columns(since=pl.lit(dt.date.min)).select(lost.columns), lost])


def _select_moved(devices: pl.DataFrame, unlisted: pl.DataFrame) -> pl.DataFrame:
    """plant_id and device_id of the devices that another plant lists since they were seen last.

    The plant that they left may be listed without any device since, so that it has no newer list to compare with.
    """
    several = devices.filter(pl.col("device_id").is_duplicated())
    if not several.height:
        return several.select(OWNER)
    others = several.select("device_id", other="plant_id", other_first="first_seen", other_last="last_seen")
    later = (pl.col("other_first") > pl.col("last_seen")) | (
        pl.col("unlisted") & (pl.col("other_last") > pl.col("last_seen"))
    )
    return (
        several.join(unlisted.select(*OWNER, unlisted=pl.lit(value=True)), on=OWNER, how="left")
        .join(others, on="device_id")
        .filter(pl.col("other") != pl.col("plant_id"), later)
        .select(OWNER)
        .unique()
    )


def _find_lost(lake: Lake, unlisted: pl.DataFrame, today: dt.date) -> pl.DataFrame:
    """Those that SMA did not find since they were seen last."""
    if not unlisted.height:
        return unlisted
    since: dt.date = max(min(unlisted["last_seen"]), today - REMEMBERED)
    versions = (lake.find_version(Devices), lake.find_version(ApiRequests))
    asked = _find_not_found(lake, versions, since)
    found = asked.join(unlisted, on=OWNER).filter(pl.col("asked_date") >= pl.col("last_seen"))
    return found.select(*OWNER, "last_seen").unique()


@lru_cache(maxsize=2)
def _find_not_found(lake: Lake, _versions: tuple[int, int], since: dt.date) -> pl.DataFrame:
    """plant_id, device_id and asked_date of devices that SMA did not find since the day.

    Kept for the versions of the tables: each day of a plan asks for them.
    """
    missed = lake.scan(ApiRequests).filter(
        pl.col("asked_date") >= since, pl.col("status") == NOT_FOUND, pl.col("device_id") != ""
    )
    unlisted = find_unlisted_devices(lake).lazy().select(OWNER)
    return missed.join(unlisted, on=OWNER, how="semi").select(*OWNER, "asked_date").unique().collect()
