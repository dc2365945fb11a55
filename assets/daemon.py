"""Dagster's daemon with its records kept open: `python -m assets.daemon`, with the words of `dagster-daemon`."""

import os
from importlib.metadata import entry_points
from pathlib import Path

from assets.control_room import end_with_parent
from assets.record_files import OPEN_FILES


def main() -> None:
    """Be the program `dagster-daemon`, for the home of the environment."""
    end_with_parent()
    OPEN_FILES.keep(Path(os.environ["DAGSTER_HOME"]))
    # The program's name is public, where it lives in Dagster is not.
    (program,) = entry_points(group="console_scripts", name="dagster-daemon")
    program.load()()


if __name__ == "__main__":
    main()
