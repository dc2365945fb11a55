"""Plant figures by IEC 61724-1 from energy and irradiation: days from rows, months from the sums of days.

A performance ratio by the standard is one against measured irradiation. What a cloudless sky would have given is known
of every plant with coordinates: the ratio against it is another figure, and has columns of its own.

Every ratio divides two sums of the same time, so a gap in one of them bends no figure. What can't be known is null,
with the reason beside it. Formulas are in `schemas.kpi`, beside the columns.
"""

import datetime as dt
from collections.abc import Mapping
from typing import Final

import polars as pl

from pipeline.common.local_time import UTC_US
from pipeline.transform.daily import sum_exactly
from pipeline.transform.energy import HOURS_PER_US
from pipeline.transform.sun.clear_sky import compute_clear_sky, project_on_best_plane
from schemas import kpi as k

# A figure of a cloudless sky is taken in steps of this length, by the sun in their middle.
STEP = dt.timedelta(minutes=5)
# So much of the daylight a sensor must cover for the irradiation of the whole day to be known.
SENSOR_ENOUGH = 0.95
# When a plant that works has something to give: by its sensor, or without one by the sun's height (sine of 10 degrees).
PRODUCTIVE_W_PER_M2 = 50.0
PRODUCTIVE_SINE = 0.17365
# A reference yield below this says nothing of a plant: over a short day of eight hours it is a mean of 12 W/m².
LEAST_REFERENCE_YIELD_H = 0.1
# Rounded watts may say a little more than all; more is a contradiction.
MOST_SHARE = 1.01
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
# What of a cloudless sky has another name than the same of a sensor.
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
_IRRADIANCE: Final = ("plant_id", "interval_start", "interval_end", "w_per_m2", "productive")


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
    of_user = supplied.with_columns(productive=pl.col("w_per_m2") >= PRODUCTIVE_W_PER_M2).select(_IRRADIANCE)
    by_sensor = pl.concat([_choose_sensors(sensors).join(names, on="plant_id", how="anti"), of_user])
    powered = rows.filter(pl.col("pv_generation_w").is_not_null())
    plants = _cut_to_operation(plants, powered)
    measured = pl.col("plant_id").is_in(by_sensor["plant_id"].unique().implode())
    placed = pl.col("latitude").is_not_null() & pl.col("longitude").is_not_null()
    sky = _build_sky(plants.filter(placed))
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
        period_h=_count_hours(pl.col("day_start"), "day_end"),
    )
    met = _intersect_time(by_sensor, powered)
    parts = (
        _sum_irradiation(by_sensor, facts),
        _sum_irradiation(_choose_plane(sky).select(_IRRADIANCE), facts).rename(_CLEAR_SKY, strict=False),
        *_measure_worked(met, by_sensor, sky, powered),
        _sum_energy(met, "window_generation_kwh"),
        _sum_energy(powered, "clear_sky_window_generation_kwh"),
        _sum_matched(rows),
    )
    for part in parts:
        facts = facts.join(part, on="plant_id", how="left", maintain_order="left")
    return compute_figures(_take_whole_day(facts))


