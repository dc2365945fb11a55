"""Our energies beside the vendor's own, end to end against the sandbox: what each fault makes of the comparison."""

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from pipeline.billing import load_prices
from pipeline.common.errors import UsageError
from pipeline.common.settings import load_settings
from pipeline.extract.backfill_estimate import plan_backfill
from pipeline.extract.fetch import SetFetch
from pipeline.extract.vendor_energies import (
    fetch_energy_months,
    fetch_energy_years,
    fetch_past_years,
    plan_month_requests,
)
from pipeline.run.context import RunContext
from pipeline.run.measurement_sets import BALANCE, VALUES
from pipeline.tables.energy_tables import write_energy_daily, write_energy_monthly
from pipeline.tables.interval_tables import write_intervals
from pipeline.tables.reconciliation_tables import write_reconciliation, write_reconciliation_yearly
from sandbox.launch import run_sandbox
from schemas import (
    EnergyDaily,
    EnergyValueIntervals,
    Quarantine,
    RawEnergyBalance,
    Reconciliation,
    ReconciliationYearly,
    storage,
)
from tests.small_lake import make_frame
from tests.whole_days import refresh

MONTH = dt.date(2025, 6, 1)
# From a Monday on: a week's answer begins there, and so does the spike.
DAYS = [dt.date(2025, 6, day) for day in (9, 10, 11)]
NOW = dt.datetime(2025, 7, 15, 12, tzinfo=dt.UTC)
LATER = dt.datetime(2026, 1, 15, 12, tzinfo=dt.UTC)
PV = "pv_generation"


