"""Dagster's daemon with its records kept open: `python -m assets.daemon`, with the words of `dagster-daemon`."""

import os
import sys
import threading
import time
from importlib.metadata import entry_points
from pathlib import Path

import dagster as dg

from assets.control_room import UNTIL_STDIN_CLOSES, end_with_parent
from assets.dagster_records.future_ticks import bound_ticks, wait_until_set_back
from assets.dagster_records.record_files import OPEN_FILES

# How often the clock is looked at.
LOOK_EVERY_S = 10.0


def main() -> None:
    """Be the program `dagster-daemon`, for the home of the environment."""
    of_room = os.environ.get(UNTIL_STDIN_CLOSES, "")
    end_with_parent()
    OPEN_FILES.keep(Path(os.environ["DAGSTER_HOME"]))
    with dg.DagsterInstance.get() as instance:
        if names := bound_ticks(instance, time.time()):
            sys.stderr.write(
                f"This machine's clock was ahead when {', '.join(names)} looked last; they go on from now.\n"
            )
    threading.Thread(target=_follow_clock, args=(of_room,), name="follow-clock", daemon=True).start()
    # The program's name is public, where it lives in Dagster is not.
    (program,) = entry_points(group="console_scripts", name="dagster-daemon")
    program.load()()


def _follow_clock(of_room: str) -> None:
    """Once the clock was set back, begin again as the same process: Dagster also remembers in memory when it looked."""
    wait_until_set_back(lambda: time.time() - time.monotonic(), lambda: time.sleep(LOOK_EVERY_S))
    sys.stderr.write("This machine's clock was set back, so Dagster's daemon begins again.\n")
    sys.stderr.flush()
    if of_room:
        os.environ[UNTIL_STDIN_CLOSES] = of_room
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - this program, no shell


if __name__ == "__main__":
    main()
