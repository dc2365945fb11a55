"""A day is made once: what an earlier run did with it stands until something that the step reads has changed."""

import datetime as dt
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from pipeline.run import unchanged_steps
from pipeline.run.context import RESULTS, RunContext
from pipeline.run.notices import MissingItem, Notices
from pipeline.run.step_result import StepResult
from pipeline.run.unchanged_steps import UnchangedSteps
from pipeline.transform.batch_account import build_quarantine
from schemas import EnergyDaily, MeasurementSets, Quarantine, polars_schema
from tests.scripted import NOW
from warehouse.lake import Lake

DAY = dt.date(2021, 10, 4)
SOURCE = {"local_date": DAY, "source": "a_source"}
OTHER = {"local_date": DAY, "source": "another"}
OWN = {"local_date": DAY, "source": "own"}


def quarantined(part: dict[str, dt.date | str], plant: str = "11") -> pl.DataFrame:
    """A row that the part of `quarantine` may hold."""
    found = pl.DataFrame({"plant_id": [plant], "device_id": [None], "reason": ["a_reason"]})
    rows = build_quarantine(found.cast(pl.String), "answer", EnergyDaily, DAY)
    return rows.with_columns(source=pl.lit(part["source"]), local_date=pl.lit(part["local_date"]))


def write(lake: Lake, part: dict[str, dt.date | str], plant: str = "11") -> None:
    lake.replace(Quarantine, part, [quarantined(part, plant)])


class Step:
    """Reads two parts and the list of sets, and writes a third part; counts how often."""

    def __init__(self, runtime: RunContext) -> None:
        self.runtime, self.times = runtime, 0
        self.meanwhile: Callable[[], None] = lambda: None
        self.told = Notices.of(
            [MissingItem("a day", "a table", "11", "a reason")], unknown_fields={"raw": ["new"]}
        )

    def __call__(self) -> StepResult:
        self.times += 1
        lake = self.runtime.lake
        found = [frame for part in (SOURCE, OTHER) for frame in lake.read_batches(Quarantine, part)]
        lake.scan(MeasurementSets).collect()
        self.meanwhile()
        write(lake, OWN, f"made of {sum(frame.height for frame in found)}")
        return StepResult(
            2, changed=True, facts={"plants": ["11"]}, pictures={"fleet": "text"}, notices=self.told
        )

    def do(self, runtime: RunContext | None = None, day: dt.date = DAY) -> StepResult:
        """As the next run does it."""
        return UnchangedSteps.of(runtime or self.runtime).do("a_table", day, self)


@pytest.fixture
def step(new_runtime: Callable[..., RunContext]) -> Iterator[Step]:
    with replace(new_runtime(), again=False) as runtime:
        write(runtime.lake, SOURCE)
        yield Step(runtime)


def test_what_was_done_is_not_done_again_and_told_in_the_same_words(step: Step) -> None:
    first, second = step.do(), step.do()
    assert step.times == 1
    assert second == replace(first, changed=False)


def change_source(lake: Lake) -> None:
    write(lake, SOURCE, "12")


def fill_absent_source(lake: Lake) -> None:
    write(lake, OTHER)


def replace_own_rows(lake: Lake) -> None:
    write(lake, OWN, "12")


def lose_own_rows(lake: Lake) -> None:
    lake.replace(Quarantine, OWN, [], empty=True)


def change_list(lake: Lake) -> None:
    lake.replace(
        MeasurementSets,
        {},
        [pl.DataFrame([("11", None, "New")], polars_schema(MeasurementSets), orient="row")],
    )


def touch_file(lake: Lake) -> None:
    (name,) = lake.take_snapshot(Quarantine, SOURCE).files
    os.utime(name, ns=(1, 1))


@pytest.mark.parametrize(
    "change", [change_source, fill_absent_source, replace_own_rows, lose_own_rows, change_list, touch_file]
)
def test_a_change_of_what_it_reads_or_wrote_has_it_done(step: Step, change: Callable[[Lake], None]) -> None:
    step.do()
    change(step.runtime.lake)
    step.do()
    assert step.times == 2
    step.do()
    assert step.times == 2


def test_a_part_that_it_does_not_read_may_change(step: Step) -> None:
    step.do()
    write(step.runtime.lake, {"local_date": DAY + dt.timedelta(days=1), "source": "a_source"})
    step.do()
    assert step.times == 1


def test_what_another_run_changes_while_it_works_has_it_done_by_the_next_run(step: Step) -> None:
    def change() -> None:
        other = threading.Thread(target=change_source, args=[step.runtime.lake])
        other.start()
        other.join()

    step.meanwhile = change
    step.do()
    step.meanwhile = lambda: None
    step.do()
    assert step.times == 2


def test_what_another_run_put_in_the_place_of_its_rows_is_not_its_own(step: Step) -> None:
    def work() -> StepResult:
        result = step()
        other = threading.Thread(target=replace_own_rows, args=[step.runtime.lake])
        other.start()
        other.join()
        return result

    UnchangedSteps.of(step.runtime).do("a_table", DAY, work)
    step.do()
    assert step.times == 2


@pytest.mark.parametrize("setting", ["include_plants", "exclude_plants"])
def test_a_file_of_plants_that_has_changed_has_it_done(step: Step, tmp_path: Path, setting: str) -> None:
    plants = tmp_path / "plants.txt"
    plants.write_text("11\n")
    settings = step.runtime.settings.model_copy(update={setting: f"13, @{plants}"})
    runtime = replace(step.runtime, settings=settings)
    step.do(runtime)
    plants.write_text("11\n12\n")
    step.do(runtime)
    assert step.times == 2


