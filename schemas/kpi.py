"""Plant figures by the names of IEC 61724-1: yields, performance ratio, availability, self-consumption, CO2 avoided.

A figure whose inputs are missing is null, and the column `<figure>_reason` beside it names the missing input.
"""

from typing import Any

import polars as pl

from schemas.base import FINITE, Table, column
from schemas.core import PlantKey
from schemas.quantities import FULL_MONTH_H
from schemas.report_tables import STATUSES, Day, Month

IRRADIATION_SOURCES = ["sensor", "supplied", "clear_sky", "none"]
# The sources whose irradiation is measured.
MEASURED = ("sensor", "supplied")
# Why a figure is null. Where several reasons apply, the first one is given.
NOT_MEASURED, NO_PEAK, NO_AC, NO_PLACE = "nothing_measured", "no_peak_power", "no_ac_power", "no_coordinates"
NO_IRRADIATION = "irradiation_not_measured"
GAPS, DARK, NO_CO2 = "irradiation_gaps", "too_dark", "no_co2_factor"
NO_USE, CONTRADICTION, NO_DAYS = "no_energy", "contradictory", "days_without_irradiation"
_REASONS = {
    NOT_MEASURED: "no row has a value of the power",
    NO_PEAK: "the plant's DC peak power is not known",
    NO_AC: "the plant's AC power is not known",
    NO_PLACE: "the plant has no coordinates (for availability: and no sensor)",
    NO_IRRADIATION: "the plant has no irradiation sensor with values, and SUNLEDGER_IRRADIATION supplies none",
    GAPS: "the plant's sensor covers less than 95 % of the daylight",
    NO_DAYS: "a day of the month has no reference yield",
    DARK: "there was hardly any sun in that time (for a ratio: a reference yield below 0.1 h)",
    NO_CO2: "the plant has no CO2 factor",
    NO_USE: "the energy to divide by is 0",
    CONTRADICTION: "the part is larger than the whole",
}

# The columns that irradiation is calculated from: the sensor's values, or the place of the plant under the sun.
IRRADIATION = ("external_insolation_w_per_m2", "latitude", "longitude")

# The column that says why a figure is null.
REASON_OF = {
    "final_yield_kwh_per_kw": "final_yield_reason",
    "reference_yield_h": "reference_yield_reason",
    "reference_yield_clear_sky_h": "reference_yield_clear_sky_reason",
    "performance_ratio": "performance_ratio_reason",
    "performance_ratio_clear_sky": "performance_ratio_clear_sky_reason",
    "performance_ratio_period": "performance_ratio_period_reason",
    "capacity_factor": "capacity_factor_reason",
    "availability_time": "availability_reason",
    "availability_energy": "availability_reason",
    "self_consumption_rate": "self_consumption_rate_reason",
    "self_supply_rate": "self_supply_rate_reason",
    "co2_avoided_kg": "co2_avoided_reason",
}


def reason(figure: str, *why: str) -> Any:
    """A column that says why a figure is null; it takes one of the words in `why`."""
    told = "; ".join(f"{word}: {_REASONS[word]}" for word in why)
    return column(f"Why {figure} is null. {told}.", null=f"{figure} has a value", isin=list(why))


def figure(meaning: str, formula: str, unit: str, name: str, of: tuple[str, ...] = ()) -> Any:
    """A column for a figure of 0 or more, described with its formula; where it is null, its reason says why."""
    return column(f"{meaning}: {formula}.", unit=unit, null=f"see {name}_reason", of=of, ge=0, le=FINITE)


def share(meaning: str, formula: str, name: str) -> Any:
    """A column for a figure from 0 to 1, described with its formula; where it is null, its reason says why."""
    return column(f"{meaning}: {formula}.", unit="1", null=f"see {name}_reason", ge=0, le=1)


def amount(meaning: str, unit: str, null: str, of: tuple[str, ...] = ()) -> Any:
    """A column for an amount of 0 or more that figures are calculated from; amounts can be summed over days."""
    return column(meaning, unit=unit, null=null, of=of, ge=0, le=FINITE)


