"""Floods: thousands of answers, a fifth of them spoiled by every kind of fault of the sandbox's catalogue.

The flood ends by itself with an exit code that says so, in bounded memory, and `verify` passes. Once SMA answers well
again, one more run over the same days makes every table what it is where nothing was ever spoiled.
"""

import datetime as dt
import json
import math
import urllib.request
from collections.abc import Iterator, Sequence

from sandbox.faults.catalogue import KINDS
from sandbox.launch import SandboxAddress, run_sandbox
from tests.torture.cases import Case, say
from tests.torture.compare import Tables, UnreadableError, differences, requests_without_record, tables_of
from tests.torture.kills import SHOWN, look_for_remains, verify
from tests.torture.programs import Ended, run
from tests.torture.states import Stage

# Far beyond what a flood of a few thousand answers takes.
LEAST_BOUND_S = 1200.0
# The short flood: plants, answers from one fault to the next, and what slow faults take, in seconds or MB.
SHORT_PLANTS, APART, SHORT_SLOW = 8, 3, 2
# What happens to plants and can't be taken back: such a fleet never becomes that of the undisturbed run.
LASTING = {kind.name for kind in KINDS.values() if kind.of_plants}
SHARE = 0.2
# A few of these tell as much as thousands, which would only wait: what is asked for by `amount`, and how often.
SLOW = {"stall": (60, 2), "slow_first_byte": (2, 10), "slow_body": (2, 10), "huge_answer": (64, 6)}
# Answers of the default sets for a plant and week, and for a plant once: its devices and sets.
ANSWERS_A_WEEK, LISTS = 7.3, 7.0
WEEKS = 1
FIRST_DAY = dt.date(2025, 3, 3)
DAYS = ("--from", str(FIRST_DAY), "--to", str(FIRST_DAY + dt.timedelta(days=7 * WEEKS - 1)))
# More plants than these make a list that exceeds the bytes allowed for one answer, and tables too large to compare.
MOST_ANSWERS = 50_000
# No answer decides over the memory: far beyond what any fleet here takes, far below what a machine has.
MOST_MB = 4000.0
# What was spoiled was stored, and was corrected by the last run: that is what these tell of.
NOTICES = ("restatements", "row_changes", "adjustments")


def floods(stage: Stage, seed: str, answers: int, count: int, bound_s: float) -> Iterator[Case]:
    """So many floods of about `answers` requests each: with the faults that pass, and with those that last.

    A flood that would be too large becomes several, which have `answers` together.
    """
    parts = math.ceil(answers / MOST_ANSWERS)
    answers, count = round(answers / parts), count * parts
    plants = max(2, round(answers / (ANSWERS_A_WEEK * WEEKS + LISTS)))
    fleet = ("--plants", str(plants), "--seed", "7")
    undisturbed: Tables = {}
    for number in range(count):
        lasting = number % 2 == 1
        if not undisturbed and not lasting:
            undisturbed = _undisturbed(stage, fleet, bound_s)
        name = f"{seed}/{number}"
        # The sandbox draws its faults from its own seed, which also makes the fleet: ours says which kind comes first.
        faults = faults_of(name, lasting=lasting)
        yield flood(stage, fleet, name, {} if lasting else undisturbed, faults, bound_s=bound_s)


def short_flood(stage: Stage, seed: str) -> Case:
    """A small flood in which every fault that passes strikes once: no kind is left to chance."""
    fleet = ("--plants", str(SHORT_PLANTS), "--seed", "7")
    expected = _undisturbed(stage, fleet, LEAST_BOUND_S)
    return flood(stage, fleet, seed, expected, once_each(), bound_s=LEAST_BOUND_S)


def flood(
    stage: Stage,
    fleet: tuple[str, ...],
    seed: str,
    expected: Tables,
    faults: Sequence[str],
    *,
    bound_s: float,
) -> Case:
    """One flood. `expected` are the tables of a fleet that nobody disturbs; none: what lasts made others of them."""
    lasting = not expected
    case = Case("flood", "with what lasts" if lasting else "that passes", seed, cuts=1)
    stage.clear()
    with run_sandbox(*fleet, *(word for fault in faults for word in ("--fault", fault))) as box:
        spoiled = _backfill(stage, box, bound_s=bound_s)
        case.peak_mb = spoiled.peak_mb
        counts = _counts(box)
        _judge(case, spoiled, counts)
        verify(stage, case, "after the flood", repair=True)
        _send(box, "faults", {"faults": []})
        last = _backfill(stage, box, "--again", bound_s=bound_s)
    case.next_s, case.peak_mb = last.seconds, max(case.peak_mb, last.peak_mb)
    if last.late or last.code not in ({0, 1, 3} if lasting else {0}) or "Traceback" in last.said:
        case.faults.append(f"the run after the flood left with {last.code}: {last.said[-SHOWN:]}")
    verify(stage, case, "after the next run")
    if not lasting:
        _compare(stage, case, expected)
    if case.peak_mb > MOST_MB:
        case.faults.append(f"it took {case.peak_mb:.0f} MB")
    look_for_remains(stage, case)
    return case


