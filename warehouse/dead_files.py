"""Which files of a table nothing needs any more, and which entries of its log.

A reader that opened an older published file, or took a snapshot, reads files that were replaced since. So a file stays
for `KEEP_FILES` after it was replaced, and for as long as the published file names it. delta-rs has a vacuum too, which
knows nothing of a published file, commits two entries a table, and has no moment other than now to be tried at.
"""

import datetime as dt
import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import duckdb
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from pipeline.common.errors import SunledgerError
from pipeline.common.files.regular_files import walk_regular_files
from schemas import Table
from warehouse.lake_log import CHECKPOINT, ENTRY, LOG, UNNAMED
from warehouse.lake_reader import LakeReader
from warehouse.published_file.open_published import NotPublishedError, connect

# A checkpoint of delta-rs says for seven days when a file was replaced, and not longer.
KEEP_FILES = dt.timedelta(days=7)
# As long as Delta keeps entries by default.
KEEP_ENTRIES = dt.timedelta(days=30)
# Longer than a backup takes.
KEEP_CHECKPOINT = dt.timedelta(days=1)
_PARQUET = re.compile(r"[\w-]+\.parquet")


class UnknownReadersError(SunledgerError):
    """The published file can't be asked which files of the lake it shows."""


@dataclass(frozen=True, slots=True)
class OldFile:
    """A file of a table that can go: its path in the table and its bytes."""

    path: str
    bytes: int


@dataclass(frozen=True, slots=True)
class TableFiles:
    """What lies in a table's folder: data, with entries that a killed writer left unnamed, and its log by versions."""

    data: tuple[pafs.FileInfo, ...]
    entries: dict[int, pafs.FileInfo]
    checkpoints: dict[int, list[pafs.FileInfo]]


def list_table_files(lake: LakeReader, model: type[Table]) -> TableFiles:
    """List the folder of a table once. Raises OSError."""
    data: list[pafs.FileInfo] = []
    entries: dict[int, pafs.FileInfo] = {}
    checkpoints: dict[int, list[pafs.FileInfo]] = {}
    for info in _list_files(lake, model):
        if not name_path(info).startswith(f"{LOG}/"):
            data += [info] if info.base_name.endswith(".parquet") else []
        elif named := ENTRY.fullmatch(info.base_name):
            entries[int(named[1])] = info
        elif named := CHECKPOINT.fullmatch(info.base_name):
            checkpoints.setdefault(int(named[1]), []).append(info)
        elif info.base_name.endswith(UNNAMED):
            data.append(info)
    return TableFiles(tuple(data), entries, checkpoints)


def _list_files(lake: LakeReader, model: type[Table]) -> list[pafs.FileInfo]:
    opened = lake.open_files(model)
    if lake.remote:
        found = opened.get_file_info(pafs.FileSelector("/", allow_not_found=True, recursive=True))
        return [info for info in found if info.type == pafs.FileType.File]
    root = Path(lake.find_uri(model))
    return list(opened.get_file_info([str(file.relative_to(root)) for file in walk_regular_files(root)]))


def name_path(info: pafs.FileInfo) -> str:
    """The path of a listed file in its table."""
    return str(info.path).removeprefix("./").strip("/")


def find_dead_files(
    lake: LakeReader,
    model: type[Table],
    files: TableFiles,
    kept: Collection[str],
    shown: Collection[str],
    now: dt.datetime,
) -> list[OldFile]:
    """The data files that were replaced, or left by a killed writer, longer ago than `KEEP_FILES`.

    `kept` are the active files by their paths, and `shown` the names of files that the published file reads. Raises
    OSError, and ValueError for a log that can't be read.
    """
    before = now - KEEP_FILES
    lately_replaced = {
        path
        for path, at_ms in _list_replaced(lake, model, files)
        if dt.datetime.fromtimestamp(at_ms / 1000, dt.UTC) > before
    }
    return [
        OldFile(path, info.size)
        for info in files.data
        if (path := name_path(info)) not in kept
        and path not in lately_replaced
        and info.base_name not in shown
        and _was_written_before(info, before)
    ]


def find_old_entries(files: TableFiles, now: dt.datetime) -> list[OldFile]:
    """The entries and checkpoints that no version of the last `KEEP_ENTRIES` needs, the oldest entry first.

    A reader starts at a checkpoint and goes on by entries, so the newest checkpoint before what is kept stays. It
    counts once it has lain there for `KEEP_CHECKPOINT`: who listed the log before, as a backup does, needs the entries.
    """
    before = now - KEEP_ENTRIES
    young = [version for version, info in files.entries.items() if not _was_written_before(info, before)]
    first_kept = min(young, default=max(files.entries, default=0))
    settled = now - KEEP_CHECKPOINT
    base = max(
        (
            version
            for version, parts in files.checkpoints.items()
            if version <= first_kept and all(_was_written_before(one, settled) for one in parts)
        ),
        default=0,
    )
    old = [info for version, info in sorted(files.entries.items()) if version < base]
    for version, parts in sorted(files.checkpoints.items()):
        old += parts if version < base else []
    return [OldFile(name_path(info), info.size) for info in old]


def list_shown_files(published: Path) -> frozenset[str]:
    """The names of the lake's files that views of the published file read; none where nothing is published.

    Raises UnknownReadersError for a file that can't be read.
    """
    if not published.exists():
        return frozenset()
    try:
        with connect(published) as connection:
            texts = connection.execute(
                "SELECT sql FROM duckdb_views() WHERE NOT internal UNION ALL "
                "SELECT macro_definition FROM duckdb_functions() WHERE NOT internal"
            ).fetchall()
    except (NotPublishedError, duckdb.Error) as fault:
        raise UnknownReadersError(
            f"No file was removed, because {published} can't be read and so nobody knows which files it shows "
            f"({str(fault).partition(chr(10))[0]}): run 'sunledger publish', then run this again."
        ) from fault
    return frozenset(name for (text,) in texts for name in _PARQUET.findall(text or ""))


def _was_written_before(info: pafs.FileInfo, moment: dt.datetime) -> bool:
    return info.mtime_ns is not None and info.mtime_ns / 1e9 < moment.timestamp()


def _list_replaced(lake: LakeReader, model: type[Table], files: TableFiles) -> Iterator[tuple[str, int]]:
    """The replaced files that the newest checkpoint and later entries name, each with its moment in milliseconds."""
    opened = lake.open_files(model)
    base = max(files.checkpoints, default=-1)
    for info in files.checkpoints.get(base, ()):
        with opened.open_input_file(name_path(info)) as source:
            for said in pq.read_table(source, columns=["remove"])["remove"].to_pylist():
                if said is not None and said["path"] is not None:
                    yield unquote(said["path"]), said["deletionTimestamp"] or 0
    for version, info in sorted(files.entries.items()):
        if version > base:
            with opened.open_input_file(name_path(info)) as source:
                yield from _list_removed(bytes(source.read()))


def _list_removed(entry: bytes) -> Iterator[tuple[str, int]]:
    for line in entry.splitlines():
        action: dict[str, Any] = json.loads(line) if line.strip() else {}
        if removed := action.get("remove"):
            yield unquote(removed["path"]), removed.get("deletionTimestamp") or 0
