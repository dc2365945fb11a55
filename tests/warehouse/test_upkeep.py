"""What upkeep removes: files and log entries that nothing needs, never one that a reader, a writer or a repair does."""

import datetime as dt
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow.fs as pafs
import pytest

from pipeline.ops import raw_retention, upkeep_due
from pipeline.ops.upkeep import UpkeepError, keep_up_lake
from pipeline.ops.upkeep_due import OVERDUE, describe_dead_bytes, find_dead_bytes
from pipeline.run.context import RunContext
from pipeline.tables.incomplete_days import list_days_with_answers
from schemas import EnergyDaily, PvIntervals, RawEnergyBalance, RawEnergyYears, RawLogs
from tests.programs import PATIENCE_S, environment
from tests.small_lake import make_frame
from tests.warehouse.object_stores import Store
from tests.warehouse.three_days import DAYS, NEWEST, frame_of, values
from warehouse.dead_files import KEEP_ENTRIES, KEEP_FILES, list_shown_files
from warehouse.lake import Lake
from warehouse.published_file.publish import publish
from warehouse.removed_answers import AnswerRetention
from warehouse.table_upkeep import WrongClockError, check_clock, keep_up_table
from warehouse.verification.verify import verify_lake

MINUTE = dt.timedelta(minutes=1)
DAY = {"local_date": DAYS[1]}


def read_now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def again(lake: Lake) -> Lake:
    return Lake(lake.root, lake.scratch, lake.storage_options)


def rewrite(lake: Lake, times: int) -> None:
    for n in range(times):
        lake.replace(EnergyDaily, DAY, [frame_of(EnergyDaily, DAYS[1], 20.0 + (times - 1 - n))])


def sum_data(lake: Lake) -> int:
    """The bytes of all data files that lie in the table's folder."""
    found = lake.open_files(EnergyDaily).get_file_info(
        pafs.FileSelector("/" if lake.remote else ".", recursive=True)
    )
    return sum(one.size for one in found if one.base_name.startswith("part-"))


def faults(lake: Lake) -> list[str | None]:
    return [found.fault for found in verify_lake(again(lake)) if found.fault]


@pytest.fixture(
    params=[
        ("folder", 40),
        pytest.param(("folder", 230), marks=pytest.mark.long),
        pytest.param(("store", 12), marks=pytest.mark.long),
    ],
    ids=str,
)
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    if request.param[0] == "folder":
        lake = Lake(str(tmp_path / "lake"), tmp_path / "tmp")
    else:
        served: Store = request.getfixturevalue("store")
        lake = served.lake(served.make_bucket("upkeep", request.node), tmp_path / "tmp")
    for day, value in NEWEST.items():
        lake.replace(EnergyDaily, {"local_date": day}, [frame_of(EnergyDaily, day, value)])
    return lake


@pytest.mark.long
def test_a_day_that_was_rewritten_takes_no_more_than_twice_its_bytes(
    lake: Lake, request: pytest.FixtureRequest
) -> None:
    times = request.node.callspec.params["lake"][1]
    rewrite(lake, times)
    before = sum_data(lake)
    # Readers of a week ago still find their files.
    young = keep_up_table(again(lake), EnergyDaily, (), read_now() + KEEP_FILES - MINUTE)
    assert young is not None
    assert (young.files, young.entries) == ((), ())
    looked_at = keep_up_table(again(lake), EnergyDaily, (), read_now() + KEEP_FILES + MINUTE, dry_run=True)
    assert looked_at is not None
    assert len(looked_at.files) == times
    assert sum_data(lake) == before
    done = keep_up_table(again(lake), EnergyDaily, (), read_now() + KEEP_FILES + MINUTE)
    assert done is not None
    assert done.files == looked_at.files
    assert sum_data(lake) == done.live_bytes
    assert before > 2 * done.live_bytes
    # The log stays until its entries are old too.
    assert done.entries == ()
    late = read_now() + KEEP_ENTRIES + MINUTE
    old = keep_up_table(again(lake), EnergyDaily, (), late)
    assert old is not None
    assert len(old.entries) >= times
    assert faults(lake) == []
    assert values(again(lake), EnergyDaily) == NEWEST
    # A handle from before goes on as well as a new one.
    for one in (lake, again(lake)):
        for value in (5.0, 20.0):
            one.replace(EnergyDaily, DAY, [frame_of(EnergyDaily, DAYS[1], value)])
    assert values(again(lake), EnergyDaily) == NEWEST
    assert faults(lake) == []


