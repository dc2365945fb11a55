"""The short form: a fixed number of cases of every kind, for each change of the program.

What has been found once is struck again first: `seeds/` holds it. Two lanes work beside each other, each with a stage
and a sandbox of its own. Nothing here is drawn by the time or judged by it.
"""

import multiprocessing
import random
import resource
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from sandbox.launch import run_sandbox
from tests.torture.cases import Case, say
from tests.torture.flips import LAYERS, flips
from tests.torture.floods import short_flood
from tests.torture.fuzz import fuzz_seeds
from tests.torture.kills import kill
from tests.torture.manners import MANNERS
from tests.torture.races import RACES, race
from tests.torture.seeds import kept_seeds, strike_again
from tests.torture.states import ACTS, PLANTS, Stage

# Manners that strike without luck: -9 and SIGTERM where something is written, -9 between two names, a full disk, too
# little memory. Every act but `restore`, of which a kept seed and tests/e2e/test_backup.py have those that matter.
KILLS = (
    ("fetch", "write"),
    ("fetch", "disk"),
    ("close", "term-write"),
    ("rebuild", "rename"),
    ("publish", "memory"),
    ("backup", "disk"),
)
# Takes its place where the machine lacks something.
ANYWHERE = "write"
# These strike at a part of what the undisturbed run has written.
AT_A_PART = {"write", "term-write"}
FLIPS, HEAL_EVERY = len(LAYERS), 2


def short(work: Path, seed: str) -> list[Case]:
    """All cases of the short form, in the order of the lanes."""
    # A process that was forked from one with threads may never start: the looker and polars have some.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(len(LANES), mp_context=context) as pool:
        going = [pool.submit(_run_lane, name, work / name, seed) for name in LANES]
        cases = [case for lane in going for case in lane.result()]
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    say(f"Both lanes took {used.ru_utime + used.ru_stime:.0f} s of CPU.")
    return cases


def _run_lane(name: str, work: Path, seed: str) -> list[Case]:
    work.mkdir(parents=True)
    found: list[Case] = []
    with run_sandbox("--plants", str(PLANTS), "--seed", "7") as calm:
        stage = Stage(work, calm, calm, _list_measured() if name == "kills" else ())
        try:
            for case in LANES[name](stage, seed):
                say(case.line())
                found.append(case)
        finally:
            stage.close()
    return found


def _list_measured() -> set[str]:
    """The acts whose undisturbed run has to be measured; all others begin faster as forks of a loaded program."""
    kept = [(one["act"], manner) for one in kept_seeds("kill") for manner, _ in one["strikes"]]
    return {act for act, manner in (*kept, *KILLS) if manner in AT_A_PART or MANNERS[manner].lacks()}


def _kill(stage: Stage, seed: str) -> Iterator[Case]:
    for kept in kept_seeds("kill"):
        yield strike_again(stage, kept)
    for number, (act, manner) in enumerate(KILLS):
        way = ANYWHERE if MANNERS[manner].lacks() else manner
        rng = random.Random(f"{seed} {act} {way}")  # noqa: S311 - draws cases, guards nothing
        yield kill(stage, act, [(way, MANNERS[way].draw(ACTS[act], rng))], f"{seed}/{number}")


def _damage(stage: Stage, seed: str) -> Iterator[Case]:
    yield from fuzz_seeds()
    for scenario in ("flip", "race"):
        for kept in kept_seeds(scenario):
            yield strike_again(stage, kept)
    yield from flips(stage, seed, FLIPS, HEAL_EVERY)
    # Two runs of the same days are a race of the long tests: tests/e2e/test_shards.py.
    yield race(stage, RACES["first starts"], seed)
    yield short_flood(stage, seed)


LANES: dict[str, Callable[[Stage, str], Iterator[Case]]] = {"kills": _kill, "damage": _damage}
