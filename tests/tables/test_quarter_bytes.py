"""Quarters of an hour on disk: small, and every energy to the last bit, whichever way the power flows."""

import datetime as dt
from pathlib import Path

import numpy as np
import polars as pl

from pipeline.common.local_time import UTC_US
from pipeline.transform.hourly import STORED_KWH, pack_quarters, summarize_quarters, unpack_quarters
from schemas import QuarterHours, polars_schema
from schemas.quantities import ENERGY_BALANCE
from warehouse.lake import Lake

QUANTITIES = [field.column for field in ENERGY_BALANCE.powers]
DAY = dt.date(2025, 6, 10)
PLANTS, STEPS = 50, 288
# What a row may take, the overhead of the file included.
MOST_BYTES = 12


def make_fleet() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Energies of five minutes as portals tell them, from power in whole W; every second plant has a battery."""
    random = np.random.default_rng(7)
    number = np.repeat(np.arange(PLANTS), STEPS)
    step = np.tile(np.arange(STEPS), PLANTS)
    size = 3 + number % 20
    sun = np.maximum(0, np.sin((step - 66) / 156 * np.pi)) * (step > 66) * (step < 222)
    pv = np.round(size * 1000 * sun * random.uniform(0.5, 1, len(step)))
    consumption = np.round(size * random.uniform(50, 400, len(step)))
    surplus = pv - consumption
    battery = number % 2 == 1
    charging = np.where(battery & (step < 140), np.clip(surplus, 0, size * 300), 0)
    discharging = np.where(battery & (step > 200), np.clip(-surplus, 0, size * 200), 0)
    feed_in = np.maximum(0, surplus - charging)
    bought = np.maximum(0, -surplus - discharging)
    watts = {
        "pv_generation": pv,
        "total_generation": pv,
        "self_consumption": pv - feed_in,
        "direct_consumption": pv - feed_in - charging,
        "self_supply": pv - feed_in - charging + discharging,
        "total_consumption": consumption,
        "grid_feed_in": feed_in,
        "grid_consumption": bought,
        "battery_charging": np.where(battery, charging, np.nan),
        "battery_discharging": np.where(battery, discharging, np.nan),
    }
    start = pl.lit(dt.datetime(2025, 6, 10, tzinfo=dt.UTC), UTC_US) + pl.duration(minutes=5 * pl.col("step"))
    frame = pl.DataFrame({"plant_id": [str(7_000_000 + n) for n in number], "step": step, **watts})
    absent = pl.lit(None, pl.Float64).alias("diesel_generation_kwh")
    energies = [(pl.col(name) * (5 / 60) / 1000).fill_nan(None).alias(f"{name}_kwh") for name in watts]
    rows = frame.select(
        "plant_id",
        *energies,
        absent,
        interval_start=start,
        interval_end=start + pl.duration(minutes=5),
    )
    return rows, frame.select(pl.col("plant_id").unique().sort(), timezone=pl.lit("Etc/UTC"))


def test_a_row_of_a_fleet_of_fifty_plants_is_small_and_exact(tmp_path: Path) -> None:
    rows, plants = make_fleet()
    quarters = summarize_quarters([rows], plants, DAY, QUANTITIES)
    packed = pack_quarters(quarters, QUANTITIES).with_columns(local_date=pl.lit(DAY))
    lake = Lake(str(tmp_path / "lake"), tmp_path / "scratch")
    lake.replace(QuarterHours, {"local_date": DAY}, [packed.select(polars_schema(QuarterHours).names())])
    (file,) = (tmp_path / "lake" / "quarter_energies").glob("local_date=*/*.parquet")
    assert quarters.height == PLANTS * 96
    assert file.stat().st_size / quarters.height < MOST_BYTES
    found = unpack_quarters(lake.scan(QuarterHours)).sort("plant_id", "quarter_start").collect()
    for name in QUANTITIES:
        kept, told = found[f"{name}_kwh"], quarters[f"{name}_kwh"]
        assert kept.is_null().equals(told.is_null())
        # The rounding error of a quarter is added to the next one.
        assert ((kept - told).abs().max() or 0.0) <= STORED_KWH
        assert ((kept / STORED_KWH) % 1).drop_nulls().sum() == 0


def test_what_flows_against_the_rule_is_kept() -> None:
    """More fed in than there is, both ways in one quarter, and a plant that says what it buys and nothing else."""
    told = {
        "grid_feed_in": [5.0, 2.0, None],
        "grid_consumption": [0.0, 1.5, 3.0],
        "pv_generation": [1.0, 0.25, None],
        "total_consumption": [4.0, 0.5, None],
    }
    energies = {f"{name}_kwh": pl.Series(told.get(name, [None] * 3), dtype=pl.Float64) for name in QUANTITIES}
    starts = [dt.datetime(2025, 6, 10, 12, minute, tzinfo=dt.UTC) for minute in (0, 15, 30)]
    quarters = pl.DataFrame({"plant_id": "a", "quarter_start": starts, **energies})
    assert unpack_quarters(pack_quarters(quarters, QUANTITIES)).select(quarters.columns).equals(quarters)
