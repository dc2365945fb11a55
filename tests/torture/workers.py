"""Kills of what the control room runs: a run of Dagster's daemon is a process of its own, and dies by SIGKILL.

Nobody gives a command after that. The sensor `dead_runs` notices, the run is tried again, and the days come whole.
"""

import os
import random
import signal
import time
from collections.abc import Iterator, Mapping
from typing import Any

from assets.run_processes import PROCESS
from assets.run_tags import RANGE_END, RANGE_START
from tests.control_room import ControlRoom, control_room
from tests.programs import environment
from tests.torture.cases import Case
from tests.torture.kills import SHOWN, compare, look_for_remains, verify
from tests.torture.programs import BOUND_S, run
from tests.torture.states import ACTS, DAYS, Stage

# Dagster tries a run that died twice again (run_retries), so the third try must be left alone.
KILLS = 2
# A run of the daemon takes so long to load, fetch three days and store them on a machine with nothing else to do.
WORKS_S = 25.0
LOOK_EVERY_S = 0.5


def workers(stage: Stage, seed: str, count: int) -> Iterator[Case]:
    """So many runs of days, each killed twice."""
    for number in range(count):
        yield worker(stage, f"{seed}/{number}")


def worker(stage: Stage, seed: str) -> Case:
    """One run of days from the page, whose process is killed at two moments."""
    case = Case("kill", "daemon's worker", seed)
    act = ACTS["fetch"]
    goal = stage.state(act.goal)
    stage.lay(act.start)
    settings = stage.settings(act)
    if (lists := run(stage.path, "refresh", **settings)).code:
        case.faults.append(f"refresh left with {lists.code}: {lists.said[-SHOWN:]}")
        return case
    rng = random.Random(f"{seed} worker")  # noqa: S311 - draws cases, guards nothing
    began = time.monotonic()
    with control_room(
        stage.home, environment(stage.path, **settings), stage.calm, stage.path / "ui.log"
    ) as room:
        room.launch_days({RANGE_START: DAYS[1], RANGE_END: DAYS[3]})
        killed = _kill_tries(room, case, rng, began)
        case.struck = bool(killed)
        last = _wait_for_success(room, began)
        case.moment = "SIGKILL " + ", ".join(f"{moment:.1f} s" for moment in killed) + " after it began"
        if last["status"] != "SUCCESS":
            case.faults.append(f"the last try is {last['status']}")
    case.next_s = time.monotonic() - began
    verify(stage, case, "after the kills")
    if (done := run(stage.path, "publish", **settings)).code:
        case.faults.append(f"publish left with {done.code}: {done.said[-SHOWN:]}")
    case.peak_mb = done.peak_mb
    verify(stage, case, "after the publication")
    compare(stage, case, goal.tables)
    look_for_remains(stage, case)
    return case


def _kill_tries(room: ControlRoom, case: Case, rng: random.Random, began: float) -> list[float]:
    """Kill the processes of the first tries; the moments."""
    killed: list[float] = []
    seen: set[str] = set()
    while len(killed) < KILLS and time.monotonic() - began < BOUND_S:
        going = next((one for one in _runs_of_days(room) if _at_work(one) and one["runId"] not in seen), None)
        if going is None:
            if any(one["status"] == "SUCCESS" for one in _runs_of_days(room)):
                break
            time.sleep(LOOK_EVERY_S)
            continue
        seen.add(going["runId"])
        after_s = rng.uniform(0.0, WORKS_S)
        time.sleep(after_s)
        try:
            os.kill(int(going["tags"][PROCESS].split()[0]), signal.SIGKILL)
        except ProcessLookupError:
            # It was done before.
            continue
        killed.append(after_s)
    case.outcome = f"{len(killed)} kills"
    return killed


def _wait_for_success(room: ControlRoom, began: float) -> Mapping[str, Any]:
    """The newest run of days, once one has ended well, or as it is when patience ends."""
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
