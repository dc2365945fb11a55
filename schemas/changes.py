"""Tables of changed figures: restated days, adjustments of closed months, and the reconciliation with SMA's."""

from typing import Any

import polars as pl

from schemas.base import FINITE, Table, Utc, column, energy, ratio
from schemas.core import LOCAL_DATE, PlantKey
from schemas.report_tables import STATUSES

QUANTITY = "Quantity: the name of its column in energy_daily without _kwh."
REPLACES = (
    "Name of the stored file that held the replaced data; with plant and quantity it identifies the change."
)
CAUSE = (
    "Causes of the change, separated by +. answer_changed: SMA's answer changed. first_answer: the plant had no "
    "answer before. time_basis_changed, merged_hour_changed, thresholds_changed: the setting changed. "
    "plant_data_changed: the plant's rated power, place or time zone changed. version_changed: another version of "
    "sunledger calculated the figure. plant_moved: two ids became one plant. unknown: the data behind the old figure"
    " is no longer stored."
)
NOT_COUNTED = "the rows are the same, or the former rows are no longer stored"


class ChangedRows(Table):
    """How many of a day's interval rows were added, removed and changed."""

    n_rows_added: pl.Int64 = column(
        "Interval rows that did not exist before.", unit="count", null=NOT_COUNTED, ge=0
    )
    n_rows_removed: pl.Int64 = column(
        "Interval rows that no longer exist.", unit="count", null=NOT_COUNTED, ge=0
    )
    n_rows_changed: pl.Int64 = column(
        "Interval rows that exist before and after with different values.",
        unit="count",
        null=NOT_COUNTED,
        ge=0,
    )


class Restatements(
    ChangedRows,
    PlantKey,
    table="restatements",
    asset=False,
    layer="report",
    key=("plant_id", "local_date", "quantity", "replaces"),
    volatile=("noted_at",),
):
    """Every figure of energy_daily that changed after its day was final, with the time and the cause of the change."""

    local_date: pl.Date = column(LOCAL_DATE)
    quantity: str = column(QUANTITY)
    before_kwh: float = energy("Figure before the change")
    after_kwh: float = energy("Figure after the change")
    difference_kwh: float = column(
        "after_kwh minus before_kwh; a null counts as 0.", unit="kWh", ge=-FINITE, le=FINITE
    )
    status_before: str = column("Status of the day before the change.", isin=STATUSES)
    status_after: str = column(
        "Status of the day after the change.", null="the plant no longer has this day", isin=STATUSES
    )
    cause: str = column(CAUSE)
    closed: bool = column(
        "True where the month was already closed: its figures stay, and adjustments has the difference."
    )
    noted_at: Utc = column("When the change was recorded.")
    replaces: str = column(REPLACES)


class RowChanges(
    ChangedRows,
    PlantKey,
    table="row_changes",
    asset=False,
    layer="core",
    key=("plant_id", "local_date", "replaces"),
):
    """Changed interval rows of final days, recorded before the figures are rebuilt, as evidence for restatements."""

    local_date: pl.Date = column(LOCAL_DATE)
    cause: str = column(CAUSE)
    figures: str = column("Name of the stored file of energy_daily that held the figures of these rows.")
    replaces: str = column(REPLACES)


class Adjustments(
    PlantKey,
    table="adjustments",
    asset=False,
    layer="report",
    key=("plant_id", "month", "quantity"),
    partition=("month",),
    volatile=("noted_at",),
):
    """Differences between a closed month's figure and the present sum of its days, to be booked in an open month.

    A plant that has moved since then keeps the id of its closed row in energy_monthly.
    """

    month: pl.Date = column("First day of the closed month.")
    quantity: str = column(QUANTITY.replace("energy_daily", "energy_monthly"))
    closed_kwh: float = energy("Closed figure, as in energy_monthly")
    now_kwh: float = energy("Present sum of the month's days")
    difference_kwh: float = column(
        "now_kwh minus closed_kwh; a null counts as 0.", unit="kWh", ge=-FINITE, le=FINITE
    )
    closed_at: Utc = column("When the month was closed.")
    noted_at: Utc = column("When the present difference was recorded.")


REASONS = [
    "none",
    "rounding",
    "gap",
    "spike",
    "hole_carried_over",
    "not_measured",
    "no_vendor_value",
    "unexplained",
]
# Why measured energies differ from SMA's energies of the intervals.
VALUE_REASONS = [*(reason for reason in REASONS if reason != "no_vendor_value"), "before_inverter"]

AGREES = "True where both exist and differ by no more than the tolerance."
MEASURED_SHARE = "Share of the expected time that the measured figure covers."
WOULD_BOOK = (
    "Figure that SUNLEDGER_GAP_POLICY would book: measured, or vendor for gaps under the policy vendor."
)


