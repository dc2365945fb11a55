"""Checks: what each says of good and bad data, with what to do, and the result that each day of a range gets."""

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Never

import dagster as dg
import polars as pl
import pytest

from assets import asset_checks
from assets.runs import RunFailedError, Runs, record_runs
from pipeline.ops import checks, findings
from pipeline.ops.checks import judge_published_file
from pipeline.run.check import CheckMoment, collect_checks
from pipeline.run.context import RunContext
from pipeline.run.shards import Shard
from tests.scripted import NOW, ScriptedSma
from tests.scripted_home import make_runtime, make_settings
from tests.whole_days import refresh, run
from warehouse.integrity.damage import DamagedError

FIRST, LAST = dt.date(2021, 10, 17), dt.date(2021, 10, 19)
DAY = dt.date(2021, 10, 18)


@pytest.fixture(scope="module")
def newest_day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    """A run of the newest day alone, in which the vendor sends a new field."""
    settings, sma = make_settings(tmp_path_factory.mktemp("newest")), ScriptedSma()
    refresh(make_runtime(settings, sma))
    body = b'{"resolution":"FiveMinutes","set":[{"time":"2021-10-19T10:00:00","pvGeneration":5.0,"moonlight":1}]}'
    sma.special = lambda request: body if request.endpoint == "measurements" else None
    with make_runtime(settings, sma) as runtime, record_runs(runtime) as found:
        found.fetch_days(LAST, LAST)
        yield found


def latest(runs: Runs, asset: str, name: str) -> dict[str | None, tuple[bool, str, str]]:
    """The newest result by partition: passed, severity, text."""
    key = dg.AssetCheckKey(dg.AssetKey(asset), name)
    found: dict[str | None, tuple[bool, str, str]] = {}
    for record in reversed(runs.instance.event_log_storage.get_asset_check_execution_history(key, limit=50)):
        event = record.event.dagster_event if record.event else None
        if event and event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            data = event.asset_check_evaluation_data
            found[record.partition] = (data.passed, data.severity.value, data.description or "")
    return found


@pytest.mark.long
def test_each_day_of_a_range_has_its_own_result(runs: Runs, sma: ScriptedSma) -> None:
    sma.watts["12", str(DAY)] = None
    runs.fetch_days(FIRST, LAST)
    # The same days again: each run has results of its own.
    runs.fetch_days(FIRST, LAST)
    key = dg.AssetCheckKey(dg.AssetKey("energy_daily"), "complete")
    history = runs.instance.event_log_storage.get_asset_check_execution_history(key, limit=50)
    assert [record for record in history if record.status.value == "PLANNED"] == []
    found = latest(runs, "energy_daily", "complete")
    assert {key: passed for key, (passed, _, _) in found.items()} == {
        "2021-10-17": True,
        "2021-10-18": False,
        "2021-10-19": True,
        None: False,
    }
    _, severity, text = found[str(DAY)]
    assert severity == "WARN"
    assert text.startswith("2021-10-18: of 2 plants, 1 without data and 0 with gaps (12). Look at")


def test_what_all_is_well_looks_like(runs: Runs) -> None:
    # All of the window is there; today is running.
    runs.runtime.settings = runs.runtime.settings.model_copy(update={"window_days": 2})
    runs.refresh_plants()
    runs.fetch_days(DAY, dt.date(2021, 10, 20))
    runs.publish()
    for asset, name in (
        ("energy_daily", "standing"),
        ("energy_daily", "quality"),
        ("quarter_energies", "quarters_add_up"),
        ("energy_balance_intervals", "freshness"),
        ("energy_balance_intervals", "drift"),
        ("warehouse", "readable"),
        ("raw_plants", "budget"),
        ("plants", "consent"),
    ):
        (result,) = latest(runs, asset, name).values()
        assert result[0], (asset, name, result)


def test_days_that_are_missing_are_listed_whatever_the_run_was_about(newest_day: Runs) -> None:
    ((passed, severity, text),) = latest(newest_day, "energy_daily", "standing").values()
    assert (passed, severity) == (False, "ERROR")
    assert "12 plant-days are missing (6 days, 2 plants, the oldest 2021-10-13)" in text
    assert "sunledger backfill --from 2021-10-13 --to 2021-10-19" in text


def test_a_run_of_some_plants_judges_the_whole_fleet(newest_day: Runs) -> None:
    limited = replace(newest_day.runtime, only_plants=frozenset({"11"}), shard=Shard(1, 1))
    (standing,) = (check for check in collect_checks([checks], CheckMoment.DAYS) if check.name == "standing")
    assert "12 plant-days are missing (6 days, 2 plants" in standing.judge_table(limited).text


