"""Claims of days of plants by the processes of one home: a file each, locked by the system while its process lives.

A process that is killed loses its lock with its life, and the next one that claims removes its file.
"""

import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.common.errors import SunledgerError
from pipeline.common.files.file_locks import hold_lock, open_lock
from pipeline.common.files.owned_files import create_owned, take_over
from pipeline.common.files.regular_files import list_regular_files

SUFFIX = ".claims"
# A number of a process may be another one's in another container that shares the home.
HOLDER = uuid.uuid4().hex
# Whoever holds it reads and writes some files.
TURN_WAIT_S = 60.0


@dataclass(slots=True)
class ClaimFiles:
    """The folder of the claims, and the descriptors of those that were taken here."""

    folder: Path
    own: dict[Path, int] = field(default_factory=dict)

    def take(self, dataset: str, days: dict[str, list[str]]) -> set[str]:
        """Claim all of it, or nothing: then the living processes that have claimed some of it.

        `days` has the ids of plants by day. Raises OSError, and SunledgerError where another process holds the turn.
        """
        with self._take_turn():
            others = set()
            for path in list_regular_files(self.folder, SUFFIX):
                if process := _find_rival(path, dataset, days):
                    others.add(process)
            if not others:
                told = {"holder": HOLDER, "process": str(os.getpid()), "dataset": dataset, "days": days}
                file, path = create_owned(self.folder, SUFFIX, json.dumps(told).encode())
                self.own[path] = file
            return others

    def release(self) -> None:
        """Let go of all that was claimed here."""
        while self.own:
            path, file = self.own.popitem()
            path.unlink(missing_ok=True)
            os.close(file)

    @contextmanager
    def _take_turn(self) -> Iterator[None]:
        """One process at a time, so that nobody gets half of it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = self.folder / "turn.lock"
        with hold_lock(open_lock(lock), TURN_WAIT_S, lambda: _build_busy(lock), lock):
            yield


def _find_rival(path: Path, dataset: str, days: dict[str, list[str]]) -> str:
    """The living process whose claim overlaps; empty where there is none. A dead one's file is removed."""
    with take_over(path) as left:
        if left:
            path.unlink(missing_ok=True)
            return ""
    try:
        told = json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        # Its process has released the claim.
        return ""
    if told["holder"] == HOLDER or told["dataset"] != dataset:
        return ""
    overlaps = any(
        not set(days[day]).isdisjoint(plants) for day, plants in told["days"].items() if day in days
    )
    return str(told["process"]) if overlaps else ""


def _build_busy(lock: Path) -> SunledgerError:
    return SunledgerError(
        f"Another process has held {lock} for {TURN_WAIT_S:g} s, so nothing was fetched: end it if it is stopped, then "
        "run this again."
    )
