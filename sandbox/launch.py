"""Start a sandbox as a process of its own, for demos, tests and benches."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO

from sandbox.address import SandboxAddress
from sandbox.options import DEFAULT_CLIENT_SECRET

__all__ = ["SandboxAddress", "SandboxFailedError", "run_sandbox", "start_sandbox"]

STOP_AFTER_S = 10


class SandboxFailedError(RuntimeError):
    """The sandbox did not start: the message holds what it said."""


@contextmanager
def run_sandbox(*options: str) -> Iterator[SandboxAddress]:
    """A sandbox on a free loopback port, ready to answer; stopped when the block ends.

    `options` are those of `python -m sandbox serve`. The process also stops by itself if its parent dies. Raises
    SandboxFailedError if it ends before it listens.
    """
    with start_sandbox(*options) as wait:
        yield wait()


@contextmanager
def start_sandbox(*options: str) -> Iterator[Callable[[], SandboxAddress]]:
    """As `run_sandbox`, without waiting: what is yielded waits until it answers. It loads while the caller does."""
    command = [
        sys.executable,
        # Without it Python would look into the current folder first, which may have a package called sandbox.
        "-P",
        "-m",
        "sandbox",
        "serve",
        "--port",
        "0",
        "--ready-json",
        "--until-stdin-closes",
        *options,
    ]
    root = str(Path(__file__).resolve().parent.parent)
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(  # noqa: S603 - our own module with the caller's options, no shell
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )
        try:
            yield partial(_read_address, process, said, options)
        finally:
            _stop(process)


def _read_address(process: subprocess.Popen[str], said: IO[str], options: tuple[str, ...]) -> SandboxAddress:
    line = process.stdout.readline() if process.stdout else ""
    if not line:
        process.wait(STOP_AFTER_S)
        said.seek(0)
        raise SandboxFailedError(f"The sandbox could not start: {said.read().strip()}")
    ready = json.loads(line)
    return SandboxAddress(
        url=ready["url"],
        client_id=ready["client_id"],
        client_secret=_find_option(options, "--client-secret") or DEFAULT_CLIENT_SECRET,
        time_basis=ready["time_basis"],
        pid=ready["pid"],
    )


def _find_option(options: tuple[str, ...], name: str) -> str | None:
    """The value of an option, written as two words or with an equals sign."""
    for position, word in enumerate(options):
        if word == name and position + 1 < len(options):
            return options[position + 1]
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
    return None


def _stop(process: subprocess.Popen[str]) -> None:
    """Ask the process to end, by its id; insist after a while."""
    process.terminate()
    try:
        process.wait(STOP_AFTER_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()
