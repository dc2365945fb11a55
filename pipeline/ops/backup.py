"""All state in one file: the lake, records of requests and runs, logins and consents, the budget.

The file is a tar with a list of checksums at its end. It may be made while runs go on: of each Delta table the log is
read before the files that it names, databases are copied by their own means, and everything else is replaced whole by
its writers. It holds the secrets of the home, so only its owner can read it.
"""

import contextlib
import hashlib
import io
import json
import os
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from pipeline.common.errors import SunledgerError, UsageError
from pipeline.common.files.atomic_files import name_target, replace_file
from pipeline.common.files.file_modes import LOST_AND_FOUND
from pipeline.common.files.refused_files import find_refusal
from pipeline.common.settings import Settings
from pipeline.ops.database_copy import write_database_copy
from schemas import TABLES, storage
from warehouse.integrity.digests import FOLDER as DIGESTS
from warehouse.lake import Lake
from warehouse.results.folder import resolve_place
from warehouse.verification.known_tables import KnownTables

MANIFEST = "manifest.json"
HOME, LAKE = "home", "lake"
# What a run leaves behind when it is killed, and what only says that somebody is at work.
# Claims come and go while others work, and mean nothing without their process.
# A disk that is mounted as the home has a folder that only the system may read.
SKIPPED_FOLDERS, SKIPPED_ENDS = (
    {"tmp", "claims", LOST_AND_FOUND},
    (".lock", "-wal", "-shm", "-journal", ".log"),
)
# Folders of a home, of its records of runs and of a lake that are followed where they are links.
FOLDERS = {
    *(
        "dagster",
        "history",
        "storage",
        "schedules",
        "credentials",
        "budget",
        "requests",
        "unfinished",
        "spending",
    ),
    *("repair", "set-aside", "grid", DIGESTS, *(storage(model).table for model in TABLES)),
}
LOG = "_delta_log"
SQLITE = b"SQLite format 3\0"


def back_up(settings: Settings, target: Path, tell: Callable[[str], None]) -> tuple[int, int]:
    """Write everything into `target`, whole or not at all; the number of files and bytes.

    `tell` gets what it waits for, and what is damaged. Raises UsageError for a target inside the home or that is not a
    file, and SunledgerError where something can't be read or written, or where the lake is lost.
    """
    target = resolve_place(target)
    if target.is_relative_to(settings.home):
        raise UsageError(
            f"{target} is inside of the folder to back up: choose a file outside of {settings.home}."
        )
    if not settings.home.is_dir():
        raise UsageError(
            f"The folder {settings.home} does not exist: set SUNLEDGER_HOME to the home to back up."
        )
    if find_lake_folder(settings) is not None:
        # A backup without the lake must not take the place of one that has it.
        lake = Lake(settings.lake, settings.home / "tmp")
        KnownTables(settings.home, settings.warehouse).check_lake(lake)
    try:
        if next(_list_files(settings), None) is None:
            # Its disk may not be mounted, and then the earlier backup is all that is left.
            raise UsageError(
                f"There is nothing to back up in {settings.home}, so {target} was not written: mount its disk, or set "
                "SUNLEDGER_HOME to the home to back up."
            )
        with replace_file(target, mode=0o600) as new, new.open("wb") as sink:
            found = _write(settings, sink, tell)
    except OSError as fault:
        if error := find_refusal(fault):
            raise error from fault
        place = name_target(str(fault.filename or target))
        raise SunledgerError(
            f"The backup {target} was not written, because {place} can't be read or written "
            f"({fault.strerror or fault}): check the disk and the permissions there, then run it again."
        ) from fault
    return found


