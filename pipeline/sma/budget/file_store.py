"""Where the state of a request budget is kept, shared by processes: a small file and its lock.

Several machines share one in Redis: `pipeline.sma.budget.redis_store`.
"""

import os
import struct
import zlib
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol, Self, TypeVar

from pipeline.common.errors import SunledgerError
from pipeline.common.files.file_locks import free_lock, take_lock
from pipeline.sma.clock import ANNOUNCED_FROM_S, Announcer, announce_nothing

T = TypeVar("T")

# The lock is held for some microseconds; only a process that was stopped in the meantime keeps it longer.
LOCK_POLL_S = 0.002
LOCK_POLLS = 30_000
ANNOUNCED_POLL = int(ANNOUNCED_FROM_S / LOCK_POLL_S)
# Version, boot, monotonic and wall clock, level, pause, pace; then their checksum.
_FORMAT = struct.Struct("<4s16s5d")
_CHECKSUM = struct.Struct("<I")
_VERSION = b"SLB1"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_BOOT_LENGTH = 16


@dataclass(frozen=True, slots=True)
class Moment:
    """A time that can be compared between processes and over a restart of the machine, both clocks in seconds."""

    boot: bytes
    monotonic: float
    wall: float

    @classmethod
    def of(cls, monotonic: float, wall: float) -> Self:
        """The moment that this machine's clocks show."""
        return cls(_boot(), monotonic, wall)

    def measure_since(self, earlier: "Moment") -> float:
        """Seconds passed since `earlier`, never less than 0.

        The monotonic clock is one for all processes and knows no jumps, but it begins again when the machine starts;
        only then the wall clock has to do.
        """
        if self.boot == earlier.boot:
            return max(0.0, self.monotonic - earlier.monotonic)
        return max(0.0, self.wall - earlier.wall)


@dataclass(frozen=True, slots=True)
class BudgetState:
    """A bucket at a moment: requests in it, seconds of pause left, and the share of the rate at which it fills."""

    moment: Moment
    level: float
    pause_s: float
    pace: float


Change = Callable[[BudgetState | None, Moment], tuple[BudgetState, T]]


class Store(Protocol):
    """Keeps one state for everybody who shares a budget."""

    async def update(self, change: Change[T]) -> T:
        """Replace the state by what `change` makes of it and of the time, alone; return its second result.

        `change` gets None where no state is known.
        """

    async def aclose(self) -> None:
        """Let go of what is open."""


class FileStore:
    """The state in a file of 76 bytes under a lock that ends with its process, however that ends.

    It is opened at first use. The state is written by one call, which a kill cannot cut in two; after a crash of the
    whole machine a damaged one counts as unknown. Nothing is synced: what a crash could undo is a few requests.
    """

    def __init__(
        self,
        path: Path,
        moment: Callable[[], Moment],
        sleep: Callable[[float], Awaitable[None]],
        announce: Announcer = announce_nothing,
    ) -> None:
        self._path = path
        self._moment = moment
        self._sleep = sleep
        self._announce = announce
        self._file: int | None = None

    async def update(self, change: Change[T]) -> T:
        """See Store. Raises SunledgerError when the file can't be used, or stays locked for a minute."""
        for poll in range(LOCK_POLLS):
            if poll == ANNOUNCED_POLL:
                left_s = (LOCK_POLLS - poll) * LOCK_POLL_S
                self._announce("Another process has locked the request budget", left_s)
            try:
                file = self._lock_file()
                if file is not None:
                    return self._apply(file, change)
            except OSError as fault:
                raise SunledgerError(
                    f"The request budget in {self._path} can't be stored ({fault.strerror}), and no request is sent "
                    "without it: make the folder writable, free some space, or set SUNLEDGER_HOME to another one."
                ) from fault
            await self._sleep(LOCK_POLL_S)
        raise SunledgerError(
            f"The request budget in {self._path} has been locked by another process for a minute: resume or end that "
            "process, then run this again."
        )

    async def aclose(self) -> None:
        """Close the file; the next use would open it again."""
        self._close()

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _lock_file(self) -> int | None:
        """The file, locked for us; None when somebody else has it, or it has just been removed."""
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if not take_lock(self._file):
            return None
        if os.fstat(self._file).st_nlink == 0:
            # Others would go on with a new file beside ours.
            self._close()
            return None
        return self._file

    def _apply(self, file: int, change: Change[T]) -> T:
        try:
            state, result = change(unpack(os.pread(file, _FORMAT.size + _CHECKSUM.size, 0)), self._moment())
            os.pwrite(file, pack_state(state), 0)
            return result
        finally:
            free_lock(file)


def pack_state(state: BudgetState) -> bytes:
    """The state as it stands in the file."""
    moment = state.moment
    body = _FORMAT.pack(
        _VERSION, moment.boot, moment.monotonic, moment.wall, state.level, state.pause_s, state.pace
    )
    return body + _CHECKSUM.pack(zlib.crc32(body))


def unpack(data: bytes) -> BudgetState | None:
    """The state from the file; None if there is none yet, or it is damaged."""
    with suppress(struct.error):
        body = data[: _FORMAT.size]
        (checksum,) = _CHECKSUM.unpack(data[_FORMAT.size :])
        version, boot, monotonic, wall, level, pause_s, pace = _FORMAT.unpack(body)
        if checksum == zlib.crc32(body) and version == _VERSION:
            return BudgetState(Moment(boot, monotonic, wall), level, pause_s, pace)
    return None


@lru_cache
def _boot() -> bytes:
    """What tells one start of this machine from the next; always the same where the system does not say.

    There a monotonic clock that began again shows less time than has passed, so the budget errs to the safe side.
    """
    try:
        text = _BOOT_ID.read_text("ascii").strip().replace("-", "")
        return bytes.fromhex(text)[:_BOOT_LENGTH].ljust(_BOOT_LENGTH, b"\0")
    except (OSError, ValueError):
        return b"\0" * _BOOT_LENGTH
