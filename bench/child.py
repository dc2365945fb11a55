"""What a measured process is told, what it reports, and how its cost is read. Standard library only."""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

AT_ONCE = 16
BYTES_PER_MB = 2**20


@dataclass(frozen=True, slots=True)
class Task:
    """Plant-days to fetch: settings of the client (field names of `Settings`), days as ISO dates, kind of run."""

    settings: dict[str, str]
    home: str
    days: list[str]
    kind: str = ""


@dataclass(slots=True)
class Result:
    """What a process has done, and the CPU seconds (user and system, all threads) of each stage."""

    days: int
    rows: int = 0
    requests: int = 0
    stages: dict[str, float] = field(default_factory=dict)
    peak_mb: float = 0.0
    start_mb: float = 0.0
    # Sums by which runs that do the same are compared, and the bytes of files by their kind.
    figures: dict[str, float] = field(default_factory=dict)
    file_bytes: dict[str, int] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the CPU time of the block to a stage; a stage inside of it counts for itself alone."""
        inside, started = sum(self.stages.values()), cpu_seconds()
        try:
            yield
        finally:
            spent = cpu_seconds() - started - (sum(self.stages.values()) - inside)
            self.stages[name] = self.stages.get(name, 0.0) + spent

    def cpu(self, *names: str) -> float:
        """CPU seconds of the named stages, or of all."""
        return sum(spent for name, spent in self.stages.items() if not names or name in names)


def cpu_seconds() -> float:
    """User and system time of this process and of processes that it has waited for."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def peak_mb() -> float:
    """The most memory that this process, or one that it has waited for, has held so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return max(_read_own_peak(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) * unit / BYTES_PER_MB


def _read_own_peak() -> int:
    """In the unit of `ru_maxrss`, which on Linux begins with the peak of the process that started this one."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM:"))


def run_as_child(work: Callable[[Task], Result]) -> None:
    """Read a task from standard input, do it, write the result as the last line of standard output."""
    result = work(Task(**json.load(sys.stdin)))
    print(json.dumps(asdict(result)), flush=True)


def measure(
    python: str, module: str, settings: dict[str, str], days: Sequence[str], kind: str = ""
) -> Result:
    """Do a task in a fresh process with a home of its own. Raises RuntimeError with what the process said."""
    with tempfile.TemporaryDirectory(prefix="sunledger-bench-") as home:
        task = Task(settings, home, list(days), kind)
        done = subprocess.run(
            [python, "-m", module],
            input=json.dumps(asdict(task)),
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise RuntimeError(f"{module} failed:\n{done.stderr[-2000:]}")
    return Result(**json.loads(done.stdout.splitlines()[-1]))
