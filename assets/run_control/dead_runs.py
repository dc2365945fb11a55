"""Ends runs whose process has died, and frees the slots that they held.

Dagster ends only runs whose process it started itself, and frees a slot of a pool only once its run has ended. So a
command that is killed would keep its slots forever, and everybody else would wait for them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import dagster as dg

from assets.dagster_records.start_lock import start_lock
from assets.run_control.run_processes import (
    FOLDER,
    PROCESS_LOCK,
    THIS_PROCESS,
    Life,
    Worker,
    find_worker,
    is_held,
    note_lost_sessions,
    read_home,
)
from pipeline.common.files.regular_files import list_regular_files

# Dagster's type for the state of a pool has no public name.
PoolInfo: TypeAlias = Any
# A run in the queue has no process yet, and holds nothing.
HELD_BY_A_PROCESS = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]

DIED = "Process {} ended in the middle of this run"


@dataclass(frozen=True, slots=True)
class OpenRun:
    """A run that has not ended, its process, and the pools of which it holds a slot."""

    run: dg.DagsterRun
    worker: Worker
    pools: tuple[str, ...]

    def __str__(self) -> str:
        """The run for people: its id's beginning, its job, its process, its pools."""
        held = f", holds a slot of {' and '.join(self.pools)}" if self.pools else ""
        return f"run {self.run.run_id[:8]} of process {self.worker.name}{held}"


def list_going_runs(instance: dg.DagsterInstance) -> list[OpenRun]:
    """All runs that began and have not ended, the oldest first. Changes nothing."""
    held: dict[str, list[str]] = {}
    for info in _list_pools(instance):
        for run_id in info.active_run_ids | info.assigned_run_ids:
            held.setdefault(run_id, []).append(info.concurrency_key)
    records = instance.get_run_records(dg.RunsFilter(statuses=HELD_BY_A_PROCESS), ascending=True)
    note_lost_sessions(record.dagster_run for record in records)
    return [
        OpenRun(
            record.dagster_run,
            find_worker(instance, record),
            tuple(sorted(set(held.get(record.dagster_run.run_id, ())))),
        )
        for record in records
    ]


def end_dead_runs(instance: dg.DagsterInstance, *, lost_hosts: Iterable[str] = ()) -> list[OpenRun]:
    """End the runs whose process has died, free their slots, and return them. Raises StartLockedError.

    Runs on `lost_hosts`, names of machines that are no longer in use, count as dead. Runs on other machines are left
    alone. Several processes may do this at once: they take turns.
    """
    lost = tuple(f" on {host}" for host in lost_hosts)

    def is_dead(one: OpenRun) -> bool:
        elsewhere = one.worker.life is Life.ELSEWHERE
        return one.worker.life is Life.DEAD or (elsewhere and one.worker.name.endswith(lost))

    home = read_home(instance)
    with start_lock(home):
        going = list_going_runs(instance)
        dead = [one for one in going if is_dead(one)]
        alive = [one for one in going if one not in dead]
        text = "{}, because the process or its machine was killed."
        ended = [one for one in dead if _end(instance, one, text.format(DIED.format(one.worker.name)))]
        _free_ended(instance, {one.run.run_id for one in alive})
        _forget_processes(
            home / FOLDER, {one.run.tags.get(PROCESS_LOCK, "").rpartition("/")[2] for one in alive}
        )
    return ended


def end_own_runs(instance: dg.DagsterInstance, why: str) -> None:
    """End the runs that this process began and no longer executes, because an error ended them before Dagster could."""
    own = THIS_PROCESS.build_tags(instance)[PROCESS_LOCK]
    for one in list_going_runs(instance):
        if one.run.tags.get(PROCESS_LOCK) == own:
            _end(instance, one, why)


def _end(instance: dg.DagsterInstance, one: OpenRun, text: str) -> bool:
    """End the run and free its slots. Returns False where it ended by itself in the meantime."""
    run = instance.get_run_by_id(one.run.run_id)
    going = run is not None and not run.is_finished
    if run is not None and going:
        if run.status is dg.DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, text)
        else:
            instance.report_run_failed(run, text)
    instance.event_log_storage.free_concurrency_slots_for_run(one.run.run_id)
    return going


def _free_ended(instance: dg.DagsterInstance, alive: set[str]) -> None:
    """Free what runs hold that have ended, or are no longer there: the pools were not informed of their end."""
    known = {run for info in _list_pools(instance) for run in info.active_run_ids | _count_waiting(info)}
    for run_id in known - alive:
        run = instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            instance.event_log_storage.free_concurrency_slots_for_run(run_id)


def _count_waiting(info: PoolInfo) -> set[str]:
    return set(info.assigned_run_ids | info.pending_run_ids)


def _list_pools(instance: dg.DagsterInstance) -> list[PoolInfo]:
    storage = instance.event_log_storage
    if not storage.supports_global_concurrency_limits:
        return []
    return [storage.get_concurrency_info(pool.name) for pool in storage.get_pool_limits()]


def _forget_processes(folder: Path, in_use: set[str]) -> None:
    """Delete the files of processes that have ended and are named by no unfinished run."""
    for file in list_regular_files(folder, ".lock"):
        if file.name not in in_use and not is_held(file):
            file.unlink(missing_ok=True)
