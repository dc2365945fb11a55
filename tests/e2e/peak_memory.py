"""The most memory that the real program holds."""

import os
import subprocess
from pathlib import Path

from tests.programs import PROGRAM, environment


def measure_peak(folder: Path, *words: str, **settings: str) -> tuple[int, str, int]:
    """The exit code of the program, what it said, and the most MB that it held."""
    with (folder / "said").open("w+") as said:
        process = subprocess.Popen(
            [*PROGRAM, *words],
            cwd=folder,
            env=environment(folder, **settings),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        return process.returncode, said.read(), usage.ru_maxrss // 1024
