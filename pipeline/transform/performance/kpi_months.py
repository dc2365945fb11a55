"""Plant figures of months, from the sums of their days."""

import polars as pl

from pipeline.transform.daily import sum_exactly
from pipeline.transform.performance.kpi_formulas import POWER_OF, compute_figures
from pipeline.transform.plant_power import POWERS, find_month_powers
from schemas import kpi as k

# What adds up over days.
AMOUNTS = (
    "pv_generation_kwh",
    "irradiation_covered_h",
    "period_h",
    "window_generation_kwh",
    "window_reference_yield_h",
    "clear_sky_window_generation_kwh",
    "clear_sky_window_reference_yield_h",
    "productive_h",
    "generating_h",
    "productive_irradiation_kwh_per_m2",
    "generating_irradiation_kwh_per_m2",
    "matched_self_consumption_kwh",
    "matched_generation_kwh",
    "matched_self_supply_kwh",
    "matched_consumption_kwh",
)


def summarize_month_figures(days: pl.DataFrame | pl.LazyFrame, plants: pl.DataFrame) -> pl.DataFrame:
    """Figures of each plant and month from rows of `kpi_daily`, sorted by month and plant.

    `days` has also covered_h and expected_h of `energy_daily`; `plants` has plant_id, POWER_COLUMNS and
    co2_factor_g_per_kwh as last known. status and coverage are those of the days: the caller may know better.
    """
    by = pl.col("irradiation_source")
    summed = (
        days.lazy()
        .group_by("plant_id", pl.col("local_date").dt.truncate("1mo").alias("month"))
        .agg(
            *(sum_exactly(pl.col(name)) for name in AMOUNTS),
            *(
                pl.when(pl.col(name).is_not_null().all()).then(sum_exactly(pl.col(name)))
                for name in ("reference_yield_h", "reference_yield_clear_sky_h")
            ),
            *(_weigh_power(reference).alias(name) for reference, name in POWER_OF.items()),
            (by == "sensor").sum().cast(pl.Int64).alias("n_days_sensor"),
            (by == "supplied").sum().cast(pl.Int64).alias("n_days_supplied"),
            (by == "clear_sky").sum().cast(pl.Int64).alias("n_days_clear_sky"),
            by.is_in(k.MEASURED).any().alias("measured"),
            pl.col("irradiation_series").drop_nulls().unique().sort().str.join(", ").replace("", None),
            pl.col("reference_yield_clear_sky_h").is_not_null().any().alias("placed"),
        )
        .with_columns(
            irradiation_source=pl.when(pl.col("n_days_clear_sky") > 0)
            .then(pl.lit("clear_sky"))
            .when(pl.col("n_days_supplied") > 0)
            .then(pl.lit("supplied"))
            .when("measured")
            .then(pl.lit("sensor"))
            .otherwise(pl.lit("none"))
        )
        .sort("month", "plant_id")
        .collect()
    )
    facts = plants.select("plant_id", *POWERS, "co2_factor_g_per_kwh")
    before = find_month_powers(days.lazy(), plants)
    powered = (
        summed.join(facts, on="plant_id", how="left", maintain_order="left")
        .join(before, on=["plant_id", "month"], how="left", maintain_order="left", suffix="_then")
        .with_columns(pl.coalesce(f"{name}_then", name).alias(name) for name in POWERS)
        .drop(f"{name}_then" for name in POWERS)
    )
    return compute_figures(powered, missing=k.NO_DAYS)


def _weigh_power(reference: str) -> pl.Expr:
    """The mean peak power of days of several powers, each day by its reference yield; null where there is but one.

    Days of which no power was listed count with the others' mean.
    """
    power, light = pl.col("peak_power_kw"), pl.col(reference)
    weighted = sum_exactly(power * light) / sum_exactly(light.filter(power.is_not_null()))
    return pl.when(power.min() < power.max(), weighted.is_finite()).then(weighted)
