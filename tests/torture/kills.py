"""Kills: a command is struck, and then everything must be as if it had not been.

`verify` passes at once, or `repair` makes it pass; the next run of the same command ends well in a bounded time;
`verify` passes again; every table is that of the undisturbed run; no run is left going, no slot held.
"""

import random
from collections.abc import Iterator, Sequence

from tests.programs import run_states, slots
from tests.torture.cases import Case
from tests.torture.compare import Tables
from tests.torture.manners import MANNERS, Struck
from tests.torture.states import ACTS, ARCHIVE, Act, Stage

GOING = {"STARTED", "STARTING", "QUEUED", "NOT_STARTED", "CANCELING"}
# Exit codes that are an answer: done, failed and said so, used wrongly, done in part, by SIGTERM. Others are deaths.
ANSWERS = {0, 1, 2, 3, 143}
SHOWN = 300
# What a second `close` says when the first one was killed after its work.
DONE = "closed already"
# A manner, and what it drew.
Strike = tuple[str, float]


def kills(
    stage: Stage, seed: str, count: int, acts: Sequence[str], manners: Sequence[str], in_a_row: int = 1
) -> Iterator[Case]:
    """So many cases: the acts in turn, and with each the manners in turn, beginning where the seed says."""
    usable = [name for name in manners if not MANNERS[name].lacks()]
    first = sum(map(ord, seed))
    for number in range(count):
        # 7 acts and 9 manners: every pair comes once in 63 cases.
        act = acts[(first + number) % len(acts)]
        ways = [usable[(first + number + turn) % len(usable)] for turn in range(in_a_row)]
        name = f"{seed}/{number}"
        rng = random.Random(f"{name} {act} {ways}")  # noqa: S311 - draws cases, guards nothing
        yield kill(stage, act, [(way, MANNERS[way].draw(ACTS[act], rng)) for way in ways], name)


def kill(stage: Stage, name: str, strikes: Sequence[Strike], seed: str) -> Case:
    """The act with that name, struck again at each of its tries, and then left alone."""
    act = ACTS[name]
    ways = strikes[0][0] if len(strikes) == 1 else f"{len(strikes)} in a row"
    case = Case("kill", f"{name} {ways}", seed, strikes=0)
    case.again = {"scenario": "kill", "act": name, "strikes": [list(one) for one in strikes]}
    # The goal first: making it uses the stage.
    goal = stage.state(act.goal)
    stage.lay(act.start)
    cut = True
    for manner, at in strikes:
        if not cut:
            # There is nothing left to do for the next try.
            stage.lay(act.start)
        struck = MANNERS[manner].strike(stage, act, at)
        cut = struck.before(goal.code) and DONE not in struck.ended.said
        case.count(struck.moment, f"exit {struck.ended.code}", cut=cut)
        case.peak_mb = max(case.peak_mb, struck.ended.peak_mb)
        judge_end(case, struck)
        verify(stage, case, f"after {struck.moment}", repair=True)
        if act.name == "restore" and stage.home.exists():
            # It is done, and is refused from now on.
            break
    again(stage, case, act, goal.code)
    compare(stage, case, goal.tables, "after the next run")
    look_for_remains(stage, case)
    return case


def judge_end(case: Case, struck: Struck) -> None:
    """A program that could speak says one sentence and no traceback."""
    ended = struck.ended
    if ended.late:
        case.faults.append(f"it hung: {ended.last_line[:SHOWN]}")
    if ended.code in ANSWERS and "Traceback" in ended.said:
        case.faults.append(f"a traceback: {ended.last_line[:SHOWN]}")
    if ended.code > 0 and ended.code not in ANSWERS:
        case.faults.append(f"exit code {ended.code}: {ended.said[-SHOWN:]}")
    errors = [line for line in ended.said.splitlines() if line.startswith("Error: ")]
    if ended.code in {1, 143} and len(errors) != 1:
        case.faults.append(f"{len(errors)} sentences of error: {ended.said[-SHOWN:]}")


def verify(stage: Stage, case: Case, when: str, *, repair: bool = False) -> None:
    """`verify` must pass; `repair` may be needed for it where that is allowed, which is counted."""
    if not stage.home.exists():
        return
    look = stage.looker.look()
    code, said = look.code, look.said
    if code and repair:
        mended = stage.run("repair")
        case.healed = not mended.code
        ended = stage.run("verify")
        code, said = ended.code, said + mended.said + ended.said
    _judge_verify(case, when, code, said)


def _judge_verify(case: Case, when: str, code: int, said: str) -> None:
    if code:
        case.verified = False
        case.faults.append(f"verify {when} left with {code}: {said[-SHOWN:]}")


def again(stage: Stage, case: Case, act: Act, code: int) -> None:
    """The next run of the same command; where a restore was done already, the next one publishes."""
    words = act.words
    if act.name == "restore" and stage.home.exists():
        refused = stage.run(*words)
        if "is not empty" not in refused.said:
            case.faults.append(f"a second restore left with {refused.code}: {refused.said[-SHOWN:]}")
        words = ("publish",)
    ended = stage.run(*words, **stage.settings(act))
    case.next_s, case.peak_mb = ended.seconds, max(case.peak_mb, ended.peak_mb)
    closed = act.name == "close" and DONE in ended.said
    if ended.late or (ended.code != code and not closed):
        case.faults.append(f"the next run left with {ended.code}: {ended.said[-SHOWN:]}")
    if "Traceback" in ended.said:
        case.faults.append("the next run says a traceback")
    if closed and (done := stage.run("publish")).code:
        case.faults.append(f"publish left with {done.code}: {done.said[-SHOWN:]}")
    if act.name == "backup":
        _read_back(stage, case)


def _read_back(stage: Stage, case: Case) -> None:
    """A backup is worth what a restore makes of it."""
    stage.home.rename(stage.path / "former")
    ended = stage.run("restore", ARCHIVE)
    if ended.code:
        case.faults.append(f"the restore left with {ended.code}: {ended.said[-SHOWN:]}")


def compare(stage: Stage, case: Case, expected: Tables, when: str) -> None:
    """`verify` passes, every table is that of the undisturbed run, each stored answer is in the record of requests."""
    # Where a run that was ended, or one beside, has stored a part of a week, the rest is asked for by the day.
    look = stage.looker.look(expected, any_period=True)
    _judge_verify(case, when, look.code, look.said)
    case.equal = not look.differences
    case.faults += look.differences
    if look.unrecorded:
        case.faults.append(f"{look.unrecorded} stored answers have no request in api_requests")


def look_for_remains(stage: Stage, case: Case) -> None:
    """No run goes on, no slot is held, no days wait to be finished."""
    if going := GOING & set(run_states(stage.path)):
        case.faults.append(f"runs are left {', '.join(sorted(going))}")
    if held := slots(stage.path):
        case.faults.append(f"slots are held: {held}")
    unfinished = [path.name for path in (stage.home / "unfinished").glob("*") if path.suffix != ".lock"]
    if unfinished:
        case.faults.append(f"unfinished days are left: {unfinished}")
