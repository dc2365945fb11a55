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
        mixed = False
        for file, content, fault in _list_databases(home):
            if fault:
                yield (
                    f"{file} is damaged ({fault}), so it was moved to {_put_aside(file, home)}. "
                    f"What is lost with it: {content}."
                )
            elif _count_versions(file) > 1:
                _forget_versions(file)
                mixed = True
                yield f"{_describe_mixed(file)} Its version was corrected; nothing is lost."
        # Opening makes what is missing, and says which version each database has.
        with open_dagster(settings) as instance:
            if mixed:
                # Dagster prints what it does.
                with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                    instance.upgrade()


def look_at_records(settings: Settings) -> Iterator[str]:
    """A sentence for each thing that `mend_records` would do. Changes nothing, and makes no home."""
    for file, content, fault in _list_databases(settings.home / "dagster"):
        if fault:
            yield (
                f"{file} is damaged ({fault}): 'sunledger repair' moves it aside. What is lost with it: {content}."
            )
        elif _count_versions(file) > 1:
            yield f"{_describe_mixed(file)} 'sunledger repair' corrects its version; nothing is lost."


def _list_databases(home: Path) -> Iterator[tuple[Path, str, str]]:
    """Each of Dagster's databases that is there: its file, what is lost with it, and its damage; empty for none."""
    emptied = list_emptied(home)
    for name, content in DATABASES.items():
        file = home / name
        if file.exists():
            yield file, content, "it is empty" if file in emptied else _find_damage(file)


def _describe_mixed(file: Path) -> str:
    return f"{file} was created by two processes at the same time."


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


def _count_versions(file: Path) -> int:
    """How many versions the database says it has: one, or more where two processes made it. 0 where none is said."""
    with contextlib.closing(sqlite3.connect(file)) as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if "alembic_version" not in tables:
            return 0
        ((count,),) = database.execute("SELECT count(*) FROM alembic_version").fetchall()
    return int(count)


def _forget_versions(file: Path) -> None:
    """Leave no version: Dagster then looks at the tables themselves."""
    with contextlib.closing(sqlite3.connect(file)) as database, database:
        database.execute("DELETE FROM alembic_version")


def _put_aside(file: Path, home: Path) -> Path:
    folder = home / f"damaged-{datetime.now(UTC):%Y%m%dT%H%M%S}"
    folder.mkdir(exist_ok=True)
    for end in ("", "-wal", "-shm"):
        part = file.with_name(file.name + end)
        if part.exists():
            part.replace(folder / part.name)
    return folder
