"""Clipping, batteries, clear days and strings, on plants that were made up so that the truth is known."""

import datetime as dt
import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from pipeline.transform.hourly import pack_quarters, summarize_quarters
from pipeline.transform.sun.clear_sky import compute_clear_sky, project_on_best_plane
from schemas import (
    DcIntervals,
    Devices,
    EnergyBalanceIntervals,
    EnergyDaily,
    KpiDaily,
    PlantAttributes,
    Plants,
    QuarterHours,
    polars_schema,
)
from schemas.quantities import ENERGY_BALANCE
from tests.small_lake import NOW, put
from warehouse.lake import Lake
from warehouse.published_file.open_published import connect
from warehouse.published_file.publish import publish

QUANTITIES = [field.column for field in ENERGY_BALANCE.powers]
JUNE = dt.date(2021, 6, 1)
CLEAR = dt.date(2021, 6, 10)
STEP = dt.timedelta(minutes=5)
NORTH, EAST = 51.0, 9.0
LIMIT_KW = 7.0
# When the rows begin that one plant lacks.
GAPS = ["08:30", "08:35", "11:05"]
# What the strings of one inverter make of its energy, and what string B loses from its tenth day on.
SHARES, SHADED_FROM, SHADE = {"A": 0.5, "B": 0.3, "C": 0.2}, 10, 0.8
# A part of the energy is lost to dirt with every day.
SOILING_A_DAY = 0.002
N_KPI = 90


def sun_rows(day: dt.date) -> pl.DataFrame:
    """What 10 kW of modules would give on the best plane under a cloudless sky, in steps of five minutes."""
    midnight = dt.datetime.combine(day, dt.time(), dt.UTC)
    starts = [midnight + number * STEP for number in range(288)]
    frame = pl.DataFrame({"interval_start": starts}).with_columns(
        pl.col("interval_start").dt.cast_time_unit("us").dt.replace_time_zone("UTC"),
        plant_id=pl.lit("clipped"),
        latitude=pl.lit(NORTH),
        longitude=pl.lit(EAST),
    )
    sky = compute_clear_sky(frame.with_columns(at=pl.col("interval_start") + STEP / 2))
    return frame.select("interval_start", kw=project_on_best_plane(sky) / 1000 * 10 * 0.85)


def find_truth(day: dt.date) -> tuple[float, float]:
    """Hours at the limit and energy above it, row by row."""
    powers = sun_rows(day)["kw"].to_list()
    return sum(kw >= LIMIT_KW for kw in powers) / 12, sum(max(kw - LIMIT_KW, 0) for kw in powers) / 12


def quarter_rows(day: dt.date) -> list[dict[str, Any]]:
    rows = sun_rows(day).select(
        pl.lit("clipped").alias("plant_id"),
        "interval_start",
        interval_end=pl.col("interval_start") + STEP,
        pv_generation_kwh=pl.col("kw").clip(0, LIMIT_KW) / 12,
    )
    nothing = [
        pl.lit(None, pl.Float64).alias(f"{name}_kwh") for name in QUANTITIES if name != "pv_generation"
    ]
    # The same power at a plant whose limit or place is not known, and a plant without a row.
    plants = ["clipped", "no limit", "no place"]
    frames = [rows.with_columns(pl.lit(plant).alias("plant_id"), *nothing) for plant in plants]
    # At the limit until two o'clock but for one quarter; a second one at dawn is before sunrise on a leaning plane.
    hour = pl.col("interval_start").dt.hour()
    quarter = hour + pl.col("interval_start").dt.minute() // 15 / 4
    for plant, below in (("one", [8.0]), ("early", [5.0, 8.0])):
        kw = pl.when(quarter.is_in(below)).then(LIMIT_KW / 2).otherwise(LIMIT_KW)
        some = rows.filter(quarter.is_in(below) | hour.is_between(8, 13))
        frames.append(some.with_columns(pl.lit(plant).alias("plant_id"), *nothing, pv_generation_kwh=kw / 12))
    # Most of the last quarter before the limit has no rows, nor has a part of one at the limit.
    gaps = pl.col("interval_start").dt.strftime("%H:%M").is_in(GAPS)
    frames.append(rows.filter(~gaps).with_columns(pl.lit("gaps").alias("plant_id"), *nothing))
    plants += ["one", "early", "gaps"]
    zones = pl.DataFrame({"plant_id": [*plants, "silent"], "timezone": "Etc/GMT"})
    found = summarize_quarters(frames, zones, day, QUANTITIES)
    return (
        pack_quarters(found, QUANTITIES)
        .with_columns(local_date=pl.lit(day))
        .select(polars_schema(QuarterHours).names())
        .to_dicts()
    )


