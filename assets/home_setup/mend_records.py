"""Repair Dagster's records of runs where an accident has left them unreadable: the first part of `sunledger repair`.

The records are the history of runs and the colours of the days. No figure of the lake comes from them.
"""

import contextlib
import io
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from assets.dagster_records.record_databases import DATABASES, list_emptied
from assets.dagster_records.start_lock import start_lock
from assets.home_setup.dagster_home import explain_faults, open_dagster, prepare_dagster_home
from pipeline.common.settings import Settings


def mend_records(settings: Settings) -> Iterator[str]:
    """Make the home's records readable again; a sentence for each thing that was done.

    Raises SunledgerError where it can't, as for a dagster.yaml that is wrong.
    """
    if not (settings.home / "dagster").is_dir():
        return
    home = prepare_dagster_home(settings)
    with start_lock(home), explain_faults(home, records_only=True):
        mixed, emptied = False, list_emptied(home)
        for name, content in DATABASES.items():
            file = home / name
            if not file.exists():
                continue
            if fault := "it is empty" if file in emptied else _find_damage(file):
                yield (
                    f"{file} is damaged ({fault}), so it was moved to {_put_aside(file, home)}. "
                    f"What is lost with it: {content}."
                )
            elif _forget_versions(file):
                mixed = True
                yield (
                    f"{file} was created by two processes at the same time. Its version was corrected; nothing is lost."
                )
        # Opening makes what is missing, and says which version each database has.
        with open_dagster(settings) as instance:
            if mixed:
                # Dagster prints what it does.
                with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                    instance.upgrade()


def _find_damage(file: Path) -> str:
    """What is wrong with the file, mostly in SQLite's words; empty for nothing."""
    if file.is_dir():
        return "it is a folder"
    try:
        with contextlib.closing(sqlite3.connect(file)) as database:
            ((found,),) = database.execute("PRAGMA quick_check(1)").fetchall()
    except sqlite3.OperationalError:
        # Locked, or not to be opened: no damage that setting it aside would repair.
        return ""
    except sqlite3.DatabaseError as fault:
        return str(fault)
    return "" if found == "ok" else str(found).replace("\n", " ")


def _forget_versions(file: Path) -> bool:
    """Where the database has more than one version, leave none: Dagster then looks at the tables themselves."""
    with contextlib.closing(sqlite3.connect(file)) as database, database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if "alembic_version" not in tables:
            return False
        ((count,),) = database.execute("SELECT count(*) FROM alembic_version").fetchall()
        if count > 1:
            database.execute("DELETE FROM alembic_version")
    return bool(count > 1)


def _put_aside(file: Path, home: Path) -> Path:
    folder = home / f"damaged-{datetime.now(UTC):%Y%m%dT%H%M%S}"
    folder.mkdir(exist_ok=True)
    for end in ("", "-wal", "-shm"):
        part = file.with_name(file.name + end)
        if part.exists():
            part.replace(folder / part.name)
    return folder
