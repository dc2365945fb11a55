"""Measured energies beside the vendor's own: differences and what explains them. Nothing is repaired."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

import polars as pl

from pipeline.common.local_time import build_days_frame, parse_label
from pipeline.transform.daily import sum_exactly
from pipeline.transform.decode import Decoder
from pipeline.transform.thresholds import Thresholds
from schemas.base import FINITE

# Equal for all purposes: less than a thousandth of a watt-hour.
EQUAL_KWH: Final = 1e-6
# A row that covers this much or more is one of an hour, whatever gaps the day has.
HOUR_ROW_H: Final = 0.75
WH_PER_KWH: Final = 1000.0
# How long the periods are that SMA's energies are of: those of a month's days, or of a year's months.
Step: TypeAlias = Literal["1d", "1mo"]
DAY, MONTH, YEAR = "day", "month", "year"
# The set whose energies are measured before the inverter, and what a difference from them is called.
DC_SET: Final = "EnergyDc"
BEFORE_INVERTER: Final = "before_inverter"
NONE, ROUNDING, UNEXPLAINED = "none", "rounding", "unexplained"
# What a gap policy may fill.
FILLABLE: Final = ("gap", "not_measured")
_KEY = ("plant_id", "quantity")


def read_vendor_energies(
    answers: pl.DataFrame,
    names: Mapping[str, str],
    first: dt.date,
    last: dt.date,
    step: Step = "1d",
) -> pl.DataFrame:
    """plant_id, local_date, quantity and vendor_kwh from answers whose rows are days or months in Wh.

    `answers` has plant_id, timezone and body. `names` gives the quantity of each of the API's fields. `first` and
    `last` are the first and the last day, or (`step` 1mo) month, that was asked for. A row is of the plant's day or
    month that its label begins; where the labels of an answer are one step off, of the one that they mean.
    """
    decoded = Decoder(list(names)).decode(answers["body"])
    plants = answers.with_row_index("answer").select("answer", "plant_id", "timezone")
    rows = _add_dates(decoded.rows.join(plants, on="answer"), first, last, step)
    long = rows.unpivot(
        on=list(names), index=["plant_id", "local_date"], variable_name="field", value_name="wh"
    )
    return (
        # What is no energy, as a portal's negative correction, is no figure of SMA's: the answer keeps it.
        long.filter(pl.col("wh").is_between(0, FINITE * WH_PER_KWH))
        .select(
            "plant_id",
            "local_date",
            quantity=pl.col("field").replace(names),
            vendor_kwh=pl.col("wh") / WH_PER_KWH,
        )
        .drop_nulls("local_date")
        # A day that comes twice: the last word counts.
        .unique(["plant_id", "local_date", "quantity"], keep="last", maintain_order=True)
    )


def _add_dates(rows: pl.DataFrame, first: dt.date, last: dt.date, step: Step) -> pl.DataFrame:
    """The rows (answer, timezone, raw_time) with `local_date`, the day or month that they are of.

    A label that is no midnight may be the plant's midnight in UTC. And a whole answer, by either clock, may be labelled
    by the ends of its days, or a day too early: then a label lies beside what was asked for, and none at the other end
    of it.
    """
    before, after = pl.select(
        pl.lit(first).dt.offset_by(f"-{step}"), after=pl.lit(last).dt.offset_by(step)
    ).row(0)
    # A change of clocks moves a midnight by an hour, so each has its own instant.
    starts = pl.date_range(before, after, step, eager=True)
    midnights = pl.concat(
        build_days_frame(day, rows["timezone"]).select("timezone", instant="day_start", of_utc=pl.lit(day))
        for day in starts
    )
    label = parse_label(pl.col("raw_time"))
    own = pl.col("raw_time").str.head(10).str.to_date(strict=False)
    by_clock = label.is_null() | (label.dt.time() == dt.time())
    dated = rows.with_columns(instant=label.dt.replace_time_zone("UTC"), by_clock=by_clock).join(
        midnights, on=["timezone", "instant"], how="left", maintain_order="left"
    )
    date = pl.when("by_clock").then(own).otherwise(pl.coalesce("of_utc", own)).dt.truncate(step)
    earliest, latest = pl.col("local_date").min().over("answer"), pl.col("local_date").max().over("answer")
    late, early = (latest == after) & (earliest > first), (earliest == before) & (latest < last)
    meant = (
        pl.when(late)
        .then(pl.col("local_date").dt.offset_by(f"-{step}"))
        .when(early)
        .then(pl.col("local_date").dt.offset_by(step))
        .otherwise("local_date")
    )
    return dated.with_columns(local_date=date).with_columns(local_date=meant)


def unpivot_measured(rows: pl.DataFrame, quantities: Sequence[str], facts: Sequence[str]) -> pl.DataFrame:
    """Rows of `energy_daily` or `energy_monthly` as one row for each quantity: measured_kwh, and the facts."""
    long = rows.unpivot(
        on=[f"{name}_kwh" for name in quantities],
        index=["plant_id", *FACTS, *facts],
        variable_name="quantity",
        value_name="measured_kwh",
    )
    return long.with_columns(pl.col("quantity").str.strip_suffix("_kwh"))


# What is known of a measured day or month.
FACTS: Final = ("coverage", "largest_gap_min", "n_flagged", "covered_h", "expected_h", "n_rows")


def reconcile_days(
    measured: pl.DataFrame, vendor: pl.DataFrame, energy_values: pl.DataFrame, limits: Thresholds, policy: str
) -> pl.DataFrame:
    """Every day and month with a figure of any kind, in the columns of `reconciliation` but for month.

    `measured` and `vendor` are of one month; `energy_values` has plant_id, local_date, quantity, energy_values_kwh and
    energy_values_from. `policy` is the gap policy: none or vendor.
    """
    key = ["plant_id", "local_date", "quantity"]
    both = (
        measured.join(vendor, on=key, how="full", coalesce=True)
        .join(energy_values, on=key, how="left")
        .filter(pl.any_horizontal(pl.col("measured_kwh", "vendor_kwh", "energy_values_kwh").is_not_null()))
        .sort(*_KEY, "local_date")
    )
    judged = both.with_columns(
        difference_kwh=pl.col("measured_kwh") - pl.col("vendor_kwh"),
        tolerance_kwh=_compute_tolerance("vendor_kwh", limits),
        energy_values_difference_kwh=pl.col("measured_kwh") - pl.col("energy_values_kwh"),
        values_tolerance_kwh=_compute_tolerance("energy_values_kwh", limits),
        has_gap=(pl.col("largest_gap_min") > 0).fill_null(value=False),
    )
    ours, values = _Pair("vendor_kwh", "difference_kwh", "tolerance_kwh"), _VALUES
    before_inverter = pl.when(pl.col("energy_values_from") == DC_SET).then(pl.lit(BEFORE_INVERTER))
    days = judged.with_columns(
        agrees=ours.agrees(),
        reason=ours.choose_reason(ours.find_carried(1) | ours.find_carried(-1)),
        energy_values_reason=pl.when(pl.col("energy_values_kwh").is_not_null()).then(
            before_inverter.otherwise(values.choose_reason(values.find_carried(1) | values.find_carried(-1)))
        ),
        period=pl.lit(DAY),
    ).with_columns(would_book=_compute_booking(policy))
    return pl.concat([days.select(_COLUMNS), _sum_months(days).select(_COLUMNS)])


_COLUMNS: Final = (
    "plant_id",
    "local_date",
    "quantity",
    "period",
    "measured_kwh",
    "vendor_kwh",
    "energy_values_kwh",
    "energy_values_from",
    "energy_values_difference_kwh",
    "energy_values_reason",
    "difference_kwh",
    "tolerance_kwh",
    "reason",
    "agrees",
    "coverage",
    "would_book",
)


def reconcile_year(
    months: pl.DataFrame, vendor: pl.DataFrame, limits: Thresholds, policy: str
) -> pl.DataFrame:
    """Every month of a year with a figure on either side, and the year, in the columns of `reconciliation_yearly`.

    `months` has rows of `unpivot_measured` with month, n_days and vendor_days_kwh; `vendor` those of SMA's Year answers
    with month and vendor_kwh.
    """
    key = ["plant_id", "month", "quantity"]
    both = (
        months.join(vendor, on=key, how="full", coalesce=True)
        .filter(pl.any_horizontal(pl.col("measured_kwh", "vendor_kwh").is_not_null()))
        .sort(*_KEY, "month")
    )
    length = pl.col("month").dt.days_in_month()
    lacking = (pl.col("largest_gap_min") > 0) | (pl.col("n_days") < length)
    pair = _Pair("vendor_kwh", "difference_kwh", "tolerance_kwh")
    judged = both.with_columns(
        difference_kwh=pl.col("measured_kwh") - pl.col("vendor_kwh"),
        tolerance_kwh=_compute_tolerance("vendor_kwh", limits, days=length),
        has_gap=lacking.fill_null(value=False),
    ).with_columns(agrees=pair.agrees(), reason=pair.choose_reason(pl.lit(value=False)), period=pl.lit(MONTH))
    booked = judged.with_columns(would_book=_compute_booking(policy))
    sums = ("measured_kwh", "vendor_days_kwh", "vendor_kwh", "tolerance_kwh")
    return pl.concat([booked, _sum_rows(booked, sums, "month", "1y", YEAR)], how="diagonal").drop("has_gap")


class _Pair(NamedTuple):
    """Measured energies beside others: the columns of the others, of the difference and of what it may be."""

    other: str
    difference: str
    tolerance: str

    def agrees(self) -> pl.Expr:
        return (pl.col(self.difference).abs() <= pl.col(self.tolerance)).fill_null(value=False)

    def find_carried(self, by: int) -> pl.Expr:
        """Whether the day before (1) or after (-1) differs as much the other way, and one of the two has a gap."""
        names = (self.difference, "local_date", "has_gap")
        difference, date, has_gap = (pl.col(name).shift(by).over(_KEY) for name in names)
        beside = (pl.col("local_date") - date).dt.total_days() == by
        opposite = pl.col(self.difference) * difference < 0
        cancels = (pl.col(self.difference) + difference).abs() <= pl.col(self.tolerance)
        return (beside & opposite & cancels & (pl.col("has_gap") | has_gap)).fill_null(value=False)

    def choose_reason(self, carried: pl.Expr) -> pl.Expr:
        return (
            pl.when(pl.col(self.other).is_null())
            .then(pl.lit("no_vendor_value"))
            .when(pl.col("measured_kwh").is_null())
            .then(pl.lit("not_measured"))
            .when(pl.col(self.difference).abs() <= EQUAL_KWH)
            .then(pl.lit(NONE))
            .when(self.agrees())
            .then(pl.lit(ROUNDING))
            .when(carried)
            .then(pl.lit("hole_carried_over"))
            .when(pl.col("n_flagged") > 0)
            .then(pl.lit("spike"))
            .when((pl.col(self.difference) < 0) & pl.col("has_gap"))
            .then(pl.lit("gap"))
            .otherwise(pl.lit(UNEXPLAINED))
        )


_VALUES: Final = _Pair("energy_values_kwh", "energy_values_difference_kwh", "values_tolerance_kwh")


def _compute_tolerance(of: str, limits: Thresholds, days: pl.Expr | None = None) -> pl.Expr:
    """How far a measured energy may be from the other one."""
    hours = (pl.col("covered_h") >= HOUR_ROW_H * pl.col("n_rows")).fill_null(value=False) & (
        pl.col("n_rows") > 0
    )
    share = pl.when(hours).then(limits.reconcile_share_hours).otherwise(limits.reconcile_share)
    return pl.col(of).abs() * share + limits.reconcile_kwh * (1 if days is None else days)


def _compute_booking(policy: str) -> pl.Expr:
    bridged = pl.lit(policy == "vendor") & pl.col("reason").is_in(FILLABLE)
    return pl.when(bridged).then(pl.lit("vendor")).otherwise(pl.lit("measured"))


def _sum_months(days: pl.DataFrame) -> pl.DataFrame:
    sums = (
        "measured_kwh",
        "vendor_kwh",
        "energy_values_kwh",
        "tolerance_kwh",
        "energy_values_difference_kwh",
        "values_tolerance_kwh",
    )
    months = _sum_rows(days, sums, "local_date", "1mo", MONTH)
    off = pl.col("energy_values_difference_kwh").abs()
    values = days.drop_nulls("energy_values_kwh").group_by(_KEY).agg(
        pl.col("energy_values_from").first(),
        pl.col("energy_values_reason").sort_by(off, descending=True, nulls_last=True).first(),
    )  # fmt: skip
    joined = months.join(values, on=_KEY, how="left", maintain_order="left")
    dc = pl.col("energy_values_reason") == BEFORE_INVERTER
    settled = _choose_reason(_VALUES, pl.col("energy_values_reason"))
    return joined.with_columns(
        energy_values_reason=pl.when(dc).then("energy_values_reason").otherwise(settled)
    )


def _sum_rows(rows: pl.DataFrame, sums: Sequence[str], date: str, every: str, period: str) -> pl.DataFrame:
    """The sum of each plant's and quantity's rows; the reason is that of the largest difference."""
    pair = _Pair("vendor_kwh", "difference_kwh", "tolerance_kwh")
    off = (pl.col("measured_kwh").fill_null(0) - pl.col("vendor_kwh").fill_null(0)).abs()
    summed = rows.group_by(_KEY, maintain_order=True).agg(
        pl.col(date).dt.truncate(every).min(),
        *(sum_exactly(pl.col(name)).alias(name) for name in sums),
        pl.col("reason", "would_book").sort_by(off, descending=True).first(),
        coverage=(sum_exactly(pl.col("covered_h")) / sum_exactly(pl.col("expected_h")))
        .clip(0, 1)
        .fill_nan(None),
    )
    judged = summed.with_columns(difference_kwh=pl.col("measured_kwh") - pl.col("vendor_kwh"))
    return judged.with_columns(
        agrees=pair.agrees(), reason=_choose_reason(pair, pl.col("reason")), period=pl.lit(period)
    )


def _choose_reason(pair: _Pair, reason: pl.Expr) -> pl.Expr:
    """The reason of a sum: its own where it agrees, else that of its parts."""
    equal = pl.col(pair.difference).abs() <= EQUAL_KWH
    return pl.when(equal).then(pl.lit(NONE)).when(pair.agrees()).then(pl.lit(ROUNDING)).otherwise(reason)
