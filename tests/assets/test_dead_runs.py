"""Runs that died: known by their process, ended at the next start, and what they held is free."""

import os
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from sqlalchemy.exc import OperationalError

from assets import runs
from assets.run_control import pool_waits
from assets.run_control.dead_runs import end_dead_runs, list_going_runs
from assets.run_control.pool_waits import PoolBusyError, PoolWait, wait_for_pools, watch_pools
from assets.run_control.run_processes import PROCESS, PROCESS_LOCK, THIS_PROCESS, Life
from assets.runs import record_runs
from pipeline.common.errors import SunledgerError
from pipeline.run.context import RunContext
from tests.programs import PATIENCE_S, run, run_states, slots, start, wait_until
from tests.whole_days import refresh

pytestmark = pytest.mark.long
GONE = 2**22 - 3


@pytest.fixture
def holder(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """A publish that holds its slot; stopped, so that it keeps it as long as the test wants."""
    process = start(tmp_path, "publish")
    wait_until(lambda: slots(tmp_path), process)
    process.send_signal(signal.SIGSTOP)
    # It may just have given it back.
    assert slots(tmp_path)
    yield process
    process.kill()
    process.communicate(timeout=PATIENCE_S)


def test_two_starts_clean_up_at_once_what_a_killed_run_held(
    tmp_path: Path, holder: "subprocess.Popen[str]"
) -> None:
    holder.kill()
    holder.wait(PATIENCE_S)
    _, doctor = run(tmp_path, "doctor")
    assert f"process {holder.pid} on " in doctor
    assert "holds a slot of publish is still recorded as running, but its process has died" in doctor
    both = [start(tmp_path, "publish") for _ in range(2)]
    said = [process.communicate(timeout=PATIENCE_S)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    # One of them has ended it.
    (told,) = [text for text in said if "was ended, because its process" in text]
    assert f"its process ({holder.pid} on " in told
    assert "its slot of publish is free again" in told
    assert run_states(tmp_path) == ["FAILURE", "SUCCESS", "SUCCESS"]
    assert slots(tmp_path) == []
    _, doctor = run(tmp_path, "doctor")
    assert "no run is active, and none was left behind" in doctor


def test_a_wait_is_told_names_the_holder_and_ends_with_a_cure(
    tmp_path: Path, holder: "subprocess.Popen[str]"
) -> None:
    code, said = run(tmp_path, "publish", SUNLEDGER_POOL_WAIT_MINUTES="0.05")
    assert code == 1
    first, last = said.splitlines()
    assert first.startswith("All slots of pool publish are held by other runs: run ")
    assert f"of process {holder.pid} on " in first
    assert first.endswith("The run waits for at most 0.05 minutes.")
    assert "wait until that run has ended, or end its process, then run this again" in last
    # The holder lives: its run goes on, and ends well.
    holder.send_signal(signal.SIGCONT)
    said, _ = holder.communicate(timeout=PATIENCE_S)
    assert holder.returncode == 0, said


def test_a_holder_that_dies_while_others_wait_is_noticed(
    tmp_path: Path, holder: "subprocess.Popen[str]"
) -> None:
    waiting = start(tmp_path, "publish")
    assert waiting.stdout
    assert "All slots of pool publish are held by other runs" in waiting.stdout.readline()
    holder.kill()
    holder.wait(PATIENCE_S)
    said, _ = waiting.communicate(timeout=PATIENCE_S)
    assert waiting.returncode == 0, said
    assert "was ended, because its process" in said


def add_run(
    instance: dg.DagsterInstance, status: dg.DagsterRunStatus = dg.DagsterRunStatus.STARTED, **tags: str
) -> str:
    """A run that holds a slot of the pool of publishers, if it is free."""
    found = instance.add_run(dg.DagsterRun(job_name="x", status=status, tags=tags))
    instance.event_log_storage.claim_concurrency_slot("publish", found.run_id, "step")
    return found.run_id


def test_runs_of_another_machine_are_left_alone_and_named(instance: dg.DagsterInstance) -> None:
    lock = next((Path(instance.root_directory) / "processes").glob("*.lock"), None)
    assert lock is None
    own = THIS_PROCESS.build_tags(instance)
    name = own[PROCESS_LOCK].rpartition("/")[2]
    there = {PROCESS: "7 on elsewhere", PROCESS_LOCK: f"another-boot/{name}"}
    add_run(instance, **there)
    assert end_dead_runs(instance) == []
    said: list[str] = []
    with pytest.raises(PoolBusyError, match=r"7 on elsewhere.*'sunledger repair --lost-host elsewhere'"):
        wait_for_pools(PoolWait(instance, said.append, 0.01), {"publish"})
    assert "7 on elsewhere" in said[0]
    assert [one.pools for one in end_dead_runs(instance, lost_hosts=["elsewhere"])] == [("publish",)]
    wait_for_pools(PoolWait(instance, said.append, 0.01), {"publish"})


def test_a_run_that_waits_for_a_slot_lets_go_of_what_others_may_wait_for(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_waits, "LOOK_EVERY_S", 0.05)
    add_run(instance, **THIS_PROCESS.build_tags(instance))
    # The slot is held by that run, so this one waits for it.
    waiting, let_go = add_run(instance, **THIS_PROCESS.build_tags(instance)), threading.Event()
    said: list[str] = []
    with watch_pools(PoolWait(instance, said.append, 60.0), waiting, let_go=let_go.set):
        assert let_go.wait(30)


def test_records_that_cannot_be_read_for_a_moment_do_not_end_the_watch(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_waits, "LOOK_EVERY_S", 0.05)
    add_run(instance, **THIS_PROCESS.build_tags(instance))
    waiting, let_go = add_run(instance, **THIS_PROCESS.build_tags(instance)), threading.Event()
    storage: Any = instance.event_log_storage
    read = storage.get_pool_limits

    def fail_first() -> Any:
        monkeypatch.setattr(storage, "get_pool_limits", read)
        raise OperationalError("SELECT", {}, Exception("database is locked"))

    monkeypatch.setattr(storage, "get_pool_limits", fail_first)
    with watch_pools(PoolWait(instance, [].append, 60.0), waiting, let_go=let_go.set):
        assert let_go.wait(10)


def test_a_slot_that_is_given_back_before_the_next_step_waits_for_it_is_not_lost(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dagster's own claim, in which the holder ends between its look for a free slot and the beginning of the wait."""
    monkeypatch.setattr(pool_waits, "LOOK_EVERY_S", 0.05)
    storage: Any = instance.event_log_storage
    holder = add_run(instance, **THIS_PROCESS.build_tags(instance))
    look = storage.has_unassigned_slots

    def look_before_the_holder_ends(pool: str) -> bool:
        found: bool = look(pool)
        monkeypatch.setattr(storage, "has_unassigned_slots", look)
        storage.free_concurrency_slots_for_run(holder)
        return found

    monkeypatch.setattr(storage, "has_unassigned_slots", look_before_the_holder_ends)
    waiting = add_run(instance, **THIS_PROCESS.build_tags(instance))
    assert storage.get_concurrency_info("publish").active_slot_count == 0
    assign, assigned = storage.assign_pending_steps, threading.Event()
    monkeypatch.setattr(
        storage, "assign_pending_steps", lambda pools: (assign(pools), pools and assigned.set())
    )
    with watch_pools(PoolWait(instance, [].append, 60.0), waiting):
        assert assigned.wait(30)
    assert storage.claim_concurrency_slot("publish", waiting, "step").is_claimed


@pytest.mark.parametrize("by_a_person", [False, True], ids=["by its bound", "by a person"])
def test_a_run_that_waits_for_a_slot_in_its_midst_can_be_ended(
    new_runtime: Callable[..., RunContext], monkeypatch: pytest.MonkeyPatch, by_a_person: bool
) -> None:
    """Dagster keeps each signal for the step that begins after the wait, so a signal would not end it."""
    monkeypatch.setattr(pool_waits, "LOOK_EVERY_S", 0.05)
    # Another run takes the slot between the look before a run and its step.
    monkeypatch.setattr(runs, "wait_for_pools", lambda *_: None)
    refresh(new_runtime())
    with new_runtime() as runtime, record_runs(runtime) as found:
        add_run(found.instance, **THIS_PROCESS.build_tags(found.instance))
        found.wait.patience_s = 60.0 if by_a_person else 0.1

        def cancel(_: str) -> None:
            for run in found.instance.get_runs(dg.RunsFilter(job_name=found.command)):
                found.instance.report_run_canceling(run)

        if by_a_person:
            found.wait.say = cancel
        cause = "ended from outside" if by_a_person else "No slot became free within"
        with pytest.raises(SunledgerError, match=cause):
            found.publish()
        (run,) = found.instance.get_runs(dg.RunsFilter(job_name=found.command))
        assert run.status is (dg.DagsterRunStatus.CANCELED if by_a_person else dg.DagsterRunStatus.FAILURE)
        info = found.instance.event_log_storage.get_concurrency_info("publish")
        assert run.run_id not in {step.run_id for step in info.pending_steps}


def test_a_run_that_waits_for_a_slot_in_its_midst_sleeps_and_takes_it_whatever_the_clock_says(
    new_runtime: Callable[..., RunContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dagster compares the clock with the moment of its next look without a pause, also with one of next year."""
    monkeypatch.setattr(runs, "wait_for_pools", lambda *_: None)
    clock, pauses = time.time, 0
    refresh(new_runtime())
    with new_runtime() as runtime, record_runs(runtime) as found:
        holder = add_run(found.instance, **THIS_PROCESS.build_tags(found.instance))
        found.wait.patience_s = 20.0

        def pause(_: float) -> None:
            nonlocal pauses
            pauses += 1
            if pauses == 2:
                monkeypatch.setattr(time, "time", lambda: clock() - 86400 * 365)
            if pauses == 3:
                found.instance.event_log_storage.free_concurrency_slots_for_run(holder)

        monkeypatch.setattr(time, "sleep", pause)
        found.publish()
        monkeypatch.undo()
    assert pauses >= 3


def test_a_run_of_this_process_lives(instance: dg.DagsterInstance) -> None:
    add_run(instance, **THIS_PROCESS.build_tags(instance))
    assert end_dead_runs(instance) == []
    assert [one.worker.life for one in list_going_runs(instance)] == [Life.ALIVE]


def test_records_that_came_from_a_backup_have_no_process(instance: dg.DagsterInstance) -> None:
    """Also where another machine made the backup: the file that a process holds is not in it."""
    add_run(instance, **{PROCESS: "7 on elsewhere", PROCESS_LOCK: "another-boot/gone.lock"})
    assert len(end_dead_runs(instance)) == 1


@dg.asset
def nothing() -> None:
    pass


def report_process(instance: dg.DagsterInstance, run_id: str, pid: int, before_s: float = 0) -> None:
    """What Dagster itself says of the process of a run, so long ago."""
    run = instance.get_run_by_id(run_id)
    assert run
    # Any run's event of that kind will do: it has the form that Dagster gives it.
    done = dg.materialize([nothing], instance=instance)
    logged = instance.all_logs(done.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)[0].dagster_event
    assert logged
    data = logged.engine_event_data._replace(metadata={"pid": dg.MetadataValue.text(str(pid))})
    instance.report_engine_event("Started process for run", run, data)
    if before_s:
        file = Path(instance.root_directory) / "history" / "runs" / f"{run_id}.db"
        with closing(sqlite3.connect(file)) as events, events:
            ((number, text),) = events.execute("SELECT id, event FROM event_logs ORDER BY id DESC LIMIT 1")
            stamp = instance.all_logs(run_id)[-1].timestamp
            events.execute(
                "UPDATE event_logs SET event = ? WHERE id = ?",
                (text.replace(repr(stamp), repr(stamp - before_s)), number),
            )


def test_runs_of_older_versions_are_known_by_what_dagster_says(instance: dg.DagsterInstance) -> None:
    dead, going, reused = (add_run(instance) for _ in range(3))
    report_process(instance, dead, GONE)
    report_process(instance, going, os.getpid())
    # This process is younger: the number is that of another one now.
    report_process(instance, reused, os.getpid(), before_s=10 * 86400)
    assert {one.run.run_id for one in end_dead_runs(instance)} == {dead, reused}
    assert [one.run.run_id for one in list_going_runs(instance)] == [going]


def test_a_run_that_began_while_the_clock_was_ahead_and_has_no_process_is_dead(
    instance: dg.DagsterInstance,
) -> None:
    ahead, starting = (add_run(instance, dg.DagsterRunStatus.STARTING) for _ in range(2))
    with closing(sqlite3.connect(Path(instance.root_directory, "history", "runs.db"))) as runs, runs:
        runs.execute(
            "UPDATE runs SET create_timestamp = datetime(create_timestamp, '+1 year') WHERE run_id = ?",
            (ahead,),
        )
    assert [one.run.run_id for one in end_dead_runs(instance)] == [ahead]
    assert [one.run.run_id for one in list_going_runs(instance)] == [starting]


def test_a_run_that_ended_well_while_it_was_looked_at_stays_so(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = add_run(instance, **{PROCESS: "7 on here", PROCESS_LOCK: "boot/gone.lock"})
    seen = list_going_runs(instance)
    ended = instance.get_run_by_id(run_id)
    assert ended
    instance.report_dagster_event(
        dg.DagsterEvent(event_type_value="PIPELINE_SUCCESS", job_name=ended.job_name), run_id
    )
    monkeypatch.setattr("assets.run_control.dead_runs.list_going_runs", lambda _: seen)
    assert end_dead_runs(instance) == []
    ended = instance.get_run_by_id(run_id)
    assert ended
    assert ended.status is dg.DagsterRunStatus.SUCCESS


def test_a_run_that_tries_a_dead_one_again_is_not_dead_for_its_tag(instance: dg.DagsterInstance) -> None:
    gone = {PROCESS: "7 on here", PROCESS_LOCK: "boot/gone.lock"}
    first = add_run(instance, **gone)
    again = add_run(instance, **gone, **{"dagster/parent_run_id": first})
    assert [one.run.run_id for one in end_dead_runs(instance)] == [first]
    assert [one.run.run_id for one in list_going_runs(instance)] == [again]


def test_a_cancelled_run_ends_as_cancelled_and_slots_of_ended_runs_are_freed(
    instance: dg.DagsterInstance,
) -> None:
    gone = {PROCESS: "7 on here", PROCESS_LOCK: "boot/gone.lock"}
    cancelled = add_run(instance, dg.DagsterRunStatus.CANCELING, **gone)
    assert len(end_dead_runs(instance)) == 1
    run = instance.get_run_by_id(cancelled)
    assert run
    assert run.status is dg.DagsterRunStatus.CANCELED
    # A process can die after its run has ended, and before it has given back its slot.
    add_run(instance, dg.DagsterRunStatus.SUCCESS)
    assert end_dead_runs(instance) == []
    info = instance.event_log_storage.get_concurrency_info("publish")
    assert info.active_slot_count == 0
