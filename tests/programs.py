"""The program as a process of its own, for tests that kill it, race it, or look at how it ends."""

import atexit
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing, suppress
from functools import cache
from pathlib import Path
from typing import Any

PROGRAM = [sys.executable, "-c", "from pipeline.cli import main; main()"]
# The same, in which a file or a connection that is left open is an error.
STRICT_PROGRAM = [
    sys.executable,
    "-W",
    "error::ResourceWarning",
    "-c",
    "from pipeline.cli import main; main()",
]
# Nothing here takes so long, however slow the machine: a test fails by its assertion, not by hanging.
PATIENCE_S = 600
# While something is waited for, a look at it is followed by a pause of at least so long, or of so many looks.
LOOK_EVERY_S, SPARED_LOOKS = 0.002, 3
# The sandbox charges nobody, so no test but those of consent to cost has to agree to PU.
FREE = {"SUNLEDGER_MAX_EUR_PER_MONTH": "1000000"}
# The fewest tables that a day can have, for what is no matter of how many they are.
ONE_SET = {"SUNLEDGER_SETS": "EnergyBalance", "SUNLEDGER_LOGS": "none"}


def environment(folder: Path, **settings: str) -> dict[str, str]:
    """This process's environment without settings of ours, and these; the home is `folder / "home"`."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SMA_", "SUNLEDGER_", "DAGSTER_"))}
    return {**kept, **FREE, "SUNLEDGER_HOME": str(folder / "home"), "HOME": str(folder), **settings}


def start(folder: Path, *words: str, **settings: str) -> "subprocess.Popen[str]":
    """The program, begun; its output and errors come as one."""
    return subprocess.Popen(
        [*PROGRAM, *words],
        cwd=folder,
        env=environment(folder, **settings),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(folder: Path, *words: str, **settings: str) -> tuple[int, str]:
    """The exit code of the program, and what it said."""
    with tempfile.NamedTemporaryFile("r") as said:
        code = _run_loaded(folder, words, environment(folder, **settings), said.name, said.name)
        return code, said.read()


def run_strictly(folder: Path, *words: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    """The same with output and errors apart; files and connections that it leaves open are told as errors."""
    with tempfile.NamedTemporaryFile("r") as out, tempfile.NamedTemporaryFile("r") as err:
        given = environment(folder, **settings)
        code = _run_loaded(folder, words, given, out.name, err.name, strict=True)
        return subprocess.CompletedProcess(words, code, out.read(), err.read())


def sunledger(home: Path, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """What `run_strictly` gives, of a program that must print neither a traceback nor a warning."""
    result = run_strictly(home, *words, **settings)
    assert "Traceback" not in result.stderr
    assert "Warning" not in result.stderr
    return result


def _run_loaded(
    folder: Path, words: tuple[str, ...], given: dict[str, str], out: str, err: str, *, strict: bool = False
) -> int:
    """Run the program as a fork of one that is loaded; return its exit code."""
    asked = {
        "folder": str(folder),
        "words": words,
        "environment": given,
        "out": out,
        "err": err,
        "strict": strict,
    }
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(_load_program())
        connection.settimeout(PATIENCE_S)
        with connection.makefile("rw") as wire:
            wire.write(json.dumps(asked) + "\n")
            wire.flush()
            pid = int(wire.readline())
            try:
                return int(wire.readline())
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                raise


@cache
def _load_program() -> str:
    """The socket of the loaded program, which ends with this process."""
    folder = tempfile.TemporaryDirectory()
    path = str(Path(folder.name) / "socket")
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.loaded_program", path],
        cwd=Path(__file__).parent.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def end() -> None:
        with process:
            assert process.stdin
            process.stdin.close()
        folder.cleanup()

    atexit.register(end)
    assert process.stdout
    assert process.stdout.readline() == "loaded\n"
    return path


def wait_until(true: Callable[[], Any], process: "subprocess.Popen[str]") -> None:
    """Wait until it is true; fail when the process ends before, or after a long time."""
    began = time.monotonic()
    deadline = began + PATIENCE_S
    while not true():
        looked = time.monotonic()
        if process.poll() is not None or looked > deadline:
            said = process.communicate()[0] if process.stdout else ""
            raise AssertionError(f"It did not come to that: exit code {process.returncode}. {said}")
        # A look that takes long, as at a table or a server, would take the processor from what is waited for.
        time.sleep(max(LOOK_EVERY_S, SPARED_LOOKS * (looked - began)))
        began = time.monotonic()


def list_below(pid: int) -> list[int]:
    """The processes that one has started, and those that they have."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            text = stat.read_text()
            children.setdefault(int(text.rpartition(")")[2].split()[1]), []).append(int(stat.parent.name))
    found = list(children.get(pid, ()))
    for child in found:
        found += children.get(child, ())
    return found


def rows(database: Path, query: str) -> list[tuple[Any, ...]]:
    """What is in one of Dagster's databases; nothing while it is not there or being made."""
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as found:
        return found.execute(query).fetchall()
    return []


def slots(folder: Path) -> list[tuple[str, str]]:
    """Runs that hold a slot of a pool, and which."""
    index = folder / "home" / "dagster" / "history" / "runs" / "index.db"
    return rows(index, "SELECT run_id, concurrency_key FROM concurrency_slots WHERE run_id IS NOT NULL")


def run_states(folder: Path) -> list[str]:
    """The status of each run, the oldest first."""
    runs = folder / "home" / "dagster" / "history" / "runs.db"
    return [status for (status,) in rows(runs, "SELECT status FROM runs ORDER BY id")]


def is_there(pid: int) -> bool:
    """Whether the process has not ended. One whose parent has not taken note of its end yet is a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