def kpi_rows() -> Iterator[dict[str, Any]]:
    """Ninety days: every fourth is clear, the others are cloudy; the modules get dirtier with each day."""
    draw = random.Random(3)  # noqa: S311 - figures of a test
    for number in range(N_KPI):
        day = JUNE + dt.timedelta(days=number)
        cloud = 1.0 if number % 4 == 0 else draw.uniform(0.2, 0.85)
        ratio = 0.8 * cloud * (1 - SOILING_A_DAY * number)
        row = {
            "plant_id": "dirty",
            "local_date": day,
            "reference_yield_clear_sky_h": 8.0,
            "irradiation_source": "clear_sky",
        }
        yield row | {"performance_ratio_clear_sky": ratio, "status": "partial" if number == 8 else "complete"}
        # Dirt on the modules, and a sensor that is clean: the sky is known, and the ratio by the standard falls.
        sensor = {"plant_id": "sensed", "reference_yield_h": 8.0 * cloud, "irradiation_source": "sensor"}
        yield row | sensor | {"performance_ratio": 0.8 * (1 - SOILING_A_DAY * number)}
    yield {
        "plant_id": "new",
        "local_date": JUNE,
        "performance_ratio_clear_sky": 0.7,
        "irradiation_source": "clear_sky",
    }
    yield {"plant_id": "lost", "local_date": JUNE}


def string_rows(number: int) -> Iterator[dict[str, Any]]:
    day = JUNE + dt.timedelta(days=number)
    noon = dt.datetime.combine(day, dt.time(12), dt.UTC)
    for name, share in SHARES.items():
        shade = SHADE if name == "B" and number >= SHADED_FROM else 1.0
        kwh = (20 + 7 * math.sin(number)) * share * shade
        # On the last day, an input lacks its rows after the first hour.
        for hour in range(1 if name == "C" and number == 14 else 4):
            yield {
                # Rows keep the id of before the plant moved.
                "plant_id": "dirty before" if number < 3 else "dirty",
                "device_id": "i",
                "input_index": name,
                "local_date": day,
                "interval_start": noon + dt.timedelta(hours=hour),
                "interval_end": noon + dt.timedelta(hours=hour + 1),
                "dc_power_input_kwh": kwh / 4,
            }


SOLD = dt.date(2021, 6, 25)


