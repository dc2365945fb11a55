"""What became of figures that were there before: restated days, and adjustments of closed months."""

from typing import Any

import polars as pl

from schemas.base import FINITE, Table, Utc, column, energy, ratio
from schemas.core import LOCAL_DATE, PlantKey
from schemas.report import STATUSES

QUANTITY = "The figure: the name of its column in energy_daily, without _kwh."
REPLACES = "Name of the stored file that held what was replaced: with plant and quantity it names the change."
CAUSE = (
    "Why, joined by +. answer_changed: SMA answers differently. first_answer: the plant had none before. "
    "time_basis_changed, merged_hour_changed, thresholds_changed: those settings. plant_data_changed: its rated power, "
    "place or time zone. version_changed: another version of sunledger. plant_moved: two ids became one plant. "
    "unknown: what the old figure was made from is not stored any more."
)
NOT_COUNTED = "the rows are the same, or what they were is not stored any more"


class RowsChanged(Table):
    """What became of a day's interval rows."""

    n_rows_added: pl.Int64 = column(
        "Interval rows that were not there before.", unit="count", null=NOT_COUNTED, ge=0
    )
    n_rows_removed: pl.Int64 = column(
        "Interval rows that no longer exist.", unit="count", null=NOT_COUNTED, ge=0
    )
    n_rows_changed: pl.Int64 = column(
        "Interval rows of the same time with another value.", unit="count", null=NOT_COUNTED, ge=0
    )


class Restatements(
    RowsChanged,
    PlantKey,
    table="restatements",
    asset=False,
    layer="report",
    key=("plant_id", "local_date", "quantity", "replaces"),
    volatile=("noted_at",),
):
    """Every figure of a day in energy_daily that became another one after the day was final, with time and cause."""

    local_date: pl.Date = column(LOCAL_DATE)
    quantity: str = column(QUANTITY)
    before_kwh: float = energy("As it was before")
    after_kwh: float = energy("As it became")
    difference_kwh: float = column(
        "after_kwh less before_kwh, where one is null that counts as 0.", unit="kWh", ge=-FINITE, le=FINITE
    )
    status_before: str = column("Status of the day before.", isin=STATUSES)
    status_after: str = column(
        "Status of the day then.", null="the plant has no such day any more", isin=STATUSES
    )
    cause: str = column(CAUSE)
    closed: bool = column(
        "True where the month was closed by then: its figures stay, and adjustments has the difference."
    )
    noted_at: Utc = column("When it was noted.")
    replaces: str = column(REPLACES)


class RowChanges(
    RowsChanged,
    PlantKey,
    table="row_changes",
    asset=False,
    layer="core",
    key=("plant_id", "local_date", "replaces"),
):
    """Changed interval rows of final days, noted before their figures are rebuilt: the evidence of restatements."""

    local_date: pl.Date = column(LOCAL_DATE)
    cause: str = column(CAUSE)
    figures: str = column("Name of the stored file of energy_daily that the rows had been made into.")
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
    """What a closed month's days add up to now, where that is not the closed figure: to be booked in an open month.

    A plant that moved since has the id of its closed row in energy_monthly.
    """

    month: pl.Date = column("First day of the closed month.")
    quantity: str = column(QUANTITY.replace("energy_daily", "energy_monthly"))
    closed_kwh: float = energy("As energy_monthly keeps it")
    now_kwh: float = energy("As the days add up now")
    difference_kwh: float = column(
        "now_kwh less closed_kwh, where one is null that counts as 0.", unit="kWh", ge=-FINITE, le=FINITE
    )
    closed_at: Utc = column("When the month was closed.")
    noted_at: Utc = column("When the difference became what it is.")


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

AGREES = "True where both are there and differ by no more than the tolerance."
MEASURED_SHARE = "Share of the expected time that the measured figure covers."
WOULD_BOOK = (
    "Which figure SUNLEDGER_GAP_POLICY would book: measured, or vendor for gaps under the policy vendor."
)