def test_a_file_that_another_one_stood_for_meanwhile_has_it_done(step: Step, tmp_path: Path) -> None:
    """A link is turned to another file during the run and back after it: the first file is as old as before."""
    quality = tmp_path / "quality.toml"
    for name in ("strict", "lenient"):
        (tmp_path / name).write_text(f"# {name}")
    settings = step.runtime.settings.model_copy(update={"quality": quality})
    runtime = replace(step.runtime, settings=settings)
    quality.symlink_to("strict")
    unchanged = UnchangedSteps.of(runtime)
    quality.unlink()
    quality.symlink_to("lenient")
    made = unchanged.work("a_table", DAY, step)
    assert not unchanged.confirm(made)
    unchanged.keep(made)
    quality.unlink()
    quality.symlink_to("strict")
    step.do(runtime)
    assert step.times == 2


def test_other_settings_limits_and_programs_have_it_done(
    step: Step, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quality, settings = tmp_path / "quality.toml", step.runtime.settings
    quality.write_text("night_w = 1\n")
    others = [
        replace(step.runtime, only_plants=frozenset({"11"})),
        replace(step.runtime, settings=settings.model_copy(update={"sma_time_basis": "utc"})),
        replace(step.runtime, settings=settings.model_copy(update={"quality": quality})),
    ]
    for times, runtime in enumerate([step.runtime, *others], 1):
        step.do(runtime)
        step.do(runtime)
        assert step.times == times
    quality.write_text("night_w = 20\n")
    step.do(others[-1])
    assert step.times == 5
    monkeypatch.setattr(unchanged_steps, "_describe_program", lambda: "another version")
    step.do(others[-1])
    assert step.times == 6


def test_the_program_is_told_by_its_files() -> None:
    said = unchanged_steps._describe_program()
    assert "polars" in said
    assert unchanged_steps.__file__ in said


def test_a_day_that_is_not_closed_is_done_each_time(step: Step) -> None:
    for _ in range(2):
        step.do(day=NOW.date())
    assert step.times == 2


@pytest.mark.parametrize("wish", [{"reuse": False}, {"again": True}])
def test_a_run_that_makes_all_tables_does_it(step: Step, wish: dict[str, bool]) -> None:
    step.do()
    step.do(replace(step.runtime, **wish))
    assert step.times == 2


def test_what_it_raises_comes_out_and_is_not_kept(step: Step) -> None:
    def fail() -> None:
        raise ValueError("it failed")

    step.meanwhile = fail
    with pytest.raises(ValueError, match="it failed"):
        step.do()
    step.meanwhile = lambda: None
    step.do()
    assert step.times == 2


@pytest.mark.parametrize("broken", [b"no database at all, but long enough to be read as one", b""])
def test_a_file_of_results_that_is_no_database_costs_only_time(step: Step, broken: bytes) -> None:
    step.do()
    step.runtime.results.close()
    path = step.runtime.settings.home / "dagster" / RESULTS
    path.write_bytes(broken)
    step.do()
    assert step.times == 2
    step.do()
    assert step.times == 2


@pytest.mark.parametrize("report", ["", "[1, 2", "[[], [], {}]", '[[["no_table", "", ""]], [], {}]'])
def test_a_kept_result_that_cannot_be_read_costs_only_time(step: Step, report: str) -> None:
    step.do()
    step.runtime.results.close()
    with sqlite3.connect(step.runtime.settings.home / "dagster" / RESULTS) as file:
        file.execute("UPDATE results SET report = ?", [report])
    file.close()
    step.do()
    assert step.times == 2


def test_a_file_of_results_that_another_process_holds_costs_only_time(
    step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.run.result_file.PATIENCE_S", 0.01)
    step.do()
    step.runtime.results.close()
    other = sqlite3.connect(step.runtime.settings.home / "dagster" / RESULTS, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    step.do()
    assert step.times == 2
    other.close()
    step.do()
    assert step.times == 2


def test_the_file_of_a_home_that_cannot_be_written_is_left_out(step: Step) -> None:
    path = step.runtime.settings.home / "dagster" / RESULTS
    path.mkdir(parents=True)
    step.do()
    step.do()
    assert step.times == 2


@pytest.mark.parametrize(
    "look",
    [
        lambda lake: list(lake.read_batches(Quarantine, OTHER)),
        lambda lake: lake.scan(Quarantine, lake.take_snapshot(Quarantine, OTHER)).collect(),
        lambda lake: lake.list_parts(Quarantine, {"local_date": DAY}),
        lambda lake: lake.name_stored_files(Quarantine, OTHER),
        lambda lake: lake.read_facts(Quarantine, OTHER),
    ],
    ids=["rows", "part", "parts", "names", "facts"],
)
def test_a_table_that_was_not_there_has_the_step_done_when_it_comes(
    new_runtime: Callable[..., RunContext], look: Callable[[Lake], object]
) -> None:
    times = 0

    def work() -> StepResult:
        nonlocal times
        times += 1
        look(runtime.lake)
        return StepResult()

    with replace(new_runtime(), again=False) as runtime:
        for _ in range(2):
            UnchangedSteps.of(runtime).do("a_table", DAY, work)
        assert times == 1
        write(runtime.lake, OTHER)
        UnchangedSteps.of(runtime).do("a_table", DAY, work)
        assert times == 2
