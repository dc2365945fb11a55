"""Dagster's webserver behind our guard: `python -m assets.webserver NAMES OPTIONS`.

NAMES are those that the page is reached as, separated by commas, and OPTIONS are those of `dagster-webserver`.
"""

import os
import sys
from pathlib import Path
from typing import Any

from dagster_webserver import app, cli
from dagster_webserver.webserver import DagsterWebserver
from starlette.middleware import Middleware

from assets.control_room import end_with_parent
from assets.dagster_records.record_files import OPEN_FILES
from assets.page_guard import PageGuard


def main() -> None:
    """Serve until a signal says to stop."""
    end_with_parent()
    OPEN_FILES.keep(Path(os.environ["DAGSTER_HOME"]))
    names = [name for name in sys.argv.pop(1).split(",") if name]

    class GuardedWebserver(DagsterWebserver[Any, Any]):
        """Dagster's own, with the guard as its outermost layer."""

        def build_middleware(self) -> list[Middleware]:
            return [Middleware(PageGuard, names=names), *super().build_middleware()]

    # Dagster's command line makes its application from this name and takes no layers of others.
    app.DagsterWebserver = GuardedWebserver  # type: ignore[attr-defined]
    cli.main()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
