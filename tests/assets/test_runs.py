"""Runs of the graph: a range as one run, metadata by day, what a failure keeps, and no secret anywhere."""

import datetime as dt
from collections.abc import Callable, Iterator

import dagster as dg
import polars as pl
import pytest

from assets.home_setup.dagster_home import POOL_LIMITS, limit_pools
from assets.runs import ONE_DAY, RunFailedError, Runs, record_runs, split_days
from pipeline.common.errors import SmaError, TransientError
from pipeline.run.context import RunContext
from pipeline.sma.requests import Request
from schemas import EnergyDaily
from tests.scripted import NOW, ScriptedSma
from tests.scripted_home import make_runtime, make_settings
from tests.whole_days import refresh

FIRST, LAST = dt.date(2021, 10, 4), dt.date(2021, 10, 6)
DAYS = ["2021-10-04", "2021-10-05", "2021-10-06"]
# A weekend, a week, and two days of the next; by the Mondays that they are asked for with.
AROUND = dt.date(2021, 10, 2), dt.date(2021, 10, 12)
MONDAYS = ["2021-09-27", "2021-10-04", "2021-10-11"]


def materialized(runs: Runs, table: str) -> dict[str, dict[str, object]]:
    """Metadata of the materializations of a table by day."""
    records = runs.instance.fetch_materializations(dg.AssetKey(table), limit=100).records
    found = {}
    for record in records:
        event = record.asset_materialization
        assert event is not None
        found[event.partition or ""] = {name: value.value for name, value in event.metadata.items()}
    return found


@pytest.fixture(scope="module")
def range_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    """Three days that were fetched by a run, of which plant 11 had half its power on the second, and published."""
    sma = ScriptedSma()
    sma.watts["11", "2021-10-05"] = 500.0
    settings = make_settings(tmp_path_factory.mktemp("runs"))
    refresh(make_runtime(settings, sma))
    with make_runtime(settings, sma) as runtime, record_runs(runtime) as found:
        before = found.instance.get_runs_count()
        found.fetch_days(FIRST, LAST)
        assert found.instance.get_runs_count() == before + 1
        found.publish()
        yield found


def test_a_range_is_one_run_with_metadata_for_each_day(range_run: Runs) -> None:
    """That it is one run is seen where it is made."""
    balance = materialized(range_run, "energy_balance_intervals")
    assert sorted(balance) == DAYS
    assert {day: facts["dagster/partition_row_count"] for day, facts in balance.items()} == dict.fromkeys(
        DAYS, 576
    )
    assert balance["2021-10-05"]["pv_generation_kwh"] == pytest.approx(36)
    daily = materialized(range_run, "energy_daily")
    kwh = {day: round(float(str(facts["pv_generation_kwh"]))) for day, facts in daily.items()}
    assert kwh == {"2021-10-04": 48, "2021-10-05": 36, "2021-10-06": 48}
    assert daily["2021-10-04"]["complete"] == 2
    for picture in ("fleet", "power"):
        assert str(daily["2021-10-04"][picture]).startswith(
            f"![2021-10-04: {picture}](data:image/svg+xml;base64,"
        )


def test_published_after_a_run(range_run: Runs) -> None:
    assert range_run.runtime.settings.warehouse.is_file()


def fail_on(sma: ScriptedSma, *dates: str, times: int = 1000) -> None:
    """Answer 503 to requests for these dates, so many times each."""
    left = dict.fromkeys(dates, times)

    def special(request: Request) -> SmaError | None:
        if request.endpoint != "measurements" or not left.get(request.date):
            return None
        left[request.date] -= 1
        return TransientError("GET /v1/x answered 503 six times: try again later.", status=503)

    sma.special = special


