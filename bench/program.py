"""Runs a program of ours as a user does, a process of its own, and says what it cost."""

import os
import subprocess
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.child import BYTES_PER_MB

PROGRAM = str(Path(sys.executable).with_name("sunledger"))
# Of a program that fails, the last of what it said.
SAID_CHARACTERS = 2_000


@dataclass(frozen=True, slots=True)
class ProgramCost:
    """CPU (user and system, all threads and processes that it waited for) and wall time in s, largest memory in MB."""

    cpu_s: float
    wall_s: float
    peak_mb: float


def build_environment(settings: Mapping[str, str], home: Path) -> dict[str, str]:
    """The environment of a program with that home and the settings of a sandbox."""
    return {
        **os.environ,
        **settings,
        "SUNLEDGER_HOME": str(home),
        # The sandbox charges nobody.
        "SUNLEDGER_MAX_EUR_PER_MONTH": "1000000000",
    }


def run_program(
    command: Sequence[str],
    environment: Mapping[str, str],
    home: Path,
    *,
    folder: Path | None = None,
    fine: Collection[int] = (0,),
) -> ProgramCost:
    """Run the command to its end, in the folder if one is given.

    Raises SystemExit with what it said where its exit code is not among `fine`.
    """
    with (home / "said").open("w+") as said:
        begun = time.monotonic()
        process = subprocess.Popen(
            command, env=environment, cwd=folder, stdout=said, stderr=subprocess.STDOUT
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.monotonic() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in fine:
            said.seek(0)
            raise SystemExit(f"{' '.join(command)} failed:\n{said.read()[-SAID_CHARACTERS:]}")
    unit = 1 if sys.platform == "darwin" else 1024
    return ProgramCost(usage.ru_utime + usage.ru_stime, wall_s, usage.ru_maxrss * unit / BYTES_PER_MB)
