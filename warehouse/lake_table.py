"""A Delta table as the lake's readers and writers hold it: what its log says is read once, and then followed.

A day passes through twenty tables, each step looks at the versions of what it reads before and after, and each look
through delta-rs lists the log, reads it from its last checkpoint on and wakes its threads: more CPU than the rows of a
small fleet. In a folder a look at one file name tells whether anything was committed. What was is an entry of a few
lines, which says by itself which files it puts in the place of which, and so is our own commit. Anything else than
that, and checkpoints, are for delta-rs. So is the beginning of a log, but not what follows it: delta-rs takes ten times
as long for an entry as it takes to read its lines.
"""

import json
import os
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable
from deltalake import Schema as DeltaSchema
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.transaction import AddAction

from pipeline.common.release import find_release
from schemas import Table, storage
from warehouse.lake_log import (
    CHECKPOINT,
    ENTRY,
    LOG,
    Action,
    build_remove,
    name_entry,
    put_entry,
    sync_version,
)
from warehouse.lake_trace import note_look
from warehouse.object_store import CHECKPOINT_AFTER, choose_hooks
from warehouse.part_folders import Part, cut_table_path, find_folder, name_folders

# What an entry may say for us to follow it: files that come and go.
_FOLLOWED = {"commitInfo", "add", "remove"}
# What asks nothing of a commit but files that come and go.
_PLAIN_WRITERS = {2, 7}
_PLAIN_FEATURES = {"timestampNtz"}


