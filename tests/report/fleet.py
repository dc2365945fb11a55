"""A fleet of three plants with two days of October 2021, as a published file."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import polars as pl

from schemas import (
    ApiRequests,
    CurtailmentMonthly,
    EnergyBalanceIntervals,
    EnergyDaily,
    EnergyMonthly,
    PlantAttributes,
    Plants,
    Quarantine,
    Reconciliation,
    polars_schema,
)
from warehouse.lake import Lake
from warehouse.published_file.publish import publish

Rows = Callable[..., pl.DataFrame]

OCTOBER = dt.date(2021, 10, 1)
NOW = dt.datetime(2021, 11, 2, 15, tzinfo=dt.UTC)
RECORD_BEGINS = dt.date(2021, 9, 30)
SCRIPT = "<script>alert(1)</script>"
STRANGE_ID = '../../x"><b>'
SILENT = {"status": "missing", "coverage": 0.0, "covered_h": 0.0}


def plants() -> pl.DataFrame:
    rows = [
        {
            "plant_id": plant_id,
            "name": name,
            "backend": "ennexos",
            "timezone": "Australia/Brisbane",
            "peak_power_kw": peak,
            "ac_power_kw": 4.0,
            "capacity_class": "1-19",
            "first_seen": OCTOBER,
            "last_seen": OCTOBER,
        }
        for plant_id, name, peak in (("1", SCRIPT, 5.0), ("2", "Barn & Byre", 4.0), (STRANGE_ID, "C", None))
    ]
    return pl.DataFrame(rows, schema=polars_schema(Plants))


def attributes() -> pl.DataFrame:
    """Two plants in one group, of which the first should make 40 kWh in October; the second plant is in another."""
    rows = [
        {"plant_id": "1", "plant_group": "North & Co", "owner": "Ann", "expected_10_kwh": 40.0},
        {"plant_id": "2", "plant_group": "South"},
        {"plant_id": STRANGE_ID, "plant_group": "North & Co"},
    ]
    return pl.DataFrame(rows, schema=polars_schema(PlantAttributes)).sort("plant_id")


def first_request() -> pl.DataFrame:
    """A request that names no system: it is no PU, and the record begins with it."""
    row = {
        "request_id": "a",
        "asked_at": dt.datetime.combine(RECORD_BEGINS, dt.time(12), dt.UTC),
        "asked_date": RECORD_BEGINS,
        "plant_id": "",
        "device_id": "",
        "endpoint": "/v1/plants",
        "set_type": "",
        "period": "",
        "request_date": "",
        "attempt": 1,
        "status": 200,
        "bytes": 2,
        "elapsed_ms": 1.0,
    }
    return pl.DataFrame([row], schema=polars_schema(ApiRequests))


def reconciliation() -> pl.DataFrame:
    """SMA's month of plant 2 is larger than ours, and a day of it too; that of plant 1 is the same."""
    common = {"month": OCTOBER, "local_date": OCTOBER, "quantity": "pv_generation", "would_book": "measured"}
    same = {"measured_kwh": 20.0, "vendor_kwh": 20.0, "difference_kwh": 0.0, "reason": "none", "agrees": True}
    more = {
        "measured_kwh": 24.0,
        "vendor_kwh": 48.0,
        "difference_kwh": -24.0,
        "reason": "gap",
        "agrees": False,
    }
    rows = [
        {"plant_id": "1", "period": "month"} | same,
        {"plant_id": "2", "period": "day"} | more,
        {"plant_id": "2", "period": "month", "coverage": 0.5} | more,
    ]
    return pl.DataFrame([common | row for row in rows], schema=polars_schema(Reconciliation))


def curtailment() -> pl.DataFrame:
    """Plant 1 lost energy by limits, of which a day has no estimate; the limit of plant 2 never bound."""
    hours = {"above_limit_h": 0.0, "unjudged_h": 0.0, "month": OCTOBER}
    names = ("lost_kwh", "lost_low_kwh", "lost_high_kwh", "lost_by_grid_operator_kwh")
    rows = [
        {
            "plant_id": "1",
            "limited_h": 12.0,
            "binding_h": 7.5,
            "n_days_limited": 2,
            "n_days_without_estimate": 1,
        }
        | dict(zip(names, (18.25, 16.0, 20.0, 18.25), strict=True))
        | {"methods": "clear_sky_day,spitz", "performance_ratio": 0.71}
        | hours,
        {
            "plant_id": "2",
            "limited_h": 6.0,
            "binding_h": 0.0,
            "n_days_limited": 1,
            "n_days_without_estimate": 0,
        }
        | dict.fromkeys(names, 0.0)
        | hours,
    ]
    return pl.DataFrame(rows, schema=polars_schema(CurtailmentMonthly))


def published_fleet(home: Path, day_rows: Rows, interval_rows: Rows, month_rows: Rows) -> Path:
    """A published file with October 2021 of the plants; the second one has gaps and set-aside values."""
    lake = Lake(str(home / "lake"), home / "scratch")
    lake.replace(Plants, {}, [plants()])
    lake.replace(PlantAttributes, {}, [attributes()])
    for day in (1, 2):
        days = [
            day_rows({day: 10.0}),
            day_rows(
                {day: 12.0},
                {day: {"status": "partial", "coverage": 0.5, "covered_h": 6.0, "n_flagged": 3}},
                plant_id="2",
            ),
            day_rows({day: None}, {day: SILENT}, plant_id=STRANGE_ID),
        ]
        part = {"local_date": OCTOBER.replace(day=day)}
        lake.replace(EnergyDaily, part, [pl.concat(days).sort("plant_id")])
        lake.replace(EnergyBalanceIntervals, part, [interval_rows([day])])
    months = month_rows(
        {"pv_generation_kwh": 20.0},
        {"pv_generation_kwh": 24.0, "status": "partial", "coverage": 0.5, "n_flagged": 6, "n_days": 2},
        {"plant_id": STRANGE_ID, "pv_generation_kwh": None, "status": "missing", "coverage": 0.0},
    )
    lake.replace(CurtailmentMonthly, {"month": OCTOBER}, [curtailment()])
    lake.replace(EnergyMonthly, {"month": OCTOBER}, [months.drop("name").sort("plant_id")])
    aside = pl.DataFrame(
        [
            {
                "local_date": OCTOBER,
                "source": "energy_balance_intervals",
                "plant_id": "2",
                "scope": "value",
                "kept": False,
                "reason": "beyond_rated_power",
                "n_rows": 6,
            }
        ],
        schema=polars_schema(Quarantine),
    )
    lake.replace(
        Quarantine,
        {"local_date": OCTOBER, "source": "energy_balance_intervals"},
        [aside],
    )
    lake.replace(ApiRequests, {"asked_date": RECORD_BEGINS}, [first_request()])
    lake.replace(Reconciliation, {"month": OCTOBER}, [reconciliation()])
    target = home / "sunledger.duckdb"
    # Tests open copies of the file, which reach no lake.
    publish(lake, target, now=NOW, version="1", detail="all")
    return target
