"""A Delta table as the lake's readers and writers hold it: what its log says is asked for once a version.

A day passes through twenty tables, each step looks at the versions of what it reads before and after, and each look
through delta-rs lists the log and wakes its threads: more CPU than the rows of a small fleet. A look at one file name
tells as well whether anything was committed, and the files of a version never change.
"""

import datetime as dt
import os
import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Self, TypeAlias
from urllib.parse import unquote

from deltalake import DeltaTable

from schemas import Table, storage
from warehouse.lake_trace import note_look

Part: TypeAlias = Mapping[str, dt.date | str]

PLAIN = re.compile(r"[A-Za-z0-9_-]+")


class LakeTable(DeltaTable):
    """A model's table at one version, until it is brought to the newest."""

    def __init__(
        self,
        model: type[Table],
        uri: str,
        version: int | None = None,
        storage_options: dict[str, str] | None = None,
    ) -> None:
        """As DeltaTable's."""
        super().__init__(uri, version=version, storage_options=storage_options)
        self.remember_place(model, uri)

    @classmethod
    def wrap(cls, model: type[Table], uri: str, created: DeltaTable) -> Self:
        """A table that was just created, without a further look at its log."""
        table = cls.__new__(cls)
        table.__dict__.update(created.__dict__)
        table.remember_place(model, uri)
        return table

    def remember_place(self, model: type[Table], uri: str) -> None:
        """Keep which table this is, and that nothing of it was listed yet."""
        self._model, self._levels = model, storage(model).partition
        # The folder of the log, where that is one of this machine.
        self._log = None if "://" in uri else f"{uri}/_delta_log"
        self._listed_at = -1
        self._listed: dict[str, list[str]] = {}

    def refresh(self) -> None:
        """Bring the table to its newest version. Raises what delta-rs raises for a log that can't be read."""
        if not self._is_newest():
            self.update_incremental()

    def list_file_uris(self, part: Part) -> list[str]:
        """The active files of a part in the order of their names, which is that of parts by date.

        Raises ValueError for a value that cannot name a part.
        """
        folders = name_folders(self._model, part)
        found = self._list_below(folders)
        note_look(self._model, folders, (cut_table_path(self._model, uri) for uri in found))
        return found

    def list_names(self, folders: str) -> list[str]:
        """The paths inside the table of the active files of a part, which is named by its folders."""
        return [cut_table_path(self._model, uri) for uri in self._list_below(folders)]

    def _list_below(self, folders: str) -> list[str]:
        if self._listed_at != self.version():
            self._list_all_files()
        wanted = {*folders.split("/")} if folders else set()
        if len(wanted) == len(self._levels):
            return list(self._listed.get(folders, ()))
        return [
            uri for folder, uris in self._listed.items() if wanted <= {*folder.split("/")} for uri in uris
        ]

    def _list_all_files(self) -> None:
        """The files of this version by the folders that name their parts."""
        found: defaultdict[str, list[str]] = defaultdict(list)
        first = -1 - len(self._levels)
        for uri in sorted(self.file_uris()):
            found["/".join(uri.split("/")[first:-1])].append(uri)
        self._listed, self._listed_at = found, self.version()

    def _is_newest(self) -> bool:
        """Whether nothing was committed since; False too where only a look at the whole log can tell.

        Entries of a log have the numbers of their versions, without holes.
        """
        if self._log is None:
            return False
        # Thousands of looks a run: names as texts cost a third of what paths do.
        now, following = (f"{self._log}/{self.version() + step:020d}.json" for step in (0, 1))
        return os.path.exists(now) and not os.path.exists(following)  # noqa: PTH110 - see above


def cut_table_path(model: type[Table], uri: str) -> str:
    """A file's path inside the model's table."""
    # Local paths come as the paths of URLs. Names of parts and files need no quotes either way.
    return unquote(uri).rpartition(f"/{storage(model).table}/")[2]


def name_folders(model: type[Table], part: Part) -> str:
    """The folders of a part; none for all of the table.

    Its values stand in paths, so they are plain words: our own dates and table names. Raises ValueError for others.
    """
    for name, value in part.items():
        if not PLAIN.fullmatch(str(value)):
            raise ValueError(f"{name}={value!r} cannot name a part: use letters, digits, '_' and '-'.")
    return "/".join(f"{name}={part[name]}" for name in storage(model).partition if name in part)
