"""Two runs write one table at the same time: the one that read first puts nothing old in the place of newer rows."""

from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from pipeline.extract.fetch import fetch_devices, fetch_plants
from pipeline.run import plants
from pipeline.run.context import RunContext
from pipeline.run.plants import mark_excluded
from pipeline.run.step import CONFLICT_ATTEMPTS, work_without_conflict
from pipeline.tables import energy_tables, inventory_tables, month_close
from pipeline.tables.inventory_tables import write_devices, write_plants
from schemas import Devices, EnergyMonthly, Plants, Table
from tests.e2e.test_restatements import later
from tests.scripted import ScriptedSma
from tests.whole_days import MONDAY, build, fetch, refresh
from warehouse.lake import Lake
from warehouse.lake_holds import PartChangedError

New = Callable[..., RunContext]
MONTH = MONDAY.replace(day=1)


def interrupt(
    monkeypatch: pytest.MonkeyPatch, room: Any, name: str, other: Callable[[], object]
) -> list[str]:
    """Have another run do `other` before the function `name` is called for the first time; the calls."""
    function, calls = getattr(room, name), list[str]()

    def call(*given: Any, **options: Any) -> Any:
        calls.append(name)
        if len(calls) == 1:
            other()
        return function(*given, **options)

    monkeypatch.setattr(room, name, call)
    return calls


def list_versions(lake: Lake, model: type[Table]) -> list[list[str]]:
    """The plants in each version of the table, from its first rows on."""
    newest = lake.find_version(model)
    read = (pl.read_parquet(lake.open_anew(model, version).file_uris()) for version in range(1, newest + 1))
    return [sorted(rows["plant_id"]) for rows in read]


def test_lists_that_another_run_has_stored_meanwhile_are_never_taken_out(
    new_runtime: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not for a moment: a kill would leave them out, and nobody would ask for the sets of these devices."""
    first, second = new_runtime("11"), new_runtime("12")
    fetch_plants(first)
    write_plants(first)
    fetch_devices(first)

    def store_others() -> None:
        fetch_devices(second)
        write_devices(second)

    # The first run has read which lists are stored.
    calls = interrupt(monkeypatch, inventory_tables.inventory, "build_devices", store_others)
    write_devices(first)
    assert len(calls) == 3
    assert list_versions(first.lake, Devices) == [["11", "12"]]


def test_a_plant_that_another_run_lists_meanwhile_stays(
    new_runtime: New, sma: ScriptedSma, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever publishes marks the plants that the settings leave out, without a list of its own."""
    runtime = new_runtime()
    refresh(runtime)
    runtime.settings = runtime.settings.model_copy(update={"exclude_plants": "11"})

    def list_one_more() -> None:
        sma.lists = ["11", "12", "13"]
        other = new_runtime()
        fetch_plants(other)
        write_plants(other)

    calls = interrupt(monkeypatch, plants, "add_exclusion", list_one_more)
    mark_excluded(runtime)
    found = runtime.lake.read_whole(Plants).sort("plant_id")
    assert len(calls) == 2
    assert found["plant_id"].to_list() == ["11", "12", "13"]
    assert found["excluded_from"].is_not_null().to_list() == [True, False, False]


def test_a_month_that_is_closed_while_months_are_made_stays_closed(
    new_runtime: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = new_runtime()
    refresh(runtime)
    fetch(runtime, MONDAY)
    build(runtime, MONDAY)
    # The months that are made next differ from these.
    stored = runtime.lake.scan(EnergyMonthly).with_columns(n_days=pl.lit(0, pl.Int64)).collect()
    runtime.lake.replace(EnergyMonthly, {"month": MONTH}, [stored])
    closed = interrupt(
        monkeypatch,
        energy_tables,
        "summarize_months",
        lambda: month_close.close_month(later(new_runtime()), MONTH, anyway=True),
    )
    energy_tables.write_energy_monthly(runtime)
    assert len(closed) == 2
    assert month_close.read_closed_months(runtime)["n_days"].to_list() == [0, 0]


@pytest.mark.long
def test_a_run_that_is_overtaken_each_time_ends_with_a_sentence(new_runtime: New) -> None:
    runtime = new_runtime()
    refresh(runtime)
    other = Lake(runtime.lake.root, runtime.lake.scratch)
    rounds = 0

    def be_overtaken() -> None:
        nonlocal rounds
        rounds += 1
        rows = runtime.lake.read_whole(Plants)
        other.replace(Plants, {}, [rows.with_columns(name=pl.lit(f"by the other, {rounds}"))])
        runtime.lake.replace(Plants, {}, [rows.with_columns(name=pl.lit("old"))])

    with pytest.raises(
        PartChangedError,
        match=r"^plants: nothing was written, because another run wrote it at the same time: run it again when",
    ):
        work_without_conflict(runtime.lake, [(Plants, {})], be_overtaken)
    assert rounds == CONFLICT_ATTEMPTS
    assert runtime.lake.read_whole(Plants)["name"].unique().to_list() == [f"by the other, {rounds}"]
