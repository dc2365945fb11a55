"""A fleet's year to measure on: 5-minute rows and the tables made of them, written by the warehouse's own writer."""

import datetime as dt
import math

import polars as pl

from pipeline.common.local_time import build_days_frame
from pipeline.transform.hourly import pack_quarters, summarize_hours, summarize_profile, summarize_quarters
from schemas import (
    CoverageDaily,
    DeviceEnergyDaily,
    Devices,
    EnergyBalanceIntervals,
    EnergyDaily,
    EnergyHourly,
    EnergyMonthly,
    KpiDaily,
    KpiMonthly,
    Plants,
    ProfileMonthly,
    QuarterHours,
    Table,
    columns,
    storage,
)
from schemas.quantities import ENERGY_BALANCE
from warehouse.lake import Lake

ZONES = ("Europe/Berlin", "America/New_York", "Asia/Tokyo", "Australia/Melbourne")
QUANTITIES = [field.column for field in ENERGY_BALANCE.powers]
STEPS = 288
INVERTERS = 2
# The questions ask about October 2021.
OCTOBER, NEW_YEAR = dt.date(2021, 10, 1), dt.date(2021, 1, 1)
LAST_QUARTER = 92
BLANK = {pl.String: "x", pl.Boolean: False, pl.Int64: 1, pl.Float64: 1.0}
WORDS = {
    "backend": "ennexos",
    "interval_basis": "previous_row",
    "status": "complete",
    "irradiation_source": "sensor",
}


def fill(
    lake: Lake, plants: int, days: int, plants_with_detail: int | None = None, full_days: int = 0
) -> None:
    """A fleet with all that the questions look at; days that the lake holds already are not written again.

    `plants_with_detail` limits intervals, hours and quarter hours to the first plants (default: all have them), except
    on the last `full_days`.
    """
    ids = [str(900_001 + number) for number in range(plants)]
    first = OCTOBER if days <= LAST_QUARTER else NEW_YEAR
    dates = [first + dt.timedelta(days=number) for number in range(days)]
    zone = pl.col("number").cast(pl.Int64) % len(ZONES)
    fleet = (
        pl.DataFrame({"plant_id": ids})
        .with_row_index("number")
        .with_columns(
            size=1.0 + pl.col("number") % 50,
            timezone=zone.replace_strict(dict(enumerate(ZONES)), return_dtype=pl.String),
        )
    )
    named = fleet.with_columns(name=pl.format("Plant {}", "number"), peak_power_kw="size")
    inverters = pl.DataFrame({"device_id": [f"i{number}" for number in range(INVERTERS)]})
    put(lake, Plants, named)
    put(
        lake, Devices, fleet.join(inverters, how="cross").with_columns(generator_power_w=pl.col("size") * 500)
    )
    stored, made = (
        {part["local_date"] for part in lake.list_parts(m)} for m in (EnergyBalanceIntervals, EnergyHourly)
    )
    for date in (date for date in dates if str(date) not in stored & made):
        is_full = date in dates[days - full_days :]
        shown = fleet if is_full else fleet.head(plants_with_detail or plants)
        rows = _rows(shown, date).sort("plant_id", "interval_end")
        if str(date) not in stored:
            put(lake, EnergyBalanceIntervals, rows)
        quarters = summarize_quarters([_all_quantities(rows)], named, date, QUANTITIES)
        put(lake, QuarterHours, pack_quarters(quarters, QUANTITIES).with_columns(local_date=pl.lit(date)))
        hours = summarize_hours(quarters, named, date, QUANTITIES)
        put(lake, EnergyHourly, hours.with_columns(local_date=pl.lit(date)))
    _profiles(lake)
    by_day = fleet.join(pl.DataFrame({"local_date": dates}), how="cross")
    swing = 1 + ((pl.col("local_date").dt.ordinal_day() * 7919 + pl.col("number") * 104729) % 1000) / 1000
    by_day = by_day.with_columns(**_figures(swing))
    holes = pl.col("number") % 100 == pl.col("local_date").dt.ordinal_day() % 100
    by_day = by_day.with_columns(status=pl.when(holes).then(pl.lit("partial")).otherwise(pl.lit("complete")))
    for model, frame in ((EnergyDaily, by_day), (KpiDaily, by_day)):
        for part in frame.partition_by("local_date"):
            put(lake, model, part)
    of_pv = by_day.with_columns(quantity=pl.lit("pv_generation"), energy_kwh="pv_generation_kwh")
    for part in of_pv.partition_by("local_date"):
        put(lake, CoverageDaily, part)
    for part in by_day.join(inverters, how="cross").partition_by("local_date"):
        put(lake, DeviceEnergyDaily, part)
    by_month = by_day.with_columns(month=pl.col("local_date").dt.truncate("1mo")).unique(
        ["plant_id", "month"], keep="first", maintain_order=True
    )
    for monthly in (EnergyMonthly, KpiMonthly):
        for part in by_month.partition_by("month"):
            put(lake, monthly, part)


