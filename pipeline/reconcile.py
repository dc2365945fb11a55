"""Measured energies beside the vendor's own: differences and what explains them. Nothing is repaired."""

from collections.abc import Sequence
from typing import Final

import polars as pl

from pipeline.daily import exact_sum
from pipeline.decode import Decoder
from pipeline.thresholds import Thresholds

# Equal for all purposes: less than a thousandth of a watt-hour.
EQUAL_KWH: Final = 1e-6
# A row that covers this much or more is one of an hour, whatever gaps the day has.
HOUR_ROW_H: Final = 0.75
WH_PER_KWH: Final = 1000.0
DAY, MONTH = "day", "month"
_KEY = ("plant_id", "quantity")


def vendor_days(answers: pl.DataFrame, names: dict[str, str]) -> pl.DataFrame:
    """plant_id, local_date, quantity and vendor_kwh from Month answers (plant_id, body) whose rows are days in Wh.

    `names` gives the quantity of each of the API's fields. Labels are the start of the plant's day.
    """
    decoded = Decoder(list(names)).decode(answers["body"])
    plants = answers.with_row_index("answer").select("answer", "plant_id")
    long = decoded.rows.join(plants, on="answer").unpivot(
        on=list(names), index=["plant_id", "raw_time"], variable_name="field", value_name="wh"
    )
    return (
        long.drop_nulls("wh")
        .select(
            "plant_id",
            local_date=pl.col("raw_time").str.head(10).str.to_date(strict=False),
            quantity=pl.col("field").replace(names),
            vendor_kwh=pl.col("wh") / WH_PER_KWH,
        )
        .drop_nulls("local_date")
        # A day that comes twice: the last word counts.
        .unique(["plant_id", "local_date", "quantity"], keep="last", maintain_order=True)
    )


def measured_days(daily: pl.DataFrame, quantities: Sequence[str]) -> pl.DataFrame:
    """Rows of `energy_daily` as one row for each quantity: measured_kwh, and what is known of the day."""
    day = ["plant_id", "local_date", "coverage", "largest_gap_min", "n_flagged", "covered_h", "n_rows"]
    long = daily.unpivot(
        on=[f"{name}_kwh" for name in quantities],
        index=day,
        variable_name="quantity",
        value_name="measured_kwh",
    )
    return long.with_columns(pl.col("quantity").str.strip_suffix("_kwh"))


def reconciled(
    measured: pl.DataFrame, vendor: pl.DataFrame, energy_values: pl.DataFrame, limits: Thresholds, policy: str
) -> pl.DataFrame:
    """Every day and month with a figure on either side, in the columns of `reconciliation` but for month.

    `measured` and `vendor` are of one month; `energy_values` has plant_id, local_date, quantity and energy_values_kwh.
    `policy` is the gap policy: none or vendor.
    """
    key = ["plant_id", "local_date", "quantity"]
    both = (
        measured.join(vendor, on=key, how="full", coalesce=True)
        .join(energy_values, on=key, how="left")
        .filter(pl.any_horizontal(pl.col("measured_kwh", "vendor_kwh", "energy_values_kwh").is_not_null()))
        .sort(*_KEY, "local_date")
    )
    hours = (pl.col("covered_h") >= HOUR_ROW_H * pl.col("n_rows")).fill_null(value=False) & (
        pl.col("n_rows") > 0
    )
    share = pl.when(hours).then(limits.reconcile_share_hours).otherwise(limits.reconcile_share)
    judged = both.with_columns(
        difference_kwh=pl.col("measured_kwh") - pl.col("vendor_kwh"),
        tolerance_kwh=pl.col("vendor_kwh").abs() * share + limits.reconcile_kwh,
        has_gap=(pl.col("largest_gap_min") > 0).fill_null(value=False),
    )
    carried = pl.any_horizontal(_carried(1), _carried(-1))
    days = judged.with_columns(agrees=_agrees()).with_columns(reason=_reason(carried), period=pl.lit(DAY))
    bridged = pl.lit(policy == "vendor") & pl.col("reason").is_in(["gap", "not_measured"])
    days = days.with_columns(would_book=pl.when(bridged).then(pl.lit("vendor")).otherwise(pl.lit("measured")))
    columns = [
        *key,
        "period",
        "measured_kwh",
        "vendor_kwh",
        "energy_values_kwh",
        "difference_kwh",
        "tolerance_kwh",
    ]
    columns += ["reason", "agrees", "coverage", "would_book"]
    return pl.concat([days.select(columns), _months(days).select(columns)])


def _agrees() -> pl.Expr:
    return (pl.col("difference_kwh").abs() <= pl.col("tolerance_kwh")).fill_null(value=False)


def _carried(by: int) -> pl.Expr:
    """Whether the day before (1) or after (-1) differs as much the other way, and one of the two has a gap."""
    other = {name: pl.col(name).shift(by).over(_KEY) for name in ("difference_kwh", "local_date", "has_gap")}
    beside = (pl.col("local_date") - other["local_date"]).dt.total_days() == by
    opposite = pl.col("difference_kwh") * other["difference_kwh"] < 0
    cancels = (pl.col("difference_kwh") + other["difference_kwh"]).abs() <= pl.col("tolerance_kwh")
    return (beside & opposite & cancels & (pl.col("has_gap") | other["has_gap"])).fill_null(value=False)


def _reason(carried: pl.Expr) -> pl.Expr:
    less = pl.col("difference_kwh") < 0
    return (
        pl.when(pl.col("vendor_kwh").is_null())
        .then(pl.lit("no_vendor_value"))
        .when(pl.col("measured_kwh").is_null())
        .then(pl.lit("not_measured"))
        .when(pl.col("difference_kwh").abs() <= EQUAL_KWH)
        .then(pl.lit("none"))
        .when(pl.col("agrees"))
        .then(pl.lit("rounding"))
        .when(carried)
        .then(pl.lit("hole_carried_over"))
        .when(pl.col("n_flagged") > 0)
        .then(pl.lit("spike"))
        .when(less & pl.col("has_gap"))
        .then(pl.lit("gap"))
        .otherwise(pl.lit("unexplained"))
    )


def _months(days: pl.DataFrame) -> pl.DataFrame:
    """The sum of each plant's and quantity's days; the reason is that of the largest difference."""
    off = (pl.col("measured_kwh").fill_null(0) - pl.col("vendor_kwh").fill_null(0)).abs()
    sums = ("measured_kwh", "vendor_kwh", "energy_values_kwh", "tolerance_kwh")
    summed = days.group_by(_KEY, maintain_order=True).agg(
        pl.col("local_date").dt.month_start().min(),
        *(exact_sum(pl.col(name)).alias(name) for name in sums),
        pl.col("reason", "would_book").sort_by(off, descending=True).first(),
        coverage=pl.when(pl.col("coverage").count() > 0).then(pl.col("coverage").mean()),
    )
    judged = summed.with_columns(difference_kwh=pl.col("measured_kwh") - pl.col("vendor_kwh")).with_columns(
        agrees=_agrees()
    )
    equal = pl.col("difference_kwh").abs() <= EQUAL_KWH
    settled = pl.when(equal).then(pl.lit("none")).when("agrees").then(pl.lit("rounding")).otherwise("reason")
    return judged.with_columns(reason=settled, period=pl.lit(MONTH))
