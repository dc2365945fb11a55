"""Waits for a lock that another process holds: each is announced, names who holds it, and ends with what to do."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from pipeline.common.errors import SunledgerError
from pipeline.common.files.file_locks import POLL_S, hold_descriptor

# A person notices a shorter wait as slowness, and a line about each would hide the rest.
TELL_FROM_S = 5.0
TELL_EVERY_S = 60.0
# More of a command than this tells nobody which one it is.
COMMAND_SHOWN = 60

_LOCKS = Path("/proc/locks")
_KIND, _PID, _INODE = 1, 4, 5


class LockBusyError(SunledgerError):
    """A lock stayed with another process for longer than anybody waits."""


class Holder(NamedTuple):
    """A process that holds a lock: its number, its command line (empty where nobody says), whether it is stopped."""

    pid: int
    command: str
    stopped: bool

    def __str__(self) -> str:
        named = f"process {self.pid}" + (f" ({self.command})" if self.command else "")
        return f"{named}, which is stopped" if self.stopped else named


def find_holders(path: Path) -> list[Holder]:
    """The processes that hold a lock on the file, as far as the system says: Linux does, of its own processes."""
    with suppress(OSError):
        inode = str(path.stat().st_ino)
        rows = [line.split() for line in _LOCKS.read_text().splitlines()]
        # Who waits for a lock has an arrow where the others have their kind.
        held = [row for row in rows if row[_KIND] == "FLOCK" and row[_INODE].rpartition(":")[2] == inode]
        pids = sorted({int(row[_PID]) for row in held} - {0, -1})
        return [Holder(pid, _read_command(pid), _is_stopped(pid)) for pid in pids]
    return []


@dataclass(slots=True)
class LockWait:
    """A wait for the lock of a file. `why` is a clause that says what has to wait, for instance "a repair waits"."""

    path: Path
    why: str
    patience_s: float
    tell: Callable[[str], None]
    _since: float = field(default_factory=time.monotonic, init=False)
    _told: float | None = field(default=None, init=False)

    def go_on(self) -> None:
        """Wait a moment more; says who holds the lock after seconds and then each minute. Raises LockBusyError."""
        now = time.monotonic()
        if now - self._since >= self.patience_s:
            raise LockBusyError(
                f"{self.why}: {self._holders()} has held {self.path} for {self.patience_s:g} s. {self._cure()}"
            )
        if now - (self._since + TELL_FROM_S if self._told is None else self._told + TELL_EVERY_S) >= 0:
            self._told = now
            self.tell(
                f"{self.why}: {self._holders()} holds {self.path}. Waiting for at most "
                f"{self.patience_s / 60:g} minutes, {now - self._since:.0f} s of them are over."
            )
        time.sleep(POLL_S)

    def _holders(self) -> str:
        return ", ".join(str(one) for one in find_holders(self.path)) or "another process"

    def _cure(self) -> str:
        holders = find_holders(self.path)
        numbers = " ".join(str(one.pid) for one in holders)
        if not holders:
            return "Find the process that hangs and end it ('sunledger doctor' helps), then run this again."
        resume = (
            f"continue it with 'kill -CONT {numbers}', or " if any(one.stopped for one in holders) else ""
        )
        return f"Wait until it is done, or {resume}end it with 'kill {numbers}', then run this again."


@contextmanager
def hold_awaited_lock(wait: LockWait, mode: int, *, shared: bool = False) -> Iterator[None]:
    """Hold the lock of the wait's file, alone or together with others that share it; `mode` is that of a new file.

    The lock ends with its process, however that ends. Raises LockBusyError and OSError.
    """
    descriptor = os.open(wait.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, mode)
    with hold_descriptor(descriptor, wait.go_on, shared=shared):
        yield


def _read_command(pid: int) -> str:
    """The words of a process, from the program's own name on: what stands before is the interpreter's."""
    with suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        names = [Path(word).name for word in words]
        first = names.index("sunledger") if "sunledger" in names else 0
        return " ".join([*names[first : first + 1], *words[first + 1 :]]).strip()[:COMMAND_SHOWN]
    return ""


def _is_stopped(pid: int) -> bool:
    with suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in {"T", "t"}
    return False
