"""Starts a program that starts others, and ends all of them when it is told to end.

`sunledger ui` becomes this: Dagster's page, daemon, code servers and runs are processes of one group. A signal ends
Dagster in its own way; what is still there after that is ended too, however the program was started and wherever
Dagster was just then. Imports little, since it stays for as long as Dagster does.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from types import FrameType
from typing import Final

# A run ends after the day that it writes; deploy/sunledger-daemon.service has a little more.
GRACE_S: Final = 50.0
REST_S: Final = 5.0
LOOK_EVERY_S: Final = 0.1
PR_SET_PDEATHSIG: Final = 1


def main() -> int:
    """Run the command of the command line; its exit code, or 0 after a signal that was to end it."""
    told: list[int] = []

    def end(number: int, _frame: FrameType | None) -> None:
        told.append(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Who starts a program with nohup means that it stays.
        if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, end)
    # A group of its own: else a terminal's Ctrl-C would reach each of them, in any order.
    child = subprocess.Popen(  # noqa: S603 - the caller's command, no shell
        sys.argv[1:],
        start_new_session=True,
        preexec_fn=_end_with_parent,  # noqa: PLW1509 - there are no threads here
    )
    while child.poll() is None and not told:
        time.sleep(LOOK_EVERY_S)
    if told:
        _end(child, told)
    _end_group(child.pid)
    return 0 if told else _exit_code(child.returncode)


def _end_with_parent() -> None:
    """Have the system end the child when this process is killed; where it can't, nothing is lost but that."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def _end(child: "subprocess.Popen[bytes]", told: list[int]) -> None:
    """Let Dagster end its processes; a second signal ends the patience."""
    child.terminate()
    deadline = time.monotonic() + GRACE_S
    while child.poll() is None and time.monotonic() < deadline and len(told) == 1:
        time.sleep(LOOK_EVERY_S)
    if child.poll() is None:
        child.kill()
        child.wait()


def _end_group(group: int) -> None:
    """End what the child has left behind."""
    for number, patience_s in ((signal.SIGTERM, REST_S), (signal.SIGKILL, REST_S)):
        deadline = time.monotonic() + patience_s
        with suppress(ProcessLookupError):
            os.killpg(group, number)
            while time.monotonic() < deadline:
                os.killpg(group, 0)
                time.sleep(LOOK_EVERY_S)


def _exit_code(returned: int) -> int:
    return 128 - returned if returned < 0 else returned


if __name__ == "__main__":
    sys.exit(main())