def battery_rows() -> list[dict[str, Any]]:
    """Ten days: 9 kWh in and 8 kWh out on each; the battery of 10 kWh ends 5 kWh fuller than it began.

    It is 1 kWh fuller after one more day, before which and after which it takes what nobody measured.
    """
    plants = {"full": (9.0, 8.0), "plain": (9.0, 8.0), "idle": (0.0, 0.0), "odd": (4.0, 8.0)}
    rows = [
        {"plant_id": plant, "local_date": JUNE + dt.timedelta(days=number)}
        | {"battery_charging_kwh": charged, "battery_discharging_kwh": discharged}
        for plant, (charged, discharged) in plants.items()
        for number in range(10)
    ]
    # A day without the discharging counts in neither, and nor does one on which the plant is not yours any more.
    full = {"plant_id": "full", "battery_charging_kwh": 50.0}
    alone = {"local_date": dt.date(2021, 6, 16), "battery_charging_kwh": 9.0, "battery_discharging_kwh": 8.0}
    return [
        *rows,
        full | alone,
        full | {"local_date": dt.date(2021, 6, 11)},
        full | {"local_date": SOLD, "battery_discharging_kwh": 40.0},
    ]


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    root: Path = tmp_path_factory.mktemp("clear")
    lake = Lake(str(root / "lake"), root / "scratch")
    place = {"latitude": NORTH, "longitude": EAST, "ac_power_kw": LIMIT_KW}
    names = [
        "clipped",
        "no limit",
        "no place",
        "one",
        "early",
        "gaps",
        "silent",
        "dirty",
        "sensed",
        "new",
        "lost",
        "full",
        "plain",
        "idle",
        "odd",
        "dirty before",
    ]
    changes = {
        "no limit": {"ac_power_kw": None},
        "no place": {"latitude": None},
        "full": {"excluded_from": SOLD, "migrated_from": "full before"},
        "dirty": {"migrated_from": "dirty before"},
        # SUNLEDGER_INCLUDE_PLANTS names the newest id alone.
        "dirty before": {"excluded_from": dt.date(1970, 1, 1)},
    }
    put(
        lake,
        Plants,
        [
            {"plant_id": name, "name": name, "timezone": "Etc/GMT"} | place | changes.get(name, {})
            for name in names
        ],
    )
    put(lake, PlantAttributes, [{"plant_id": "full", "battery_capacity_kwh": 10.0, "plant_group": "South"}])
    put(lake, Devices, [{"plant_id": "dirty", "device_id": "i", "name": "Inverter"}])
    put(lake, QuarterHours, quarter_rows(CLEAR))
    put(lake, KpiDaily, list(kpi_rows()))
    put(lake, EnergyDaily, battery_rows())
    for number in range(15):
        put(lake, DcIntervals, list(string_rows(number)))
    for number, charge in ((1, 20.0), (10, 70.0), (15, 30.0), (16, 40.0), (20, 95.0), (SOLD.day, 90.0)):
        day = JUNE.replace(day=number)
        noon = dt.datetime.combine(day, dt.time(12), dt.UTC)
        put(
            lake,
            EnergyBalanceIntervals,
            [
                {"plant_id": "full before" if number == 1 else "full", "local_date": day}
                | {"interval_start": noon, "interval_end": noon + STEP, "battery_state_of_charge_pct": charge}
            ],
        )
    published = publish(lake, root / "sunledger.duckdb", now=NOW, version="test")
    with connect(published.path) as connection:
        yield connection


