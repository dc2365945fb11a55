"""SMA's energies beside those of closed months."""

import datetime as dt
from collections.abc import Callable

import polars as pl

from pipeline.run.context import RunContext
from pipeline.tables.reconciliation_tables import write_reconciliation, write_reconciliation_yearly
from schemas import (
    EnergyDaily,
    EnergyMonthly,
    Plants,
    RawEnergyMonths,
    RawEnergyYears,
    Reconciliation,
    ReconciliationYearly,
)
from tests.small_lake import NOW, put

YEAR, MAY = dt.date(2021, 1, 1), dt.date(2021, 5, 1)


def test_a_month_that_was_closed_before_its_plant_moved_is_compared_under_the_new_id(
    new_runtime: Callable[..., RunContext],
) -> None:
    lake = new_runtime().lake
    put(lake, Plants, [{"plant_id": "new", "migrated_from": "old", "timezone": "Etc/GMT"}])
    closed = {"month": MAY, "n_days": 31, "closed_at": NOW, "pv_generation_kwh": 500.0}
    put(lake, EnergyMonthly, [closed | {"plant_id": "old", "covered_h": 744.0, "expected_h": 744.0}])
    body = b'{"resolution": "OneMonth", "set": [{"time": "2021-05-01T00:00:00", "pvGeneration": 500000}]}'
    answer = {"status": 200, "attempts": 1, "time_basis": "utc", "final": True}
    put(lake, RawEnergyYears, [answer | {"plant_id": "new", "local_date": YEAR, "body": body}])
    write_reconciliation_yearly(new_runtime())
    found = lake.scan(ReconciliationYearly).select(
        "plant_id", "period", "measured_kwh", "vendor_kwh", "reason"
    )
    assert sorted(found.collect().rows()) == [
        ("new", "month", 500.0, 500.0, "none"),
        ("new", "year", 500.0, 500.0, "none"),
    ]


def test_an_open_month_is_compared_by_the_days_on_which_its_plant_is_yours(
    new_runtime: Callable[..., RunContext],
) -> None:
    """The plant is left out from 2 May on; a closed month keeps all days."""
    runtime = new_runtime()
    runtime.settings = runtime.settings.model_copy(update={"exclude_plants": "1 from 2021-05-02"})
    lake, days = runtime.lake, (MAY, MAY.replace(day=2))
    put(lake, Plants, [{"plant_id": "1", "timezone": "Etc/GMT"}])
    put(lake, EnergyDaily, [{"plant_id": "1", "local_date": day, "pv_generation_kwh": 5.0} for day in days])
    rows = b", ".join(b'{"time": "%sT00:00:00", "pvGeneration": 5000}' % str(day).encode() for day in days)
    answer = {"status": 200, "attempts": 1, "time_basis": "utc", "final": True}
    body = b'{"resolution": "OneDay", "set": [%s]}' % rows
    put(lake, RawEnergyMonths, [answer | {"plant_id": "1", "local_date": MAY, "body": body}])
    month = {"plant_id": "1", "month": MAY}
    for closed_at, kwh in ((None, 5.0), (NOW, 10.0)):
        put(lake, EnergyMonthly, [month | {"closed_at": closed_at}])
        write_reconciliation(runtime)
        found = lake.scan(Reconciliation).filter(pl.col("period") == "month")
        assert found.select("measured_kwh", "vendor_kwh").collect().rows() == [(kwh, kwh)]


def test_a_year_leaves_out_the_month_in_which_a_plant_left(new_runtime: Callable[..., RunContext]) -> None:
    """SMA's figure of May has days on which the plant is not yours, unless May is closed with all of them."""
    runtime = new_runtime()
    runtime.settings = runtime.settings.model_copy(update={"exclude_plants": "1 from 2021-05-20"})
    lake, april = runtime.lake, MAY.replace(month=4)
    put(lake, Plants, [{"plant_id": "1", "timezone": "Etc/GMT"}])
    rows = b", ".join(
        b'{"time": "%sT00:00:00", "pvGeneration": 500000}' % str(month).encode() for month in (april, MAY)
    )
    answer = {"status": 200, "attempts": 1, "time_basis": "utc", "final": True}
    body = b'{"resolution": "OneMonth", "set": [%s]}' % rows
    put(lake, RawEnergyYears, [answer | {"plant_id": "1", "local_date": YEAR, "body": body}])
    plant = {"plant_id": "1", "pv_generation_kwh": 500.0}
    put(lake, EnergyMonthly, [plant | {"month": april, "n_days": 30}])
    for closed_at, kwh in ((None, 500.0), (NOW, 1000.0)):
        put(lake, EnergyMonthly, [plant | {"month": MAY, "n_days": 19, "closed_at": closed_at}])
        write_reconciliation_yearly(runtime)
        found = lake.scan(ReconciliationYearly).filter(pl.col("period") == "year")
        assert found.select("measured_kwh", "vendor_kwh").collect().rows() == [(kwh, kwh)]
