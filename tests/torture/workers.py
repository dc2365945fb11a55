"""Kills of the control room: a run of Dagster's daemon, which is a process of its own, the daemon, the code, or all.

Nobody gives a command after that; what a service manager does is done: an ended control room is started again. The
sensor `dead_runs` notices, the run is tried again, and the days come whole.
"""

import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

from assets.run_control.run_processes import PROCESS
from assets.run_control.run_tags import RANGE_END, RANGE_START
from tests.control_room import ControlRoom, control_room
from tests.programs import environment, is_there
from tests.torture.cases import Case
from tests.torture.kills import SHOWN, compare, look_for_remains, verify
from tests.torture.programs import BOUND_S, run
from tests.torture.states import ACTS, DAYS, Stage

# Dagster tries a run that died twice again (run_retries), so the third try must be left alone.
KILLS = 2
# A run of the daemon takes so long to load, fetch three days and store them on a machine with nothing else to do.
WORKS_S = 25.0
LOOK_EVERY_S = 0.5
# What stands in the command lines of the daemon and of what has loaded the code, and of nothing that they start.
DAEMON, CODE = "assets.daemon", "assets.code_server"


def workers(stage: Stage, seed: str, count: int) -> Iterator[Case]:
    """So many runs of days: each kind of kill in turn."""
    for number in range(count):
        kind = list(WAYS)[number % len(WAYS)]
        yield _kill_room(stage, kind, f"{seed}/{number}")


def _kill_room(stage: Stage, kind: str, seed: str) -> Case:
    """One run of days from the page, and what is killed while it works."""
    case = Case("kill", kind, seed)
    act = ACTS["fetch"]
    goal = stage.state(act.goal)
    stage.lay(act.start)
    settings = stage.settings(act)
    if (lists := run(stage.path, "refresh", **settings)).code:
        case.faults.append(f"refresh left with {lists.code}: {lists.said[-SHOWN:]}")
        return case
    rng = random.Random(f"{seed} {kind}")  # noqa: S311 - draws cases, guards nothing
    began = time.monotonic()
    last = WAYS[kind](stage, case, rng)
    if last["status"] != "SUCCESS":
        case.faults.append(f"the last try is {last['status']}")
    case.next_s = time.monotonic() - began
    verify(stage, case, "after the kills")
    if (done := run(stage.path, "publish", **settings)).code:
        case.faults.append(f"publish left with {done.code}: {done.said[-SHOWN:]}")
    case.peak_mb = done.peak_mb
    compare(stage, case, goal.tables, "after the publication")
    look_for_remains(stage, case)
    return case


def _room(stage: Stage) -> AbstractContextManager[ControlRoom]:
    settings = stage.settings(ACTS["fetch"])
    return control_room(stage.home, environment(stage.path, **settings), stage.calm, stage.path / "ui.log")


def _launch(room: ControlRoom) -> None:
    room.launch_days({RANGE_START: DAYS[1], RANGE_END: DAYS[3]})


def _kill_tries(stage: Stage, case: Case, rng: random.Random) -> Mapping[str, Any]:
    """Kill the processes of the first tries; the last try."""
    began = time.monotonic()
    killed: list[float] = []
    seen: set[str] = set()
    with _room(stage) as room:
        _launch(room)
        while len(killed) < KILLS and time.monotonic() - began < BOUND_S:
            going = next(
                (one for one in _runs_of_days(room) if _at_work(one) and one["runId"] not in seen), None
            )
            if going is None:
                if any(one["status"] == "SUCCESS" for one in _runs_of_days(room)):
                    break
                time.sleep(LOOK_EVERY_S)
                continue
            seen.add(going["runId"])
            after_s = rng.uniform(0.0, WORKS_S)
            time.sleep(after_s)
            # It may be done before.
            with suppress(ProcessLookupError):
                os.kill(int(going["tags"][PROCESS].split()[0]), signal.SIGKILL)
                killed.append(after_s)
        case.strikes = case.cuts = len(killed)
        case.outcome = f"{len(killed)} kills"
        case.moment = "SIGKILL " + ", ".join(f"{moment:.1f} s" for moment in killed) + " after it began"
        return _wait_for_success(room)


