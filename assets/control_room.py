"""The control room of one machine: Dagster's webserver, daemon and code, child processes that start and end together.

`dagster dev` did this before; Dagster has superseded it by a tool for developers, which is no part of an installation.
"""

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.common.errors import SunledgerError

# How often the children are looked at, and how long one may take to end: a webserver waits for open pages.
LOOK_EVERY_S = 0.5
END_WITHIN_S = 30.0
LEFT_BEHIND_S = 5.0
# How long the others wait for one that they need, and how long it must have run to be started again once it ends.
READY_WITHIN_S = 120.0
STARTED_AGAIN_AFTER_S = 10.0
# Tells a service that its standard input is the pipe of `run_services`.
UNTIL_STDIN_CLOSES = "SUNLEDGER_UNTIL_STDIN_CLOSES"
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Service:
    """A process of Dagster: how messages call it, and its program with arguments.

    With a `place`, the others need it: they begin once it takes connections at this socket. It is started again where
    it ends, as the kernel ends a process when memory is short, and where who tidies temporary files has removed the
    socket. It and what it has started, the runs, are asked to
    end at the same moment.
    """

    name: str
    command: Sequence[str]
    place: Path | None = None


def run_services(
    services: Sequence[Service], environment: Mapping[str, str], say: Callable[[str], None]
) -> bool:
    """Run the services until a signal asks to stop, or one of them ends for good; whether a signal did.

    Either way all of them are ended before this returns. SIGINT, SIGTERM and SIGHUP stop; they are handled by this
    process alone, since the services are in sessions of their own and a terminal's Ctrl-C does not reach them.
    """
    stop = threading.Event()
    # A handler of ours also undoes an inherited "ignore", which the services would inherit in turn: started by nohup
    # or in the background of a script, Dagster's processes would not end by SIGTERM.
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in STOP_SIGNALS}
    running: dict[str, _Running] = {}
    try:
        for service in services:
            one = running[service.name] = _start(service, environment)
            if service.place and not _wait_until_ready(one, stop):
                ended = None if stop.is_set() else one
                break
        else:
            ended = _wait(running, environment, stop, say)
        if ended:
            say(
                f"{ended.service.name} ended unexpectedly (exit code {ended.process.returncode}), so everything else "
                "is stopped too: the lines above say why."
            )
        else:
            say("Stopping Dagster ...")
        return not ended
    finally:
        # The processes that start runs end first, then the runs that they have started.
        _end([one.process for one in running.values() if not one.service.place])
        _end([one.process for one in running.values() if one.service.place], with_children=True)
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


@dataclass(slots=True)
class _Running:
    service: Service
    process: "subprocess.Popen[bytes]"
    began: float
    # Whether its socket has been seen.
    was_there: bool = False


def _start(service: Service, environment: Mapping[str, str]) -> _Running:
    if service.place:
        # Somebody may have removed its folder together with other temporary files.
        service.place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Another user may have taken its name then, and would put a program of his own in the place of this one.
        if service.place.parent.lstat().st_uid != os.geteuid():
            raise SunledgerError(
                f"{service.name} can't use {service.place.parent}, because the folder belongs to another user: start "
                "the control room again."
            )
        # A socket that is found there from now on is this process's own.
        service.place.unlink(missing_ok=True)
    process = subprocess.Popen(  # noqa: S603 - Dagster's own programs, no shell
        service.command,
        env={**environment, UNTIL_STDIN_CLOSES: "yes"},
        # Nobody writes to it: the system closes it when this process ends, however it does.
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    return _Running(service, process, time.monotonic())


def _wait_until_ready(one: _Running, stop: threading.Event) -> bool:
    """Whether the service takes connections; False where it ends, or a signal came, or it takes too long.

    Nothing is lost where the others begin too early: Dagster asks again. But its page would show a fault.
    """
    while not stop.wait(LOOK_EVERY_S / 5) and one.process.poll() is None:
        with socket.socket(socket.AF_UNIX) as probe, suppress(OSError):
            probe.connect(str(one.service.place))
            one.was_there = True
            return True
        if time.monotonic() - one.began > READY_WITHIN_S:
            return True
    return False


def _wait(
    running: dict[str, _Running],
    environment: Mapping[str, str],
    stop: threading.Event,
    say: Callable[[str], None],
) -> _Running | None:
    """Wait until a signal came (then None) or a service ended for good."""
    while not stop.wait(LOOK_EVERY_S):
        for one in running.values():
            unreachable = one.process.poll() is None and _is_unreachable(one)
            if one.process.poll() is None and not unreachable:
                continue
            if one.service.place is None or time.monotonic() - one.began < STARTED_AGAIN_AFTER_S:
                return one
            what = (
                f"can't be reached any more, because somebody has removed {one.service.place},"
                if unreachable
                else f"ended unexpectedly (exit code {one.process.returncode})"
            )
            say(
                f"{one.service.name} {what} and is started again. The runs that it had begun end with it and are tried "
                "again within some minutes."
            )
            # As one loss: a run that is asked to end would count as cancelled.
            with suppress(ProcessLookupError):
                os.killpg(one.process.pid, signal.SIGKILL)
            _end([one.process])
            running[one.service.name] = _start(one.service, environment)
            _wait_until_ready(running[one.service.name], stop)
            break
    return None


def _is_unreachable(one: _Running) -> bool:
    """Whether its socket was there and is gone, which nobody can give back to a process."""
    is_there = one.service.place is not None and one.service.place.exists()
    one.was_there |= is_there
    return one.was_there and not is_there


def _end(processes: Sequence["subprocess.Popen[bytes]"], *, with_children: bool = False) -> None:
    """End what still runs: first by request, then by force, its own children included."""
    for process in processes:
        if process.poll() is None:
            (os.killpg if with_children else os.kill)(process.pid, signal.SIGTERM)
    deadline = time.monotonic() + END_WITHIN_S
    for process in processes:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for process in processes:
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
