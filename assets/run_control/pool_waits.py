"""Announces and bounds waits for a slot of a pool, with the name of the run that holds it.

Dagster itself waits without a word, forever, and with a whole core: so a command waits here before its run begins, and
a run that has to wait in its midst is watched, and sleeps between two looks.
"""

import ctypes
import math
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
from sqlalchemy.exc import SQLAlchemyError

from assets.run_control.dead_runs import OpenRun, end_dead_runs, list_going_runs
from assets.run_control.run_processes import Life
from pipeline.common.errors import SunledgerError

LOOK_EVERY_S = 2.0
TELL_EVERY_S = 60.0
# How often a step that waits for a slot looks whether it was given one.
CLAIM_EVERY_S = 1.0

Say = Callable[[str], None]


class PoolBusyError(SunledgerError):
    """A run got no slot of a pool within the time that it waits."""


@dataclass(slots=True)
class PoolWait:
    """A wait for slots of pools, of a run that is about to begin or that waits in its midst."""

    instance: dg.DagsterInstance
    say: Say
    patience_s: float
    # Why a run was ended in its midst.
    fault: PoolBusyError | None = field(default=None, init=False)
    _since: float | None = field(default=None, init=False)
    _told: float = field(default=0.0, init=False)

    def look(self, pools: Collection[str]) -> None:
        """Announce once a minute which runs hold these full pools. Raises PoolBusyError after the time limit."""
        now = time.monotonic()
        if self._since is None:
            self._since = self._told = now
            self.say(
                f"{self._describe_holders(pools)} The run waits for at most {self.patience_s / 60:g} minutes."
            )
        elif now - self._since >= self.patience_s:
            raise PoolBusyError(
                f"{self._describe_holders(pools)} No slot became free within {self.patience_s / 60:g} minutes "
                "(SUNLEDGER_POOL_WAIT_MINUTES): wait until that run has ended, or end its process, then run this "
                "again."
            )
        elif now - self._told >= TELL_EVERY_S:
            self._told = now
            self.say(
                f"Still waiting, for {(now - self._since) / 60:.0f} minutes: {self._describe_holders(pools)}"
            )

    def end(self) -> None:
        """Record that the wait is over; the next wait starts from zero."""
        self._since = None

    def free_dead(self) -> None:
        """End dead runs and announce it, so that no run waits for them."""
        for one in end_dead_runs(self.instance):
            self.say(describe_ended_run(one))

    def _describe_holders(self, pools: Collection[str]) -> str:
        going = [one for one in list_going_runs(self.instance) if set(one.pools) & set(pools)]
        names = "; ".join(_describe_holder(one) for one in going) or "an unknown run"
        word = "pool" if len(pools) == 1 else "pools"
        return f"All slots of {word} {', '.join(sorted(pools))} are held by other runs: {names}."


def describe_ended_run(one: OpenRun) -> str:
    """What is said of a dead run that was ended."""
    held = f"; its slot of {' and '.join(one.pools)} is free again" if one.pools else ""
    return (
        f"Notice: run {one.run.run_id[:8]} was ended, because its process ({one.worker.name}) had died{held}."
    )


def _describe_holder(one: OpenRun) -> str:
    if one.worker.life is not Life.ELSEWHERE:
        return str(one)
    host = one.worker.name.rpartition(" on ")[2]
    return (
        f"{one}, which can't be checked from this machine (if {host} is no longer in use, run 'sunledger repair "
        f"--lost-host {host}')"
    )


def list_busy_pools(instance: dg.DagsterInstance, pools: Collection[str]) -> list[str]:
    """The pools that have no free slot."""
    storage = instance.event_log_storage
    if not pools or not storage.supports_global_concurrency_limits:
        return []
    found = storage.get_concurrency_infos(sorted(pools))
    return [
        name for name, info in found.items() if info.slot_count and info.active_slot_count >= info.slot_count
    ]


def wait_for_pools(wait: PoolWait, pools: Collection[str]) -> None:
    """Wait until each of the pools has a free slot. Raises PoolBusyError after the time limit."""
    while taken := list_busy_pools(wait.instance, pools):
        wait.free_dead()
        taken = list_busy_pools(wait.instance, pools)
        if not taken:
            break
        wait.look(taken)
        time.sleep(LOOK_EVERY_S)
    wait.end()


