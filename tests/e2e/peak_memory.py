"""The most memory that the real program holds."""

import subprocess
import sys
from pathlib import Path

from tests.programs import PROGRAM, environment

# A process counts what the one held that began it, and a process of tests holds more than the program: so a small one
# stands between them.
BETWEEN = """
import resource, subprocess, sys
with open("said", "w") as said:
    code = subprocess.call(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=said, stderr=said)
print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
"""


def measure_peak(folder: Path, *words: str, **settings: str) -> tuple[int, str, int]:
    """The exit code of the program, what it said, and the most MB that it held."""
    done = subprocess.run(
        [sys.executable, "-c", BETWEEN, *PROGRAM, *words],
        cwd=folder,
        env=environment(folder, **settings),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    code, peak_mb = map(int, done.stdout.split())
    return code, (folder / "said").read_text(), peak_mb
