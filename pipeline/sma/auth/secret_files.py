"""Files that nobody else on the machine may read, replaced whole, and locks between processes.

All of them lie in `$SUNLEDGER_HOME/credentials` (mode 0700). A file has mode 0600 from its first byte on, and a
reader sees the old content or the new one, whatever is killed in between.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from pipeline.common.errors import SunledgerError
from pipeline.common.files.atomic_files import put_in_place, reserve_beside
from pipeline.common.files.file_locks import POLL_S, hold_lock, open_lock, take_lock
from pipeline.common.files.owned_files import write_whole
from pipeline.common.files.refused_files import explain_by_number
from pipeline.sma.clock import ANNOUNCED_FROM_S, Clock

FOLDER = "credentials"
FOLDER_MODE = 0o700
FILE_MODE = 0o600
# Room that is taken on the disk before a token is traded in: the new one must not meet a full disk.
ROOM_BYTES = 16 * 1024
# A holder asks SMA a few times at most, each try with its own time limit: who waits longer waits for a hung process.
LOCK_WAIT_S = 900.0


class SecretFileError(SunledgerError):
    """A private file cannot be read or written; the message names it and the cure."""


def prepare_credentials_folder(home: Path) -> Path:
    """The folder of all private files, made or narrowed to mode 0700. Raises SecretFileError."""
    folder = home / FOLDER
    try:
        folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        if folder.stat().st_mode & 0o777 != FOLDER_MODE:
            folder.chmod(FOLDER_MODE)
    except OSError as fault:
        raise _build_unusable_error(folder, fault) from None
    return folder


def read_private(path: Path) -> bytes | None:
    """The file's content, None when there is none. Raises SecretFileError."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as fault:
        raise _build_unusable_error(path, fault) from None


def write_private(path: Path, content: bytes) -> None:
    """Replace the file by `content`, durably. Raises SecretFileError; then the old content is still there."""
    with reserve_room(path, len(content)) as room:
        room.put(content)


class Room:
    """Space on the disk beside a private file, for the content that will replace it."""

    def __init__(self, path: Path, beside: Path, descriptor: int) -> None:
        self._path, self._beside, self._descriptor = path, beside, descriptor

    def put(self, content: bytes) -> None:
        """Make `content` durable and put it in the file's place. Raises SecretFileError."""
        try:
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            with open(self._descriptor, "wb", closefd=False) as file:
                file.write(content)
                file.truncate()
            put_in_place(self._beside, self._path)
        except OSError as fault:
            raise _build_unusable_error(self._path, fault) from None


@contextmanager
def reserve_room(path: Path, size: int = ROOM_BYTES) -> Iterator[Room]:
    """Take `size` bytes on the disk for the next content of `path`. Raises SecretFileError when there is no room."""
    with reserve_beside(path) as beside:
        try:
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, FILE_MODE)
        except OSError as fault:
            raise _build_unusable_error(path, fault) from None
        try:
            try:
                # A disk that has a part of the room takes a part of the bytes without a word.
                write_whole(descriptor, bytes(size))
                os.fsync(descriptor)
            except OSError as fault:
                raise _build_unusable_error(path, fault) from None
            yield Room(path, beside, descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def lock_path(path: Path, wait_s: float = LOCK_WAIT_S) -> Iterator[None]:
    """Hold the lock exclusively among processes and threads; it ends with its process. Raises SecretFileError."""
    with hold_lock(_open_lock(path), wait_s, lambda: _build_busy_error(path, wait_s), path):
        yield


@asynccontextmanager
async def lock_path_async(path: Path, clock: Clock, wait_s: float = LOCK_WAIT_S) -> AsyncIterator[None]:
    """`lock_path` for an event loop, which goes on while this waits."""
    descriptor = _open_lock(path)
    try:
        deadline = clock.monotonic() + wait_s
        while not take_lock(descriptor):
            left_s = deadline - clock.monotonic()
            if left_s <= 0:
                raise _build_busy_error(path, wait_s)
            if wait_s - left_s >= ANNOUNCED_FROM_S:
                clock.announce(
                    "Another process is renewing the login, which only one process may do at a time", left_s
                )
            await clock.sleep(POLL_S)
            await asyncio.sleep(0)
        yield
    finally:
        os.close(descriptor)


def _open_lock(path: Path) -> int:
    try:
        return open_lock(path, FILE_MODE)
    except OSError as fault:
        raise _build_unusable_error(path, fault) from None


def _build_unusable_error(path: Path, fault: OSError) -> SecretFileError:
    if said := explain_by_number(fault, path):
        return SecretFileError(said)
    return SecretFileError(
        f"{path} can't be used ({fault.strerror}): make sure that it can be read and written and that the disk has "
        "free space, or set SUNLEDGER_HOME to another folder."
    )


def _build_busy_error(path: Path, wait_s: float) -> SecretFileError:
    return SecretFileError(
        f"Another process has held {path} for {wait_s:g} s: stop that process, then run it again."
    )
