"""PU that brought nothing: systems that were paid for in a month and of which no report shows a figure."""

import datetime as dt

import polars as pl

from pipeline.billing.prices import PriceList
from pipeline.billing.units import COUNTED, find_month, move_to_new_ids
from pipeline.sma.requests import DAY, WEEK

NO_DAY = "only lists or logs were requested"
NO_DATA = "no requested day has data"

# How much a request covers from its date on. Weeks are asked for by a Monday's date, so they are calendar weeks
# whichever way SMA counts.
LENGTH = {DAY: dt.timedelta(days=1), WEEK: dt.timedelta(days=7)}


def find_unused_units(
    units: pl.DataFrame,
    requests: pl.LazyFrame,
    reported: pl.LazyFrame,
    moves: pl.DataFrame,
    prices: PriceList,
) -> pl.DataFrame:
    """The PU without use: the units' plant_id, month and fee_eur, with n_days (asked for) and why.

    `reported` holds plant_id and local_date of the days of which a report table has a figure. A PU is of use when one
    of the days that were asked for in its month is among them, whichever year that day is in.
    """
    days = _list_requested_days(requests, prices)
    found = _count_days(move_to_new_ids(days, moves), reported, moves)
    return (
        units.select("plant_id", "month", "fee_eur")
        .join(found, on=["plant_id", "month"], how="left", maintain_order="left")
        .filter(pl.col("n_with_data").fill_null(0) == 0)
        .select(
            "plant_id",
            "month",
            "fee_eur",
            n_days=pl.col("n_days").fill_null(0).cast(pl.Int64),
            why=pl.when(pl.col("n_days").is_null()).then(pl.lit(NO_DAY)).otherwise(pl.lit(NO_DATA)),
        )
    )


def _list_requested_days(requests: pl.LazyFrame, prices: PriceList) -> pl.DataFrame:
    """plant_id, month and local_date of the days that counted requests asked for, in the month of the request."""
    return (
        requests.filter(COUNTED, pl.col("endpoint") == "measurements")
        .select(
            "plant_id",
            month=find_month(prices.invoicing.month_timezone),
            first=pl.col("request_date").str.to_date("%Y-%m-%d", strict=False),
            length=pl.col("period").replace_strict(LENGTH, default=None, return_dtype=pl.Duration("us")),
        )
        .drop_nulls()
        .unique()
        .select(
            "plant_id",
            "month",
            local_date=pl.date_ranges("first", pl.col("first") + pl.col("length"), closed="left"),
        )
        .explode("local_date", empty_as_null=False)
        .unique()
        .collect(engine="streaming")
    )


def _count_days(asked: pl.DataFrame, reported: pl.LazyFrame, moves: pl.DataFrame) -> pl.DataFrame:
    """The asked plants and months with n_days (asked for) and n_with_data (reported of these)."""
    # Reports know a system by its newest id, also in the months in which it was charged by an older one.
    systems = asked.select("plant_id").unique().with_columns(month=pl.lit(dt.date.max), asked_id="plant_id")
    newest = move_to_new_ids(systems, moves).select(plant_id="asked_id", newest_id="plant_id")
    with_data = reported.select(
        newest_id="plant_id", local_date="local_date", has_data=pl.lit(value=True)
    ).unique()
    return (
        asked.lazy()
        .join(newest.lazy(), on="plant_id")
        .join(with_data, on=["newest_id", "local_date"], how="left")
        .group_by("plant_id", "month")
        .agg(n_days=pl.col("local_date").n_unique(), n_with_data=pl.col("has_data").count())
        .collect(engine="streaming")
    )