def test_a_silent_plant_is_fetched_but_never_called_complete() -> None:
    lacking = pl.DataFrame({"plant_id": ["11"], "local_date": [DAY], "reason": ["silent"]})
    found = findings.judge_closed_days(lacking, FIRST, LAST)
    assert found.passed
    assert "SMA has no rows for 1 plant-day of these: look at v_days_to_check." in found.text
    assert "complete" not in found.text


def test_a_new_field_of_the_vendor_is_named(newest_day: Runs) -> None:
    ((passed, severity, text),) = latest(newest_day, "energy_balance_intervals", "drift").values()
    assert (passed, severity) == (False, "WARN")
    assert "fields: moonlight" in text


def test_a_file_that_readers_cannot_open_is_an_error(new_runtime: Callable[..., RunContext]) -> None:
    runtime = new_runtime()
    refresh(runtime)
    found = judge_published_file(runtime)
    assert not found.passed
    assert found.severe
    runtime.settings.warehouse.write_bytes(b"no database")
    assert "can't be opened" in judge_published_file(runtime).text


def newest(**hours: float | None) -> pl.DataFrame:
    rows = [
        (name, name.split("_")[0], None if age is None else NOW - dt.timedelta(hours=age))
        for name, age in hours.items()
    ]
    schema = {"plant_id": pl.String, "backend": pl.String, "newest": pl.Datetime("us", "UTC")}
    return pl.DataFrame(rows, schema=schema, orient="row")


@pytest.mark.parametrize(
    ("ages", "passed", "severe", "says"),
    [
        ({"ennexos_1": 17.0, "classic_1": 43.0}, True, False, "as recent as SMA can deliver it"),
        (
            {"ennexos_1": 1.0, "ennexos_2": 19.0},
            False,
            False,
            "1 plant sent no data for a long time (ennexos_2)",
        ),
        ({"ennexos_1": 19.0, "classic_1": 20.0}, False, True, "No plant of ennexos has new data"),
        ({"classic_1": None}, False, True, "No plant of classic"),
    ],
)
def test_freshness_is_judged_by_backend(
    ages: dict[str, float | None], *, passed: bool, severe: bool, says: str
) -> None:
    found = findings.is_fresh(newest(**ages), NOW)
    assert (found.passed, found.severe) == (passed, severe)
    assert says in found.text


@pytest.mark.parametrize(("refused", "passed"), [(1, True), (2, False)])
def test_a_refusal_now_and_then_is_none(refused: int, *, passed: bool) -> None:
    requests = pl.DataFrame({"status": [429] * refused + [200] * (100 - refused)})
    assert findings.judge_budget(requests).passed == passed
    assert findings.judge_budget(requests.clear()).passed


def test_values_set_aside_are_counted_against_all() -> None:
    daily = pl.DataFrame({"plant_id": ["1", "2"], "n_rows": [288, 288], "n_flagged": [1, 4]})
    assert findings.judge_quality(daily, {"negative": 5}).passed
    found = findings.judge_quality(daily.with_columns(n_flagged=pl.Series([1, 9])), {"negative": 10})
    assert not found.passed
    assert "most at plant 2" in found.text
    assert found.facts["aside_negative"] == 10


def test_a_day_without_any_plant_is_no_good_day() -> None:
    empty = pl.DataFrame(schema={"plant_id": pl.String, "status": pl.String, "coverage": pl.Float64})
    assert not findings.judge_day(DAY, empty).passed


@pytest.mark.long
def test_a_damaged_file_is_named_by_the_checks_that_read_it(
    new_runtime: Callable[..., RunContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not called a bug of the program."""
    run(new_runtime(), DAY)
    fault = DamagedError("energy_daily of 2021-10-18 is damaged: run 'sunledger repair'.")
    with new_runtime() as runtime, record_runs(runtime) as runs:
        for where, name in ((asset_checks, "judge_completeness"), (asset_checks.checks, "check_quality")):
            with monkeypatch.context() as patch:
                patch.setattr(where, name, make_failing(fault))
                with pytest.raises(RunFailedError, match=r"^(?!.*bug).*run 'sunledger repair'"):
                    runs.remake([DAY])


def make_failing(fault: Exception) -> Callable[..., Never]:
    def fail(*_: object) -> Never:
        raise fault

    return fail