class Inputs(Table):
    """The inputs of the figures."""

    status: str = column("Status of the energy, as in the energy table of the same period.", isin=STATUSES)
    coverage: float = column(
        "Share of the expected time that is covered by rows with a value, including the night where there is a "
        "meter; read every figure together with it. coverage_daily has the coverage of each quantity.",
        unit="1",
        null="nothing was expected",
        ge=0,
        le=1,
    )
    pv_generation_kwh: float = amount(
        "PV generation, as in the energy table.", "kWh", "nothing measured (not the same as zero)"
    )
    peak_power_kw: float = amount(
        "DC peak power that yields are related to: what SMA listed on the day (see plants.former_powers); for a month "
        "the mean of its days.",
        "kW",
        "not known",
    )
    ac_power_kw: float = amount(
        "AC power that the capacity factor is related to: as peak_power_kw.", "kW", "not known"
    )
    irradiation_source: str = column(
        "sensor: the plant's own sensor (set Sensor; if there are several, the one with the most values), in the "
        "sensor's plane. supplied: the user's own series (SUNLEDGER_IRRADIATION), which takes precedence over a "
        "sensor; irradiation_series names it. clear_sky: there is neither, so availability is calculated with a "
        "cloudless sky and figures of measured irradiation are null. none: the coordinates are missing as well. A "
        "month with a day of clear_sky is clear_sky; otherwise a month with a day of supplied is supplied.",
        isin=IRRADIATION_SOURCES,
        of=IRRADIATION,
    )
    irradiation_series: str = column(
        "Name of the user's own irradiation that the figures are calculated from; for a month, all names.",
        null="not supplied by the user",
    )
    irradiation_covered_h: float = column(
        "Time from sunrise to sunset for which the irradiation is known.",
        unit="h",
        ge=0,
        le=FULL_MONTH_H,
        of=IRRADIATION,
    )
    period_h: float = column(
        "Length of the period. It is 23 or 25 hours on days when clocks change, and a plant's first day begins with "
        "its start-up. A month has the hours of its days that have a row (n_days).",
        unit="h",
        ge=0,
        le=FULL_MONTH_H,
        of=("local_date", "timezone"),
    )


class Yields(Table):
    """Yields and the figures that are calculated from them."""

    final_yield_kwh_per_kw: float = figure(
        "Final yield (Yf)", "pv_generation_kwh / peak_power_kw", "kWh/kW", "final_yield"
    )
    final_yield_reason: str = reason("final_yield_kwh_per_kw", NOT_MEASURED, NO_PEAK)
    reference_yield_h: float = figure(
        "Reference yield (Yr)",
        "measured irradiation in kWh/m² / 1 kW/m², over the whole period_h",
        "h",
        "reference_yield",
        of=("external_insolation_w_per_m2",),
    )
    reference_yield_reason: str = reason("reference_yield_h", NO_IRRADIATION, GAPS, NO_DAYS)
    reference_yield_clear_sky_h: float = figure(
        "Upper limit of the reference yield",
        "irradiation in kWh/m² of a cloudless sky on the fixed plane that receives most on the day, because the "
        "modules' own plane is not known / 1 kW/m², over the whole period_h",
        "h",
        "reference_yield_clear_sky",
        of=("latitude", "longitude"),
    )
    reference_yield_clear_sky_reason: str = reason("reference_yield_clear_sky_h", NO_PLACE, NO_DAYS)
    performance_ratio: float = figure(
        "Performance ratio (PR) of the measured window, from measured irradiation alone",
        "window_generation_kwh / peak_power_kw / window_reference_yield_h, both over the time for which power and "
        "irradiation were measured; for a month, over the days with a sensor's values, and where the power changed in "
        "it, window_generation_kwh / the sum of each day's peak_power_kw * window_reference_yield_h",
        "1",
        "performance_ratio",
    )
    performance_ratio_reason: str = reason("performance_ratio", NOT_MEASURED, NO_PEAK, NO_IRRADIATION, DARK)
    performance_ratio_clear_sky: float = figure(
        "Ratio of the yield to that under a cloudless sky. It is a lower bound of the performance ratio and does not"
        " measure the plant alone, because clouds lower it; it is known with and without a sensor, so plants near "
        "each other can be ranked by it",
        "clear_sky_window_generation_kwh / peak_power_kw / clear_sky_window_reference_yield_h; for a month in which "
        "the power changed, the two are multiplied by the day",
        "1",
        "performance_ratio_clear_sky",
    )
    performance_ratio_clear_sky_reason: str = reason(
        "performance_ratio_clear_sky", NOT_MEASURED, NO_PEAK, NO_PLACE, DARK
    )
    performance_ratio_period: float = figure(
        "Performance ratio (PR) of the whole period, in which missing rows count as no energy",
        "final_yield_kwh_per_kw / reference_yield_h; for a month in which the power changed, pv_generation_kwh / the "
        "sum of each day's peak_power_kw * reference_yield_h",
        "1",
        "performance_ratio_period",
    )
    performance_ratio_period_reason: str = reason(
        "performance_ratio_period", NOT_MEASURED, NO_PEAK, NO_IRRADIATION, GAPS, NO_DAYS, DARK
    )
    window_generation_kwh: float = amount(
        "PV generation of the measured window: the time for which power and irradiation were measured.",
        "kWh",
        "there is no such time",
        of=("pv_generation_kwh", "external_insolation_w_per_m2"),
    )
    window_reference_yield_h: float = amount(
        "Reference yield of the measured window.",
        "h",
        "there is no such time",
        of=("pv_generation_w", "external_insolation_w_per_m2"),
    )
    clear_sky_window_generation_kwh: float = amount(
        "PV generation of the time for which power was measured.",
        "kWh",
        "there is no such time",
        of=("pv_generation_kwh",),
    )
    clear_sky_window_reference_yield_h: float = amount(
        "Irradiation of a cloudless sky in that time, on the fixed plane that receives most in it, / 1 kW/m².",
        "h",
        "there is no such time, or there are no coordinates",
        of=("pv_generation_w", "latitude", "longitude"),
    )
    capacity_factor: float = figure(
        "Capacity factor", "pv_generation_kwh / (ac_power_kw * period_h)", "1", "capacity_factor"
    )
    capacity_factor_reason: str = reason("capacity_factor", NOT_MEASURED, NO_AC)


