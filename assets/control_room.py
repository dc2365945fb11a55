"""The control room of one machine: Dagster's webserver and daemon, child processes that start and end together.

`dagster dev` did this before; Dagster has superseded it by a tool for developers, which is no part of an installation.
"""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

# How often the children are looked at, and how long one may take to end: a webserver waits for open pages.
LOOK_EVERY_S = 0.5
END_WITHIN_S = 30.0
LEFT_BEHIND_S = 5.0
# Tells a service that its standard input is the pipe of `run_services`.
UNTIL_STDIN_CLOSES = "SUNLEDGER_UNTIL_STDIN_CLOSES"
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Service:
    """A process of Dagster: how messages call it, and its program with arguments."""

    name: str
    command: Sequence[str]


def run_services(
    services: Iterable[Service], environment: Mapping[str, str], say: Callable[[str], None]
) -> bool:
    """Run the services until a signal asks to stop, or one of them ends; whether a signal did.

    Either way all of them are ended before this returns. SIGINT, SIGTERM and SIGHUP stop; they are handled by this
    process alone, since the services are in sessions of their own and a terminal's Ctrl-C does not reach them.
    """
    stop = threading.Event()
    # A handler of ours also undoes an inherited "ignore", which the services would inherit in turn: started by nohup
    # or in the background of a script, Dagster's processes would not end by SIGTERM.
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in STOP_SIGNALS}
    running: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for service in services:
            running[service.name] = subprocess.Popen(  # noqa: S603 - Dagster's own programs, no shell
                service.command,
                env={**environment, UNTIL_STDIN_CLOSES: "yes"},
                # Nobody writes to it: the system closes it when this process ends, however it does.
                stdin=subprocess.PIPE,
                start_new_session=True,
            )
        ended = _wait(running, stop)
        if ended:
            say(
                f"{ended} ended unexpectedly (exit code {running[ended].returncode}), so everything else is stopped "
                "too: the lines above say why."
            )
        else:
            say("Stopping Dagster ...")
        return not ended
    finally:
        _end(running)
        for number, handler in before.items():
            signal.signal(number, handler)


def end_with_parent() -> None:
    """End this service, with all that it has started, when the process that runs it ends without ending it.

    A process that is killed by SIGKILL, as the kernel does where memory is short, can't end its children. They would
    hold the port and start runs beside those of the next control room.
    """
    if os.environ.pop(UNTIL_STDIN_CLOSES, None):
        threading.Thread(target=_end_once_stdin_closes, name="end with parent", daemon=True).start()


def _end_once_stdin_closes() -> None:
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGTERM)
    time.sleep(END_WITHIN_S)
    os.killpg(0, signal.SIGKILL)


def _wait(running: Mapping[str, subprocess.Popen[bytes]], stop: threading.Event) -> str:
    """Wait until a signal came (then an empty text) or a service ended (then its name)."""
    while not stop.wait(LOOK_EVERY_S):
        for name, process in running.items():
            if process.poll() is not None:
                return name
    return ""


def _end(running: Mapping[str, subprocess.Popen[bytes]]) -> None:
    """End what still runs: first by request, then by force, its own children included."""
    for process in running.values():
        if process.poll() is None:
            process.terminate()
    deadline = time.monotonic() + END_WITHIN_S
    for process in running.values():
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for process in running.values():
        _end_group(process.pid)
        if process.stdin:
            process.stdin.close()


def _end_group(group: int) -> None:
    """End the processes that a service has left behind, for instance when it was stopped during its start."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(group, number)
            deadline = time.monotonic() + LEFT_BEHIND_S
            while time.monotonic() < deadline:
                os.killpg(group, 0)
                time.sleep(LOOK_EVERY_S / 5)
