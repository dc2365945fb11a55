"""Keeps a work from writing over what another run has written since the work began.

A commit guards the rows that it replaces only from the moment at which they are compared. New rows are made before
that, from tables as they were then, so a slow process could put an older state in the place of a newer one, and a kill
right after would leave it there. Whoever changes a table makes what follows from it afterwards: if a part has other
files than when the work began, the work is the older one, and is done again.
"""

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.common.errors import SunledgerError
from schemas import Table, storage
from warehouse.part_folders import Part, cut_table_path, name_folders

if TYPE_CHECKING:
    from warehouse.lake_reader import LakeReader


@dataclass(eq=False, slots=True)
class HeldPart:
    """A part of a table, named by its folders (none: all of the table), and the files that a work knows of it."""

    lake: "LakeReader"
    model: type[Table]
    folders: str
    names: set[str]

    def contains(self, lake: "LakeReader", model: type[Table], folders: str) -> bool:
        """Whether what is written through the lake into these folders of the model's table is a part of this one."""
        within = not self.folders or f"{folders}/".startswith(f"{self.folders}/")
        return self.lake is lake and self.model is model and within

    def list_names(self, folders: str) -> set[str]:
        """The known files of a part that is a part of this one."""
        return {name for name in self.names if name.rpartition("/")[0] == folders}


class PartChangedError(SunledgerError):
    """Another run has written a part since the work that was to replace it began; `held` says which."""

    def __init__(self, held: HeldPart, folders: str) -> None:
        super().__init__(
            f"{storage(held.model).table} {folders}".rstrip()
            + ": nothing was written, because another run wrote it at the same time: run it again when that has ended."
        )
        self.held = held


_HELD: ContextVar[tuple[HeldPart, ...]] = ContextVar("held_parts", default=())


@contextmanager
def hold_parts(lake: "LakeReader", parts: Iterable[tuple[type[Table], Part]]) -> Iterator[list[HeldPart]]:
    """During the block this thread writes nothing through the lake into parts that somebody else has written meanwhile.

    The writing raises PartChangedError instead. What the block itself has written is no obstacle.
    """
    held = []
    for model, part in parts:
        folders = name_folders(model, part)
        held.append(HeldPart(lake, model, folders, set(lake.list_names(model, folders))))
    before = _HELD.set((*held, *_HELD.get()))
    try:
        yield held
    finally:
        _HELD.reset(before)


def check_held_part(lake: "LakeReader", model: type[Table], folders: str, uris: Iterable[str]) -> None:
    """Raises PartChangedError where a part that is held has other files now, which `uris` are."""
    held = [one for one in _HELD.get() if one.contains(lake, model, folders)]
    if held:
        now = {cut_table_path(model, uri) for uri in uris}
        for one in held:
            if one.list_names(folders) != now:
                raise PartChangedError(one, folders)


def note_held_writing(lake: "LakeReader", model: type[Table], folders: str, names: Collection[str]) -> None:
    """This thread has written the part: these files, named inside the table, are all that it has."""
    for one in _HELD.get():
        if one.contains(lake, model, folders):
            one.names -= one.list_names(folders)
            one.names.update(names)