@pytest.mark.long
def test_a_failing_week_does_not_lose_those_around_it(runs: Runs, sma: ScriptedSma) -> None:
    fail_on(sma, MONDAYS[1])
    with pytest.raises(RunFailedError, match=r"7 days failed.*None of the 2 requests was answered") as caught:
        runs.fetch_days(*AROUND)
    assert caught.value.exit_code == 1
    fetched = ["2021-10-02", "2021-10-03", "2021-10-11", "2021-10-12"]
    assert sorted(materialized(runs, "raw_energy_balance")) == fetched
    # What was fetched is energy all the same.
    stored = runs.runtime.lake.scan(EnergyDaily).select("local_date", "status").unique().collect()
    assert {str(day): status for day, status in stored.rows()} == dict.fromkeys(fetched, "complete")


@pytest.mark.long
def test_a_failing_day_does_not_hold_up_those_behind_days_that_need_nothing(
    new_runtime: Callable[..., RunContext], sma: ScriptedSma
) -> None:
    with new_runtime(again=False) as runtime, record_runs(runtime) as runs:
        runs.refresh_lists()
        runs.fetch_days(dt.date(2021, 10, 4), dt.date(2021, 10, 10))
        fail_on(sma, MONDAYS[0])
        with pytest.raises(RunFailedError):
            runs.fetch_days(*AROUND)
        stored = runtime.lake.scan(EnergyDaily).select(pl.col("local_date").max()).collect().item()
        assert stored == AROUND[1]


@pytest.mark.long
def test_a_fault_that_passes_costs_a_second_try_of_that_week_alone(runs: Runs, sma: ScriptedSma) -> None:
    fail_on(sma, MONDAYS[0], times=2)
    runs.fetch_days(*AROUND)
    balance = [(r.plant_id, r.date) for r in sma.asked if r.endpoint == "measurements" and not r.device_id]
    expected = [(plant, date) for plant in ("11", "12") for date in (MONDAYS[0], *MONDAYS)]
    assert sorted(balance) == sorted(expected)
    assert runs.runtime.again


@pytest.mark.long
def test_weeks_that_fail_one_after_another_end_the_run(runs: Runs, sma: ScriptedSma) -> None:
    mondays = [(dt.date(2021, 9, 6) + i * dt.timedelta(days=7)).isoformat() for i in range(5)]
    fail_on(sma, *mondays[1:])
    with pytest.raises(
        RunFailedError, match=r"21 days failed\. The first was 2021-09-13.*2021-10-04 to 2021-10-05"
    ):
        runs.fetch_days(dt.date(2021, 9, 11), dt.date(2021, 10, 5))
    assert {r.date for r in sma.asked if r.endpoint == "measurements"} == set(mondays[:4])


def test_wrong_usage_keeps_its_exit_code_through_a_run(
    new_runtime: Callable[..., RunContext],
) -> None:
    with new_runtime("99") as runtime, record_runs(runtime) as runs:
        with pytest.raises(RunFailedError, match="Plant 99 is not in SMA's list") as caught:
            runs.refresh_lists()
        assert caught.value.exit_code == 2


def test_nothing_that_a_run_writes_holds_the_secret(range_run: Runs) -> None:
    home = range_run.runtime.settings.home
    files = [path for path in home.rglob("*") if path.is_file()]
    assert len(files) > 20
    assert [str(path) for path in files if b"the-secret" in path.read_bytes()] == []
    assert b"enabled: false" in (home / "dagster" / "dagster.yaml").read_bytes()


def test_pools_have_limits_which_a_person_may_change(runs: Runs) -> None:
    storage = runs.instance.event_log_storage
    assert {pool.name: pool.limit for pool in storage.get_pool_limits()} == {"sma_api": 3, "publish": 1}
    storage.set_concurrency_slots("sma_api", 2)
    limit_pools(runs.instance, POOL_LIMITS)
    assert {pool.name: pool.limit for pool in storage.get_pool_limits()} == {"sma_api": 2, "publish": 1}