class LakeTable:
    """A model's table at one version, until it is brought to the newest."""

    def __init__(self, model: type[Table], uri: str, delta: DeltaTable) -> None:
        """Hold the version that delta-rs has read."""
        self._model, self._levels, self._delta = model, storage(model).partition, delta
        # The folder of the table, where that is one of this machine.
        self._folder = None if "://" in uri else uri
        # delta-rs names local files by the paths of their URLs.
        self._place = delta.table_uri.removeprefix("file://").rstrip("/")
        self._take_state()

    @classmethod
    def open_folder(cls, model: type[Table], uri: str) -> "LakeTable":
        """The table in a folder of this machine, at its newest version. Raises what delta-rs raises, and OSError."""
        begins, newest = _find_ends(uri)
        if begins is not None:
            try:
                table = cls(model, uri, DeltaTable(uri, version=begins))
                table.refresh()
            except DeltaError:
                # delta-rs describes a fault of the log best when it reads all of it.
                pass
            else:
                # Before an entry that is missing the versions end, but not the log.
                if table.version() >= newest:
                    return table
        return cls(model, uri, DeltaTable(uri))

    def _take_state(self) -> None:
        """Begin again with the version that delta-rs has read."""
        self._version = self._delta.version()
        self._listed: dict[str, list[str]] | None = None
        self._plain: bool | None = None

    def version(self) -> int:
        """The version that is held."""
        return self._version

    @property
    def delta(self) -> DeltaTable:
        """The table for delta-rs, at the version that is held or a later one. Raises what delta-rs raises."""
        if self._delta.version() < self._version:
            self._delta.update_incremental()
        return self._delta

    def refresh(self) -> None:
        """Bring the table to its newest version. Raises what delta-rs raises for a log that can't be read.

        Entries of a log have the numbers of their versions, without holes.
        """
        # A run looks here thousands of times, and texts cost a third of what paths do.
        if self._folder is None or not os.path.exists(f"{self._folder}/{name_entry(self._version)}"):  # noqa: PTH110
            self._reread()
            return
        while (entry := self._read_next()) is not None:
            if not self._follow(entry):
                self._reread()
                return

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

    def file_uris(self) -> list[str]:
        """All active files in the order of their names, unnoticed by those who trace looks."""
        return self._list_below("")

    def commit(
        self,
        schema: pa.Schema,
        part: Part,
        files: Sequence[str],
        added: AddAction | None,
        facts: Mapping[str, str],
    ) -> int:
        """Put a file (None: no rows) in the place of the part's `files`, as exactly the next version; return that.

        `files` are what the part was seen to have, by their addresses, and `facts` go into the entry. Raises
        CommitFailedError if another run has committed since the table was refreshed, or the part has other files.
        """
        if self._list_below(name_folders(self._model, part)) != [*files]:
            raise CommitFailedError("the part has changed since it was compared")
        following = self._version + 1
        # By default delta-rs would move a commit behind one that came first, and accept two first writes of one day.
        if (
            self._folder is None
            or following % CHECKPOINT_AFTER == CHECKPOINT_AFTER - 1
            or not self._is_plain(schema)
        ):
            self._commit_by_delta(schema, part, added, facts)
            if self._folder is not None:
                sync_version(self._folder, following)
        else:
            self._commit_entry(part, files, added, facts)
        return following

    def _is_plain(self, schema: pa.Schema) -> bool:
        """Whether the table has these columns and no rules that another tool gave it: a commit may bring new ones."""
        if self._plain is None:
            delta = self._delta
            protocol = delta.protocol()
            features = {*(protocol.writer_features or ()), *(protocol.reader_features or ())}
            self._plain = (
                delta.schema() == DeltaSchema.from_arrow(schema)
                and protocol.min_writer_version in _PLAIN_WRITERS
                and features <= _PLAIN_FEATURES
                and not delta.metadata().configuration
            )
        return self._plain

    def _commit_by_delta(
        self, schema: pa.Schema, part: Part, added: AddAction | None, facts: Mapping[str, str]
    ) -> None:
        table = self.delta
        if table.version() != self._version:
            raise CommitFailedError("another run was faster")
        table.create_write_transaction(
            [added] if added else [],
            mode="overwrite",
            schema=schema,
            partition_by=list(part) or None,
            partition_filters=[(name, "=", str(value)) for name, value in part.items()] or None,
            commit_properties=CommitProperties(max_commit_retries=0, custom_metadata=dict(facts)),
            post_commithook_properties=choose_hooks(self._version + 1) if self._folder is None else None,
        )

    def _commit_entry(
        self, part: Part, files: Sequence[str], added: AddAction | None, facts: Mapping[str, str]
    ) -> None:
        """The same as `create_write_transaction`, without what it reads for that: two thirds of a small commit."""
        info = {
            "timestamp": time.time_ns() // 10**6,
            "operation": "WRITE",
            "operationParameters": {"mode": "Overwrite", "partitionBy": json.dumps([*part])},
            "engineInfo": f"sunledger:{find_release()}",
        }
        actions: list[Action] = [{"commitInfo": {**info, **facts}}]
        if added is not None:
            actions.append({"add": _build_add(added)})
        actions += [build_remove(cut_table_path(self._model, uri), _measure_file(uri)) for uri in files]
        content = "\n".join(json.dumps(action, separators=(",", ":")) for action in actions).encode()
        try:
            put_entry(Path(str(self._folder)), self._version + 1, content)
        except FileExistsError:
            raise CommitFailedError("another run was faster") from None
        if not self._follow(content):
            self._reread()

    def _reread(self) -> None:
        held = self._delta.version()
        self._delta.update_incremental()
        if not held == self._delta.version() == self._version:
            self._take_state()

    def _read_next(self) -> bytes | None:
        try:
            with open(f"{self._folder}/{name_entry(self._version + 1)}", "rb") as file:  # noqa: PTH123 - see refresh
                return file.read()
        except FileNotFoundError:
            return None

    def _follow(self, entry: bytes) -> bool:
        """Take what the next entry says; False, with nothing taken, where it is not as plain as ours are."""
        try:
            actions = [json.loads(line) for line in entry.splitlines() if line.strip()]
            if not actions or not all(action.keys() <= _FOLLOWED for action in actions):
                return False
            added = [action["add"] for action in actions if "add" in action]
            removed = [action["remove"] for action in actions if "remove" in action]
            paths = [str(one["path"]) for one in (*removed, *added)]
        except (ValueError, KeyError, TypeError, AttributeError):
            return False
        if any(one.get("deletionVector") for one in added) or any(
            "%" in path or ":" in path for path in paths
        ):
            return False
        listed = self._list_files()
        changed = {folders: [*listed.get(folders, ())] for folders in map(find_folder, paths)}
        for path in paths[: len(removed)]:
            uri = f"{self._place}/{path}"
            if uri not in changed[find_folder(path)]:
                return False
            changed[find_folder(path)].remove(uri)
        for path in paths[len(removed) :]:
            uri = f"{self._place}/{path}"
            # Whoever counts its statistics again names an active file a second time.
            if uri in changed[find_folder(path)]:
                return False
            changed[find_folder(path)].append(uri)
        for folders, uris in changed.items():
            listed[folders] = sorted(uris)
        self._version += 1
        return True

    def _list_below(self, folders: str) -> list[str]:
        listed = self._list_files()
        wanted = {*folders.split("/")} if folders else set()
        if len(wanted) == len(self._levels):
            return [*listed.get(folders, ())]
        return sorted(uri for each, uris in listed.items() if wanted <= {*each.split("/")} for uri in uris)

    def _list_files(self) -> dict[str, list[str]]:
        """The files of this version by the folders that name their parts."""
        if self._listed is None:
            found: defaultdict[str, list[str]] = defaultdict(list)
            first = -1 - len(self._levels)
            for uri in sorted(self._delta.file_uris()):
                found["/".join(uri.split("/")[first:-1])].append(uri)
            self._listed = {**found}
        return self._listed


def _find_ends(uri: str) -> tuple[int | None, int]:
    """The version from which the table's entries can be followed, None where there is none, and the newest one."""
    try:
        names = os.listdir(f"{uri}/{LOG}")  # noqa: PTH208 - see refresh
    except FileNotFoundError:
        return None, -1
    entries = {int(found[1]) for name in names if (found := ENTRY.fullmatch(name))}
    checkpoints = {int(found[1]) for name in names if (found := CHECKPOINT.fullmatch(name))}
    begins = max(checkpoints, default=0)
    return (begins if begins in entries else None), max(entries | checkpoints, default=-1)


def _build_add(added: AddAction) -> Action:
    return {
        "path": added.path,
        "partitionValues": dict(added.partition_values),
        "size": added.size,
        "modificationTime": added.modification_time,
        "dataChange": added.data_change,
        "stats": added.stats,
    }


def _measure_file(uri: str) -> int:
    """The bytes of a file that is replaced; 0 where it is lost."""
    try:
        return os.stat(unquote(uri)).st_size  # noqa: PTH116 - see refresh
    except OSError:
        return 0
