"""The curated views: one `.sql` file each, the answer to a question that analysts ask first.

A file begins with a comment. Its first line says whether the publication keeps the rows (`table`: they are few, and
asked for often) or the query (`view`). Then come a paragraph that says what the view shows, an empty comment line, and
one line `-- column: meaning` for every column. Both become comments in the published file. The query follows; the
rows of a table lie in its order. They are made in the order of their names, so one can read those before it.

A line `-- shared: name` stands for the text of `shared/name.sql`, which several views have in common.

`exact_sum(column)`, with or without FILTER, stands for a sum whose last digit does not depend on the order of the rows:
kept rows are equal whichever way a publication made them.
"""

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal, TypeAlias, cast

Kind: TypeAlias = Literal["table", "view"]

_SHARED = re.compile(r"^-- shared: (\w+)$", re.MULTILINE)
_EXACT_SUM = re.compile(r"\bexact_sum\(([\w.]+)\)( FILTER \(WHERE [^()]*\))?")
_KEY = re.compile(r"Key: ([a-z_, ]+)\.")
_COLUMN = re.compile(r"(\w+): (.+)")


@dataclass(frozen=True, slots=True)
class CuratedView:
    """A view: its name, what is kept of it, what it shows, the meaning of each column in order, and its query."""

    name: str
    kind: Kind
    comment: str
    columns: dict[str, str]
    query: str

    @property
    def key(self) -> tuple[str, ...]:
        """The columns that the comment names as the key; none where it names no key."""
        found = _KEY.search(self.comment)
        return tuple(found[1].split(", ")) if found else ()


@cache
def load_curated_views() -> tuple[CuratedView, ...]:
    """All curated views, by name."""
    found = sorted((f for f in files(__name__).iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    return tuple(
        parse_view(f.name.removesuffix(".sql"), _write_sums(_insert_shared(f.read_text("utf-8"))))
        for f in found
    )


@cache
def load_shared(name: str) -> str:
    """The text that several views, and other queries, have in common under this name."""
    return (files(__name__) / "shared" / f"{name}.sql").read_text("utf-8").rstrip("\n")


def _insert_shared(text: str) -> str:
    return _SHARED.sub(lambda found: load_shared(found[1]), text)


def _write_sums(text: str) -> str:
    """Sums of doubles depend on their order, sums of decimals do not. What is no energy on earth (1e29) is left out."""
    return _EXACT_SUM.sub(r"sum(TRY_CAST(\1 AS DECIMAL(38, 9)))\2::DOUBLE", text)


def parse_view(name: str, text: str) -> CuratedView:
    """A view from its file's text. Raises ValueError when the leading comment is not as described above."""
    lines = text.splitlines()
    length = next((i for i, line in enumerate(lines) if not line.startswith("--")), len(lines))
    kind, *head = [line.removeprefix("--").strip() for line in lines[:length]] or [""]
    if kind not in ("table", "view"):
        raise ValueError(f"View {name}: begin with the line '-- table' or '-- view'.")
    if "" not in head:
        raise ValueError(f"View {name}: begin with a comment, an empty comment line, and a line per column.")
    middle = head.index("")
    meanings = [_COLUMN.fullmatch(line) for line in head[middle + 1 :]]
    if not all(meanings):
        wrong = head[middle + 1 + meanings.index(None)]
        raise ValueError(f"View {name}: {wrong!r} is not 'column: meaning'.")
    return CuratedView(
        name=name,
        kind=cast("Kind", kind),
        comment=" ".join(head[:middle]),
        columns={found[1]: found[2] for found in meanings if found},
        query="\n".join(lines[length:]).strip().removesuffix(";"),
    )
