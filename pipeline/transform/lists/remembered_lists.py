"""What SMA's lists said before is kept: plants and devices that are gone, and facts that were corrected since."""

import datetime as dt
from collections.abc import Iterable

import polars as pl

from pipeline.transform.plant_power import DEVICE_POWERS, POWERS, remember_powers


def limit_days_seen(stored: pl.DataFrame, latest: dt.date, listed_on: dt.date) -> pl.DataFrame:
    """`stored` without days after `latest`, which a clock that was ahead left there.

    Such rows were seen before the list of `listed_on`, at the latest on the day before: with its own day they would
    count as listed in it.
    """
    eve = min(latest, listed_on) - dt.timedelta(days=1)
    seen = pl.col("first_seen", "last_seen")
    return stored.with_columns(pl.when(seen > latest).then(pl.lit(eve)).otherwise(seen).name.keep())


def remember(stored: pl.DataFrame, listed: pl.DataFrame, keys: Iterable[str]) -> pl.DataFrame:
    """What is listed now, with its first_seen from before, and what is no longer listed, as it was."""
    keys = list(keys)
    before = stored.select(*keys, before="first_seen")
    seen = listed.join(before, on=keys, how="left").with_columns(
        first_seen=pl.min_horizontal("first_seen", "before")
    )
    gone = stored.join(listed, on=keys, how="anti")
    return pl.concat([seen.select(stored.columns), gone]).sort(keys)


def remember_plants(stored: pl.DataFrame, listed: pl.DataFrame) -> pl.DataFrame:
    """As `remember`, and what is reported once stays known.

    That is a plant's id before it moved, its zone before it was corrected, and its powers before a list gave others. A
    plant that moved has been in operation since the start under its former id, whatever its new portal gives.
    """
    before = stored.select(
        "plant_id", id_before="migrated_from", zone="timezone", zone_before="previous_timezone"
    )
    corrected = pl.when(pl.col("zone") != pl.col("timezone")).then("zone")
    known = listed.join(before, on="plant_id", how="left").with_columns(
        migrated_from=pl.coalesce("id_before", "migrated_from"),
        previous_timezone=pl.coalesce(corrected, "zone_before"),
    )
    former = stored.select(migrated_from="plant_id", former_start="start_up")
    known = known.join(former, on="migrated_from", how="left", maintain_order="left").with_columns(
        start_up=pl.min_horizontal("start_up", "former_start")
    )
    known = remember_powers(known.select(listed.columns), stored, ["plant_id"], POWERS)
    return remember(stored, known, ["plant_id"])


def remember_devices(stored: pl.DataFrame, listed: pl.DataFrame) -> pl.DataFrame:
    """As `remember`; the powers of a device before a list gave others stay known."""
    keys = ["plant_id", "device_id"]
    return remember(stored, remember_powers(listed, stored, keys, DEVICE_POWERS), keys)
