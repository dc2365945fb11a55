"""Finds the process of a run and whether it is still alive.

A process that does runs holds a lock on a file of its own, which the system takes from it when it ends, however it
ends; its runs carry the name of that file as a tag. So no process id has to be trusted, which another process may have
got in the meantime.
"""

import os
import platform
import threading
import time
import uuid
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from functools import cache
from pathlib import Path
from typing import Final

import dagster as dg
from filelock import FileLock, Timeout

from assets.dagster_records.start_lock import start_lock
from assets.run_control.run_tags import PARENT
from pipeline.common.shared_session import find_shared_session

# Whose run it is, for people: `4711 on plantserver`.
PROCESS: Final = "sunledger/process"
# The boot of the machine and the file that its process holds: `<boot id>/<name>.lock`.
PROCESS_LOCK: Final = "sunledger/process_lock"
# In a cluster, the number of its process there: machines can't look at each other's locks of files.
SESSION: Final = "sunledger/session"
FOLDER = "processes"
# A run without a process is one that is being started; Dagster itself gives up after five minutes.
STARTS_WITHIN_S = 600.0
# Start times of processes are known to a hundredth of a second, the clock of a machine may be set.
CLOCK_LEEWAY_S = 5.0

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Life(Enum):
    """The known state of the process of a run."""

    ALIVE = auto()
    DEAD = auto()
    ELSEWHERE = auto()


@dataclass(frozen=True, slots=True)
class Worker:
    """The process of a run: what is known of it, and its name for people."""

    life: Life
    name: str


class ProcessLock:
    """This process's own lock, made at first use and held until the process ends."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._held: dict[tuple[int, Path], FileLock] = {}

    def build_tags(self, instance: dg.DagsterInstance) -> dict[str, str]:
        """The tags of a run that this process does. Raises StartLockedError."""
        # A copy of this process by fork is another process.
        key = os.getpid(), read_home(instance)
        with self._guard:
            if key not in self._held:
                self._held[key] = self._take(key[1] / FOLDER)
            name = Path(self._held[key].lock_file).name
        session = find_shared_session()
        return {
            PROCESS: f"{os.getpid()} on {platform.node()}",
            PROCESS_LOCK: f"{read_boot_id()}/{name}",
            **({SESSION: str(session.holder)} if session else {}),
        }

    @staticmethod
    def _take(folder: Path) -> FileLock:
        # Whoever tidies deletes files that nobody holds.
        with start_lock(folder.parent):
            folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(folder / f"{uuid.uuid4().hex}.lock", thread_local=False)
            lock.acquire(timeout=0)
        return lock


THIS_PROCESS = ProcessLock()


@cache
def read_boot_id() -> str:
    """The id of the machine's present boot; empty where the system does not give one."""
    with suppress(OSError):
        return _BOOT_ID.read_text().strip()
    return ""


def read_home(instance: dg.DagsterInstance) -> Path:
    """The folder of DAGSTER_HOME, on this machine."""
    return Path(instance.root_directory)


def note_lost_sessions(runs: Iterable[dg.DagsterRun]) -> None:
    """Learn at once which processes of a cluster's runs are gone: each by itself would take seconds."""
    if session := find_shared_session():
        session.find_gone({int(run.tags[SESSION]) for run in runs if SESSION in run.tags})


def find_worker(instance: dg.DagsterInstance, record: dg.RunRecord) -> Worker:
    """The process of an unfinished run that is not waiting in the queue."""
    run = record.dagster_run
    tags = run.tags
    if PROCESS_LOCK in tags and not _is_inherited(instance, tags):
        name = tags.get(PROCESS, "an unknown process")
        session = find_shared_session()
        if session and SESSION in tags:
            is_gone = bool(session.find_gone([int(tags[SESSION])]))
            return Worker(Life.DEAD if is_gone else Life.ALIVE, name)
        return Worker(_find_by_lock(instance, tags), name)
    if not is_private(instance):
        # Others share these records, and nothing says on which machine the process is.
        return Worker(Life.ELSEWHERE, "an unknown process")
    return _find_by_events(instance, record)


def is_private(instance: dg.DagsterInstance) -> bool:
    """Whether the records of runs are files of this home, so that nobody has them without having the home."""
    return instance.event_log_storage.is_run_sharded


def _is_inherited(instance: dg.DagsterInstance, tags: Mapping[str, str]) -> bool:
    """Whether the tag is that of the run that this one tries again: Dagster copies tags."""
    parent = instance.get_run_by_id(tags[PARENT]) if PARENT in tags else None
    return parent is not None and parent.tags.get(PROCESS_LOCK) == tags[PROCESS_LOCK]


def _find_by_lock(instance: dg.DagsterInstance, tags: Mapping[str, str]) -> Life:
    boot, _, name = tags[PROCESS_LOCK].partition("/")
    host = tags.get(PROCESS, "").rpartition(" on ")[2]
    file = read_home(instance) / FOLDER / Path(name).name
    here = host == platform.node() or (boot != "" and boot == read_boot_id())
    if not file.exists():
        # Files of processes come with the home, but for a backup, in which no process lives on.
        return Life.DEAD if here or is_private(instance) else Life.ELSEWHERE
    if not here:
        # Locks over a network are not to be trusted.
        return Life.ELSEWHERE
    return Life.ALIVE if is_held(file) else Life.DEAD


def is_held(file: Path) -> bool:
    """Whether a process holds the lock of that file. Makes no file."""
    if not file.exists():
        return False
    lock = FileLock(file, timeout=0)
    try:
        with lock:
            return False
    except Timeout:
        return True


def _find_by_events(instance: dg.DagsterInstance, record: dg.RunRecord) -> Worker:
    """Runs of older versions, and of workers that were ended before they could say who they are."""
    run = record.dagster_run
    for entry in reversed(instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)):
        event = entry.dagster_event
        pid = event.engine_event_data.metadata.get("pid") if event else None
        if pid is not None and str(pid.value).isdecimal():
            number = int(str(pid.value))
            began = _read_begin(number)
            alive = began is not None and began <= entry.timestamp + CLOCK_LEEWAY_S
            return Worker(Life.ALIVE if alive else Life.DEAD, f"{number} on {platform.node()}")
    # A moment in the future is of a clock that was ahead, so the machine has been set right or started since.
    waits = abs(time.time() - record.create_timestamp.timestamp())
    return Worker(Life.DEAD if waits > STARTS_WITHIN_S else Life.ALIVE, "a process that has not started")


def _read_begin(pid: int) -> float | None:
    """When a process of this machine began, in seconds of the epoch; None when there is none, 0 when nobody says."""
    try:
        ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
        boot = next(
            int(line.split()[1])
            for line in Path("/proc/stat").read_text().splitlines()
            if line[:5] == "btime"
        )
    except (OSError, ValueError, IndexError, StopIteration):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return None
        except OSError:
            return 0.0
        return 0.0
    return boot + ticks / os.sysconf("SC_CLK_TCK")
