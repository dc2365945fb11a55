"""What a piece of work looked at in the lake and wrote there, noted while it runs, so that it need not be done twice.

All that a work learns of the lake begins with the names of a part's active files. A file is never written again, so the
same names stand for the same rows.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import NamedTuple

from schemas import Table


class LakeLook(NamedTuple):
    """A model's table and the part of it that was looked at, as the folders of its files; none is all of the table."""

    model: type[Table]
    folders: str


@dataclass(slots=True)
class LakeTrace:
    """The looks of a work, with the files that each met first, and the parts that it wrote with their files."""

    seen: dict[LakeLook, tuple[str, ...]] = field(default_factory=dict)
    written: dict[LakeLook, tuple[str, ...]] = field(default_factory=dict)


_TRACE: ContextVar[LakeTrace | None] = ContextVar("lake_trace", default=None)


@contextmanager
def watch_lake() -> Iterator[LakeTrace]:
    """Note what this thread looks at and writes during the block. Only the innermost of several traces notes it."""
    trace = LakeTrace()
    before = _TRACE.set(trace)
    try:
        yield trace
    finally:
        _TRACE.reset(before)


@contextmanager
def leave_untraced() -> Iterator[None]:
    """During the block nothing is noted: for looks that decide nothing."""
    before = _TRACE.set(None)
    try:
        yield
    finally:
        _TRACE.reset(before)


def note_look(model: type[Table], folders: str, names: Iterable[str]) -> None:
    """The names of files, inside the table, that a look at a part has found."""
    trace = _TRACE.get()
    if trace is not None:
        look = LakeLook(model, folders)
        if look not in trace.seen:
            trace.seen[look] = tuple(names)


def note_writing(model: type[Table], folders: str, names: Iterable[str]) -> None:
    """A part was written: these files, named inside the table, are all that it has."""
    trace = _TRACE.get()
    if trace is not None:
        trace.written[LakeLook(model, folders)] = tuple(names)
