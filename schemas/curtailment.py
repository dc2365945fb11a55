"""Energy that plants were not allowed to deliver: hours with a limit, and an estimate of what was lost."""

from typing import Any

import polars as pl

from schemas.base import FINITE, Table, column
from schemas.core import PlantKey
from schemas.quantities import FULL_MONTH_H
from schemas.report_tables import Day

# What a limit acts on: feed-in at the grid connection, or the power of the inverters. An outage is not a limit that
# somebody asked for: it is the power that the inverters could have delivered at most.
FEED_IN, GENERATION, OUTAGE = "feed_in", "generation", "outage"
KINDS = [FEED_IN, GENERATION, OUTAGE]
# Who asked for a limit.
MANUAL = "manual"
ASKED_BY = ["grid_operator", "energy_trader", MANUAL, "static"]
SPITZ, SPITZ_LIGHT, CLEAR_SKY_DAY, PAUSCHAL = "spitz", "spitz_light", "clear_sky_day", "pauschal"
# From the best to the one that only a contract asks for.
METHODS = [SPITZ, SPITZ_LIGHT, CLEAR_SKY_DAY, PAUSCHAL]
# What the irradiation of a method is.
SENSOR, SUPPLIED, NEIGHBOURS = "sensor", "supplied", "neighbours"
REFERENCES = [SENSOR, SUPPLIED, NEIGHBOURS]
# Why there is no method. Where several reasons apply, the first one is given.
NOT_BINDING, NO_RATED_POWER, NOT_MEASURED = "not_binding", "no_ac_power", "nothing_measured"
NO_COMPARISON_DAY, NO_REFERENCE = "no_comparison_day", "no_reference"
_REASONS = {
    NO_RATED_POWER: "the plant's AC power is not known, so there is neither a limit in % nor a highest power",
    NOT_MEASURED: "no row of the limited time has the power that the limit acts on",
    NOT_BINDING: "power was never at the limit, so nothing was lost",
    NO_COMPARISON_DAY: "no stored day without a limit is usable, from 31 days before to the end of the month",
    NO_REFERENCE: "there are comparison days, but nothing that says what the sun gave in the limited time",
}
_POWER = ("pv_generation_w", "grid_feed_in_w")
_ENERGY = ("pv_generation_kwh", "grid_feed_in_kwh")


def _hours(meaning: str, of: tuple[str, ...] = _POWER) -> Any:
    return column(meaning, unit="h", ge=0, le=FULL_MONTH_H, of=of)


def _lost(meaning: str) -> Any:
    return column(
        meaning, unit="kWh", null="no estimate; for a day, see method_reason", ge=0, le=FINITE, of=_ENERGY
    )


class LostEnergy(Table):
    """Hours with a limit, and what was lost by it."""

    limited_h: float = _hours("Time with a limit, day and night.", ("quarter_start",))
    binding_h: float = _hours(
        "Part of the limited time in which the limit had an effect: power was at the limit, in daylight, and the plant "
        "took nothing from the grid. In the rest of the limited time nothing was lost."
    )
    above_limit_h: float = _hours(
        "Part of the limited time in which power was above the limit: the plant did not follow it."
    )
    unjudged_h: float = _hours(
        "Limited daylight of which no loss can be estimated: rows are missing, or nothing says what the sun gave. "
        "lost_kwh does not include it."
    )
    lost_kwh: float = _lost(
        "Estimate of the PV generation that limits prevented: sum over quarter hours of max(0, min(theoretical power, "
        "rated AC power, available power in an outage) - pv_generation)."
    )
    lost_low_kwh: float = _lost("Lower bound of lost_kwh.")
    lost_high_kwh: float = _lost("Upper bound of lost_kwh.")
    lost_by_grid_operator_kwh: float = _lost(
        "Part of lost_kwh that limits of the grid operator prevented, less what limits of others would have prevented "
        "without them."
    )
    pv_generation_kwh: float = column(
        "PV generation of the stored days with a limit, as in energy_daily.",
        unit="kWh",
        null="nothing measured (not the same as zero)",
        ge=0,
        le=FINITE,
    )
    performance_ratio: float = column(
        "Performance ratio, as in the table of plant figures of the same period.",
        unit="1",
        null="see performance_ratio_reason there",
        ge=0,
        le=FINITE,
    )
    performance_ratio_without_curtailment: float = column(
        "Performance ratio that the plant would have had without limits: performance_ratio * (window_generation_kwh + "
        "lost_kwh) / window_generation_kwh.",
        unit="1",
        null="there is no performance ratio, or lost_kwh is not known for all days with a limit",
        ge=0,
        le=FINITE,
    )


class CurtailmentDaily(
    LostEnergy,
    Day,
    PlantKey,
    table="curtailment_daily",
    layer="report",
    key=("plant_id", "local_date"),
    partition=("month",),
):
    """Estimate of the energy that limits prevented, for each plant and day with a limit.

    Limits come from the file of SUNLEDGER_CURTAILMENT_LIMITS and from grid_commands. docs/curtailment.md says how far
    each method is off. Days of a closed month keep their figures.
    """

    month: pl.Date = column("First day of the calendar month.", of=("local_date",))
    lowest_limit_kw: float = column(
        "Lowest limit of the day.",
        unit="kW",
        null="a limit in %, and no AC power known",
        ge=0,
        le=FINITE,
        of=_POWER,
    )
    asked_by: str = column("Who asked for the limits of the day, separated by commas.", of=("plant_id",))
    method: str = column(
        "How lost_kwh was estimated. spitz: irradiation of the plant's own sensor, scaled by a comparison day. "
        "spitz_light: the same with irradiation that the user supplied, or with the power of neighbours without a "
        "limit. clear_sky_day: the power of a cloudless comparison day, scaled by the unlimited time of the day. "
        "pauschal: the power of the last quarter hour before the limit, where the file asks for it.",
        null="see method_reason",
        isin=METHODS,
        of=("quarter_start",),
    )
    method_reason: str = column(
        "Why there is no method. " + "; ".join(f"{word}: {text}" for word, text in _REASONS.items()) + ".",
        null="there is a method",
        isin=list(_REASONS),
        of=("quarter_start",),
    )
    reference: str = column(
        "What the irradiation of the method is.",
        null="the method has none, or there is no method",
        isin=REFERENCES,
        of=("external_insolation_w_per_m2",),
    )
    comparison_date: pl.Date = column(
        "Local day of the plant that the method compares with.",
        null="the method has none",
        of=("local_date",),
    )


class LimitedMonth(Table):
    """The month that a row is for."""

    month: pl.Date = column("First day of the calendar month.", of=("local_date",))


class CurtailmentMonthly(
    LostEnergy,
    LimitedMonth,
    PlantKey,
    table="curtailment_monthly",
    layer="report",
    key=("plant_id", "month"),
    partition=("month",),
):
    """Estimate of the energy that limits prevented, for each plant and month with a limit, as sums of its days."""

    n_days_limited: pl.Int64 = column(
        "Stored days with a limit.", unit="count", ge=1, le=31, of=("local_date",)
    )
    n_days_without_estimate: pl.Int64 = column(
        "Days with a limit that have no estimate; lost_kwh does not include them.",
        unit="count",
        ge=0,
        le=31,
        of=("lost_kwh",),
    )
    methods: str = column(
        "Methods of the days, separated by commas.", null="no day has a method", of=("method",)
    )