def summarize_month_figures(days: pl.DataFrame | pl.LazyFrame, plants: pl.DataFrame) -> pl.DataFrame:
    """Figures of each plant and month from rows of `kpi_daily`, sorted by month and plant.

    `days` has also covered_h and expected_h of `energy_daily`; `plants` has plant_id, peak_power_kw, ac_power_kw and
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
    return compute_figures(
        summed.join(plants, on="plant_id", how="left", maintain_order="left"), missing=k.NO_DAYS
    )


def compute_figures(sums: pl.DataFrame, *, missing: str = k.GAPS) -> pl.DataFrame:
    """The frame with all figures and reasons added, from AMOUNTS, reference yields and the plants' facts.

    `measured` says whether irradiation was, and `placed` whether a cloudless sky is known.
    `missing` is the reason for which a reference yield is null though there is some irradiation.
    """
    col = pl.col
    pv, peak, reference = col("pv_generation_kwh"), col("peak_power_kw"), col("reference_yield_h")
    nothing, no_peak = pv.is_null(), _is_absent("peak_power_kw")
    no_irradiation, no_place = ~col("measured"), ~col("placed")
    of_sky = col("reference_yield_clear_sky_h")
    for name, value, why in (
        (
            "final_yield_kwh_per_kw",
            pv / peak,
            {k.NOT_MEASURED: nothing, k.NO_PEAK: no_peak},
        ),
        ("reference_yield_h", reference, {k.NO_IRRADIATION: no_irradiation, missing: reference.is_null()}),
        ("reference_yield_clear_sky_h", of_sky, {k.NO_PLACE: no_place, k.NO_DAYS: of_sky.is_null()}),
        (
            "performance_ratio",
            col("window_generation_kwh") / peak / col("window_reference_yield_h"),
            {
                k.NOT_MEASURED: nothing,
                k.NO_PEAK: no_peak,
                k.NO_IRRADIATION: no_irradiation,
                k.DARK: _is_dark("window_reference_yield_h") | col("window_generation_kwh").is_null(),
            },
        ),
        (
            "performance_ratio_clear_sky",
            col("clear_sky_window_generation_kwh") / peak / col("clear_sky_window_reference_yield_h"),
            {
                k.NOT_MEASURED: nothing,
                k.NO_PEAK: no_peak,
                k.NO_PLACE: no_place,
                k.DARK: _is_dark("clear_sky_window_reference_yield_h")
                | col("clear_sky_window_generation_kwh").is_null(),
            },
        ),
        (
            "performance_ratio_period",
            pv / peak / reference,
            {
                k.NOT_MEASURED: nothing,
                k.NO_PEAK: no_peak,
                k.NO_IRRADIATION: no_irradiation,
                missing: reference.is_null(),
                k.DARK: _is_dark("reference_yield_h"),
            },
        ),
        (
            "capacity_factor",
            pv / (col("ac_power_kw") * col("period_h")),
            {k.NOT_MEASURED: nothing, k.NO_AC: _is_absent("ac_power_kw")},
        ),
        (
            "co2_avoided_kg",
            pv * col("co2_factor_g_per_kwh") / 1000,
            {k.NOT_MEASURED: nothing, k.NO_CO2: col("co2_factor_g_per_kwh").is_null()},
        ),
    ):
        sums = _add(sums, name, value, why)
    return _compute_own_use(_compute_availability(sums, nothing, col("irradiation_source") == "none"))


def _compute_availability(sums: pl.DataFrame, nothing: pl.Expr, no_place: pl.Expr) -> pl.DataFrame:
    col = pl.col
    dark = _is_absent("productive_h") | _is_absent("productive_irradiation_kwh_per_m2")
    why = {k.NOT_MEASURED: nothing, k.NO_PLACE: no_place, k.DARK: dark}
    by_energy = col("generating_irradiation_kwh_per_m2") / col("productive_irradiation_kwh_per_m2")
    sums = _add(sums, "availability_time", (col("generating_h") / col("productive_h")).clip(0, 1), why)
    return _add(sums, "availability_energy", by_energy.clip(0, 1), why)


def _compute_own_use(sums: pl.DataFrame) -> pl.DataFrame:
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
        sums = _add(sums, name, (col(part) / col(whole)).clip(0, 1), why)
    return sums


def _add(frame: pl.DataFrame, name: str, value: pl.Expr, why: Mapping[str, pl.Expr]) -> pl.DataFrame:
    """The figure where no reason holds, else null and the first reason that does."""
    reasons = [pl.when(holds).then(pl.lit(word)) for word, holds in why.items()]
    column = k.REASON_OF[name]
    reason = pl.coalesce(*reasons).alias(column)
    return frame.with_columns(reason).with_columns(pl.when(pl.col(column).is_null()).then(value).alias(name))


def _is_absent(name: str) -> pl.Expr:
    return pl.col(name).is_null() | (pl.col(name) <= 0)


def _is_dark(reference: str) -> pl.Expr:
    return pl.col(reference).fill_null(0.0) < LEAST_REFERENCE_YIELD_H


def _count_hours(start: pl.Expr, end: str) -> pl.Expr:
    return (pl.col(end) - start).dt.total_microseconds() * HOURS_PER_US


def _find_middle() -> pl.Expr:
    return pl.col("interval_start") + (pl.col("interval_end") - pl.col("interval_start")) / 2


def _choose_sensors(sensors: pl.DataFrame) -> pl.DataFrame:
    """Irradiance of each plant's sensor: of several the one with most values, the first by id among equals."""
    value = pl.col("external_insolation_w_per_m2")
    known = sensors.filter(value.is_not_null())
    best = (
        known.group_by("plant_id", "device_id")
        .agg(n=pl.len())
        .sort("plant_id", "n", "device_id", descending=[False, True, False])
        .unique("plant_id", keep="first", maintain_order=True)
    )
    watts = value.clip(0)
    return (
        known.join(best, on=["plant_id", "device_id"], how="semi")
        .with_columns(w_per_m2=watts, productive=watts >= PRODUCTIVE_W_PER_M2)
        .select(_IRRADIANCE)
    )