def ask(db: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    return db.execute(query).pl().to_dicts()


@pytest.mark.long
def test_the_energy_above_the_limit_is_near_the_truth(db: duckdb.DuckDBPyConnection) -> None:
    hours, above = find_truth(CLEAR)
    found = ask(db, "FROM v_clipping_daily WHERE plant_id = 'clipped'")[0]
    assert (hours, above) == (pytest.approx(5.33, abs=0.01), pytest.approx(5.62, abs=0.01))
    # To a quarter of an hour at both ends.
    assert found["clipped_h"] == pytest.approx(hours, abs=0.5)
    assert found["energy_above_limit_kwh"] == pytest.approx(above, rel=0.1)
    assert found["is_estimate"] is True
    assert found["clipping_reason"] is None


def test_a_gap_in_a_quarter_of_an_hour_makes_no_limit_smaller(db: duckdb.DuckDBPyConnection) -> None:
    """Its energy is that of a few minutes: as that of all of it, the power beside the limit was a fraction."""
    whole, found = (
        ask(db, f"FROM v_clipping_daily WHERE plant_id = '{plant}'")[0] for plant in ("clipped", "gaps")
    )
    assert found["clipped_h"] == whole["clipped_h"]
    assert found["energy_above_limit_kwh"] == pytest.approx(whole["energy_above_limit_kwh"], rel=0.02)


def test_clipping_says_what_it_does_not_know(db: duckdb.DuckDBPyConnection) -> None:
    found = db.execute(
        "SELECT plant_id, clipped_h IS NULL, energy_above_limit_kwh IS NULL, clipping_reason "
        "FROM v_clipping_daily WHERE plant_id NOT IN ('clipped', 'gaps') ORDER BY ALL"
    ).fetchall()
    assert found == [
        # One quarter fits every plane, so the energy would be as large as the plane that is taken.
        ("early", False, True, "always_clipped"),
        ("no limit", True, True, "no_ac_power"),
        ("no place", False, True, "no_coordinates"),
        ("one", False, True, "always_clipped"),
        ("silent", True, True, "not_measured"),
    ]


def test_on_clear_days_the_soiling_is_what_was_put_in(db: duckdb.DuckDBPyConnection) -> None:
    """A line through all days is bent by their clouds; through the clear days alone it is the dirt."""
    line = "performance_ratio_clear_sky, date_diff('day', DATE '2021-06-01', local_date)"
    ratio = f"regr_slope({line}) / regr_intercept({line})"
    found = ask(
        db,
        f"SELECT count(*) AS n, {ratio} AS a_day FROM v_clearness_daily "
        "WHERE plant_id = 'dirty' AND is_clear",
    )[0]
    # Every fourth day of ninety, less the one with data gaps.
    assert found["n"] == 22
    assert found["a_day"] == pytest.approx(-SOILING_A_DAY, rel=0.02)
    days = {
        row["local_date"] for row in ask(db, "FROM v_clearness_daily WHERE plant_id = 'dirty' AND is_clear")
    }
    assert days == {JUNE + dt.timedelta(days=number) for number in range(0, N_KPI, 4) if number != 8}
    sensed = ask(db, "FROM v_clearness_daily WHERE plant_id = 'sensed' AND is_clear")
    assert len(sensed) == 23
    assert {row["clear_sky_ratio_of"] for row in sensed} == {"irradiation"}
    assert [row["clearness"] for row in sensed] == [pytest.approx(1.0)] * 23


def test_days_without_clearness_say_why(db: duckdb.DuckDBPyConnection) -> None:
    found = db.execute(
        "SELECT plant_id, clearness_reason, count(*) FROM v_clearness_daily WHERE is_clear IS NULL "
        "GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    assert found == [
        ("dirty", "not_complete", 1),
        ("lost", "no_ratio", 1),
        ("new", "too_few_days", 1),
    ]


def test_a_shaded_string_falls_behind_its_own_share(db: duckdb.DuckDBPyConnection) -> None:
    found = {(row["local_date"].day - 1, row["input_index"]): row for row in ask(db, "FROM v_strings_daily")}
    assert found[9, "B"]["share_of_inverter"] == pytest.approx(0.3)
    assert found[9, "B"]["relative_yield"] == pytest.approx(1.0)
    # 0.24 of 0.94 remains, where 0.3 was usual.
    shaded = found[SHADED_FROM, "B"]
    assert shaded["dc_energy_kwh"] == pytest.approx((20 + 7 * math.sin(10)) * 0.24)
    assert shaded["relative_yield"] == pytest.approx(0.24 / 0.94 / 0.3)
    assert found[SHADED_FROM, "A"]["relative_yield"] == pytest.approx(0.5 / 0.94 / 0.5)
    assert found[4, "A"]["relative_yield"] is None
    assert found[5, "A"]["relative_yield"] == pytest.approx(1.0)
    # An input without rows would make the others look good.
    assert [found[14, name]["share_of_inverter"] for name in SHARES] == [None] * 3


def test_batteries_have_cycles_and_a_round_trip(db: duckdb.DuckDBPyConnection) -> None:
    found = {row["plant_id"]: row for row in ask(db, "FROM v_battery_monthly")}
    full = found["full"]
    assert (full["n_days"], full["battery_charging_kwh"], full["battery_discharging_kwh"]) == (11, 99.0, 88.0)
    assert full["full_cycles"] == pytest.approx(8.8)
    assert (full["state_of_charge_begin_pct"], full["state_of_charge_end_pct"]) == (20.0, 95.0)
    # 50 % of 10 kWh are still in it, and 10 % of the day by itself: 88 / (99 - 6).
    assert full["stored_kwh"] == pytest.approx(6.0)
    assert full["round_trip_efficiency"] == pytest.approx(88 / 93)
    assert full["round_trip_basis"] == "state_of_charge"
    assert full["plant_group"] == "South"
    plain = found["plain"]
    assert (plain["round_trip_basis"], plain["full_cycles"]) == ("energy", None)
    assert plain["round_trip_efficiency"] == pytest.approx(80 / 90)
    assert [found[name]["round_trip_reason"] for name in ("idle", "odd")] == ["no_charging", "contradictory"]
