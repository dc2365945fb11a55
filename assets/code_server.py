"""The process that has loaded the program for page and daemon: `python -m assets.code_server SOCKET`.

Left to themselves, each of the two would load it, and the daemon again each minute, in case the code has
become another one: 4 s of processor time each, and up to three copies in memory. Ours changes with an installation.
"""

import os
import sys
from importlib.metadata import entry_points

from assets.control_room import end_with_parent


def main() -> None:
    """Answer at the socket until a signal says to stop. Runs that page or daemon begin are children of this process."""
    end_with_parent()
    sys.argv[1:] = [
        *("api", "grpc", "--socket", sys.argv[1], "--log-level", "warning"),
        # The page then says what keeps the code from being loaded.
        "--lazy-load-user-code",
        *("--location-name", "sunledger", "--module-name", "assets.definitions"),
        # Dagster would look into the folder that it is started in, which may have packages that are called like ours.
        *("--working-directory", os.environ["SUNLEDGER_PACKAGES"]),
    ]
    # The program's name is public, where it lives in Dagster is not.
    (program,) = entry_points(group="console_scripts", name="dagster")
    program.load()()


if __name__ == "__main__":
    main()
