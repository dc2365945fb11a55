"""What looks find in the lake at one moment, as short texts: whether a piece of work would find the same again."""

import os
from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from typing import TypeAlias

from schemas import Table
from warehouse.lake_reader import LakeReader
from warehouse.lake_trace import LakeLook, LakeTrace, leave_untraced
from warehouse.part_folders import find_folder

_STATE_BYTES = 8
# Says what a table holds for those who look at it, where that is less than which files it has.
Describe: TypeAlias = Callable[[], str]


class LakeStates:
    """What looks find in the lake at one moment, each found once: make one for each moment."""

    def __init__(self, lake: LakeReader, described: Mapping[type[Table], Describe]) -> None:
        """Of the tables in `described`, a look at the whole of one finds what that function says."""
        self._lake, self._described = lake, described
        self._names: dict[LakeLook, tuple[str, ...]] = {}
        self._states: dict[tuple[LakeLook, frozenset[str]], str] = {}

    def describe_trace(self, trace: LakeTrace) -> dict[LakeLook, str] | None:
        """What each look of a work finds now, after the work.

        None where somebody else has changed what the work had read, or put other rows in the place of what it wrote.
        """
        if any(self.list_names(look) != names for look, names in trace.written.items()):
            return None
        for look, names in trace.seen.items():
            if look not in trace.written:
                now = _select_unwritten(self.list_names(look), look, trace.written)
                if now != _select_unwritten(names, look, trace.written):
                    return None
        return {
            look: self.find_state(look, trace.written)
            for look in {**trace.seen, **dict.fromkeys(trace.written)}
        }

    def list_names(self, look: LakeLook) -> tuple[str, ...]:
        """The names of the files that the look finds."""
        if look not in self._names:
            with leave_untraced():
                self._names[look] = self._lake.list_names(look.model, look.folders)
        return self._names[look]

    def find_state(self, look: LakeLook, written: Iterable[LakeLook]) -> str:
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