def faults_of(seed: str, *, lasting: bool) -> list[str]:
    """All kinds as the sandbox is told them, a fifth of the requests in all, in an order by the seed."""
    names = [name for name in KINDS if lasting or name not in LASTING]
    turn = sum(map(ord, seed)) % len(names)
    told = []
    for name in names[turn:] + names[:turn]:
        text = f"{name}={SHARE / len(names):.5f}"
        if name in SLOW:
            amount, times = SLOW[name]
            text += f",amount={amount},times={times}"
        # One owner or plant in each flood is enough: the rest must still be asked for.
        told.append(f"{text},times=1" if name in LASTING else text)
    return told


def once_each() -> list[str]:
    """All kinds that pass, each on one answer, some answers after each other; what only waits does so for a second."""
    names = [name for name in KINDS if name not in LASTING]
    slow = {name: f",amount={min(amount, SHORT_SLOW)}" for name, (amount, _) in SLOW.items()}
    return [
        f"{name}=1,after={APART * number},times=1{slow.get(name, '')}" for number, name in enumerate(names)
    ]


def _undisturbed(stage: Stage, fleet: tuple[str, ...], bound_s: float) -> Tables:
    stage.clear()
    with run_sandbox(*fleet) as box:
        ended = stage.run("backfill", *DAYS, within_s=bound_s, **box.settings())
        if ended.code:
            raise RuntimeError(f"The undisturbed run left with {ended.code}: {ended.said}")
    say(f"undisturbed: {ended.seconds:.0f} s, {ended.peak_mb:.0f} MB; {_sent(ended)}")
    return tables_of(stage.home)


def _backfill(stage: Stage, box: SandboxAddress, *words: str, bound_s: float) -> Ended:
    return run(stage.path, "backfill", *DAYS, *words, within_s=bound_s, **box.settings())


def _judge(case: Case, ended: Ended, counts: dict[str, tuple[int, int]]) -> None:
    struck = sum(times for times, _ in counts.values())
    asked = max(matched for _, matched in counts.values())
    case.moment = (
        f"{struck} faults in {asked} answers, {sum(bool(times) for times, _ in counts.values())} kinds"
    )
    case.outcome = f"exit {ended.code} after {ended.seconds:.0f} s"
    if ended.late:
        case.faults.append(f"it hung: {ended.last_line[:SHOWN]}")
    if ended.code not in {0, 1, 3} or "Traceback" in ended.said:
        case.faults.append(f"exit code {ended.code}: {ended.said[-SHOWN:]}")


def _compare(stage: Stage, case: Case, expected: Tables) -> None:
    def figures(tables: Tables) -> Tables:
        return {name: frame for name, frame in tables.items() if not name.endswith(NOTICES)}

    try:
        found = differences(figures(expected), figures(tables_of(stage.home)))
        if lost := requests_without_record(stage.home):
            case.faults.append(f"{lost} stored answers have no request in api_requests")
    except UnreadableError as fault:
        found = [str(fault)]
    case.equal = not found
    case.faults += found


def _sent(ended: Ended) -> str:
    return next((line for line in ended.said.splitlines() if line.startswith("Fetched ")), "")


def _counts(box: SandboxAddress) -> dict[str, tuple[int, int]]:
    """How often each kind struck, and how many requests it might have."""
    with urllib.request.urlopen(f"{box.url}/_control", timeout=60) as answer:  # noqa: S310 - our own server on loopback
        shown = json.load(answer)["faults"]
    return {str(one["kind"]): (int(one["struck"]), int(one["matched"])) for one in shown}


def _send(box: SandboxAddress, what: str, content: object) -> None:
    request = urllib.request.Request(  # noqa: S310 - our own server on loopback
        f"{box.url}/_control/{what}",
        data=json.dumps(content).encode(),
        headers={"Content-Type": "application/json"},
        method="PUT",
    )
    with urllib.request.urlopen(request, timeout=60):  # noqa: S310 - our own server on loopback
        pass
