"""The real script as a process of its own, with its peak of memory and its writes watched while it runs."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests import programs
from tests.programs import environment

SCRIPT = str(Path(sys.executable).with_name("sunledger"))
# Far beyond what anything here takes on a machine that is busy with other things: who is still at work then, hangs.
BOUND_S = 900.0
LOOK_EVERY_S = 0.004
MB = 2**20


@dataclass(frozen=True, slots=True)
class Ended:
    """How the program ended: exit code (below 0: the signal), its output, seconds, peak RSS in MB, calls of write."""

    code: int
    said: str
    seconds: float
    peak_mb: float
    writes: int
    late: bool = False

    @property
    def last_line(self) -> str:
        """What it said last."""
        return next(reversed(self.said.strip().splitlines()), "")


class Running:
    """The program at work."""

    def __init__(
        self,
        stage: Path,
        *words: str,
        prefix: Sequence[str] = (),
        program: Sequence[str] = (SCRIPT,),
        **settings: str,
    ) -> None:
        """Start it in the folder `stage`, whose folder `home` is its home; `prefix` is a program that starts it."""
        self._said = tempfile.TemporaryFile("w+b")  # noqa: SIM115 - closed in `end`
        self._began = time.monotonic()
        self.process = subprocess.Popen(
            [*prefix, *program, *words],
            cwd=stage,
            env=environment(stage, **settings),
            stdin=subprocess.DEVNULL,
            stdout=self._said,
            stderr=subprocess.STDOUT,
            # A signal for this harness is none for it, and what it leaves behind is found by its group.
            start_new_session=True,
        )
        self.peak_mb, self.writes = 0.0, 0

    @property
    def seconds(self) -> float:
        """Since it was started."""
        return time.monotonic() - self._began

    def look(self) -> bool:
        """Note what it uses now; False when it has ended."""
        if self.process.poll() is not None:
            return False
        proc = Path(f"/proc/{self.process.pid}")
        try:
            for line in (proc / "status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    self.peak_mb = max(self.peak_mb, int(line.split()[1]) / 1024)
            for line in (proc / "io").read_text().splitlines():
                if line.startswith("syscw:"):
                    self.writes = max(self.writes, int(line.split()[1]))
        except OSError:
            # It ended between the two looks.
            return self.process.poll() is None
        return True

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if it still runs."""
        if self.process.poll() is None:
            self.process.send_signal(number)

    def end(self, within_s: float = BOUND_S, until: Callable[["Running"], bool] | None = None) -> Ended:
        """Wait for its end; kill it where it takes longer. `until` is asked at each look until it is true."""
        try:
            while self.look():
                if until is not None and until(self):
                    until = None
                if self.seconds > within_s:
                    break
                time.sleep(LOOK_EVERY_S if until is not None else LOOK_EVERY_S * 5)
        finally:
            late = self.process.poll() is None
            if late:
                _kill_group(self.process.pid)
        code = self.process.wait()
        self._said.seek(0)
        said = self._said.read().decode(errors="replace")
        self._said.close()
        return Ended(code, said, self.seconds, self.peak_mb, self.writes, late)


def run(
    stage: Path, *words: str, within_s: float = BOUND_S, prefix: Sequence[str] = (), **settings: str
) -> Ended:
    """Run the program to its end."""
    return Running(stage, *words, prefix=prefix, **settings).end(within_s)


def run_loaded(stage: Path, *words: str, **settings: str) -> Ended:
    """Run the program as a fork of one that is loaded; its peak and writes are not known, 0."""
    began = time.monotonic()
    try:
        code, said = programs.run(stage, *words, **settings)
    except TimeoutError:
        return Ended(-signal.SIGKILL, "", time.monotonic() - began, 0.0, 0, late=True)
    return Ended(code, said, time.monotonic() - began, 0.0, 0)


def _kill_group(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return