def reconcile(home: Path, *options: str, **others: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The table after three days of two plants and their month, and when all is made again by other settings."""
    with run_sandbox("--plants", "2", "--time-basis", "utc", "--seed", "7", *options) as address:
        given = {name.lower(): value for name, value in address.settings().items()}
        with RunContext(load_settings(env_file=None, home=home, **given), now=lambda: NOW) as runtime:
            refresh(runtime)
            for _ in SetFetch(BALANCE)(runtime, DAYS):
                pass
            write_days(runtime)
            before = runtime.lake.scan(EnergyDaily).collect()
            plants = len(plan_month_requests(runtime, MONTH))
            assert plants >= 2
            report = fetch_energy_months(runtime, MONTH)
            assert report.facts["requests"] == plants
            # What is stored and final is not fetched again.
            assert plan_month_requests(runtime, MONTH) == []
            write_reconciliation(runtime)
            assert not write_reconciliation(runtime).changed
            # A difference is shown, and never repaired.
            assert runtime.lake.scan(EnergyDaily).collect().equals(before)
            assert (
                runtime.lake.scan(Quarantine)
                .filter(pl.col("source") == "raw_energy_months")
                .collect()
                .is_empty()
            )
            found = runtime.lake.scan(Reconciliation).collect()
    if others:
        runtime = RunContext(load_settings(env_file=None, home=home, **(given | others)), now=lambda: NOW)
        write_days(runtime)
        write_reconciliation(runtime)
    return found, runtime.lake.scan(Reconciliation).collect()


def write_days(runtime: RunContext) -> None:
    for day in DAYS:
        write_intervals(runtime, BALANCE, day)
        write_energy_daily(runtime, day)


def pv(found: pl.DataFrame) -> pl.DataFrame:
    return found.filter(pl.col("quantity") == PV, pl.col("period") == "day").sort("plant_id", "local_date")


def test_without_faults_all_figures_agree(tmp_path: Path) -> None:
    found, _ = reconcile(tmp_path)
    assert found["agrees"].all()
    assert set(found["reason"]) <= {"none", "rounding"}
    assert set(found["would_book"]) == {"measured"}
    days, months = pv(found), found.filter(pl.col("quantity") == PV, pl.col("period") == "month")
    assert set(days["local_date"]) == set(DAYS)
    assert months["vendor_kwh"].sum() == pytest.approx(days["vendor_kwh"].sum())
    assert (days["difference_kwh"].abs() < 0.003 * days["vendor_kwh"] + 0.05).all()


def test_sums_that_drift_are_unexplained(tmp_path: Path) -> None:
    days = pv(reconcile(tmp_path, "--fault", "drift,path=/Month,amount=5")[0])
    assert set(days["reason"]) == {"unexplained"}
    assert not days["agrees"].any()
    assert (days["difference_kwh"] / days["vendor_kwh"]).to_list() == pytest.approx(
        [-0.05 / 1.05] * days.height, rel=0.05
    )


def test_missing_rows_are_a_gap_that_a_policy_may_fill(tmp_path: Path) -> None:
    fault = ("--fault", "missing_rows,path=/Day,amount=120", "--fault", "missing_rows,path=/Week,amount=600")
    days, policy = map(pv, reconcile(tmp_path, *fault, gap_policy="vendor"))
    gaps = days.filter(pl.col("reason").is_in(["gap", "not_measured"]))
    assert gaps.height
    assert set(gaps["would_book"]) == {"measured"}
    assert (gaps["measured_kwh"].fill_null(0) < gaps["vendor_kwh"]).all()
    filled = policy.filter(pl.col("would_book") == "vendor")
    assert filled["reason"].to_list() == gaps["reason"].to_list()
    assert filled["measured_kwh"].to_list() == gaps["measured_kwh"].to_list()


def test_a_spike_agrees_with_sma_because_it_is_set_aside_and_shows_where_it_is_not(tmp_path: Path) -> None:
    """Lost energy of 500 kWh in the five minutes of dawn: without that row the day lacks next to nothing."""
    fault = ("--fault", "spike,path=/Day,amount=500000", "--fault", "spike,path=/Week,amount=500000")
    loose = tmp_path / "loose.toml"
    names = ("beyond_rated_times", "beyond_fleet_times", "beyond_sun_times", "beyond_sun_times_neighbours")
    loose.write_text("".join(f"{name} = 1e9\n" for name in names))
    strict, days = map(pv, reconcile(tmp_path / "home", *fault, quality=str(loose)))
    assert strict["agrees"].all()
    struck = days.filter(~pl.col("agrees"))
    assert set(struck["reason"]) == {"unexplained"}
    assert (struck["difference_kwh"] > 400).all()


def test_a_running_month_is_refused(tmp_path: Path) -> None:
    runtime = RunContext(load_settings(env_file=None, home=tmp_path), now=lambda: NOW)
    with pytest.raises(UsageError, match="2025-07 is not over"):
        fetch_energy_months(runtime, dt.date(2025, 7, 1))


@pytest.mark.long
def test_energy_values_and_the_year_stand_beside_what_was_measured(tmp_path: Path) -> None:
    """Asked for by settings alone; the first energy after a hole carries the whole hole, so it has what power lacks."""
    fault = ("--fault", "missing_rows,path=/Week,amount=100")
    fleet = ("--plants", "2", "--time-basis", "plant_local", "--seed", "7", *fault)
    with run_sandbox(*fleet) as address:
        given = {name.lower(): value for name, value in address.settings().items()}
        wanted = {"energy_values": "on", "energy_years": "on"}
        chosen = load_settings(env_file=None, home=tmp_path, **(given | wanted))
        with RunContext(chosen, now=lambda: LATER) as runtime:
            refresh(runtime)
            counted = plan_backfill(runtime, DAYS[0], DAYS[-1], load_prices(None))
            asked = dict.fromkeys(counted.requests, 0)
            for source in (BALANCE, VALUES):
                for _, report in SetFetch(source)(runtime, DAYS):
                    asked[storage(source.raw).table] = report.facts["requests"]
                for day in DAYS:
                    write_intervals(runtime, source, day)
            plants = len(plan_month_requests(runtime, MONTH))
            # A day of energies is a request of its own, of power a week is one; months and years one a plant.
            assert asked["raw_energy_balance"] == counted.requests["raw_energy_balance"] == plants
            assert counted.requests["raw_energy_values"] == len(DAYS) * plants
            assert counted.reconciling == {"months": plants, "years": plants}
            for day in DAYS:
                write_energy_daily(runtime, day)
            write_energy_monthly(runtime)
            assert fetch_energy_months(runtime, MONTH).facts["requests"] == plants
            assert fetch_past_years(runtime).facts["requests"] == plants
            assert fetch_past_years(runtime).facts["requests"] == 0
            write_reconciliation(runtime)
            write_reconciliation_yearly(runtime)
            assert not write_reconciliation_yearly(runtime).changed
            days = pv(runtime.lake.scan(Reconciliation).collect())
            months = runtime.lake.scan(ReconciliationYearly).filter(pl.col("quantity") == PV).collect()
            values = runtime.lake.scan(EnergyValueIntervals).collect()
    assert set(days["energy_values_from"]) == {"EnergyBalance"}
    # SMA's three figures agree with each other, whatever came of the power.
    assert days["energy_values_kwh"].to_list() == pytest.approx(days["vendor_kwh"].to_list(), rel=0.003)
    assert set(values["flagged"]) == {False}
    holed = days.filter(~pl.col("agrees"))
    assert set(holed["energy_values_reason"]) == set(holed["reason"]) <= {"gap", "not_measured"}
    assert holed.height
    of_month = months.filter(pl.col("period") == "month")
    assert of_month["month"].to_list() == [MONTH] * of_month.height
    # Three days of thirty are held: the rest is a gap of the month, which SMA's year tells.
    assert set(of_month["reason"]) == {"gap"}
    assert (of_month["vendor_kwh"] > of_month["vendor_days_kwh"]).all()
    assert (
        months.filter(pl.col("period") == "year")["vendor_kwh"].to_list() == of_month["vendor_kwh"].to_list()
    )


def test_a_running_year_is_refused(tmp_path: Path) -> None:
    runtime = RunContext(load_settings(env_file=None, home=tmp_path), now=lambda: NOW)
    with pytest.raises(UsageError, match="2025 is not over"):
        fetch_energy_years(runtime, dt.date(2025, 1, 1))
    # Years are asked for by themselves only where a setting says so.
    assert fetch_past_years(runtime).facts["requests"] == 0


def test_a_year_that_has_begun_in_the_east_alone_is_not_over(tmp_path: Path) -> None:
    settings = load_settings(env_file=None, home=tmp_path, energy_years="on")
    runtime = RunContext(settings, now=lambda: dt.datetime(2025, 12, 31, 13, tzinfo=dt.UTC))
    day = dt.date(2026, 1, 1)
    facts = {"local_date": day, "status": 200, "attempts": 1, "time_basis": "utc", "request_date": str(day)}
    answer = make_frame(RawEnergyBalance, [facts])
    runtime.lake.replace(RawEnergyBalance, {"local_date": day}, [answer])
    assert fetch_past_years(runtime).facts["requests"] == 0
