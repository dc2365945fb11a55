"""Races: several processes of the program begin at once, on a new home or for the same days.

Each ends well, `verify` passes, and every table is that of one undisturbed run.
"""

import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from assets.dagster_records.record_databases import DATABASES
from tests.programs import rows
from tests.torture.cases import Case
from tests.torture.kills import SHOWN, compare, look_for_remains, verify
from tests.torture.programs import Running
from tests.torture.states import ACTS, DAYS, Stage

# Within so many seconds all of them are started, each at a moment of its own.
SPREAD_S = 0.6
Settings = dict[str, str]


@dataclass(frozen=True, slots=True)
class Race:
    """Commands that begin at once on a home in the state `start`, and the state that it comes to after `then`."""

    name: str
    start: str
    goal: str
    words: tuple[tuple[str, ...], ...]
    act: str = "fetch"
    then: tuple[str, ...] = ()
    postgres: bool = False


FETCH = ("backfill", *DAYS)
RACES = {
    race.name: race
    for race in (
        Race("first starts", "empty", "days", (("publish",),) * 4, then=FETCH),
        Race("same days", "empty", "days", (FETCH,) * 2),
        Race("same days again", "closed", "restated", (ACTS["restate"].words,) * 2, act="restate"),
        Race(
            "days and readers",
            "closed",
            "restated",
            (ACTS["restate"].words, ("publish",), ("verify",), ("backup", "all.tar"), ("verify",)),
            act="restate",
        ),
        Race("first starts on PostgreSQL", "empty", "days", (("publish",),) * 4, then=FETCH, postgres=True),
        Race("same days on PostgreSQL", "empty", "days", (FETCH,) * 2, postgres=True),
    )
}


def races(stage: Stage, seed: str, count: int, names: Sequence[str]) -> Iterator[Case]:
    """So many races of these kinds, drawn by the seed and in turn."""
    usable = [name for name in names if not (RACES[name].postgres and without_postgres())]
    first = sum(map(ord, seed))
    for number in range(count):
        yield race(stage, RACES[usable[(first + number) % len(usable)]], f"{seed}/{number}")


def race(stage: Stage, of: Race, seed: str) -> Case:
    """One race."""
    case = Case("race", of.name, seed)
    case.again = {"scenario": "race", "race": of.name, "seed": seed}
    goal = stage.state(of.goal)
    stage.lay(of.start)
    with _records(stage, postgres=of.postgres) as records:
        settings = stage.settings(ACTS[of.act]) | records
        _run_at_once(stage, of, case, settings)
        if of.then:
            ended = stage.run(*of.then, **settings)
            case.next_s, case.peak_mb = ended.seconds, max(case.peak_mb, ended.peak_mb)
            if ended.code or ended.late:
                case.faults.append(f"the next run left with {ended.code}: {ended.said[-SHOWN:]}")
        verify(stage, case, "after the race")
        # One alone publishes what all of them have stored.
        if (done := stage.run("publish", **settings)).code:
            case.faults.append(f"publish left with {done.code}: {done.said[-SHOWN:]}")
        compare(stage, case, goal.tables, "after the publication")
        if not of.postgres:
            look_for_remains(stage, case)
            _look_at_versions(stage, case)
    case.outcome = f"{len(of.words)} at once"
    return case


def _run_at_once(stage: Stage, of: Race, case: Case, settings: Settings) -> None:
    rng = random.Random(f"{case.seed} {of.name}")  # noqa: S311 - draws cases, guards nothing
    moments = sorted((rng.uniform(0, SPREAD_S), number) for number in range(len(of.words)))
    began, going = time.monotonic(), []
    for moment, number in moments:
        time.sleep(max(0.0, began + moment - time.monotonic()))
        going.append((of.words[number], Running(stage.path, *of.words[number], **settings)))
    case.moment = ", ".join(f"{of.words[number][0]} at {moment:.2f} s" for moment, number in moments)
    for words, running in going:
        ended = running.end()
        case.next_s, case.peak_mb = max(case.next_s, ended.seconds), max(case.peak_mb, ended.peak_mb)
        if ended.code or ended.late or "Traceback" in ended.said:
            case.faults.append(f"{words[0]} left with {ended.code}: {ended.said[-SHOWN:]}")


def _look_at_versions(stage: Stage, case: Case) -> None:
    """Each of Dagster's databases was set up by one process."""
    for name in DATABASES:
        found = rows(stage.home / "dagster" / name, "SELECT version_num FROM alembic_version")
        if len(found) != 1:
            case.faults.append(f"{name} has {len(found)} versions")


@contextmanager
def _records(stage: Stage, *, postgres: bool) -> Iterator[Settings]:
    """Where Dagster keeps its records: in the home, or in a PostgreSQL of the case's own."""
    if not postgres:
        yield {}
        return
    from tests.assets import postgres_server  # noqa: PLC0415 - needs pytest

    with postgres_server.postgres() as settings:
        (stage.home / "dagster").mkdir(parents=True)
        postgres_server.configure_postgres(stage.home / "dagster")
        yield settings


def without_postgres() -> str:
    """Why there are no races on PostgreSQL; empty where there are."""
    from tests.assets.postgres_server import BINARIES  # noqa: PLC0415 - needs pytest

    return "" if BINARIES else "PostgreSQL is not installed"
