"""Faults that stay: what can't be done is given up in a bounded time and said, each time; what then passes, goes on.

The command is tried twice under the fault, since a second try must not find a home that the first one has spoiled.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from sandbox.launch import run_sandbox
from tests.torture.cases import Case
from tests.torture.kills import again, compare, judge_end, look_for_remains, verify
from tests.torture.manners import Struck, lacks_disk, small_disk
from tests.torture.programs import MB, run
from tests.torture.states import ACTS, PLANTS, Act, Stage

TRIES = 2
# Settings that the command gets under the fault, and the program that starts it.
Under = tuple[dict[str, str], tuple[str, ...]]
# Every answer of these paths is like that, for ever: all of them, or all but the lists of plants and devices.
PATHS = {"everywhere": "", "on measurements": "/measurements/sets/"}


@contextmanager
def _disk(stage: Stage, act: Act, rng: random.Random) -> Iterator[Under]:
    with small_disk(stage, act, rng.uniform(0.0, 0.7)):
        yield stage.settings(act), ()


def _memory(stage: Stage, act: Act, rng: random.Random) -> AbstractContextManager[Under]:
    # From less than the libraries take to nearly enough.
    return nullcontext((stage.settings(act), ("prlimit", f"--as={rng.randint(400, 1400) * MB}")))


def _answers(kind: str, path: str) -> Callable[[Stage, Act, random.Random], AbstractContextManager[Under]]:
    @contextmanager
    def under(stage: Stage, act: Act, rng: random.Random) -> Iterator[Under]:
        fault = f"{kind}=1" + (f",path={path}" if path else "")
        with run_sandbox("--plants", str(PLANTS), "--seed", "7", "--fault", fault) as box:
            yield {**stage.settings(act), **box.settings()}, ()

    return under


Fault = Callable[[Stage, Act, random.Random], AbstractContextManager[Under]]
LASTING: dict[str, tuple[tuple[str, ...], Fault]] = {
    "full disk": (("fetch", "close", "rebuild", "publish", "backup"), _disk),
    "little memory": (("fetch", "close", "rebuild", "publish", "backup"), _memory),
} | {
    f"{kind} {where}": (("fetch",), _answers(kind, path))
    for kind in ("status_503", "status_429", "html_body", "reset", "truncated_body")
    for where, path in PATHS.items()
}


def lasting(stage: Stage, seed: str, count: int) -> Iterator[Case]:
    """So many cases: the faults in turn, and with each its acts in turn."""
    usable = [name for name in LASTING if not (name == "full disk" and lacks_disk())]
    for number in range(count):
        name = usable[number % len(usable)]
        acts, fault = LASTING[name]
        yield _last(stage, name, acts[number // len(usable) % len(acts)], fault, f"{seed}/{number}")


def _last(stage: Stage, name: str, act_name: str, fault: Fault, seed: str) -> Case:
    act = ACTS[act_name]
    case = Case("lasting", f"{act_name} {name}", seed, strikes=0)
    goal = stage.state(act.goal)
    stage.lay(act.start)
    rng = random.Random(f"{seed} {name}")  # noqa: S311 - draws cases, guards nothing
    with fault(stage, act, rng) as (settings, prefix):
        for _ in range(TRIES):
            ended = run(stage.path, *act.words, prefix=prefix, **settings)
            judge_end(case, Struck(ended, name))
            case.count(f"{ended.seconds:.0f} s", f"exit {ended.code}", cut=ended.code != goal.code)
            case.peak_mb = max(case.peak_mb, ended.peak_mb)
        if stage.home.exists() and not prefix:
            _verify_under(stage, case, settings)
    verify(stage, case, "once it has passed", repair=True)
    again(stage, case, act, goal.code)
    compare(stage, case, goal.tables, "after the next run")
    look_for_remains(stage, case)
    return case


def _verify_under(stage: Stage, case: Case, settings: dict[str, str]) -> None:
    """`verify` reads only, so it says the same under the fault: that all is well, or one sentence."""
    ended = run(stage.path, "verify", **settings)
    if "Traceback" in ended.said or ended.late or ended.code not in {0, 1}:
        case.faults.append(f"verify under the fault left with {ended.code}: {ended.last_line}")