def _figures(swing: pl.Expr) -> dict[str, pl.Expr]:
    kwh = pl.col("size") * swing
    return {
        "pv_generation_kwh": kwh * 4,
        "grid_feed_in_kwh": kwh * 2,
        "grid_consumption_kwh": kwh * 1.5,
        "covered_h": pl.lit(23.0),
        "expected_h": pl.lit(24.0),
        "coverage": pl.lit(23 / 24),
        "n_flagged": pl.lit(0),
        "performance_ratio": swing / 3,
        "performance_ratio_clear_sky": swing / 4,
        "capacity_factor": swing / 10,
        "self_consumption_rate": swing / 4,
        "self_supply_rate": swing / 5,
        "availability_time": (swing / 1.5).clip(0, 1),
        "availability_energy": (swing / 1.4).clip(0, 1),
        "co2_avoided_kg": kwh,
    }


def _rows(fleet: pl.DataFrame, date: dt.date) -> pl.DataFrame:
    """Interval rows of a day of the plants' own clocks: a bell of PV, and a use that swings."""
    number, step = pl.col("number"), pl.col("step")
    noise = ((step * 7919 + number * 104729) % 997) / 997
    bell = (pl.col("step") / STEPS - 0.25) * 2 * math.pi
    # No two days are equal.
    swing = 1 + (date.timetuple().tm_yday - 1) / 1000
    start = pl.col("day_start") + pl.duration(minutes=step * 5)
    # The API gives whole watts.
    pv, use = pl.col("pv"), pl.col("use")
    powers = {
        "pv_generation": pv,
        "total_generation": pv,
        "total_consumption": use,
        "grid_feed_in": (pv - use).clip(0),
        "grid_consumption": (use - pv).clip(0),
        "self_consumption": pl.min_horizontal(pv, use),
        "self_supply": pl.min_horizontal(pv, use),
    }
    return (
        fleet.join(pl.DataFrame({"step": range(STEPS)}), how="cross")
        .join(build_days_frame(date, ZONES).select("timezone", "day_start", "day_end"), on="timezone")
        .filter(start < pl.col("day_end"))
        .with_columns(
            pv=(pl.col("size") * 800 * bell.sin().clip(0) * (0.5 + noise) * swing).round(),
            use=(pl.col("size") * 100 * (1 + noise) * swing).round(),
        )
        .with_columns(
            local_date=pl.lit(date),
            interval_start=start,
            interval_end=start + pl.duration(minutes=5),
            **{f"{name}_w": watts for name, watts in powers.items()},
            **{f"{name}_kwh": watts / 12_000 for name, watts in powers.items()},
        )
    )


def _all_quantities(rows: pl.DataFrame) -> pl.DataFrame:
    lacking = [f"{name}_kwh" for name in QUANTITIES if f"{name}_kwh" not in rows.columns]
    return rows.with_columns(pl.lit(None, pl.Float64).alias(name) for name in lacking)


def _profiles(lake: Lake) -> None:
    months = {
        dt.date.fromisoformat(part["local_date"]).replace(day=1) for part in lake.list_parts(EnergyHourly)
    }
    for month in sorted(months):
        hours = lake.scan(EnergyHourly).filter(pl.col("local_date").dt.truncate("1mo") == month)
        put(lake, ProfileMonthly, summarize_profile(hours, QUANTITIES))


def put(lake: Lake, model: type[Table], frame: pl.DataFrame) -> None:
    """Store the frame as one part; columns that it lacks are null or a default."""
    lacking = {
        c.name: pl.lit(None if c.nullable else _blank(c.name, c.dtype), c.dtype)
        for c in columns(model)
        if c.name not in frame.columns
    }
    whole = frame.with_columns(**lacking).select(pl.col(c.name).cast(c.dtype) for c in columns(model))
    part = {name: whole[name][0] for name in storage(model).partition}
    lake.replace(model, part, [whole.sort(*storage(model).key)])


def _blank(name: str, dtype: pl.DataType) -> object:
    return WORDS.get(name, OCTOBER if dtype == pl.Date else BLANK.get(dtype.base_type()))
