"""A program that is started with closed standard streams: nothing that it opens takes their place."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.programs import PATIENCE_S, PROGRAM, environment

OPENS_A_FILE = """
from pipeline.common.standard_streams import open_missing_streams
open_missing_streams()
import os, subprocess, sys
with open("record", "w") as record:
    print("to nobody")
    os.write(2, b"to nobody")
    subprocess.run(["/bin/sh", "-c", "echo to nobody; echo to nobody >&2; cat"], check=True)
    record.write(repr(sys.stdin.read()))
"""


def run_closed(folder: Path, command: list[str], closed: str) -> int:
    """The exit code of a command that is started with these streams closed."""
    words = ["/bin/sh", "-c", f'exec "$@" {closed}', "sh", *command]
    return subprocess.run(
        words, cwd=folder, env=environment(folder), timeout=PATIENCE_S, check=False
    ).returncode


def test_no_file_gets_what_is_printed(tmp_path: Path) -> None:
    assert run_closed(tmp_path, [sys.executable, "-c", OPENS_A_FILE], "<&- >&- 2>&-") == 0
    assert (tmp_path / "record").read_text() == "''"


@pytest.mark.parametrize("closed", [">&-", "2>&-"])
def test_a_command_does_its_work_without_a_stream(tmp_path: Path, closed: str) -> None:
    assert run_closed(tmp_path, [*PROGRAM, "--version"], closed) == 0
