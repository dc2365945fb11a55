"""The short form: a fixed number of cases of every kind, for each change of the program.

What has been found once is struck again first: `seeds/` holds it. All cases share a stage, whose undisturbed runs are
most of their cost, and a sandbox. Nothing here is drawn by the time or judged by it.
"""

import itertools
import random
import resource
from collections.abc import Collection, Iterator
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


def short(work: Path, seed: str) -> Iterator[Case]:
    """All cases of the short form."""
    with run_sandbox("--plants", str(PLANTS), "--seed", "7") as calm:
        stage = Stage(work, calm, calm, _list_measured())
        try:
            for case in itertools.chain(_kill(stage, seed), _damage(stage, seed)):
                say(case.line())
                yield case
        finally:
            stage.close()
    used = [resource.getrusage(of) for of in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    say(f"They took {sum(one.ru_utime + one.ru_stime for one in used):.0f} s of CPU.")


def _list_measured() -> set[str]:
    """The acts whose undisturbed run has to be measured; all others begin faster as forks of a loaded program."""
    kept = [(one["act"], manner) for one in kept_seeds("kill") for manner, _ in one["strikes"]]
    return {act for act, manner in (*kept, *KILLS) if manner in AT_A_PART or MANNERS[manner].lacks()}


def _kill(stage: Stage, seed: str) -> Iterator[Case]:
    for kept in kept_seeds("kill"):
        yield _look_at_effect(strike_again(stage, kept), [manner for manner, _ in kept["strikes"]])
    for number, (act, manner) in enumerate(KILLS):
        way = ANYWHERE if MANNERS[manner].lacks() else manner
        rng = random.Random(f"{seed} {act} {way}")  # noqa: S311 - draws cases, guards nothing
        strikes = [(way, MANNERS[way].draw(ACTS[act], rng))]
        yield _look_at_effect(kill(stage, act, strikes, f"{seed}/{number}"), [way])


def _look_at_effect(case: Case, ways: Collection[str]) -> Case:
    """A kill at a change of a name is no matter of luck: where it did not come, nothing was tested."""
    if "rename" in ways and not case.cuts:
        case.faults.append("the kill did not come, and the program ended by itself")
    return case


def _damage(stage: Stage, seed: str) -> Iterator[Case]:
    yield from fuzz_seeds()
    for scenario in ("flip", "race"):
        for kept in kept_seeds(scenario):
            yield strike_again(stage, kept)
    yield from flips(stage, seed, FLIPS, HEAL_EVERY)
    # Two runs of the same days are a race of the long tests: tests/e2e/test_shards.py.
    yield race(stage, RACES["first starts"], seed)
    yield short_flood(stage, seed)