def test_a_month_of_days_is_one_run_and_a_year_is_twelve() -> None:
    year = list(split_days(dt.date(2024, 1, 1), dt.date(2024, 12, 31)))
    assert len(year) == 12
    assert year[0] == (dt.date(2024, 1, 1), dt.date(2024, 1, 31))
    assert year[-1][1] == dt.date(2024, 12, 31)
    assert all((end - start).days <= 30 for start, end in year)
    assert list(split_days(FIRST, FIRST)) == [(FIRST, FIRST)]


def test_the_energy_of_the_runs_is_stored(range_run: Runs) -> None:
    stored = range_run.runtime.lake.scan(EnergyDaily).select(pl.col("pv_generation_kwh").sum()).collect()
    assert stored.item() == pytest.approx(5 * 24.0 + 12.0)


@pytest.mark.long
def test_days_can_be_made_again_without_a_request_whatever_lies_between_them(
    runs: Runs, sma: ScriptedSma
) -> None:
    later = LAST + ONE_DAY
    runs.fetch_days(FIRST, FIRST)
    runs.fetch_days(later, later)
    before = runs.runtime.lake.scan(EnergyDaily).collect()
    for day in (FIRST, later):
        runs.runtime.lake.replace(EnergyDaily, {"local_date": day}, [], empty=True)
    sma.asked.clear()
    runs.remake([later, FIRST])
    assert runs.runtime.lake.scan(EnergyDaily).collect().equals(before)
    assert sma.asked == []


@pytest.mark.long
def test_the_same_days_can_be_run_again(runs: Runs) -> None:
    runs.fetch_days(FIRST, LAST)
    runs.fetch_days(FIRST, LAST)
    assert sorted(materialized(runs, "energy_daily")) == DAYS


@pytest.mark.long
def test_a_run_without_consent_fails_before_its_first_billed_request(
    new_runtime: Callable[..., RunContext], sma: ScriptedSma
) -> None:
    with new_runtime() as runtime, record_runs(runtime) as runs:
        runtime.settings = runtime.settings.model_copy(update={"max_eur_per_month": None})
        with pytest.raises(
            RunFailedError, match=r"add 2 PU to 2021-10: 24\.90 EUR.*sunledger/max_eur: 25"
        ) as told:
            runs.refresh_lists()
        assert told.value.exit_code == 2
        assert {asked.endpoint for asked in sma.asked} == {"plants"}


@pytest.mark.long
def test_a_month_that_begins_during_a_run_is_said_to_be_why_it_fails(
    new_runtime: Callable[..., RunContext], sma: ScriptedSma
) -> None:
    with new_runtime() as runtime, record_runs(runtime) as runs:
        runs.refresh_lists()
        runtime.settings = runtime.settings.model_copy(update={"max_eur_per_month": None})
        runtime.now = lambda: NOW.replace(month=11)
        sma.asked.clear()
        with pytest.raises(RunFailedError, match=r"add 2 PU to 2021-11") as caught:
            runs.fetch_days(FIRST, LAST)
    assert (caught.value.exit_code, sma.asked) == (2, [])


@pytest.mark.long
def test_runs_are_named_after_their_command_and_tagged(
    new_runtime: Callable[..., RunContext], sma: ScriptedSma
) -> None:
    with (
        new_runtime("11") as runtime,
        record_runs(runtime, command="backfill", days=(FIRST, LAST)) as runs,
    ):
        runs.refresh_lists()
        runs.fetch_days(FIRST, LAST)
        runs.publish()
        found = runs.instance.get_runs()
    assert [run.job_name for run in found] == ["backfill"] * 3
    tags = {"sunledger/plants": "11", "sunledger/sets": "EnergyBalance,EnergyAndPowerPv"}
    tags |= {"sunledger/days": "2021-10-04...2021-10-06"}
    assert all(run.tags.items() >= tags.items() for run in found)
    # Dagster's own, by which the page shows the run under its days.
    assert found[1].tags["dagster/asset_partition_range_start"] == "2021-10-04"