def _write(settings: Settings, sink: io.BufferedIOBase, tell: Callable[[str], None]) -> tuple[int, int]:
    sums: dict[str, str] = {}
    size, begun = 0, int(time.time())
    with (
        # A writer that was killed may have left a file under two names: both are files.
        tarfile.open(fileobj=sink, mode="w", dereference=True) as archive,
        tempfile.TemporaryDirectory() as scratch,
    ):
        for name, path in _list_files(settings):
            # What is gone in the meantime was replaced: its successor is named by a later version of its table.
            with (
                contextlib.suppress(FileNotFoundError),
                _copy_if_changing(path, Path(scratch), tell).open("rb") as content,
            ):
                sums[name], added = _add_file(archive, name, content)
                size += added
        text = json.dumps(sums, sort_keys=True).encode()
        entry = tarfile.TarInfo(MANIFEST)
        entry.size, entry.mtime = len(text), begun
        archive.addfile(entry, io.BytesIO(text))
    return len(sums), size


def _add_file(archive: tarfile.TarFile, name: str, file: io.BufferedReader) -> tuple[str, int]:
    """Add what the file holds now; the digest and the number of the bytes that were added.

    A run adds to its record of requests meanwhile, so the digest is that of these bytes and of no other look at it.
    """
    entry = archive.gettarinfo(arcname=name, fileobj=file)
    hashed = _HashedReader(file)
    archive.addfile(entry, hashed)
    return hashed.digest.hexdigest(), entry.size


class _HashedReader(io.RawIOBase):
    """What is read of a file, with the digest of that."""

    def __init__(self, file: io.BufferedReader) -> None:
        self._file, self.digest = file, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """As of the file."""
        try:
            data = self._file.read(size)
        except OSError as fault:
            raise OSError(fault.errno, fault.strerror, self._file.name) from fault
        self.digest.update(data)
        return data


def _list_files(settings: Settings) -> Iterator[tuple[str, Path]]:
    """Names in the archive and where their files are; digests before the logs, and logs before what they name.

    A log that is ahead of its digests only lacks a record, which the next reader makes; one behind has lost a commit.
    """
    lake = find_lake_folder(settings)
    yield from _list_files_below(settings.home, HOME, without=lake)
    if lake is not None:
        found = sorted(
            _list_files_below(lake, LAKE),
            key=lambda item: (DIGESTS not in item[1].parts, LOG not in item[1].parts),
        )
        yield from found


def _list_files_below(root: Path, prefix: str, without: Path | None = None) -> Iterator[tuple[str, Path]]:
    # A folder of ours may have been moved to another disk, with a link in its place. Other links may lead to anything.
    entered = {os.path.realpath(root), *([os.path.realpath(without)] if without else [])}
    for folder, folders, files in os.walk(root, onerror=_refuse_unread, followlinks=True):
        place = Path(folder)
        folders[:] = [
            f for f in sorted(folders) if f not in SKIPPED_FOLDERS and _is_first(place / f, entered)
        ]
        for file in sorted(files):
            path = place / file
            if not file.endswith(SKIPPED_ENDS) and path.is_file():
                yield str(PurePosixPath(prefix) / path.relative_to(root).as_posix()), path


def _is_first(folder: Path, entered: set[str]) -> bool:
    """Whether the folder is one of ours and was not entered before; it counts as entered from now on."""
    if folder.is_symlink() and folder.name not in FOLDERS:
        return False
    real = os.path.realpath(folder)
    is_first = real not in entered
    entered.add(real)
    return is_first


def _refuse_unread(fault: OSError) -> None:
    """Raise for a folder that can't be listed, which would be missing in the backup without a word."""
    if not isinstance(fault, FileNotFoundError):
        raise fault


def find_lake_folder(settings: Settings) -> Path | None:
    """The folder of the lake; None for an object store, which keeps versions by its own means."""
    return None if "://" in settings.lake else Path(settings.lake)


def _copy_if_changing(path: Path, scratch: Path, tell: Callable[[str], None]) -> Path:
    """A file that does not change while it is read: of a database a copy, of anything else the file itself."""
    with path.open("rb") as file:
        if file.read(len(SQLITE)) != SQLITE:
            return path
    return write_database_copy(path, scratch, tell) or path
