"""Looks at Dagster's records of runs without Dagster, which takes long to load: whether all is over and went well."""

import sqlite3
from contextlib import closing, suppress
from pathlib import Path

# As Dagster keeps runs in a home on one machine.
_RUNS = Path("history", "runs.db")
_OVER, _WELL = ("SUCCESS", "FAILURE", "CANCELED"), "SUCCESS"
# A command that fails publishes what it has, as a run of its own that may succeed.
_NEWEST = 4
# Another process that writes holds the file for milliseconds.
_PATIENCE_S = 2.0


def is_quiet_home(dagster_home: Path) -> bool:
    """Whether each recorded run of that home is over and the newest ones succeeded.

    Not where there is no run yet, or where somebody keeps the records elsewhere or they can't be read.
    """
    with suppress(OSError, ValueError, sqlite3.Error):
        if "storage:" in (dagster_home / "dagster.yaml").read_text():
            return False
        file = (dagster_home / _RUNS).resolve(strict=True)
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=_PATIENCE_S)) as records:
            newest = records.execute("SELECT status FROM runs ORDER BY id DESC LIMIT ?", [_NEWEST]).fetchall()
            going = records.execute(
                f"SELECT 1 FROM runs WHERE status NOT IN ({', '.join('?' * len(_OVER))}) LIMIT 1",  # noqa: S608
                _OVER,
            ).fetchone()
        return set(newest) == {(_WELL,)} and going is None
    return False
