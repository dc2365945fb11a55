"""Restores all state that a backup holds into an empty home and lake, or nothing of it.

A backup may have passed through many hands. So what its list of files does not name is not taken, and who may read the
files is for the settings to say and not for the archive.
"""

import contextlib
import datetime as dt
import errno
import fcntl
import hashlib
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from pipeline.billing.lost_requests import add_lost_days
from pipeline.common.day_availability import list_days
from pipeline.common.errors import SunledgerError, UsageError
from pipeline.common.files.file_modes import LOST_AND_FOUND, UMASKS
from pipeline.common.settings import Settings
from pipeline.ops.backup import HOME, LAKE, MANIFEST, find_lake_folder
from pipeline.sma.auth.secret_files import FILE_MODE, FOLDER, FOLDER_MODE
from schemas import ApiRequests, storage
from warehouse.published_file.publication_base import forget_base
from warehouse.verification.known_tables import FILE as KNOWN_TABLES

UNPACKING = ".sunledger-restore-"
BLOCK = 2**20
# Errors that speak of the disk, and not of the file that it is to take.
OF_A_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}


def restore_backup(settings: Settings, source: Path) -> int:
    """Put everything back into the home and lake of the settings, which must be empty; the number of files.

    Nobody can tell what the home that was backed up has asked for since, so the days from the backup until now are kept
    as days whose requests are lost; a lake on an object store has its own record of them. Raises UsageError when
    something is there already, SunledgerError for a file that is no whole backup.
    """
    places = {HOME: settings.home, LAKE: find_lake_folder(settings)}
    for place in filter(None, places.values()):
        if place.exists() and _holds_anything(place):
            raise UsageError(
                f"{place} is not empty, and a restore never overwrites files: move it away first."
            )
    with _reserve_folder(_choose_scratch(settings.home)) as unpacked:
        try:
            with tarfile.open(source) as archive:
                _unpack(archive, unpacked, UMASKS[settings.readable_by])
        except (OSError, tarfile.TarError, ValueError, OverflowError) as fault:
            raise SunledgerError(
                f"{source} can't be read as a backup ({fault}): choose another backup file."
            ) from fault
        count = _verify(unpacked, source)
        if places[LAKE] is None and (unpacked / LAKE).is_dir():
            raise UsageError(
                f"{source} holds a lake of files, and SUNLEDGER_LAKE names an object store, so nothing was restored: "
                "set SUNLEDGER_LAKE to an empty folder, and restore it there."
            )
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


def _unpack(archive: tarfile.TarFile, folder: Path, umask: int) -> None:
    """Write the files of the archive into the folder, and nothing beside it; early 3.11 has no filters for that.

    Nobody may read more of them than `umask` leaves, and nobody else the secrets.
    """
    secrets = folder / HOME / FOLDER
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
        path.chmod(FILE_MODE if path.is_relative_to(secrets) else (FILE_MODE | member.mode & 0o044) & ~umask)
        os.utime(path, (member.mtime, member.mtime))
    if secrets.is_dir():
        secrets.chmod(FOLDER_MODE)


def _read_block(content: IO[bytes]) -> bytes:
    """The next bytes of a file of the archive; what can't be read is a fault of the archive."""
    try:
        return content.read(BLOCK)
    except OSError as fault:
        raise tarfile.ReadError(fault.strerror or str(fault)) from fault


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
    held = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*") if path.is_file()} - {
        MANIFEST
    }
    for name, digest in sums.items():
        if name not in held or _hash_file(unpacked / name) != digest:
            raise SunledgerError(
                f"{source} is damaged at {name}, so nothing was restored: choose another backup file."
            )
    if strange := held - set(sums):
        raise SunledgerError(
            f"{source} holds {min(strange)}, which its list of files does not name, so somebody changed it and nothing "
            "was restored: choose another backup file."
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


def _hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