def _difference(description: str) -> Any:
    """A column for the difference of two energies in kWh; null where one of the two is null."""
    return column(description, unit="kWh", null="one of the two is null", ge=-FINITE, le=FINITE)


def _tolerance(description: str) -> Any:
    """A column for the difference in kWh up to which two energies agree; null where SMA gives no figure."""
    return column(description, unit="kWh", null="SMA gives no figure", ge=0, le=FINITE)


class Reconciliation(
    PlantKey,
    table="reconciliation",
    layer="report",
    key=("plant_id", "month", "period", "local_date", "quantity"),
    partition=("month",),
):
    """Measured energies beside SMA's own, by plant, quantity, day and month. Differences are never corrected."""

    month: pl.Date = column("First day of the calendar month.")
    period: str = column("Whether the row describes a day or the whole month.", isin=["day", "month"])
    local_date: pl.Date = column("The day; for a month, its first day.")
    quantity: str = column(QUANTITY)
    measured_kwh: float = energy("Integrated from mean powers, as in energy_daily")
    vendor_kwh: float = energy("SMA's own figure of the day (for a month, the sum of its days)")
    energy_values_kwh: float = column(
        "Sum of SMA's energy values of the intervals, from EnergyBalance (SUNLEDGER_ENERGY_VALUES); where there are "
        "none, PV is summed from the set EnergyDc (SUNLEDGER_SETS).",
        unit="kWh",
        null="not requested, or SMA gave none",
        ge=0,
        le=FINITE,
    )
    energy_values_from: str = column(
        "Set that the energy values come from: EnergyBalance, or EnergyDc, which is measured before the inverter.",
        null="there are none",
        isin=["EnergyBalance", "EnergyDc"],
    )
    energy_values_difference_kwh: float = _difference(
        "measured_kwh minus energy_values_kwh; for a month, the sum over its days."
    )
    energy_values_reason: str = column(
        "Why measured_kwh and energy_values_kwh differ, with the words of `reason` and the same tolerance; "
        "before_inverter: the energy values come from EnergyDc, so the two differ by the inverter's losses.",
        null="there are no energy values",
        isin=VALUE_REASONS,
    )
    difference_kwh: float = _difference("measured_kwh minus vendor_kwh.")
    tolerance_kwh: float = _tolerance(
        "Difference up to which the two agree, by the thresholds of docs/quality.md."
    )
    reason: str = column(
        "Why the two differ. none: they do not differ. rounding: they differ within the tolerance. gap: the day has "
        "a data gap and SMA's figure is larger. spike: a value of the day was set aside. hole_carried_over: an "
        "adjacent day differs by as much in the other direction, and one of the two days has a data gap. "
        "not_measured: only SMA has a figure. no_vendor_value: only the measured figure exists. unexplained: none of"
        " these applies. A month has the reason of its largest difference.",
        isin=REASONS,
    )
    agrees: bool = column(AGREES)
    coverage: float = ratio(MEASURED_SHARE, null="nothing was expected")
    would_book: str = column(WOULD_BOOK, isin=["measured", "vendor"])


class ReconciliationYearly(
    PlantKey,
    table="reconciliation_yearly",
    layer="report",
    key=("plant_id", "year", "period", "month", "quantity"),
    partition=("year",),
):
    """Measured energies of the months of a year beside SMA's own, which come from its answers for months and years."""

    year: pl.Date = column("First day of the calendar year.")
    period: str = column("Whether the row describes a month or the whole year.", isin=["month", "year"])
    month: pl.Date = column("First day of the month; for a year, of the year.")
    quantity: str = column(QUANTITY.replace("energy_daily", "energy_monthly"))
    measured_kwh: float = energy(
        "Integrated from mean powers, as in energy_monthly (for a year, the sum of its months)"
    )
    vendor_days_kwh: float = column(
        "Sum of SMA's own figures of the days that the warehouse holds, from its Month answers, as in reconciliation.",
        unit="kWh",
        null="not requested, or SMA gave none",
        ge=0,
        le=FINITE,
    )
    vendor_kwh: float = energy(
        "SMA's own figure of the month from its Year answer (for a year, the sum of its months)"
    )
    difference_kwh: float = _difference("measured_kwh minus vendor_kwh.")
    tolerance_kwh: float = _tolerance(
        "Difference up to which the two agree, by the thresholds of docs/quality.md for each of its days."
    )
    reason: str = column(
        "Why the two differ, as in reconciliation; gap: rows or days of the month are missing, and SMA's figure is "
        "larger. A year has the reason of its largest difference.",
        isin=REASONS,
    )
    agrees: bool = column(AGREES)
    coverage: float = ratio(MEASURED_SHARE, null="nothing was expected")
    would_book: str = column(WOULD_BOOK, isin=["measured", "vendor"])
