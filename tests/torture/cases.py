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

    `struck`: it had an effect: the program ended before its work was done, or `verify` sees the damage. `verified`:
    `verify` passed afterwards, or saw what there was to see. `healed`: `repair` had something to do, and did it.
    `again`: what a file of seeds holds, so that the case can be struck once more.
    """

    scenario: str
    what: str
    seed: str
    moment: str = ""
    struck: bool = False
    verified: bool = True
    healed: bool = False
    equal: bool = True
    next_s: float = 0.0
    peak_mb: float = 0.0
    outcome: str = ""
    faults: list[str] = field(default_factory=list)
    again: dict[str, Any] = field(default_factory=dict)

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
    "cut",
    "done before",
    "verify green",
    "healed",
    "equal",
    "worst next run s",
    "peak MB",
    "faults",
)


def table(cases: Sequence[Case]) -> str:
    """The figures of all cases, one line for each kind, as a table in Markdown."""
    kinds = dict.fromkeys((case.scenario, case.what) for case in cases)
    lines = [f"| {' | '.join(HEADS)} |", "|---|" + "---:|" * (len(HEADS) - 1)]
    lines += [
        _row(" ".join(kind), [case for case in cases if (case.scenario, case.what) == kind]) for kind in kinds
    ]
    lines.append(_row("all", cases))
    return "\n".join(lines)


def _row(name: str, cases: Sequence[Case]) -> str:
    cut = sum(case.struck for case in cases)
    cells = [
        name,
        len(cases),
        cut,
        len(cases) - cut,
        sum(case.verified for case in cases),
        sum(case.healed for case in cases),
        sum(case.equal for case in cases),
        f"{max((case.next_s for case in cases), default=0):.1f}",
        f"{max((case.peak_mb for case in cases), default=0):.0f}",
        sum(bool(case.faults) for case in cases),
    ]
    return f"| {' | '.join(map(str, cells))} |"


def write_report(cases: Sequence[Case], file: Path) -> None:
    """All cases as JSON."""
    file.write_text(json.dumps([asdict(case) for case in cases], indent=1))