def _launch_and_let_work(room: ControlRoom, work_s: float) -> None:
    """Launch a run of days, and return when it has been at work for so long."""
    _launch(room)
    began = time.monotonic()
    while not any(map(_at_work, _runs_of_days(room))) and time.monotonic() - began < BOUND_S:
        time.sleep(LOOK_EVERY_S)
    time.sleep(work_s)


def _kill_daemon(stage: Stage, case: Case, rng: random.Random) -> Mapping[str, Any]:
    """Kill the daemon alone: the control room ends by itself and says why."""
    return _kill_and_start_again(
        stage, case, rng, lambda pid: [one for one in _below(pid) if _is(one, DAEMON)]
    )


def _kill_code(stage: Stage, case: Case, rng: random.Random) -> Mapping[str, Any]:
    """Kill the process that has loaded the code: it is started again, and the run that it had begun is tried again."""
    after_s = rng.uniform(0.0, WORKS_S)
    with _room(stage) as room:
        _launch_and_let_work(room, after_s)
        struck = [one for one in _below(room.process.pid) if _is(one, CODE)]
        for pid in struck:
            os.kill(pid, signal.SIGKILL)
        case.struck, case.outcome = bool(struck), f"{len(struck)} processes killed"
        case.moment = f"SIGKILL {after_s:.1f} s after it began"
        until = time.monotonic() + BOUND_S
        while not any(_is(one, CODE) for one in _below(room.process.pid)):
            if time.monotonic() > until:
                case.faults.append("nothing has loaded the code again")
                break
            time.sleep(LOOK_EVERY_S)
        return _wait_for_success(room)


def _kill_parent(stage: Stage, case: Case, rng: random.Random) -> Mapping[str, Any]:
    """Kill the first process alone, as the kernel may: what it has started ends too, and holds nothing."""
    return _kill_and_start_again(stage, case, rng, lambda pid: [pid])


def _kill_all(stage: Stage, case: Case, rng: random.Random) -> Mapping[str, Any]:
    """Kill every process of the control room at once, as the end of a container does."""
    return _kill_and_start_again(stage, case, rng, lambda pid: [pid, *_below(pid)])


def _kill_and_start_again(
    stage: Stage, case: Case, rng: random.Random, victims: Callable[[int], list[int]]
) -> Mapping[str, Any]:
    after_s = rng.uniform(0.0, WORKS_S)
    with _room(stage) as room:
        _launch_and_let_work(room, after_s)
        all_of_it = _below(room.process.pid)
        struck = victims(room.process.pid)
        for pid in struck:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        room.process.wait(BOUND_S)
        until = time.monotonic() + BOUND_S
        while (left := [pid for pid in all_of_it if is_there(pid)]) and time.monotonic() < until:
            time.sleep(LOOK_EVERY_S)
        if left:
            case.faults.append(f"{len(left)} processes of the control room live on")
    case.struck, case.outcome = bool(struck), f"{len(struck)} processes killed"
    case.moment = f"SIGKILL {after_s:.1f} s after it began"
    with _room(stage) as room:
        return _wait_for_success(room)


WAYS: dict[str, Callable[[Stage, Case, random.Random], Mapping[str, Any]]] = {
    "daemon's worker": _kill_tries,
    "daemon": _kill_daemon,
    "code server": _kill_code,
    "control room's first process": _kill_parent,
    "whole control room": _kill_all,
}


def _below(pid: int) -> list[int]:
    """The processes that a process has started, and theirs."""
    try:
        named = [
            word for file in Path(f"/proc/{pid}/task").glob("*/children") for word in file.read_text().split()
        ]
    except OSError:
        return []
    return [one for child in map(int, named) for one in (child, *_below(child))]


def _is(pid: int, named: str) -> bool:
    try:
        return named in Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except OSError:
        return False


def _wait_for_success(room: ControlRoom) -> Mapping[str, Any]:
    """The newest run of days, once one has ended well, or as it is when patience ends."""
    began = time.monotonic()
    while True:
        runs = _runs_of_days(room)
        done = next((one for one in runs if one["status"] == "SUCCESS"), None)
        if done or time.monotonic() - began > BOUND_S:
            return done or runs[0]
        time.sleep(LOOK_EVERY_S)


def _runs_of_days(room: ControlRoom) -> list[dict[str, Any]]:
    return [one for one in room.runs() if RANGE_START in one["tags"]]


def _at_work(one: Mapping[str, Any]) -> bool:
    return one["status"] == "STARTED" and PROCESS in one["tags"]