@pytest.mark.parametrize("lake", [("store", 3)], indirect=True, ids=str)
def test_a_clock_that_is_ahead_of_the_store_removes_nothing(lake: Lake) -> None:
    before = lake.open_root().get_file_info(pafs.FileSelector("/", recursive=True))
    with pytest.raises(WrongClockError, match="set the clock"):
        check_clock(lake, read_now() + dt.timedelta(days=8))
    check_clock(lake, read_now() + dt.timedelta(hours=20))
    assert len(lake.open_root().get_file_info(pafs.FileSelector("/", recursive=True))) == len(before)


@pytest.mark.long
def test_a_file_that_the_published_file_shows_stays(tmp_path: Path) -> None:
    lake, target = Lake(str(tmp_path / "lake"), tmp_path / "tmp"), tmp_path / "sunledger.duckdb"
    rows = [
        {"plant_id": "a", "device_id": "i", "local_date": DAYS[1], "pv_generation_w": watts}
        for watts in (1.0, 2.0, 3.0)
    ]
    for row in rows:
        lake.replace(PvIntervals, DAY, [make_frame(PvIntervals, [row | {"interval_end": read_now()}])])
        if row is rows[1]:
            publish(lake, target, now=read_now(), version="1")
    late = read_now() + 30 * KEEP_FILES
    done = keep_up_table(again(lake), PvIntervals, list_shown_files(target), late)
    assert done is not None
    assert len(done.files) == 1
    with duckdb.connect(target, read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM pv_intervals").fetchall() == [(1,)]
    publish(again(lake), target, now=read_now(), version="1")
    freed = keep_up_table(again(lake), PvIntervals, list_shown_files(target), late)
    assert freed is not None
    assert len(freed.files) == 1
    assert faults(lake) == []


@pytest.fixture
def runtime(new_runtime: Callable[..., RunContext]) -> RunContext:
    runtime = new_runtime()
    for model in (RawEnergyBalance, RawLogs):
        for day in DAYS:
            runtime.lake.replace(model, {"local_date": day}, [frame_of(model, day, 1.0)])
    for day, value in NEWEST.items():
        runtime.lake.replace(EnergyDaily, {"local_date": day}, [frame_of(EnergyDaily, day, value)])
    return runtime


def test_files_of_dead_writers_go_and_damaged_tables_are_left_alone(runtime: RunContext) -> None:
    now = runtime.now()
    folder = Path(runtime.lake.find_uri(EnergyDaily))
    file = next(folder.rglob("part-*.parquet"))
    week_ago = (now - KEEP_FILES - MINUTE).timestamp()
    orphan, young = (file.with_name(f"part-{name}.parquet") for name in ("orphan", "young"))
    for one, moment in ((orphan, week_ago), (young, now.timestamp())):
        one.write_bytes(b"x" * 100)
        os.utime(one, (moment, moment))
    unnamed = folder / "_delta_log" / f".{9:020d}.json.0123abcd.new"
    unnamed.write_bytes(b"{}")
    os.utime(unnamed, (week_ago, week_ago))
    entry = Path(runtime.lake.find_uri(RawLogs)) / "_delta_log" / f"{1:020d}.json"
    entry.unlink()
    runtime.opened.lake = None
    dry = keep_up_lake(runtime, lambda _: None, dry_run=True)
    assert [row[0] for row in dry.list_rows()] == ["energy_daily"]
    assert orphan.exists()
    outcome = keep_up_lake(runtime, lambda _: None)
    assert [orphan.exists(), unnamed.exists(), young.exists()] == [False, False, True]
    with pytest.raises(UpkeepError, match=r"raw_logs: .*Run 'sunledger repair'"):
        outcome.raise_faults()
    assert list(outcome.left_alone) == ["raw_logs"]


def test_old_answers_go_where_a_setting_says_so_and_are_no_damage(runtime: RunContext) -> None:
    first = DAYS[0]
    # A year has one answer, which is of its first day, and goes on.
    year = [frame_of(RawEnergyYears, first, 1.0)]
    runtime.lake.replace(RawEnergyYears, {"local_date": first}, year)
    assert keep_up_lake(runtime, lambda _: None).answers == []
    # Of three days the newest and the one before stay, whatever the clock says: it may be years ahead.
    runtime.settings = runtime.settings.model_copy(update={"keep_raw_days": 1})
    said: list[str] = []
    dry = keep_up_lake(runtime, said.append, dry_run=True)
    assert {one.table: len(one.parts) for one in dry.answers} == {"raw_energy_balance": 1, "raw_logs": 1}
    assert list_days_with_answers(runtime) == set(DAYS)
    keep_up_lake(runtime, said.append)
    assert f"days before {DAYS[1]} were removed because of their age" in said[-1]
    assert list_days_with_answers(runtime) == {*DAYS} - {first}
    assert values(runtime.lake, EnergyDaily) == NEWEST
    assert faults(runtime.lake) == []
    # What is fetched again counts.
    runtime.lake.replace(RawEnergyBalance, {"local_date": first}, [frame_of(RawEnergyBalance, first, 1.0)])
    assert list_days_with_answers(runtime) == set(DAYS)


def test_a_removal_that_was_interrupted_is_finished_whatever_the_setting_says(runtime: RunContext) -> None:
    old = raw_retention.find_old_answers(runtime, DAYS[1])
    removing = raw_retention.delete_old_answers(runtime, old)
    next(removing)
    removing.close()
    # Answers of the last tables are left; the other days are as they were.
    assert list_days_with_answers(runtime) == {*DAYS} - {DAYS[0]}
    assert AnswerRetention(again(runtime.lake)).unfinished_days == {DAYS[0]}
    assert runtime.settings.keep_raw_days is None
    outcome = keep_up_lake(runtime, lambda _: None)
    assert {one.table: len(one.parts) for one in outcome.answers} == {"raw_logs": 1}
    assert AnswerRetention(again(runtime.lake)).unfinished_days == frozenset()
    assert AnswerRetention(again(runtime.lake)).removed_before == DAYS[1]
    # What is fetched again counts, and stays.
    runtime.lake.replace(
        RawEnergyBalance, {"local_date": DAYS[0]}, [frame_of(RawEnergyBalance, DAYS[0], 1.0)]
    )
    assert keep_up_lake(runtime, lambda _: None).answers == []
    assert list_days_with_answers(runtime) == {*DAYS}


# Longer than a tick of a file system's clock.
TICK_NS = 20_000_000
# The program, 40 days later.
LATER = """
import datetime as dt
from pipeline.run import context
begin = context.RunContext.__init__
def begin_later(self, *given, **named):
    begin(self, *given, **{**named, "now": lambda: dt.datetime.now(dt.UTC) + dt.timedelta(days=40)})
context.RunContext.__init__ = begin_later
from pipeline.cli import main
main()
"""


@pytest.mark.long
def test_a_killed_upkeep_leaves_a_sound_lake_and_the_next_one_finishes(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "home" / "lake"), tmp_path / "tmp")
    for day, value in NEWEST.items():
        lake.replace(EnergyDaily, {"local_date": day}, [frame_of(EnergyDaily, day, value)])
    chance = random.Random(7)  # noqa: S311
    cut = 0
    for _ in range(4):
        rewrite(lake, 60)
        folder = Path(lake.find_uri(EnergyDaily))
        files = len(list(folder.rglob("*")))
        program = subprocess.Popen(
            [sys.executable, "-c", LATER, "upkeep"],
            cwd=tmp_path,
            env=environment(tmp_path, SMA_CLIENT_ID="a", SMA_CLIENT_SECRET="b"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        deadline = time.monotonic() + PATIENCE_S
        # Most looks are at the folders' times alone. One change may follow another within a tick of the file system.
        folders = [path for path in folder.rglob("*") if path.is_dir()]
        counted = 0
        while program.poll() is None:
            assert time.monotonic() < deadline
            changed = max(one.stat().st_mtime_ns for one in folders)
            if changed > counted:
                counted = changed if time.time_ns() - changed > TICK_NS else 0
                if len(list(folder.rglob("*"))) < files:
                    break
            time.sleep(0.0005)
        time.sleep(chance.uniform(0, 0.01))
        program.send_signal(signal.SIGKILL)
        said, _ = program.communicate()
        cut += program.returncode == -signal.SIGKILL
        assert program.returncode in {0, -signal.SIGKILL}, said
        assert faults(lake) == []
        assert values(again(lake), EnergyDaily) == NEWEST
    assert cut
    done = subprocess.run(
        [sys.executable, "-c", LATER, "upkeep"],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert faults(lake) == []
    assert len(list(Path(lake.find_uri(EnergyDaily)).rglob("part-*.parquet"))) == len(NEWEST)


def test_what_nobody_has_removed_for_weeks_is_noticed(
    new_runtime: Callable[..., RunContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = new_runtime()
    rewrite(runtime.lake, 3)
    moment = read_now()
    runtime.now = lambda: moment
    assert find_dead_bytes(runtime) == []
    moment = read_now() + KEEP_FILES + OVERDUE - MINUTE
    # It can be removed, but the next upkeep may be about to.
    assert find_dead_bytes(runtime) == []
    monkeypatch.setattr(upkeep_due, "WORTH_BYTES", 0)
    (found,) = find_dead_bytes(runtime)
    assert found.table == "energy_daily"
    assert (found.dead > found.live, found.overdue) == (True, False)
    monkeypatch.undo()
    moment += 2 * MINUTE
    (found,) = find_dead_bytes(runtime)
    assert found.overdue
    assert "some of it for over 14 days" in describe_dead_bytes([found])
    keep_up_table(runtime.lake, EnergyDaily, (), moment)
    assert find_dead_bytes(runtime) == []
