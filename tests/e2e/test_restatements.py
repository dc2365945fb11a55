"""A day that becomes another one: what is kept of it, why, and what a closed month does about it."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import polars as pl
import polars.selectors as cs
import pytest

from pipeline.common.errors import SunledgerError
from pipeline.common.settings import Settings
from pipeline.run.context import RunContext
from pipeline.tables.energy_tables import write_energy_monthly
from pipeline.tables.month_close import close_month, judge_closed_months, list_closed_months, open_month
from schemas import (
    Adjustments,
    EnergyBalanceIntervals,
    EnergyDaily,
    EnergyMonthly,
    Restatements,
    RowChanges,
    Table,
)
from tests.scripted import NOW, ScriptedSma
from tests.whole_days import MONDAY, TUESDAY, build, fetch, read_again, run
from warehouse.lake import Lake

New = Callable[..., RunContext]
MONTH = MONDAY.replace(day=1)
END = dt.date(2021, 10, 31)
LATER = dt.datetime(2021, 11, 20, 12, tzinfo=dt.UTC)


def notes(runtime: RunContext) -> list[dict[str, Any]]:
    found = runtime.lake.scan(Restatements).sort("noted_at", "plant_id", "local_date").collect()
    return found.drop("replaces", "noted_at").with_columns(cs.float().round(9)).to_dicts()


def test_a_first_writing_and_an_equal_reading_are_no_restatement(new_runtime: New) -> None:
    run(new_runtime(), MONDAY)
    runtime = read_again(new_runtime(), MONDAY)
    assert notes(runtime) == []
    assert runtime.lake.scan(RowChanges).collect().height == 0


def test_a_changed_answer_is_kept_with_figures_rows_and_cause(new_runtime: New, sma: ScriptedSma) -> None:
    run(new_runtime(), MONDAY, TUESDAY)
    sma.watts["11", str(MONDAY)] = 2000.0
    runtime = read_again(new_runtime(), MONDAY, TUESDAY)
    assert notes(runtime) == [
        {
            "n_rows_added": 0,
            "n_rows_removed": 0,
            "n_rows_changed": 288,
            "plant_id": "11",
            "local_date": MONDAY,
            "quantity": "pv_generation",
            "before_kwh": 24.0,
            "after_kwh": 48.0,
            "difference_kwh": 24.0,
            "status_before": "complete",
            "status_after": "complete",
            "cause": "answer_changed",
            "closed": False,
        }
    ]


def test_changing_back_and_forth_is_kept_each_time(new_runtime: New, sma: ScriptedSma) -> None:
    run(new_runtime(), MONDAY)
    for watts in (2000.0, 1000.0, 2000.0):
        sma.watts["11", str(MONDAY)] = watts
        runtime = read_again(new_runtime(), MONDAY)
    found = sorted((row["before_kwh"], row["after_kwh"]) for row in notes(runtime))
    assert found == [(24.0, 48.0), (24.0, 48.0), (48.0, 24.0)]
    assert {row["n_rows_changed"] for row in notes(runtime)} == {288}


def test_a_provisional_day_that_grows_is_no_restatement(new_runtime: New, sma: ScriptedSma) -> None:
    sma.answered_at = dt.datetime(2021, 10, 4, 12, tzinfo=dt.UTC)
    early = new_runtime()
    early.now = lambda: sma.answered_at
    run(early, MONDAY)
    assert set(early.lake.scan(EnergyDaily).collect()["status"]) == {"provisional"}
    sma.answered_at = NOW
    sma.watts["11", str(MONDAY)] = 2000.0
    assert notes(read_again(new_runtime(), MONDAY)) == []


def other_settings(settings: Settings, sma: ScriptedSma, **changed: Any) -> RunContext:
    given = settings.model_dump() | changed
    return RunContext(
        Settings.model_construct(**given),
        again=True,
        now=lambda: NOW,
        make_session=lambda _: sma,  # type: ignore[arg-type,return-value]
    )


def test_other_thresholds_and_another_time_basis_are_named(
    new_runtime: New, sma: ScriptedSma, settings: Settings
) -> None:
    run(new_runtime(), MONDAY, TUESDAY)
    settings.home.mkdir(exist_ok=True)
    strict = settings.home / "strict.toml"
    # 1 kW at night, where the sun gives nothing: with a rated power of 5 kW, 0.1 times that is 500 W.
    strict.write_text("beyond_rated_times = 0.1\n")
    runtime = other_settings(settings, sma, quality=strict)
    build(runtime, MONDAY)
    assert {row["cause"] for row in notes(runtime)} == {"thresholds_changed"}
    assert {row["after_kwh"] for row in notes(runtime)} == {None}
    runtime = other_settings(settings, sma, sma_time_basis="utc")
    build(runtime, TUESDAY)
    found = [row for row in notes(runtime) if row["local_date"] == TUESDAY]
    assert {row["cause"] for row in found} == {"time_basis_changed"}
    assert all(row["n_rows_removed"] > 0 for row in found)


class Killed(BaseException):
    """Nothing catches it, as nothing catches a kill."""


def kill_before(patched: pytest.MonkeyPatch, table: type[Table], notes: type[Table]) -> None:
    """End the process, so to speak, when the change of the table is noted and before it is committed."""
    real = Lake.open_files

    def files(lake: Lake, model: type[Table]) -> Any:
        if model is table and lake.scan(notes).collect().height:
            raise Killed
        return real(lake, model)

    patched.setattr(Lake, "open_files", files)


@pytest.mark.long
@pytest.mark.parametrize(
    ("table", "noted"), [(EnergyBalanceIntervals, RowChanges), (EnergyDaily, Restatements)]
)
def test_a_kill_right_before_the_commit_loses_no_restatement_and_leaves_none_of_a_change_that_never_came(
    new_runtime: New,
    sma: ScriptedSma,
    monkeypatch: pytest.MonkeyPatch,
    table: type[Table],
    noted: type[Table],
) -> None:
    """A Monday of 24 kWh becomes one of 48, by a run that ends right before it commits the table."""
    run(new_runtime(), MONDAY)
    sma.watts |= {(plant, str(MONDAY)): 2000.0 for plant in ("11", "12")}
    with monkeypatch.context() as patched:
        kill_before(patched, table, noted)
        with pytest.raises(Killed):
            read_again(new_runtime(), MONDAY)
    assert sorted(new_runtime().lake.scan(noted).collect()["plant_id"]) == ["11", "12"]
    # When it is read again, the one plant's energy has changed, and the other's is what it was.
    sma.watts["12", str(MONDAY)] = 1000.0
    runtime = read_again(new_runtime(), MONDAY)
    (row,) = notes(runtime)
    assert (row["plant_id"], row["before_kwh"], row["after_kwh"], row["n_rows_changed"]) == (
        "11",
        24.0,
        48.0,
        288,
    )
    assert "12" not in set(runtime.lake.scan(noted).collect()["plant_id"]) or table is EnergyBalanceIntervals


def test_a_closed_month_keeps_its_figures_and_books_the_difference(
    new_runtime: New, sma: ScriptedSma
) -> None:
    runtime = end_of_month(new_runtime(), sma)
    assert close_month(runtime, MONTH) == 2
    sma.watts["11", "2021-10-31"] = 2000.0
    runtime = later(new_runtime())
    fetch(runtime, END)
    build(runtime, END)
    (row,) = notes(runtime)
    assert row["closed"]
    assert months(runtime) == [48.0]
    (booked,) = runtime.lake.scan(Adjustments).with_columns(cs.float().round(9)).collect().to_dicts()
    assert (booked["plant_id"], booked["closed_kwh"], booked["now_kwh"]) == ("11", 48.0, 72.0)
    finding = judge_closed_months(runtime)
    assert not finding.passed
    assert "2021-10" in finding.text
    assert list_closed_months(runtime)["pv_adjustment_kwh"].round(9).to_list() == [24.0]
    with pytest.raises(SunledgerError, match="closed already"):
        close_month(runtime, MONTH)
    open_month(runtime, MONTH)
    write_energy_monthly(runtime)
    assert months(runtime) == [72.0]
    assert runtime.lake.scan(Adjustments).collect().height == 0
    assert judge_closed_months(runtime).passed
    with pytest.raises(SunledgerError, match="not closed"):
        open_month(runtime, MONTH)


def test_a_month_that_is_not_over_or_not_final_is_refused(new_runtime: New, sma: ScriptedSma) -> None:
    runtime = run(new_runtime(), MONDAY)
    with pytest.raises(SunledgerError, match="2021-10 is not over"):
        close_month(runtime, MONTH, anyway=True)
    with pytest.raises(SunledgerError, match="2021-09 has no energy"):
        close_month(runtime, dt.date(2021, 9, 1))
    runtime.now = lambda: LATER
    with pytest.raises(
        SunledgerError, match=r"60 days that are not final: plant 11 2021-10-01: not_fetched.*--anyway"
    ):
        close_month(runtime, MONTH)
    assert close_month(runtime, MONTH, anyway=True) == 2


def later(runtime: RunContext) -> RunContext:
    runtime.now = lambda: LATER
    return runtime


def end_of_month(runtime: RunContext, sma: ScriptedSma) -> RunContext:
    """All of a month in which the plants began on the 30th."""
    sma.answered_at = LATER
    sma.started = "2021-10-29T14:00:00"
    return run(later(runtime), END - dt.timedelta(days=1), END)


def months(runtime: RunContext) -> list[float]:
    """PV generation of plant 11 by month."""
    found = runtime.lake.scan(EnergyMonthly).filter(pl.col("plant_id") == "11").sort("month").collect()
    return found["pv_generation_kwh"].round(9).to_list()