def _difference(description: str) -> Any:
    """Of two energies in kWh, null where one of them is."""
    return column(description, unit="kWh", null="one of the two is null", ge=-FINITE, le=FINITE)


def _tolerance(description: str) -> Any:
    """How far such energies may differ, in kWh."""
    return column(description, unit="kWh", null="SMA gives no figure", ge=0, le=FINITE)


class Reconciliation(
    PlantKey,
    table="reconciliation",
    layer="report",
    key=("plant_id", "month", "period", "local_date", "quantity"),
    partition=("month",),
):
    """Energies that we measured beside SMA's own, by plant, quantity, day and month. A difference is never repaired."""

    month: pl.Date = column("First day of the calendar month.")
    period: str = column("Whether the row is for a day or for the whole month.", isin=["day", "month"])
    local_date: pl.Date = column("The day, or the first one of the month.")
    quantity: str = column(QUANTITY)
    measured_kwh: float = energy("Integrated from mean powers, as in energy_daily")
    vendor_kwh: float = energy("SMA's own figure of the day (of the month: their sum)")
    energy_values_kwh: float = column(
        "Sum of SMA's energy values by the interval: those of EnergyBalance (SUNLEDGER_ENERGY_VALUES), else of PV the "
        "set EnergyDc (SUNLEDGER_SETS).",
        unit="kWh",
        null="not asked for, or none came",
        ge=0,
        le=FINITE,
    )
    energy_values_from: str = column(
        "The set that the energy values are of: EnergyBalance, or EnergyDc, which is measured before the inverter.",
        null="there are none",
        isin=["EnergyBalance", "EnergyDc"],
    )
    energy_values_difference_kwh: float = _difference(
        "measured_kwh less energy_values_kwh; of a month the sum of its days'."
    )
    energy_values_reason: str = column(
        "Why measured_kwh and energy_values_kwh differ, in the words of `reason`, by the same tolerance; "
        "before_inverter: they are of EnergyDc, so the inverter's losses lie between the two.",
        null="there are no energy values",
        isin=VALUE_REASONS,
    )
    difference_kwh: float = _difference("measured_kwh less vendor_kwh.")
    tolerance_kwh: float = _tolerance("How far the two may differ, by the thresholds of docs/quality.md.")
    reason: str = column(
        "Why they differ. none: they don't. rounding: within the tolerance. gap: the day has one and SMA's figure is "
        "larger. spike: a value of the day was set aside. hole_carried_over: a day beside it differs as much the other "
        "way, and one of the two has a gap. not_measured: only SMA has a figure. no_vendor_value: only we have one. "
        "unexplained: none of these. Of a month: that of its largest difference.",
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
    """Energies of the months of a year that we measured beside SMA's own by its month and year answers."""

    year: pl.Date = column("First day of the calendar year.")
    period: str = column("Whether the row is for a month or for the whole year.", isin=["month", "year"])
    month: pl.Date = column("First day of the month, or of the year.")
    quantity: str = column(QUANTITY.replace("energy_daily", "energy_monthly"))
    measured_kwh: float = energy("Integrated from mean powers, as in energy_monthly (of the year: the sum)")
    vendor_days_kwh: float = column(
        "SMA's own figures of the days that the warehouse holds, by its Month answers, as in reconciliation, added up.",
        unit="kWh",
        null="not asked for, or none came",
        ge=0,
        le=FINITE,
    )
    vendor_kwh: float = energy("SMA's own figure of the month by its Year answer (of the year: the sum)")
    difference_kwh: float = _difference("measured_kwh less vendor_kwh.")
    tolerance_kwh: float = _tolerance(
        "How far the two may differ, by the thresholds of docs/quality.md for each of its days."
    )
    reason: str = column(
        "Why they differ, as in reconciliation; gap: rows or days of the month are missing, and SMA's figure is "
        "larger. Of a year: that of its largest difference.",
        isin=REASONS,
    )
    agrees: bool = column(AGREES)
    coverage: float = ratio(MEASURED_SHARE, null="nothing was expected")
    would_book: str = column(WOULD_BOOK, isin=["measured", "vendor"])
