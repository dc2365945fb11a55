"""SMA's energies beside those of closed months."""

import datetime as dt
from collections.abc import Callable

from pipeline.run.context import RunContext
from pipeline.tables.reconciliation_tables import write_reconciliation_yearly
from schemas import EnergyMonthly, Plants, RawEnergyYears, ReconciliationYearly
from tests.warehouse.published_file.conftest import NOW, put

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
