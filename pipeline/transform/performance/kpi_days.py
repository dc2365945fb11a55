"""Plant figures by IEC 61724-1 of one day, from rows of power and irradiation.

A performance ratio by the standard is one against measured irradiation. What a cloudless sky would have given is known
of every plant with coordinates: the ratio against it is another figure, and has columns of its own.

Every ratio divides two sums of the same time, so a gap in one of them bends no figure. What can't be known is null,
with the reason beside it. Formulas are in `schemas.kpi`, beside the columns.
"""

from collections.abc import Mapping
from typing import Final

import polars as pl

from pipeline.common.local_time import UTC_US
from pipeline.transform.daily import sum_exactly
from pipeline.transform.performance.irradiance import (
    IRRADIANCE_COLUMNS,
    PRODUCTIVE_W_PER_M2,
    build_sky,
    choose_plane,
    choose_sensors,
    count_hours,
    intersect_time,
    measure_worked,
    sum_irradiation,
)
from pipeline.transform.performance.kpi_formulas import compute_figures

# So much of the daylight a sensor must cover for the irradiation of the whole day to be known.
SENSOR_ENOUGH = 0.95
# The columns of interval rows that figures are made of.
ROW_COLUMNS = (
    "plant_id",
    "interval_start",
    "interval_end",
    "pv_generation_w",
    "pv_generation_kwh",
    "total_generation_kwh",
    "self_consumption_kwh",
    "self_supply_kwh",
    "total_consumption_kwh",
)
# The names of figures of a cloudless sky, by the names that the same figures of a sensor have.
_CLEAR_SKY: Final = {
    "reference_yield_h": "reference_yield_clear_sky_h",
    "irradiation_covered_h": "clear_sky_covered_h",
    "daylight_h": "clear_sky_daylight_h",
}
_SUPPLIED: Final[Mapping[str, pl.DataType | type[pl.DataType]]] = {
    "plant_id": pl.String,
    "interval_start": UTC_US,
    "interval_end": UTC_US,
    "w_per_m2": pl.Float64,
    "series": pl.String,
}


def summarize_day_figures(
    rows: pl.DataFrame, sensors: pl.DataFrame, plants: pl.DataFrame, supplied: pl.DataFrame | None = None
) -> pl.DataFrame:
    """Figures of one day for each row of `plants`, in that order.

    `rows` are rows of `energy_balance_intervals` (ROW_COLUMNS), `sensors` those of `sensor_intervals`. `plants` has
    plant_id, latitude, longitude, peak_power_kw, ac_power_kw, co2_factor_g_per_kwh; day_start, day_end, sunrise,
    sunset and start_up (UTC, or null); and status, coverage and pv_generation_kwh of the day. `supplied` has
    plant_id, interval_start, interval_end, w_per_m2 and series of irradiation that the user brought along: of its
    plants it takes the place of the sensor.
    """
    if supplied is None:
        supplied = pl.DataFrame(schema=dict(_SUPPLIED))
    names = supplied.group_by("plant_id").agg(
        irradiation_series=pl.col("series").unique().sort().str.join(", ")
    )
    of_user = supplied.with_columns(productive=pl.col("w_per_m2") >= PRODUCTIVE_W_PER_M2).select(
        IRRADIANCE_COLUMNS
    )
    by_sensor = pl.concat([choose_sensors(sensors).join(names, on="plant_id", how="anti"), of_user])
    powered = rows.filter(pl.col("pv_generation_w").is_not_null())
    plants = _cut_to_operation(plants, powered)
    measured = pl.col("plant_id").is_in(by_sensor["plant_id"].unique().implode())
    placed = pl.col("latitude").is_not_null() & pl.col("longitude").is_not_null()
    sky = build_sky(plants.filter(placed))
    source = (
        pl.when(pl.col("irradiation_series").is_not_null())
        .then(pl.lit("supplied"))
        .when(measured)
        .then(pl.lit("sensor"))
        .when(placed)
        .then(pl.lit("clear_sky"))
        .otherwise(pl.lit("none"))
    )
    facts = plants.join(names, on="plant_id", how="left", maintain_order="left").with_columns(
        irradiation_source=source,
        measured=measured,
        placed=placed,
        period_h=count_hours(pl.col("day_start"), "day_end"),
    )
    met = intersect_time(by_sensor, powered)
    parts = (
        sum_irradiation(by_sensor, facts),
        sum_irradiation(choose_plane(sky).select(IRRADIANCE_COLUMNS), facts).rename(_CLEAR_SKY, strict=False),
        *measure_worked(met, by_sensor, sky, powered),
        _sum_energy(met, "window_generation_kwh"),
        _sum_energy(powered, "clear_sky_window_generation_kwh"),
        _sum_matched(rows),
    )
    for part in parts:
        facts = facts.join(part, on="plant_id", how="left", maintain_order="left")
    return compute_figures(_take_whole_day(facts))


def _cut_to_operation(plants: pl.DataFrame, powered: pl.DataFrame) -> pl.DataFrame:
    """The plants, whose first day begins with their operation: with the start-up, or a row that is even earlier."""
    first = powered.group_by("plant_id").agg(first=pl.col("interval_start").min())
    begun = pl.when(pl.col("start_up") < pl.col("day_end")).then(pl.min_horizontal("start_up", "first"))
    return (
        plants.join(first, on="plant_id", how="left", maintain_order="left")
        .with_columns(day_start=pl.max_horizontal("day_start", begun))
        .drop("first")
    )


def _sum_energy(rows: pl.DataFrame, name: str) -> pl.DataFrame:
    return rows.group_by("plant_id").agg(sum_exactly(pl.col("pv_generation_kwh")).alias(name))


def _sum_matched(rows: pl.DataFrame) -> pl.DataFrame:
    """Parts and wholes of own use, of the rows that have both."""
    made = pl.coalesce("total_generation_kwh", "pv_generation_kwh")
    pairs = (
        ("matched_self_consumption_kwh", pl.col("self_consumption_kwh"), "matched_generation_kwh", made),
        (
            "matched_self_supply_kwh",
            pl.col("self_supply_kwh"),
            "matched_consumption_kwh",
            pl.col("total_consumption_kwh"),
        ),
    )
    sums = []
    for part_name, part, whole_name, whole in pairs:
        both = part.is_not_null() & whole.is_not_null()
        sums += [sum_exactly(pl.when(both).then(part)).alias(part_name)]
        sums += [sum_exactly(pl.when(both).then(whole)).alias(whole_name)]
    return rows.group_by("plant_id").agg(sums)


def _take_whole_day(facts: pl.DataFrame) -> pl.DataFrame:
    """The same, where a sensor with gaps says nothing of the whole day, and a night without sun is 0."""
    gaps = pl.col("irradiation_covered_h") < SENSOR_ENOUGH * pl.col("daylight_h")
    return facts.with_columns(
        pl.when(~gaps).then("reference_yield_h").alias("reference_yield_h"),
        pl.coalesce("reference_yield_clear_sky_h", pl.when("placed").then(0.0)).alias(
            "reference_yield_clear_sky_h"
        ),
        pl.coalesce("irradiation_covered_h", "clear_sky_covered_h", 0.0).alias("irradiation_covered_h"),
    )
