"""All state in one file, and back: the lake, records of requests and runs, logins and consents, the budget.

The file is a tar with a list of checksums at its end. It may be made while runs go on: of each Delta table the log is
read before the files that it names, databases are copied by their own means, and everything else is replaced whole by
its writers. It holds the secrets of the home, so only its owner can read it.
"""

import contextlib
import datetime as dt
import errno
import fcntl
import hashlib
import io
import json
import os
import shutil
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from pipeline.billing.lost_requests import add_lost_days
from pipeline.common.day_availability import list_days
from pipeline.common.errors import SunledgerError, UsageError
from pipeline.common.files.atomic_files import name_target, replace_file
from pipeline.common.files.refused_files import find_refusal
from pipeline.common.settings import Settings
from pipeline.ops.database_copy import write_database_copy
from schemas import TABLES, ApiRequests, storage
from warehouse.integrity.digests import FOLDER as DIGESTS
from warehouse.lake import Lake
from warehouse.published_file.publication_base import forget_base
from warehouse.results.folder import resolve_place
from warehouse.verification.known_tables import FILE as KNOWN_TABLES
from warehouse.verification.known_tables import KnownTables

MANIFEST = "manifest.json"
HOME, LAKE = "home", "lake"
# What a run leaves behind when it is killed, and what only says that somebody is at work.
# Claims come and go while others work, and mean nothing without their process.
# A disk that is mounted as the home has a folder that only the system may read.
LOST_AND_FOUND = "lost+found"
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
UNPACKING = ".sunledger-restore-"
SQLITE = b"SQLite format 3\0"
BLOCK = 2**20
# Errors that speak of the disk, and not of the file that it is to take.
OF_A_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}


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
    if _find_folder(settings) is not None:
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


def restore_backup(settings: Settings, source: Path) -> int:
    """Put everything back into the home and lake of the settings, which must be empty; the number of files.

    Nobody can tell what the home that was backed up has asked for since, so the days from the backup until now are kept
    as days whose requests are lost; a lake on an object store has its own record of them. Raises UsageError when
    something is there already, SunledgerError for a file that is no whole backup.
    """
    places = {HOME: settings.home, LAKE: _find_folder(settings)}
    for place in filter(None, places.values()):
        if place.exists() and _holds_anything(place):
            raise UsageError(
                f"{place} is not empty, and a restore never overwrites files: move it away first."
            )
    with _reserve_folder(_choose_scratch(settings.home)) as unpacked:
        try:
            with tarfile.open(source) as archive:
                _unpack(archive, unpacked)
        except (OSError, tarfile.TarError, ValueError, OverflowError) as fault:
            raise SunledgerError(
                f"{source} can't be read as a backup ({fault}): choose another backup file."
            ) from fault
        count = _verify(unpacked, source)
        if places[LAKE] is not None and (unpacked / HOME).is_dir():
            add_lost_days(unpacked / HOME, _list_days_since(unpacked / MANIFEST, unpacked / LAKE))
        _move_to_places(unpacked, places)
    if not settings.warehouse.is_relative_to(settings.home):
        # A file that was published after the backup shows a later state than the one that is wanted now.
        forget_base(settings.warehouse)
    return count


def _holds_anything(place: Path) -> bool:
    """Whether there is more in a folder than empty folders, as a new disk or volume may have some."""
    return any(
        not path.is_dir() or path.is_symlink() or _holds_anything(path)
        for path in place.iterdir()
        if path.name != LOST_AND_FOUND and not path.name.startswith(UNPACKING)
    )


def _choose_scratch(home: Path) -> Path:
    """Where to unpack: beside the home, or in it where that is a disk of its own, as a container's volume is."""
    home.parent.mkdir(parents=True, exist_ok=True)
    if home.exists() and (home.is_mount() or home.is_symlink() or not os.access(home.parent, os.W_OK)):
        return home
    return home.parent


@contextlib.contextmanager
def _reserve_folder(parent: Path) -> Iterator[Path]:
    """A folder to unpack into, locked while it is in use; what dead restores have left there is removed."""
    for left in parent.glob(f"{UNPACKING}*"):
        # Another restore may be removing it too.
        with contextlib.suppress(FileNotFoundError), _try_lock(left) as is_ours:
            if is_ours:
                shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix=UNPACKING) as folder, _try_lock(Path(folder)):
        yield Path(folder)


@contextlib.contextmanager
def _try_lock(folder: Path) -> Iterator[bool]:
    """Whether the folder could be locked: the system takes the lock from a process however it ends."""
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(held)