@contextmanager
def watch_pools(
    wait: PoolWait, run_id: str, *, say_fault: bool = False, let_go: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """While this run goes on, tell its waits for pools; one that lasts too long ends it, and is `wait.fault`.

    With `say_fault` the failure is announced like the wait, for callers that do not read `wait.fault`. `let_go` is
    called while the run waits, so that it holds nothing for which the holder of a slot may wait.
    """
    done, runs_steps = threading.Event(), threading.get_ident()

    def look() -> bool:
        """Whether the run may go on waiting."""
        pools = _list_awaited_pools(wait.instance, run_id)
        if not pools:
            wait.end()
            return True
        if _was_ended(wait.instance, run_id):
            return False
        let_go()
        wait.free_dead()
        if not assign_free_slots(wait.instance, pools):
            wait.look(pools)
        return True

    def watch() -> None:
        may_wait = True
        while may_wait and not done.wait(LOOK_EVERY_S):
            try:
                # Records that can't be read for a moment end the run itself, if they do: the next look is soon.
                with suppress(SQLAlchemyError):
                    may_wait = look()
            except PoolBusyError as fault:
                wait.fault = fault
                if say_fault:
                    wait.say(str(fault))
                may_wait = False
        if not may_wait:
            _interrupt(runs_steps)

    thread = threading.Thread(target=watch, name="pool-waits", daemon=True)
    thread.start()
    try:
        with _pause_claims(wait.instance, run_id):
            yield
    finally:
        done.set()
        thread.join()


@contextmanager
def _pause_claims(instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """While this run goes on, let each of its steps that waits for a slot sleep before it looks for one again.

    Dagster would not sleep until the moment of its next look, but compare it with the clock without end. Here each look
    is due at once, whatever the clock says, also one that was set back.
    """
    storage: Any = instance.event_log_storage
    claim = storage.claim_concurrency_slot
    looked: dict[str, float] = {}

    def claim_after_pause(pool: str, run: str, step: str, priority: int | None = None) -> Any:
        if run == run_id and step in looked:
            time.sleep(max(0.0, looked[step] + CLAIM_EVERY_S - time.monotonic()))
        found = claim(pool, run, step, priority)
        if found.is_claimed:
            return found
        looked[step] = time.monotonic()
        return found.with_sleep_interval(-math.inf)

    storage.claim_concurrency_slot = claim_after_pause
    try:
        yield
    finally:
        storage.claim_concurrency_slot = claim


def _was_ended(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether somebody else wants the run to end, or has recorded that it did."""
    found = instance.get_run_by_id(run_id)
    return found is None or found.is_finished or found.status is dg.DagsterRunStatus.CANCELING


def _interrupt(thread: int) -> None:
    """End the run whose steps that thread runs, as Ctrl-C ends a step.

    A signal would not do it: while Dagster waits for a slot, it keeps signals for the step that comes then.
    """
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread), ctypes.py_object(dg.DagsterExecutionInterruptedError)
    )


def assign_free_slots(instance: dg.DagsterInstance, pools: Collection[str]) -> bool:
    """Give a free slot of each of the pools to a step that waits for it. Returns whether there was one.

    Dagster looks for a free slot first, and lets the step wait afterwards. A slot that is given back between the two is
    given to nobody, and nothing would wake the step. Several processes may do this at once: a step takes a slot only
    while it is free.
    """
    # Its type has neither method; the storages that have pools do, those in SQLite and in PostgreSQL.
    storage: Any = instance.event_log_storage
    free = [pool for pool in pools if storage.has_unassigned_slots(pool)]
    storage.assign_pending_steps(free)
    return bool(free)


def _list_awaited_pools(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    """The pools for which a step of the run waits."""
    storage = instance.event_log_storage
    if not storage.supports_global_concurrency_limits:
        return []
    found = storage.get_concurrency_infos([pool.name for pool in storage.get_pool_limits()])
    return [name for name, info in found.items() if run_id in info.pending_run_ids]