def _cut_to_operation(plants: pl.DataFrame, powered: pl.DataFrame) -> pl.DataFrame:
    """The plants, whose first day begins with their operation: with the start-up, or a row that is even earlier."""
    first = powered.group_by("plant_id").agg(first=pl.col("interval_start").min())
    begun = pl.when(pl.col("start_up") < pl.col("day_end")).then(pl.min_horizontal("start_up", "first"))
    return (
        plants.join(first, on="plant_id", how="left", maintain_order="left")
        .with_columns(day_start=pl.max_horizontal("day_start", begun))
        .drop("first")
    )


def _build_sky(plants: pl.DataFrame) -> pl.DataFrame:
    """A cloudless sky (`compute_clear_sky`) in steps while the sun is up, for plants with coordinates."""
    begin = pl.max_horizontal("day_start", pl.col("sunrise").dt.truncate(STEP))
    end = pl.min_horizontal("day_end", "sunset")
    steps = (
        plants.with_columns(begin=begin, end=end)
        .filter(pl.col("begin") < pl.col("end"))
        .select(
            "plant_id",
            "latitude",
            "longitude",
            interval_start=pl.datetime_ranges("begin", "end", STEP, closed="left"),
        )
        .explode("interval_start", empty_as_null=False)
        .with_columns(interval_end=pl.col("interval_start") + STEP)
        .with_columns(at=_find_middle())
    )
    return compute_clear_sky(steps)


def _choose_plane(sky: pl.DataFrame) -> pl.DataFrame:
    """Irradiance under the sky on the plane that catches most in the very time of these rows."""
    return sky.with_columns(w_per_m2=project_on_best_plane(sky), productive=pl.col("up") >= PRODUCTIVE_SINE)


def _sum_irradiation(irradiance: pl.DataFrame, facts: pl.DataFrame) -> pl.DataFrame:
    """reference_yield_h of what is known, and how much of the daylight that is."""
    bounds = facts.select(
        "plant_id",
        "day_start",
        begin=pl.max_horizontal(pl.coalesce("sunrise", "day_start"), "day_start"),
        end=pl.min_horizontal(pl.coalesce("sunset", "day_end"), "day_end"),
    )
    lit = pl.min_horizontal("interval_end", "end") - pl.max_horizontal("interval_start", "begin")
    return (
        irradiance.join(bounds, on="plant_id")
        .filter(pl.col("interval_end") > pl.col("day_start"))
        .group_by("plant_id")
        .agg(
            reference_yield_h=sum_exactly(_sum_kwh_per_m2()),
            irradiation_covered_h=lit.dt.total_microseconds().clip(0).sum() * HOURS_PER_US,
            daylight_h=_count_hours(pl.col("begin"), "end").first(),
        )
    )


def _sum_kwh_per_m2() -> pl.Expr:
    return pl.col("w_per_m2") * _count_hours(pl.col("interval_start"), "interval_end") / 1000