def _unpack(archive: tarfile.TarFile, folder: Path) -> None:
    """Write the files of the archive into the folder, and nothing beside it; early 3.11 has no filters for that."""
    for member in archive:
        path = Path(os.path.normpath(folder / member.name))
        content = archive.extractfile(member) if member.isreg() and path.is_relative_to(folder) else None
        if content is None:
            raise tarfile.TarError(f"{member.name!r} does not belong in a backup")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with content, path.open("xb") as file:
                while block := _read_block(content):
                    file.write(block)
        except OSError as fault:
            if fault.errno not in OF_A_DISK:
                raise
            raise SunledgerError(
                f"{folder.parent} can't take what the backup holds ({fault.strerror}), so nothing was restored: free "
                "some space there or check that disk, then run this again."
            ) from fault
        path.chmod(member.mode & 0o755)
        os.utime(path, (member.mtime, member.mtime))


def _read_block(content: IO[bytes]) -> bytes:
    """The next bytes of a file of the archive; what can't be read is a fault of the archive."""
    try:
        return content.read(BLOCK)
    except OSError as fault:
        raise tarfile.ReadError(fault.strerror or str(fault)) from fault


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
    lake = _find_folder(settings)
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


def _find_folder(settings: Settings) -> Path | None:
    """The folder of the lake; None for an object store, which keeps versions by its own means."""
    return None if "://" in settings.lake else Path(settings.lake)


def _copy_if_changing(path: Path, scratch: Path, tell: Callable[[str], None]) -> Path:
    """A file that does not change while it is read: of a database a copy, of anything else the file itself."""
    with path.open("rb") as file:
        if file.read(len(SQLITE)) != SQLITE:
            return path
    return write_database_copy(path, scratch, tell) or path


def _hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _verify(unpacked: Path, source: Path) -> int:
    try:
        sums = json.loads((unpacked / MANIFEST).read_text())
    except (OSError, ValueError, RecursionError):
        sums = None
    if not isinstance(sums, dict):
        raise SunledgerError(
            f"{source} has no list of its files at its end, so it is truncated or not a backup: choose another backup "
            "file."
        )
    for name, digest in sums.items():
        path = unpacked / name
        if not path.is_file() or _hash_file(path) != digest:
            raise SunledgerError(
                f"{source} is damaged at {name}, so nothing was restored: choose another backup file."
            )
    return len(sums)


def _list_days_since(manifest: Path, lake: Path) -> list[dt.date]:
    """The days, in UTC, since the backup was begun. Backups of older versions do not say when: by their newest file.

    Where that is in the future, a clock was or is wrong: then since the newest day of the record of requests.
    """
    moment = manifest.stat().st_mtime or max(
        (path.stat().st_mtime for path in manifest.parent.rglob("*") if path.is_file()), default=0.0
    )
    first, today = dt.datetime.fromtimestamp(moment, dt.UTC).date(), dt.datetime.now(dt.UTC).date()
    if first > today:
        folders = lake.glob(f"{storage(ApiRequests).table}/asked_date=*")
        asked = (dt.date.fromisoformat(folder.name.partition("=")[2]) for folder in folders)
        first = max((day for day in asked if day <= today), default=today)
    return list_days(first, today)


def _move_to_places(unpacked: Path, places: dict[str, Path | None]) -> None:
    """Move everything to its place, the home last and with a lake inside of it: who finds the home finds all.

    All is on the disk before the home has its name: a power cut would leave the names of files that are empty.
    """
    home, lake = places[HOME], places[LAKE]
    if home is not None and lake is not None and lake.is_relative_to(home):
        places = {LAKE: unpacked / HOME / lake.relative_to(home), HOME: home}
    for name, place in sorted(places.items(), key=lambda item: item[0] == HOME):
        part = unpacked / name
        if place is None or not part.exists():
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        if name == HOME:
            # All disks are synced, because a lake in another folder may have been copied to a disk of its own.
            os.sync()
        _put(part, place, last=lake)
    # A mounted home was filled by renaming, which only a further sync makes durable.
    os.sync()


def _put(part: Path, place: Path, last: Path | None) -> None:
    """Put a file or folder in its place at once; a folder that can't be removed, as a mounted one, is filled instead.

    Then the list of known tables comes first and what leads to `last`, the lake, at the end: should this be killed
    between the two, every command says that the lake is lost.
    """
    with contextlib.suppress(OSError):
        place.rmdir()
    if not place.exists():
        shutil.move(part, place)
        return
    leads = {one: last is not None and last.is_relative_to(place / one.name) for one in part.iterdir()}
    for one in sorted(leads, key=lambda one: (leads[one], one.name != KNOWN_TABLES, one.name)):
        _put(one, place / one.name, last)
