"""Forty questions that analysts ask: one `.sql` file each, for the published file.

A file begins with the question as a comment line and a line that says what it reads: `report` (small tables) or
`detail` (intervals). The query follows. `python -m warehouse.questions DEMO` writes docs/questions.md from them and
from the demo's folder.
"""

from dataclasses import dataclass
from importlib.resources import files
from typing import Literal, TypeAlias, cast

Reads: TypeAlias = Literal["report", "detail"]


@dataclass(frozen=True, slots=True)
class Question:
    """A question, the SQL that answers it, and what that reads."""

    number: int
    text: str
    reads: Reads
    query: str


def load_questions() -> tuple[Question, ...]:
    """All questions in order."""
    found = sorted((f for f in files(__name__).iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    return tuple(_parse(int(f.name.removesuffix(".sql")), f.read_text("utf-8").splitlines()) for f in found)


def _parse(number: int, lines: list[str]) -> Question:
    text, reads = (line.removeprefix("-- ") for line in lines[:2])
    if reads not in ("report", "detail"):
        raise ValueError(
            f"Question {number}: the second line is not '-- report' or '-- detail', but {reads!r}."
        )
    return Question(number, text, cast("Reads", reads), "\n".join(lines[2:]).strip())
