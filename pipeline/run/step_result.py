"""The report of a step: what it did with one part of a table, and what a person should know of it."""

from dataclasses import dataclass, field
from typing import Any

from pipeline.run.notices import Notices
from warehouse.lake import WriteResult


@dataclass(slots=True)
class StepResult:
    """What a step did with one part, and what a person should know of it; `pictures` are Markdown by name."""

    rows: int = 0
    changed: bool = False
    facts: dict[str, Any] = field(default_factory=dict)
    pictures: dict[str, str] = field(default_factory=dict)
    notices: Notices = field(default_factory=Notices)


def build_result(written: WriteResult, notices: Notices | None = None, /, **facts: Any) -> StepResult:
    """The report of a part that was written."""
    return StepResult(written.rows, written.changed, facts, notices=notices or Notices())