class Availability(Table):
    """Availability, and the amounts that it is calculated from."""

    availability_time: float = share(
        "Availability by time",
        "generating_h / productive_h. Time without rows counts neither as available nor as unavailable: coverage "
        "shows it",
        "availability",
    )
    availability_energy: float = share(
        "Availability by energy: share of the energy that the plant would have made if it had always worked as it "
        "did while it generated",
        "generating_irradiation_kwh_per_m2 / productive_irradiation_kwh_per_m2",
        "availability",
    )
    availability_reason: str = reason(
        "availability_time and availability_energy", NOT_MEASURED, NO_PLACE, DARK
    )
    productive_h: float = amount(
        "Time with rows in which the plant should generate: the sensor's irradiance is at least 50 W/m², or, "
        "without a sensor, the sun is at least 10° high.",
        "h",
        "nothing measured, or no irradiation known",
        of=("pv_generation_w", *IRRADIATION),
    )
    generating_h: float = amount(
        "Part of productive_h with a PV power above 0.",
        "h",
        "nothing measured, or no irradiation known",
        of=("pv_generation_w", *IRRADIATION),
    )
    productive_irradiation_kwh_per_m2: float = amount(
        "Irradiation in productive_h.",
        "kWh/m²",
        "nothing measured, or no irradiation known",
        of=("pv_generation_w", *IRRADIATION),
    )
    generating_irradiation_kwh_per_m2: float = amount(
        "Irradiation in generating_h.",
        "kWh/m²",
        "nothing measured, or no irradiation known",
        of=("pv_generation_w", *IRRADIATION),
    )


class OwnUse(Table):
    """Shares of own use, and the amounts that they are calculated from."""

    self_consumption_rate: float = share(
        "Self-consumption rate",
        "matched_self_consumption_kwh / matched_generation_kwh, from the energies of the rows that have both",
        "self_consumption_rate",
    )
    self_consumption_rate_reason: str = reason("self_consumption_rate", NOT_MEASURED, NO_USE, CONTRADICTION)
    self_supply_rate: float = share(
        "Self-supply rate (autarky)",
        "matched_self_supply_kwh / matched_consumption_kwh, from the energies of the rows that have both",
        "self_supply_rate",
    )
    self_supply_rate_reason: str = reason("self_supply_rate", NOT_MEASURED, NO_USE, CONTRADICTION)
    matched_self_consumption_kwh: float = amount(
        "Self-consumption of the rows that also have generation.",
        "kWh",
        "no such row",
        of=("self_consumption_kwh", "total_generation_kwh", "pv_generation_kwh"),
    )
    matched_generation_kwh: float = amount(
        "Total generation, or PV generation where total generation is absent, of the rows that also have "
        "self-consumption.",
        "kWh",
        "no such row",
        of=("total_generation_kwh", "pv_generation_kwh", "self_consumption_kwh"),
    )
    matched_self_supply_kwh: float = amount(
        "Self-supply of the rows that also have total consumption.",
        "kWh",
        "no such row",
        of=("self_supply_kwh", "total_consumption_kwh"),
    )
    matched_consumption_kwh: float = amount(
        "Total consumption of the rows that also have self-supply.",
        "kWh",
        "no such row",
        of=("total_consumption_kwh", "self_supply_kwh"),
    )
    co2_avoided_kg: float = figure(
        "CO2 avoided", "pv_generation_kwh * co2_factor_g_per_kwh of plants / 1000", "kg", "co2_avoided"
    )
    co2_avoided_reason: str = reason("co2_avoided_kg", NOT_MEASURED, NO_CO2)


class KpiDaily(
    OwnUse,
    Availability,
    Yields,
    Inputs,
    Day,
    PlantKey,
    table="kpi_daily",
    follows="energy_daily",
    layer="report",
    key=("plant_id", "local_date"),
):
    """Figures of each plant and day by IEC 61724-1, each with its formula and, where it is null, the reason."""


class KpiMonthly(
    OwnUse,
    Availability,
    Yields,
    Inputs,
    Month,
    PlantKey,
    table="kpi_monthly",
    layer="report",
    key=("plant_id", "month"),
    partition=("month",),
):
    """Figures of each plant and month by IEC 61724-1, from the sums of its days, not from the mean of their ratios.

    The figures of a closed month stay as they were closed with its energy.
    """

    n_days_sensor: pl.Int64 = column(
        "Stored days with irradiation from the plant's sensor.",
        unit="count",
        ge=0,
        le=31,
        of=("irradiation_source",),
    )
    n_days_supplied: pl.Int64 = column(
        "Stored days with irradiation that the user supplied.",
        unit="count",
        null="stored before this was counted",
        ge=0,
        le=31,
        of=("irradiation_source",),
    )
    n_days_clear_sky: pl.Int64 = column(
        "Stored days with irradiation of a cloudless sky.",
        unit="count",
        ge=0,
        le=31,
        of=("irradiation_source",),
    )
