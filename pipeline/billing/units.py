"""PU from the record of requests: which systems a month is charged for, by what capacity, and for how much.

A request counts when it asks for data of a system and SMA answered it with success. The list of plants is nobody's, a
refused request (401, 429, ...) brought nothing, and whether SMA charges for one that it never answered is not known.
"""

import polars as pl

from pipeline.billing.prices import PriceList
from pipeline.common.local_time import convert_to_wall_clock
from pipeline.transform.lists.inventory import classify_capacity
from schemas import BillingUnits, polars_schema
from schemas.usage import NO_PRICE_LIST

# A system may have moved more than once: so many new ids are followed.
MOST_MOVES = 4

# The columns that requests decide, also of a PU whose fee is known.
_COUNTED_ANEW = ("plant_id", "month", "n_requests", "n_device_requests", "first_request", "last_request")

# Calls of the Live API are charged by its own plan and make no PU.
OF_LIVE = pl.col("endpoint").is_in(["live", "live_configuration"])
# The price list of the Monitoring API does not speak of the GridControl API.
OF_GRID_CONTROL = pl.col("endpoint").str.starts_with("grid_")
OF_A_SYSTEM = (pl.col("plant_id") != "") & ~OF_LIVE & ~OF_GRID_CONTROL
ANSWERED = pl.col("status").is_between(200, 299)
COUNTED = OF_A_SYSTEM & ANSWERED


def find_month(timezone: str) -> pl.Expr:
    """First day of the month in which a request (asked_at) is charged, by the calendar of the zone."""
    return convert_to_wall_clock(pl.col("asked_at"), timezone).dt.date().dt.month_start()


def count_asked_systems(requests: pl.LazyFrame, moves: pl.DataFrame, prices: PriceList) -> pl.DataFrame:
    """plant_id, month, n_requests, n_device_requests, first_request, last_request of every PU, sorted.

    `requests` are rows of api_requests. `moves` says which system got a new id and when: old_id, plant_id, moved_on.
    """
    months = (
        requests.filter(COUNTED)
        .group_by("plant_id", month=find_month(prices.invoicing.month_timezone))
        .agg(
            n_requests=pl.len(),
            n_device_requests=(pl.col("device_id") != "").sum(),
            first_request=pl.col("asked_at").min(),
            last_request=pl.col("asked_at").max(),
        )
        .collect(engine="streaming")
    )
    return (
        move_to_new_ids(months, moves)
        .group_by("plant_id", "month")
        .agg(
            pl.col("n_requests", "n_device_requests").sum().cast(pl.Int64),
            pl.col("first_request").min(),
            pl.col("last_request").max(),
        )
        .sort("plant_id", "month")
    )


def build_billing_units(asked: pl.DataFrame, capacities: pl.DataFrame, prices: PriceList) -> pl.DataFrame:
    """Rows of billing_units, sorted by plant_id and month, of the systems of `count_asked_systems`.

    `capacities` says what SMA listed when: plant_id, listed_on, capacity_kw (null: none given).
    """
    units = add_capacity(asked, capacities)
    return prices.add_fees(units).select(polars_schema(BillingUnits).names())


def take_known_fees(units: pl.DataFrame, before: pl.DataFrame) -> pl.DataFrame:
    """Units that no price list was at hand for, with the fees of the same PU in `before`; both rows of billing_units.

    PU that are not among these say `no_price_list`. One that was priced keeps the capacity of its fee.
    """
    kept = [c for c in units.columns if c not in _COUNTED_ANEW]
    known = before.select("plant_id", "month", *kept, known=pl.lit(value=True))
    unknown = pl.col("known").is_null()
    joined = units.join(known, on=["plant_id", "month"], how="left", suffix="_before", maintain_order="left")
    fees = (pl.when(unknown).then(c).otherwise(f"{c}_before").alias(c) for c in kept if c != "pricing")
    pricing = pl.when(unknown).then(pl.lit(NO_PRICE_LIST)).otherwise("pricing_before").alias("pricing")
    return joined.with_columns(*fees, pricing).select(units.columns)


def add_capacity(units: pl.DataFrame, capacities: pl.DataFrame) -> pl.DataFrame:
    """The units (plant_id, month) with capacity_kw, capacity_as_of and capacity_class; sorted by both.

    A month is billed with what SMA listed last until its end, so that what happens to a plant later changes no month
    that is over. A plant that was listed only later has its first capacity from there.
    """
    known = capacities.filter(pl.col("capacity_kw").is_not_null()).select(
        "plant_id", capacity_as_of="listed_on", capacity_kw="capacity_kw"
    )
    known = known.sort("capacity_as_of")
    ends = units.with_columns(_end=pl.col("month").dt.month_end()).sort("_end")
    joined = ends
    for strategy, suffix in (("backward", ""), ("forward", "_later")):
        joined = joined.join_asof(
            known.rename({c: f"{c}{suffix}" for c in ("capacity_as_of", "capacity_kw")}),
            left_on="_end",
            right_on=f"capacity_as_of{suffix}",
            by="plant_id",
            strategy=strategy,  # type: ignore[arg-type]
            coalesce=False,
            check_sortedness=False,
        )
    return (
        joined.with_columns(
            pl.coalesce("capacity_as_of", "capacity_as_of_later").alias("capacity_as_of"),
            pl.coalesce("capacity_kw", "capacity_kw_later").alias("capacity_kw"),
        )
        .with_columns(capacity_class=classify_capacity(pl.col("capacity_kw")))
        .drop("_end", "capacity_as_of_later", "capacity_kw_later")
        .sort("plant_id", "month")
    )


def find_unanswered_systems(requests: pl.LazyFrame, moves: pl.DataFrame, prices: PriceList) -> pl.DataFrame:
    """plant_id, month, n_requests of systems that were asked for in a month and never answered: no PU by our count."""
    months = (
        requests.filter(OF_A_SYSTEM)
        .group_by("plant_id", month=find_month(prices.invoicing.month_timezone))
        .agg(n_requests=pl.len().cast(pl.Int64), n_answered=ANSWERED.fill_null(value=False).sum())
        .collect(engine="streaming")
    )
    sums = move_to_new_ids(months, moves).group_by("plant_id", "month").sum()
    return sums.filter(pl.col("n_answered") == 0).drop("n_answered").sort("plant_id", "month")


def move_to_new_ids(months: pl.DataFrame, moves: pl.DataFrame) -> pl.DataFrame:
    """Months of a system from its move on under the new id; months before stay as they were charged."""
    for _ in range(MOST_MOVES):
        found = months.join(moves, left_on="plant_id", right_on="old_id", how="left", suffix="_new")
        moved = found["plant_id_new"].is_not_null() & (found["month"].dt.month_end() >= found["moved_on"])
        if not moved.any():
            break
        months = found.with_columns(
            plant_id=pl.when(moved).then("plant_id_new").otherwise("plant_id")
        ).select(months.columns)
    return months
