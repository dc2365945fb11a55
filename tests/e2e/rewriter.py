"""A process that fetches and builds the same days again and again, each time with other watts, until it is killed.

Writes the watts that it begins with. Called with the home folder and the watts to start from.
"""

import itertools
import sys
from pathlib import Path

from pipeline.common.settings import load_settings
from pipeline.run.context import RunContext
from tests.scripted import NOW, ScriptedSma
from tests.whole_days import MONDAY, TUESDAY, build, fetch, refresh


def main(home: Path, first: int) -> None:
    """Never returns."""
    sma = ScriptedSma()
    settings = load_settings(
        env_file=None,
        home=home,
        lake=str(home / "lake"),
        sma_client_id="client",
        sma_client_secret="secret",
        sma_time_basis="plant_local",
    )
    runtime = RunContext(settings, again=True, now=lambda: NOW, make_session=lambda _: sma)  # type: ignore[arg-type,return-value]
    refresh(runtime)
    for watts in itertools.count(first):
        sma.watts = {(p, f"2021-10-0{d}"): float(watts) for p in ("11", "12") for d in (4, 5)}
        sys.stdout.write(f"{watts}\n")
        sys.stdout.flush()
        for day in (MONDAY, TUESDAY):
            fetch(runtime, day)
            build(runtime, day)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
