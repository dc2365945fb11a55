"""Known faults of locked dependencies: `python -m tests.audit PIP_AUDIT`, as `make audit` runs it.

pip-audit also ends well where it could look up nothing, so its report is read here, and what it could not judge is
told.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.audit.verdict import Verdict, read_report

ROOT = Path(__file__).parents[2]
FOUND, UNKNOWN = 1, 2
PATIENCE_S = 900


def _audit(program: str, lock: Path) -> Verdict:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [
            program,
            "--require-hashes",
            "--disable-pip",
            "--progress-spinner",
            "off",
            "--format",
            "json",
        ]
        ended = subprocess.run(
            [*command, "--output", report, "--requirement", lock],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        if not report.exists():
            return Verdict((), (), fault=ended.stderr.strip().splitlines()[-1:] or ["it said nothing"])
        return read_report(json.loads(report.read_text()))


def main(arguments: list[str]) -> int:
    """Exit code 1: there are known faults; 2: some or all could not be judged; 0: all were judged and none is known."""
    verdicts = {lock.name: _audit(arguments[0], lock) for lock in sorted(ROOT.glob("requirements*.lock.txt"))}
    for name, verdict in verdicts.items():
        print(f"{name}: {verdict}")  # noqa: T201 - it is what a person at a terminal reads
    if any(verdict.faults for verdict in verdicts.values()):
        return FOUND
    return UNKNOWN if any(verdict.unknown or verdict.fault for verdict in verdicts.values()) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
