"""What a case came to, its line, and the table at the end."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(slots=True)
class Case:
    """One accident and what came after it. `faults` says in sentences what must not be; none: all is well.

    `strikes`: how many accidents. `cuts`: those with an effect: the program ended before its work was done, or `verify`
    sees the damage. `verified`:
    `verify` passed afterwards, or saw what there was to see. `healed`: `repair` had something to do, and did it.
    `again`: what a file of seeds holds, so that the case can be struck once more.
    """

    scenario: str
    what: str
    seed: str
    moment: str = ""
    strikes: int = 1
    cuts: int = 0
    verified: bool = True
    healed: bool = False
    equal: bool = True
    next_s: float = 0.0
    peak_mb: float = 0.0
    outcome: str = ""
    faults: list[str] = field(default_factory=list)
    again: dict[str, Any] = field(default_factory=dict)

    @property
    def struck(self) -> bool:
        """Whether any of its accidents had an effect."""
        return self.cuts > 0

    @struck.setter
    def struck(self, effect: bool) -> None:
        self.cuts = int(effect)

    def count(self, moment: str, outcome: str, *, cut: bool) -> None:
        """Note one more accident of the case."""
        self.strikes += 1
        self.cuts += cut
        self.moment += f"{', ' if self.moment else ''}{moment}"
        self.outcome += f"{', ' if self.outcome else ''}{outcome}"

    def line(self) -> str:
        """One line for people."""
        state = "; ".join(self.faults) if self.faults else "well"
        figures = f" (next run {self.next_s:.1f} s, {self.peak_mb:.0f} MB)" if self.next_s else ""
        return f"[{self.seed}] {self.scenario} {self.what}: {self.moment}, {self.outcome}: {state}{figures}"


def say(text: str) -> None:
    """Write a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


HEADS = (
    "scenario",
    "cases",
    "strikes",
    "cut",
    "done before",
    "verify green",
    "healed",
    "equal",
    "worst next run s",
    "peak MB",
    "faults",
)


def summarize(cases: Sequence[Case]) -> list[dict[str, str | int | float]]:
    """The figures of all cases by `HEADS`: a row for each kind, and one for all of them."""
    kinds = dict.fromkeys((case.scenario, case.what) for case in cases)
    rows = [
        _row(" ".join(kind), [case for case in cases if (case.scenario, case.what) == kind]) for kind in kinds
    ]
    return [*rows, _row("all", cases)]


def table(cases: Sequence[Case]) -> str:
    """The same as a table in Markdown."""
    lines = [f"| {' | '.join(HEADS)} |", "|---|" + "---:|" * (len(HEADS) - 1)]
    lines += [f"| {' | '.join(str(row[head]) for head in HEADS)} |" for row in summarize(cases)]
    return "\n".join(lines)


def _row(name: str, cases: Sequence[Case]) -> dict[str, str | int | float]:
    strikes, cut = (sum(getattr(case, what) for case in cases) for what in ("strikes", "cuts"))
    cells = [
        name,
        len(cases),
        strikes,
        cut,
        strikes - cut,
        sum(case.verified for case in cases),
        sum(case.healed for case in cases),
        sum(case.equal for case in cases),
        round(max((case.next_s for case in cases), default=0), 1),
        round(max((case.peak_mb for case in cases), default=0)),
        sum(bool(case.faults) for case in cases),
    ]
    return dict(zip(HEADS, cells, strict=True))


def write_report(cases: Sequence[Case], file: Path) -> None:
    """The table and all cases as JSON."""
    report = {"table": summarize(cases), "cases": [asdict(case) for case in cases]}
    file.write_text(json.dumps(report, indent=1))
