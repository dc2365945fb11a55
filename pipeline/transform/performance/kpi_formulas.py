"""The figures of `schemas.kpi` from sums of energy, irradiation and hours: each with the reason why it is null."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import TypeAlias

import polars as pl

from schemas import kpi as k

# A reference yield below this says nothing of a plant: over a short day of eight hours it is a mean of 12 W/m².
LEAST_REFERENCE_YIELD_H = 0.1
# The peak power that each reference yield goes with in a performance ratio: over days of several powers it is their
# mean by that yield, because IEC 61724-1 adds up power times irradiation.
POWER_OF = {
    "window_reference_yield_h": "window_peak_power_kw",
    "clear_sky_window_reference_yield_h": "clear_sky_window_peak_power_kw",
    "reference_yield_h": "period_peak_power_kw",
}
# Rounded watts may say a little more than all; more is a contradiction.
MOST_SHARE = 1.01

# A figure's name, its value, and the reasons for which it is null instead: the first that holds counts.
Figure: TypeAlias = tuple[str, pl.Expr, Mapping[str, pl.Expr]]


def compute_figures(sums: pl.DataFrame, *, missing: str = k.GAPS) -> pl.DataFrame:
    """The frame with all figures and reasons added, from AMOUNTS, reference yields and the plants' facts.

    Of the columns in POWER_OF those that are absent or null are the plant's peak power.
    `measured` says whether irradiation was, and `placed` whether a cloudless sky is known.
    `missing` is the reason for which a reference yield is null though there is some irradiation.
    """
    reasons, values = _list_columns(missing)
    powers = [
        pl.coalesce(*(one for one in (name, "peak_power_kw") if one in sums.columns)).alias(name)
        for name in POWER_OF.values()
    ]
    return sums.with_columns(*reasons, *powers).with_columns(values)


@cache
def _list_columns(missing: str) -> tuple[list[pl.Expr], list[pl.Expr]]:
    """The reasons of all figures, and their values where none holds: built once, which takes longer than their use.

    All are computed at once. The reference yields are figures and are read by others, which have the same reasons.
    """
    reasons: dict[str, pl.Expr] = {}
    values = []
    for name, value, why in (
        *_list_yields(missing),
        *_list_performance_ratios(missing),
        *_list_capacity_and_co2(),
        *_list_availabilities(),
        *_list_own_use(),
    ):
        # Both availabilities have one reason.
        column = k.REASON_OF[name]
        reasons[column] = pl.coalesce(*(pl.when(holds).then(pl.lit(word)) for word, holds in why.items()))
        values.append(pl.when(pl.col(column).is_null()).then(value).alias(name))
    return [reason.alias(column) for column, reason in reasons.items()], values


def _list_yields(missing: str) -> tuple[Figure, ...]:
    pv, peak = pl.col("pv_generation_kwh"), pl.col("peak_power_kw")
    reference, of_sky = pl.col("reference_yield_h"), pl.col("reference_yield_clear_sky_h")
    return (
        (
            "final_yield_kwh_per_kw",
            pv / peak,
            {k.NOT_MEASURED: pv.is_null(), k.NO_PEAK: _is_absent("peak_power_kw")},
        ),
        (
            "reference_yield_h",
            reference,
            {k.NO_IRRADIATION: ~pl.col("measured"), missing: reference.is_null()},
        ),
        (
            "reference_yield_clear_sky_h",
            of_sky,
            {k.NO_PLACE: ~pl.col("placed"), k.NO_DAYS: of_sky.is_null()},
        ),
    )


def _list_performance_ratios(missing: str) -> tuple[Figure, ...]:
    col = pl.col
    pv, reference = col("pv_generation_kwh"), col("reference_yield_h")
    needed = {k.NOT_MEASURED: pv.is_null(), k.NO_PEAK: _is_absent("peak_power_kw")}
    no_irradiation, no_place = ~col("measured"), ~col("placed")
    return (
        (
            "performance_ratio",
            _relate("window_generation_kwh", "window_reference_yield_h"),
            {
                **needed,
                k.NO_IRRADIATION: no_irradiation,
                k.DARK: _is_dark("window_reference_yield_h") | col("window_generation_kwh").is_null(),
            },
        ),
        (
            "performance_ratio_clear_sky",
            _relate("clear_sky_window_generation_kwh", "clear_sky_window_reference_yield_h"),
            {
                **needed,
                k.NO_PLACE: no_place,
                k.DARK: _is_dark("clear_sky_window_reference_yield_h")
                | col("clear_sky_window_generation_kwh").is_null(),
            },
        ),
        (
            "performance_ratio_period",
            _relate("pv_generation_kwh", "reference_yield_h"),
            {
                **needed,
                k.NO_IRRADIATION: no_irradiation,
                missing: reference.is_null(),
                k.DARK: _is_dark("reference_yield_h"),
            },
        ),
    )


def _list_capacity_and_co2() -> tuple[Figure, ...]:
    pv, co2 = pl.col("pv_generation_kwh"), pl.col("co2_factor_g_per_kwh")
    return (
        (
            "capacity_factor",
            pv / (pl.col("ac_power_kw") * pl.col("period_h")),
            {k.NOT_MEASURED: pv.is_null(), k.NO_AC: _is_absent("ac_power_kw")},
        ),
        ("co2_avoided_kg", pv * co2 / 1000, {k.NOT_MEASURED: pv.is_null(), k.NO_CO2: co2.is_null()}),
    )


def _list_availabilities() -> tuple[Figure, ...]:
    col = pl.col
    dark = _is_absent("productive_h") | _is_absent("productive_irradiation_kwh_per_m2")
    nothing, no_place = col("pv_generation_kwh").is_null(), col("irradiation_source") == "none"
    why = {k.NOT_MEASURED: nothing, k.NO_PLACE: no_place, k.DARK: dark}
    by_time = col("generating_h") / col("productive_h")
    by_energy = col("generating_irradiation_kwh_per_m2") / col("productive_irradiation_kwh_per_m2")
    return (
        ("availability_time", by_time.clip(0, 1), why),
        ("availability_energy", by_energy.clip(0, 1), why),
    )


def _list_own_use() -> Iterator[Figure]:
    col = pl.col
    for name, part, whole in (
        ("self_consumption_rate", "matched_self_consumption_kwh", "matched_generation_kwh"),
        ("self_supply_rate", "matched_self_supply_kwh", "matched_consumption_kwh"),
    ):
        why = {
            k.NOT_MEASURED: col(part).is_null(),
            k.NO_USE: col(whole) <= 0,
            k.CONTRADICTION: col(part) / col(whole) > MOST_SHARE,
        }
        yield name, (col(part) / col(whole)).clip(0, 1), why


def _relate(energy: str, reference: str) -> pl.Expr:
    return pl.col(energy) / pl.col(POWER_OF[reference]) / pl.col(reference)


def _is_absent(name: str) -> pl.Expr:
    return pl.col(name).is_null() | (pl.col(name) <= 0)


def _is_dark(reference: str) -> pl.Expr:
    return pl.col(reference).fill_null(0.0) < LEAST_REFERENCE_YIELD_H
