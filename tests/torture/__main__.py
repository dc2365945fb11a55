"""The program under accidents: kills, floods of faults, flipped bits and races. After each, every figure must be there.

Each case has a name such as `17/3`: the seed and its number. The same seed draws the same cases.
"""

import argparse
import contextlib
import itertools
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from sandbox.launch import run_sandbox
from tests.torture.cases import Case, say, table, write_report
from tests.torture.flips import flips
from tests.torture.floods import LEAST_BOUND_S, floods
from tests.torture.kills import kills
from tests.torture.lasting import lasting
from tests.torture.manners import MANNERS
from tests.torture.races import RACES, races, without_postgres
from tests.torture.seeds import keep
from tests.torture.short import short
from tests.torture.states import ACTS, PLANTS, Stage
from tests.torture.workers import workers

# The corrected figures that a second reading gets: everything is three per cent higher.
LATER = "drift,amount=3"
# One round of all scenarios.
ROUND = {"kill": 9, "flip": 24, "race": 1, "lasting": 1, "flood": 1}
# The short form draws the same cases each time, so that a change of the program is what makes it fail.
SHORT_SEED = "1"
# A flood of a million answers takes hours.
BOUND_S_AN_ANSWER = 1.0
Scenario = Callable[[argparse.Namespace, Stage, str, int], Iterator[Case]]


def _kills(options: argparse.Namespace, stage: Stage, seed: str, count: int) -> Iterator[Case]:
    return kills(stage, seed, count, options.acts, options.manners, options.in_a_row)


def _workers(_: argparse.Namespace, stage: Stage, seed: str, count: int) -> Iterator[Case]:
    return workers(stage, seed, count)


def _flips(options: argparse.Namespace, stage: Stage, seed: str, count: int) -> Iterator[Case]:
    return flips(stage, seed, count, options.heal_every)


def _races(options: argparse.Namespace, stage: Stage, seed: str, count: int) -> Iterator[Case]:
    return races(stage, seed, count, options.races)


def _lasting(_: argparse.Namespace, stage: Stage, seed: str, count: int) -> Iterator[Case]:
    return lasting(stage, seed, count)


def _floods(options: argparse.Namespace, stage: Stage, seed: str, count: int) -> Iterator[Case]:
    bound_s = max(LEAST_BOUND_S, options.answers * BOUND_S_AN_ANSWER)
    return floods(stage, seed, options.answers, count, bound_s)


SCENARIOS: dict[str, tuple[Scenario, str]] = {
    "kill": (_kills, "a command is ended before its time"),
    "worker": (_workers, "a run of Dagster's daemon is killed; takes minutes each"),
    "flip": (_flips, "a bit of a stored file is another one"),
    "race": (_races, "several processes begin at once"),
    "lasting": (_lasting, "a disk stays full, memory stays short, SMA's service stays out of order"),
    "flood": (_floods, "a fifth of SMA's answers is spoiled"),
}


def main() -> int:
    """Do the scenario; 1 where any case came to a fault."""
    options = _options()
    chosen = SHORT_SEED if options.scenario == "short" else str(random.SystemRandom().randrange(10**9))
    seed = options.seed or chosen
    say(f"seed {seed}: give it again by --seed {seed}")
    _say_what_is_lacking()
    cases: list[Case] = []
    with _work(options.work) as work:
        try:
            for case in _cases(options, work, seed):
                cases.append(case)
                if options.json:
                    write_report(cases, options.json)
                if (options.stop and case.faults) or time.monotonic() > options.deadline:
                    break
        except KeyboardInterrupt:
            say("Stopped: what was done so far follows.")
        finally:
            if cases:
                say(table(cases))
    faulty = [case for case in cases if case.faults]
    for case in faulty:
        say(f"Fault: {case.line()}")
        if options.keep and (file := keep(case)):
            say(f"Kept as {file.name}: the short form strikes it again from now on.")
    say(f"{len(cases)} cases, {len(faulty)} with a fault; seed {seed}.")
    return 1 if faulty or not cases else 0


def _options() -> argparse.Namespace:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--seed", help="What is drawn by lot; default: another one each time, which is printed."
    )
    common.add_argument("--minutes", type=float, help="Go on for so long; no case begins after that.")
    common.add_argument(
        "--json", type=Path, metavar="FILE", help="Write the table and all cases to this file."
    )
    common.add_argument(
        "--work", type=Path, metavar="FOLDER", help="Work there: it is emptied first, and kept."
    )
    common.add_argument(
        "--stop", action="store_true", help="Stop at the first fault, to look at it in --work."
    )
    common.add_argument("--acts", nargs="+", choices=list(ACTS), default=list(ACTS), help="What is killed.")
    common.add_argument("--manners", nargs="+", choices=list(MANNERS), default=list(MANNERS), help="How.")
    common.add_argument(
        "--in-a-row",
        type=int,
        default=1,
        metavar="N",
        help="Strike N tries of a command one after the other.",
    )
    common.add_argument("--races", nargs="+", choices=list(RACES), default=list(RACES), help="Which races.")
    common.add_argument(
        "--answers",
        type=int,
        default=700,
        help="How many answers a flood has; many are made in parts.",
    )
    common.add_argument(
        "--heal-every",
        type=int,
        default=10,
        metavar="N",
        help="Try repair on each Nth flip that verify sees; 0: none.",
    )
    common.add_argument(
        "--keep", action="store_true", help="Write cases with a fault into tests/torture/seeds."
    )
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    chosen = parser.add_subparsers(dest="scenario", required=True)
    for name, (_, what) in SCENARIOS.items():
        one = chosen.add_parser(name, help=what, parents=[common])
        one.add_argument(
            "--count", type=int, default=ROUND.get(name, 1), help="How many cases; with --minutes: more."
        )
    chosen.add_parser("all", help="a round of all but worker; with --minutes: rounds", parents=[common])
    chosen.add_parser(
        "short", help="the short form: the same cases of every kind each time", parents=[common]
    )
    options = parser.parse_args()
    options.deadline = time.monotonic() + (options.minutes or 1e6) * 60
    return options


def _say_what_is_lacking() -> None:
    for manner in MANNERS.values():
        if why := manner.lacks():
            say(f"Kills by {manner.name} are left out: {why}.")
    if why := without_postgres():
        say(f"Races on PostgreSQL are left out: {why}.")


@contextlib.contextmanager
def _work(folder: Path | None) -> Iterator[Path]:
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="sunledger-torture-") as name:
            yield Path(name).resolve()
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    yield folder.resolve()


def _cases(options: argparse.Namespace, work: Path, seed: str) -> Iterator[Case]:
    if options.scenario == "short":
        yield from short(work, seed)
        return
    fleet = ("--plants", str(PLANTS), "--seed", "7")
    with run_sandbox(*fleet) as calm, run_sandbox(*fleet, "--fault", LATER) as later:
        stage = Stage(work, calm, later)
        try:
            for turn in itertools.count() if options.minutes else range(1):
                for case in _round(options, stage, f"{seed}/{turn}" if turn else seed):
                    say(case.line())
                    yield case
        finally:
            stage.close()


def _round(options: argparse.Namespace, stage: Stage, seed: str) -> Iterator[Case]:
    chosen = ROUND if options.scenario == "all" else {options.scenario: options.count}
    for scenario, count in chosen.items():
        yield from SCENARIOS[scenario][0](options, stage, seed, count)


if __name__ == "__main__":
    sys.exit(main())
