"""What a piece of work looked at in the lake and wrote there, noted while it runs, so that it need not be done twice.

All that a work learns of the lake begins with the names of a part's active files. A file is never written again, so the
same names stand for the same rows.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from schemas import Table
from warehouse.part_folders import find_folder

if TYPE_CHECKING:
    from warehouse.lake_reader import LakeReader

_STATE_BYTES = 8


class LakeLook(NamedTuple):
    """A model's table and the part of it that was looked at, as the folders of its files; none is all of the table."""

    model: type[Table]
    folders: str


# Says what a table holds for those who look at it, where that is less than which files it has.
Describe: TypeAlias = Callable[[], str]


@dataclass(slots=True)
class LakeTrace:
    """The looks of a work, with the files that each met first, and the parts that it wrote with their files."""

    seen: dict[LakeLook, tuple[str, ...]] = field(default_factory=dict)
    written: dict[LakeLook, tuple[str, ...]] = field(default_factory=dict)

    def describe_state(self, states: "LakeStates") -> dict[LakeLook, str] | None:
        """What each look finds now, after the work.

        None where somebody else has changed what the work had read, or put other rows in the place of what it wrote.
        """
        if any(states.list_names(look) != names for look, names in self.written.items()):
            return None
        for look, names in self.seen.items():
            if look not in self.written:
                now = _select_unwritten(states.list_names(look), look, self.written)
                if now != _select_unwritten(names, look, self.written):
                    return None
        return {
            look: states.find_state(look, self.written)
            for look in {**self.seen, **dict.fromkeys(self.written)}
        }


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


class LakeStates:
    """What looks find in the lake at one moment, each found once: make one for each moment."""

    def __init__(self, lake: "LakeReader", described: "Mapping[type[Table], Describe]") -> None:
        """Of the tables in `described`, a look at the whole of one finds what that function says."""
        self._lake, self._described = lake, described
        self._names: dict[LakeLook, tuple[str, ...]] = {}
        self._states: dict[tuple[LakeLook, frozenset[str]], str] = {}

    def list_names(self, look: LakeLook) -> tuple[str, ...]:
        """The names of the files that the look finds."""
        if look not in self._names:
            with leave_untraced():
                self._names[look] = self._lake.list_names(look.model, look.folders)
        return self._names[look]

    def find_state(self, look: LakeLook, written: "Iterable[LakeLook]") -> str:
        """A short text that is the same as long as the look finds the same, but for the parts in `written`.

        A look at a written part itself finds what is there now.
        """
        own = frozenset(part.folders for part in written if part.model is look.model and part != look)
        if (look, own) not in self._states:
            self._states[look, own] = self._compute_state(look, own)
        return self._states[look, own]

    def _compute_state(self, look: LakeLook, own: frozenset[str]) -> str:
        if not look.folders and look.model in self._described:
            with leave_untraced():
                said = self._described[look.model]()
        else:
            names = (name for name in self.list_names(look) if find_folder(name) not in own)
            said = "\n".join(f"{name} {self._describe_file(look.model, name)}" for name in names)
        return blake2b(said.encode(), digest_size=_STATE_BYTES).hexdigest()

    def _describe_file(self, model: type[Table], name: str) -> str:
        """What the system says of a file inside the table, which changes where a program or a disk changes the file.

        Nothing on an object store, which watches over its objects itself, and of a file that is gone.
        """
        if self._lake.remote:
            return ""
        try:
            seen = os.stat(f"{self._lake.find_uri(model)}/{name}")  # noqa: PTH116 - thousands a run
        except OSError:
            return "gone"
        return f"{seen.st_size} {seen.st_mtime_ns}"


def _select_unwritten(names: Iterable[str], look: LakeLook, written: Iterable[LakeLook]) -> list[str]:
    own = {part.folders for part in written if part.model is look.model}
    return [name for name in names if find_folder(name) not in own]