def _measure_worked(
    measured: pl.DataFrame, by_sensor: pl.DataFrame, sky: pl.DataFrame, powered: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """What of the irradiation fell while power was measured, by the sensor and by the sky; and what availability needs.

    `measured` is the shared time of sensor and power. Availability needs what should have given some energy, and did:
    by the sensor, or without one by the sky. No plane is known to be the plant's own: for a part of a day the bound is
    the plane that is best in that part.
    """
    spans = powered.select("plant_id", "pv_generation_w", begun="interval_start", until="interval_end")
    columns = [*_IRRADIANCE, "pv_generation_w"]
    by_sky = _choose_plane(_select_during(sky, spans)).select(columns)
    met = pl.concat(
        [measured.select(columns), by_sky.join(by_sensor, on="plant_id", how="anti")]
    ).with_columns(hours=_count_hours(pl.col("interval_start"), "interval_end"), kwh=_sum_kwh_per_m2())
    due, works = pl.col("productive"), pl.col("productive") & (pl.col("pv_generation_w") > 0)
    # Once anything is known of a plant, none of the time is 0 and not null.
    available = met.group_by("plant_id").agg(
        sum_exactly(pl.when(which).then(what).otherwise(0.0)).alias(name)
        for name, which, what in (
            ("productive_h", due, "hours"),
            ("generating_h", works, "hours"),
            ("productive_irradiation_kwh_per_m2", due, "kwh"),
            ("generating_irradiation_kwh_per_m2", works, "kwh"),
        )
    )
    return (
        _sum_light(measured, "window_reference_yield_h"),
        _sum_light(by_sky, "clear_sky_window_reference_yield_h"),
        available,
    )


def _sum_light(irradiance: pl.DataFrame, name: str) -> pl.DataFrame:
    return irradiance.group_by("plant_id").agg(sum_exactly(_sum_kwh_per_m2()).alias(name))


def _sum_energy(rows: pl.DataFrame, name: str) -> pl.DataFrame:
    return rows.group_by("plant_id").agg(sum_exactly(pl.col("pv_generation_kwh")).alias(name))


def _select_during(sky: pl.DataFrame, spans: pl.DataFrame) -> pl.DataFrame:
    """The steps of the sky whose middle lies in a span (begun, until] of their plant, with the span's columns.

    A step is as short as the shortest rows of power, so it is in one or in none.
    """
    found = sky.sort("plant_id", "at").join_asof(
        spans.sort("plant_id", "until"),
        left_on="at",
        right_on="until",
        by="plant_id",
        strategy="forward",
        check_sortedness=False,
    )
    return found.filter(pl.col("begun") <= pl.col("at"))


def _intersect_time(light: pl.DataFrame, powered: pl.DataFrame) -> pl.DataFrame:
    """The pieces of time that an interval of light and a row of power share, cut at the edges of both.

    An hour of light may meet rows of five minutes, and the reverse: each piece has the mean irradiance and power of
    the two, and of the row's energy the part that falls into it. Neither side overlaps itself within a plant.
    """
    light = light.sort("plant_id", "interval_start")
    power = (
        powered.join(light, on="plant_id", how="semi")
        .select(
            "plant_id",
            "pv_generation_w",
            "pv_generation_kwh",
            begun="interval_start",
            until="interval_end",
        )
        .sort("plant_id", "begun")
    )
    # A piece begins where one of the two begins within the other: so two searches find every pair, each pair once.
    found = pl.concat(
        [
            _join_last_begun(power, "begun", light, "interval_start", exact=True),
            _join_last_begun(light, "interval_start", power, "begun", exact=False),
        ],
        how="diagonal",
    )
    whole = (pl.col("until") - pl.col("begun")).dt.total_microseconds()
    piece = (pl.col("interval_end") - pl.col("interval_start")).dt.total_microseconds()
    return (
        found.with_columns(
            interval_start=pl.max_horizontal("interval_start", "begun"),
            interval_end=pl.min_horizontal("interval_end", "until"),
        )
        .filter(pl.col("interval_start") < pl.col("interval_end"))
        .with_columns(pv_generation_kwh=pl.col("pv_generation_kwh") * (piece / whole))
        .select(*_IRRADIANCE, "pv_generation_w", "pv_generation_kwh")
    )


def _join_last_begun(
    left: pl.DataFrame, at: str, right: pl.DataFrame, begin: str, *, exact: bool
) -> pl.DataFrame:
    """Each row of `left` with the last of `right` that begins before its moment, or (`exact`) at it."""
    return left.join_asof(
        right,
        left_on=at,
        right_on=begin,
        by="plant_id",
        strategy="backward",
        allow_exact_matches=exact,
        coalesce=False,
        check_sortedness=False,
    ).filter(pl.col(begin).is_not_null())


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
