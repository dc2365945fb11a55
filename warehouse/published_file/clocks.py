"""The table `_clocks` of the published file: the clocks of the plants' time zones by which the days were made.

DuckDB has a zone table of its own in every driver, and older ones in older drivers. A file that leaves the clocks to
its reader shows another hour in each, so it brings them along.
"""

import datetime as dt
from collections.abc import Iterable

import polars as pl

from pipeline.common.local_time import FIRST_INSTANT, UTC_US, find_clock_periods, is_timezone
from schemas import Table, polars_schema
from schemas.base import Utc, column

# How far after a publication `_clocks` is valid.
YEARS_AHEAD = 11


class Clocks(Table, table="_clocks", layer="report", key=("timezone", "since"), partition=()):
    """The clocks of the plants' time zones: from when to when each had which offset from UTC."""

    timezone: str = column("IANA time zone of a plant.")
    since: Utc = column("From this moment on.")
    until: Utc = column("Until this moment, which is no part of it.")
    utc_offset_s: pl.Int32 = column("What the clock is ahead of UTC.", unit="s")


def build_clocks(timezones: Iterable[str], now: dt.datetime) -> pl.DataFrame:
    """Rows of `_clocks` of these zones, from 1990 to ten years after `now`; sorted. Names of no zone have none."""
    last = dt.datetime(now.year + YEARS_AHEAD, 1, 1, tzinfo=dt.UTC)
    frames = [
        find_clock_periods(zone, FIRST_INSTANT, last).select(
            pl.lit(zone).alias("timezone"),
            "since",
            pl.col("since").shift(-1, fill_value=pl.lit(last, UTC_US)).alias("until"),
            pl.col("offset").dt.total_seconds().cast(pl.Int32).alias("utc_offset_s"),
        )
        for zone in sorted(set(timezones))
        if is_timezone(zone)
    ]
    return pl.concat([pl.DataFrame(schema=polars_schema(Clocks)), *frames])
