"""States of a home that undisturbed runs have made, each once: where cases begin, and what they must come to.

A published file names the files of its lake by their paths, so every case works at the same place: the stage, which a
state is laid on as a copy.
"""

import shutil
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.launch import SandboxAddress
from tests.torture.compare import Tables, tables_of
from tests.torture.looker import Looker
from tests.torture.programs import BOUND_S, Ended, run, run_loaded

DAYS = ("--from", "2025-06-02", "--to", "2025-06-04")
MONTH = "2025-06"
ARCHIVE = "all.tar"
PLANTS = 3
# Values beyond half of the rated power are set aside, which changes many figures of a sunny day.
OTHER_RULES = "beyond_rated_times = 0.5\n"


@dataclass(frozen=True, slots=True)
class Act:
    """A command that brings a home from one state to another one.

    `later`: it asks the SMA whose figures became others. `rules`: it works with other rules of quality.
    """

    name: str
    start: str
    goal: str
    words: tuple[str, ...]
    later: bool = False
    rules: bool = False

    @property
    def needs_sma(self) -> bool:
        """Whether it sends requests."""
        return self.words[0] == "backfill"


ACTS = {
    act.name: act
    for act in (
        Act("fetch", "empty", "days", ("backfill", *DAYS)),
        Act("close", "days", "closed", ("close", MONTH, "--anyway")),
        Act("restate", "closed", "restated", ("backfill", *DAYS, "--again"), later=True),
        Act("rebuild", "closed", "rebuilt", ("rebuild",), rules=True),
        Act("publish", "days", "published", ("publish",)),
        Act("backup", "days", "saved", ("backup", ARCHIVE)),
        Act("restore", "archive", "restored", ("restore", ARCHIVE)),
    )
}


@dataclass(slots=True)
class State:
    """A home as an undisturbed run has left it, its tables, and how that run was."""

    folder: Path
    tables: Tables = field(default_factory=dict)
    made: Ended | None = None

    @property
    def code(self) -> int:
        """The exit code of that run."""
        return self.made.code if self.made else 0


class Stage:
    """The place of all cases below `work`, and the states that were made on it so far."""

    def __init__(
        self,
        work: Path,
        calm: SandboxAddress,
        later: SandboxAddress,
        measured: Collection[str] | None = None,
    ) -> None:
        """`calm` and `later` are the services that are asked: the first one, and that whose figures were corrected.

        Each run is a process that is measured; with `measured` only the undisturbed ones of these acts, and all other
        runs begin faster, as forks of a loaded program.
        """
        self.path, self._work = work / "stage", work
        self.calm, self._later, self._measured = calm, later, measured
        self._states: dict[str, State] = {}
        self.looker = Looker(self.home)
        (work / "rules.toml").write_text(OTHER_RULES)

    @property
    def home(self) -> Path:
        """The home of the case."""
        return self.path / "home"

    def close(self) -> None:
        """End what looks at the home."""
        self.looker.close()

    def settings(self, act: Act) -> dict[str, str]:
        """What the act is told by its environment."""
        rules = {"SUNLEDGER_QUALITY": str(self._work / "rules.toml")} if act.rules else {}
        return {**(self._later if act.later else self.calm).settings(), **rules}

    def run(self, *words: str, within_s: float = BOUND_S, **settings: str) -> Ended:
        """Run the program to its end, undisturbed; `within_s` is for a run that is measured."""
        if self._measured is None:
            return run(self.path, *words, within_s=within_s, **settings)
        return run_loaded(self.path, *words, **settings)

    def lay(self, name: str) -> State:
        """Make the stage hold that state."""
        state = self.state(name)
        self.clear()
        shutil.copytree(state.folder, self.path, symlinks=True, dirs_exist_ok=True)
        return state

    def clear(self) -> None:
        """Make the stage an empty folder; the folder itself stays, since a small disk may be mounted there."""
        self.path.mkdir(parents=True, exist_ok=True)
        for path in self.path.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def state(self, name: str) -> State:
        """The state, made by undisturbed runs where it was not yet."""
        if name not in self._states:
            self._states[name] = self._make(name)
        return self._states[name]

    def _make(self, name: str) -> State:
        folder = self._work / "states" / name
        if name == "empty":
            folder.mkdir(parents=True)
            return State(folder)
        if name == "archive":
            folder.mkdir(parents=True)
            shutil.copy2(self.state("saved").folder / ARCHIVE, folder)
            return State(folder)
        act = next(act for act in ACTS.values() if act.goal == name)
        self.lay(act.start)
        words, settings = act.words, self.settings(act)
        measured = act.name in (self._measured or ())
        ended = run(self.path, *words, **settings) if measured else self.run(*words, **settings)
        # 3 is done in part: with other rules, days have gaps.
        if ended.code not in {0, 3}:
            raise RuntimeError(f"The undisturbed {act.name} left with {ended.code}: {ended.said}")
        shutil.copytree(self.path, folder, symlinks=True)
        return State(folder, tables_of(self.home), ended)
